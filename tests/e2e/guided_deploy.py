"""`sam deploy --guided` in a terminal of its own: each question that SAM asks, answered by the test."""

import os
import pty
import re
import select
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from tests.e2e.sam_bundle import SamBundle, find_sam, sam_environment
from tests.support.waiting import PATIENCE_SECONDS

REGION = "AWS_DEFAULT_REGION"
_BOLD = re.compile(r"\x1b\[[0-9;]*m")
# SAM ends each question with a colon, after the default in brackets if there is one.
_QUESTION = re.compile(r"(?:^|\n)[\t ]*([^\n\[]*?)(?: \[([^\n]*)\])?: $")


@dataclass(frozen=True)
class Question:
    """A question of SAM, and what it shows as the answer of a reader who just presses Enter."""

    text: str
    default: str | None


@dataclass(frozen=True)
class Guided:
    """The questions of one run in order, and all that SAM printed."""

    questions: list[Question]
    printed: str


def deploy_guided(
    bundle: SamBundle, answers: Mapping[str, str], environment: Mapping[str, str], *options: str
) -> Guided:
    """Run `sam deploy --guided` with more options in the bundle.

    Each question gets its answer by its text, and other questions get Enter. SAM's region comes from `environment`
    alone. The run ends when SAM ends. It fails if SAM asks one question three times in turn.
    """
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [str(find_sam()), "deploy", "--guided", *options],
        cwd=bundle.folder,
        env={name: value for name, value in sam_environment().items() if name != REGION} | dict(environment),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    questions: list[Question] = []
    printed = unanswered = ""
    try:
        while part := _read(leader):
            printed, unanswered = printed + part, unanswered + part
            if found := _QUESTION.search(_BOLD.sub("", unanswered).replace("\r", "")):
                questions.append(Question(found[1].strip(), found[2]))
                assert questions[-3:] != [questions[-1]] * 3, printed
                os.write(leader, answers.get(questions[-1].text, "").encode() + b"\n")
                unanswered = ""
        process.wait(PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    return Guided(questions, _BOLD.sub("", printed).replace("\r", ""))


def _read(leader: int) -> str:
    """Return what the terminal shows next, or nothing if its last program has ended."""
    ready, _, _ = select.select([leader], [], [], PATIENCE_SECONDS)
    assert ready, "SAM neither prints nor ends"
    try:
        return os.read(leader, 65536).decode(errors="replace")
    except OSError:  # Linux reports the end of a terminal's last program as an error
        return ""
