"""A database that pg_dump and pg_restore copied without our commands serves, or refuses each call until a migration."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.migrate import migrate, plan
from ops.rights import Corrections, wrong_rights
from tests.integration.plain_dumps import VIEW_IS_REFUSED, drop_this_month, dump, restore, rows, same_rows, target
from tests.integration.probes import condition_in, probe, unhurried
from tests.integration.recounting import INTERACTION
from tests.support.bundle import Bundle, deployed, turn
from tests.support.log_lines import logged
from tests.support.servers.databases import Database, Template, set_app_login
from tests.support.servers.postgres import MIGRATOR, SUPERUSER, Postgres, start_embedded

# From this server to that one. The distribution's is the oldest one that we support, on Debian 12.
WAYS = {"15 to 15": ("tls", "tls"), "18 to 18": ("embedded", "embedded"), "15 to 18": ("tls", "embedded")}
FIGURES = {"sessions": 2, "messages": 5, "interactions": 1}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> tuple[Template, Template]:
    """The servers that a database is dumped from and restored into. Both have our roles."""
    one, other = (request.getfixturevalue(f"{kind}_template") for kind in WAYS[request.param])
    return one, other


@pytest.fixture
def source(way: tuple[Template, Template]) -> Iterator[Database]:
    """A database with a counted session, one that is counted later, a key, a user and entries of the audit trail."""
    template = way[0]
    with template.clone(template.postgres.kind) as database:
        with deployed({"DATABASE_URL": database.app_url}) as bundle:
            bundle.write("long", {"messages": [turn(n) for n in range(3)]})
            bundle.refresh()
            bundle.write("short", turn(items=[{"a": 1}], interaction=INTERACTION), {"idempotency-key": "k"})
            bundle.write("short", turn(robot_personality="waiter", robot_response=""))
            assert bundle.user("PUT", "mia", {"email": "mia@example.com"}).status == 201
        yield database


@pytest.fixture
def restored(way: tuple[Template, Template], source: Database, tmp_path: Path) -> Iterator[Database]:
    """What pg_dump and pg_restore of a superuser make of `source`, with their default options."""
    file = tmp_path / "file.dump"
    assert dump(way[0].postgres, source.postgres.admin_url(source.name), file) == []
    with target(way[1], MIGRATOR) as database:
        assert restore(way[1].postgres, database.postgres.admin_url(database.name), file) == [VIEW_IS_REFUSED]
        yield database


@pytest.fixture
def functions(restored: Database) -> Iterator[Bundle]:
    """The functions on `restored`."""
    with unhurried({"DATABASE_URL": restored.app_url}) as bundle:
        yield bundle


@pytest.fixture
def embedded_cluster() -> Iterator[Postgres]:
    """A server of its own, which has no role of Robot Brain."""
    server = start_embedded()
    yield server
    server.stop()


def lives_on(bundle: Bundle) -> None:
    """Assert that a write, a refresh, an erasure and a retry of the request with the old key work."""
    again = bundle.write("short", turn(items=[{"a": 1}], interaction=INTERACTION), {"idempotency-key": "k"})
    assert (again.status, again.headers.get("idempotent-replayed")) == (201, "true")
    assert bundle.write("short", turn()).json["last_seq"] == 3
    assert bundle.erase("long").status == 204
    assert bundle.refresh()["months_made"] == 0
    figures = bundle.stats().json
    assert figures["totals"] == {"sessions": 1, "messages": 3, "interactions": 1}
    assert [(one["session_id"], one["message_count"]) for one in figures["top_sessions"]] == [("short", 3)]
    assert bundle.audit().status == 200
    assert condition_in(probe(bundle)) == (200, "healthy", [])


def test_a_plain_dump_of_a_database_has_every_row(source: Database, restored: Database) -> None:
    assert rows(restored) == rows(source)


def test_the_first_reader_of_a_restored_database_gets_all_figures_as_of_now(
    functions: Bundle, restored: Database
) -> None:
    with restored.admin() as admin:
        admin.execute("update robot_brain.refresh_state set refreshed_at = now() - interval '400 days'")
    assert condition_in(probe(functions)) == (200, "degraded", ["statistics"])
    figures = functions.stats().json
    assert figures["totals"] == FIGURES
    assert [(one["session_id"], one["message_count"]) for one in figures["top_sessions"]] == [("long", 3), ("short", 2)]
    assert figures["age_seconds"] < 3600
    assert condition_in(probe(functions)) == (200, "healthy", [])
    lives_on(functions)


def test_a_restored_database_heals_by_its_first_refresh(functions: Bundle) -> None:
    assert functions.refresh()["counted"] > 0
    assert condition_in(probe(functions)) == (200, "healthy", [])
    assert functions.stats().json["totals"] == FIGURES
    lives_on(functions)


def test_a_refresh_works_in_a_database_that_gives_public_no_temporary_tables(
    functions: Bundle, restored: Database
) -> None:
    """A dump has no rights of the database. So robot_brain_stats lacks the one that the migration gave."""
    with restored.admin() as admin:
        admin.execute(f"revoke temporary on database {restored.name} from public".encode())
    assert functions.refresh()["counted"] > 0
    functions.write("short", turn())
    assert functions.refresh()["counted"] == 1
    assert functions.stats().json["top_sessions"][1]["message_count"] == 3
    assert condition_in(probe(functions)) == (200, "healthy", [])


@pytest.mark.parametrize("seconds", [-400 * 86400, 400 * 86400])
def test_times_of_another_clock_in_a_restored_database_are_gone_after_a_refresh(
    functions: Bundle, restored: Database, seconds: int
) -> None:
    functions.refresh()
    with restored.admin() as admin:
        admin.execute(
            "update robot_brain.refresh_state set counted_at = now() + make_interval(secs => %(s)s),"
            " refreshed_at = now() + make_interval(secs => %(s)s), view_due = true",
            {"s": seconds},
        )
        admin.execute(
            "update robot_brain.key_clearing set cleared_until = now() + make_interval(secs => %s)", [seconds]
        )
    assert condition_in(probe(functions)) == (200, "degraded", ["statistics"])
    assert functions.stats().json["age_seconds"] >= 0
    functions.refresh()
    assert functions.stats().json["age_seconds"] < 3600
    lives_on(functions)


def test_a_restored_database_without_the_rows_of_its_states_gives_figures_at_once(
    functions: Bundle, restored: Database
) -> None:
    """A restore of some tables leaves such a database."""
    with restored.admin() as admin:
        admin.execute("delete from robot_brain.refresh_state")
        admin.execute("delete from robot_brain.key_clearing")
    assert condition_in(probe(functions)) == (200, "degraded", ["statistics"])
    reply = functions.stats()
    assert (reply.status, reply.json["totals"]) == (200, FIGURES)
    assert reply.json["age_seconds"] < 3600
    lives_on(functions)


def test_a_restored_database_makes_the_months_that_the_old_dump_lacked(functions: Bundle, restored: Database) -> None:
    with restored.admin() as admin:
        for table in ("conversations", "robot_interactions"):
            (name,) = admin.execute(
                "select %s || to_char(now() at time zone 'UTC', '_YYYY_MM')", [table]
            ).fetchone() or ("",)
            # As if the dump were older than its last month: today's turns are in the partition DEFAULT.
            admin.execute(f"alter table robot_brain.{table} detach partition robot_brain.{name}".encode())
            admin.execute(f"insert into robot_brain.{table} select * from robot_brain.{name}".encode())
            admin.execute(f"drop table robot_brain.{name}".encode())
    assert functions.write("short", turn()).status == 201
    assert functions.refresh()["months_made"] == 2
    assert functions.read("long").json["session"]["message_count"] == 3
    assert functions.stats().json["totals"]["messages"] == FIGURES["messages"] + 1
    assert condition_in(probe(functions)) == (200, "healthy", [])


OPTIONS = {
    "--enable-row-security": ([], ["--enable-row-security"], []),
    "--schema": (["--schema=robot_brain*"], [], [VIEW_IS_REFUSED]),
}


@pytest.mark.parametrize("options", OPTIONS)
def test_a_dump_with_these_options_serves_at_once(
    way: tuple[Template, Template], source: Database, tmp_path: Path, options: str
) -> None:
    dumped, read, errors = OPTIONS[options]
    file = tmp_path / "file.dump"
    assert dump(way[0].postgres, source.postgres.admin_url(source.name), file, *dumped) == []
    with target(way[1], MIGRATOR) as database:
        assert restore(way[1].postgres, database.postgres.admin_url(database.name), file, *read) == errors
        assert rows(database) == rows(source)
        with unhurried({"DATABASE_URL": database.app_url}) as bundle:
            assert bundle.stats().json["totals"] == FIGURES
            lives_on(bundle)


OWNERS = {"a superuser": SUPERUSER, "a role made in SQL": MIGRATOR}


@pytest.mark.parametrize("owner", OWNERS)
def test_functions_that_belong_to_another_role_refuse_every_call(
    way: tuple[Template, Template], source: Database, tmp_path: Path, owner: str
) -> None:
    """After --no-owner the policies do not apply to the owner of the functions: it sees every row, or no row at all."""
    file = tmp_path / "file.dump"
    assert dump(way[0].postgres, source.postgres.admin_url(source.name), file) == []
    with target(way[1], OWNERS[owner]) as database:
        server = database.postgres
        url = server.admin_url(database.name) if OWNERS[owner] == SUPERUSER else database.direct_url
        restore(server, url, file, "--no-owner")
        with unhurried({"DATABASE_URL": database.app_url}) as bundle, logged() as lines:
            for reply in (bundle.read("long"), bundle.erase("long"), bundle.write("x", turn()), bundle.sessions()):
                assert (reply.status, reply.json["title"]) == (503, "Schema outdated")
            for reply in (bundle.stats(), bundle.audit(), bundle.users(), bundle.count_user("mia")):
                assert (reply.status, reply.json["title"]) == (503, "Schema outdated")
            assert condition_in(probe(bundle)) == (503, "unhealthy", ["schema"])
            assert f"the functions belong to {OWNERS[owner]}" in str(lines()[0])


def test_functions_without_their_rights_are_refused_to_the_login(
    way: tuple[Template, Template], source: Database, tmp_path: Path
) -> None:
    """After --no-acl every role may execute the functions, but no role may use their schema."""
    file = tmp_path / "file.dump"
    assert dump(way[0].postgres, source.postgres.admin_url(source.name), file) == []
    with target(way[1], MIGRATOR) as database:
        restore(way[1].postgres, database.postgres.admin_url(database.name), file, "--no-owner", "--no-acl")
        with unhurried({"DATABASE_URL": database.app_url}) as bundle:
            assert (bundle.read("long").status, bundle.read("long").json["title"]) == (503, "Database refused")
            assert condition_in(probe(bundle)) == (503, "unhealthy", ["refused"])


# Rows of a migrated database, which has its own row of the two states, and perhaps other months.
ROWS_ONLY = (
    "--data-only",
    "--schema=robot_brain",
    "--load-via-partition-root",
    "--exclude-table-data=robot_brain.refresh_state",
    "--exclude-table-data=robot_brain.key_clearing",
    "--exclude-table-data=robot_brain.search_state",
    "--exclude-table-data=robot_brain.turn_words*",
)
NOT_COPIED = {
    "robot_brain.refresh_state",
    "robot_brain.key_clearing",
    "robot_brain.search_state",
    "robot_brain.turn_words",
}


def test_rows_alone_go_into_a_migrated_database_that_has_other_months(
    way: tuple[Template, Template], source: Database, tmp_path: Path
) -> None:
    file = tmp_path / "file.dump"
    assert dump(way[0].postgres, source.postgres.admin_url(source.name), file, *ROWS_ONLY) == []
    with target(way[1], MIGRATOR) as database:
        migrate(database.direct_url)
        drop_this_month(database)
        assert restore(way[1].postgres, database.postgres.admin_url(database.name), file) == []
        copied, own = rows(database), rows(source)
        for table in copied.keys() - NOT_COPIED:
            # The audit trail keeps the entries of the migration of the new database.
            assert set(copied[table]) >= set(own[table]) or table.startswith("robot_brain_migrations"), table
        with unhurried({"DATABASE_URL": database.app_url}) as bundle:
            assert bundle.refresh()["months_made"] == 2
            assert bundle.stats().json["totals"] == FIGURES
            lives_on(bundle)


def test_rows_alone_without_the_partition_root_leave_out_months_that_the_target_lacks(
    way: tuple[Template, Template], source: Database, tmp_path: Path
) -> None:
    file = tmp_path / "file.dump"
    assert dump(way[0].postgres, source.postgres.admin_url(source.name), file, "--data-only") == []
    with way[1].clone(way[1].postgres.kind) as database:
        names = drop_this_month(database)
        errors = restore(way[1].postgres, database.postgres.admin_url(database.name), file)
        assert {f'relation "robot_brain.{name}" does not exist' for name in names} <= set(errors)
        assert rows(database)["robot_brain.conversations"] == []


HARMLESS = {"-B": ["-B"], "--schema": ["--schema=robot_brain*"]}


@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
def test_a_large_object_of_a_login_stops_a_whole_dump_and_none_of_our_schemas(
    database: Database, tmp_path: Path
) -> None:
    """PostgreSQL lets each role make large objects, and take its own rights to one away."""
    role = f"console_{secrets.token_hex(4)}"
    server = database.postgres
    url = server.address.url(role, server.migrator_password, database.name)
    with database.admin() as admin:
        # As a role of Neon's console: no superuser, but row-level security does not apply to it.
        admin.execute(f"create role {role} login bypassrls password '{server.migrator_password or role}'".encode())
        try:
            admin.execute(
                f"grant {MIGRATOR}, robot_brain_owner, robot_brain_stats, robot_brain_audit, robot_brain_search "
                f"to {role}".encode()
            )
            assert dump(server, url, tmp_path / "before") == []
            with database.app() as app:
                (large,) = app.execute("select lo_create(0)").fetchone() or (0,)
                app.execute(f"revoke all on large object {large} from current_user".encode())
            assert dump(server, url, tmp_path / "whole") == [f"permission denied for large object {large}"]
            for name, options in HARMLESS.items():
                assert dump(server, url, tmp_path / name, *options) == [], name
        finally:
            admin.execute(f"drop owned by {role}".encode())
            admin.execute(f"drop role {role}".encode())


LOST = {
    "owners": ["--no-owner"],
    "rights": ["--no-acl"],
    "owners and rights": ["--no-owner", "--no-acl"],
    "nothing but the rights of the database": [],
}


@pytest.mark.parametrize("lost", LOST)
def test_a_migration_corrects_what_a_plain_restore_lost(
    way: tuple[Template, Template], source: Database, tmp_path: Path, lost: str
) -> None:
    file = tmp_path / "file.dump"
    assert dump(way[0].postgres, source.postgres.admin_url(source.name), file) == []
    with target(way[1], SUPERUSER) as database:
        url = database.postgres.admin_url(database.name)
        restore(way[1].postgres, url, file, *LOST[lost])
        corrections = Corrections()
        assert migrate(url, corrections=corrections) == []
        assert corrections.done
        with database.admin() as admin:
            assert wrong_rights(admin) == []
        assert same_rows(database, source)
        with unhurried({"DATABASE_URL": database.app_url}) as bundle:
            assert bundle.stats().json["totals"] == FIGURES
            lives_on(bundle)
        assert plan(url) == []


def test_a_migration_corrects_what_a_plain_restore_by_a_role_made_in_sql_lost(
    way: tuple[Template, Template], source: Database, tmp_path: Path
) -> None:
    file = tmp_path / "file.dump"
    assert dump(way[0].postgres, source.postgres.admin_url(source.name), file) == []
    with target(way[1], MIGRATOR) as database:
        restore(way[1].postgres, database.direct_url, file, "--no-owner")
        migrate(database.direct_url)
        assert same_rows(database, source)
        with unhurried({"DATABASE_URL": database.app_url}) as bundle:
            lives_on(bundle)


def test_a_migration_makes_the_roles_policies_and_rights_of_a_cluster_that_had_none(
    tls_template: Template, embedded_cluster: Postgres, tmp_path: Path
) -> None:
    """A dump has no roles, so the restore fails at each owner, policy and grant. The rows are there."""
    file = tmp_path / "file.dump"
    with tls_template.clone("tls") as old:
        with deployed({"DATABASE_URL": old.app_url}) as bundle:
            bundle.write("long", turn())
        assert dump(old.postgres, old.postgres.admin_url(old.name), file) == []
        copied = rows(old)
    with target(Template(embedded_cluster, ""), SUPERUSER) as database:
        url = database.postgres.admin_url(database.name)
        assert 'role "robot_brain_owner" does not exist' in restore(embedded_cluster, url, file)
        migrate(url)
        assert rows(database)["robot_brain.conversations"] == copied["robot_brain.conversations"]
        with database.admin() as admin:
            assert wrong_rights(admin) == []
            set_app_login(admin, "")
        with unhurried({"DATABASE_URL": database.app_url}) as bundle:
            assert bundle.write("long", turn()).json["last_seq"] == 2
            assert bundle.refresh()["counted"] == 2
            assert condition_in(probe(bundle)) == (200, "healthy", [])
            assert bundle.erase("long").status == 204
