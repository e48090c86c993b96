"""`make app-password RETIRE=` refuses what would cost requests, and each refusal says what to do about this role."""

from collections.abc import Iterator

import psycopg
import pytest

from ops.app_password import rotate
from ops.app_url import app_url
from ops.errors import MigrationError
from tests.integration.logins_state import FIRST, SECOND, can_log_in, logins_put_back, only, retired, run
from tests.support.marks import over_tls
from tests.support.servers.databases import Database, Template

OLDEST = "robot_brain_app"


@pytest.fixture(autouse=True)
def logins(tls_template: Template) -> Iterator[None]:
    """Leave the logins as other tests expect them."""
    with logins_put_back(tls_template):
        yield


@over_tls
@pytest.mark.parametrize("which", ["old", FIRST])
def test_the_old_login_is_not_retired_before_the_new_one_has_a_connection(database: Database, which: str) -> None:
    _, _, url = rotate(database.direct_url)
    with pytest.raises(MigrationError) as caught:
        retired(database, which, force=False)
    said = str(caught.value)
    assert f"No connection of {SECOND} is open" in said
    assert "/health/database" in said
    assert "FORCE=1" in said
    assert can_log_in(database) == [FIRST, SECOND]

    with psycopg.connect(url):
        retired(database, which, force=False)
    assert can_log_in(database) == [SECOND]


@over_tls
def test_a_lost_login_is_retired_although_the_old_one_has_no_open_connection(database: Database) -> None:
    rotate(database.direct_url)
    retired(database, "new", force=False)
    assert can_log_in(database) == [FIRST]


def refusal(database: Database, url: str, which: str) -> str:
    with psycopg.connect(url, autocommit=True) as used:
        used.execute("select 1")
        with pytest.raises(MigrationError) as caught:
            retired(database, which, force=False)
    return str(caught.value)


@over_tls
def test_an_old_login_in_use_is_refused_with_a_way_for_the_parameter_and_one_for_the_secret(
    database: Database,
) -> None:
    rotate(database.direct_url)
    said = refusal(database, database.app_url, "old")
    assert "may still have the old URL" in said
    assert "With DatabaseUrl, wait" in said
    assert "With a secret, FORCE=1 costs no request" in said


@over_tls
def test_a_new_login_in_use_is_refused_because_it_is_not_lost(database: Database) -> None:
    _, _, url = rotate(database.direct_url)
    said = refusal(database, url, "new")
    assert f"{SECOND} has the newest password, and a function uses it" in said
    assert f"end {FIRST} instead: make app-password RETIRE=old" in said
    assert "old URL" not in said


@over_tls
def test_the_role_of_earlier_versions_in_use_is_refused_with_a_warning_about_force(database: Database) -> None:
    only(database, OLDEST)
    rotate(database.direct_url)
    said = refusal(database, app_url(database.direct_url, OLDEST, "of-a-test"), "old")
    assert "Never add FORCE=1 while requests run" in said
    assert "deploy again" in said
    assert "costs no request" not in said


@over_tls
@pytest.mark.parametrize("which", ["old", "new", SECOND])
def test_without_a_second_login_nothing_is_retired_and_the_command_says_so(database: Database, which: str) -> None:
    assert retired(database, which) == [f"Only {FIRST} can log in. Nothing to retire."]
    assert can_log_in(database) == [FIRST]


@over_tls
def test_without_any_login_the_command_says_to_make_a_password(database: Database) -> None:
    only(database)
    assert retired(database) == ["No role of the functions can log in. Run: make app-password"]


@over_tls
def test_a_role_without_rights_over_the_logins_prints_an_error_alone(database: Database) -> None:
    with database.admin() as admin:
        admin.execute("create role stranger login password 'of-a-test'")
    try:
        direct = database.direct_url
        user, _, place = direct.partition("://")[2].partition("@")
        assert user
        done = run(database, "--retire", "old", DIRECT_DATABASE_URL=f"postgresql://stranger:of-a-test@{place}")
    finally:
        with database.admin() as admin:
            admin.execute("drop role stranger")
    assert done.returncode == 1
    assert "run it as the role that ran `make migrate`" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@over_tls
@pytest.mark.parametrize("arguments", [(), ("--retire", "old")], ids=["password", "retire"])
def test_a_database_without_the_schema_is_refused_although_its_cluster_has_the_roles(
    database: Database, arguments: tuple[str, ...]
) -> None:
    other = database.direct_url.replace(f"/{database.name}", "/postgres")
    done = run(database, *arguments, DIRECT_DATABASE_URL=other)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Run `make migrate` first" in done.stderr
    assert "another database" in done.stderr
    assert can_log_in(database) == [FIRST]
