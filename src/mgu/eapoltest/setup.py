"""What the options and files come to: servers, a station, a TLS context. Raises: SetupError."""

import argparse
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from eapol.config import Config, parse
from eapol.errors import EapolError
from eapol.methods.table import needs_tls
from eapol.settings import Network
from eapol.system.files import Files
from eapol.tls import ClientContext, KeyLog
from mgu.eapoltest.session import Station
from radius import codec
from radius.aio.client import Address, Source
from radius.errors import BadAttribute
from radius.events import Server, Transport
from radius.numbers import LONGEST_VALUE
from radius.numbers import AttributeType as A
from radius.packet import Attribute, Attributes
from wire import files
from wire.secret import Secret

_FRAMED_MTU: Final = 1400  # octets; what eapol_test says
_FRAMED: Final = 2  # Service-Type
_ETHERNET: Final = 15  # NAS-Port-Type
_PORTS: Final = {Transport.UDP: 1812, Transport.TLS: 2083}
_SECRETS: Final = {Transport.UDP: b"radius", Transport.TLS: b"radsec"}


class SetupError(Exception):
    """One sentence for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    servers: tuple[Server, ...]
    source: Source
    config: Config
    station: Station
    warnings: tuple[str, ...]

    def context(self, keylog: KeyLog | None) -> ClientContext | None:
        """None for a network that has no method over TLS. Raises: SetupError."""
        network = self.station.network
        if not needs_tls(network):
            return None
        try:
            credentials = Files(network, self.config.blobs).load()
            return ClientContext(network.tls, credentials, keylog)
        except EapolError as error:
            raise SetupError(str(error)) from error


def made(options: argparse.Namespace) -> Setup:
    if options.pin is not None or options.reader is not None:
        raise SetupError("-P and -R are for smart cards, which are not supported")
    servers = _servers(options)
    own = _address("-A", options.own_address) if options.own_address else None
    config = _config(options)
    network = config.network
    if network is None:
        raise SetupError(f"{options.config}: no network is enabled")
    station = Station(
        network=network,
        attributes=_attributes(options, own or servers[0].address),
        secrets=tuple(server.secret for server in servers),
        keys_expected=not options.no_keys,
        expect=tuple(_pair(each) for each in options.expect),
        dictionaries=tuple(options.dictionary),
        timeout=options.timeout,
    )
    source = Source(
        address=own, interface=options.interface, tls=_tls(options), name=options.tls_name
    )
    return Setup(
        servers=servers, source=source, config=config, station=station, warnings=config.warnings
    )


def _config(options: argparse.Namespace) -> Config:
    if options.config is None:
        if options.status_server:
            return Config(networks=(Network(),))
        raise SetupError("a configuration file is required; name it with -c FILE")
    try:
        octets = files.read(options.config)
        return parse(octets.decode("utf-8", "surrogateescape"), str(options.config), wired=False)
    except OSError as error:
        raise SetupError(f"{options.config}: cannot be read: {error.strerror}") from error
    except EapolError as error:
        raise SetupError(str(error)) from error


def _servers(options: argparse.Namespace) -> tuple[Server, ...]:
    transport = Transport(options.transport)
    secret = _secret(options, transport)
    return tuple(
        Server(
            address=_address("-a", each),
            port=options.port or _PORTS[transport],
            secret=secret,
            transport=transport,
            signed=not options.unsigned,
        )
        for each in options.address or ["127.0.0.1"]
    )


def _secret(options: argparse.Namespace, transport: Transport) -> Secret:
    if options.secret_file is not None:
        try:
            octets = files.read(options.secret_file).rstrip(b"\r\n")
        except OSError as error:
            raise SetupError(f"{options.secret_file}: cannot be read: {error.strerror}") from error
    elif options.secret is not None:
        octets = options.secret.encode("utf-8", "surrogateescape")
    else:
        octets = _SECRETS[transport]
    if not octets:
        raise SetupError("the secret is empty, so answers are not authenticated (RFC 2865, 3)")
    return Secret(octets)


def _address(option: str, text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise SetupError(f"{option} {text}: is not an IP address") from None


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    """RFC 6614, 2.3: both sides show certificates."""
    if options.transport != "TLS":
        return None
    if options.tls_ca is None or options.tls_cert is None or options.tls_key is None:
        raise SetupError("-X TLS needs -j CA, -J CERTIFICATE and -k KEY (RFC 6614, 2.3)")
    try:
        context = ssl.create_default_context(cafile=options.tls_ca)
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except (OSError, ssl.SSLError) as error:
        names = f"{options.tls_ca}, {options.tls_cert}, {options.tls_key}"
        raise SetupError(f"{names}: one of them cannot be used: {error}") from error
    return context


def _attributes(options: argparse.Namespace, address: Address) -> Attributes:
    mac = options.mac.replace(":", "").replace("-", "").lower()
    if len(mac) != 12 or not set(mac) <= set("0123456789abcdef"):
        raise SetupError(f"-M {options.mac}: is not a MAC address, such as 02:00:00:00:00:01")
    station = "-".join(mac[at : at + 2] for at in range(0, 12, 2)).upper()  # RFC 3580, 3.21
    nas = A.NAS_IP_ADDRESS if address.version == 4 else A.NAS_IPV6_ADDRESS
    ours: list[Attribute] = [
        (nas, address.packed),
        (A.CALLING_STATION_ID, station.encode()),
        (A.FRAMED_MTU, _FRAMED_MTU.to_bytes(4, "big")),
        (A.NAS_PORT_TYPE, _ETHERNET.to_bytes(4, "big")),
        (A.SERVICE_TYPE, _FRAMED.to_bytes(4, "big")),
    ]
    if options.connect_info is not None:
        ours.append((A.CONNECT_INFO, options.connect_info.encode()[:LONGEST_VALUE]))
    if options.key_name:
        ours.append((A.EAP_KEY_NAME, b"\0"))  # RFC 4072, 4.1.4: "send it"
    given = [_attribute(each, tuple(options.dictionary)) for each in options.attributes]
    replaced = {kind for kind, _ in given} - {A.VENDOR_SPECIFIC}
    return (*(each for each in ours if each[0] not in replaced), *given)


def _attribute(text: str, dictionaries: tuple[str, ...]) -> Attribute:
    number, _, rest = text.partition(":")
    if not number.isdecimal():
        name, value = _pair(text)
        try:
            return codec.attribute(name, value, *dictionaries)
        except BadAttribute as error:
            raise SetupError(f"-N {error}") from error
    syntax, colon, value = rest.partition(":")
    try:
        octets = _value(syntax, value) if colon or rest else b"\0"
    except (ValueError, OverflowError):
        octets = b""
    if not (octets and len(octets) <= LONGEST_VALUE and 0 < int(number) < 256):
        raise SetupError(f"-N {text}: write NUMBER:s:TEXT, NUMBER:d:NUMBER or NUMBER:x:HEX")
    return int(number), octets


def _value(syntax: str, value: str) -> bytes:
    match syntax:
        case "s":
            return value.encode("utf-8", "surrogateescape")
        case "d":
            return int(value).to_bytes(4, "big")
        case "x":
            return bytes.fromhex(value)
        case _:
            raise ValueError(syntax)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise SetupError(f"'{text}' is not of the form NAME=VALUE")
    return name, value
