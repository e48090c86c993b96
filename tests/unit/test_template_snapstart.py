"""template.yaml as it is built with SnapStart: the database's URL and Neon's key must be in a secret."""

import re

import pytest

from tests.support.cloudformation import Stack
from tests.support.deployed_template import SECRET_ARN, SNAPSTART_TEMPLATES

SNAPSTART = SNAPSTART_TEMPLATES["iam"]


def test_with_snapstart_a_deployment_needs_a_secret() -> None:
    declared = SNAPSTART["Parameters"]["DatabaseSecretArn"]
    assert "Default" not in declared
    assert re.fullmatch(declared["AllowedPattern"], SECRET_ARN)
    for wrong in ("", "robot-brain", SECRET_ARN + "*"):
        assert not re.fullmatch(declared["AllowedPattern"], wrong)


@pytest.mark.parametrize(
    ("project", "endpoint", "accepted"), [("", "", True), ("p", "e", True), ("p", "", False), ("", "e", False)]
)
def test_with_snapstart_both_ids_of_neon_must_be_given_or_neither(project: str, endpoint: str, accepted: bool) -> None:
    given = {"NeonProjectId": project, "NeonEndpointId": endpoint, "DatabaseSecretArn": SECRET_ARN}
    assert (Stack(SNAPSTART, given).refusals() == []) is accepted
