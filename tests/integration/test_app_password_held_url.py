"""`make app-password SECRET=` keeps the pooler that the secret names, and spares a secret of another program."""

import json
import uuid
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from ops.errors import MigrationError
from ops.held_url import is_ours, with_login
from ops.put_secret import put_secret, read_secret
from ops.retire import retire
from tests.integration.logins_state import FIRST, SECOND, aws, can_log_in, logins_put_back, retired, run, who
from tests.support.aws import secrets_manager
from tests.support.marks import over_tls
from tests.support.servers.databases import Database, Template
from tests.support.servers.pgbouncer import PgBouncer

# Makes a secret with a text, and returns its ARN and a function that reads its text.
Keep = Callable[[str], tuple[str, Callable[[], str]]]


@pytest.fixture(autouse=True)
def logins(tls_template: Template) -> Iterator[None]:
    """Leave the logins as other tests expect them."""
    with logins_put_back(tls_template):
        yield


@pytest.fixture
def keep(moto: str) -> Keep:
    """A function that makes a secret."""
    client = secrets_manager(moto)

    def make(text: str) -> tuple[str, Callable[[], str]]:
        arn = client.create_secret(Name=f"robot-brain/{uuid.uuid4()}", SecretString=text)["ARN"]
        return arn, lambda: str(client.get_secret_value(SecretId=arn)["SecretString"])

    return make


@over_tls
def test_the_secret_keeps_its_pooler_and_its_parameters_and_gets_another_user_and_password(
    database: Database, pooler: PgBouncer, tls_template: Template, moto: str, keep: Keep
) -> None:
    held = tls_template.app_url(database.name, pooler.address) + "&application_name=mine&connect_timeout=7"
    arn, read = keep(json.dumps({"DATABASE_URL": held, "NEON_API_KEY": "napi_1"}))

    done = run(database, "--secret", arn, **aws(moto))

    assert done.returncode == 0, done.stderr
    before, after = urlsplit(held), urlsplit(json.loads(read())["DATABASE_URL"])
    assert (after.hostname, after.port, after.path, after.query) == (
        before.hostname,
        before.port,
        before.path,
        before.query,
    )
    assert who(after.geturl()) == (SECOND, True)
    assert "not tried" not in done.stderr


@over_tls
def test_a_url_in_the_secret_that_this_machine_cannot_reach_is_kept_and_said_to_be_untried(
    database: Database, moto: str, keep: Keep
) -> None:
    arn, read = keep(f"postgresql://{FIRST}:old@pooler.invalid:6432/{database.name}?sslmode=verify-full")
    done = run(database, "--secret", arn, **aws(moto))
    assert done.returncode == 0, done.stderr
    after = urlsplit(read())
    assert (after.username, after.hostname, after.port) == (SECOND, "pooler.invalid", 6432)
    assert parse_qs(after.query) == {"sslmode": ["verify-full"]}
    assert "pooler.invalid could not be reached from here, so the secret's own URL was not tried" in done.stderr
    # The same password works at the server itself.
    direct = urlsplit(database.app_url)
    assert who(direct._replace(netloc=f"{SECOND}:{after.password}@{direct.netloc.rpartition('@')[2]}").geturl())


@over_tls
def test_a_pooler_that_refuses_the_new_login_leaves_the_secret_as_it_was_and_is_named(
    database: Database, pooler: PgBouncer, tls_template: Template, moto: str, keep: Keep
) -> None:
    held = tls_template.app_url(database.name, pooler.address)
    with pooler.console() as console:
        console.execute("disable " + database.name)
        try:
            arn, read = keep(held)
            done = run(database, "--secret", arn, **aws(moto))
        finally:
            console.execute("enable " + database.name)
    assert (done.returncode, done.stdout) == (1, "")
    assert "could not connect with it" in done.stderr
    assert f"A pooler of your own must know {SECOND}" in done.stderr
    assert read() == held
    assert can_log_in(database) == [FIRST]


FOREIGN = {
    "another program's key": "sk-live-hush",
    "another program's members": json.dumps({"password": "hush", "username": "shop"}),
    "a URL of another role": "postgresql://shop:hush@127.0.0.1/{}",
    "a URL of another database": f"postgresql://{FIRST}:hush@127.0.0.1/another",
    "no members": "{{}}",
    "an empty URL": '{{"DATABASE_URL": ""}}',
}


@over_tls
@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_a_secret_without_a_url_of_a_login_for_this_database_is_not_overwritten_without_force(
    database: Database, moto: str, keep: Keep, text: str
) -> None:
    text = text if text.startswith('{"p') else text.format(database.name)
    arn, read = keep(text)

    done = run(database, "--secret", arn, **aws(moto))

    assert (done.returncode, done.stdout) == (1, "")
    assert "holds no URL of a login of Robot Brain" in done.stderr
    assert "FORCE=1" in done.stderr
    assert "hush" not in done.stderr
    assert read() == text
    assert can_log_in(database) == [FIRST]


@over_tls
def test_the_first_url_is_written_with_force_and_other_members_stay(database: Database, moto: str, keep: Keep) -> None:
    arn, read = keep('{"NEON_API_KEY": "napi_1"}')
    done = run(database, "--secret", arn, "--force", **aws(moto))
    assert done.returncode == 0, done.stderr
    members = json.loads(read())
    assert who(members.pop("DATABASE_URL")) == (SECOND, True)
    assert members == {"NEON_API_KEY": "napi_1"}


@over_tls
@pytest.mark.parametrize("which", ["new", SECOND])
def test_a_login_whose_url_is_in_a_secret_is_not_retired_as_lost_without_force(
    database: Database, moto: str, keep: Keep, which: str
) -> None:
    arn, read = keep(database.app_url)
    run(database, "--secret", arn, **aws(moto))

    with pytest.raises(MigrationError, match=r"written into a secret.*\n.*no function could connect"):
        retire(database.direct_url, which, lambda _: None)

    assert who(read()) == (SECOND, True)
    third = run(database, "--secret", arn, **aws(moto)).stderr
    assert "run: make app-password RETIRE=old FORCE=1\n" in third
    assert "was made for a secret, so it is not lost if the secret has it" in third
    assert "RETIRE=new\n" not in third
    retired(database, which)
    assert can_log_in(database) == [FIRST]


@over_tls
def test_a_secret_that_was_changed_meanwhile_is_not_overwritten(
    database: Database, moto: str, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aws(moto).items():
        monkeypatch.setenv(name, value)
    arn, read = keep(json.dumps({"DATABASE_URL": "second"}))
    with pytest.raises(MigrationError, match="changed meanwhile"):
        put_secret(arn, database.app_url, "first")
    put_secret(arn, database.app_url, "second")
    assert read_secret(arn) == database.app_url
    assert json.loads(read()) == {"DATABASE_URL": database.app_url}


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ("postgresql:///db?host=/tmp&user=robot_brain_app_a&port=5", "postgresql://r:p%2F@/db?host=/tmp&port=5"),
        (
            "postgres://robot_brain_app:x%40@h1:1,h2:2/db?options=-c%20a",
            "postgres://r:p%2F@h1:1,h2:2/db?options=-c%20a",
        ),
        ("postgresql://robot_brain_app_b@[::1]:5/db", "postgresql://r:p%2F@[::1]:5/db"),
        ("host=h user=robot_brain_app_b dbname=db password=x", "user=r password=p/ dbname=db host=h"),
    ],
)
def test_another_login_changes_neither_the_place_nor_the_parameters_of_a_url(held: str, wanted: str) -> None:
    assert is_ours(held, "postgresql://owner@elsewhere/db")
    assert with_login(held, "r", "p/") == wanted
