"""The whole API: its title, its servers and the credentials that they take."""

from __future__ import annotations

from robot_brain import __version__

INFO = {
    "title": "Robot Brain",
    "version": __version__,
    "summary": "The conversation memory of chat robots",
    "description": "Requests and answers are JSON in UTF-8. Times are `YYYY-MM-DDTHH:MM:SS.ffffffZ`. Later versions "
    "may add members to an answer: ignore those that you do not know. Errors are `application/problem+json`, those of "
    'API Gateway `{"message": …}`. "As stored" is the text of jsonb: a space after each comma and colon, no exponent. '
    "A deployment takes either signatures of AWS credentials (AUTH=iam) or tokens (AUTH=jwt). A caller with a token "
    "that lacks the all-users scope is an end user. For an end user only its own sessions exist: every other session "
    "answers as an unknown one. Only POST and PATCH differ: they answer 404 for the id of another session.",
    "license": {"name": "MIT", "identifier": "MIT"},
}
SERVERS = [
    {
        "url": "https://{api}.execute-api.{region}.amazonaws.com",
        "description": "A deployed stack: its output ApiUrl",
        "variables": {"api": {"default": "abcdefghij"}, "region": {"default": "eu-central-1"}},
    },
    {"url": "http://127.0.0.1:3000", "description": "make run, which needs no credentials unless AUTH=jwt"},
]
# The build chooses one of them, so a client needs one.
SECURITY: list[dict[str, list[str]]] = [{"sigv4": []}, {"jwt": []}]
SECURITY_SCHEMES = {
    "sigv4": {
        "type": "apiKey",
        "name": "Authorization",
        "in": "header",
        "description": "AWS Signature Version 4 for the service execute-api, in a deployment with AUTH=iam",
        "x-amazon-apigateway-authtype": "awsSigv4",
    },
    "jwt": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of the issuer that the deployment names, signed with RSA, in a deployment with "
        "AUTH=jwt. Its audience is one that the deployment names",
    },
}
