"""Random bodies of writes and of users: valid ones, and ones with a few mistakes, mostly at the limits."""

import random
from collections.abc import Iterator
from typing import Any

from robot_brain.limits import (
    MAX_EMAIL_LENGTH,
    MAX_INTEGER,
    MAX_METADATA_BYTES,
    MAX_NAME_LENGTH,
    MAX_PASSWORD_HASH_LENGTH,
    MAX_PERSON_NAME_LENGTH,
    MAX_TEXT_BYTES,
    MAX_TURNS,
    MAX_URL_LENGTH,
    MAX_USER_ID_LENGTH,
)

Json = dict[str, Any]

# As many characters as the value of {"a": …} may have in metadata.
FILLING = MAX_METADATA_BYTES - len('{"a": ""}')
_NAMES = (
    "robot_personality",
    "user_message",
    "items",
    "metadata",
    "interaction",
    "success",
    "messages",
    "",
    "é",
    "x" * 200,
)
_CHARACTERS = ("x", "é", "€", "\U0001f916")
_EMAIL_END = "@example.com"
_HASHES = ("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", "$2b$12$" + "a" * 53, "$scrypt$ln=16,r=8,p=1$c2FsdA$aGFzaA")
# What is no e-mail, no hash, no URL or no name.
_NOT_PERSONAL = ("", "a", "a b", "a@b@c", "@", "a@ b", "$a", "$A$b", "javascript:alert(1)", "https://", "a\x00", "\x85")


def bodies(seed: int, count: int) -> Iterator[Json]:
    """Yield `count` bodies, the same ones for the same seed. A third of them is valid."""
    chance = random.Random(seed)
    for _ in range(count):
        body = _batch(chance) if chance.random() < 0.4 else _turn(chance)
        if chance.random() < 0.3:
            body["user_metadata"] = _metadata(chance)
        for _ in range(chance.choice((0, 0, 1, 1, 2, 7))):
            _spoil(body, chance)
        yield body


def replacements(seed: int, count: int) -> Iterator[Json]:
    """Yield `count` bodies that replace a turn. A third of them is valid."""
    chance = random.Random(seed)
    for _ in range(count):
        body = _turn(chance)
        del body["robot_personality"]
        for _ in range(chance.choice((0, 0, 1, 1, 2, 7))):
            _spoil(body, chance)
        yield body


def patches(seed: int, count: int) -> Iterator[Json]:
    """Yield `count` bodies that patch a session. About half of them is valid."""
    chance = random.Random(seed)
    for _ in range(count):
        body: Json = {"user_metadata": _metadata(chance)} if chance.random() < 0.5 else {}
        if chance.random() < 0.7:
            length = chance.choice((1, 7, MAX_USER_ID_LENGTH))
            body["user_id"] = chance.choice((None, chance.choice(_CHARACTERS) * length))
        if chance.random() < 0.2:
            body["user_id"] = chance.choice(("", "a\x00", "\x1f", "b\x7f", "\x9f", "\n", "c\n", "\xa0", "x" * 256))
        if chance.random() < 0.3:
            _spoil(body, chance)
        yield body


def users(seed: int, count: int) -> Iterator[Json]:
    """Yield `count` bodies of users. About half of them is valid."""
    chance = random.Random(seed)
    for _ in range(count):
        body = _person(chance)
        for _ in range(chance.choice((0, 0, 1, 2))):
            _spoil_person(body, chance)
        yield body


def user_patches(seed: int, count: int) -> Iterator[Json]:
    """Yield `count` bodies that patch a user. About half of them is valid."""
    chance = random.Random(seed)
    for _ in range(count):
        body = _person(chance)
        for within in (body, body.get("profile") or {}):
            for name in within:
                within[name] = None if chance.random() < 0.2 else within[name]
        for _ in range(chance.choice((0, 0, 1, 2))):
            _spoil_person(body, chance)
        yield body


def _person(chance: random.Random) -> Json:
    character = chance.choice(_CHARACTERS)
    name = character * chance.choice((1, 7, MAX_PERSON_NAME_LENGTH))
    local = character * chance.choice((1, 7, MAX_EMAIL_LENGTH - len(_EMAIL_END)))
    url = "https://" + character * chance.choice((1, 7, MAX_URL_LENGTH - len("https://")))
    profile = {"first_name": name, "last_name": name, "avatar_url": url}
    hashed = chance.choice((*_HASHES, "$6$" + "x" * (MAX_PASSWORD_HASH_LENGTH - 3)))
    body: Json = {"email": local + _EMAIL_END, "password_hash": hashed, "profile": _some(profile, chance)}
    return _some(body, chance)


def _some(members: Json, chance: random.Random) -> Json:
    return {name: value for name, value in members.items() if chance.random() < 0.7}


def _spoil_person(body: Json, chance: random.Random) -> None:
    """Change one member of a user or of its profile."""
    profile = body.get("profile")
    inside = profile if isinstance(profile, dict) and profile and chance.random() < 0.5 else body
    if inside and chance.random() < 0.8:
        name = chance.choice(list(inside))
        long = (MAX_PERSON_NAME_LENGTH, MAX_EMAIL_LENGTH, MAX_PASSWORD_HASH_LENGTH, MAX_URL_LENGTH)
        wrong = chance.choice((*_NOT_PERSONAL, chance.choice(_CHARACTERS) * (chance.choice(long) + 1)))
        inside[name] = wrong if chance.random() < 0.7 else _value(chance, 2)
    else:
        inside[chance.choice(_NAMES)] = _value(chance, 2)


def _turn(chance: random.Random) -> Json:
    turn: Json = {
        "robot_personality": chance.choice(_CHARACTERS) * chance.choice((1, 7, MAX_NAME_LENGTH)),
        "user_message": _text(chance),
        "robot_response": _text(chance),
    }
    if chance.random() < 0.5:
        turn["metadata"] = _metadata(chance)
    if chance.random() < 0.3:
        turn["items"] = [_metadata(chance) for _ in range(chance.choice((0, 1, 3)))]
    if chance.random() < 0.4:
        turn["interaction"] = {
            "interaction_type": "order",
            "duration_ms": chance.choice((0, 1, 840, MAX_INTEGER)),
            "success": chance.random() < 0.5,
        }
        if chance.random() < 0.3:
            turn["interaction"]["metadata"] = _metadata(chance)
        if chance.random() < 0.5:
            turn["interaction"]["robot_id"] = chance.choice(_CHARACTERS) * chance.choice((1, MAX_NAME_LENGTH))
    return turn


def _batch(chance: random.Random) -> Json:
    count = MAX_TURNS if chance.random() < 0.02 else chance.choice((1, 2, 3))
    return {"messages": [_turn(chance) for _ in range(count)]}


def _text(chance: random.Random) -> str:
    if chance.random() < 0.98:
        return chance.choice(_CHARACTERS) * chance.choice((0, 1, 30))
    return _of_bytes(MAX_TEXT_BYTES, chance)


def _of_bytes(count: int, chance: random.Random) -> str:
    character = chance.choice(_CHARACTERS)
    size = len(character.encode())
    return character * (count // size) + "x" * (count % size)


def _metadata(chance: random.Random) -> Json:
    if chance.random() < 0.05:
        return {"a": "b" * FILLING}
    return {chance.choice(_NAMES): _value(chance, 2) for _ in range(chance.randrange(3))}


def _value(chance: random.Random, depth: int) -> Any:
    """Return any JSON value."""
    kind = chance.randrange(9 if depth else 7)
    if kind == 7:
        return [_value(chance, depth - 1) for _ in range(chance.randrange(3))]
    if kind == 8:
        return {chance.choice(_NAMES): _value(chance, depth - 1) for _ in range(chance.randrange(3))}
    number = chance.choice((0, -1, 1, MAX_INTEGER, MAX_INTEGER + 1, 10**300))
    return (None, True, False, number, chance.choice((0.0, -0.0, 1.0, 1.5, 1e308)), "", "1")[kind]


def _spoil(body: Json, chance: random.Random) -> None:
    """Change one thing somewhere in `body`."""
    inside: Any = body
    # In 7 of 10 cases go one level deeper.
    while chance.random() < 0.7:
        within = [each for each in (inside.values() if isinstance(inside, dict) else inside) if each]
        within = [each for each in within if isinstance(each, dict | list)]
        if not within:
            break
        inside = chance.choice(within)
    if isinstance(inside, list):
        _spoil_list(inside, chance)
    elif inside and chance.random() < 0.8:
        name = chance.choice(list(inside))
        if chance.random() < 0.2:
            del inside[name]
        else:
            inside[name] = chance.choice(_OVER)(chance)
    else:
        inside[chance.choice(_NAMES)] = _value(chance, 2)


def _spoil_list(items: list[Any], chance: random.Random) -> None:
    change = chance.randrange(3)
    if change == 0:
        items.append(_value(chance, 2))
    elif change == 1:
        items.clear()
    else:
        items.extend(items[:1] * (MAX_TURNS + 1 - len(items)))


# What a member is replaced by.
_OVER = (
    lambda chance: _value(chance, 2),
    lambda chance: _value(chance, 0),
    lambda chance: "x" * (MAX_NAME_LENGTH + 1),
    lambda chance: _of_bytes(MAX_TEXT_BYTES + 1, chance),
    lambda chance: {"a": "b" * FILLING + "b"},
    lambda chance: {"a": [1e308] * 53},
)
