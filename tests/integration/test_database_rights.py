"""The rights to the database itself, which no dump holds."""

import psycopg
import pytest

from ops.migrate import migrate

LOGINS = ("robot_brain_app", "robot_brain_app_a", "robot_brain_app_b")
OTHERS = ("robot_brain_test_login", "robot_brain_test_member")


def may_make_temporary_tables(admin: psycopg.Connection, role: str) -> bool:
    row = admin.execute("select has_database_privilege(%s, current_database(), 'temporary')", [role]).fetchone()
    assert row is not None
    return bool(row[0])


@pytest.mark.parametrize("when", ["in a new database", "in a restored database"])
def test_only_the_logins_of_the_functions_lose_temporary_tables(
    admin: psycopg.Connection, direct_url: str, when: str
) -> None:
    database = admin.info.dbname
    if when == "in a restored database":
        migrate(direct_url)
        # As in a database that a restore has filled: no dump holds the rights to the database.
        admin.execute(f"revoke all on database {database} from robot_brain_stats, robot_brain_app".encode())
        admin.execute(f"grant temporary on database {database} to public".encode())
    for role in OTHERS:
        admin.execute(f"drop role if exists {role}".encode())
        admin.execute(f"create role {role} login".encode())
    try:
        assert all(may_make_temporary_tables(admin, role) for role in OTHERS)
        migrate(direct_url)
        assert all(may_make_temporary_tables(admin, role) for role in (*OTHERS, "robot_brain_stats"))
        assert not any(may_make_temporary_tables(admin, role) for role in LOGINS)

        # An operator may take the right away, and no later migration gives it back.
        admin.execute(f"revoke temporary on database {database} from {OTHERS[0]}".encode())
        assert migrate(direct_url) == []
        assert not may_make_temporary_tables(admin, OTHERS[0])
    finally:
        for role in OTHERS:
            admin.execute(f"revoke all on database {database} from {role}".encode())
            admin.execute(f"drop role {role}".encode())
