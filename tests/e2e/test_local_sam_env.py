"""The file that `make run` writes for SAM's containers, and the gate to its database that the file names."""

import json
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from local.sam_env import NAME, gateway
from tests.e2e.local_stack import TURN, call, open_folder, running
from tests.support.servers.databases import Database
from tests.support.waiting import wait_until


def variables(state: Path) -> dict[str, str]:
    """Return the variables that the file gives to every function."""
    content = json.loads((state / NAME).read_text())
    assert set(content) == {"Parameters"}
    given: dict[str, str] = content["Parameters"]
    return given


def parameters_of(state: Path) -> dict[str, str]:
    """Return the parameters of the file's URL, with the address to which `localhost` leads in a container."""
    parameters = {name: str(value) for name, value in conninfo_to_dict(variables(state)["DATABASE_URL"]).items()}
    assert parameters["host"] == "localhost"
    return {**parameters, "hostaddr": str(gateway().ip)}


def connect(state: Path, **changed: str) -> "psycopg.Connection[tuple[object, ...]]":
    """Connect to the gate as a container does, but for the changed parameters."""
    return psycopg.connect(make_conninfo(**{**parameters_of(state), **changed}))


def test_the_file_gives_the_functions_login_to_containers_and_its_owner_alone_may_read_it(folder: Path) -> None:
    with running(folder):
        for name in (NAME, "sam-login.json"):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        with connect(folder) as connection:
            assert connection.execute("select session_user, current_database()").fetchone() == (
                "robot_brain_app_a",
                "robot_brain",
            )
        # SAM would pass no variable that the template does not declare.
        assert set(variables(folder)) == {"AUTH", "DATABASE_URL"}
        assert variables(folder)["AUTH"] == "none"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"password": "guess"}, "the password is wrong"),
        ({"user": "postgres"}, "only the login of the functions"),
        ({"user": "robot_brain_migrator"}, "only the login of the functions"),
        ({"user": "robot_brain_app_b"}, "only the login of the functions"),
        ({"dbname": "postgres"}, "only the login of the functions"),
    ],
    ids=str,
)
def test_the_gate_refuses_a_wrong_password_and_every_other_login_and_database(
    gate_folder: Path, changed: dict[str, str], reason: str
) -> None:
    with pytest.raises(psycopg.OperationalError, match=reason):
        connect(gate_folder, **changed)


@pytest.mark.parametrize(
    "names",
    [
        b"user\0robot_brain_app_a\0user\0postgres\0database\0robot_brain\0\0",
        b"user\0postgres\0user\0robot_brain_app_a\0database\0robot_brain\0\0",
        b"user\0robot_brain_app_a\0database\0robot_brain\0database\0postgres\0\0",
        b"user\0robot_brain_app_a\0\0",
        b"",
    ],
)
def test_the_gate_refuses_a_first_message_that_does_not_name_login_and_database_once(
    gate_folder: Path, names: bytes
) -> None:
    """PostgreSQL takes the last of two names, so that the gate must not compare the first one."""
    length = len(names) + 8
    assert first_answer(gate_folder, length.to_bytes(4, "big") + (3 << 16).to_bytes(4, "big") + names)[:1] == b"E"


@pytest.mark.parametrize("message", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\0\0\x03\0\0", b"\xff" * 8])
def test_the_gate_closes_a_connection_that_does_not_begin_as_postgresql_does(gate_folder: Path, message: bytes) -> None:
    assert first_answer(gate_folder, message) == b""


def first_answer(state: Path, message: bytes) -> bytes:
    """Return what the gate answers to a message. It is empty if the gate closes the connection."""
    parameters = parameters_of(state)
    with socket.create_connection((parameters["hostaddr"], int(parameters["port"]))) as client:
        client.sendall(message)
        try:
            return client.recv(1000)
        except ConnectionResetError:
            return b""


@pytest.fixture(scope="module")
def gate_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the state folder of a running stack."""
    with open_folder() as folder, running(folder / "state") as stack:
        yield stack.state


def test_make_run_says_on_which_address_of_dockers_bridge_it_listens(folder: Path) -> None:
    with running(folder) as stack:
        parameters = parameters_of(folder)
        printed = stack.output.read_text()
    line = f"For sam local, listening on {parameters['hostaddr']} port {parameters['port']} too (Docker's bridge)."
    # Without Docker it listens on this machine's own address only, which needs no words.
    assert (line in printed) == (parameters["hostaddr"] != "127.0.0.1")
    assert printed.count(NAME) == printed.count(line)


def test_the_file_is_gone_after_the_end_and_the_next_run_has_the_same_port_and_password(folder: Path) -> None:
    with running(folder):
        before = variables(folder)
        parameters = parameters_of(folder)
    assert not (folder / NAME).exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((parameters["hostaddr"], int(parameters["port"])))
    with running(folder):
        assert variables(folder) == before


def test_a_run_takes_another_port_if_a_program_has_taken_the_one_of_the_run_before(folder: Path) -> None:
    with running(folder):
        parameters = parameters_of(folder)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((parameters["hostaddr"], int(parameters["port"])))
        taken.listen()
        with running(folder):
            assert parameters_of(folder)["port"] != parameters["port"]
            connect(folder).close()


def test_the_file_that_a_killed_run_left_names_nothing_and_the_next_run_writes_it_again(folder: Path) -> None:
    with running(folder) as stack:
        parameters = parameters_of(folder)
        stack.process.kill()
        stack.process.wait()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((parameters["hostaddr"], int(parameters["port"])))
    with running(folder):
        connect(folder).close()


def test_a_login_through_the_gate_wakes_a_database_that_sleeps(folder: Path) -> None:
    with running(folder, SCALE_TO_ZERO="1") as stack:
        call(f"{stack.url}/sessions/demo/messages", TURN)
        output = stack.output.read_text
        wait_until(lambda: output().count("is asleep") > output().count("The database wakes"), output)
        woken = output().count("is awake after")
        with pytest.raises(psycopg.OperationalError, match="the password is wrong"):
            connect(folder, password="guess")
        # A wrong password does not wake it.
        assert output().count("The database wakes") == woken
        with connect(folder) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        wait_until(lambda: output().count("is awake after") == woken + 1, output)


def test_the_file_has_the_database_of_your_own_as_it_is(folder: Path, database: Database) -> None:
    with running(folder, DATABASE_URL=database.app_url, TENANT_ID="acme", POWERTOOLS_SERVICE_NAME="mine"):
        assert variables(folder) == {"AUTH": "none", "DATABASE_URL": database.app_url, "TENANT_ID": "acme"}
        assert not (folder / "sam-login.json").exists()


def test_the_file_says_that_functions_want_tokens_if_make_run_does(folder: Path) -> None:
    with running(folder, AUTH="jwt"):
        assert variables(folder)["AUTH"] == "jwt"
