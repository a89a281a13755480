"""Identities: who a peer is in phase 1, what traffic an SA is for in phase 2 (RFC 2407, 4.6.2)."""

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)

from ike.config import Identifier
from ike.crypto.names import encoded_name, name_matches, parse_name, print_name, written_name
from ike.errors import InvalidIdInformation, LocalError
from ike.isakmp.payloads import Identification
from ike.numbers.doi import IdType
from ike.printable import printable
from ike.values import Address, Network, Selector
from wire.cursor import DecodeError
from wire.source import octets_of

_NAMES = (IdType.FQDN, IdType.USER_FQDN)
_TEXT = (*_NAMES, IdType.KEY_ID)
_ADDRESS_SIZE = {IdType.IPV4_ADDR: 4, IdType.IPV6_ADDR: 16}


def address_identity(address: Address) -> Identification:
    kind = IdType.IPV4_ADDR if isinstance(address, IPv4Address) else IdType.IPV6_ADDR
    return Identification(kind, address.packed)


def own_identity(identifier: Identifier | None, local: Address) -> Identification:
    """The identity to send in phase 1. Raises: LocalError if the configured value is no such."""
    if identifier is None or (identifier.type in _ADDRESS_SIZE and not identifier.value):
        return address_identity(local)
    return identification(identifier)


def identification(identifier: Identifier) -> Identification:
    """A configured identity as a payload. Raises: LocalError."""
    kind, value = identifier.type, identifier.value
    try:
        if kind in _ADDRESS_SIZE:
            return address_identity(ip_address(value))
        if kind in _TEXT:
            return Identification(kind, octets_of(value))
        if kind == IdType.DER_ASN1_DN and value:
            return Identification(kind, encoded_name(value))
    except ValueError as error:
        raise LocalError(f"identifier {value!r} is not of type {kind}: {error}") from error
    raise LocalError(f"identifiers of type {kind} are not supported without a certificate")


def describe(identity: Identification) -> str:
    """An identity as text: as psk.txt names it, too."""
    if len(identity.data) == _ADDRESS_SIZE.get(identity.type):
        return str(ip_address(identity.data))
    if identity.type in _TEXT:
        return printable(identity.data.decode("utf-8", "backslashreplace"))
    try:
        if identity.type == IdType.DER_ASN1_DN:
            return printable(print_name(parse_name(identity.data)))
        return str(network_of(identity))
    except (InvalidIdInformation, DecodeError):
        return f"{identity.type}:{identity.data.hex()}"


def is_any(identifier: Identifier) -> bool:
    """Whether it takes all of its type: no value, or `*`, which is a key id like any other."""
    return not identifier.value or (identifier.value == "*" and identifier.type != IdType.KEY_ID)


def matches(identity: Identification, expected: Identifier) -> bool:
    """Whether a peer's identity is the configured one, which may be any of its type."""
    if identity.type != expected.type:
        return False
    if is_any(expected):
        return True
    if identity.type in _NAMES:
        return identity.data.lower() == octets_of(expected.value).lower()
    try:
        if identity.type == IdType.DER_ASN1_DN:
            return name_matches(parse_name(identity.data), written_name(expected.value))
        return identity.data == identification(expected).data
    except (LocalError, DecodeError, ValueError):
        return False


# --- phase 2 ---


def network_of(identity: Identification) -> Network:
    """The addresses that an identity means. Raises: InvalidIdInformation."""
    T, data = IdType, identity.data
    try:
        match identity.type:
            case T.IPV4_ADDR | T.IPV6_ADDR if len(data) == _ADDRESS_SIZE[identity.type]:
                return ip_network(data)
            case T.IPV4_ADDR_SUBNET if len(data) == 8:
                return ip_network((data[:4], _prefix(data[4:])))
            case T.IPV6_ADDR_SUBNET if len(data) == 32:
                return ip_network((data[:16], _prefix(data[16:])))
            case T.IPV4_ADDR_RANGE if len(data) == 8:
                (only,) = summarize_address_range(IPv4Address(data[:4]), IPv4Address(data[4:]))
                return only
            case T.IPV6_ADDR_RANGE if len(data) == 32:
                (one,) = summarize_address_range(IPv6Address(data[:16]), IPv6Address(data[16:]))
                return one
    except ValueError as error:
        raise InvalidIdInformation(f"{identity.type} {data.hex()}: {error}") from error
    raise InvalidIdInformation(f"{identity.type} {data.hex()} does not name a network")


def _prefix(mask: bytes) -> int:
    number = int.from_bytes(mask)
    ones = number.bit_count()
    if number != ((1 << ones) - 1) << (8 * len(mask) - ones):
        raise ValueError("the mask is not contiguous")
    return ones


def traffic_identity(network: Network, protocol: int, port: int) -> Identification:
    """One side of a selector as a payload."""
    v4 = isinstance(network, IPv4Network)
    if network.prefixlen == network.max_prefixlen:
        kind = IdType.IPV4_ADDR if v4 else IdType.IPV6_ADDR
        return Identification(kind, network.network_address.packed, protocol, port)
    kind = IdType.IPV4_ADDR_SUBNET if v4 else IdType.IPV6_ADDR_SUBNET
    data = network.network_address.packed + network.netmask.packed
    return Identification(kind, data, protocol, port)


def selector_of(local: Identification, remote: Identification) -> Selector:
    """The traffic that two identities mean. Raises: InvalidIdInformation."""
    local_network, remote_network = network_of(local), network_of(remote)
    if local_network.version != remote_network.version:
        raise InvalidIdInformation("one identity is IPv4, the other IPv6")
    if local.protocol != remote.protocol:
        raise InvalidIdInformation(f"protocols {local.protocol} and {remote.protocol}")
    return Selector(
        local=local_network,
        remote=remote_network,
        protocol=local.protocol,
        local_port=local.port,
        remote_port=remote.port,
    )


def host_selector(local: Address, remote: Address) -> Selector:
    """What Quick Mode without identities is for: the two hosts (RFC 2409, 5.5)."""
    return Selector(local=_host(local), remote=_host(remote))


def _host(address: Address) -> Network:
    if isinstance(address, IPv6Address):
        return IPv6Network(address)
    return IPv4Network(address)
