"""IKE fragmentation, Cisco's, as racoon and strongSwan implement it: big messages in several
datagrams.

Fragments come before any authentication, so what is held of them is bounded: the octets of a
message, of a source and in all, and an unfinished message lives for a short time only. Where there
is no room, the oldest message of the lowest standing goes, and none for one of lower standing: a
sender with neither the cookies of an ISAKMP SA nor a configured address displaces no fragment of
one that has. A repeated fragment is legal, a different one with the same number starts over.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from ipaddress import IPv4Address
from itertools import chain, takewhile
from typing import Final

from ike.errors import OutOfTurn, PayloadMalformed
from ike.isakmp.header import HEADER_SIZE, Header
from ike.isakmp.message import Payload, pack_chain, parse_chain
from ike.isakmp.payloads import Fragment
from ike.numbers.isakmp import Flags, PayloadType
from ike.values import Address, Endpoint

PIECE: Final = 1236  # octets of a fragment's data: with all headers within 1280 octets of IPv6
MAX_PIECES: Final = 64
PATIENCE: Final = 30.0  # seconds
LEAST: Final = 256  # octets that a fragment counts at least: it costs memory, however small it is

Key = tuple[bytes, bytes, Endpoint]


class Standing(IntEnum):
    """The evidence that a fragment comes from a peer. Addresses can be forged; cookies only by an
    attacker who has seen them.
    """

    STRANGER = 0
    REMOTE = 1  # its source is the address of a configured remote
    COOKIES = 2  # it has the cookies of an ISAKMP SA with its source


@dataclass(slots=True, eq=False)
class _Unfinished:
    key: Key
    standing: Standing
    identifier: int
    started: float
    pieces: dict[int, bytes] = field(default_factory=dict)
    last: int | None = None
    octets: int = 0  # that it counts

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces.values()))

    @property
    def whole(self) -> bytes | None:
        if self.last is None or len(self.pieces) != self.last:
            return None
        return b"".join(self.pieces[number] for number in range(1, self.last + 1))


class Reassembler:
    """Collects fragments by cookies and source. Limits are octets: of a whole message, of all
    unfinished ones from a source, of all there are.
    """

    def __init__(self, *, message: int, source: int, total: int) -> None:
        self._message = message
        self._source = source
        self._total = total
        self._unfinished: dict[Key, _Unfinished] = {}
        self._by_standing: dict[Standing, dict[_Unfinished, None]] = {s: {} for s in Standing}
        self._by_source: dict[bytes, dict[_Unfinished, None]] = {}
        self.held = 0  # octets, as they count

    def add(
        self, header: Header, data: bytes, source: Endpoint, now: float, standing: Standing
    ) -> bytes | None:
        """The whole message once its last missing fragment is in.

        Raises: PayloadMalformed; OutOfTurn if there is no room.
        """
        fragment = _fragment(header, data)
        self._expire(now)
        key = (header.initiator_cookie, header.responder_cookie, source)
        entry = self._entry(key, fragment, now, standing)
        if fragment.number not in entry.pieces:
            self._make_room(entry, max(LEAST, len(fragment.data)))
        entry.pieces[fragment.number] = fragment.data
        if fragment.last:
            entry.last = fragment.number
        too_far = entry.last is not None and max(entry.pieces) > entry.last
        if entry.size > self._message or too_far:
            self._drop(entry)
            raise PayloadMalformed("fragments that do not form a message within the limits")
        whole = entry.whole
        if whole is not None:
            self._drop(entry)
        return whole

    def _entry(self, key: Key, fragment: Fragment, now: float, standing: Standing) -> _Unfinished:
        entry = self._unfinished.get(key)
        if entry is not None:
            same = entry.pieces.get(fragment.number, fragment.data) == fragment.data
            if same and (entry.identifier, entry.standing) == (fragment.identifier, standing):
                return entry
            self._drop(entry)
        entry = self._unfinished[key] = _Unfinished(key, standing, fragment.identifier, now)
        self._by_standing[standing][entry] = None
        self._by_source.setdefault(_place(key), {})[entry] = None
        return entry

    def _make_room(self, entry: _Unfinished, octets: int) -> None:
        """Let `entry` count so many more. Raises: OutOfTurn, and then it is gone."""
        neighbours = self._by_source[_place(entry.key)]
        while sum(one.octets for one in neighbours) + octets > self._source:
            self._displace(sorted(neighbours, key=lambda one: one.standing), entry)
        while self.held + octets > self._total:
            self._displace(chain.from_iterable(self._by_standing.values()), entry)
        entry.octets += octets
        self.held += octets

    def _displace(self, candidates: Iterable[_Unfinished], entry: _Unfinished) -> None:
        """Drop the first, which is the oldest of the lowest standing. Raises: OutOfTurn."""
        victim = next(iter(candidates))
        if victim is entry or victim.standing > entry.standing:
            self._drop(entry)
            raise OutOfTurn("no room for another fragment")
        self._drop(victim)

    def _drop(self, entry: _Unfinished) -> None:
        del self._unfinished[entry.key], self._by_standing[entry.standing][entry]
        place = _place(entry.key)
        del self._by_source[place][entry]
        if not self._by_source[place]:
            del self._by_source[place]
        self.held -= entry.octets

    def _expire(self, now: float) -> None:
        for entries in self._by_standing.values():  # each from the oldest on
            for entry in list(takewhile(lambda one: now - one.started > PATIENCE, entries)):
                self._drop(entry)


def _fragment(header: Header, data: bytes) -> Fragment:
    """Raises: PayloadMalformed."""
    payloads, _ = parse_chain(header.next_payload, data, HEADER_SIZE)
    if len(payloads) != 1:
        raise PayloadMalformed("a fragment among other payloads")
    fragment = Fragment.parse(payloads[0].body)
    if fragment.number > MAX_PIECES:
        raise PayloadMalformed(f"fragment number {fragment.number}")
    return fragment


def _place(key: Key) -> bytes:
    """Whose share it is: an address, or a /64 of IPv6, of which one host has all."""
    address: Address = key[2].address
    return address.packed if isinstance(address, IPv4Address) else address.packed[:8]


def split(header: Header, data: bytes, identifier: int) -> list[bytes]:
    """The message `data` as fragments; one that is small enough stays whole."""
    if len(data) <= PIECE + HEADER_SIZE:
        return [data]
    pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)]
    out: list[bytes] = []
    for number, piece in enumerate(pieces, 1):
        body = bytes(Fragment(identifier, number, number == len(pieces), piece))
        chain = pack_chain([Payload(PayloadType.FRAGMENT, body)])
        head = replace(
            header,
            next_payload=PayloadType.FRAGMENT,
            flags=Flags.NONE,
            length=HEADER_SIZE + len(chain),
        )
        out.append(bytes(head) + chain)
    return out
