"""What the body of a write means: its turns, with the defaults of the members that it leaves out."""

from __future__ import annotations

from tests.model.store import Json


def sent_turns(body: Json) -> list[Json]:
    """Return the members of the turns in a body, with their defaults."""
    return [
        {
            "robot_personality": sent["robot_personality"],
            "user_message": sent["user_message"],
            "robot_response": sent["robot_response"],
            "items": sent.get("items"),
            "metadata": sent.get("metadata", {}),
            "interaction": sent_interaction(sent, sent["robot_personality"]),
        }
        for sent in body.get("messages", [body])
    ]


def sent_interaction(sent: Json, personality: str) -> Json | None:
    """Return the interaction of a turn or a replacement with its defaults, or None if it is absent."""
    found: Json | None = sent.get("interaction")
    return found and {"robot_id": personality, "metadata": {}, **found}
