"""The compute's state from Neon's API, and every way in which the API can fail to answer."""

import json
import time
from pathlib import Path

import pytest
import trustme

from robot_brain.deadline import Deadline
from robot_brain.services.neon import compute_state
from robot_brain.settings import Settings
from tests.support.aws import moto_server, secrets_manager
from tests.support.log_lines import logged
from tests.support.neon.api import NeonApi
from tests.support.servers.failing import refuses_connections
from tests.support.servers.stubborn import answers, stubborn
from tests.unit.https_requests import ENOUGH

DATABASE = {"DATABASE_URL": "postgresql:///none"}


def state_and_reasons(environment: dict[str, str], seconds: float = ENOUGH) -> tuple[str | None, list[str]]:
    """Return the result of compute_state, and the reasons in the warnings that it logged."""
    with logged() as lines:
        state = compute_state(Settings.parse({**DATABASE, **environment}), Deadline(seconds))
        warnings = [line for line in lines() if line["level"] == "WARNING"]
    assert "napi_" not in json.dumps(warnings)
    return state, [line["reason"] for line in warnings]


@pytest.mark.parametrize("state", ["active", "idle"])
def test_the_state_of_the_compute_is_returned(state: str) -> None:
    with NeonApi(lambda: state) as api:
        assert state_and_reasons(api.environment) == (state, [])
        assert api.calls == 1


@pytest.mark.parametrize("state", ["init", "", "suspended"])
def test_a_state_that_is_neither_active_nor_idle_is_unknown(state: str) -> None:
    with NeonApi(lambda: state) as api:
        found, [reason] = state_and_reasons(api.environment)
    assert found is None
    assert "state" in reason


def test_without_neons_settings_the_api_is_not_called(api: NeonApi) -> None:
    assert state_and_reasons({"NEON_API_URL": api.url}) == (None, [])
    assert api.calls == 0


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "NEON_API_KEY"), (403, "NEON_API_KEY"), (404, "NEON_ENDPOINT_ID"), (423, "423"), (429, "429"), (503, "503")],
)
def test_after_an_error_status_the_state_is_unknown_and_the_log_gives_advice(
    api: NeonApi, status: int, advice: str
) -> None:
    api.fail(status)
    state, [reason] = state_and_reasons(api.environment)
    assert state is None
    assert advice in reason
    assert api.calls == 1


def test_with_a_wrong_key_or_endpoint_the_state_is_unknown(api: NeonApi) -> None:
    assert state_and_reasons({**api.environment, "NEON_API_KEY": "napi_other"})[0] is None
    assert state_and_reasons({**api.environment, "NEON_ENDPOINT_ID": "ep-other"})[0] is None
    assert state_and_reasons(api.environment) == ("idle", [])


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_the_key_is_not_sent_to_the_target_of_a_redirect(api: NeonApi, status: int) -> None:
    with NeonApi(lambda: "idle") as other:
        api.fail(status, f"{other.url}/projects/{other.project_id}/endpoints/{other.endpoint_id}")
        assert state_and_reasons(api.environment)[0] is None
        assert (api.calls, other.calls) == (1, 0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{half",
        b"[]",
        b"null",
        b'"idle"',
        b"{}",
        b'{"endpoint": null}',
        b'{"endpoint": {"current_state": ["idle"]}}',
        b'{"endpoint": {"current_state": {}}}',
        b"\xff\xfe\xfd",
        b"[" * 60_000,
        b'{"endpoint": {"current_state": "idle", "more": "' + b"x" * 70_000 + b'"}}',
    ],
)
def test_after_an_unreadable_answer_the_state_is_unknown(api: NeonApi, body: bytes) -> None:
    api.answer(body)
    state, reasons = state_and_reasons(api.environment)
    assert (state, len(reasons)) == (None, 1)
    api.mend()
    assert state_and_reasons(api.environment) == ("idle", [])


def test_an_api_that_never_answers_is_given_up_at_the_deadline(api: NeonApi) -> None:
    api.hang()
    started = time.monotonic()
    state, [reason] = state_and_reasons(api.environment, seconds=0.3)
    assert state is None
    assert "127.0.0.1:" in reason
    assert time.monotonic() - started < ENOUGH


def test_an_api_that_drips_its_answer_is_given_up_at_the_deadline(api: NeonApi) -> None:
    with stubborn(answers(b"HTTP/1.1 200 ", b"O" * 50, b"\r\n\r\n{}")) as server:
        url = f"http://127.0.0.1:{server.port}"
        state, [reason] = state_and_reasons({**api.environment, "NEON_API_URL": url}, seconds=0.5)
        assert (state, "TimeoutError" in reason) == (None, True)
        server.assert_left()


def test_the_log_says_that_a_port_out_of_range_is_a_mistake_in_the_url(api: NeonApi) -> None:
    state, [reason] = state_and_reasons({**api.environment, "NEON_API_URL": "http://127.0.0.1:99999"})
    assert state is None
    assert "URL" in reason


def test_if_the_api_is_away_the_state_is_unknown_and_the_log_names_its_address(api: NeonApi) -> None:
    with refuses_connections() as port:
        url = f"http://127.0.0.1:{port}"
        state, [reason] = state_and_reasons({**api.environment, "NEON_API_URL": url})
    assert state is None
    assert "ConnectionRefusedError" in reason
    assert url.removeprefix("http://") in reason


def test_the_log_names_an_api_host_that_has_no_address(api: NeonApi) -> None:
    _, [reason] = state_and_reasons({**api.environment, "NEON_API_URL": "https://console.invalid/api/v2"})
    assert "console.invalid" in reason
    assert "/api" not in reason


def test_after_the_deadline_the_api_is_not_called(api: NeonApi) -> None:
    assert state_and_reasons(api.environment, seconds=-1)[0] is None
    assert api.calls == 0


def test_the_certificate_of_the_api_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    root, chain, key = (tmp_path / name for name in ("root.pem", "chain.pem", "key.pem"))
    authority.cert_pem.write_to_path(str(root))
    issued = authority.issue_cert("127.0.0.1")
    chain.write_bytes(b"".join(each.bytes() for each in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    with NeonApi(lambda: "idle", certificate=(str(chain), str(key))) as api:
        assert api.url.startswith("https://")
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        state, [reason] = state_and_reasons(api.environment)
        assert state is None
        assert "SSLCertVerificationError" in reason
        assert api.calls == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(root))
        assert state_and_reasons(api.environment) == ("idle", [])


def test_the_key_of_the_api_may_be_in_the_databases_secret(api: NeonApi, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    given = {name: value for name, value in api.environment.items() if name != "NEON_API_KEY"}
    with moto_server() as url:
        secrets = secrets_manager(url)
        for text, expected in (
            ({"DATABASE_URL": "postgresql:///none", "NEON_API_KEY": "napi_local"}, "idle"),
            ({"DATABASE_URL": "postgresql:///none"}, None),
        ):
            arn = secrets.create_secret(Name=f"robot-brain/{expected}", SecretString=json.dumps(text))["ARN"]
            environment = {"DATABASE_URL": "", "DATABASE_SECRET_ARN": arn, "AWS_ENDPOINT_URL": url, **given}
            state, reasons = state_and_reasons(environment)
            assert state == expected
            assert ["NEON_API_KEY" in reason for reason in reasons] == ([] if expected else [True])
        secrets.close()
