"""Whether a client certificate will do for EAP-TLS, judged before it is used.

RFC 5280 for paths and their dates, RFC 5216, 5.3 for what a peer's certificate must be allowed to
do. The first thing that rules it out is raised as a CredentialError, whose sentence names the file
and the remedy; what works and should not have to comes back as warnings. Nothing is read or
written here, and the date is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from eapol import credentials, own
from eapol.errors import CredentialError
from eapol.own import day, issued, who
from eapol.settings import NamedOctets, NamedSecret
from wire.secret import Secret

_MAX_PATH: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What an administrator hands over: file contents with the names to give them in errors."""

    client: NamedOctets
    ca: NamedOctets
    key: NamedSecret
    passphrase: Secret | None = None
    crl: NamedOctets | None = None


def judge(handed: Handed, date: datetime) -> list[str]:
    """Warnings about what was handed over.

    Raises: CredentialError; PassphraseNeeded if the key is encrypted and there is no passphrase.
    """
    client = certificates(handed.client)
    authorities = certificates(handed.ca)
    _key_fits(handed, client[0])
    _refuse(own.purpose(client[0], handed.client.name))
    path = _path(client, authorities, handed)
    for place in path:
        _is_version_3(*place)
        _refuse(own.dates(*place, date))
    said = [each for place in path for each in (own.weak(*place), own.ends(*place, date))]
    warnings = [warning for warning in said if warning is not None]
    if handed.crl is not None:
        warnings += _not_revoked(handed, [certificate for certificate, _ in path], date)
    return warnings


def _refuse(fault: str | None) -> None:
    if fault is not None:
        raise CredentialError(fault)


def certificates(file: NamedOctets) -> list[x509.Certificate]:
    """The certificates of a PEM file, in order; at least one. Raises CredentialError."""
    if b"-----BEGIN CERTIFICATE" not in file.octets:
        raise CredentialError(_not_pem(file))
    return credentials.certificates(file)


def crls(file: NamedOctets) -> list[x509.CertificateRevocationList]:
    """The revocation lists of a PEM file; at least one. Raises CredentialError."""
    found = credentials.revocations(file)
    if not found:
        what = f"{file.name}: there is no PEM revocation list in it"
        raise CredentialError(
            f"{what}; convert it with 'openssl crl -inform DER -in {file.name} -out NEW.pem'"
        )
    try:
        for crl in found:
            _ = crl.issuer, crl.next_update_utc, [entry.revocation_date_utc for entry in crl]
    except ValueError as error:
        what = f"{file.name}: a revocation list in it is damaged ({error}); fetch it again"
        raise CredentialError(what) from error
    return found


def _not_pem(file: NamedOctets) -> str:
    if b"PRIVATE KEY" in file.octets:
        return f"{file.name}: this is a private key, not a certificate; exchange the two files"
    if file.octets[:1] == b"\x30":
        return (
            f"{file.name}: this is DER or PKCS #12, not PEM; convert it with"
            f" 'openssl x509 -inform DER -in {file.name} -out NEW.pem'"
            f" or 'openssl pkcs12 -in {file.name} -out NEW.pem'"
        )
    return f"{file.name}: there is no PEM certificate in it; give an X.509 version 3 file (.pem)"


def _key_fits(handed: Handed, client: x509.Certificate) -> None:
    """The key loads, and is that of the certificate."""
    if private_key(handed.key, handed.passphrase).public_key() != client.public_key():
        raise CredentialError(
            f"{handed.key.name}: this is not the key of the certificate in {handed.client.name};"
            " give the key that the certificate was requested with"
        )


def private_key(file: NamedSecret, passphrase: Secret | None) -> credentials.PrivateKey:
    """The key of a PEM file. Raises CredentialError, or PassphraseNeeded."""
    if b"PRIVATE KEY-----" not in file.secret.reveal():
        what = f"{file.name}: there is no PEM private key in it"
        raise CredentialError(f"{what}; give the file that says BEGIN PRIVATE KEY")
    return credentials.private_key(file, passphrase)


Place = tuple[x509.Certificate, str]
"""A certificate, and the name of the file that it is in."""


def _path(
    client: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate], handed: Handed
) -> list[Place]:
    """From the client's certificate to one that is its own issuer (RFC 5280, 6.1)."""
    candidates: list[Place] = [
        *((certificate, handed.client.name) for certificate in client[1:]),
        *((certificate, handed.ca.name) for certificate in authorities),
    ]
    path: list[Place] = [(client[0], handed.client.name)]
    while path[-1][0].subject != path[-1][0].issuer and len(path) < _MAX_PATH:
        issuer = next((each for each in candidates if issued(each[0], path[-1][0])), None)
        if issuer is None:
            raise CredentialError(_no_issuer(path[-1], candidates, handed))
        path.append(issuer)
    if path[-1][0] not in authorities:
        raise CredentialError(
            f"{handed.client.name}: the certificate leads to {who(path[-1][0])}, which is not in"
            f" {handed.ca.name}; give the CA file that holds it"
        )
    return path


def _no_issuer(place: Place, candidates: Sequence[Place], handed: Handed) -> str:
    certificate, name = place
    issuer = certificate.issuer.rfc4514_string()
    if any(candidate.subject == certificate.issuer for candidate, _ in candidates):
        return (
            f"{name}: the certificate of {who(certificate)} was not signed by the '{issuer}' that"
            f" was given, but by another of that name; give the right one in {handed.ca.name}"
        )
    return (
        f"{name}: the certificate of {who(certificate)} was issued by '{issuer}', which is"
        f" neither in {handed.client.name} nor in {handed.ca.name}; append the certificate of"
        f" that issuer to {handed.client.name}, or give the right CA file"
    )


def _is_version_3(certificate: x509.Certificate, name: str) -> None:
    if certificate.version is not x509.Version.v3:
        number = certificate.version.value + 1
        what = f"{name}: the certificate of {who(certificate)} is X.509 version {number}"
        raise CredentialError(f"{what}; have one of version 3 issued")


def _not_revoked(handed: Handed, path: Sequence[x509.Certificate], date: datetime) -> list[str]:
    """No list revokes a certificate of the path (RFC 5280, 6.3); stale lists are warned about."""
    assert handed.crl is not None
    warnings = []
    for crl in crls(handed.crl):
        issuer = crl.issuer.rfc4514_string()
        signers = [each for each in _known(handed) if each.subject == crl.issuer]
        if not any(_signed(crl, signer) for signer in signers):
            what = f"{handed.crl.name}: the list of '{issuer}' is not signed by an authority in"
            raise CredentialError(f"{what} {handed.ca.name}; give the list of that authority")
        for certificate in path:
            revoked = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
            if certificate.issuer == crl.issuer and revoked is not None:
                raise CredentialError(
                    f"{handed.client.name}: the certificate of {who(certificate)} was revoked on"
                    f" {day(revoked.revocation_date_utc)}; have another issued"
                )
        if crl.next_update_utc is not None and crl.next_update_utc < date:
            what = f"{handed.crl.name}: the list of '{issuer}' was due to be replaced on"
            warnings.append(f"{what} {day(crl.next_update_utc)}; fetch the current one")
    return warnings


def _known(handed: Handed) -> list[x509.Certificate]:
    return [*certificates(handed.client), *certificates(handed.ca)]


def _signed(crl: x509.CertificateRevocationList, signer: x509.Certificate) -> bool:
    try:
        return crl.is_signature_valid(signer.public_key())  # type: ignore[arg-type]
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False
