"""IKE fragmentation, Cisco's, as racoon and strongSwan speak it: big messages in several datagrams.

Fragments come before any authentication: what may be held is bounded in number and size, and an
unfinished message lives for a short time only. A repeated fragment is legal, a different one with
the same number starts over.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from ike.errors import PayloadMalformed
from ike.isakmp.header import HEADER_SIZE, Header
from ike.isakmp.message import Payload, pack_chain, parse_chain
from ike.isakmp.payloads import Fragment
from ike.numbers.isakmp import Flags, PayloadType
from ike.values import Endpoint

PIECE: Final = 1236  # octets of a fragment's data: with all headers within 1280 octets of IPv6
MAX_PIECES: Final = 64
MAX_UNFINISHED: Final = 64
PATIENCE: Final = 30.0  # seconds

Key = tuple[bytes, bytes, Endpoint]


@dataclass(slots=True)
class _Unfinished:
    identifier: int
    started: float
    pieces: dict[int, bytes] = field(default_factory=dict)
    last: int | None = None

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces.values()))

    @property
    def whole(self) -> bytes | None:
        if self.last is None or len(self.pieces) != self.last:
            return None
        return b"".join(self.pieces[number] for number in range(1, self.last + 1))


class Reassembler:
    """Collects fragments by cookies and source. `limit` is a whole message's size in octets."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._unfinished: dict[Key, _Unfinished] = {}

    def add(self, header: Header, data: bytes, source: Endpoint, now: float) -> bytes | None:
        """The whole message once its last missing fragment is in. Raises: PayloadMalformed."""
        payloads, _ = parse_chain(header.next_payload, data, HEADER_SIZE)
        if len(payloads) != 1:
            raise PayloadMalformed("a fragment among other payloads")
        fragment = Fragment.parse(payloads[0].body)
        if fragment.number > MAX_PIECES:
            raise PayloadMalformed(f"fragment number {fragment.number}")
        key = (header.initiator_cookie, header.responder_cookie, source)
        self._expire(now)
        entry = self._entry(key, fragment, now)
        if fragment.last:
            entry.last = fragment.number
        entry.pieces[fragment.number] = fragment.data
        too_far = entry.last is not None and max(entry.pieces) > entry.last
        if entry.size > self._limit or too_far:
            del self._unfinished[key]
            raise PayloadMalformed("fragments that do not form a message within the limits")
        whole = entry.whole
        if whole is not None:
            del self._unfinished[key]
        return whole

    def _entry(self, key: Key, fragment: Fragment, now: float) -> _Unfinished:
        entry = self._unfinished.get(key)
        if entry is not None and entry.identifier == fragment.identifier:
            if entry.pieces.get(fragment.number, fragment.data) == fragment.data:
                return entry
        elif entry is None and len(self._unfinished) >= MAX_UNFINISHED:
            del self._unfinished[next(iter(self._unfinished))]  # the oldest
        entry = self._unfinished[key] = _Unfinished(fragment.identifier, now)
        return entry

    def _expire(self, now: float) -> None:
        for key in [k for k, e in self._unfinished.items() if now - e.started > PATIENCE]:
            del self._unfinished[key]


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
