"""Fuzz targets of `eapol`: each takes octets and lets only other errors than the package's out."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from eapol.eap import EapType, Packet, request
from eapol.engine import Flight
from eapol.errors import EapolError, MalformedFrame
from eapol.events import FrameReceived, LinkChanged, UseNetwork
from eapol.frame import Frame, PacketType
from eapol.methods import avp, table, tlv
from eapol.methods.base import Setup
from eapol.methods.fast import Fast
from eapol.methods.fragments import Incoming, TlsPacket
from eapol.methods.peap import Peap
from eapol.methods.teap import Teap
from eapol.methods.ttls import Ttls
from eapol.methods.tunnel import Inside
from eapol.notices import Notice
from eapol.settings import (
    Credentials,
    NamedOctets,
    NamedSecret,
    Network,
    Password,
    Phase2,
    TlsPolicy,
)
from eapol.status import Decision, TlsStatus
from eapol.supplicant import Supplicant
from eapol.tls import ClientContext
from wire.secret import Secret

_DATE = datetime(2026, 1, 1, tzinfo=UTC)
_CONTEXT = ClientContext(TlsPolicy(resume=False), Credentials())


def frame(octets: bytes) -> None:
    with suppress(MalformedFrame):
        Frame.parse(octets)


def packet(octets: bytes) -> None:
    with suppress(MalformedFrame):
        Packet.parse(octets)


def tls_packet(octets: bytes) -> None:
    with suppress(MalformedFrame):
        TlsPacket.parse(octets)


def fragments(octets: bytes) -> None:
    """The octets are cut into type-data of at most 16 octets."""
    incoming = Incoming()
    for start in range(0, len(octets), 16):
        with suppress(MalformedFrame):
            incoming.add(TlsPacket.parse(octets[start : start + 16]))


def supplicant(octets: bytes) -> None:
    """What a stranger on the wire can send: nothing may come out but commands."""
    core = Supplicant(entropy=bytes)
    core.handle(
        UseNetwork(network=Network(identity=b"fuzz", private_key="fuzz.key"), tls=_CONTEXT), 0.0
    )
    core.handle(LinkChanged(up=True), 0.0)
    parts = [octets[start : start + 64] for start in range(0, len(octets), 64)]
    for number, part in enumerate(parts):
        bodies = [part, bytes(Frame(PacketType.EAP_PACKET, part))]
        for body in bodies:
            core.handle(FrameReceived(octets=body, source=bytes(6), date=_DATE), number)


def avps(octets: bytes) -> None:
    with suppress(MalformedFrame):
        avp.parse(octets)


def tlvs(octets: bytes) -> None:
    with suppress(MalformedFrame):
        tlv.parse(octets)


def _setup(method: EapType, phase2: Phase2) -> Setup:
    network = Network(
        eap=(method,),
        identity=b"fuzz",
        password=Password(Secret(b"password")),
        phase2=phase2,
        private_key="fuzz.key",
    )
    return Setup(network=network, tls=_CONTEXT, date=_DATE, fragment_size=1000, entropy=bytes)


def _plain(method: EapType) -> Callable[[bytes], None]:
    """Requests of one method, of at most 40 octets each."""

    def fuzz(octets: bytes) -> None:
        made = table.begin(method, _setup(method, Phase2()))
        assert made is not None
        for start in range(0, len(octets), 40):
            outcome = made.process(request(start & 0xFF, method, octets[start : start + 40]))
            assert outcome is None or outcome.decision in Decision

    return fuzz


class _Glass:
    """A TLS connection that is established, and hides nothing."""

    established = True
    status = TlsStatus(version="TLSv1.2", cipher="ECDHE-RSA-AES256-GCM-SHA384", resumed=False)
    randoms = bytes(64)
    unique = bytes(12)

    def step(self, records: bytes) -> Flight:
        return Flight(records)

    def received(self) -> bytes:
        return b""

    def key_expansion(self, size: int) -> bytes:
        return bytes(size)

    def seal(self, data: bytes) -> bytes:
        return data

    def export(self, label: str, size: int, context: bytes | None = None) -> bytes:  # noqa: ARG002
        return bytes(size)

    def notices(self) -> tuple[Notice, ...]:
        return ()

    def close(self, *, success: bool) -> None:
        pass


def _inside(method: EapType, phase2: Phase2) -> Callable[[bytes], None]:
    """What a server says inside the tunnel, in messages of at most 60 octets."""

    def fuzz(octets: bytes) -> None:
        setup = _setup(method, phase2)
        glass = _Glass()
        kinds: dict[EapType, Callable[[_Glass, Setup], Inside]] = {
            EapType.PEAP: Peap, EapType.TTLS: Ttls, EapType.TEAP: Teap,
            EapType.FAST: Fast,
        }  # fmt: skip
        inside = kinds[method](glass, setup)
        inside.begin(TlsPacket(start=True, reserved=octets[0] & 1 if octets else 0))
        inside.established()
        for start in range(0, len(octets), 60):
            inside.take(octets[start : start + 60], start & 0xFF)
        assert inside.verdict[1] in Decision

    return fuzz


def certificate(octets: bytes) -> None:
    with suppress(EapolError):
        ClientContext(TlsPolicy(), Credentials(ca=NamedOctets("ca.pem", octets)))


def key(octets: bytes) -> None:
    with suppress(EapolError):
        ClientContext(TlsPolicy(), Credentials(key=NamedSecret("client.key", Secret(octets))))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "frame": frame,
    "packet": packet,
    "tls_packet": tls_packet,
    "fragments": fragments,
    "supplicant": supplicant,
    "inside_peap": _inside(EapType.PEAP, Phase2()),
    "inside_ttls": _inside(EapType.TTLS, Phase2(auth=("MSCHAPV2",))),
    "inside_ttls_eap": _inside(EapType.TTLS, Phase2(autheap=("MSCHAPV2",))),
    "inside_teap": _inside(EapType.TEAP, Phase2()),
    "inside_fast": _inside(EapType.FAST, Phase2()),
    "avps": avps,
    "tlvs": tlvs,
    **{method.name.lower(): _plain(method) for method in table.TABLE},
    "certificate": certificate,
    "key": key,
}
