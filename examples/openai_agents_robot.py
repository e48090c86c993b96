"""A robot of the OpenAI Agents SDK with a memory: python openai_agents_robot.py SESSION_ID."""

import asyncio
import os
import sys

from agents import Agent, Runner, function_tool

from robot_brain_client import AsyncRobotBrain
from robot_brain_client.openai_agents import RobotBrainSession


@function_tool
def temperature(city: str) -> str:
    """Return the temperature in a city."""
    return f"-3 degrees in {city}"


async def talk(brain: AsyncRobotBrain, session_id: str, question: str, model: object) -> str:
    """Answer one question. The items are stored as they happen."""
    robot = Agent(name="Guide", instructions="You know the weather.", tools=[temperature], model=model)
    session = RobotBrainSession(session_id, brain, personality="guide")
    result = await Runner.run(robot, question, session=session)
    return str(result.final_output)


async def main() -> None:
    async with AsyncRobotBrain(os.environ.get("API", "http://127.0.0.1:3000")) as brain:
        for line in sys.stdin:
            print(await talk(brain, sys.argv[1], line.strip(), os.environ.get("OPENAI_MODEL")))


if __name__ == "__main__":
    asyncio.run(main())
