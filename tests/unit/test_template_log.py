"""The gateway's access log in template.yaml: each line is JSON, whatever a caller sends."""

import json
import re

import pytest

from tests.support.deployed_template import TEMPLATE

# API Gateway makes these values itself, without a quote or a backslash. Every other variable may hold any text.
TOKENS = {
    "error.responseType": "INTEGRATION_FAILURE",
    "identity.sourceIp": "2001:db8::7",
    "identity.userArn": "arn:aws:sts::123456789012:assumed-role/Admin+=,.@-_/a=b,c@d-e_f",
    "integration.requestId": "33ebbf12-898f-4462-92ce-74054cfd9239",
    "integrationLatency": "12",
    "integrationStatus": "200",
    "requestId": "JKJaXmPLvHcESHA=",
    "requestTime": "22/Nov/2026:12:00:00 +0000",
    "responseLatency": "14",
    "responseLength": "131",
    "routeKey": "POST /sessions/{session_id}/messages",
    "status": "500",
}
# The gateway's own errors have quotes, such as: … Lambda body contains the wrong type for field "headers"
HOSTILE = ('a "quoted" word', "a \\ backslash", "two\nlines", '","status":"200', '"a quoted text"')


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_line_of_the_access_log_is_json_whatever_text_an_error_has(hostile: str) -> None:
    line = TEMPLATE["Resources"]["RobotBrainApi"]["Properties"]["AccessLogSettings"]["Format"]
    variable = re.compile(r"\$context\.([A-Za-z.]+)")
    used = variable.findall(line)

    written = json.loads(variable.sub(lambda found: TOKENS.get(found[1], hostile), line))
    assert list(written.values()) == [TOKENS[name] for name in used]

    # API Gateway writes a hyphen for a variable without a value.
    assert set(json.loads(variable.sub("-", line)).values()) == {"-"}
