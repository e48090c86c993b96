"""Requests over reused connections, with the standard library. Any number of threads may share a transport."""

from __future__ import annotations

import http.client
import os
import select
import ssl
import threading
from urllib.parse import SplitResult, unquote, urlsplit

from robot_brain_client.addresses import address
from robot_brain_client.answers import Reply
from robot_brain_client.errors import NotSentError, OutcomeUnknownError

_MOST_IDLE = 16


class Transport:
    """Sends requests to one address. A request that fails is not repeated here."""

    def __init__(self, url: str, timeout: float) -> None:
        self._address = address(url)
        self._timeout = timeout
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._tls = ssl.create_default_context() if self._address.scheme == "https" else None
        self._proxy = _proxy(self._address) if self._tls else None

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes | None) -> Reply:
        """Return the answer. Raises NotSentError without a connection and OutcomeUnknownError without an answer."""
        connection = self._connection()
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise OutcomeUnknownError(f"No answer: {type(error).__name__}: {error}") from error
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._keep(connection)
        return Reply(response.status, {name.lower(): text for name, text in response.getheaders()}, content)

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return self._connect()
            if _is_open(connection):
                return connection
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        place = self._proxy or self._address
        host, port = place.hostname or "", place.port or (8080 if self._proxy else None)
        if self._tls:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=self._timeout, context=self._tls
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=self._timeout)
        if self._proxy and self._address.hostname:
            connection.set_tunnel(self._address.hostname, self._address.port or 443, _authorization(self._proxy))
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise NotSentError(f"No connection to {self._address.netloc}: {error}") from error
        return connection

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if len(self._idle) < _MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()


def _is_open(connection: http.client.HTTPConnection) -> bool:
    """Whether the server kept the connection open: an idle one with something to read was closed."""
    if connection.sock is None:
        return False
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return not poll.poll(0)


def _proxy(address: SplitResult) -> SplitResult | None:
    """Return the proxy that HTTPS_PROXY names, if NO_PROXY does not exclude the host. Raises ValueError for others."""
    if not (os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")):
        return None
    from urllib.request import getproxies, proxy_bypass

    url = getproxies().get("https")
    if not url or proxy_bypass(address.hostname or ""):
        return None
    proxy = urlsplit(url if "://" in url else f"http://{url}")
    if proxy.scheme != "http" or not proxy.hostname:
        raise ValueError(f"HTTPS_PROXY has to be http://host:port, and has the scheme {proxy.scheme}")
    return proxy


def _authorization(proxy: SplitResult) -> dict[str, str]:
    """Return the header with the user and the password of the proxy's URL."""
    if proxy.username is None:
        return {}
    from base64 import b64encode

    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(login.encode()).decode()}"}
