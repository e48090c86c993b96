"""The functions of template.yaml in real Lambda processes: how many start, and that every event runs there."""

import json
from pathlib import Path
from typing import Any

from local.settings import ROOT
from tests.e2e.probe_stack import Answer, ProbeStack, run_probe
from tests.support.bundle import event
from tests.support.servers.databases import Database

TEMPLATE = ROOT / "template.yaml"


def body_of(name: str) -> Any:
    """Return the parsed body of an event."""
    return json.loads(event(name)["body"])


def etag(answer: Answer) -> str:
    """Return the ETag of an answer."""
    return {name.lower(): value for name, value in answer.headers.items()}["etag"]


def test_one_tool_using_exchange_starts_one_environment(tmp_path: Path, embedded_database: Database) -> None:
    question, answer = body_of("write_message_half"), body_of("write_message_complete")
    called = {"user_message": question["user_message"], "robot_response": "", "items": answer["items"][:3]}

    async def test(stack: ProbeStack) -> None:
        asked = await stack.request("POST", "/sessions/one/messages", json=question)
        assert asked.status == 201, asked.body
        used = await stack.request("PUT", "/sessions/one/messages/1", json=called, headers={"If-Match": etag(asked)})
        assert used.status == 200, used.body
        done = await stack.request("PUT", "/sessions/one/messages/1", json=answer, headers={"If-Match": etag(used)})
        assert done.status == 200, done.body

        assert stack.emulator.counters.started == 1
        assert len(stack.emulator.environments("WriteMessageFunction")) == 1

        # The whole conversation takes two environments: that of its writes and that of its reads.
        page = (await stack.get("/sessions/one")).data
        [turn] = page["messages"]
        assert {name: turn[name] for name in ("user_message", "robot_response", "items")} == {
            name: answer[name] for name in ("user_message", "robot_response", "items")
        }
        assert [each["id"] for each in (await stack.get("/sessions")).data["sessions"]] == ["one"]
        assert stack.emulator.counters.started == 2
        assert stack.emulator.counters.stopped == 0

    run_probe(tmp_path, test, template=TEMPLATE, settings={"DATABASE_URL": embedded_database.app_url})


def test_every_event_of_the_new_routes_runs_in_its_function(tmp_path: Path, embedded_database: Database) -> None:
    async def test(stack: ProbeStack) -> None:
        async def run(name: str) -> tuple[int, Any]:
            words = name.split("_")[: 1 if name.startswith("search") else 2]
            function = "".join(word.capitalize() for word in words) + "Function"
            outcome = await stack.emulator.invoke(function, json.dumps(event(name)).encode())
            assert outcome.error is None, stack.log(function)
            answer = json.loads(outcome.payload)
            return answer["statusCode"], json.loads(answer.get("body") or "null")

        for name, status in [
            ("write_message_half", 201),
            ("write_message_complete", 200),
            ("write_message_replace", 200),
            ("edit_session", 200),
            ("edit_session_user", 200),
            ("write_message_items", 201),
            ("write_message", 201),
            ("read_session_list", 200),
            ("read_session_list_page", 200),
        ]:
            assert (await run(name))[0] == status, name
        _, listed = await run("read_session_list_preview")
        [session] = listed["sessions"]
        assert (session["user_id"], session["preview"]["seq"]) == ("guest-7", 3)
        assert session["user_metadata"] == {"name": "Ada", "likes": {"milk": "non-fat"}}
        for name in ("search", "search_relevance", "search_prefix", "search_filters", "search_user"):
            assert (await run(name))[0] == 200, name
        assert (await run("edit_session_remove_if_match"))[0] == 412
        status, removed = await run("edit_session_remove")
        assert (status, removed["removed"], removed["message_count"], removed["last_seq"]) == (200, 2, 1, 3)
        assert (await run("edit_session_erase_if_match"))[0] == 412
        assert await run("edit_session_erase") == (204, None)
        assert (await run("edit_session_erase"))[0] == 404

        created = [await run("edit_user_create") for _ in range(2)]
        assert created[0] == created[1]
        assert created[0][0] == 201
        for name, status in [
            ("edit_user", 201),
            ("read_user", 200),
            ("read_user_if_none_match", 200),
            ("edit_user_patch", 200),
            ("edit_user_jwt", 201),
            ("read_user_export", 200),
        ]:
            assert (await run(name))[0] == status, name
        _, listed = await run("read_user_list")
        ann = {"first_name": "Ann"}
        assert [each["profile"] for each in listed["users"]] == [ann, ann | {"last_name": "Ray"}, {"first_name": "Kim"}]
        # The patch has removed the e-mail.
        assert await run("read_user_email") == (200, {"users": [], "page": {"cursor": None}})
        assert await run("edit_user_erase_dry_run") == (200, {"sessions": 0, "messages": 0, "interactions": 0})
        assert await run("edit_user_erase") == (204, None)
        assert [(await run(name))[0] for name in ("edit_user_erase", "edit_user_patch", "read_user")] == [404] * 3

        _, newest = await run("read_audit")
        assert (newest["entries"][0]["action"], newest["entries"][0]["record_id"]) == ("ERASE", "ann")
        _, of_demo = await run("read_audit_record")
        assert {entry["record_id"] for entry in of_demo["entries"]} == {"demo"}
        assert {entry["action"] for entry in of_demo["entries"]} == {"UPDATE", "DELETE", "ERASE"}
        # The events name no caller.
        assert await run("read_audit_user") == (200, {"entries": [], "page": {"cursor": None}})
        assert (await run("read_audit_between"))[0] == 200

    run_probe(tmp_path, test, template=TEMPLATE, settings={"DATABASE_URL": embedded_database.app_url})
