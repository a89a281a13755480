"""Whether a client certificate can be used for EAP-TLS, checked before it is used.

OpenSSL judges it as a server would: path, dates, purpose (RFC 5280, 6; RFC 5216, 5.3). What it
refuses is raised as a CredentialError, whose sentence names the file and the remedy; what works and
should not have to comes back as warnings. Nothing is read or written here, and the date is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from eapol import credentials, openssl, own
from eapol.credentials import Identity
from eapol.errors import CredentialError
from eapol.openssl import Fault
from eapol.own import day, who
from eapol.settings import Credentials, NamedOctets, NamedSecret
from wire import pem
from wire.secret import Secret
from wire.x509 import Certificate, RevocationList

_BAD_SIGNATURE: Final = 7  # X509_V_ERR_CERT_SIGNATURE_FAILURE
_ROOT_IN_CHAIN: Final = (18, 19)  # X509_V_ERR_..._SELF_SIGNED_CERT..., one that is not trusted


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """The files of an administrator: file contents with the names to give them in errors."""

    client: NamedOctets
    ca: NamedOctets
    key: NamedSecret
    passphrase: Secret | None = None
    crl: NamedOctets | None = None


def judge(handed: Handed, date: datetime) -> list[str]:
    """Warnings about what was handed over.

    Raises: CredentialError; PassphraseNeeded if the key is encrypted and there is no passphrase.
    """
    authorities = credentials.certificates(handed.ca)
    shown = credentials.identity(
        Credentials(certificate=handed.client, key=handed.key, passphrase=handed.passphrase)
    )
    assert shown is not None  # a key was named
    found = openssl.verify(shown.certificate, shown.chain, authorities, date)
    if isinstance(found, Fault):
        raise CredentialError(_refusal(found, shown, authorities, handed, date))
    places = [(each, _file(each, authorities, shown, handed)) for each in found]
    said = [
        sentence
        for place in places
        for sentence in (_old(*place), own.weak(*place), own.ends(*place, date))
    ]
    warnings = [sentence for sentence in said if sentence is not None]
    if handed.crl is not None:
        known = [shown.certificate, *shown.chain, *authorities]
        warnings += _not_revoked(handed.crl, handed, found, known, date)
    return warnings


def as_pem(file: NamedOctets) -> bytes:
    """The file if it is PEM, otherwise its certificates as PEM. Raises: CredentialError."""
    if any(block.label in pem.CERTIFICATES for block in pem.blocks(file.octets)):
        return file.octets
    found = credentials.certificates(file)
    return b"".join(pem.block("CERTIFICATE", each.der) for each in found)


def key_as_pem(handed: Handed) -> Secret:
    """The key file as it is if it is PEM, otherwise its key as PEM, not encrypted any more.

    Raises: CredentialError.
    """
    octets = handed.key.secret.reveal()
    if pem.is_pem(octets):
        return handed.key.secret
    found = credentials.identity(
        Credentials(certificate=handed.client, key=handed.key, passphrase=handed.passphrase)
    )
    assert found is not None  # a key was named
    return found.key.pem()


def _file(
    certificate: Certificate, authorities: Sequence[Certificate], shown: Identity, handed: Handed
) -> str:
    """Where `certificate` was found."""
    if certificate in (shown.certificate, *shown.chain) or certificate not in authorities:
        return shown.name
    return handed.ca.name


def _refusal(
    fault: Fault,
    shown: Identity,
    authorities: Sequence[Certificate],
    handed: Handed,
    date: datetime,
) -> str:
    at, ca = fault.certificate, handed.ca.name
    candidates = [*shown.chain, *authorities]
    if fault.error in _ROOT_IN_CHAIN:
        return (
            f"{shown.name}: the certificate's root CA is {who(at)}, which is not in {ca}; give the"
            " CA file that holds it"
        )
    same_name = any(each.subject == at.issuer for each in candidates)
    if fault.error == _BAD_SIGNATURE or (fault.error in openssl.NO_ISSUER and same_name):
        return (
            f"{shown.name}: the certificate of {who(at)} was not signed with the key of the"
            f" '{at.issuer}' that was given: two CAs have this name; put the right one into {ca}"
        )
    if fault.error in openssl.NO_ISSUER:
        return (
            f"{shown.name}: the certificate of {who(at)} was issued by '{at.issuer}', which is"
            f" neither in {shown.name} nor in {ca}; append the certificate of that issuer to"
            f" {shown.name}, or give the right CA file"
        )
    return own.sentence(fault, _file(at, authorities, shown, handed), date)


def _old(certificate: Certificate, name: str) -> str | None:
    """The manual wants version 3; OpenSSL takes others."""
    if certificate.version == 3:
        return None
    what = f"{name}: the certificate of {who(certificate)} is X.509 version {certificate.version}"
    return f"{what}; have a certificate of version 3 issued"


def crls(file: NamedOctets) -> list[RevocationList]:
    """The revocation lists of a PEM file; at least one. Raises CredentialError."""
    found = credentials.revocations(file)
    if not found:
        what = f"{file.name}: holds no CRL in PEM form"
        raise CredentialError(
            f"{what}; convert it with 'openssl crl -inform DER -in {file.name} -out NEW.pem'"
        )
    return found


def _not_revoked(
    file: NamedOctets,
    handed: Handed,
    path: Sequence[Certificate],
    known: Sequence[Certificate],
    date: datetime,
) -> list[str]:
    """No list revokes a certificate of the path (RFC 5280, 6.3); stale lists are warned about."""
    warnings = []
    for crl in crls(file):
        if not any(_signed(crl, each) for each in known if each.subject == crl.issuer):
            what = f"{file.name}: the CRL of '{crl.issuer}' is not signed by a CA in"
            raise CredentialError(f"{what} {handed.ca.name}; give the CRL of that CA")
        for certificate in path:
            if crl.revokes(certificate):
                raise CredentialError(
                    f"{handed.client.name}: the certificate of {who(certificate)} was revoked on"
                    f" {day(crl.revoked_on(certificate))}; have another issued"
                )
        if crl.next_update is not None and crl.next_update < date:
            what = f"{file.name}: the CRL of '{crl.issuer}' expired on"
            warnings.append(f"{what} {day(crl.next_update)}; fetch the current one")
    return warnings


def _signed(crl: RevocationList, signer: Certificate) -> bool:
    try:
        key = load_der_public_key(signer.public_key)
        return x509.load_der_x509_crl(crl.der).is_signature_valid(key)  # type: ignore[arg-type]
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False
