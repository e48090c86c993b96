"""The bodies of answers about a state of the model: sessions, pages and figures."""

from __future__ import annotations

from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tests.model.store import Json, Session, Store, Turn

DEFAULT_LIMIT = 50


def session_json(session: Session) -> Json:
    """Return the `session` of GET and PATCH. `user_id` is absent if the session belongs to no user."""
    owner = {} if session.user_id is None else {"user_id": session.user_id}
    return {
        "id": session.id,
        **owner,
        "created_at": session.created_at,
        "last_active": session.last_active,
        "message_count": len(session.turns),
        "last_seq": session.last_seq,
        "user_metadata": session.user_metadata,
    }


def turn_json(turn: Turn) -> Json:
    """Return a turn of a page. Absent `items` and `updated_at` stay absent. Interactions are not shown."""
    optional = {"items": turn.items, "updated_at": turn.updated_at}
    return {
        "id": turn.id,
        "seq": turn.seq,
        "robot_personality": turn.robot_personality,
        "user_message": turn.user_message,
        "robot_response": turn.robot_response,
        "metadata": turn.metadata,
        "created_at": turn.created_at,
        **{name: value for name, value in optional.items() if value is not None},
    }


def page_json(
    session: Session,
    limit: int = DEFAULT_LIMIT,
    before: int | None = None,
    after: int | None = None,
    max_chars: int | None = None,
) -> Json:
    """Return a page: the oldest turns above `after`, or else the newest ones below `before`."""
    if after is not None:
        shown = [turn for turn in session.turns if turn.seq > after][:limit]
    else:
        shown = [turn for turn in session.turns if before is None or turn.seq < before][-limit:]
    if max_chars is not None:
        shown = _fitting(shown, max_chars)
    older = bool(shown) and session.turns[0].seq < shown[0].seq
    return {
        "session": session_json(session),
        "messages": [turn_json(turn) for turn in shown],
        "page": {"before": shown[0].seq if older else None, "after": shown[-1].seq if shown else after},
    }


def _fitting(shown: list[Turn], max_chars: int) -> list[Turn]:
    """Return the newest whole turns that fit. The newest turn always comes."""
    taken = shown[-1:]
    for turn in reversed(shown[:-1]):
        if sum(each.chars for each in [turn, *taken]) > max_chars:
            break
        taken.insert(0, turn)
    return taken


def session_figures(session: Session) -> Json:
    """Return the body of GET /stats?session_id."""
    return {
        "session_id": session.id,
        "message_count": len(session.turns),
        "last_message": session.last_active if session.turns else None,
        "avg_response_length": _average(list(session.turns)),
    }


def figures(store: Store) -> Json:
    """Return the members of GET /stats that are exact at each moment, with the days on which something was said."""
    turns = [turn for session in store.sessions.values() for turn in session.turns]
    counts = Counter(turn.robot_personality for turn in turns)
    return {
        "totals": {
            "sessions": len(store.sessions),
            "messages": len(turns),
            "interactions": sum(turn.interaction is not None for turn in turns),
        },
        "personalities": [
            {
                "robot_personality": name,
                "messages": counts[name],
                "avg_response_length": _average([turn for turn in turns if turn.robot_personality == name]),
            }
            for name in sorted(counts, key=lambda name: (-counts[name], name))
        ],
        "daily": [
            {"date": day, "sessions": sessions, "messages": messages}
            for day, (sessions, messages) in sorted(store.days.items())
        ],
    }


def _average(turns: list[Turn]) -> Any:
    """Return the average length of the answers that are not empty, to two digits, or None without one."""
    lengths = [len(turn.robot_response) for turn in turns if turn.robot_response]
    if not lengths:
        return None
    return float((Decimal(sum(lengths)) / len(lengths)).quantize(Decimal("0.01"), ROUND_HALF_UP))
