"""Fuzz targets of `ntp`: each takes octets and lets only other errors than the package's out."""

from collections.abc import Callable
from contextlib import suppress
from random import Random

from ntp import conf, keys
from ntp.client import Client
from ntp.errors import NtpError
from ntp.messages import Address, Received, Send, Start
from ntp.nts import records, session
from ntp.onwire import OnWire
from ntp.packet import ExtensionField, Packet
from ntp.peer import Peer
from ntp.sample import Stamps
from ntp.server import Datagram, Server, Settings
from ntp.trust import Floor
from wire.secret import Secret
from wire.source import Notices, octets_of

_DATE = 1_795_500_000 * 10**9


def packet(octets: bytes) -> None:
    with suppress(NtpError):
        assert bytes(Packet.parse(octets)) == octets


def answer(octets: bytes) -> None:
    """The octets as the answer to a request, our random bits put in their place."""
    peer = Peer(name="192.0.2.1", on_wire=OnWire(Random(1).randbytes, pivot=_DATE, timeout=5.0))
    client = Client([peer], floor=Floor(released=_DATE))
    (sent,) = client.handle(Start(date=_DATE), 0.0)
    assert isinstance(sent, Send)
    stamps = Stamps(sent=_DATE, received=_DATE + 1000, by_kernel=True)
    for heard in (octets, octets[:24] + sent.octets[40:48] + octets[32:]):
        event = Received(request=sent.request, octets=heard, stamps=stamps, own="192.0.2.9")
        client.handle(event, 0.001)


def server(octets: bytes) -> None:
    """Nothing that a stranger sends is answered with more than he sent."""
    core = Server(Settings(date=_DATE, at=0.0))
    for reply in core.handle(Datagram(octets=octets, source=Address("192.0.2.2", 9)), 0.0):
        assert len(reply.octets) <= len(octets)


def key_exchange(octets: bytes) -> None:
    with suppress(NtpError):
        message = records.parse(octets)
        if message is not None:
            records.understand(message)


def authenticator(octets: bytes) -> None:
    with suppress(NtpError):
        session.unseal(Secret(bytes(32)), b"", ExtensionField(session.AUTHENTICATOR, octets))


def key_file(octets: bytes) -> None:
    with suppress(NtpError):
        keys.parse(octets, "keys", Notices())


def configuration(octets: bytes) -> None:
    with suppress(NtpError):
        parsed = conf.parse(octets, "conf", Notices())
        assert conf.parse(octets_of(conf.write(parsed)), "conf", Notices()) == parsed


TARGETS: dict[str, Callable[[bytes], None]] = {
    "packet": packet,
    "answer": answer,
    "server": server,
    "key_exchange": key_exchange,
    "authenticator": authenticator,
    "key_file": key_file,
    "configuration": configuration,
}
