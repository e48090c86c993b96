"""The contender *usual* of bench-cold: the same write, built in the common way.

It uses Powertools' HTTP resolver with validation, psycopg's pool, and boto3 for the secret. All are made at import.
"""

import json
import os
from typing import Annotated, Any

import boto3
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path
from psycopg_pool import ConnectionPool
from pydantic import BaseModel, ConfigDict, Field


class Interaction(BaseModel):
    """What the robot did during a turn."""

    model_config = ConfigDict(extra="forbid")

    interaction_type: str = Field(min_length=1, max_length=50)
    duration_ms: int = Field(ge=0, le=2**31 - 1)
    success: bool
    robot_id: str | None = None


class Turn(BaseModel):
    """What the user said and what the robot answered."""

    model_config = ConfigDict(extra="forbid")

    robot_personality: str = Field(min_length=1, max_length=50)
    user_message: str = Field(max_length=262_144)
    robot_response: str = Field(max_length=262_144)
    metadata: dict[str, Any] = {}
    interaction: Interaction | None = None


app = APIGatewayHttpResolver(enable_validation=True)
_secret = boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["DATABASE_SECRET_ARN"])["SecretString"]
_pool = ConnectionPool(
    _secret, min_size=1, max_size=1, kwargs={"autocommit": True, "prepare_threshold": None}, open=True
)


@app.post("/sessions/<session_id>/messages")
def write(session_id: Annotated[str, Path()], turn: Annotated[Turn, Body()]) -> Response[str]:
    """Write a turn."""
    with _pool.connection() as connection:
        row = connection.execute(
            "select body from robot_brain_api.write_message(%s, %s, %s, %s, %s, %s, %s, %s)",
            (
                os.environ["TENANT_ID"],
                session_id,
                json.dumps([turn.model_dump(exclude_none=True)]),
                None,
                None,
                None,
                os.urandom(16).hex(),
                False,
            ),
        ).fetchone()
    assert row is not None
    return Response(status_code=201, content_type="application/json", body=row[0])


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Let the resolver find the route."""
    return app.resolve(event, context)
