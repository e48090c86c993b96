"""Failures to connect: each answer shows whether a retry helps, and only the log holds the reason."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from robot_brain.database.connection import lazy_connection
from tests.integration.edge import assert_problem
from tests.support.aws import moto_server, secrets_manager
from tests.support.bundle import Bundle, Reply, deployed, turn
from tests.support.log_lines import logged
from tests.support.marks import every_kind, over_tcp
from tests.support.servers.authority import make_authority
from tests.support.servers.databases import APP, Database, create_database, drop_database
from tests.support.servers.failing import refuses_connections
from tests.support.waiting import wait_until


def opened() -> int:
    """Return how many connections this environment opened."""
    return lazy_connection().opened


def with_other_password(url: str) -> str:
    """Return the URL with a wrong password."""
    parameters = psycopg.conninfo.conninfo_to_dict(url)
    return url.replace(f":{parameters['password']}@", ":MARKED-4711@")


def refused(bundle: Bundle, reply: Reply, lines: list[dict[str, Any]], error: str) -> None:
    """Assert a 503 for which a retry is useless: one attempt, no Retry-After, and the reason only in the log."""
    assert_problem(reply, 503, bundle.context.aws_request_id)
    assert "retry-after" not in reply.headers
    assert (lines[-1]["error"], lines[-1]["attempts"]) == (error, 1)


def wait_until_it_answers(functions: Bundle) -> None:
    """Repeat a read until it is answered. PgBouncer refuses logins for a while after one that failed."""
    wait_until(lambda: functions.read("demo").status == 404)


@over_tcp
def test_a_wrong_password_is_refused(database: Database) -> None:
    url = with_other_password(database.app_url)
    with deployed({"DATABASE_URL": url}) as functions, logged() as lines:
        reply = functions.write("demo", turn())
        refused(functions, reply, lines(), "DatabaseRefusedError")
        assert "authentication failed" in lines()[-1]["database_error"]
        assert lines()[-1]["reason"] == lines()[-1]["database_error"]
        assert "authentication" not in (reply.body or "")
        assert "MARKED-4711" not in str(lines())


@over_tcp
def test_a_server_with_a_certificate_of_another_authority_is_refused(database: Database, tmp_path: Path) -> None:
    url = database.app_url.partition("?")[0] + "?sslmode=verify-full"
    other = make_authority(tmp_path).root_cert
    with deployed({"DATABASE_URL": url, "DB_SSL_ROOT_CERT": str(other)}) as functions, logged() as lines:
        refused(functions, functions.read("demo"), lines(), "DatabaseRefusedError")
        assert "certificate verify failed" in lines()[-1]["database_error"]


@over_tcp
def test_a_server_whose_certificate_has_another_name_is_refused(database: Database) -> None:
    """The layer forces verify-full. hostaddr leads to this server, but its certificate has another name."""
    url = database.app_url.replace("verify-full", "require").replace("@127.0.0.1:", "@database.example:")
    with deployed({"DATABASE_URL": f"{url}&hostaddr=127.0.0.1"}) as functions, logged() as lines:
        refused(functions, functions.read("demo"), lines(), "DatabaseRefusedError")
        assert "does not match host name" in lines()[-1]["database_error"]


@over_tcp
def test_the_server_refuses_a_connection_without_tls(database: Database) -> None:
    url = database.app_url.partition("?")[0] + "?sslmode=disable"
    with deployed({"DATABASE_URL": url}) as functions, logged() as lines:
        reply = functions.read("demo")
        assert_problem(reply, 503, functions.context.aws_request_id)
        assert lines()[-1]["error"].startswith("Database")


@over_tcp
def test_the_ca_bundle_of_the_settings_is_used(database: Database) -> None:
    url, _, query = database.app_url.partition("?")
    root = query.partition("sslrootcert=")[2]
    environment = {"DATABASE_URL": f"{url}?sslmode=verify-full&sslrootcert=system", "DB_SSL_ROOT_CERT": root}
    with deployed(environment) as functions:
        assert functions.database_health().json["tls"] is True


@pytest.mark.parametrize("database", ["tls"], indirect=True)
def test_channel_binding_can_be_required(database: Database) -> None:
    with deployed({"DATABASE_URL": database.app_url, "DB_CHANNEL_BINDING": "require"}) as functions:
        assert functions.database_health().status == 200


@pytest.mark.parametrize("attempts", [1, 3])
def test_an_answer_about_a_server_that_is_away_has_retry_after(tmp_path: Path, attempts: int) -> None:
    with refuses_connections() as port:
        for url in (f"postgresql://u:p@127.0.0.1:{port}/d", f"postgresql://u@/d?host={tmp_path}&port={port}"):
            environment = {"DATABASE_URL": url, "DB_MAX_RETRIES": str(attempts)}
            with deployed(environment) as functions, logged() as lines:
                reply = functions.write("demo", turn())
                assert_problem(reply, 503, functions.context.aws_request_id)
                assert int(reply.headers["retry-after"]) > 0
                assert (lines()[-1]["error"], lines()[-1]["attempts"]) == ("DatabaseAwayError", attempts)
                assert str(port) not in (reply.body or "")


@every_kind
def test_a_server_that_refused_a_login_is_used_once_it_accepts_logins(database: Database) -> None:
    with database.admin() as admin, deployed({"DATABASE_URL": database.app_url}) as functions:
        admin.execute(f"alter role {APP} nologin".encode())
        try:
            assert functions.read("demo").status == 503
        finally:
            admin.execute(f"alter role {APP} login".encode())
        assert functions.read("demo").status in (404, 503)
        wait_until_it_answers(functions)


@every_kind
def test_a_login_without_rights_is_refused_and_the_log_says_so(database: Database) -> None:
    with database.admin() as admin, deployed({"DATABASE_URL": database.app_url}) as functions, logged() as lines:
        admin.execute("revoke usage on schema robot_brain_api from robot_brain_app")
        reply = functions.write("demo", turn())
        refused(functions, reply, lines(), "DatabaseRefusedError")
        assert lines()[-1]["reason"] == "42501 permission denied for schema robot_brain_api"
        admin.execute("grant usage on schema robot_brain_api to robot_brain_app")
        assert functions.write("demo", turn()).status == 201


@every_kind
def test_the_log_about_a_database_without_the_schema_names_a_backup_and_make_migrate(database: Database) -> None:
    name = f"{database.name}_empty"
    with database.postgres.admin() as admin:
        create_database(admin, name)
        try:
            url = database.app_url.replace(database.name, name)
            with deployed({"DATABASE_URL": url}) as functions, logged() as lines:
                for reply in (functions.read("demo"), functions.write("demo", turn())):
                    refused(functions, reply, lines(), "SchemaMissingError")
                    assert reply.json["title"] == "Schema outdated"
                    assert "being upgraded" not in reply.json["detail"]
                    assert "restore a backup" in lines()[-1]["reason"]
                    assert "make migrate" in lines()[-1]["reason"]
                    assert "migrate" not in (reply.body or "")
                assert opened() == 1
        finally:
            drop_database(admin, name)


@every_kind
def test_an_unexpected_error_of_the_database_is_a_500(bundle: Bundle, database: Database) -> None:
    with database.admin() as admin:
        admin.execute("drop table robot_brain.uncounted cascade")
    with logged() as lines:
        reply = bundle.write("demo", turn(user_message="MARKED-4711"))
        assert_problem(reply, 500, bundle.context.aws_request_id)
        (line,) = lines()
    assert (line["error"], line["attempts"]) == ("UnexpectedDatabaseError", 1)
    assert line["database_error"].startswith("42P01 ")
    assert any("call.py" in frame for frame in line["frames"])
    assert "MARKED-4711" not in str(line)


@every_kind
def test_without_time_left_no_connection_is_opened(database: Database) -> None:
    with deployed({"DATABASE_URL": database.app_url}) as functions:
        functions.context.milliseconds = 400
        reply = functions.write("demo", turn())
        assert_problem(reply, 504, functions.context.aws_request_id)
        assert opened() == 0
        functions.context.milliseconds = 10_000
        assert functions.write("demo", turn()).json["message_count"] == 1


@every_kind
def test_settings_that_cannot_be_read_give_a_500_without_the_password(database: Database) -> None:
    with deployed({"DATABASE_URL": "postgresql://u:MARKED-4711@[x/d"}) as functions, logged() as lines:
        reply = functions.read("demo")
        assert_problem(reply, 500, functions.context.aws_request_id)
        assert "DATABASE_URL" in lines()[-1]["reason"]
        assert "MARKED-4711" not in str(lines())


@contextmanager
def secret(text: str) -> Iterator[tuple[dict[str, str], Any, str]]:
    """Store `text` as a secret. Yield the functions' environment for it, a client that can change it, and its ARN."""
    with moto_server() as url:
        client = secrets_manager(url)
        # moto keeps its secrets for the life of the process, not of its server.
        arn = client.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretString=text)["ARN"]
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL_SECRETS_MANAGER": url}
        yield {"DATABASE_SECRET_ARN": arn, "DB_IDLE_TIMEOUT": "1", **keys}, client, arn


@every_kind
def test_a_secret_is_fetched_once_for_two_connections(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", raising=False)
    with secret(database.app_url) as (environment, client, arn), deployed(environment) as functions:
        assert functions.write("demo", turn()).status == 201
        client.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
        time.sleep(0.01)
        assert functions.read("demo").status == 200
        assert opened() == 2


@every_kind
def test_a_missing_secret_gives_a_503_without_retry_after(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", raising=False)
    with (
        secret(database.app_url) as (environment, client, arn),
        deployed(environment) as functions,
        logged() as lines,
    ):
        client.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
        reply = functions.read("demo")
        assert_problem(reply, 503, functions.context.aws_request_id)
        assert "retry-after" not in reply.headers
        assert "ResourceNotFoundException" in lines()[-1]["reason"]
        for private in ("Secret", "AWS", arn):
            assert private not in (reply.body or "")


@over_tcp
def test_a_secret_that_was_rotated_is_fetched_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", raising=False)
    with (
        secret(with_other_password(database.app_url)) as (environment, client, arn),
        deployed(environment) as functions,
    ):
        assert functions.read("demo").status == 503
        client.put_secret_value(SecretId=arn, SecretString=database.app_url)
        wait_until_it_answers(functions)
