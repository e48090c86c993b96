"""People of one tenant in every state, made through the SQL functions, and what the tenant sees of them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import psycopg

from tests.isolation.asking import Answer, ask
from tests.isolation.parties import Json, Party, canary_turn, new_words
from tests.isolation.person import PERSON_STATES, Person, audit_cursor, cursor_of, export_cursor, key_of

# With so many sessions, the first step of an erasure only marks them.
_MARKED_FIRST = 101
_MORE_SESSIONS = """
insert into robot_brain.sessions
  (tenant_id, id, user_id, created_at, last_active, active_hour, message_count, response_length, answer_bytes)
select %(tenant)s, %(user)s || n, %(user)s, now(), now(), now(), 0, 0, 0 from generate_series(1, %(number)s) n
"""


@dataclass(frozen=True)
class People:
    """The people of a tenant. `app` is the functions' connection, `admin` sees all rows."""

    app: psycopg.Connection
    admin: psycopg.Connection
    tenant: Party

    def make_each(self) -> dict[str, Person]:
        """Make a person in each state. The unfinished erasure is the last, because another one would go on with it."""
        return {state: self.make(state) for state in sorted(PERSON_STATES, key=lambda state: state == "erasing")}

    def make(self, state: str) -> Person:
        """Make a person in a state, and return all that the owner of the tenant knows of the person."""
        made: list[str] = []
        words = new_words(made)
        user_id, session_id = str(uuid.uuid4()), f"session {next(words)}"
        document = document_of(words)
        key = key_of(user_id)
        version = "1f"
        since = datetime.now(UTC).isoformat()
        acts = {"p_actor": f"actor {next(words)}", "p_request_id": f"request {next(words)}"}
        if state != "rowless":
            created = self.must("create_user", p_user_id=user_id, **saved(document), p_key=key, **acts)
            version = str(created[2]).strip('"')
        for name in (session_id, f"second {next(words)}"):
            turns = json.dumps([canary_turn(words, items=[{"tool": next(words)}]), canary_turn(words)])
            self.must("write_message", p_session_id=name, p_messages=turns, p_key=next(words), p_as_user=user_id)
            self.must("patch_session", p_session_id=name, p_user_metadata=json.dumps({"name": next(words)}))
        edit = {"p_session_id": session_id, "p_seq": 1, "p_turn": json.dumps(_edited(words))}
        self.must("replace_turn", **edit, **acts)
        self.must("export_user", p_user_id=user_id, **acts)
        ahead = time.time_ns() // 1000 + 3_600_000_000
        sessions = json.loads(str(self.must("list_sessions", p_user_id=user_id, p_limit=1)[0]))["page"]["cursor"]
        person = Person(
            state=state,
            tenant=self.tenant.tenant,
            id=user_id,
            document=document,
            key=key,
            version=version,
            session_id=session_id,
            export_cursor=export_cursor(self.tenant.tenant, user_id, session_id),
            asker_cursor="",
            sessions_cursor=sessions,
            # The place of an hour ahead, so that a caller's own people come after it.
            list_cursor=cursor_of(ahead, user_id, "users"),
            actor=acts["p_actor"],
            request_id=acts["p_request_id"],
            since=since,
            audit_cursor=audit_cursor(self.tenant.tenant, ahead, 1),
            asker_audit_cursor="",
            canaries=frozenset(),
        )
        return self._brought_to(person, words, made)

    def _brought_to(self, person: Person, words: Iterator[str], made: list[str]) -> Person:
        if person.state == "moved":
            other = {"p_session_id": person.session_id, "p_user_id": f"other {next(words)}", "p_sets_user_id": True}
            self.must("patch_session", **other)
            self.must("write_message", p_session_id=person.session_id, p_messages=json.dumps([canary_turn(words)]))
        if person.state == "erasing":
            more_sessions(self.admin, replace(self.tenant, user=person.id))
            assert self.must("erase_user", p_user_id=person.id) == ("erasing",)
        if person.state == "erased":
            erase(self.app, self.tenant, person.id)
        return replace(person, canaries=frozenset(made) | {person.id, person.key})

    def view(self, person: Person) -> list[Answer]:
        """Return what the tenant gets for the person. None of the requests changes anything.

        A repetition of the POST, and an empty patch, show that both still work.
        """
        named = {"p_user_id": person.id}
        # An export is an entry of the audit trail, too. So the view has the entries of the session alone.
        trail = ask(self.app, "read_audit", self.tenant, {"p_record_id": person.session_id, "p_user_id": person.actor})
        views = [trail]
        views += [ask(self.app, each, self.tenant, named) for each in ("read_user", "count_user", "export_user")]
        views.append(ask(self.app, "list_users", self.tenant, {"p_email_key": person.email}))
        views.append(ask(self.app, "list_sessions", self.tenant, {**named, "p_preview": True}))
        views.append(ask(self.app, "save_user", self.tenant, {**named, "p_user": "{}", "p_is_patch": True}))
        if person.state != "rowless":
            again = {**named, **saved(person.document), "p_key": person.key}
            views.append(ask(self.app, "create_user", self.tenant, again))
        return views

    def must(self, function: str, **arguments: object) -> tuple[str | None, ...]:
        """Call an SQL function as the tenant. Return its row."""
        answer = ask(self.app, function, self.tenant, arguments)
        assert answer.sqlstate is None, answer
        return answer.row


def _edited(words: Iterator[str]) -> Json:
    """Return an edit of a turn in which each text has a word of its own."""
    return {name: value for name, value in canary_turn(words).items() if name != "robot_personality"}


def more_sessions(admin: psycopg.Connection, party: Party) -> None:
    """Give a user so many sessions that the first step of an erasure only marks them."""
    admin.execute(_MORE_SESSIONS, {"tenant": party.tenant, "user": party.user, "number": _MARKED_FIRST})


def erase(app: psycopg.Connection, tenant: Party, user_id: str) -> None:
    """Erase a user. A step ends after a time, so a slow machine needs more than one."""
    while (answer := ask(app, "erase_user", tenant, {"p_user_id": user_id})).row == ("erasing",):
        pass
    assert answer.row == ("erased",), answer


def document_of(words: Iterator[str]) -> Json:
    """Return a body of POST and PUT /users in which each text has a word of its own."""
    return {
        "email": f"{next(words)}@example.com",
        "password_hash": f"$argon2id$v=19$m=65536,t=3,p=4${next(words)}$hash",
        "profile": {
            "first_name": f"first {next(words)}",
            "last_name": f"last {next(words)}",
            "avatar_url": f"https://example.com/{next(words)}.png",
        },
    }


def saved(document: Json) -> Json:
    """Return the arguments with which create_user and save_user save the document."""
    return {"p_user": json.dumps(document), "p_email_key": document.get("email")}
