"""Whether a certificate names the host that we asked -- RFC 6125, 6.4; RFC 9525."""

from ipaddress import ip_address
from typing import Final

from cryptography.x509 import (
    Certificate,
    DNSName,
    DuplicateExtension,
    ExtensionNotFound,
    IPAddress,
    SubjectAlternativeName,
    UnsupportedGeneralNameType,
)

_UNREADABLE: Final = (ExtensionNotFound, DuplicateExtension, UnsupportedGeneralNameType, ValueError)


def names_host(certificate: Certificate, host: str) -> bool:
    """`host`: a DNS name, or an address as text. The subject's common name does not count."""
    try:
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except _UNREADABLE:
        return False
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return any(_matches(each, host) for each in names.get_values_for_type(DNSName))
    return address in names.get_values_for_type(IPAddress)


def _matches(pattern: str, host: str) -> bool:
    """A `*` stands for the whole first label, and only there."""
    try:
        ascii_host = host.encode("idna").decode("ascii")
    except UnicodeError:
        return False
    wanted = pattern.rstrip(".").lower().split(".")
    have = ascii_host.rstrip(".").lower().split(".")
    if wanted[0] == "*" and len(wanted) > 2:
        return len(wanted) == len(have) and wanted[1:] == have[1:]
    return wanted == have
