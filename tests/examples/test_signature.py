"""Our reading of Signature Version 4, against the example that AWS publishes."""

from tests.examples.signature import Received, Secret, refusal, sign

# "Create a signed AWS API request": IAM's ListUsers.
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
LIST_USERS = Received(
    "GET",
    "/?Action=ListUsers&Version=2010-05-08",
    {
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "host": "iam.amazonaws.com",
        "x-amz-date": "20150830T123600Z",
    },
    b"",
)
SIGNATURE = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"


def test_the_signature_of_the_published_example_is_the_published_one() -> None:
    assert sign(LIST_USERS, sorted(LIST_USERS.headers), SECRET_KEY, "us-east-1", "iam") == SIGNATURE


def test_a_changed_path_query_header_body_or_secret_does_not_fit_the_signature() -> None:
    credential = "AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request"
    signed = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=content-type;host;x-amz-date"
    headers = {**LIST_USERS.headers, "authorization": f"{signed}, Signature={SIGNATURE}"}
    secret = Secret("AKIDEXAMPLE", SECRET_KEY)

    def reason(**changes: object) -> str | None:
        request = Received(**{**vars(LIST_USERS), "headers": headers, **changes})
        return refusal(request, secret, "us-east-1", "iam")

    assert reason() is None
    assert reason(target="/a?Action=ListUsers&Version=2010-05-08") == "another signature"
    assert reason(target="/?Action=ListUsers") == "another signature"
    assert reason(headers={**headers, "host": "sts.amazonaws.com"}) == "another signature"
    assert reason(headers={**headers, "x-amz-security-token": "a"}) == "not all of these headers are signed"
    assert reason(body=b"x") == "another signature"
    assert reason(headers=LIST_USERS.headers) == "no signature"
    assert refusal(Received("GET", "/", headers, b""), Secret("AKIDEXAMPLE", "x"), "us-east-1", "iam") is not None
