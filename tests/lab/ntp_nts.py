"""An NTS server in memory: keys and cookies without TLS, packets as RFC 8915, 5 has them."""

from collections.abc import Callable, Iterable, Iterator
from random import Random

from lab.ntp_memory import Responder, honest, server
from ntp.errors import NotAuthentic
from ntp.messages import ExchangeKeys, KeysAgreed, KeysRefused
from ntp.nts import session
from ntp.nts.session import Material
from ntp.packet import HEADER_LENGTH, ExtensionField, Header, Packet
from ntp.server import Server
from wire.secret import Secret

Bend = Callable[[bytes], bytes]  # of the answer's octets


class NtsServer:
    """Answers plain requests plainly, and NTS requests under NTS.

    `secured` serves the NTS answers if they are to differ. `bend` changes those on their way;
    `identify` what they repeat of the request's identifier.
    """

    def __init__(
        self,
        core: Server | None = None,
        *,
        secured: Server | None = None,
        bend: Bend = bytes,
        naks: int = 0,
        identify: Bend = bytes,
    ) -> None:
        core = core or server()
        self._plain, self._secured = honest(core), honest(secured or core)
        self._bend, self._identify, self._naks = bend, identify, naks
        self._random = Random(5)
        self._c2s, self._s2c = (Secret(self._random.randbytes(32)) for _ in range(2))
        self._good: set[bytes] = set()
        self.used: list[bytes] = []
        self.exchanges: list[ExchangeKeys] = []
        self.refusal: KeysRefused | None = None

    def exchange(self, command: ExchangeKeys) -> KeysAgreed | KeysRefused:
        self.exchanges.append(command)
        if self.refusal:
            return self.refusal
        material = Material(
            host=command.host,
            port=123,
            c2s=self._c2s,
            s2c=self._s2c,
            cookies=tuple(self._cookie() for _ in range(8)),
        )
        return KeysAgreed(server=command.server, material=material)

    @property
    def respond(self) -> Responder:
        return self._respond

    def _cookie(self) -> bytes:
        cookie = self._random.randbytes(100)
        self._good.add(cookie)
        return cookie

    def _respond(self, octets: bytes, now: float) -> Iterable[bytes]:
        request = Packet.parse(octets)
        if not request.extensions:
            return self._plain(octets, now)
        return self._under_nts(request, octets, now)

    def _under_nts(self, request: Packet, octets: bytes, now: float) -> Iterator[bytes]:
        identifier, cookie, *more = request.extensions
        self.used.append(cookie.value)
        before = len(octets) - len(bytes(more[-1]))
        try:
            session.unseal(self._c2s, octets[:before], more[-1])
            good = cookie.value in self._good and not self._naks
        except NotAuthentic:
            good = False
        repeated = ExtensionField(identifier.field_type, self._identify(identifier.value))
        for answer in self._secured(octets[:HEADER_LENGTH], now):
            header = Header.parse(answer)
            if good:
                self._good.discard(cookie.value)
                yield self._bend(self._sealed(header, repeated, wanted=len(more)))
            else:
                self._naks = max(self._naks - 1, 0)
                nak = Header(4, stratum=0, leap=3, reference_id=b"NTSN", origin=header.origin)
                yield bytes(Packet(nak, (repeated,)))

    def _sealed(self, header: Header, identifier: ExtensionField, wanted: int) -> bytes:
        packet = bytes(Packet(header, (identifier,)))
        cookies = [ExtensionField(session.COOKIE, self._cookie()) for _ in range(wanted)]
        inner = b"".join(map(bytes, cookies))
        return packet + bytes(
            session.authenticator(self._s2c, packet, inner, self._random.randbytes)
        )
