"""Let containers of `sam local` reach the database of `make run`: a relay that asks for a password.

The embedded PostgreSQL listens on a socket and trusts its user. A container cannot reach that socket. This relay
listens on an address that containers can reach. It reads the first message of each client and admits one login on one
database, by its password. Only then does it connect to PostgreSQL and pass bytes. No traffic leaves the machine, so
there is no TLS.
"""

import asyncio
import contextlib
import hmac
import socket
import struct
from ipaddress import IPv4Interface, ip_address

import psutil

from local.relay import Connection, Relay, Target

# The codes of PostgreSQL's first messages.
PROTOCOL_3 = 3
CANCEL = 80877102
ENCRYPTION = (80877103, 80877104)  # TLS, GSSAPI

LONGEST_MESSAGE = 10_000  # bytes, PostgreSQL's own limit of a first message
LOGIN_SECONDS = 10
_ASK_FOR_PASSWORD = b"R" + struct.pack("!II", 8, 3)


class Client(Connection):
    """A container's connection, and its first message, which PostgreSQL gets once the client has logged in."""

    first = b""


class Gate(Relay[Client]):
    """A relay on an address of this machine to `target`, for one login on one database."""

    def __init__(
        self, target: Target, place: IPv4Interface, port: int, login: str, database: str, password: str
    ) -> None:
        """Listen on `place` and `port`, or on a free port if that one is taken. Refuse clients of other networks."""
        super().__init__(target, Client)
        self._place = place
        self._wanted = port
        self._login = login
        self._database = database
        self._password = password.encode()

    async def _listen(self) -> None:
        self._listener = _bound(str(self._place.ip), self._wanted)
        self.port = self._listener.getsockname()[1]
        await super()._listen()

    async def _answer(self, connection: Client) -> None:
        if not self._is_near(connection.client.getpeername()[0]):
            return
        try:
            async with asyncio.timeout(LOGIN_SECONDS):
                admitted = await self._log_in(connection)
        except (TimeoutError, EOFError):
            return
        if admitted:
            await super()._answer(connection)

    def _is_near(self, address: str) -> bool:
        """Return whether an address is of the gate's own network or of this machine.

        Docker's rules for addresses (NAT) give a client on this machine another one of its addresses.
        """
        if ip_address(address) in self._place.network:
            return True
        return any(address == own.address for each in psutil.net_if_addrs().values() for own in each)

    async def _dial(self, connection: Client) -> None:
        await super()._dial(connection)
        assert connection.server is not None
        await self._loop.sock_sendall(connection.server, connection.first)

    async def _log_in(self, connection: Client) -> bool:
        """Return whether the client may go on. If it may not, the client has the reason."""
        client = connection.client
        while True:
            length, code = struct.unpack("!II", await self._exactly(client, 8))
            if not 8 <= length <= LONGEST_MESSAGE:
                return False
            if code not in ENCRYPTION:
                break
            await self._loop.sock_sendall(client, b"N")
        content = await self._exactly(client, length - 8)
        connection.first = struct.pack("!II", length, code) + content
        if code == CANCEL:
            return True  # it has the secret key of a connection, which PostgreSQL compares
        if code >> 16 != PROTOCOL_3 or not self._names_the_login(content):
            await self._refuse(client, "28000", "only the login of the functions may connect here")
            return False
        await self._loop.sock_sendall(client, _ASK_FOR_PASSWORD)
        kind, length = struct.unpack("!cI", await self._exactly(client, 5))
        if kind != b"p" or not 4 <= length <= LONGEST_MESSAGE:
            return False
        answer = (await self._exactly(client, length - 4)).removesuffix(b"\0")
        if not hmac.compare_digest(answer, self._password):
            await self._refuse(client, "28P01", "the password is wrong: make run has written another env file since")
            return False
        return True

    def _names_the_login(self, content: bytes) -> bool:
        """Return whether a first message names this login and this database, each once."""
        words = content.split(b"\0")
        named = list(zip(words[0:-2:2], words[1:-1:2], strict=False))
        return [value for name, value in named if name == b"user"] == [self._login.encode()] and [
            value for name, value in named if name == b"database"
        ] == [self._database.encode()]

    async def _refuse(self, client: socket.socket, code: str, reason: str) -> None:
        fields = b"".join(part.encode() + b"\0" for part in ("SFATAL", "VFATAL", f"C{code}", f"M{reason}")) + b"\0"
        await self._loop.sock_sendall(client, b"E" + struct.pack("!I", len(fields) + 4) + fields)

    async def _exactly(self, client: socket.socket, count: int) -> bytes:
        """Return the next `count` bytes. Raises EOFError if the client closes the connection before."""
        received = b""
        while len(received) < count:
            part = await self._loop.sock_recv(client, count - len(received))
            if not part:
                raise EOFError
            received += part
        return received


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to the port, or to a free one if the port is taken. It does not listen yet."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setblocking(False)
    if port:
        with contextlib.suppress(OSError):
            made.bind((host, port))
            return made
    made.bind((host, 0))
    return made
