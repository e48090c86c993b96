"""The local stack's reader of the HTTP API in template.yaml: authorizers, open routes and CORS."""

from pathlib import Path

import pytest

from local.cloudformation import TemplateError
from local.http_api import CorsConfiguration, JwtConfiguration
from local.settings import ROOT
from local.template import load_template
from ops.build import template_for

JWT_API = """
Parameters:
  Issuer: {Type: String}
  Audience: {Type: CommaDelimitedList}
  Origins: {Type: CommaDelimitedList, Default: none}
Conditions:
  GivenOrigins: !Not [!Equals [!Join [",", !Ref Origins], none]]
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Jwt
        Authorizers: {Jwt: {JwtConfiguration: {issuer: !Ref Issuer, audience: !Ref Audience}}}
      CorsConfiguration:
        AllowOrigins: !If [GivenOrigins, !Ref Origins, [!Select [0, [https://none.invalid]]]]
        AllowMethods: [GET, POST]
        MaxAge: 60
  Function:
    Type: AWS::Serverless::Function
    Properties:
      Handler: a.handler
      CodeUri: code/
      Events:
        Closed: {Type: HttpApi, Properties: {Path: /closed, Method: GET}}
        Open: {Type: HttpApi, Properties: {Path: /open, Method: GET, Auth: {Authorizer: NONE}}}
"""
JWT_PARAMETERS = {"Issuer": "https://id.example.com/", "Audience": "a, b"}


def write(folder: Path, text: str) -> Path:
    """Write template.yaml with this text into `folder`, and return its path."""
    path = folder / "template.yaml"
    path.write_text(text)
    return path


def test_the_authorizer_of_each_route_and_the_cors_of_the_api_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, JWT_API)
    template = load_template(path, JWT_PARAMETERS)
    assert template.api.authorizers == {"Jwt": JwtConfiguration("https://id.example.com/", ("a", "b"))}
    assert {route.path: route.authorizer for route in template.routes} == {"/closed": "Jwt", "/open": None}
    assert template.api.cors == CorsConfiguration(("https://none.invalid",), ("GET", "POST"), max_age=60)
    api = load_template(path, {**JWT_PARAMETERS, "Origins": "https://a.example,https://b.example"}).api
    assert api.cors is not None
    assert api.cors.origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{Authorizer: NONE}", "{Authorizer: NONE, AuthorizationScopes: [a]}", "AuthorizationScopes"),
        ("MaxAge: 60", "AllowCredentials: true", "AllowCredentials"),
        ("Jwt: {Jwt", "Jwt: {IdentitySource: $request.querystring.token, Jwt", "IdentitySource"),
        ("Jwt: {Jwt", "Jwt: {AuthorizationScopes: [a], Jwt", "AuthorizationScopes"),
        ("Jwt: {JwtConfiguration:", "Jwt: {FunctionArn:", "needs JwtConfiguration"),
        ("issuer: !Ref Issuer, ", "", "must have an issuer and an audience"),
        ("audience: !Ref Audience", "audience: []", "must have an issuer and an audience"),
        ("!Select [0,", "!Select [1,", "beyond the end"),
        ("  Function:", "  Other: {Type: AWS::Serverless::HttpApi}\n  Function:", "one AWS::Serverless::HttpApi"),
    ],
)
def test_an_access_rule_that_the_local_stack_does_not_check_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert JWT_API.count(old) == 1
    with pytest.raises(TemplateError, match=message):
        load_template(write(tmp_path, JWT_API.replace(old, new)), JWT_PARAMETERS)


def test_with_auth_jwt_only_health_is_open_and_every_other_route_has_the_authorizer() -> None:
    parameters = {"JwtIssuer": "http://127.0.0.1:3001", "JwtAudience": "robot-brain"}
    template = load_template(
        ROOT / "template.yaml", parameters, lambda text: template_for(text, "x86_64", "off", "jwt")
    )
    assert template.api.authorizers == {"Jwt": JwtConfiguration("http://127.0.0.1:3001", ("robot-brain",))}
    assert {route.path for route in template.routes if route.authorizer is None} == {"/health"}
    assert {route.authorizer for route in template.routes} == {None, "Jwt"}
