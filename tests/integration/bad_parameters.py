"""Bad paths, queries and headers, and writes that the state of a session refuses.

The session `kept` has the two turns and the metadata that KEPT writes.
"""

from tests.integration.edge import Bad, Send, get, marked, other, post
from tests.support.bundle import turn
from tests.support.private_text import PRIVATE

_INTERACTION = {"interaction_type": "order", "duration_ms": 5, "success": True}
KEPT = {"messages": [turn(1), turn(2, interaction=_INTERACTION)], "user_metadata": {"filled": "x" * 9000}}
KEPT_KEY = "used before"

_TURN = marked()
_PATH: list[str | int] = ["path", "session_id"]
_QUERY: list[str | int] = ["query", "session_id"]

_SESSION_IDS = {
    "nothing": "",
    "101 characters": "a" * 101,
    "101 characters of three bytes": "€" * 101,
    "a dot": ".",
    "two dots": "..",
    "a slash": f"{PRIVATE}/b",
    "a backslash": f"{PRIVATE}\\b",
    "a question mark": f"{PRIVATE}?",
    "a hash": f"#{PRIVATE}",
    "a per cent": f"{PRIVATE}%20",
    "NUL": f"{PRIVATE}\0",
    "a line feed at its end": f"{PRIVATE}\n",
    "a tab": f"{PRIVATE}\tb",
    "DEL": f"{PRIVATE}\x7f",
    "U+0085": f"{PRIVATE}\x85",
    "U+009F": f"{PRIVATE}\x9f",
    "half an emoji": f"{PRIVATE}\ud83d",
}

_NOT_WHOLE = {
    "nothing": "",
    "a space": "+",
    "a space before": "+5",
    "a line feed at its end": "5%0A",
    "a plus": "%2B5",
    "a minus": "-1",
    "a point": "5.0",
    "an exponent": "1e1",
    "a word": PRIVATE,
    "hexadecimal digits": "0x10",
    "an underscore": "1_0",
    "Arabic-Indic digits": "%D9%A5",
    "full-width digits": "%EF%BC%95",
    "a superscript": "%C2%B2",
    "NUL": "5%00",
    "twenty digits": "1" * 20,
    "5,000 digits": "1" * 5000,
}


def _keyed(body: object, session: str = "kept") -> Send:
    return post(body, session, idempotency_key=KEPT_KEY)


PATHS = [
    Bad(f"a write to a session id that is or has {says}", 422, _PATH, post(_TURN, session))
    for says, session in _SESSION_IDS.items()
] + [
    Bad(f"a read of a session id that is or has {says}", 422, _PATH, get(session=session))
    for says, session in _SESSION_IDS.items()
]

QUERIES = [
    Bad(f"a {name} that is or has {says}", 422, ["query", name], get(f"{name}={value}"))
    for name in ("limit", "before", "after", "max_chars")
    for says, value in _NOT_WHOLE.items()
] + [
    Bad("limit 0", 422, ["query", "limit"], get("limit=0")),
    Bad("limit 201", 422, ["query", "limit"], get("limit=201")),
    Bad("before 0", 422, ["query", "before"], get("before=0")),
    Bad("before 2^31", 422, ["query", "before"], get(f"before={2**31}")),
    Bad("after 2^31", 422, ["query", "after"], get(f"after={2**31}")),
    Bad("max_chars 0", 422, ["query", "max_chars"], get("max_chars=0")),
    Bad("max_chars 10,000,001", 422, ["query", "max_chars"], get("max_chars=10000001")),
    Bad("before with after", 422, ["query", "before"], get("before=2&after=0")),
    Bad("max_chars with after", 422, ["query", "max_chars"], get("after=0&max_chars=5")),
    Bad("an unknown parameter", 422, ["query", "page"], get(f"page={PRIVATE}")),
    Bad("a parameter in upper case", 422, ["query", "LIMIT"], get("LIMIT=5")),
    Bad("a parameter without a name", 422, ["query", ""], get("=5")),
    Bad("a parameter with a space in its name", 422, ["query", " limit"], get("+limit=5")),
    Bad("a parameter given twice", 422, ["query", "limit"], get("limit=2&limit=2")),
    Bad("a parameter given twice, once encoded", 422, ["query", "limit"], get("limit=2&%6Cimit=3")),
    Bad("a parameter without a value", 422, ["query", "limit"], get("limit")),
    Bad("a semicolon between parameters", 422, ["query", "limit"], get("limit=2;before=3")),
    Bad("a parameter of /stats on a session", 422, ["query", "session_id"], get(f"session_id={PRIVATE}")),
    Bad("a parameter on a write", 422, ["query", "limit"], post(_TURN, query="limit=5")),
    Bad("a tenant in the query of a write", 422, ["query", "tenant_id"], post(_TURN, query=f"tenant_id={PRIVATE}")),
    Bad("a parameter on /health", 422, ["query", "deep"], other("health", f"deep={PRIVATE}")),
    Bad("a parameter on /health/database", 422, ["query", "deep"], other("stats_database_health", "deep=1")),
    Bad("an unknown parameter on /stats", 422, ["query", "limit"], other("stats", "limit=5")),
    Bad("an empty session id on /stats", 422, _QUERY, other("stats", "session_id=")),
    Bad("NUL in a session id on /stats", 422, _QUERY, other("stats", f"session_id={PRIVATE}%00")),
    Bad("a slash in a session id on /stats", 422, _QUERY, other("stats", f"session_id={PRIVATE}%2Fb")),
    Bad("a session id of 101 characters on /stats", 422, _QUERY, other("stats", f"session_id={'a' * 101}")),
    Bad("two session ids on /stats", 422, _QUERY, other("stats", "session_id=a&session_id=b")),
    Bad("half an emoji on /stats", 422, _QUERY, other("stats", "session_id=\ud83d")),
    Bad("a per cent sign alone", 400, "%", get("limit=%")),
    Bad("a per cent sign and one digit", 400, "%", get(f"limit=%4&page={PRIVATE}")),
    Bad("a per cent sign and letters", 400, "%", get("%zz=5")),
    Bad("a per cent sign on /stats", 400, "%", other("stats", f"session_id={PRIVATE}%")),
    Bad("a per cent sign on a write", 400, "%", post(_TURN, query="a=%zz")),
    Bad("a per cent sign on /health", 400, "%", other("health", "%")),
    Bad("half a character in UTF-8", 400, "UTF-8", get("limit=%E2%82")),
    Bad("an encoded surrogate", 400, "UTF-8", other("stats", "session_id=%ED%A0%BD")),
    Bad("an overlong slash", 400, "UTF-8", other("stats", "session_id=%C0%AF")),
    Bad("half an emoji beside an encoded character", 400, "UTF-8", other("stats", "session_id=%41\ud83d")),
]

HEADERS = [
    Bad("If-Match without quotes", 400, "If-Match", post(_TURN, if_match="0")),
    Bad("an empty If-Match", 400, "If-Match", post(_TURN, if_match="")),
    Bad("If-Match with empty quotes", 400, "If-Match", post(_TURN, if_match='""')),
    Bad("If-Match *", 400, "If-Match", post(_TURN, if_match="*")),
    Bad("a weak If-Match", 400, "If-Match", post(_TURN, if_match='W/"0"')),
    Bad("a list in If-Match", 400, "If-Match", post(_TURN, if_match='"0", "1"')),
    Bad("a word in If-Match", 400, "If-Match", post(_TURN, if_match=f'"{PRIVATE}"')),
    Bad("If-Match sent twice", 400, "If-Match", post(_TURN, if_match='"0","0"')),
    Bad("If-Match with a comma at its end", 400, "If-Match", post(_TURN, if_match='"0",')),
    Bad("If-Match below 0", 400, "If-Match", post(_TURN, if_match='"-1"')),
    Bad("a space in If-Match", 400, "If-Match", post(_TURN, if_match='" 0"')),
    Bad("Arabic-Indic digits in If-Match", 400, "If-Match", post(_TURN, if_match='"\u0660"')),
    Bad("forty digits in If-Match", 400, "If-Match", post(_TURN, if_match=f'"{"1" * 40}"')),
    Bad("If-Match that ends in a dot", 400, "If-Match", post(_TURN, if_match='"0."')),
    Bad("an empty Idempotency-Key", 400, "Idempotency-Key", post(_TURN, idempotency_key="")),
    Bad("a key of 256 characters", 400, "Idempotency-Key", post(_TURN, idempotency_key=PRIVATE.ljust(256, "x"))),
    Bad("a key that is not ASCII", 400, "Idempotency-Key", post(_TURN, idempotency_key=f"{PRIVATE}é")),
    Bad("a key with a tab", 400, "Idempotency-Key", post(_TURN, idempotency_key=f"{PRIVATE}\tx")),
    Bad("a key with a line feed at its end", 400, "Idempotency-Key", post(_TURN, idempotency_key=f"{PRIVATE}\n")),
    Bad("a key sent twice", 400, "comma", post(_TURN, idempotency_key=f"{PRIVATE},{PRIVATE}")),
    Bad("a key that is a comma", 400, "comma", post(_TURN, idempotency_key=",")),
    Bad("a key with DEL", 400, "Idempotency-Key", post(_TURN, idempotency_key=f"{PRIVATE}\x7f")),
]

REFUSED_BY_STATE = [
    Bad("If-Match of an earlier state of the session", 412, "If-Match", post(_TURN, "kept", if_match='"1"')),
    Bad("If-Match of a later state of the session", 412, "If-Match", post(_TURN, "kept", if_match='"3"')),
    Bad("If-Match of a new session", 412, "If-Match", post(_TURN, "kept", if_match='"0"')),
    Bad("If-Match and an unknown session", 412, "If-Match", post(_TURN, "nowhere", if_match='"1"')),
    Bad("If-Match of eighteen digits", 412, "If-Match", post(_TURN, "kept", if_match=f'"{"9" * 18}"')),
    Bad(
        "If-Match of an earlier state, with a key",
        412,
        "If-Match",
        post(_TURN, "kept", if_match='"1"', idempotency_key="new"),
    ),
    Bad("a key used for another body", 422, "Idempotency-Key", _keyed(_TURN)),
    Bad("a key used for another session", 422, "Idempotency-Key", _keyed(KEPT, "elsewhere")),
    Bad("a key used without user_metadata", 422, "Idempotency-Key", _keyed({"messages": KEPT["messages"]})),
    Bad(
        "a key used for the same turns and another one",
        422,
        "Idempotency-Key",
        _keyed({"messages": [turn(1), turn(2), turn(3)], "user_metadata": KEPT["user_metadata"]}),
    ),
    Bad(
        "user_metadata that is over 16 KiB once merged",
        422,
        ["body", "user_metadata"],
        post(marked(user_metadata={PRIVATE: "x" * 9000}), "kept"),
    ),
    Bad(
        "user_metadata that is over 16 KiB once merged, with a key",
        422,
        ["body", "user_metadata"],
        post(marked(user_metadata={PRIVATE: "x" * 9000}), "kept", idempotency_key="new"),
    ),
    Bad("an unknown session", 404, "session", get(session="nowhere")),
    Bad("the figures of an unknown session", 404, "session", other("stats", "session_id=nowhere")),
]
