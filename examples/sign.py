"""Write a turn and read it back: python sign.py SESSION_ID. The credentials are found as the AWS CLI finds them."""

import json
import os
import sys
import uuid
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.session import Session

if len(sys.argv) != 2:
    sys.exit(__doc__)
api, region = os.environ["API"].rstrip("/"), os.environ["AWS_REGION"]
session = f"{api}/sessions/{quote(sys.argv[1], safe='')}"


def signed(method, url, body=None, headers=None):
    request = AWSRequest(method, url, headers, json.dumps(body).encode() if body else None)
    SigV4Auth(Session().get_credentials(), "execute-api", region).add_auth(request)
    try:
        with urlopen(Request(url, request.data, dict(request.headers), method=method), timeout=30) as answer:
            return answer.read().decode()
    except HTTPError as error:
        sys.exit(f"{error.code}: {error.read().decode()}")


turn = {"robot_personality": "guide", "user_message": "Hello!", "robot_response": "Hello. Where to?"}
key = str(uuid.uuid4())  # If you get no answer, send the same turn with the same key again.
print(signed("POST", f"{session}/messages", turn, {"Content-Type": "application/json", "Idempotency-Key": key}))
print(signed("GET", f"{session}?limit=1"))
