"""Fuzz targets of `radius`: each takes octets and lets only the package's errors out."""

from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address

from radius import codec
from radius.client import Client
from radius.eap import Conversation
from radius.errors import Malformed, NotAuthentic
from radius.events import Ask, PortOpened, Received, Server
from radius.numbers import ANSWERS, AttributeType, Code
from radius.packet import Packet, Request, prove
from radius.stream import Stream
from wire.secret import Secret

_SECRET = Secret(b"fuzz")
_SERVER = Server(address=ip_address("192.0.2.1"), port=1812, secret=_SECRET)
_REQUEST = Request(code=Code.ACCESS_REQUEST, identifier=0, authenticator=bytes(16))


def packet(octets: bytes) -> None:
    with suppress(Malformed, NotAuthentic):
        found = Packet.parse(octets)
        prove(found, _REQUEST, _SECRET)


def attributes(octets: bytes) -> None:
    """What a server that has the secret can send."""
    whole = bytes((2, 0)) + (20 + len(octets)).to_bytes(2, "big") + bytes(16) + octets
    with suppress(Malformed):
        found = Packet.parse(whole)
        codec.named(found)
        codec.mppe_keys(found, bytes(16), _SECRET)


def eap(octets: bytes) -> None:
    for code in ANSWERS[Code.ACCESS_REQUEST]:
        whole = bytes((code, 0)) + (20 + len(octets)).to_bytes(2, "big") + bytes(16) + octets
        with suppress(Malformed):
            Conversation(b"fuzz").take(Packet.parse(whole), 0)


def stream(octets: bytes) -> None:
    reader = Stream()
    with suppress(Malformed):
        for at in range(0, len(octets), 7):
            assert all(len(each) >= 20 for each in reader.feed(octets[at : at + 7]))


def client(octets: bytes) -> None:
    """What a stranger can send to our port."""
    core = Client([_SERVER], entropy=bytes)
    core.handle(Ask(ask=1, attributes=((AttributeType.USER_NAME, b"fuzz"),)), 0.0)
    core.handle(PortOpened(port=1), 0.0)
    core.handle(Received(port=1, octets=octets), 1.0)
    core.handle(Received(port=1, octets=b"\2\0" + octets), 1.0)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "packet": packet,
    "attributes": attributes,
    "eap": eap,
    "stream": stream,
    "client": client,
}
