"""AWS as moto simulates it, on 127.0.0.1: the only simulated service of these tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

REGION = "eu-central-1"


@contextmanager
def moto_server() -> Iterator[str]:
    """Start moto's server, yield its URL, and stop it afterwards."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def secrets_manager(url: str) -> Any:
    """Return a client of Secrets Manager at `url`."""
    return boto3.client(
        "secretsmanager", region_name=REGION, endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b"
    )
