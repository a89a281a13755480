"""The key exchange over TLS, against servers that do it right, wrong, or not at all."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from lab.pki import KeyKind, Usage, Validity, key, site
from ntp.messages import ExchangeKeys, KeysAgreed, KeysRefused
from ntp.nts.records import ALPN, Record, RecordType
from ntp.system.nts import exchange_keys
from ntp.timestamp import SECOND

HERE = "127.0.0.1"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
GOOD = b"".join(
    map(
        bytes,
        (
            Record(RecordType.NEXT_PROTOCOL, b"\0\0"),
            Record(RecordType.AEAD_ALGORITHM, b"\0\x0f"),
            *(Record(RecordType.NEW_COOKIE, bytes([n]) * 100, critical=False) for n in range(8)),
            Record(RecordType.END_OF_MESSAGE),
        ),
    )
)

Speak = Callable[[ssl.SSLSocket], None]


class Server:
    """A TLS server in a thread; `speak` has the connection after the handshake."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        authority = site(KeyKind.P256, name="NTS Root", now=NOW).root
        issued = authority.issue(
            "nts",
            Validity(NOW - timedelta(days=10), NOW + timedelta(days=10)),
            key(KeyKind.P256, "nts"),
            usage=Usage.SERVER,
            names=names,
        )
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(authority.certificate.public_bytes(Encoding.PEM))
        chain = folder / "chain.pem"
        chain.write_bytes(issued.certificate_pem() + issued.key_pem())
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(chain)
        self.context.set_alpn_protocols([ALPN.decode()])

    @contextmanager
    def serving(self, speak: Speak) -> Iterator[int]:
        with socket.create_server((HERE, 0)) as listener:

            def serve() -> None:
                link, _ = listener.accept()
                with link, contextlib.suppress(OSError):
                    link.settimeout(10)
                    with self.context.wrap_socket(link, server_side=True) as tls:
                        speak(tls)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            yield listener.getsockname()[1]
            thread.join(10)

    def ask(
        self, speak: Speak, *, at: datetime = NOW, within: float = 4.0
    ) -> KeysAgreed | KeysRefused:
        with self.serving(speak) as port:
            date = round(at.timestamp()) * SECOND
            command = ExchangeKeys(server="s", host=HERE, port=port, at=date)
            return exchange_keys(command, str(self.ca), within)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path, [HERE])


def saying(octets: bytes) -> Speak:
    def speak(tls: ssl.SSLSocket) -> None:
        tls.recv(1000)
        for start in range(0, len(octets), 100):  # in pieces, as TCP may
            tls.send(octets[start : start + 100])
        tls.recv(1000)

    return speak


def refusal(answer: KeysAgreed | KeysRefused) -> KeysRefused:
    assert isinstance(answer, KeysRefused)
    assert answer.untrusted
    return answer


def test_a_sound_exchange_gives_keys_and_cookies(server: Server) -> None:
    answer = server.ask(saying(GOOD))
    assert isinstance(answer, KeysAgreed), answer
    assert answer.server == "s"
    material = answer.material
    assert (material.host, material.port) == (HERE, 123)
    assert len(material.cookies) == 8
    assert len(material.c2s) == len(material.s2c) == 32
    assert material.c2s != material.s2c


@pytest.mark.parametrize("days", [-11, 11, 365 * 20, -365 * 50])
def test_the_certificate_is_verified_at_the_given_date_and_not_at_the_clocks(
    server: Server, days: int
) -> None:
    why = refusal(server.ask(saying(GOOD), at=NOW + timedelta(days=days))).why
    assert "certificate" in why
    assert "verify failed" in why  # OpenSSL's own words


def test_a_certificate_for_another_host_is_refused(tmp_path: Path) -> None:
    why = refusal(Server(tmp_path, ["time.example.net"]).ask(saying(GOOD))).why
    assert f"not for {HERE}" in why


def test_an_unknown_authority_is_refused(server: Server) -> None:
    stranger = site(KeyKind.P256, name="Stranger", now=NOW).root.certificate
    server.ca.write_bytes(stranger.public_bytes(Encoding.PEM))
    refusal(server.ask(saying(GOOD)))


def test_tls_1_2_is_refused(server: Server) -> None:
    server.context.maximum_version = ssl.TLSVersion.TLSv1_2
    refusal(server.ask(saying(GOOD)))


def test_a_server_that_speaks_another_protocol_is_refused(server: Server) -> None:
    server.context.set_alpn_protocols([])
    why = refusal(server.ask(saying(GOOD))).why
    assert "it does not speak NTS (no ALPN ntske/1)" in why


@pytest.mark.parametrize("octets", [b"", GOOD[:-4], b"\0" * 7, b"\xff" * 200, GOOD[6:]])
def test_a_response_that_is_none_is_refused(server: Server, octets: bytes) -> None:
    def speak(tls: ssl.SSLSocket) -> None:
        tls.recv(1000)
        tls.send(octets)

    refusal(server.ask(speak))


def test_a_server_that_sends_without_end_is_refused(server: Server) -> None:
    def speak(tls: ssl.SSLSocket) -> None:
        while True:
            tls.send(bytes(Record(RecordType(99), bytes(1000), critical=False)))

    assert "more than a key exchange can need" in refusal(server.ask(speak)).why


def test_a_server_that_says_nothing_is_given_up_in_time(server: Server) -> None:
    def keep_quiet(tls: ssl.SSLSocket) -> None:
        while tls.recv(1000):
            pass

    begun = time.monotonic()
    answer = server.ask(keep_quiet, within=0.3)
    assert isinstance(answer, KeysRefused)
    assert not answer.untrusted
    assert time.monotonic() - begun < 2.0


def test_a_port_where_nobody_listens_is_no_refusal_of_trust(server: Server) -> None:
    with socket.create_server((HERE, 0)) as listener:
        port = listener.getsockname()[1]
    command = ExchangeKeys(server="s", host=HERE, port=port, at=0)
    answer = exchange_keys(command, str(server.ca))
    assert isinstance(answer, KeysRefused)
    assert not answer.untrusted
    assert "refused" in answer.why


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", "."])
def test_a_name_that_can_be_nobodys_is_an_answer_too(server: Server, host: str) -> None:
    command = ExchangeKeys(server="s", host=host, port=1, at=0)
    answer = exchange_keys(command, str(server.ca))
    assert isinstance(answer, KeysRefused)
    assert not answer.untrusted


def test_a_file_of_authorities_that_is_none_is_named(server: Server) -> None:
    server.ca.write_text("nothing")
    command = ExchangeKeys(server="s", host=HERE, port=1, at=0)
    assert str(server.ca) in refusal(exchange_keys(command, str(server.ca))).why


@contextmanager
def taking_nobody(family: socket.AddressFamily, host: str, port: int) -> Iterator[int]:
    """A port of TCP where a connection is neither taken nor refused: its queue is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket(family))
        listening.bind((host, port))
        listening.listen(0)
        for _ in range(4):
            caller = stack.enter_context(socket.socket(family))
            caller.setblocking(False)
            caller.connect_ex(listening.getsockname()[:2])
        yield listening.getsockname()[1]


def test_a_name_with_several_silent_addresses_takes_no_longer_than_one() -> None:
    found = socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)
    with contextlib.ExitStack() as stack:
        port = 0
        for family, _, _, _, address in found:
            port = stack.enter_context(taking_nobody(family, str(address[0]), port))
        asked = ExchangeKeys(server="a", host="localhost", port=port, at=0)
        begun = time.monotonic()
        answer = exchange_keys(asked, within=0.5)
        took = time.monotonic() - begun
    assert isinstance(answer, KeysRefused)
    assert not answer.untrusted
    assert took < 0.5 + 0.4
