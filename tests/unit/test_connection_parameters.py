"""The parameters for libpq: plain text only to this machine, TLS with a verified certificate to every other host."""

from pathlib import Path

import pytest

from ops.direct import parse_direct_url
from ops.errors import MigrationError
from robot_brain.database import connection_string
from robot_brain.database.connection_string import connection_parameters
from robot_brain.errors import SettingsError
from robot_brain.settings import Settings

SETTINGS = Settings.parse({"DATABASE_URL": "-"})
NEON = "postgresql://app:hush-4711@ep-cool-name-123456-pooler.eu-central-1.aws.neon.tech/db"


def with_settings(**variables: str) -> Settings:
    """Return settings with these variables set."""
    return Settings.parse({"DATABASE_URL": "-", **variables})


@pytest.fixture(autouse=True)
def bundle_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give this machine one CA bundle, and return its path."""
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setattr(connection_string, "_CA_BUNDLES", (str(tmp_path / "none.pem"), str(bundle)))
    return bundle


@pytest.mark.parametrize("sslmode", ["", "?sslmode=allow", "?sslmode=prefer", "?sslmode=require", "?sslmode=verify-ca"])
def test_a_host_other_than_this_machine_is_always_verified_in_full(sslmode: str, bundle_file: Path) -> None:
    assert connection_parameters(NEON + sslmode, SETTINGS) == {
        "user": "app",
        "password": "hush-4711",
        "host": "ep-cool-name-123456-pooler.eu-central-1.aws.neon.tech",
        "dbname": "db",
        "sslmode": "verify-full",
        "sslrootcert": str(bundle_file),
        "application_name": "robot-brain",
        "client_encoding": "UTF8",
        "tcp_user_timeout": "5000",
    }


NOT_THIS_MACHINE = [
    "postgresql://u@example.com/db",
    "postgresql://u@127.example.com/db",
    "postgresql://u@127.0.0.1.example.com/db",
    "postgresql://u@localhost.example.com/db",
    "postgresql://u@10.0.0.1/db",
    "postgresql://u@0.0.0.0/db",
    "postgresql://u@[2001:db8::1]/db",
    "postgresql://u@[::]/db",
    "postgresql://u@localhost,example.com/db",
    "postgresql://u@127.0.0.1:5432,203.0.113.5:5432/db",
    "host=localhost hostaddr=203.0.113.5 dbname=db",
    "hostaddr=203.0.113.5 dbname=db",
    "hostaddr=127.0.0.1,203.0.113.5 dbname=db",
    "host=example.com hostaddr=127.0.0.1 dbname=db",
]


@pytest.mark.parametrize("url", NOT_THIS_MACHINE)
def test_a_host_that_only_looks_like_this_machine_is_verified(url: str, bundle_file: Path) -> None:
    parameters = connection_parameters(url, SETTINGS)
    assert (parameters["sslmode"], parameters["sslrootcert"]) == ("verify-full", str(bundle_file))


@pytest.mark.parametrize("url", NOT_THIS_MACHINE)
def test_plain_text_to_another_machine_is_refused(url: str) -> None:
    url += ("&" if "?" in url else "?") + "sslmode=disable" if "://" in url else " sslmode=disable"
    with pytest.raises(SettingsError, match="sslmode=disable"):
        connection_parameters(url, SETTINGS)


THIS_MACHINE = [
    "postgresql://u@localhost/db",
    "postgresql://u@127.0.0.1:5432/db",
    "postgresql://u@127.1.2.3/db",
    "postgresql://u@[::1]/db",
    "postgresql://u@/db?host=/run/postgresql",
    "postgresql://u@%2Frun%2Fpostgresql/db",
    "postgresql://u@localhost,127.0.0.1/db",
    "postgresql:///db",
    "host=localhost hostaddr=127.0.0.1 dbname=db",
    "host=@abstract dbname=db",
]


@pytest.mark.parametrize("url", THIS_MACHINE)
def test_plain_text_to_this_machine_is_allowed(url: str) -> None:
    parameters = connection_parameters(url, SETTINGS)
    assert "sslmode" not in parameters
    assert "sslrootcert" not in parameters
    url += ("&" if "?" in url else "?") + "sslmode=disable" if "://" in url else " sslmode=disable"
    assert connection_parameters(url, SETTINGS)["sslmode"] == "disable"


def test_tls_to_this_machine_is_verified_if_the_url_says_verify_full(bundle_file: Path) -> None:
    parameters = connection_parameters("postgresql://u@127.0.0.1/db?sslmode=verify-full", SETTINGS)
    assert (parameters["sslmode"], parameters["sslrootcert"]) == ("verify-full", str(bundle_file))


@pytest.fixture
def other_bundle(tmp_path: Path) -> str:
    """Return the path of a CA bundle that is not this machine's own."""
    other = tmp_path / "other.pem"
    other.touch()
    return str(other)


@pytest.mark.parametrize("root", ["", "?sslrootcert=system"])
def test_the_ca_bundle_of_the_settings_wins_over_that_of_the_machine(root: str, other_bundle: str) -> None:
    parameters = connection_parameters(NEON + root, with_settings(DB_SSL_ROOT_CERT=other_bundle))
    assert parameters["sslrootcert"] == other_bundle


def test_the_ca_bundle_of_the_url_wins_over_every_other(bundle_file: Path, other_bundle: str) -> None:
    chosen = with_settings(DB_SSL_ROOT_CERT="/none.pem")
    assert connection_parameters(f"{NEON}?sslrootcert={other_bundle}", chosen)["sslrootcert"] == other_bundle
    assert connection_parameters(f"{NEON}?sslrootcert=system", SETTINGS)["sslrootcert"] == str(bundle_file)


@pytest.mark.parametrize("path", ["/none/hush-4711.pem", "/"])
def test_the_error_of_an_unreadable_ca_bundle_names_the_setting_that_chose_it(path: str) -> None:
    with pytest.raises(SettingsError, match="sslrootcert in DATABASE_URL cannot be read") as error:
        connection_parameters(f"{NEON}?sslrootcert={path}", SETTINGS)
    assert path not in str(error.value)
    with pytest.raises(SettingsError, match="DB_SSL_ROOT_CERT cannot be read"):
        connection_parameters(NEON, with_settings(DB_SSL_ROOT_CERT=path))


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("postgresql://u@h:hush4711/d", "port"),
        ("postgresql://u@h:0/d", "port"),
        ("postgresql://u@h:65536/d", "port"),
        ("postgresql://u@h/d?port=-1", "port"),
        ("postgresql://u@h/d?port=%C2%B2", "port"),
        ("postgresql://u@h/d?port=" + "9" * 5000, "port"),
        ("host=a,b port=1,2,3", "as many ports as hosts"),
        ("host=a,b hostaddr=127.0.0.1", "hostaddr"),
        ("service=hush4711", "service"),
    ],
)
def test_an_error_names_the_wrong_part_of_a_url_and_does_not_quote_it(url: str, names: str) -> None:
    with pytest.raises(SettingsError, match=names) as error:
        connection_parameters(url, SETTINGS)
    assert "hush4711" not in str(error.value)


UNESCAPED_PASSWORDS = [
    "postgresql://app:hush@4711@example.com/db",
    "postgresql://app:@hush4711@example.com/db",
    "postgresql://app:hush4711@@example.com/db",
    "postgresql://app:hush4711@@/db",
    "postgres://app:hu@sh@4711@example.com:5432/db?sslmode=require",
    "postgresql://app:hush/4711@example.com/db",
    "postgresql://app:47/hush@example.com/db",
    "postgresql://app:hu@sh/4711@example.com/db",
    "postgresql://app:hush?47@11@example.com/db",
    "postgresql://app:hush#47@11@example.com/db",
    "postgresql://app:hush:47@11@example.com/db",
    "postgresql://app:47@hush4711:11@example.com/db",
    "postgresql://app:47@11:5432@example.com/hush",
    "postgresql://app:hush,47@11@example.com,example.org/db",
    "postgresql://hush4711/47@example.com/db",
]
READABLE_URLS = [
    "postgresql://app:hush%404711%2F@localhost/db",
    "postgresql://app:hush#4711:@localhost/db?application_name=a@b",
    "postgresql://app:hush?4711@localhost/db",
    "postgresql://app@localhost/a%40b",
    "postgresql://localhost/a%40b",
    "postgresql://app@localhost?application_name=a/b@c",
    "postgresql://%40abstract/db",
    "postgresql:///db?host=@abstract",
    "host=localhost password=a://b@c@d user=a@b dbname=a@b",
]


@pytest.mark.parametrize("url", UNESCAPED_PASSWORDS)
def test_a_password_that_would_become_a_host_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(SettingsError, match="%40") as error:
        connection_parameters(url, SETTINGS)
    assert "DATABASE_URL" in str(error.value)
    assert not [part for part in ("hu", "sh", "47", "11", "app", "example") if part in str(error.value)]
    with pytest.raises(MigrationError, match="%40") as refused:
        parse_direct_url(url)
    assert not [part for part in ("hush", "47", "app", "example") if part in str(refused.value)]


@pytest.mark.parametrize("url", READABLE_URLS)
def test_a_sign_that_is_escaped_or_outside_the_password_is_accepted(url: str) -> None:
    assert connection_parameters(url, SETTINGS).get("host", "localhost") in ("localhost", "@abstract")
    assert parse_direct_url(url)


def test_a_host_from_pghost_or_pghostaddr_is_verified(monkeypatch: pytest.MonkeyPatch, bundle_file: Path) -> None:
    monkeypatch.setenv("PGHOST", "db.example.com")
    parameters = connection_parameters("postgresql:///db", SETTINGS)
    assert (parameters["host"], parameters["sslmode"]) == ("db.example.com", "verify-full")
    monkeypatch.setenv("PGHOSTADDR", "203.0.113.5")
    assert connection_parameters("postgresql://localhost/db", SETTINGS)["sslmode"] == "verify-full"


def test_without_a_ca_bundle_only_this_machine_can_be_reached(bundle_file: Path) -> None:
    bundle_file.unlink()
    with pytest.raises(SettingsError, match="DB_SSL_ROOT_CERT"):
        connection_parameters(NEON, SETTINGS)
    assert connection_parameters("postgresql://u@localhost/db", SETTINGS)["host"] == "localhost"


def test_channel_binding_and_direct_negotiation_reach_libpq() -> None:
    chosen = with_settings(DB_CHANNEL_BINDING="require", DB_SSL_NEGOTIATION="direct")
    parameters = connection_parameters(f"{NEON}?channel_binding=prefer", chosen)
    assert (parameters["channel_binding"], parameters["sslnegotiation"]) == ("require", "direct")


def test_the_urls_other_parameters_are_kept_except_connect_timeout() -> None:
    parameters = connection_parameters(f"{NEON}?application_name=shop&keepalives=0&connect_timeout=1", SETTINGS)
    assert (parameters["application_name"], parameters["keepalives"]) == ("shop", "0")
    assert "connect_timeout" not in parameters


@pytest.mark.parametrize(
    "url",
    [
        "hush-4711",
        "postgresql://app:hush-4711@[::1/db",
        "postgresql://app:hush-4711@host/db?hush-4711",
        "postgresql://app:hush-4711%zz@host/db",
        "postgresql://app@host/db?password=hush-4711&nonsense=hush-4711",
        "password='hush-4711",
        "mysql://app:hush-4711@host/db",
    ],
)
def test_the_error_of_an_unreadable_url_does_not_quote_it(url: str) -> None:
    with pytest.raises(SettingsError) as error:
        connection_parameters(url, SETTINGS)
    assert str(error.value) == "DATABASE_URL is not a PostgreSQL connection string"
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__
