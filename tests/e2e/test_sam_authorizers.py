"""The API that CloudFormation makes of each build: every route but health wants a signature or a token."""

import pytest

from local.settings import ROOT
from local.template import load_template
from tests.e2e.sam_bundle import sam_python
from tests.e2e.sam_package import transform
from tests.support.bundle import Json
from tests.support.cloudformation import Stack
from tests.support.deployed_template import built_template, packaged
from tests.support.servers.binaries import skip_without

ROUTES = load_template(ROOT / "template.yaml").routes
BUILDS = [(auth, snapstart) for auth in ("iam", "jwt") for snapstart in ("off", "on")]
GIVEN = {
    "iam": {"TenantFrom": "iam:role"},
    "jwt": {
        "TenantFrom": "claim:tenant",
        "JwtIssuer": "https://id.example.com/",
        "JwtAudience": "robot-brain, https://api.example.com/",
    },
}
SCHEMES: dict[str, dict[str, Json]] = {
    "iam": {
        "AWS_IAM": {
            "type": "apiKey",
            "name": "Authorization",
            "in": "header",
            "x-amazon-apigateway-authtype": "awsSigv4",
        }
    },
    "jwt": {
        "Jwt": {
            "type": "oauth2",
            "x-amazon-apigateway-authorizer": {
                "type": "jwt",
                "identitySource": "$request.header.Authorization",
                "jwtConfiguration": {
                    "issuer": "https://id.example.com/",
                    "audience": ["robot-brain", "https://api.example.com/"],
                },
            },
        }
    },
}


def bodies(builds: list[tuple[str, str]], parameters: list[dict[str, str]]) -> list[Json]:
    """Return the properties of the API of each build, resolved for its parameters."""
    sources = [packaged(built_template(snapstart=snapstart, auth=auth)) for auth, snapstart in builds]
    made = []
    for template, given in zip(transform(zip(sources, parameters, strict=True)), parameters, strict=True):
        api = template["Resources"]["RobotBrainApi"]
        assert api["Type"] == "AWS::ApiGatewayV2::Api"
        made.append(Stack(template, given).resolve(api["Properties"], "RobotBrainApi"))
    return made


@pytest.fixture(scope="module")
def apis() -> dict[tuple[str, str], Json]:
    """Return the properties of the API of each build."""
    skip_without(sam_python)
    return dict(zip(BUILDS, bodies(BUILDS, [GIVEN[auth] for auth, _ in BUILDS]), strict=True))


@pytest.mark.parametrize("build", BUILDS, ids="-".join)
def test_every_route_has_the_authorizer_of_its_build_except_health_which_has_no_authorizer(
    apis: dict[tuple[str, str], Json], build: tuple[str, str]
) -> None:
    [authorizer] = SCHEMES[build[0]]
    security = {
        (method.upper(), path): operation["security"]
        for path, operations in apis[build]["Body"]["paths"].items()
        for method, operation in operations.items()
    }
    assert security == {
        # SAM writes NONE for a route without an authorizer. No scheme has this name.
        (route.method, route.path): [{"NONE" if route.path == "/health" else authorizer: []}]
        for route in ROUTES
    }
    assert {method for method, path in security if path == "/health"} == {"GET", "HEAD"}


@pytest.mark.parametrize("build", BUILDS, ids="-".join)
def test_the_api_has_one_authorizer_and_its_deployment_fails_if_the_gateway_cannot_make_it(
    apis: dict[tuple[str, str], Json], build: tuple[str, str]
) -> None:
    assert apis[build]["Body"]["components"]["securitySchemes"] == SCHEMES[build[0]]
    assert apis[build]["FailOnWarnings"] is True


def test_the_gateway_gets_the_origins_as_a_list_beside_methods_and_headers() -> None:
    skip_without(sam_python)
    origins = {
        "": ["https://none.invalid"],
        "none": ["https://none.invalid"],
        "https://app.example.com": ["https://app.example.com"],
        "https://a.example.com,http://localhost:5173": ["https://a.example.com", "http://localhost:5173"],
    }
    parameters = [{"CorsOrigin": given} if given else {} for given in origins]
    configured = [body["Body"]["x-amazon-apigateway-cors"] for body in bodies([("iam", "off")] * 4, parameters)]
    assert [each["allowOrigins"] for each in configured] == list(origins.values())
    for each in configured:
        assert set(each) == {"allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge"}
        assert {"authorization", "idempotency-key"} <= set(each["allowHeaders"])


@pytest.mark.parametrize("build", BUILDS, ids="-".join)
def test_the_functions_get_events_of_the_form_that_has_claims_and_callers(
    apis: dict[tuple[str, str], Json], build: tuple[str, str]
) -> None:
    for operations in apis[build]["Body"]["paths"].values():
        for operation in operations.values():
            assert operation["x-amazon-apigateway-integration"]["payloadFormatVersion"] == "2.0"
