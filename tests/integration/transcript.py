"""Send one of each request in turn, and record the answers without the parts that differ from run to run."""

from __future__ import annotations

import datetime
import functools
import json
import re
from typing import Any

import psycopg

from robot_brain.errors import RobotBrainError
from tests.integration.months import month_name
from tests.support.bundle import Bundle, Reply, turn
from tests.support.searching import whole
from tests.support.servers.databases import Database

# What a setting may change: backslashes, quotes, code points beyond LATIN1, numbers, and NULL as a word.
TEXT = "Ünïcode \\ \\n \\' '' \" 日本 🤖 %s $1 {NULL} 31/12/2026"
METADATA = {
    "float": 0.1,
    "small": 1.5e-7,
    "large": 12345678901234567890,
    "text": TEXT,
    "null": None,
    "list": [1, "NULL", None],
}
INTERACTION = {"interaction_type": "order \\ 'x'", "duration_ms": 1, "success": True}
# With equal counts these are sorted by name, and each collation sorts them in another order.
PERSONALITIES = ("b", "B", "a", "Ä", "_", "A b", "ab")

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_MASKS = (
    (_TIME, "<time>"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r'(?<=\d\.)[0-9a-f]{6,12}(?=\\?")'), "<version>"),
    # The tag of a user has no seq.
    (re.compile(r'(?<="etag": "\\")[0-9a-f]{6,12}(?=\\")'), "<version>"),
    (re.compile(r'(?<="cursor": ")[0-9a-f]+(?=")|(?<="cursor" : ")[0-9a-f]+(?=")'), "<cursor>"),
    (re.compile(r'(?<="age_seconds": )\d+|(?<="age_seconds" : )\d+'), "<age>"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "<date>"),
)
# What depends on the server or on the connection.
_OF_THE_CONNECTION = ("latency_ms", "pooled", "environment")


class Transcript:
    """The recorded answers: `masked` is to be compared, `times` and `dates` are to be checked with the clock."""

    def __init__(self) -> None:
        self.masked: list[tuple[str, object]] = []
        self.times: list[datetime.datetime] = []
        self.dates: list[str] = []

    def add(self, name: str, reply: Reply) -> Reply:
        """Record an answer: its status, its body, and its headers except the id of the request."""
        body = reply.body or ""
        self.times += [datetime.datetime.fromisoformat(found) for found in _TIME.findall(body)]
        headers = {key: value for key, value in reply.headers.items() if key != "x-request-id"}
        self.masked.append((name, (reply.status, _mask(json.dumps(headers)), _mask(body))))
        return reply


def transcript(bundle: Bundle, database: Database) -> Transcript:
    """Send one of each request to an empty database and return the answers."""
    seen = Transcript()
    key = {"idempotency-key": "key \\ ' \" {NULL} %s"}
    one = turn(1, user_message=TEXT, metadata=METADATA, interaction=INTERACTION)
    seen.add("write with a key", bundle.write("s", one, key))
    seen.add("replay", bundle.write("s", one, key))
    seen.add("key reused", bundle.write("s", turn(2), key))
    etag = seen.add("read", bundle.read("s")).headers["etag"]
    batch = {"messages": [turn(n, robot_personality=name) for n, name in enumerate(PERSONALITIES)]}
    seen.add("write in a state", bundle.write("s", batch | {"user_metadata": METADATA}, {"if-match": etag}))
    seen.add("write in another state", bundle.write("s", batch, {"if-match": etag}))
    etag = seen.add("read more", bundle.read("s")).headers["etag"]
    seen.add("read nothing new", bundle.read("s", {"if-none-match": f'"NULL", NULL, {etag}'}))
    seen.add("read before", bundle.read("s", before=4, limit=2))
    seen.add("read after", bundle.read("s", after=2, limit=3))
    seen.add("read some characters", bundle.read("s", max_chars=40))
    seen.add("read of an unknown session", bundle.read("unknown"))
    for session in ("b", "B", "_", "a"):
        seen.add(f"write to {session}", bundle.write(session, turn()))
    with administering(database) as admin:
        # Afterwards the sessions differ only in their names.
        admin.execute(
            "update robot_brain.sessions set last_active = created_at, created_at = (select min(created_at)"
            " from robot_brain.sessions) where id <> 's'"
        )
        admin.execute(
            "update robot_brain.sessions set last_active = (select max(last_active)"
            " from robot_brain.sessions) where id <> 's'"
        )
    _add_users(seen, bundle)
    _add_searches(seen, bundle, "before their words are made")
    seen.add("stats, not counted yet", bundle.stats())
    seen.masked.append(("refresh", _mask(json.dumps(_refresh(bundle)))))
    _add_searches(seen, bundle, "by their words")
    reply = seen.add("stats", bundle.stats())
    seen.dates = [day["date"] for day in reply.json["daily"]]
    seen.add("stats of a session", bundle.stats(session_id="s"))
    with administering(database) as admin:
        admin.execute(f"drop table robot_brain.{month_name(admin, 3)}".encode())
    seen.masked.append(("months", _mask(json.dumps(_refresh(bundle)))))
    seen.add("stats in between", bundle.stats())
    health = bundle.database_health().json
    for name in _OF_THE_CONNECTION:
        health.pop(name)
    seen.masked.append(("health", _mask(json.dumps(health))))
    return seen


def _add_users(seen: Transcript, bundle: Bundle) -> None:
    """Send one of each request about users. Their ids have an order that each collation makes another."""
    user = {
        "email": "ÄNN'\\@b",
        "password_hash": "$x$'\\and-a-long-enough-salt",
        "profile": {"first_name": TEXT, "avatar_url": "http://b/ü"},
    }
    for user_id in PERSONALITIES:
        seen.add(f"user {user_id}", bundle.user("PUT", user_id, user if user_id == "Ä" else {}))
    seen.add("user, taken e-mail", bundle.user("PUT", "other", user))
    etag = seen.add("user, read", bundle.user("GET", "Ä")).headers["etag"]
    seen.add("user, read nothing new", bundle.user("GET", "Ä", headers={"if-none-match": f'"NULL", {etag}'}))
    seen.add("user, patch", bundle.user("PATCH", "Ä", {"profile": {"last_name": TEXT}}, {"if-match": etag}))
    seen.add("user, patch in another state", bundle.user("PATCH", "Ä", {}, {"if-match": etag}))
    seen.add("user of an e-mail", bundle.users(email="änn'\\@B"))
    key = {"idempotency-key": "user \\ ' \" {NULL} %s"}
    for name in ("user, created", "user, replay"):
        seen.add(name, bundle.create_user({"profile": user["profile"]}, key))
    cursor = seen.add("users", bundle.users(limit=3)).json["page"]["cursor"]
    seen.add("more users", bundle.users(limit=100, cursor=cursor))
    bundle.write("of Ä", turn(user_message=TEXT, metadata=METADATA, interaction=INTERACTION))
    bundle.patch("of Ä", {"user_id": "Ä"})
    seen.add("export", bundle.export("Ä"))
    seen.add("dry run", bundle.count_user("Ä"))
    seen.add("user, erased", bundle.user("DELETE", "Ä"))
    seen.add("user, unknown", bundle.user("GET", "Ä"))
    seen.add("users that are left", bundle.users())


def _add_searches(seen: Transcript, bundle: Bundle, when: str) -> None:
    """Search for turns by words of which a setting may change the meaning, and for sessions by their metadata."""
    for query in (
        {"q": "Ünïcode"},
        {"q": "日本", "in": "user", "limit": 1},
        {"q": '"31/12/2026" \\ \'', "order": "relevance"},
        # Its capital letter as in the text: before PostgreSQL 17 a database of the locale C makes only A to Z small.
        {"q": "Ünï", "prefix": "true", "personality": "barista"},
        {"q": "NULL", "metadata": json.dumps({"text": TEXT, "float": 0.1, "null": None})},
        {"q": "Ünïcode", "from": "2020-02-01", "to": "2020-03-01"},
    ):
        seen.add(f"search {when}", whole(functools.partial(bundle.search, **query)))
    for filters in ({"metadata": json.dumps({"text": TEXT})}, {"path": f"$.text == {json.dumps(TEXT)}"}):
        seen.add(f"sessions by metadata {when}", whole(functools.partial(bundle.sessions, **filters)))
    seen.add(f"sessions by a range {when}", bundle.sessions(path="$.float > 0"))


def administering(database: Database) -> psycopg.Connection:
    """Return a superuser's connection in UTF-8, for a database of any encoding. Close it with `with`."""
    return psycopg.connect(database.postgres.admin_url(database.name), autocommit=True, client_encoding="UTF8")


def bounds(admin: psycopg.Connection) -> list[str]:
    """Return the name and the bounds of every month in UTC, as the server writes them."""
    with admin.transaction():
        admin.execute("set local timezone = 'Etc/UTC'")
        admin.execute("set local datestyle = 'ISO, YMD'")
        rows = admin.execute(
            "select c.relname || ' ' || pg_get_expr(c.relpartbound, c.oid) from pg_class c"
            " join pg_inherits i on i.inhrelid = c.oid where i.inhparent = 'robot_brain.conversations'::regclass"
            " order by 1"
        ).fetchall()
    return [line for (line,) in rows]


def expected_bounds(count: int) -> list[str]:
    """Return what `bounds` must return for `count` months from this one on."""
    today = datetime.datetime.now(datetime.UTC)
    lines = []
    for number in range(count):
        first, last = (divmod(today.year * 12 + today.month - 1 + number + n, 12) for n in (0, 1))
        lines.append(
            f"conversations_{first[0]}_{first[1] + 1:02} FOR VALUES"
            f" FROM ('{first[0]}-{first[1] + 1:02}-01 00:00:00+00') TO ('{last[0]}-{last[1] + 1:02}-01 00:00:00+00')"
        )
    return [*sorted(lines), "conversations_default DEFAULT"]


def _refresh(bundle: Bundle) -> Any:
    try:
        return bundle.refresh()
    except RobotBrainError as error:
        return repr(error)


def _mask(text: str) -> str:
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return text
