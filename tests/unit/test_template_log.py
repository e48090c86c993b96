"""The gateway's access log in template.yaml: each line is JSON without a query, whatever a caller sends."""

import json
import re

import pytest

from tests.support.deployed_template import TEMPLATE, TEMPLATES

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


# What a client writes into a request, and what may name a person: an e-mail in a query, a user in a path, a claim.
OF_THE_CLIENT = ("path", "querystring", "rawQuery", "routeArn", "authorizer", "header", "userAgent", "sub", "claims")


def test_a_line_of_the_access_log_has_no_query_no_path_and_no_claim() -> None:
    line = TEMPLATE["Resources"]["RobotBrainApi"]["Properties"]["AccessLogSettings"]["Format"]
    used = re.findall(r"\$(\w+)(?:\.([A-Za-z.]+))?", line)
    # Only `$context` has values. `routeKey` is the route of the template, whose path holds {user_id} and no user.
    assert {first for first, _ in used} == {"context"}
    assert [name for _, name in used if any(part.lower() in name.lower() for part in OF_THE_CLIENT)] == []
    assert set(TOKENS) == {name for _, name in used}


@pytest.mark.parametrize("auth", TEMPLATES)
def test_no_other_log_of_the_gateway_could_have_a_query(auth: str) -> None:
    api = TEMPLATES[auth]["Resources"]["RobotBrainApi"]["Properties"]
    # An HTTP API logs nothing but its access log. Its routes' settings have these names and no log level.
    settings = [api["DefaultRouteSettings"], *api["RouteSettings"].values()]
    assert {name for each in settings for name in each} == {"ThrottlingRateLimit", "ThrottlingBurstLimit"}
    assert api["AccessLogSettings"] == TEMPLATE["Resources"]["RobotBrainApi"]["Properties"]["AccessLogSettings"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_line_of_the_access_log_is_json_whatever_text_an_error_has(hostile: str) -> None:
    line = TEMPLATE["Resources"]["RobotBrainApi"]["Properties"]["AccessLogSettings"]["Format"]
    variable = re.compile(r"\$context\.([A-Za-z.]+)")
    used = variable.findall(line)

    written = json.loads(variable.sub(lambda found: TOKENS.get(found[1], hostile), line))
    assert list(written.values()) == [TOKENS[name] for name in used]

    # API Gateway writes a hyphen for a variable without a value.
    assert set(json.loads(variable.sub("-", line)).values()) == {"-"}
