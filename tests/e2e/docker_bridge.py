"""Docker's bridge, and what runs on it: the functions of `sam local`."""

import ipaddress
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.sam_bundle import host_architecture
from tests.support.servers.binaries import MissingBinaryError
from tests.support.waiting import PATIENCE_SECONDS

IMAGE = f"public.ecr.aws/lambda/python:3.13-{host_architecture()}"


@dataclass(frozen=True)
class Bridge:
    """Docker's default network: `gateway` is the address of this machine in it."""

    gateway: str
    subnet: str


def docker(*arguments: str) -> str:
    """Run the Docker client. Return its output. Raise MissingBinaryError if Docker is missing or its daemon fails."""
    if shutil.which("docker") is None:
        raise MissingBinaryError("no Docker here")
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MissingBinaryError(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def find_bridge() -> Bridge:
    """Return Docker's bridge. Raise MissingBinaryError if Docker, AWS's image or the bridge's address is missing."""
    docker("info", "--format", "{{.ServerVersion}}")
    docker("image", "inspect", "--format", "{{.Id}}", IMAGE)
    [configured] = json.loads(docker("network", "inspect", "bridge"))
    address = configured["IPAM"]["Config"][0]
    subnet = ipaddress.ip_network(address["Subnet"])
    gateway = address.get("Gateway") or str(subnet[1])
    with socket.socket() as probe:
        try:
            probe.bind((gateway, 0))
        except OSError as error:
            raise MissingBinaryError(f"Docker's gateway {gateway} is no address of this machine: {error}") from error
    return Bridge(gateway, str(subnet))


def request(method: str, url: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """Send one request. Return the status and the JSON body of its answer, or {} without a body."""
    data = None if body is None else json.dumps(body).encode()
    prepared = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(prepared, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or "{}")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def wait_for_port(port: int, api: "subprocess.Popen[bytes]", log: Path) -> None:
    """Return once something listens on the port. Fail with SAM's output if SAM ends first or takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert api.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
