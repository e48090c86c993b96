"""Call the handlers as a caller: the gateway's authorizer names it in `requestContext.authorizer`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.isolation.asking import Knowledge
from tests.isolation.counts import ASKED
from tests.isolation.parties import Party
from tests.support.bundle import Bundle, Json, Reply
from tests.support.searching import whole

SCOPE = "robot-brain/all-users"


class As(Bundle):
    """The functions, called by one caller. `authorizer` is what the gateway found, None without an authorizer."""

    def __init__(self, party: Party, authorizer: Any) -> None:
        super().__init__()
        self.party = party
        self.authorizer = authorizer
        # The last event, to look for what a request had.
        self.sent = ""

    def call(self, function: str, event: Json) -> Reply:
        """Call one function with one event, with the authorizer of this caller."""
        if self.authorizer is not None:
            event["requestContext"]["authorizer"] = self.authorizer
        self.sent = json.dumps(event, ensure_ascii=False)
        ASKED["requests of a route"] += 1
        return super().call(function, event)

    def search(self, q: str, **query: Any) -> Reply:
        """GET a page of a search that was not cut short."""
        return whole(lambda: super(As, self).search(q, **query))


def by_token(party: Party, **claims: object) -> As:
    """Return the functions as a caller with a token of this tenant and user."""
    subject = {"sub": "robot", "scope": f"openid {SCOPE}"} if party.user is None else {"sub": party.user}
    return As(party, {"jwt": {"claims": {**subject, "tenant": party.tenant, **claims}, "scopes": None}})


def by_account(party: Party) -> As:
    """Return the functions as a caller that has signed with a key of this account."""
    arn = f"arn:aws:iam::{party.tenant}:user/robot"
    return As(party, {"iam": {**_IDENTITY, "accountId": party.tenant, "userArn": arn}})


def by_role(party: Party, session: str = "session") -> As:
    """Return the functions as a caller that has assumed the role of this tenant."""
    account, _, role = party.tenant.partition(":")
    arn = f"arn:aws:sts::{account}:assumed-role/{role}/{session}"
    return As(party, {"iam": {**_IDENTITY, "accountId": account, "userArn": arn}})


def plain(reply: Reply, known: Knowledge) -> str:
    """Return the whole answer without what differs between any two sessions or people."""
    return known.plain(everything(reply))


def everything(reply: Reply) -> str:
    """Return status, headers and body as one text."""
    return json.dumps([reply.status, dict(reply.headers), reply.body], ensure_ascii=False)


_IDENTITY: Mapping[str, object] = {
    "accessKey": "ASIAEXAMPLE",
    "callerId": "AROAEXAMPLE:session",
    "cognitoIdentity": None,
    "principalOrgId": None,
    "userId": "AROAEXAMPLE:session",
}
