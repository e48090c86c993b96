"""Requests of two end users and a service, each with its route and the status of its answer."""

from tests.integration.answered_audit import AUDIT, UNSERVED_AUDIT
from tests.integration.answered_changes import ERASE, LIST, PATCH, READ, REMOVE, REPLACE, REPLACEMENT, WRITE
from tests.integration.answered_search import SEARCH, UNSERVED_SEARCH
from tests.integration.answered_users import LIST_USERS, OF_AN_END_USER, PUT_USER, UNSERVED_USERS
from tests.integration.edge import Send
from tests.support.bundle import Bundle, Json, Reply, turn

STATS = "GET /stats"
DATABASE = "GET /health/database"
SCOPE = "robot-brain/all-users"


class Signed(Bundle):
    """Calls the functions as the gateway does for a token with this `sub` and `scope`."""

    def __init__(self, sub: str, scope: str = "") -> None:
        super().__init__()
        self._claims = {"sub": sub, "scope": scope}

    def call(self, function: str, event: Json) -> Reply:
        """Call one function with one event and the claims of the token."""
        event["requestContext"]["authorizer"] = {"jwt": {"claims": self._claims, "scopes": None}}
        return super().call(function, event)


ANN, BOB, DESK = Signed("ann"), Signed("bob"), Signed("desk", SCOPE)
# A token without a user. It is refused on each route.
NAMELESS = Signed("")
# Each request that names the session `s`, with its route.
OF_ONE_SESSION: list[tuple[str, Send]] = [
    (WRITE, lambda b: b.write("s", turn())),
    (PATCH, lambda b: b.patch("s", {})),
    (REPLACE, lambda b: b.replace("s", 1, REPLACEMENT)),
    (REMOVE, lambda b: b.remove("s", 0)),
    (READ, lambda b: b.read("s")),
    (STATS, lambda b: b.stats(session_id="s")),
    (ERASE, lambda b: b.erase("s")),
]
# Sent in this order to an empty database.
OF_CALLERS: list[tuple[Bundle, str, int, Send]] = [
    (ANN, WRITE, 201, lambda b: b.write("s", turn())),
    *((BOB, route, 404, send) for route, send in OF_ONE_SESSION),
    *((NAMELESS, route, 403, send) for route, send in OF_ONE_SESSION),
    (BOB, LIST, 200, lambda b: b.sessions()),
    (BOB, LIST, 200, lambda b: b.sessions(user_id="bob")),
    (BOB, LIST, 403, lambda b: b.sessions(user_id="ann")),
    (BOB, PATCH, 403, lambda b: b.patch("b", {"user_id": "bob"})),
    (BOB, STATS, 403, lambda b: b.stats()),
    (BOB, DATABASE, 403, lambda b: b.database_health()),
    *((caller, AUDIT, 403, send) for caller in (BOB, NAMELESS) for _, send in UNSERVED_AUDIT),
    (BOB, AUDIT, 403, lambda b: b.audit(user="bob")),
    *((NAMELESS, SEARCH, 403, send) for _, send in UNSERVED_SEARCH),
    (BOB, SEARCH, 200, lambda b: b.search("answer")),
    (BOB, SEARCH, 200, lambda b: b.search("answer", user_id="bob", session_id="s")),
    (BOB, SEARCH, 403, lambda b: b.search("answer", user_id="ann")),
    (DESK, SEARCH, 200, lambda b: b.search("answer", user_id="ann")),
    (DESK, READ, 200, lambda b: b.read("s")),
    (DESK, LIST, 200, lambda b: b.sessions(user_id="ann")),
    (DESK, STATS, 200, lambda b: b.stats()),
    (DESK, DATABASE, 200, lambda b: b.database_health()),
    (DESK, AUDIT, 200, lambda b: b.audit()),
    (DESK, WRITE, 201, lambda b: b.write("of the tenant", turn())),
    (ANN, WRITE, 404, lambda b: b.write("of the tenant", turn())),
    (DESK, PATCH, 200, lambda b: b.patch("of the tenant", {"user_id": "ann"})),
    (ANN, READ, 200, lambda b: b.read("of the tenant")),
    (ANN, ERASE, 204, lambda b: b.erase("s")),
    *((ANN, route, status, send) for route, status, send in OF_AN_END_USER),
    *((NAMELESS, route, 403, send) for route, send in UNSERVED_USERS),
    (DESK, PUT_USER, 201, lambda b: b.user("PUT", "bob", {})),
    (DESK, LIST_USERS, 200, lambda b: b.users()),
]
