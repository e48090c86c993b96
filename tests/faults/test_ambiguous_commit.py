"""The answer is lost after COMMIT, so the client does not know the outcome. The write happens exactly once."""

import random
import secrets
from collections.abc import Iterator

import pytest

from robot_brain.database.connection import lazy_connection
from tests.faults.stage import Stage
from tests.support.bundle import Bundle, Json, deployed, turn

TIMES = 100
MOST_TURNS = 5


@pytest.fixture
def dice() -> random.Random:
    """A random generator. If a test fails, its output has the seed."""
    seed = secrets.randbits(32)
    print("seed", seed)
    return random.Random(seed)


@pytest.fixture
def bundle(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Bundle]:
    """The functions on the stand-in. `parametrize("bundle", [...], indirect=True)` sets DB_MAX_RETRIES."""
    with deployed({"DATABASE_URL": stage.stand_in.url, "DB_MAX_RETRIES": request.param}) as functions:
        yield functions


def body(dice: random.Random) -> Json:
    """Return a batch of one to five turns."""
    return {"messages": [turn(number) for number in range(dice.randint(1, MOST_TURNS))]}


def lose_the_next_answer(stage: Stage, dice: random.Random) -> None:
    """Lose the next answer, at random on a new connection or on a reused one."""
    if dice.random() < 0.5:
        lazy_connection().discard()
    stage.stand_in.relay.lose_answers(1)


@pytest.mark.parametrize("bundle", ["3"], indirect=True)
def test_a_write_that_the_layer_retries_is_written_once(stage: Stage, bundle: Bundle, dice: random.Random) -> None:
    for number in range(TIMES):
        session = f"repeated by the layer {number}"
        sent = body(dice)
        key = {"idempotency-key": session} if dice.random() < 0.5 else {}
        lose_the_next_answer(stage, dice)
        reply = bundle.write(session, sent, key)
        assert stage.stand_in.relay.to_come == 0, "no answer was lost"
        assert (reply.status, reply.json["message_count"]) == (201, len(sent["messages"]))
        assert stage.seqs(session) == list(range(1, len(sent["messages"]) + 1))


@pytest.mark.parametrize("bundle", ["1"], indirect=True)
def test_a_write_that_the_client_retries_with_its_key_is_written_once(
    stage: Stage, bundle: Bundle, dice: random.Random
) -> None:
    for number in range(TIMES):
        session = f"repeated by the client {number}"
        sent = body(dice)
        lose_the_next_answer(stage, dice)
        first = bundle.write(session, sent, {"idempotency-key": session})
        assert (first.status, stage.stand_in.relay.to_come) == (504, 0)
        written = stage.seqs(session)
        second = bundle.write(session, sent, {"idempotency-key": session})
        assert (second.status, second.headers["idempotent-replayed"]) == (201, "true")
        assert stage.seqs(session) == written == list(range(1, len(sent["messages"]) + 1))
