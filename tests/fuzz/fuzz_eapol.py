"""Fuzz targets of `eapol`: each takes octets and lets only other errors than the package's out."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from eapol.eap import Packet
from eapol.errors import EapolError, MalformedFrame
from eapol.events import FrameReceived, LinkChanged, UseNetwork
from eapol.frame import Frame, PacketType
from eapol.methods.fragments import Incoming, TlsPacket
from eapol.settings import Credentials, NamedOctets, NamedSecret, Network, TlsPolicy
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
    "certificate": certificate,
    "key": key,
}
