"""What an administrator may hand to the supplicant: configuration and certificate files."""

from contextlib import suppress

from eapol.certificates import crls
from eapol.config import parse
from eapol.credentials import certificates, identity, private_key
from eapol.errors import EapolError
from eapol.settings import Credentials, NamedOctets, NamedSecret
from wire import pem
from wire.secret import Secret


def conf(data: bytes) -> None:
    with suppress(EapolError):
        parse(data.decode("utf-8", "surrogateescape"), "conf")


def certificate(data: bytes) -> None:
    for octets in (data, pem.block("CERTIFICATE", data), pem.block("PKCS7", data)):
        with suppress(EapolError):
            for found in certificates(NamedOctets("file", octets)):
                _ = str(found.subject), found.begin, found.usages, found.alternative_names


def crl(data: bytes) -> None:
    with suppress(EapolError):
        crls(NamedOctets("file", pem.block("X509 CRL", data)))


def key(data: bytes) -> None:
    with suppress(EapolError):
        private_key(NamedSecret("file", Secret(pem.block("PRIVATE KEY", data))), None)
    with suppress(EapolError):
        identity(Credentials(key=NamedSecret("file", Secret(data))))


TARGETS = {"conf": conf, "certificate": certificate, "crl": crl, "key": key}
