"""Certificates and private keys that racoon.conf names, as DER for the engine."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ike.conf.errors import ConfError, Place
from ike.conf.files import Folders
from ike.conf.psk import check_private
from ike.conf.syntax import Statement, Word
from ike.crypto.credentials import Credentials
from ike.policy import Remote
from wire.secret import Secret

_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]")


class Certificates:
    """Reads the files; names are relative to `path certificate`."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    def own(self, values: Sequence[Word]) -> Credentials:
        """`certificate_type x509 CERT KEY`. Raises: ConfError."""
        kind, *names = values
        if kind.text != "x509":
            raise ConfError("only x509 certificates are supported", kind.place, ["x509"])
        certificate, key = (self._path(name) for name in names)
        return Credentials(
            certificate=_certificates(certificate, names[0].place)[0],
            private_key=_private_key(key, names[1].place),
        )

    def with_authority(self, made: Remote, setting: Statement) -> Credentials:
        """`ca_type x509 CA` added to what `certificate_type` gave. Raises: ConfError."""
        name = setting.words[2]
        authorities = tuple(_certificates(self._path(name), name.place))
        if made.credentials is None:
            return Credentials(certificate=b"", private_key=Secret(b""), authorities=authorities)
        return replace(made.credentials, authorities=authorities)

    def hashed_authorities(self) -> tuple[bytes, ...]:
        """Every CA that `openssl rehash` linked in the certificate folder, as racoon finds them."""
        folder = self._folders.certificate
        found = sorted(p for p in folder.glob("*.[0-9]") if _HASHED.fullmatch(p.name))
        return tuple(der for path in found for der in _certificates(path, None))

    def _path(self, name: Word) -> Path:
        return self._folders.below(self._folders.certificate, name.text)


def _certificates(path: Path, place: Place | None) -> list[bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    content = _content(path, place)
    try:
        found = x509.load_pem_x509_certificates(content)
    except ValueError:
        raise ConfError(f"{path} holds no certificate in PEM form", place) from None
    return [certificate.public_bytes(Encoding.DER) for certificate in found]


def _private_key(path: Path, place: Place) -> Secret:
    from cryptography.hazmat.primitives import serialization as form

    content = _content(path, place)
    check_private(path, path.stat())
    try:
        key = form.load_pem_private_key(content, None)
    except TypeError:
        raise ConfError(f"the private key {path} is encrypted; store it decrypted", place) from None
    except ValueError:
        raise ConfError(f"{path} holds no private key in PEM form", place) from None
    der = key.private_bytes(form.Encoding.DER, form.PrivateFormat.PKCS8, form.NoEncryption())
    return Secret(der)


def _content(path: Path, place: Place | None) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfError(f"cannot read {path}: {error.strerror}", place) from None
