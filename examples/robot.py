"""A robot with a memory: python robot.py SESSION_ID. It needs robot-brain-client and no framework."""

import os
import sys

from robot_brain_client import RobotBrain


def answer(memory: list[dict[str, str]]) -> str:
    """Stand for your model: return the robot's response to these messages."""
    questions = [message["content"] for message in memory if message["role"] == "user"]
    return f"You asked {len(questions)} times. The first was: {questions[0]}"


def talk(brain: RobotBrain, session_id: str, question: str) -> str:
    """Answer one question. It is stored before the model works, and the answer after it."""
    asked = brain.write(session_id, {"robot_personality": "guide", "user_message": question, "robot_response": ""})
    memory = []
    for turn in brain.read(session_id, limit=20).body["messages"]:
        memory.append({"role": "user", "content": turn["user_message"]})
        if turn["robot_response"]:
            memory.append({"role": "assistant", "content": turn["robot_response"]})
    response = answer(memory)
    brain.replace(
        session_id,
        asked.body["last_seq"],
        {"user_message": question, "robot_response": response},
        if_match=asked,
    )
    return response


if __name__ == "__main__":
    brain = RobotBrain(os.environ.get("API", "http://127.0.0.1:3000"))
    for line in sys.stdin:
        print(talk(brain, sys.argv[1], line.strip()))
