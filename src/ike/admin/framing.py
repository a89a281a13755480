"""racoon's admin socket: one request a connection, a header of 8 octets, host byte order.

The protocol is racoon's own (racoonctl of ipsec-tools and its forks speak it). A request says its
version; a reply says its error number instead, or the upper half of its length when it is longer
than 65535 octets.
"""

import struct

from ike.admin.errors import AdminError, undecodable_is_admin_error
from wire.cursor import Cursor
from wire.lean import Final, Self
from wire.open_enum import OpenEnum
from wire.record import Record

HEADER: Final = struct.Struct("=HHHH")  # length with this header, command, version/errno, protocol
VERSION: Final = 1
MARK: Final = 0x8000  # in the command; request: a version follows; reply: the length's upper half
MAXIMUM: Final = 16 << 20  # octets; a longer message is refused unread


class Command(OpenEnum):
    RELOAD_CONFIG = 0x0001
    SHOW_SCHEDULE = 0x0002
    SHOW_EVENT = 0x0003
    SHOW_SA = 0x0101
    FLUSH_SA = 0x0102
    STATUS = 0x0103
    STATUS_VERBOSE = 0x0104
    DELETE_SA = 0x0201
    ESTABLISH_SA = 0x0202
    ESTABLISH_SA_WITH_PASSWORD = 0x0203
    DELETE_ALL_SA_DST = 0x0204
    LOGOUT_USER = 0x0205
    GET_CERT = 0x0206


class Subject(OpenEnum):
    """What a command is about: the header's protocol field."""

    NONE = 0
    ISAKMP = 0x01FF
    IPSEC = 0x02FF
    AH = 0x0201
    ESP = 0x0202
    INTERNAL = 0x0301


class StatusForm(OpenEnum):
    """The protocol field of the two status commands."""

    TEXT = 0
    JSON = 1


class Request(Record, kw_only=True):
    """`subject` is a Subject, or a StatusForm for the status commands."""

    command: Command
    subject: int = Subject.NONE
    body: bytes = b""
    version: int = VERSION

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises: AdminError."""
        with undecodable_is_admin_error("request"):
            cursor = Cursor(data)
            length, command, version, subject = cursor.unpack(HEADER)
            body = cursor.take(length - HEADER.size)
        if not command & MARK:
            version = 0
        return cls(command=Command(command & ~MARK), subject=subject, body=body, version=version)

    def __bytes__(self) -> bytes:
        length = HEADER.size + len(self.body)
        if length > 0xFFFF:
            raise AdminError(f"a request of {length} octets is too long for the admin socket")
        command = self.command | (MARK if self.version else 0)
        return HEADER.pack(length, command, self.version, self.subject) + self.body


class Reply(Record, kw_only=True):
    """`errno` is the system's error number, 0 for success."""

    command: Command
    subject: int = Subject.NONE
    body: bytes = b""
    errno: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises: AdminError."""
        length = reply_length(data)
        with undecodable_is_admin_error("reply"):
            cursor = Cursor(data)
            _, command, third, subject = cursor.unpack(HEADER)
            body = cursor.take(length - HEADER.size)
        errno = 0 if command & MARK else third
        return cls(command=Command(command & ~MARK), subject=subject, body=body, errno=errno)

    def __bytes__(self) -> bytes:
        length = HEADER.size + len(self.body)
        if length <= 0xFFFF:
            return HEADER.pack(length, self.command, self.errno, self.subject) + self.body
        head = HEADER.pack(length & 0xFFFF, self.command | MARK, length >> 16, self.subject)
        return head + self.body


def request_length(header: bytes) -> int:
    """How long the request is in all, from its first 8 octets. Raises: AdminError."""
    with undecodable_is_admin_error("request"):
        length = int(Cursor(header).unpack(HEADER)[0])
    return _checked(length)


def reply_length(header: bytes) -> int:
    """How long the reply is in all, from its first 8 octets. Raises: AdminError."""
    with undecodable_is_admin_error("reply"):
        length, command, third, _ = Cursor(header).unpack(HEADER)
    return _checked(length | third << 16 if command & MARK else length)


def _checked(length: int) -> int:
    if not HEADER.size <= length <= MAXIMUM:
        raise AdminError(
            f"a message on the admin socket gives a length of {length} octets, which is not"
            " possible"
        )
    return length
