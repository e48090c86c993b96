"""The answer to an end user's change is lost, and the session goes to another user before the layer's retry."""

from collections.abc import Callable

import pytest

from tests.model.relayed import relayed
from tests.model.request import ERASE, GET, PATCH, POST, PUT, REMOVE, Request, send
from tests.model.states import turn
from tests.model.tables import answers
from tests.model.trail import stored_trail
from tests.support.servers.databases import Database

USER, OTHER = "guest-7", "guest-8"
# The first attempt was done. Then something happened, and the layer tried again. `once` says that the answer is that of
# the first attempt. A 504 says that the outcome is unknown. `done` says that the first attempt's turn is there.
TABLE = """
then                           | POST     | POST, key | PATCH | PUT | REMOVE | ERASE
-------------------------------+----------+-----------+-------+-----+--------+------
nothing                        | 201 once | 201 once  | 504   | 504 | 504    | 504
moved                          | 504 done | 201 once  | 504   | 504 | 504    | 504
moved, and more turns          | 504 done | 201 once  | 504   | 504 | 504    | 504
moved, and turns removed       | 504      | 201 once  | 504   | 504 | 504    | 504
moved, and erased              | 504      | 504       | 504   | 504 | 504    | 504
erased, and another's namesake | 504      | 504       | 504   | 504 | 504    | 504
"""
NEW = {"user_message": "new", "robot_response": "new"}
REQUESTS: dict[str, Callable[[str], Request]] = {
    "POST": lambda _: Request(POST, "s", body=turn("2"), user=USER),
    "POST, key": lambda _: Request(POST, "s", body=turn("2"), key="k", user=USER),
    "PATCH": lambda tag: Request(PATCH, "s", body={"user_metadata": {"a": 1}}, if_match=tag, user=USER),
    "PUT": lambda tag: Request(PUT, "s", 1, body=NEW, if_match=tag, user=USER),
    "REMOVE": lambda tag: Request(REMOVE, "s", query={"after": 0}, if_match=tag, user=USER),
    "ERASE": lambda tag: Request(ERASE, "s", if_match=tag, user=USER),
}
# The actions in the audit trail. It has no new turns, and of a PATCH only a change of the owner.
ENTRIES = {"PUT": ["UPDATE"], "REMOVE": ["DELETE"], "ERASE": ["ERASE"]}
ROWS = answers(TABLE)


def statements(tenant: str, then: str) -> list[str]:
    """Return the calls of a row of TABLE. They are a service's, except that the other user writes the turns."""
    move = f"patch_session('{tenant}', 's', p_user_id => '{OTHER}', p_sets_user_id => true)"
    write = (
        f'write_message(\'{tenant}\', \'s\', \'[{{"robot_personality": "p", "user_message": "u",'
        f' "robot_response": "r", "metadata": {{}}}}]\', p_as_user => \'{OTHER}\')'
    )
    calls = [move] if then.startswith("moved") else []
    if "erased" in then:
        calls.append(f"erase_session('{tenant}', 's')")
    if then.endswith("removed"):
        calls.append(f"remove_turns('{tenant}', 's', 0)")
    if then.endswith(("more turns", "namesake")):
        calls.append(write)
    return [f"select from robot_brain_api.{call}" for call in calls]


@pytest.mark.parametrize(("then", "name", "answer"), ROWS)
def test_the_table_says_what_a_user_gets_whose_first_answer_was_lost(
    one_database: Database, then: str, name: str, answer: str
) -> None:
    tenant = f"lost-{ROWS.index((then, name, answer))}"
    with relayed(one_database, tenant) as (relay, between):
        tag = send(Request(POST, "s", body=turn("1"), user=USER)).headers["etag"]
        relay.lose_answers()
        between.statements = statements(tenant, then)
        reply = send(REQUESTS[name](tag), f"request of {tenant}")
        assert between.statements == []
        status, *marks = answer.split()
        assert (reply.status, "retry-after" in reply.headers) == (int(status), False), reply.body
        # A retry of the layer is never announced as a replay of the client's.
        assert "idempotent-replayed" not in reply.headers
        if "once" in marks:
            assert (reply.json["last_seq"], reply.json["message_count"]) == (2, 2)
        # The first attempt was done. So it left its entry, and no retry left another one.
        with one_database.admin() as admin:
            trail = stored_trail(admin, tenant).get(f"request of {tenant}", [])
        assert [entry.action for entry in trail] == ENTRIES.get(name, [])
        found = send(Request(GET, "s"))
        texts = [each["user_message"] for each in found.json.get("messages", [])]
        assert texts.count("question 2") == (1 if marks and not then.endswith("removed") else 0)
        mine = send(Request(GET, "s", user=USER)).status
        assert mine == (404 if then != "nothing" or name == "ERASE" else 200)
