"""Certificates, revocation lists and private keys: what is in a file, as OpenSSL reads it."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from mgu.check.report import ATTENTION, REFUSED, Finding
from wire.source import PASSED_OVER

if TYPE_CHECKING:
    from wire.x509 import Certificate

_SOON: Final = timedelta(days=30)
Found = tuple[list[Finding], list[str], bool]


def look(name: str, octets: bytes, now: datetime | None = None) -> Found:
    """Findings, facts, and whether there is a private key in the file."""
    from eapol.credentials import certificates, is_pkcs12, revocations
    from eapol.errors import EapolError
    from eapol.settings import NamedOctets
    from wire import pem

    date = now or datetime.now(UTC)
    if is_pkcs12(octets):
        return _bundle(name, octets, date)
    findings: list[Finding] = []
    facts: list[str] = []
    file = NamedOctets(name, octets)
    key = _key(name, octets, findings)
    if key:
        facts.append(key)
    try:
        for each in certificates(file):
            facts.append(_described(each))
            findings += _doubts(each, date, name)
        facts += [f"a CRL of {each.issuer}" for each in revocations(file)]
    except EapolError as error:
        if not key:
            findings.append(Finding(REFUSED, str(error).removeprefix(f"{name}: "), name))
    known = (*pem.CERTIFICATES, *pem.REVOCATION_LISTS, *pem.BUNDLES)
    for block in pem.blocks(octets):
        if not block.is_key and block.label not in known:
            findings.append(Finding(PASSED_OVER, f"the part {block.label} has no effect", name))
    return findings, facts, bool(key)


def _bundle(name: str, octets: bytes, date: datetime) -> Found:
    """PKCS #12: a key with its certificates, mostly encrypted."""
    from eapol.credentials import identity
    from eapol.errors import CredentialError, PassphraseNeeded
    from eapol.settings import Credentials, NamedSecret
    from wire.secret import Secret

    text = "PKCS #12 is for private_key of the supplicant; iked reads PEM and DER"
    findings = [Finding(ATTENTION, text, name)]
    facts = ["a private key with its certificates (PKCS #12)"]
    try:
        found = identity(Credentials(key=NamedSecret(name, Secret(octets))))
    except PassphraseNeeded:
        text = "it is encrypted: what is in it is not looked at; set private_key_passwd"
        findings.append(Finding(ATTENTION, text, name))
    except CredentialError as error:
        findings.append(Finding(REFUSED, str(error).removeprefix(f"{name}: "), name))
    else:
        for each in (found.certificate, *found.chain) if found else ():
            facts.append(_described(each))
            findings += _doubts(each, date, name)
    return findings, facts, True


def _key(name: str, octets: bytes, findings: list[Finding]) -> str:
    """What is to be said of a private key in the file; empty if there is none."""
    from eapol.credentials import private_key
    from eapol.errors import CredentialError, PassphraseNeeded
    from eapol.settings import NamedSecret
    from wire import pem
    from wire.secret import Secret

    marked = any(block.is_key for block in pem.blocks(octets))
    try:
        private_key(NamedSecret(name, Secret(octets)), None)
    except PassphraseNeeded:
        text = "the private key is encrypted: the supplicant asks for private_key_passwd, and"
        findings.append(Finding(ATTENTION, f"{text} iked needs it decrypted", name))
        return "an encrypted private key"
    except CredentialError as error:
        if not marked:
            return ""
        findings.append(Finding(REFUSED, str(error).removeprefix(f"{name}: "), name))
        return "a private key"
    return "a private key"


def _described(certificate: "Certificate") -> str:
    usage = "" if certificate.end is None else f", valid until {certificate.end:%Y-%m-%d}"
    return f"a certificate of {certificate.subject}, issued by {certificate.issuer}{usage}"


def _doubts(certificate: "Certificate", date: datetime, name: str) -> list[Finding]:
    """What OpenSSL's verdict will, or may, be about."""
    from eapol.credentials import weakness

    found: list[str] = []
    begin, end = certificate.begin, certificate.end
    if begin is not None and date < begin:
        found.append(f"it is valid from {begin:%Y-%m-%d %H:%M} UTC only")
    if end is not None and end < date:
        found.append(f"it expired on {end:%Y-%m-%d %H:%M} UTC")
    elif end is not None and end - date < _SOON:
        found.append(f"it expires on {end:%Y-%m-%d %H:%M} UTC: have it renewed")
    if (weak := weakness(certificate)) is not None:
        found.append(weak)
    return [Finding(ATTENTION, f"{certificate.subject}: {text}", name) for text in found]
