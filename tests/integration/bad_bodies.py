"""Bad bodies of a write: some cannot be read (400, 413, 415), the others break a rule (422)."""

import gzip
import json

from tests.integration.edge import Bad, marked, nested, post, raw
from tests.support.bundle import turn
from tests.support.private_text import PRIVATE

MIB = 1024 * 1024
KIB = 1024

_TURN = marked()
_INTERACTION = {"interaction_type": "order", "duration_ms": 5, "success": True}


def _interaction(**fields: object) -> object:
    return marked(interaction={**_INTERACTION, **fields})


def _without(member: str) -> object:
    return {name: value for name, value in _TURN.items() if name != member}


def _interaction_without(member: str) -> object:
    return marked(interaction={name: value for name, value in _INTERACTION.items() if name != member})


UNREADABLE = [
    Bad("no body", 400, "not JSON", post(None)),
    Bad("an empty body", 400, "not JSON", post("")),
    Bad("a body of spaces", 400, "not JSON", post("  \n")),
    Bad("an unfinished object", 400, "not JSON", post(f'{{"user_message": "{PRIVATE}",')),
    Bad("an unfinished text", 400, "not JSON", post(f'{{"user_message": "{PRIVATE}')),
    Bad("a trailing comma", 400, "not JSON", post(raw('"metadata": {},'))),
    Bad("two documents", 400, "not JSON", post(json.dumps(_TURN) * 2)),
    Bad("a comment", 400, "not JSON", post(f"{json.dumps(_TURN)} // {PRIVATE}")),
    Bad("single quotes", 400, "not JSON", post(str(_TURN))),
    Bad("two byte order marks", 400, "not JSON", post("\ufeff" * 2 + json.dumps(_TURN))),
    Bad("a byte order mark after a space", 400, "not JSON", post(" \ufeff" + json.dumps(_TURN))),
    Bad("a byte order mark alone", 400, "empty", post("\ufeff")),
    Bad("base64 without a body", 400, "empty", post(None, is_base64=True)),
    Bad("a form", 400, "not JSON", post(f"user_message={PRIVATE}")),
    Bad("a line break inside a text", 400, "not JSON", post(f'{{"user_message": "{PRIVATE}\n"}}')),
    Bad("a raw NUL inside a text", 400, "not JSON", post(f'{{"user_message": "{PRIVATE}\0"}}')),
    Bad("an unknown escape", 400, "not JSON", post(f'{{"user_message": "{PRIVATE}\\x41"}}')),
    Bad("half a unicode escape", 400, "not JSON", post(f'{{"user_message": "{PRIVATE}\\u00"}}')),
    Bad("a number with a leading zero", 400, "not JSON", post(raw('"metadata": {"x": 01}'))),
    Bad("a number that ends in its point", 400, "not JSON", post(raw('"metadata": {"x": 1.}'))),
    Bad("a number with a plus", 400, "not JSON", post(raw('"metadata": {"x": +1}'))),
    Bad("a hexadecimal number", 400, "not JSON", post(raw('"metadata": {"x": 0x1f}'))),
    Bad("a number in Arabic-Indic digits", 400, "not JSON", post(raw('"metadata": {"x": 1٢}'))),
    Bad("NaN", 400, "NaN", post(raw('"metadata": {"x": NaN}'))),
    Bad("Infinity", 400, "Infinity", post(raw('"metadata": {"x": Infinity}'))),
    Bad("-Infinity", 400, "-Infinity", post(raw('"metadata": {"x": [-Infinity]}'))),
    Bad("1e400", 400, "too large for a double", post(raw('"metadata": {"x": 1e400}'))),
    Bad("-1e400 in an unknown field", 400, "too large for a double", post(raw('"temperature": -1e400'))),
    Bad("1e131071", 400, "too large for a double", post(raw('"user_metadata": {"x": 1e131071}'))),
    Bad("1e-400", 400, "near to zero", post(raw('"metadata": {"x": 1e-400}'))),
    Bad("-1e-400 in a list", 400, "near to zero", post(raw('"user_metadata": {"x": [-1e-400]}'))),
    Bad("a digit after 400 zeros", 400, "near to zero", post(raw(f'"metadata": {{"x": 0.{"0" * 400}1}}'))),
    Bad("an integer of 400 digits", 400, "too large for a double", post(raw(f'"metadata": {{"x": {"7" * 400}}}'))),
    Bad("an integer of 309 nines", 400, "too large for a double", post(raw(f'"metadata": {{"x": -{"9" * 309}}}'))),
    Bad(
        "an integer of a million digits", 400, "too large for a double", post(raw(f'"metadata": {{"x": {"7" * MIB}}}'))
    ),
    Bad("a lone surrogate as it is", 400, "UTF-8", post('{"user_message": "\ud83d"}')),
    Bad("a body that is not base64", 400, "base64", post(f"%%% {PRIVATE} %%%", is_base64=True)),
    Bad("base64 without its padding", 400, "base64", post("eyJhIjogMX0", is_base64=True)),
    Bad("base64 with a line break", 400, "base64", post("eyJhIjog\nMX0=", is_base64=True)),
    Bad("base64 in the alphabet of URLs", 400, "base64", post("eyJhIjog-_0=", is_base64=True)),
    Bad("base64 in letters that are not ASCII", 400, "base64", post("ééééé", is_base64=True)),
    Bad("base64 of Latin-1", 400, "UTF-8", post("", base64_of='{"user_message": "café"}'.encode("latin-1"))),
    Bad("base64 of UTF-16", 400, "UTF-8", post("", base64_of=json.dumps(_TURN).encode("utf-16"))),
    Bad("base64 of an encoded surrogate", 400, "UTF-8", post("", base64_of=b'{"user_message": "\xed\xa0\xbd"}')),
    Bad("base64 of nothing", 400, "not JSON", post("", base64_of=b"")),
    Bad("a text in place of JSON", 415, "application/json", post(PRIVATE, content_type="text/plain")),
    Bad("no content type", 415, "application/json", post(_TURN, content_type=None)),
    Bad("an empty content type", 415, "application/json", post(_TURN, content_type="")),
    Bad(
        "a content type similar to JSON", 415, "application/json", post(_TURN, content_type="application/problem+json")
    ),
    Bad(
        "a content type that only starts right", 415, "application/json", post(_TURN, content_type="application/json5")
    ),
    Bad("a form's content type", 415, "application/json", post(_TURN, content_type="multipart/form-data; boundary=x")),
    Bad("two content types", 415, "once", post(_TURN, content_type="application/json; charset=utf-8,text/plain")),
    Bad(
        "gzip",
        415,
        "Content-Encoding",
        post("", base64_of=gzip.compress(json.dumps(_TURN).encode()), content_encoding="gzip"),
    ),
    Bad("a content encoding of brotli", 415, "Content-Encoding", post(_TURN, content_encoding="br")),
    Bad("one byte over 4 MiB", 413, "4 MiB", post(json.dumps(_TURN).ljust(4 * MIB + 1))),
    Bad("over 4 MiB in bytes but not in characters", 413, "4 MiB", post(turn(user_message="ü" * (2 * MIB)))),
    Bad("6 MB", 413, "4 MiB", post(turn(user_message="a" * 6_000_000))),
    Bad("base64 of 4 MiB and a byte", 413, "4 MiB", post("", base64_of=json.dumps(_TURN).ljust(4 * MIB + 1).encode())),
    Bad("6 MB that are not JSON", 413, "4 MiB", post("[" * 6_000_000)),
]

BREAKING_A_RULE = [
    Bad("a list", 422, ["body"], post([_TURN])),
    Bad("a text", 422, ["body"], post(json.dumps(PRIVATE))),
    Bad("a number", 422, ["body"], post("5")),
    Bad("null", 422, ["body"], post("null")),
    Bad("an empty object", 422, ["body", "user_message"], post({})),
    Bad("no robot_personality", 422, ["body", "robot_personality"], post(_without("robot_personality"))),
    Bad("no user_message", 422, ["body", "user_message"], post(_without("user_message"))),
    Bad("no robot_response", 422, ["body", "robot_response"], post(_without("robot_response"))),
    Bad("an unknown field", 422, ["body", "temperature"], post({**_TURN, "temperature": PRIVATE})),
    Bad("a tenant in the body", 422, ["body", "tenant_id"], post({**_TURN, "tenant_id": PRIVATE})),
    Bad("an empty robot_personality", 422, ["body", "robot_personality"], post(marked(robot_personality=""))),
    Bad(
        "robot_personality of 51 characters",
        422,
        ["body", "robot_personality"],
        post(marked(robot_personality="ü" * 51)),
    ),
    Bad("robot_personality that is a number", 422, ["body", "robot_personality"], post(marked(robot_personality=7))),
    Bad("robot_personality that is null", 422, ["body", "robot_personality"], post(marked(robot_personality=None))),
    Bad("user_message that is null", 422, ["body", "user_message"], post(turn(user_message=None))),
    Bad("user_message that is a list", 422, ["body", "user_message"], post(turn(user_message=[PRIVATE]))),
    Bad("robot_response that is a number", 422, ["body", "robot_response"], post(turn(robot_response=1.5))),
    Bad("a text over 256 KiB", 422, ["body", "user_message"], post(turn(user_message="a" * (256 * KIB + 1)))),
    Bad("a text over 256 KiB in bytes", 422, ["body", "robot_response"], post(turn(robot_response="€" * 87_382))),
    Bad("NUL in a text", 422, ["body", "user_message"], post(turn(user_message=f"{PRIVATE}\0"))),
    Bad("NUL in the personality", 422, ["body", "robot_personality"], post(marked(robot_personality="\0"))),
    Bad(
        "NUL deep in metadata",
        422,
        ["body", "metadata", "a", 1],
        post(marked(metadata={"a": [1, f"{PRIVATE}\0"]})),
    ),
    Bad("NUL in a key", 422, ["body", "metadata"], post(marked(metadata={f"{PRIVATE}\0": 1}))),
    Bad("NUL in user_metadata", 422, ["body", "user_metadata", "a"], post(marked(user_metadata={"a": "\0"}))),
    Bad("NUL in an unknown field", 422, ["body", "other"], post(marked(other="\0"))),
    Bad("NUL in base64", 422, ["body", "user_message"], post("", base64_of=b'{"user_message": "\\u0000"}')),
    Bad("half an emoji", 422, ["body", "user_message"], post(raw('"user_message": "\\ud83d"'))),
    Bad(
        "the halves of an emoji in the wrong order",
        422,
        ["body", "metadata", "a"],
        post(raw('"metadata": {"a": "\\ude00\\ud83d"}')),
    ),
    Bad("half an emoji in a key", 422, ["body", "metadata"], post(raw('"metadata": {"\\udc00": 1}'))),
    Bad("metadata that is null", 422, ["body", "metadata"], post(marked(metadata=None))),
    Bad("metadata that is a list", 422, ["body", "metadata"], post(marked(metadata=[PRIVATE]))),
    Bad("metadata that is a text", 422, ["body", "metadata"], post(marked(metadata=PRIVATE))),
    Bad("metadata over 16 KiB", 422, ["body", "metadata"], post(marked(metadata={"a": "b" * (16 * KIB - 8)}))),
    Bad("metadata over 16 KiB in bytes", 422, ["body", "metadata"], post(marked(metadata={"a": "ü" * 8200}))),
    Bad(
        "metadata over 16 KiB once stored",
        422,
        ["body", "metadata"],
        post(raw(f'"metadata": {{"a": [{"1e308," * 52} 1e308]}}')),
    ),
    Bad("metadata over 16 KiB by its spaces", 422, ["body", "metadata"], post(marked(metadata={"a": [1] * 5500}))),
    Bad("user_metadata that is null", 422, ["body", "user_metadata"], post(marked(user_metadata=None))),
    Bad("user_metadata that is a list", 422, ["body", "user_metadata"], post(marked(user_metadata=[PRIVATE]))),
    Bad("user_metadata over 16 KiB", 422, ["body", "user_metadata"], post(marked(user_metadata={"a": "b" * 16 * KIB}))),
    Bad("an interaction that is null", 422, ["body", "interaction"], post(marked(interaction=None))),
    Bad("an interaction that is a text", 422, ["body", "interaction"], post(marked(interaction=PRIVATE))),
    Bad("an empty interaction", 422, ["body", "interaction", "success"], post(marked(interaction={}))),
    Bad(
        "an interaction without its type",
        422,
        ["body", "interaction", "interaction_type"],
        post(_interaction_without("interaction_type")),
    ),
    Bad(
        "an interaction without its duration",
        422,
        ["body", "interaction", "duration_ms"],
        post(_interaction_without("duration_ms")),
    ),
    Bad("an interaction with an unknown field", 422, ["body", "interaction", "mood"], post(_interaction(mood=PRIVATE))),
    Bad("a duration below 0", 422, ["body", "interaction", "duration_ms"], post(_interaction(duration_ms=-1))),
    Bad("a duration of 2^31", 422, ["body", "interaction", "duration_ms"], post(_interaction(duration_ms=2**31))),
    Bad("a duration of 1e2", 422, ["body", "interaction", "duration_ms"], post(_interaction(duration_ms=1e2))),
    Bad("a duration of 10^300", 422, ["body", "interaction", "duration_ms"], post(_interaction(duration_ms=10**300))),
    Bad("a duration of true", 422, ["body", "interaction", "duration_ms"], post(_interaction(duration_ms=True))),
    Bad("a duration as text", 422, ["body", "interaction", "duration_ms"], post(_interaction(duration_ms="5"))),
    Bad("a duration of null", 422, ["body", "interaction", "duration_ms"], post(_interaction(duration_ms=None))),
    Bad("success that is 1", 422, ["body", "interaction", "success"], post(_interaction(success=1))),
    Bad("success as text", 422, ["body", "interaction", "success"], post(_interaction(success="true"))),
    Bad(
        "a type of 51 characters",
        422,
        ["body", "interaction", "interaction_type"],
        post(_interaction(interaction_type="x" * 51)),
    ),
    Bad("an empty robot_id", 422, ["body", "interaction", "robot_id"], post(_interaction(robot_id=""))),
    Bad("robot_id that is null", 422, ["body", "interaction", "robot_id"], post(_interaction(robot_id=None))),
    Bad("robot_id of 51 characters", 422, ["body", "interaction", "robot_id"], post(_interaction(robot_id="ü" * 51))),
    Bad("no turn", 422, ["body", "messages"], post({"messages": []})),
    Bad("101 turns", 422, ["body", "messages"], post({"messages": [_TURN] * 101})),
    Bad("turns that are null", 422, ["body", "messages"], post({"messages": None})),
    Bad("turns that are an object", 422, ["body", "messages"], post({"messages": _TURN})),
    Bad("a turn that is a text", 422, ["body", "messages", 1], post({"messages": [_TURN, PRIVATE]})),
    Bad(
        "a bad turn among good ones",
        422,
        ["body", "messages", 2, "user_message"],
        post({"messages": [_TURN] * 2 + [{}]}),
    ),
    Bad(
        "the fields of a turn beside messages",
        422,
        ["body", "user_message"],
        post({"messages": [_TURN], "user_message": PRIVATE}),
    ),
    Bad(
        "user_metadata in a turn of a batch",
        422,
        ["body", "messages", 0, "user_metadata"],
        post({"messages": [marked(user_metadata={})]}),
    ),
    Bad(
        "NUL in a turn of a batch",
        422,
        ["body", "messages", 1, "robot_response"],
        post({"messages": [_TURN, turn(robot_response="\0")]}),
    ),
    Bad("nesting of 65 levels", 422, ["body", "metadata", "a", 0, "a", 0, "a", 0], post(marked(metadata=nested(64)))),
    Bad(
        "nesting of 65 levels in a turn of a batch",
        422,
        ["body", "messages", 0, "metadata", "a", 0, "a", 0],
        post({"messages": [marked(metadata=nested(62))]}),
    ),
    Bad("100,000 brackets", 422, ["body"], post("[" * 100_000 + "]" * 100_000)),
    Bad("100,000 objects", 422, ["body"], post('{"a":' * 100_000 + "1" + "}" * 100_000)),
    Bad("a million brackets in metadata", 422, ["body"], post(raw(f'"metadata": {"[" * MIB}'))),
    Bad("base64 of a list", 422, ["body"], post("", base64_of=b"[1]")),
]
