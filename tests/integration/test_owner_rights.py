"""The role that migrates owns its database and has CREATEROLE. It needs no other right."""

import re
import secrets

import psycopg

from local.settings import ROOT
from ops.app_password import rotate
from ops.migrate import migrate, plan
from ops.retire import retire
from ops.roles import ROLES
from tests.integration.migrations import FILES
from tests.support.bundle import deployed, turn
from tests.support.servers.databases import create_database
from tests.support.servers.postgres import Postgres


def test_an_owner_with_createrole_alone_migrates_rotates_and_retires(empty_cluster: Postgres) -> None:
    name = f"test_{secrets.token_hex(6)}"
    with empty_cluster.admin() as admin:
        create_database(admin, name)
        admin.execute("create role owner_alone login createrole nocreatedb password 'of-a-test'")
        admin.execute(f"alter database {name} owner to owner_alone".encode())
    url = empty_cluster.address.url("owner_alone", "of-a-test", name)
    assert migrate(url) == FILES
    assert plan(url) == []
    rotate(url)
    _, _, new = rotate(url)
    with deployed({"DATABASE_URL": new}) as functions:
        assert functions.write("s", turn()).status == 201
        retire(url, "old", print, idle_seconds=0, call_seconds=0)
        assert functions.write("s", turn()).status == 201

    # What the document says for the end: the database, then the roles.
    [statement] = re.findall(r"(drop role [^']+)'", (ROOT / "docs" / "deploy.md").read_text())
    with psycopg.connect(empty_cluster.address.url("owner_alone", "of-a-test", "postgres"), autocommit=True) as owner:
        owner.execute(f"drop database {name} with (force)".encode())
        owner.execute(statement.encode())
        assert owner.execute("select from pg_roles where rolname = any (%s)", [list(ROLES)]).fetchall() == []
