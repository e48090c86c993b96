"""An export that loses its person, or a part of it, between two pages, and cursors of others."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.integration.held_locks import wait_for_waiter
from tests.integration.user_rows import fill, finish, step
from tests.support.bundle import Bundle, deployed
from tests.support.servers.databases import Database

USER = "kim"
OPENED = """
select count(*)
from pg_locks l
join pg_inherits i on i.inhrelid = l.relation
join pg_class c on c.oid = i.inhrelid and c.relkind = 'r'
where l.pid = pg_backend_pid() and i.inhparent = ('robot_brain.' || %s)::regclass
"""
READ = """
select coalesce(sum(pg_stat_get_xact_tuples_returned(x.indexrelid)), 0)::integer
from pg_index x
join pg_inherits i on i.inhrelid = x.indrelid
where i.inhparent = 'robot_brain.robot_interactions'::regclass
"""


def first_page(bundle: Bundle) -> str:
    """Read the first page of the export of a user with more pages, and return the cursor of the next one."""
    page = bundle.export(USER)
    assert page.status == 200
    assert page.json["page"]["cursor"]
    return str(page.json["page"]["cursor"])


def test_a_page_of_a_user_who_is_being_erased_or_was_erased_is_404(bundle: Bundle, database: Database) -> None:
    """An empty last page would say that the export is whole."""
    with database.admin() as admin:
        fill(admin, USER, 300, 1)
    assert bundle.user("PUT", USER, {"email": "kim@example.com"}).status == 201
    cursor = first_page(bundle)
    with database.app() as app:
        assert step(app, USER) == "erasing"
        for query in ({}, {"cursor": cursor}):
            assert bundle.export(USER, **query).status == 404
        finish(app, USER)
    for query in ({}, {"cursor": cursor}):
        assert bundle.export(USER, **query).status == 404


def test_a_user_with_unmarked_sessions_is_404_in_an_export_from_the_first_step(
    bundle: Bundle, database: Database
) -> None:
    """The first step of an erasure marks 10,000 sessions. The next step marks the others."""
    with database.admin() as admin:
        fill(admin, USER, 10_050, 0)
    with database.app() as app:
        assert step(app, USER) == "erasing"
    with database.admin() as admin:
        unmarked = admin.execute("select count(*) from robot_brain.sessions where erasing_at is null").fetchone()
    assert unmarked == (50,)
    assert bundle.export(USER).status == 404


def test_the_last_page_of_a_person_without_a_row_of_users_is_empty_if_its_sessions_are_gone(
    bundle: Bundle, database: Database
) -> None:
    with database.admin() as admin:
        fill(admin, USER, 300, 1)
    cursor = first_page(bundle)
    with database.admin() as admin:
        seen = [each["id"] for each in bundle.export(USER).json["sessions"]]
        for (left,) in admin.execute("select id from robot_brain.sessions").fetchall():
            if left not in seen:
                admin.execute("select robot_brain_api.erase_session('local', %s)", [left])
    last = bundle.export(USER, cursor=cursor)
    assert (last.status, last.json) == (
        200, {"user": None, "sessions": [], "turns": [], "page": {"cursor": None}}
    )  # fmt: skip


@pytest.mark.parametrize(("tenant", "user"), [("local", "lee"), ("other", USER)], ids=["user", "tenant"])
def test_a_cursor_of_another_user_or_tenant_is_refused(
    bundle: Bundle, database: Database, tenant: str, user: str
) -> None:
    with database.admin() as admin:
        fill(admin, USER, 300, 1)
        fill(admin, user, 300, 1, tenant=tenant, prefix="more")
    cursor = first_page(bundle)
    with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": tenant}) as other:
        refused = other.export(user, cursor=cursor)
        assert refused.status == 422
        assert [error["loc"] for error in refused.json["errors"]] == [["query", "cursor"]]
        assert other.export(user).status == 200


def test_an_export_opens_only_the_months_of_its_sessions(database: Database) -> None:
    """A plan that opens all months takes many times as long, and waits for each month that is being made."""
    with database.admin() as admin:
        fill(admin, USER, 3, 2)
        # All three are of one hour, which may lie on both sides of the change of a month.
        months = admin.execute(
            "select count(distinct to_char(created_at at time zone 'UTC', 'YYYY-MM')) from robot_brain.conversations"
        ).fetchone()
        with admin.transaction():
            admin.execute("select robot_brain_api.export_user('local', %s)", [USER])
            opened = [admin.execute(OPENED, [table]).fetchone() for table in ("conversations", "robot_interactions")]
    assert opened == [months, months]


@pytest.mark.parametrize("analyzed", [False, True], ids=["never analyzed", "analyzed"])
def test_a_page_reads_only_the_interactions_of_its_turns(database: Database, analyzed: bool) -> None:
    """Without statistics the planner may read all interactions of the session for each turn."""
    with database.admin() as admin:
        fill(admin, USER, 1, 1000)
        if analyzed:
            admin.execute("analyze robot_brain.conversations, robot_brain.robot_interactions")
        with admin.transaction():
            before = admin.execute(READ).fetchone()
            admin.execute("select robot_brain_api.export_user('local', %s)", [USER])
            after = admin.execute(READ).fetchone()
    assert before is not None
    assert after is not None
    # Of 1,000 turns 500 have one. It is read once for its size, and once for its content.
    assert after[0] - before[0] == 1000


def test_a_page_that_an_erasure_overtakes_is_404(database: Database) -> None:
    """The page has read the user. Then an erasure marks the sessions, before the page has read them."""
    with database.admin() as holder, closing(database.app()) as reader, database.app() as eraser:
        fill(holder, USER, 150, 1)
        holder.execute("select robot_brain_api.save_user('local', %s, '{}')", [USER])
        with ThreadPoolExecutor(1) as thread:
            with holder.transaction():
                holder.execute("lock table robot_brain.conversations in access exclusive mode")
                exporting = thread.submit(
                    lambda: reader.execute(
                        "select body from robot_brain_api.export_user('local', %s)", [USER]
                    ).fetchone()
                )
                wait_for_waiter(holder)
                # It only marks, so it needs no turn.
                assert step(eraser, USER) == "erasing"
            assert exporting.result() == (None,)
