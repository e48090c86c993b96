"""The contender *floor* of bench-cold: psycopg, a connection, and one call of the SQL function, without any check.

It starts as fast as the bundle. The garbage collector is off during imports, and psycopg has a version file.
"""

import gc

gc.disable()

import json  # noqa: E402  # after the line above
import os  # noqa: E402
from typing import Any  # noqa: E402

import psycopg  # noqa: E402

gc.freeze()
gc.enable()


def _call(query: str, parameters: tuple[object, ...]) -> Any:
    connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, prepare_threshold=None)
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]


def write(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Write the turn that the event holds."""
    body = _call(
        "select body from robot_brain_api.write_message(%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            os.environ["TENANT_ID"],
            event["pathParameters"]["session_id"],
            json.dumps([json.loads(event["body"])]),
            None,
            None,
            None,
            os.urandom(16).hex(),
            False,
        ),
    )
    return {"statusCode": 201, "headers": {"content-type": "application/json"}, "body": body}


def read(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Read the newest 50 turns of the session that the event names."""
    body = _call(
        "select body from robot_brain_api.read_session(%s, %s, %s, %s, %s, %s, %s)",
        (os.environ["TENANT_ID"], event["pathParameters"]["session_id"], 50, None, None, None, []),
    )
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": body}


def stats(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Read the tenant's figures."""
    body = _call("select body, stale from robot_brain_api.stats(%s, %s, %s)", (os.environ["TENANT_ID"], None, 3600))
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": body}
