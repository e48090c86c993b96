"""The variables that say who a caller is: AUTH, TENANT_FROM and ALL_USERS_SCOPE."""

import pytest

from robot_brain.errors import SettingsError
from robot_brain.settings import Settings

URL = {"DATABASE_URL": "postgresql://app:hush-4711@127.0.0.1/db"}
INVALID = [
    *(({**URL, "AUTH": auth}, "AUTH") for auth in ("hush-4711", "IAM", "jwt ")),
    *(
        ({**URL, "AUTH": auth, "TENANT_FROM": source}, "TENANT_FROM")
        for auth, source in (
            ("iam", "claim:tenant"),
            ("none", "claim:tenant"),
            ("jwt", "iam:role"),
            ("jwt", "iam:account"),
            ("none", "iam:account"),
            ("iam", "iam:hush-4711"),
            ("jwt", "claim:"),
            ("jwt", "claim:a b"),
            ("jwt", "hush-4711"),
        )
    ),
    *(
        ({**URL, "ALL_USERS_SCOPE": scope}, "ALL_USERS_SCOPE")
        for scope in ("hush 4711", "[all]", 'a"b', "é", "x" * 129)
    ),
]


@pytest.mark.parametrize(("environment", "name"), INVALID)
def test_an_invalid_setting_of_callers_is_named_without_its_value(environment: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError, match=name) as error:
        Settings.parse(environment)
    assert "hush" not in str(error.value)


def test_sam_local_has_no_authorizer() -> None:
    assert Settings.parse({**URL, "AUTH": "iam", "AWS_SAM_LOCAL": "true"}).auth == "none"
    assert Settings.parse({**URL, "AUTH": "iam", "AWS_SAM_LOCAL": "1"}).auth == "iam"


def test_the_scope_for_all_users_may_be_none() -> None:
    assert Settings.parse({**URL, "AUTH": "jwt", "ALL_USERS_SCOPE": "none"}).all_users_scope == ""
