"""Find when a request begins on a connection to PostgreSQL, without the key of its TLS.

TLS hides the content of a record, but not its beginning, its type and its length. libpq sends one record for each
flush: the start-up message, two messages of SCRAM, then the requests.
"""

_HEADER = 5  # bytes of a TLS record before its content
_APPLICATION_DATA = 23
HANDSHAKE = 0x16
SSL_REQUEST = bytes.fromhex("0000000804d2162f")
# The extension of a ServerHello that chooses TLS 1.3. There the client sends the rest of the handshake as application
# data. This is Finished with a hash of 32 or 48 bytes, after a certificate if the server asked for one.
_FINISHED_1_3 = (4 + 32 + 17, 4 + 48 + 17)
_CHOOSES_1_3 = bytes.fromhex("002b00020304")
# The length of a record with Terminate, libpq's goodbye of 5 bytes, in TLS 1.3 and 1.2. Requests are longer.
_GOODBYE = {True: 5 + 17, False: 5 + 24}
_READY = b"Z\x00\x00\x00\x05"


class Conversation:
    """Follows the bytes of one connection. A client sends `login_records` records before its first request."""

    def __init__(self, login_records: int = 3) -> None:
        """Begin with a new connection. A login by SCRAM has three records, one without a password has one."""
        self._login_records = login_records
        self._encrypted: bool | None = None  # None until the client has chosen
        self._hello = b""
        self._finished = False  # the client's part of a handshake of TLS 1.3
        self._records = 0
        self._header = b""
        self._left = 0
        self._ready = False  # without TLS: the server has said that it is ready for a request
        self._asking = False  # the client has sent a request that the server has not answered

    def sent(self, data: bytes) -> bool:
        """Take what the client sends next. Return whether a request begins in it."""
        if self._encrypted is None and data != SSL_REQUEST:
            self._encrypted = data[0] == HANDSHAKE
        request = self._begins_encrypted(data) if self._encrypted else self._ready and data[:1] != b"X"
        begins = request and not self._asking
        self._asking = self._asking or request
        return begins

    def received(self, data: bytes) -> None:
        """Take what the server sends next."""
        self._asking = False
        if self._encrypted:
            if len(self._hello) < 4096:
                self._hello += data
        else:
            self._ready = data[-6:-1] == _READY

    def _begins_encrypted(self, data: bytes) -> bool:
        modern = _CHOOSES_1_3 in self._hello
        request = False
        while data:
            if self._left:
                self._left, data = max(0, self._left - len(data)), data[self._left :]
                continue
            missing = _HEADER - len(self._header)
            self._header, data = self._header + data[:missing], data[missing:]
            if len(self._header) == _HEADER:
                self._left = int.from_bytes(self._header[3:], "big")
                if self._header[0] != _APPLICATION_DATA:
                    pass
                elif modern and not self._finished:
                    self._finished = self._left in _FINISHED_1_3
                else:
                    self._records += 1
                    request = request or (self._records > self._login_records and self._left > _GOODBYE[modern])
                self._header = b""
        return request
