"""A robot with a memory: python robot.py SESSION_ID. It needs robot-brain-client and no framework."""

import os
import sys
from collections.abc import Sequence

from robot_brain_client import RobotBrain
from robot_brain_client.types import StoredTurn


def answer(turns: Sequence[StoredTurn]) -> str:
    """Stand for your model: return the robot's response to the last of these turns."""
    return f"You asked {len(turns)} times. The first was: {turns[0]['user_message']}"


def talk(brain: RobotBrain, session_id: str, question: str) -> str:
    """Answer one question. It is stored before the model works, and the answer after it."""
    asked = brain.write(session_id, {"robot_personality": "guide", "user_message": question, "robot_response": ""})
    response = answer(brain.read(session_id, limit=20).body["messages"])
    turn = {"user_message": question, "robot_response": response}
    brain.replace(session_id, asked.body["last_seq"], turn, if_match=asked)
    return response


if __name__ == "__main__":
    brain = RobotBrain(os.environ.get("API", "http://127.0.0.1:3000"))
    for line in sys.stdin:
        print(talk(brain, sys.argv[1], line.strip()))
