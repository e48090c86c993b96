"""Robot Brain as a contender of bench-peers: the whole handlers, from API Gateway's event to its answer."""

from __future__ import annotations

import json
from contextlib import ExitStack

import read_session
import write_message
from tests.bench.contender import Turn, serve
from tests.bench.texts import pairs
from tests.support.bundle import Context, Json, deployed, event


class RobotBrain:
    """A function environment, kept as Lambda keeps it."""

    def __init__(self) -> None:
        self._environment = ExitStack()

    def connect(self, url: str, first: bool) -> None:
        """Start an execution environment and end the one before. Its first request connects."""
        self._environment.close()
        self._environment.enter_context(deployed({"DATABASE_URL": url, "TENANT_ID": "local"}))
        self._context = Context(milliseconds=25_000)
        self._write = event("write_message")
        self._read = event("read_session")

    def _post(self, session: int, body: Json) -> None:
        request = {**self._write, "pathParameters": {"session_id": str(session)}, "body": json.dumps(body)}
        answer = write_message.handler(request, self._context)
        if answer["statusCode"] != 201:
            raise ValueError(answer)

    def fill(self, session: int, turns: list[Turn]) -> None:
        """Write in batches of a hundred, which is the maximum."""
        for start in range(0, len(turns), 100):
            self._post(session, {"messages": [_turn(each) for each in turns[start : start + 100]]})

    def append(self, session: int, turn: Turn) -> None:
        """Write one turn. The measured time includes making the JSON of the event."""
        self._post(session, _turn(turn))

    def last(self, session: int, turns: int) -> int:
        """Read with a limit, and parse the answer's body, because the other contenders also return objects."""
        request = {**self._read, "pathParameters": {"session_id": str(session)}, "rawQueryString": f"limit={turns}"}
        answer = read_session.handler(request, self._context)
        if answer["statusCode"] != 200:
            raise ValueError(answer)
        return 2 * len(json.loads(answer["body"])["messages"])


def _turn(turn: Turn) -> Json:
    return {"robot_personality": "barista", "user_message": turn[0], "robot_response": turn[1]}


if __name__ == "__main__":
    serve(RobotBrain(), pairs())
