"""A robot of Pydantic AI with a memory: python pydantic_ai_robot.py SESSION_ID."""

import asyncio
import os
import sys
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessagesTypeAdapter

from robot_brain_client import AsyncRobotBrain
from robot_brain_client.exchanges import Form, Item, Role, one_text
from robot_brain_client.transcript import Transcript

robot = Agent(instructions="You know the weather.")


@robot.tool_plain
def temperature(city: str) -> str:
    """Return the temperature in a city."""
    return f"-3 degrees in {city}"


def role(message: Item) -> Role:
    """A request with a prompt is from the user. Other requests have what tools returned."""
    if message["kind"] == "response":
        return "assistant"
    return "user" if any(part["part_kind"] == "user-prompt" for part in message["parts"]) else "other"


def text(message: Item) -> str | None:
    """Return the text of a message, None unless there is exactly one."""
    found = [part["content"] for part in message["parts"] if part["part_kind"] in ("user-prompt", "text")]
    return one_text([each for content in found for each in (content if isinstance(content, list) else [content])])


def made(role: Role, text: str) -> Item:
    """Return a message for a text of another client."""
    kind, part = ("request", "user-prompt") if role == "user" else ("response", "text")
    return {"kind": kind, "parts": [{"part_kind": part, "content": text}]}


FORM = Form("pydantic-ai", role, text, made)


async def talk(brain: AsyncRobotBrain, session_id: str, question: str, model: Any) -> str:
    """Answer one question. The messages of the run become one turn."""
    transcript = Transcript(session_id, FORM, personality="guide")
    remembered = ModelMessagesTypeAdapter.validate_python(await brain.run(transcript.read(limit=40)))
    result = await robot.run(question, message_history=remembered, model=model)
    await brain.run(transcript.append(ModelMessagesTypeAdapter.dump_python(result.new_messages(), mode="json")))
    return result.output


async def main() -> None:
    async with AsyncRobotBrain(os.environ.get("API", "http://127.0.0.1:3000")) as brain:
        for line in sys.stdin:
            print(await talk(brain, sys.argv[1], line.strip(), os.environ["MODEL"]))


if __name__ == "__main__":
    asyncio.run(main())
