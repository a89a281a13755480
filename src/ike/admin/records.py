"""What requests and replies on the admin socket carry: C structures of racoon on x86-64."""

import struct
from ipaddress import IPv4Address, IPv6Address

from ike.admin.errors import AdminError, undecodable_is_admin_error
from wire.cursor import Cursor
from wire.lean import Final, Self
from wire.open_enum import OpenEnum
from wire.record import Record
from wire.secret import Secret

Address = IPv4Address | IPv6Address

_AF_INET: Final = 2
_AF_INET6: Final = 10
_SOCKADDR_SIZE: Final = 128  # sockaddr_storage
_SOCKADDR_IN: Final = struct.Struct("!H4s")
_SOCKADDR_IN6: Final = struct.Struct("!HI16s")
_FAMILY: Final = struct.Struct("=H")


class Endpoint(Record):
    """A socket address: port 0 is any; `address` None is the unspecified family."""

    address: Address | None
    port: int = 0

    @classmethod
    def read(cls, cursor: Cursor) -> Self:
        storage = cursor.sub(_SOCKADDR_SIZE)
        (family,) = storage.unpack(_FAMILY)
        if family == _AF_INET:
            port, octets = storage.unpack(_SOCKADDR_IN)
            return cls(IPv4Address(octets), port)
        if family == _AF_INET6:
            port, _, octets = storage.unpack(_SOCKADDR_IN6)
            return cls(IPv6Address(octets), port)
        return cls(None)

    def __bytes__(self) -> bytes:
        match self.address:
            case IPv4Address(packed=octets):
                head = _FAMILY.pack(_AF_INET) + _SOCKADDR_IN.pack(self.port, octets)
            case IPv6Address(packed=octets):
                head = _FAMILY.pack(_AF_INET6) + _SOCKADDR_IN6.pack(self.port, 0, octets)
            case None:
                head = b""
        return head.ljust(_SOCKADDR_SIZE, b"\0")

    def __str__(self) -> str:
        return "anonymous" if self.address is None else f"{self.address}[{self.port}]"


_INDEX: Final = struct.Struct("=BBBx4x")


class Index(Record, kw_only=True):
    """Which SA a command means: end points, and for IPsec SAs their prefixes and protocol."""

    src: Endpoint
    dst: Endpoint
    src_prefix: int = 32
    dst_prefix: int = 32
    protocol: int = 0

    @classmethod
    def parse(cls, data: bytes) -> tuple[Self, bytes]:
        """The index and the octets after it. Raises: AdminError."""
        with undecodable_is_admin_error("address pair"):
            cursor = Cursor(data)
            src_prefix, dst_prefix, protocol = cursor.unpack(_INDEX)
            src, dst = Endpoint.read(cursor), Endpoint.read(cursor)
            rest = cursor.rest()
        index = cls(
            src=src, dst=dst, src_prefix=src_prefix, dst_prefix=dst_prefix, protocol=protocol
        )
        return index, rest

    def __bytes__(self) -> bytes:
        head = _INDEX.pack(self.src_prefix, self.dst_prefix, self.protocol)
        return head + bytes(self.src) + bytes(self.dst)


_CREDENTIALS: Final = struct.Struct("=i4xQQ")


class Credentials(Record, kw_only=True):
    """Who to be and with which password, for XAuth; both strings end with a NUL on the wire."""

    id_type: int
    identity: bytes
    password: Secret

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises: AdminError."""
        with undecodable_is_admin_error("identity and password"):
            cursor = Cursor(data)
            id_type, id_length, key_length = cursor.unpack(_CREDENTIALS)
            identity, password = cursor.take(id_length), cursor.take(key_length)
        return cls(
            id_type=id_type,
            identity=identity.removesuffix(b"\0"),
            password=Secret(password.removesuffix(b"\0")),
        )

    def __bytes__(self) -> bytes:
        identity, password = self.identity + b"\0", self.password.reveal() + b"\0"
        return _CREDENTIALS.pack(self.id_type, len(identity), len(password)) + identity + password


class Side(OpenEnum):
    INITIATOR = 0
    RESPONDER = 1


class Phase1Status(OpenEnum):
    """How far a phase 1 has come, by racoon's numbers."""

    SPAWN = 0
    START = 1
    MESSAGE_1_RECEIVED = 2
    MESSAGE_1_SENT = 3
    MESSAGE_2_RECEIVED = 4
    MESSAGE_2_SENT = 5
    MESSAGE_3_RECEIVED = 6
    MESSAGE_3_SENT = 7
    MESSAGE_4_RECEIVED = 8
    ESTABLISHED = 9
    DYING = 10
    EXPIRED = 11


_ISAKMP_SA: Final = struct.Struct("=16sii")
_ISAKMP_SA_TAIL: Final = struct.Struct("=BB6xqi4x")


class IsakmpSaRecord(Record, kw_only=True):
    """One row of `show-sa isakmp`. `exchange` is ISAKMP's exchange type; `created` Unix seconds."""

    cookies: bytes
    status: Phase1Status
    side: Side
    remote: Endpoint
    local: Endpoint
    version: int = 0x10
    exchange: int
    created: int
    phase2_count: int

    @classmethod
    def read(cls, cursor: Cursor) -> Self:
        cookies, status, side = cursor.unpack(_ISAKMP_SA)
        remote, local = Endpoint.read(cursor), Endpoint.read(cursor)
        version, exchange, created, phase2_count = cursor.unpack(_ISAKMP_SA_TAIL)
        return cls(
            cookies=cookies,
            status=Phase1Status(status & 0xFFFFFFFF),
            side=Side(side & 0xFFFFFFFF),
            remote=remote,
            local=local,
            version=version,
            exchange=exchange,
            created=created,
            phase2_count=phase2_count,
        )

    def __bytes__(self) -> bytes:
        head = _ISAKMP_SA.pack(self.cookies, self.status, self.side)
        tail = _ISAKMP_SA_TAIL.pack(self.version, self.exchange, self.created, self.phase2_count)
        return head + bytes(self.remote) + bytes(self.local) + tail


def isakmp_sas(body: bytes) -> list[IsakmpSaRecord]:
    """The records of a `show-sa isakmp` reply. Raises: AdminError."""
    records = []
    with undecodable_is_admin_error("list of ISAKMP SAs"):
        cursor = Cursor(body)
        while len(cursor):
            records.append(IsakmpSaRecord.read(cursor))
    return records


_SCHEDULE: Final = struct.Struct("=qqqq")


class ScheduleRecord(Record, kw_only=True):
    """One timer: it fires at `due` (monotonic seconds), in `tick` seconds.

    `created` is Unix seconds.
    """

    due: int
    number: int
    created: int
    tick: int

    def __bytes__(self) -> bytes:
        return _SCHEDULE.pack(self.due, self.number, self.created, self.tick)


def schedule(body: bytes) -> list[ScheduleRecord]:
    """The records of a `show-schedule` reply. Raises: AdminError."""
    if len(body) % _SCHEDULE.size:
        raise AdminError(
            f"a schedule of {len(body)} octets does not hold a whole number of records"
        )
    return [
        ScheduleRecord(due=due, number=number, created=created, tick=tick)
        for due, number, created, tick in _SCHEDULE.iter_unpack(body)
    ]


class EventType(OpenEnum):
    QUIT = 0x0001
    PHASE1_UP = 0x0100
    PHASE1_DOWN = 0x0101
    PHASE1_NO_RESPONSE = 0x0102
    PHASE1_NO_PROPOSAL = 0x0103
    PHASE1_AUTH_FAILED = 0x0104
    PHASE1_DPD_TIMEOUT = 0x0105
    PHASE1_PEER_DELETED = 0x0106
    PHASE1_MODE_CFG = 0x0107
    PHASE1_XAUTH = 0x0108
    PHASE1_XAUTH_FAILED = 0x0109
    PHASE2_NO_PHASE1 = 0x0200
    PHASE2_UP = 0x0201
    PHASE2_DOWN = 0x0202
    PHASE2_NO_RESPONSE = 0x0203


_EVENT: Final = struct.Struct("=I4xq")
_EVENT_TAIL: Final = struct.Struct("=I4x")


class EventRecord(Record, kw_only=True):
    """What happened and to whom; `when` is Unix seconds. `attributes` are for mode-cfg only."""

    type: EventType
    when: int
    src: Endpoint
    dst: Endpoint
    message_id: int = 0
    attributes: bytes = b""

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Raises: AdminError."""
        with undecodable_is_admin_error("event"):
            cursor = Cursor(data)
            number, when = cursor.unpack(_EVENT)
            src, dst = Endpoint.read(cursor), Endpoint.read(cursor)
            (message_id,) = cursor.unpack(_EVENT_TAIL)
            rest = cursor.rest()
        return cls(
            type=EventType(number),
            when=when,
            src=src,
            dst=dst,
            message_id=message_id,
            attributes=rest,
        )

    def __bytes__(self) -> bytes:
        head = _EVENT.pack(self.type, self.when)
        tail = _EVENT_TAIL.pack(self.message_id)
        return head + bytes(self.src) + bytes(self.dst) + tail + self.attributes
