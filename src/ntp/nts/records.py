"""Records of the key exchange -- RFC 8915, 4.

A record is a critical bit, a type of 15 bits, a length, and a body. A client says what it can do,
the server chooses, gives cookies, and both take keys out of the TLS session.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final, Self

from ntp.errors import NtpError
from wire.cursor import Cursor, DecodeError
from wire.open_enum import OpenEnum

ALPN: Final = b"ntske/1"
EXPORTER_LABEL: Final = b"EXPORTER-network-time-security"
NTPV4: Final = 0  # next protocol
AEAD_AES_SIV_CMAC_256: Final = 15  # the one that every server has (RFC 8915, 5.1)
KEY_LENGTH: Final = 32  # octets, for that one
LONGEST: Final = 65_536  # octets of a response; far more than eight cookies
MOST_COOKIES: Final = 8

_HEADER = Struct("!HH")
_NUMBER = Struct("!H")
_CRITICAL: Final = 0x8000


class RecordType(OpenEnum):
    """RFC 8915, 7.6."""

    END_OF_MESSAGE = 0
    NEXT_PROTOCOL = 1
    ERROR = 2
    WARNING = 3
    AEAD_ALGORITHM = 4
    NEW_COOKIE = 5
    SERVER = 6
    PORT = 7


_ERRORS: Final = {
    0: "it does not understand a record that we sent",
    1: "it says that our request is malformed",
    2: "it reports an internal error",
}


class KeyExchangeFailed(NtpError):
    """The other side broke the protocol, or cannot serve us."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record. Types without a name survive."""

    record_type: RecordType
    body: bytes = b""
    critical: bool = True

    @classmethod
    def parse(cls, cursor: Cursor) -> Self:
        """Raises: DecodeError."""
        first, length = cursor.unpack(_HEADER)
        body = cursor.take(length)
        return cls(RecordType(first & ~_CRITICAL), body, bool(first & _CRITICAL))

    def __bytes__(self) -> bytes:
        first = self.record_type | (_CRITICAL if self.critical else 0)
        return _HEADER.pack(first, len(self.body)) + self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What the server chose. `host` empty, `port` 0: it said nothing, so ask where keys were
    exchanged, on port 123."""

    cookies: tuple[bytes, ...]
    host: str = ""
    port: int = 0


def request() -> bytes:
    """What a client sends: NTPv4, under AEAD_AES_SIV_CMAC_256."""
    records = (
        Record(RecordType.NEXT_PROTOCOL, _NUMBER.pack(NTPV4)),
        Record(RecordType.AEAD_ALGORITHM, _NUMBER.pack(AEAD_AES_SIV_CMAC_256)),
        Record(RecordType.END_OF_MESSAGE),
    )
    return b"".join(map(bytes, records))


def parse(octets: bytes) -> tuple[Record, ...] | None:
    """The records of a message up to its end, or None if the end has not come yet.

    Raises: KeyExchangeFailed if more comes than a key exchange can need.
    """
    if len(octets) > LONGEST:
        raise KeyExchangeFailed("it sends more than a key exchange can need")
    cursor = Cursor(octets)
    records: list[Record] = []
    try:
        while not records or records[-1].record_type != RecordType.END_OF_MESSAGE:
            records.append(Record.parse(cursor))
    except DecodeError:
        return None
    return tuple(records)


def understand(records: Sequence[Record]) -> Response:
    """What the records of a server amount to (RFC 8915, 4.1). Raises: KeyExchangeFailed."""
    seen: dict[RecordType, bytes] = {}
    cookies: list[bytes] = []
    for record in records:
        match record.record_type:
            case RecordType.ERROR:
                number = int.from_bytes(record.body, "big")
                raise KeyExchangeFailed(_ERRORS.get(number, f"it reports error {number}"))
            case RecordType.WARNING:
                raise KeyExchangeFailed("it sent an unknown warning")
            case RecordType.NEW_COOKIE:
                cookies.append(record.body)
            case kind if not kind.known:
                if record.critical:
                    raise KeyExchangeFailed(f"its record type {kind} is critical and unknown")
            case kind:
                if kind in seen:
                    raise KeyExchangeFailed(f"it sends the record {kind} twice")
                seen[kind] = record.body
    if seen.get(RecordType.NEXT_PROTOCOL) != _NUMBER.pack(NTPV4):
        raise KeyExchangeFailed("it does not serve NTP version 4")
    if seen.get(RecordType.AEAD_ALGORITHM) != _NUMBER.pack(AEAD_AES_SIV_CMAC_256):
        raise KeyExchangeFailed("it does not support AEAD_AES_SIV_CMAC_256")
    if not cookies or not all(cookies):
        raise KeyExchangeFailed("it gives no cookies")
    return Response(
        cookies=tuple(cookies[:MOST_COOKIES]),
        host=_host(seen.get(RecordType.SERVER, b"")),
        port=_port(seen.get(RecordType.PORT)),
    )


def exporter_context(*, to_server: bool) -> bytes:
    """RFC 8915, 5.1: protocol, algorithm, and whose key it is."""
    number = _NUMBER.pack(NTPV4) + _NUMBER.pack(AEAD_AES_SIV_CMAC_256)
    return number + (b"\0" if to_server else b"\1")


def _host(body: bytes) -> str:
    try:
        host = body.decode("ascii")
    except UnicodeDecodeError:
        host = " "
    if len(host) > 255 or not all(c.isalnum() or c in "-.:_" for c in host):
        raise KeyExchangeFailed("the server name that it gives is not a host name")
    return host


def _port(body: bytes | None) -> int:
    if body is None:
        return 0
    if len(body) != _NUMBER.size or not any(body):
        raise KeyExchangeFailed("the port that it gives is not a port number")
    return int.from_bytes(body, "big")
