"""Sessions with random metadata, requests that find them by it, and the walk of all their pages."""

import json
import random
from collections.abc import Iterator
from typing import Any

import psycopg

Json = dict[str, Any]
LIST = (
    "select body from robot_brain_api.list_sessions(p_tenant_id => %(tenant)s, p_limit => %(limit)s,"
    " p_cursor => %(cursor)s, p_user_id => %(user)s, p_metadata => %(metadata)s, p_path => %(path)s)"
)
# The plain meaning of the filters, without an index.
_EXPECTED = """
select s.id
from robot_brain.sessions s
where s.tenant_id = %(tenant)s and s.erasing_at is null
  and (%(user)s::text is null or s.user_id = %(user)s)
  and (%(metadata)s::jsonb is null or s.user_metadata @> %(metadata)s)
  and (
    %(path)s::jsonpath is null
    or case when %(selects)s then s.user_metadata @? %(path)s else s.user_metadata @@ %(path)s end
  )
order by s.active_hour desc, s.last_active desc, s.id collate "C" desc
"""
_INSERT = """
insert into robot_brain.sessions
  (tenant_id, id, user_id, user_metadata, created_at, last_active, active_hour, message_count, response_length,
   answer_bytes, erasing_at)
select
  %(tenant)s, %(prefix)s || n, case n %% 3 when 0 then 'u' || n %% 7 end, m.value, t, t,
  date_bin('1 hour', t, to_timestamp(0)), 1, 1, 1, case when n %% %(erasing)s = 0 then now() end
from jsonb_array_elements(%(metadata)s::jsonb) with ordinality m (value, n),
  -- Some have the same time, so their ids decide.
  lateral (select now() - n / 4 * interval '5 minutes' as t) v
"""
# Every 97th session is being erased.
ERASING = 97
WORDS = ("a", "b", "c", "$", '"', "ü")


def insert(admin: psycopg.Connection, tenant: str, metadata: list[Json], prefix: str = "s") -> None:
    """Insert a session for each of `metadata`, the most recently active first, four each five minutes."""
    admin.execute(_INSERT, {"tenant": tenant, "prefix": prefix, "metadata": json.dumps(metadata), "erasing": ERASING})


def random_metadata(rng: random.Random) -> Json:
    """Return small metadata, so that many sessions have the same values. One value is rare."""

    def value(depth: int) -> Any:
        kind = rng.randrange(4 if depth else 3)
        if kind == 0:
            return rng.choice((0, 1, 2, -1.5, 1e3))
        if kind == 1:
            return rng.choice((*WORDS, True, False, None))
        if kind == 2:
            return [value(0) for _ in range(rng.randrange(3))] if depth else rng.choice(WORDS)
        return {rng.choice(WORDS): value(depth - 1) for _ in range(rng.randrange(3))}

    return {rng.choice(WORDS): value(2) for _ in range(rng.randrange(4))} | {"rare": rng.randrange(300)}


def random_filter(rng: random.Random) -> Json:
    """Return `metadata`, `path` or both, and whether the path selects by a filter instead of being a predicate."""
    kind = rng.randrange(4)
    path, selects = _path(rng) if kind in (1, 2) else (None, False)
    common: Json = {rng.choice(WORDS): rng.choice((1, "a", [], {"b": 1})) for _ in range(rng.randrange(1, 3))}
    metadata = {0: common, 1: None, 2: common, 3: {"rare": rng.randrange(300)}}[kind]
    if kind == 1 and rng.randrange(2):
        path, selects = f"$.rare == {rng.randrange(300)} || {rng.randrange(300)} == $.rare", False
    return {"metadata": metadata and json.dumps(metadata), "path": path, "selects": selects}


def _path(rng: random.Random) -> tuple[str, bool]:
    def steps() -> str:
        return "".join(
            rng.choice(("[*]", "[0]")) if rng.randrange(4) == 0 else "." + json.dumps(rng.choice(WORDS))
            for _ in range(rng.randrange(1, 3))
        )

    def predicate(root: str) -> str:
        parts = []
        for _ in range(rng.randrange(1, 4)):
            literal = json.dumps(rng.choice((0, 1, 2, -1.5, 1e3, True, None, *WORDS)))
            sides = [root + steps(), literal]
            rng.shuffle(sides)
            parts.append(" == ".join(sides))
        return rng.choice((" && ", " || ")).join(parts)

    if rng.randrange(2):
        return predicate("$"), False
    return f"${steps()} ? ({predicate('@')})", True


def expected(admin: psycopg.Connection, tenant: str, user: str | None, chosen: Json) -> list[str]:
    """Return the ids of all sessions that a request finds, in the order of the list, from the rows themselves."""
    return [row[0] for row in admin.execute(_EXPECTED, {"tenant": tenant, "user": user, **chosen}).fetchall()]


def pages(app: psycopg.Connection, tenant: str, user: str | None, chosen: Json, limit: int = 100) -> Iterator[Json]:
    """Yield the pages of a request, until the cursor is null."""
    cursor = None
    while True:
        arguments = {"tenant": tenant, "user": user, "cursor": cursor, "limit": limit, **chosen}
        row = app.execute(LIST, arguments).fetchone()
        assert row is not None
        page = json.loads(row[0])
        yield page
        cursor = page["page"]["cursor"]
        if cursor is None:
            return


def walked(app: psycopg.Connection, tenant: str, user: str | None, chosen: Json, limit: int = 100) -> list[str]:
    """Return the ids of all pages. Assert that only a page that is not complete is short, and that the last one is."""
    found = []
    for page in pages(app, tenant, user, chosen, limit):
        ids = [session["id"] for session in page["sessions"]]
        state = page["page"]
        assert len(ids) == limit if state["cursor"] and state["complete"] else len(ids) <= limit, state
        assert state["cursor"] or state["complete"]
        found += ids
    return found
