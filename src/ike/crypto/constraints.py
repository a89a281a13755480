"""Name constraints: which names may stand below a CA (RFC 5280, 4.2.1.10).

They are looked at once a chain is known to lead to a CA that we trust: before, a stranger could
make both lists long. Differs: certificates that a CA issued to itself are not exempt; where names
of a kind that no IKE identity has (URIs, say) are both constrained and there, they are refused.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from cryptography import x509
from cryptography.x509.oid import NameOID

from ike.crypto.signatures import UNDECODABLE, alternative_names
from ike.errors import InvalidCertificate


def check(chain: Sequence[x509.Certificate]) -> None:
    """Whether each certificate has only names that all CAs above it may give.

    `chain` is from the end up. Raises: InvalidCertificate.
    """
    for height, authority in enumerate(chain):
        try:
            constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
        except x509.ExtensionNotFound:
            continue
        for certificate in chain[:height]:
            for name in _names(certificate):
                if not _allowed(name, constraints):
                    raise InvalidCertificate(
                        f"{authority.subject.rfc4514_string()} may not have {_text(name)} below it,"
                        f" which {certificate.subject.rfc4514_string()} has (name constraints)"
                    )


def _names(certificate: x509.Certificate) -> Iterator[x509.GeneralName]:
    """All names of a certificate; mail addresses count where old certificates have them, too."""
    yield from alternative_names(certificate)
    if certificate.subject.rdns:
        yield x509.DirectoryName(certificate.subject)
    for attribute in certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
        try:
            yield x509.RFC822Name(str(attribute.value))
        except UNDECODABLE as error:
            raise InvalidCertificate(f"a mail address that cannot be read: {error}") from error


def _allowed(name: x509.GeneralName, constraints: x509.NameConstraints) -> bool:
    """What is said of other kinds of names says nothing of this one."""
    permitted = [c for c in constraints.permitted_subtrees or () if type(c) is type(name)]
    excluded = [c for c in constraints.excluded_subtrees or () if type(c) is type(name)]
    if any(_within(name, subtree) is not False for subtree in excluded):
        return False
    return not permitted or any(_within(name, subtree) is True for subtree in permitted)


def _within(name: x509.GeneralName, subtree: x509.GeneralName) -> bool | None:
    """Whether `subtree` holds `name`, of the same kind; None for kinds that we cannot judge."""
    match name, subtree:
        case x509.DNSName(), x509.DNSName():
            return _domain_within(name.value.lower(), subtree.value.lower())
        case x509.RFC822Name(), x509.RFC822Name():
            return _mail_within(name.value, subtree.value)
        case x509.IPAddress(), x509.IPAddress():
            return _address_within(name.value, subtree.value)
        case x509.DirectoryName(), x509.DirectoryName():
            inner, outer = _folded(name.value), _folded(subtree.value)
            return inner[: len(outer)] == outer
        case _:
            return None


def _domain_within(name: str, domain: str) -> bool:
    if not domain or name == domain:
        return True
    return name.endswith(domain if domain.startswith(".") else f".{domain}")


def _mail_within(address: str, subtree: str) -> bool:
    """A mailbox, all of a host, or, with a dot in front, all hosts below a domain."""
    mailbox, _, host = address.rpartition("@")
    wanted, at, domain = subtree.rpartition("@")
    if at:
        return (mailbox, host.lower()) == (wanted, domain.lower())
    if domain.startswith("."):
        return host.lower().endswith(domain.lower())
    return not domain or host.lower() == domain.lower()


def _address_within(address: object, network: object) -> bool | None:
    if not isinstance(address, IPv4Address | IPv6Address):
        return None
    return isinstance(network, IPv4Network | IPv6Network) and address in network


def _folded(name: x509.Name) -> list[frozenset[tuple[x509.ObjectIdentifier, str]]]:
    """Ready for comparison: case and repeated blanks do not matter (RFC 5280, 7.1)."""
    return [
        frozenset((a.oid, " ".join(str(a.value).split()).casefold()) for a in part)
        for part in name.rdns
    ]


def _text(name: x509.GeneralName) -> str:
    value = name.value
    return value.rfc4514_string() if isinstance(value, x509.Name) else str(value)
