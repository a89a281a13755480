"""RADIUS over TLS (RFC 6614, 2.3) on the loopback interface: whose certificate is a server's."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from eapol import eap
from eapol.eap import EapType
from lab.pki import SERVER_NAME, Issued, Site, site
from lab.radius_station import radius_server
from radius.aio.client import RadiusClient, Source
from radius.eap import Conversation
from radius.events import Answered, Cause, Failed, Received, Server, Transport
from radius.numbers import AttributeType as A
from radius.stream import Stream
from wire.secret import Secret

ASKED = Conversation(b"gw").request(bytes(eap.response(1, EapType.IDENTITY, b"gw")))


def context(folder: Path, own: Issued, trusted: Site, *, serves: bool) -> ssl.SSLContext:
    files = [folder / f"{serves}-{name}.pem" for name in ("ca", "own", "key")]
    octets = (trusted.root.certificate_pem(), own.certificate_pem(), own.key_pem())
    for file, held in zip(files, octets, strict=True):
        file.write_bytes(held)
    purpose = ssl.Purpose.CLIENT_AUTH if serves else ssl.Purpose.SERVER_AUTH
    made = ssl.create_default_context(purpose, cafile=str(files[0]))
    made.load_cert_chain(files[1], files[2])
    if serves:
        made.verify_mode = ssl.CERT_REQUIRED
    return made


class Heard:
    """What reached the server inside TLS."""

    def __init__(self) -> None:
        self.core = radius_server(secret=b"radsec")
        self.packets: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = Stream()
        while octets := await reader.read(4096):
            for packet in stream.feed(octets):
                self.packets.append(packet)
                for reply in self.core.handle(Received(port=1, octets=packet), 0.0):
                    writer.write(reply.octets)
        writer.close()


class Deaf:
    """A server that ends TLS and reads nothing, until `end`."""

    def __init__(self) -> None:
        self.end = asyncio.Event()

    async def serve(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await self.end.wait()
        writer.transport.abort()


@asynccontextmanager
async def serving(folder: Path, own: Issued) -> AsyncIterator[tuple[Heard, int]]:
    heard = Heard()
    tls = context(folder, own, site(), serves=True)
    async with await asyncio.start_server(heard.serve, "127.0.0.1", 0, ssl=tls) as server:
        yield heard, server.sockets[0].getsockname()[1]


def over_tls(port: int) -> Server:
    return Server(
        address=ip_address("127.0.0.1"),
        port=port,
        secret=Secret(b"radsec"),
        transport=Transport.TLS,
    )


async def asked(folder: Path, port: int, name: str | None, trusted: Site) -> Answered | Failed:
    tls = context(folder, site().client, trusted, serves=False)
    async with RadiusClient([over_tls(port)], source=Source(tls=tls, name=name)) as client:
        until = asyncio.get_running_loop().time() + 5.0
        return await client.ask(ASKED, until=until)


async def test_the_server_that_the_name_is_of_answers(tmp_path: Path) -> None:
    async with serving(tmp_path, site().server) as (heard, port):
        answer = await asked(tmp_path, port, SERVER_NAME, site())
        assert isinstance(answer, Answered)
        assert len(heard.packets) == 1


@pytest.mark.parametrize(
    ("own", "name", "trusted"),
    [
        (site().server, "another.example.test", site()),
        (site().server, None, site()),  # then its address has to be in the certificate
        (site().server, SERVER_NAME, site(name="Another Root")),
        (site().client, "gw-0001", site()),  # of the same CA, and no server's
    ],
    ids=["another name", "no address", "another CA", "a client's"],
)
async def test_another_server_hears_nothing(
    tmp_path: Path, own: Issued, name: str | None, trusted: Site
) -> None:
    async with serving(tmp_path, own) as (heard, port):
        answer = await asked(tmp_path, port, name, trusted)
        assert isinstance(answer, Failed)
        assert answer.cause is Cause.UNREACHABLE
        assert "certificate verify failed" in answer.reason
        assert heard.packets == []


async def test_a_server_that_does_not_read_keeps_nobody_waiting(tmp_path: Path) -> None:
    tls = context(tmp_path, site().server, site(), serves=True)
    ours = context(tmp_path, site().client, site(), serves=False)
    long = ((int(A.VENDOR_SPECIFIC), bytes(250)),) * 14
    reasons: list[str] = []
    deaf = Deaf()
    async with await asyncio.start_server(deaf.serve, "127.0.0.1", 0, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        source = Source(tls=ours, name=SERVER_NAME)
        async with RadiusClient([over_tls(port)], source=source) as client:
            while not any("does not read what it is sent" in each for each in reasons):
                assert len(reasons) < 40
                until = asyncio.get_running_loop().time() + 0.3
                asking = [client.ask((*ASKED, *long), until=until) for _ in range(256)]
                async with asyncio.timeout(5.0):
                    answers = await asyncio.gather(*asking)
                reasons += {each.reason for each in answers if isinstance(each, Failed)}
        deaf.end.set()
