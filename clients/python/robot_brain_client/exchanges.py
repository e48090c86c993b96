"""How the items of a framework become turns, and turns items again.

A turn begins at a user's item and ends before the next one. The user's text is `user_message`, the last text of the
assistant is `robot_response`. All items are in `items`, which refer to the two texts as {"$": "user_message"} and
{"$": "robot_response"} instead of repeating them. So an edited or redacted text is what the framework reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Item = dict[str, Any]
Role = Literal["user", "assistant", "other"]
Content = dict[str, Any]
"""The content of a turn, as in the body of a PUT."""

# A request has at most 100 new turns and 4 MiB, and less if the gateway has to escape much of it.
_MOST_NEW = 100
_MOST_NEW_BYTES = 2 * 1024 * 1024
# The service's limits are 200 items, together 256 KiB as stored, 64 levels, and 256 KiB of UTF-8 for a text.
_MOST_ITEMS = 200
_MOST_BYTES = 250 * 1024
_MOST_LEVELS = 48
# What is nested deeper is stored as a text. Python's own JSON reads and writes about 1,000 levels.
_MOST_LEVELS_OF_TEXT = 500
_MOST_WRITES = 20
_TEXT_KEYS = ("content", "text")
_MEMBER = "robot_brain_client"
_SIDES: tuple[tuple[Role, str], ...] = (("user", "user_message"), ("assistant", "robot_response"))


@dataclass(frozen=True)
class Form:
    """The items of one framework.

    Attributes:
        name: The framework's name, kept in the metadata of its turns.
        role: Returns who an item is from.
        text: Returns an item's text, None if it has several or no text.
        made: Returns an item for a text that another client wrote.
    """

    name: str
    role: Callable[[Item], Role]
    text: Callable[[Item], str | None]
    made: Callable[[Role, str], Item]


@dataclass
class Exchange:
    """The items of one turn, and the ids of the writes that made it."""

    items: list[Item] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)

    def fits(self, items: Sequence[Item]) -> bool:
        """Whether the turn has room for more items. Raises ValueError if one is nested too deep."""
        for item in items:
            _levels(item)
        every = [*self.items, *items]
        return len(every) <= _MOST_ITEMS and len(json.dumps(every).encode()) <= _MOST_BYTES


def parts(form: Form, items: Sequence[Item]) -> tuple[list[Item], list[list[Item]]]:
    """Return the items before the first user's item, and the items of each new turn."""
    before: list[Item] = []
    turns: list[list[Item]] = []
    for item in items:
        if form.role(item) == "user":
            turns.append([item])
        else:
            (turns[-1] if turns else before).append(item)
    return before, turns


def chunks(items: Sequence[Item]) -> list[list[Item]]:
    """Split items so that each part fits into a turn."""
    found: list[list[Item]] = [[]]
    for item in items:
        if found[-1] and not Exchange(found[-1]).fits([item]):
            found.append([])
        found[-1].append(item)
    return found


def batches(turns: Sequence[list[Item]]) -> list[list[list[Item]]]:
    """Split new turns so that each part fits into a request."""
    found: list[list[list[Item]]] = []
    room = 0
    for turn in turns:
        size = len(json.dumps(turn))
        if not found or len(found[-1]) == _MOST_NEW or size > room:
            found.append([])
            room = _MOST_NEW_BYTES
        found[-1].append(turn)
        room -= size
    return found


def content(form: Form, exchange: Exchange, metadata: Mapping[str, Any] | None = None) -> Content:
    """Return the content of the turn with these items. `metadata` are the turn's other members."""
    texts = {"user_message": "", "robot_response": ""}
    places: dict[int, str] = {}
    for role, side in _SIDES:
        for place in sorted(range(len(exchange.items)), reverse=role == "assistant"):
            item = exchange.items[place]
            text = form.text(item) if form.role(item) == role else None
            if text and _storable(text):
                texts[side], places[place] = text, side
                break
    items = [_stored(item, texts, places.get(place)) for place, item in enumerate(exchange.items)]
    ours = {"form": form.name, "writes": exchange.writes[-_MOST_WRITES:]}
    return {**texts, "items": items, "metadata": {**(metadata or {}), _MEMBER: ours}}


def exchange(form: Form, turn: Mapping[str, Any]) -> Exchange:
    """Return the items of a stored turn. A turn of another client has an item for each of its texts."""
    ours = turn["metadata"].get(_MEMBER)
    writes = list(ours["writes"]) if isinstance(ours, dict) and "writes" in ours else []
    if not is_ours(form, turn):
        return Exchange([form.made(role, turn[side]) for role, side in _SIDES if turn[side]], writes)
    used: set[str] = set()
    items = [_restored(item, turn, used) for item in turn.get("items", [])]
    # Another client completed the turn.
    items += [form.made(role, turn[side]) for role, side in _SIDES if turn[side] and side not in used]
    return Exchange(items, writes)


def is_ours(form: Form, turn: Mapping[str, Any]) -> bool:
    """Whether this framework's adapter wrote the turn."""
    ours = turn["metadata"].get(_MEMBER)
    return isinstance(ours, dict) and ours.get("form") == form.name


def shortened(form: Form, turn: Mapping[str, Any], place: int, write: str) -> Content:
    """Return the content of a turn without the item at `place`, for a replacement."""
    found = exchange(form, turn)
    metadata = {name: value for name, value in turn["metadata"].items() if name != _MEMBER}
    writes = [*found.writes, write]
    if is_ours(form, turn):
        kept = [item for index, item in enumerate(found.items) if index != place]
        return content(form, Exchange(kept, writes), metadata)
    sides = [side for _, side in _SIDES if turn[side]]
    texts = {side: "" if side == sides[place] else turn[side] for _, side in _SIDES}
    items = {"items": turn["items"]} if "items" in turn else {}
    # The turn stays one of the form that made it.
    ours = turn["metadata"].get(_MEMBER)
    kept_form = ours if isinstance(ours, dict) else {}
    return {**texts, **items, "metadata": {**metadata, _MEMBER: {**kept_form, "writes": writes[-_MOST_WRITES:]}}}


def is_empty(turn: Mapping[str, Any]) -> bool:
    """Whether an adapter emptied the turn. A turn of another client is never empty, whatever it holds."""
    held = turn.get("items") or turn["user_message"] or turn["robot_response"]
    return not held and isinstance(turn["metadata"].get(_MEMBER), dict)


def may_grow(form: Form, turn: Mapping[str, Any]) -> bool:
    """Whether the adapter may add items to a turn. The items of another client or framework would be lost."""
    return is_ours(form, turn) or not turn.get("items")


def one_text(content: Any) -> str | None:
    """Return the text of a message's content: a string, or a list of parts of which one has a text."""
    if isinstance(content, str):
        return content
    found = [part["text"] if isinstance(part, dict) and "text" in part else part for part in content or ()]
    texts = [text for text in found if isinstance(text, str)]
    return texts[0] if len(texts) == 1 else None


def _stored(item: Item, texts: Mapping[str, str], side: str | None) -> Item:
    """Return an item as it is stored: JSON that jsonb can hold, with a reference in place of a text."""
    levels = _levels(item)
    try:
        plain = json.dumps(item, ensure_ascii=False, allow_nan=False)
        safe = _storable(plain) and "\\u0000" not in plain and levels <= _MOST_LEVELS
    except ValueError:
        safe = False
    referring = _referring(item, side, texts[side] if side else None)
    return referring if safe else {"$": {"json": json.dumps(referring)}}


def _referring(value: Any, side: str | None, text: str | None, name: str = "") -> Any:
    if isinstance(value, dict):
        inner = {key: _referring(each, side, text, key) for key, each in value.items()}
        return {"$": {"literal": inner["$"]}} if set(value) == {"$"} else inner
    if isinstance(value, list):
        return [_referring(each, side, text, name) for each in value]
    return {"$": side} if side and value == text and isinstance(value, str) and name in _TEXT_KEYS else value


def _restored(value: Any, turn: Mapping[str, Any], used: set[str]) -> Any:
    if isinstance(value, list):
        return [_restored(each, turn, used) for each in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {"$"}:
        return {key: _restored(each, turn, used) for key, each in value.items()}
    match value["$"]:
        case ("user_message" | "robot_response") as side:
            used.add(side)
            return turn[side]
        case {"json": str(text)}:
            return _restored(json.loads(text), turn, used)
        case {"literal": literal}:
            return {"$": _restored(literal, turn, used)}
    return value


def _storable(text: str) -> bool:
    """Whether the service takes the text: no NUL, no half of a surrogate pair, at most 256 KiB."""
    try:
        return "\0" not in text and len(text.encode()) <= _MOST_BYTES
    except UnicodeEncodeError:
        return False


def _levels(item: Item) -> int:
    """Return how deep an item is nested. Raises ValueError if it is too deep to be stored."""
    level, count = [item], 0
    while level:
        count += 1
        if count > _MOST_LEVELS_OF_TEXT:
            raise ValueError(f"An item is nested deeper than {_MOST_LEVELS_OF_TEXT} levels")
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [value for values in inner for value in values]
    return count
