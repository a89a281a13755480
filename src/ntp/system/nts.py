"""The NTS key exchange over TLS -- RFC 8915, 4 and 5.1. The one module of ntp with pyOpenSSL.

The standard library's ssl has neither the exporter nor a way to verify a certificate at another
date than the clock's.
"""

import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from OpenSSL import SSL

from ntp.messages import ExchangeKeys, KeysAgreed, KeysRefused
from ntp.nts import records
from ntp.nts.names import names_host
from ntp.nts.records import KeyExchangeFailed
from ntp.nts.session import Material
from ntp.peer import NTP_PORT, is_numeric
from ntp.timestamp import SECOND, date_text
from wire.secret import Secret

WITHIN: Final = 4.0  # s for all of it
_CHUNK: Final = 16_384

T = TypeVar("T")


class Untrusted(KeyExchangeFailed):
    """The server cannot prove that it is who we asked."""


def exchange_keys(
    command: ExchangeKeys, ca: str = "", within: float = WITHIN
) -> KeysAgreed | KeysRefused:
    """Blocking, for at most `within` seconds; failures are events.

    `ca`: a PEM file of authorities to trust beside the system's.
    """
    try:
        material = _exchange(command, ca, within)
    except KeyExchangeFailed as error:
        why, untrusted = f"NTS key exchange: {error}", True
        return KeysRefused(server=command.server, why=why, untrusted=untrusted)
    except UnicodeError:
        why = f"NTS key exchange: {command.host} is not a host name"
        return KeysRefused(server=command.server, why=why, untrusted=False)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        why = f"NTS key exchange on TCP port {command.port}: {reason}"
        return KeysRefused(server=command.server, why=why, untrusted=False)
    return KeysAgreed(server=command.server, material=material)


def _exchange(command: ExchangeKeys, ca: str, within: float) -> Material:
    end = time.monotonic() + within
    context = _context(command.at, ca)
    with _connected(command.host, command.port, end) as link:
        tls = SSL.Connection(context, None)
        if not is_numeric(command.host):
            tls.set_tlsext_host_name(command.host.encode("idna"))
        tls.set_connect_state()
        channel = _Channel(tls, link, end)
        try:
            channel.do(tls.do_handshake)
        except SSL.Error as error:
            date = date_text(command.at)
            raise Untrusted(f"{_reason(error)} (certificate verified at {date})") from None
        _check_peer(tls, command.host)
        channel.send(records.request())
        response = records.understand(channel.receive())
        peer = str(link.getpeername()[0])
    return Material(
        host=response.host or peer,
        port=response.port or NTP_PORT,
        c2s=_export(tls, to_server=True),
        s2c=_export(tls, to_server=False),
        cookies=response.cookies,
    )


def _connected(host: str, port: int, end: float) -> socket.socket:
    """A connection to the first of the host's addresses that takes one, by `end` (monotonic s).

    As socket.create_connection, but with one time limit for all addresses. Raises: OSError.
    """
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for left, (family, kind, protocol, _, address) in zip(
        range(len(addresses), 0, -1), addresses, strict=True
    ):
        link = socket.socket(family, kind, protocol)
        try:
            link.settimeout(_left_until(end) / left)
            link.connect(address)
        except OSError:
            link.close()
            if left == 1:
                raise
        else:
            return link
    raise AssertionError("getaddrinfo has an address, or raises")


def _left_until(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("it took too long")
    return left


def _context(at: int, ca: str) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_alpn_protos([records.ALPN])
    context.set_verify(SSL.VERIFY_PEER)
    context.set_default_verify_paths()
    if ca:
        try:
            context.load_verify_locations(ca)
        except SSL.Error:
            raise Untrusted(f"{ca} holds no certificate in PEM form") from None
    store = context.get_cert_store()
    if store is None:
        raise Untrusted("this system has no store of CA certificates")
    store.set_time(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at // SECOND))
    return context


def _check_peer(tls: SSL.Connection, host: str) -> None:
    certificate = tls.get_peer_certificate(as_cryptography=True)
    if certificate is None or not names_host(certificate, host):
        raise Untrusted(f"its certificate is not for {host}")
    if tls.get_alpn_proto_negotiated() != records.ALPN:
        raise KeyExchangeFailed("it does not speak NTS (no ALPN ntske/1)")


def _export(tls: SSL.Connection, *, to_server: bool) -> Secret:
    context = records.exporter_context(to_server=to_server)
    return Secret(tls.export_keying_material(records.EXPORTER_LABEL, records.KEY_LENGTH, context))


class _Channel:
    """TLS over a socket by memory buffers, so that the whole has one deadline (monotonic s)."""

    def __init__(self, tls: SSL.Connection, link: socket.socket, end: float) -> None:
        self._tls = tls
        self._link = link
        self._end = end

    def do(self, step: Callable[[], T]) -> T:
        """Repeat `step` until TLS has what it needs for it."""
        while True:
            try:
                result = step()
            except SSL.WantReadError:
                self._flush()
                self._fill()
            else:
                self._flush()
                return result

    def send(self, octets: bytes) -> None:
        self.do(lambda: self._tls.send(octets))

    def receive(self) -> tuple[records.Record, ...]:
        """The records of one message. Raises: KeyExchangeFailed, OSError."""
        octets = b""
        while True:
            message = records.parse(octets)
            if message is not None:
                return message
            try:
                octets += self.do(lambda: self._tls.recv(_CHUNK))
            except SSL.Error:
                raise KeyExchangeFailed("it closed the connection in the middle") from None

    def _flush(self) -> None:
        while True:
            try:
                octets = self._tls.bio_read(_CHUNK)
            except SSL.WantReadError:
                return
            self._link.settimeout(_left_until(self._end))
            self._link.sendall(octets)

    def _fill(self) -> None:
        self._link.settimeout(_left_until(self._end))
        octets = self._link.recv(_CHUNK)
        if octets:
            self._tls.bio_write(octets)
        else:
            self._tls.bio_shutdown()


def _reason(error: SSL.Error) -> str:
    """OpenSSL's own words for the last cause, without its prefixes."""
    causes = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return str(causes[-1][-1]) if causes else "the connection ended"
