"""The page of examples/browser in headless Chromium, against `AUTH=jwt make run` and its issuer."""

import re
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.local_stack import Stack, call, open_folder, running
from tests.examples.binaries import browser_and_driver
from tests.examples.chat_page import ChatPage, open_page, served_pages
from tests.examples.stubborn_api import stubborn_api
from tests.examples.webdriver import Browser, browsing
from tests.support.servers.binaries import skip_without
from tests.support.waiting import wait_until

ISSUER = re.compile(r"issuer\D*(http://127\.0\.0\.1:\d+)", re.I)


@dataclass(frozen=True)
class Place:
    """What a test of the page needs: a browser, the port that serves the page, and a local stack with its issuer."""

    browser: Browser
    port: int
    stack: Stack
    issuer: str

    def page(self, host: str = "localhost") -> ChatPage:
        """Open the page."""
        return open_page(self.browser, f"http://{host}:{self.port}", self.stack.url, self.issuer)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A browser beside a local stack. Every user of this machine can enter the folder."""
    skip_without(browser_and_driver)
    with (
        open_folder() as folder,
        running(folder / "state", AUTH="jwt") as stack,
        served_pages(folder) as port,
        browsing(folder) as browser,
    ):
        stack.wait_until_printed(ISSUER.pattern)
        yield Place(browser, port, stack, ISSUER.findall(stack.output.read_text())[0])


def test_a_user_gets_a_token_chats_lists_reads_and_erases(place: Place) -> None:
    page = place.page()
    assert page.log_in("ann") == "Your token is for ann."
    session = page.value("session")
    assert page.send("Is it cold in Oslo?") == "Turns in this session: 1"
    assert page.send("<b onclick='x'>Grüße</b>, 日本 ☕") == "Turns in this session: 2"
    turns = page.lines("turns")
    assert turns == [
        "Is it cold in Oslo?\nYou said: Is it cold in Oslo?",
        "<b onclick='x'>Grüße</b>, 日本 ☕\nYou said: <b onclick='x'>Grüße</b>, 日本 ☕",
    ]
    assert page.press("#list") == "Your sessions: 1"
    assert page.lines("sessions") == ["<b onclick='x'>Grüße</b>, 日本 ☕ (2)"]

    # The page is loaded again, with another session, and opens the first one from the list.
    page = place.page()
    page.log_in("ann")
    assert page.value("session") != session
    page.press("#list")
    assert page.press("#sessions button") == "Turns in this session: 2"
    assert (page.value("session"), page.lines("turns")) == (session, turns)

    assert page.press("#erase") == "The session is erased."
    assert (page.lines("turns"), page.lines("sessions")) == ([], [])
    assert page.press("#list") == "Your sessions: 0"
    page.fill(session=session)
    assert page.press("#read") == "404: You have no such session."


def test_another_user_in_the_same_browser_meets_no_session_of_the_first(place: Place) -> None:
    page = place.page()
    page.log_in("ann")
    page.send("Only for me")
    session = page.value("session")
    page.press("#list")

    assert page.log_in("bob") == "Your token is for bob."
    assert (page.lines("turns"), page.lines("sessions")) == ([], [])
    assert page.press("#list") == "Your sessions: 0"
    page.fill(session=session)
    assert page.press("#read") == "404: You have no such session."
    assert page.send("Hello?") == "404: This id is taken. Use another id."
    assert page.press("#erase") == "404: You have no such session."

    page.log_in("ann")
    page.fill(session=session)
    assert page.press("#read") == "Turns in this session: 1"
    assert page.press("#erase") == "The session is erased."


def test_without_a_token_or_with_a_wrong_one_the_page_says_401(place: Place) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        call(f"{place.stack.url}/sessions")
    page = place.page()
    refused = page.press("#list")
    assert "401: The token is missing, wrong or expired." in refused
    page.log_in("ann")
    token = page.value("token")
    page.fill(token=token[:-8] + "AAAAAAAA")
    assert page.press("#list") == page.send("Hello!") == refused
    page.fill(token=token)
    assert page.press("#list") == "Your sessions: 0"


def test_a_session_that_changed_since_it_was_shown_is_not_erased(place: Place) -> None:
    page = place.page()
    page.log_in("cleo")
    page.send("First")
    path = f"/sessions/{page.value('session')}/messages"
    turn = '{"robot_personality": "echo", "user_message": "Second", "robot_response": ""}'
    headers = {"Authorization": f"Bearer {page.value('token')}", "Content-Type": "application/json"}
    send = "return fetch(arguments[0], {method: 'POST', headers: arguments[1], body: arguments[2]}).then(a => a.status)"
    assert place.browser.script(send, place.stack.url + path, headers, turn) == 201

    assert page.press("#erase") == "412: The session was changed meanwhile. Look at it, and try again."
    assert page.lines("turns") == ["First\nYou said: First", "Second\n"]
    assert page.press("#erase") == "The session is erased."


def test_a_page_of_a_foreign_origin_reads_no_answer_and_writes_nothing(place: Place) -> None:
    page = place.page()
    page.log_in("dora")
    page.send("Only for pages of this origin")
    token, session = page.value("token"), page.value("session")

    foreign = place.page("evil.localhost")
    origin = f"http://evil.localhost:{place.port}"
    assert place.browser.script("return location.origin") == origin
    assert foreign.log_in("dora") == "Failed to fetch"
    foreign.fill(token=token, session=session)
    said = [foreign.press("#list"), foreign.press("#read"), foreign.send("Foreign"), foreign.press("#erase")]
    assert set(said) == {f"The API does not answer, or it does not allow pages of {origin}: Failed to fetch"}
    assert (foreign.lines("turns"), foreign.lines("sessions")) == ([], [])

    page = place.page()
    page.fill(token=token, session=session)
    assert page.press("#read") == "Turns in this session: 1"


def test_the_page_repeats_a_turn_with_the_same_key_after_409_and_503(place: Place) -> None:
    with stubborn_api() as api:
        page = open_page(place.browser, f"http://localhost:{place.port}", api.url, place.issuer)
        api.refusals = [503, 409, 503]
        assert page.send("Hello!") == "Turns in this session: 1"
        assert page.lines("turns") == ["Hello!\nYou said: Hello!"]
        *writes, read = api.received
        assert (len(writes), len(set(writes)), read[0]) == (4, 1, "GET")

        # Its patience ends. What the user then sends again keeps its key.
        api.refusals, api.received = [503] * 6, []
        assert page.send("Again") == "503: The API is not ready. Try again later."
        assert page.send("Again") == "Turns in this session: 1"
        *writes, read = api.received
        assert (len(writes), len(set(writes))) == (7, 1)


def test_a_browser_shows_what_runs_at_the_root_of_the_local_front_and_follows_its_link(place: Place) -> None:
    place.browser.open(f"{place.stack.url}/")
    assert place.browser.script("return document.title") == "Robot Brain on this machine"
    assert "It runs with AUTH=jwt" in place.browser.script("return document.body.innerText")
    assert place.browser.script("return getComputedStyle(document.body).maxWidth") != "none"
    place.browser.click("a[href='/health']")
    wait_until(lambda: place.browser.script("return location.pathname") == "/health")
    assert '"status": "ok"' in place.browser.script("return document.body.innerText")
