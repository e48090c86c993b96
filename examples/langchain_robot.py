"""A robot of LangChain with a memory: MODEL=openai:gpt-5-mini python langchain_robot.py SESSION_ID."""

import os
import sys
from typing import Any

from langchain_core.messages import SystemMessage
from langchain_core.tools import tool

from robot_brain_client import RobotBrain
from robot_brain_client.langchain import RobotBrainChatMessageHistory


@tool
def temperature(city: str) -> str:
    """Return the temperature in a city."""
    return f"-3 degrees in {city}"


def talk(brain: RobotBrain, session_id: str, question: str, model: Any) -> str:
    """Answer one question. The messages are stored as they happen."""
    history = RobotBrainChatMessageHistory(session_id, brain, personality="guide")
    history.add_user_message(question)
    messages = [SystemMessage("You know the weather."), *history.messages]
    while True:
        messages.append(model.bind_tools([temperature]).invoke(messages))
        history.add_message(messages[-1])
        if not messages[-1].tool_calls:
            return messages[-1].text
        outputs = [temperature.invoke(call) for call in messages[-1].tool_calls]
        history.add_messages(outputs)
        messages += outputs


if __name__ == "__main__":
    from langchain.chat_models import init_chat_model

    brain = RobotBrain(os.environ.get("API", "http://127.0.0.1:3000"))
    for line in sys.stdin:
        print(talk(brain, sys.argv[1], line.strip(), init_chat_model(os.environ["MODEL"])))
