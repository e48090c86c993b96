"""The page of examples/browser in a real browser, as a user sees and uses it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from tests.examples.binaries import EXAMPLES
from tests.examples.webdriver import Browser
from tests.support.waiting import wait_until

_PORT = re.compile(r"port (\d+)")
_IS_DONE = "return document.getElementById('status').textContent && !document.querySelector('button:disabled')"


@dataclass(frozen=True)
class ChatPage:
    """A page that is open in a browser."""

    browser: Browser

    def fill(self, **fields: str) -> None:
        """Type a text into each field of this name."""
        for name, text in fields.items():
            self.browser.type(f"#{name}", text)

    def press(self, button: str) -> str:
        """Press a button. Return what the page says when it is done."""
        self.browser.script("document.getElementById('status').textContent = ''")
        self.browser.click(button)
        wait_until(lambda: bool(self.browser.script(_IS_DONE)), self.status)
        return self.status()

    def log_in(self, user: str) -> str:
        """Get a token for a user. Return what the page says."""
        self.fill(user=user)
        return self.press("#login button")

    def send(self, message: str) -> str:
        """Send a message. Return what the page says."""
        self.fill(message=message)
        return self.press("#chat button")

    def value(self, name: str) -> str:
        """Return the text in a field."""
        return str(self.browser.script("return document.getElementById(arguments[0]).value", name))

    def lines(self, name: str) -> list[str]:
        """Return the texts of a list's items."""
        found = self.browser.script(
            "return [...document.getElementById(arguments[0]).children].map(e => e.innerText)", name
        )
        return [str(text) for text in found]

    def status(self) -> str:
        """Return what the page says now."""
        return str(self.browser.script("return document.getElementById('status').textContent"))


def open_page(browser: Browser, origin: str, api: str, issuer: str) -> ChatPage:
    """Open the page from `origin`, for this API and this issuer."""
    browser.open(f"{origin}/?{urlencode({'api': api, 'issuer': issuer})}")
    return ChatPage(browser)


@contextmanager
def served_pages(folder: Path) -> Iterator[int]:
    """Serve examples/browser as its README says, on any free port. Give the port."""
    output = folder / "pages.txt"
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "-d", str(EXAMPLES / "browser")]
    with output.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: _PORT.search(output.read_text()) is not None, output.read_text)
        yield int(_PORT.findall(output.read_text())[0])
    finally:
        process.kill()
        process.wait()
