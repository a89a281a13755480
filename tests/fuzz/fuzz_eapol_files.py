"""What an administrator may hand to the supplicant: configuration and certificate files."""

from contextlib import suppress

from eapol.certificates import certificates, crls, private_key
from eapol.config import parse
from eapol.errors import EapolError
from eapol.settings import NamedOctets, NamedSecret
from wire.secret import Secret


def conf(data: bytes) -> None:
    with suppress(EapolError):
        parse(data.decode("utf-8", "surrogateescape"), "conf")


def certificate(data: bytes) -> None:
    with suppress(EapolError):
        certificates(NamedOctets("file", b"-----BEGIN CERTIFICATE-----\n" + data))


def crl(data: bytes) -> None:
    with suppress(EapolError):
        crls(NamedOctets("file", b"-----BEGIN X509 CRL-----\n" + data))


def key(data: bytes) -> None:
    with suppress(EapolError):
        private_key(NamedSecret("file", Secret(b"-----BEGIN PRIVATE KEY-----\n" + data)), None)


TARGETS = {"conf": conf, "certificate": certificate, "crl": crl, "key": key}
