"""A browser, driven over chromedriver's HTTP (W3C WebDriver).

Selenium would do the same, with nine more packages to pin. It also fetches a driver from the network if it finds none.
"""

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.examples.binaries import browser_and_driver
from tests.support.waiting import PATIENCE_SECONDS, wait_until

# Containers have a small /dev/shm. As root, Chromium runs only without its sandbox.
_ARGUMENTS = ["--headless=new", "--disable-dev-shm-usage", "--no-proxy-server", "--disable-background-networking"]

_PORT = re.compile(r"started successfully on port (\d+)")


@dataclass(frozen=True)
class Browser:
    """A browser with one window: the URL of its session at the driver."""

    session: str

    def open(self, url: str) -> None:
        """Load a page."""
        self._post("url", url=url)

    def type(self, selector: str, text: str) -> None:
        """Replace the text of a field, key by key."""
        self._on(selector, "clear")
        self._on(selector, "value", text=text)

    def click(self, selector: str) -> None:
        """Click the first element that a CSS selector finds."""
        self._on(selector, "click")

    def script(self, text: str, *arguments: object) -> Any:
        """Run a script in the page. Return its result. A promise is awaited."""
        return self._post("execute/sync", script=text, args=arguments)

    def _on(self, selector: str, command: str, **body: object) -> None:
        (element,) = self._post("element", using="css selector", value=selector).values()
        self._post(f"element/{element}/{command}", **body)

    def _post(self, command: str, **body: object) -> Any:
        return _call("POST", f"{self.session}/{command}", body)


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """Run a headless browser that keeps its files in `folder`. End all its processes afterwards."""
    browser, driver = browser_and_driver()
    output = folder / "chromedriver.txt"
    with output.open("w") as file:
        environment = {**os.environ, "TMPDIR": str(folder), "HOME": str(folder)}
        process = subprocess.Popen([driver, "--port=0"], stdout=file, stderr=subprocess.STDOUT, env=environment)
    try:
        wait_until(lambda: _PORT.search(output.read_text()) is not None, output.read_text)
        sessions = f"http://127.0.0.1:{_PORT.findall(output.read_text())[0]}/session"
        arguments = [*_ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        wanted = {"goog:chromeOptions": {"binary": str(browser), "args": arguments}}
        session = f"{sessions}/{_call('POST', sessions, {'capabilities': {'alwaysMatch': wanted}})['sessionId']}"
        yield Browser(session)
        _call("DELETE", session)
    finally:
        for each in psutil.Process(process.pid).children(recursive=True):
            each.kill()
        process.kill()
        process.wait()


def _call(method: str, url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return json.loads(answer.read())["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {url}: {error.read().decode()}") from error
