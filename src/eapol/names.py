"""Names in a server's certificate, and whether they are the ones the administrator wants.

The rules are those that wpa_supplicant.conf documents for subject_match, altsubject_match,
domain_match and domain_suffix_match.
"""

from collections.abc import Callable
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from eapol.notices import CertFault, printable
from eapol.settings import TlsPolicy

_SHORT_NAMES: Final = {
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.SERIAL_NUMBER: "serialNumber",
    NameOID.GIVEN_NAME: "GN",
    NameOID.SURNAME: "SN",
}


def one_line(name: x509.Name) -> str:
    """`/O=Example/CN=radius.example`, the form of OpenSSL's X509_NAME_oneline."""
    parts = []
    for attribute in name:
        label = _SHORT_NAMES.get(attribute.oid, attribute.rfc4514_attribute_name)
        value = attribute.value
        parts.append(f"/{label}={value if isinstance(value, str) else value.hex()}")
    return printable("".join(parts))


def alternative_names(certificate: x509.Certificate) -> list[str]:
    """Subject alternative names as `DNS:...`, `EMAIL:...`, `URI:...`, `IP:...`."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    names = []
    for name in found.value:
        match name:
            case x509.DNSName(value=text):
                names.append(f"DNS:{text}")
            case x509.RFC822Name(value=text):
                names.append(f"EMAIL:{text}")
            case x509.UniformResourceIdentifier(value=text):
                names.append(f"URI:{text}")
            case x509.IPAddress(value=address):
                names.append(f"IP:{address}")
            case _:
                pass
    return [printable(name) for name in names]


def domains(certificate: x509.Certificate) -> list[str]:
    """dNSNames; the common names only where there is no dNSName."""
    dns = [name[4:] for name in alternative_names(certificate) if name.startswith("DNS:")]
    if dns:
        return dns
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return [str(attribute.value) for attribute in common]


def has_suffix(domain: str, suffix: str) -> bool:
    """Whether `suffix` is `domain` or its last labels; capitals do not matter."""
    domain, suffix = domain.lower(), suffix.lower().lstrip(".")
    return domain == suffix or domain.endswith("." + suffix)


def mismatch(certificate: x509.Certificate, policy: TlsPolicy) -> tuple[CertFault, str] | None:
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
    certificate: x509.Certificate, wanted: tuple[str, ...], holds: Callable[[str, str], bool]
) -> bool:
    return not wanted or any(holds(d, w) for d in domains(certificate) for w in wanted)
