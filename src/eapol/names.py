"""Names in a server's certificate, and whether they are the ones the administrator wants.

The rules are those that wpa_supplicant.conf documents for subject_match, altsubject_match,
domain_match and domain_suffix_match.
"""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from eapol.notices import CertFault, printable
from eapol.settings import TlsPolicy
from wire import x509
from wire.x509 import Certificate, Name

_KINDS: Final = {x509.RFC822_NAME: "EMAIL", x509.DNS_NAME: "DNS", x509.URI: "URI"}


def one_line(name: Name) -> str:
    """`/O=Example/CN=radius.example`, the form of OpenSSL's X509_NAME_oneline."""
    named = ((x509.ATTRIBUTES.get(oid, oid), text) for oid, text in name.attributes)
    return printable("".join(f"/{label}={text}" for label, text in named))


def alternative_names(certificate: Certificate) -> list[str]:
    """Subject alternative names as `DNS:...`, `EMAIL:...`, `URI:...`, `IP:...`."""
    names = []
    for kind, octets in certificate.alternative_names:
        if kind in _KINDS and b"\0" not in octets:  # or a suffix could hide what is before it
            names.append(f"{_KINDS[kind]}:{octets.decode('latin-1')}")
        elif kind == x509.IP_ADDRESS and len(octets) in (4, 16):
            names.append(f"IP:{ip_address(octets)}")
    return [printable(name) for name in names]


def domains(certificate: Certificate) -> list[str]:
    """dNSNames; the common names only where there is no dNSName."""
    dns = [name[4:] for name in alternative_names(certificate) if name.startswith("DNS:")]
    if dns:
        return dns
    return [
        text
        for oid, text in certificate.subject.attributes
        if oid == x509.COMMON_NAME and "\0" not in text
    ]


def has_suffix(domain: str, suffix: str) -> bool:
    """Whether `suffix` is `domain` or its last labels; capitals do not matter."""
    domain, suffix = domain.lower(), suffix.lower().lstrip(".")
    return domain == suffix or domain.endswith("." + suffix)


def mismatch(certificate: Certificate, policy: TlsPolicy) -> tuple[CertFault, str] | None:
    """What about the names of the server's certificate is not as `policy` wants it."""
    if policy.subject_match and policy.subject_match not in one_line(certificate.subject):
        return CertFault.SUBJECT_MISMATCH, "Subject mismatch"
    if policy.altsubject_match:
        present = {_folded(name) for name in alternative_names(certificate)}
        if present.isdisjoint(map(_folded, policy.altsubject_match)):
            return CertFault.ALTSUBJECT_MISMATCH, "AltSubject mismatch"
    if not _any(certificate, policy.domain_suffix_match, has_suffix):
        return CertFault.DOMAIN_SUFFIX_MISMATCH, "Domain suffix mismatch"
    if not _any(certificate, policy.domain_match, lambda d, wanted: d.lower() == wanted.lower()):
        return CertFault.DOMAIN_MISMATCH, "Domain mismatch"
    return None


def _folded(name: str) -> str:
    kind, _, value = name.partition(":")
    return f"{kind.upper()}:{value.lower() if kind.upper() == 'DNS' else value}"


def _any(
    certificate: Certificate, wanted: tuple[str, ...], holds: Callable[[str, str], bool]
) -> bool:
    return not wanted or any(holds(d, w) for d in domains(certificate) for w in wanted)
