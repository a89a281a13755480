"""A small certification authority (RFC 5280), for the demo and for the tests.

It keeps nothing: an `Authority` is a certificate with its key, and what it issues is returned.
It is no authority to run a company on: serial numbers are the only thing it remembers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mgu.files import PRIVATE, write_whole

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

ORGANISATION: Final = "Branch Office Lab"


class KeyKind(Enum):
    """What key a certificate is made for."""

    RSA_1024 = 1024
    RSA_2048 = 2048
    RSA_3072 = 3072
    P256 = 256

    def generate(self) -> PrivateKey:
        if self is KeyKind.P256:
            return ec.generate_private_key(ec.SECP256R1())
        return rsa.generate_private_key(public_exponent=65537, key_size=self.value)


class Usage(Enum):
    """What a certificate is for, as its extended key usage (RFC 5280, 4.2.1.12)."""

    SERVER = ExtendedKeyUsageOID.SERVER_AUTH
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
    MAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION  # the wrong one, for either end of EAP-TLS
    IPSEC = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.17")  # id-kp-ipsecIKE, RFC 4945, 5.1.3.12


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when a certificate is valid; both with a time zone."""

    begin: datetime
    end: datetime

    @classmethod
    def around(cls, now: datetime, days: int = 3650) -> Self:
        """From the day before `now`, for `days`."""
        return cls(now - timedelta(days=1), now + timedelta(days=days))

    @classmethod
    def expired(cls, now: datetime) -> Self:
        """A year that ended the day before `now`."""
        return cls(now - timedelta(days=366), now - timedelta(days=1))

    @classmethod
    def not_yet(cls, now: datetime) -> Self:
        """A year that begins the day after `now`."""
        return cls(now + timedelta(days=1), now + timedelta(days=366))


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key, and its issuers from the nearest up, without the root."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()

    def certificate_pem(self, *, with_chain: bool = True) -> bytes:
        """The certificate, then its issuers: the order that TLS wants."""
        shown = (self.certificate, *(self.chain if with_chain else ()))
        return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in shown)

    def key_pem(self, passphrase: bytes | None = None) -> bytes:
        """The key as PKCS #8, encrypted if there is a passphrase."""
        encryption: KeySerializationEncryption = NoEncryption()
        if passphrase is not None:
            encryption = BestAvailableEncryption(passphrase)
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@dataclass(frozen=True, slots=True)
class Authority:
    """One that issues certificates: a root, or a rung below one."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()
    """This authority and those above it, without the root."""

    @classmethod
    def root(cls, common_name: str, valid: Validity, key: PrivateKey) -> Self:
        subject = _name(common_name)
        builder = _authority(_builder(subject, subject, key, valid), key, key)
        return cls(builder.sign(key, hashes.SHA256()), key)

    def intermediate(self, common_name: str, valid: Validity, key: PrivateKey) -> "Authority":
        builder = _builder(_name(common_name), self.certificate.subject, key, valid)
        certificate = _authority(builder, key, self.key).sign(self.key, hashes.SHA256())
        return Authority(certificate, key, (certificate, *self.chain))

    def issue(
        self,
        common_name: str,
        valid: Validity,
        key: PrivateKey,
        *,
        usage: Usage,
        names: Sequence[str] = (),
    ) -> Issued:
        """A certificate for `common_name`; `names` (host names, addresses, mail) are its
        alternative names."""
        builder = _builder(_name(common_name), self.certificate.subject, key, valid)
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(issuer=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage.value]), critical=False)
            .add_extension(_authority_key(self.key), critical=False)
        )
        if names:
            alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        return Issued(builder.sign(self.key, hashes.SHA256()), key, self.chain)

    def crl(
        self, revoked: Sequence[Issued], valid: Validity, number: int = 1
    ) -> x509.CertificateRevocationList:
        """A list that revokes `revoked`, complete for this authority."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(valid.begin)
            .next_update(valid.end)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(_authority_key(self.key), critical=False)
        )
        for issued in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(issued.certificate.serial_number)
                .revocation_date(valid.begin)
                .build()
            )
        return builder.sign(self.key, hashes.SHA256())

    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


@dataclass(frozen=True, slots=True)
class Files:
    """Where `write` put a certificate, its key and the root it leads to."""

    ca: Path
    certificate: Path
    key: Path


def write(
    folder: Path, name: str, issued: Issued, ca: Authority, *, passphrase: bytes | None = None
) -> Files:
    """Write `NAME.pem` (with its chain), `NAME-key.pem` (mode 0600) and `NAME-ca.pem`."""
    files = Files(folder / f"{name}-ca.pem", folder / f"{name}.pem", folder / f"{name}-key.pem")
    write_whole(files.ca, ca.certificate_pem())
    write_whole(files.certificate, issued.certificate_pem())
    write_whole(files.key, issued.key_pem(passphrase), PRIVATE)
    return files


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _general_name(name: str) -> x509.GeneralName:
    if "@" in name:
        return x509.RFC822Name(name)
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, valid: Validity
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid.begin)
        .not_valid_after(valid.end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _authority(
    builder: x509.CertificateBuilder, key: PrivateKey, issuer: PrivateKey
) -> x509.CertificateBuilder:
    """What makes a certificate that of an authority (RFC 5280, 4.2.1.3 and 4.2.1.9)."""
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(issuer=True), critical=True)
    if key is issuer:  # a root names no key above its own
        return builder
    return builder.add_extension(_authority_key(issuer), critical=False)


def _authority_key(issuer: PrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())


def _key_usage(*, issuer: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not issuer,
        content_commitment=False,
        key_encipherment=not issuer,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issuer,
        crl_sign=issuer,
        encipher_only=False,
        decipher_only=False,
    )
