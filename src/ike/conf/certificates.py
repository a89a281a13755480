"""Certificates, private keys and CRLs that racoon.conf names, as DER for the engine."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ike.conf.errors import ConfError
from ike.conf.files import Folders
from ike.conf.psk import check_private
from ike.config import Remote
from ike.crypto.credentials import Credentials
from ike.errors import InvalidCertificate, LocalError
from wire import certfile, files, pem
from wire.cursor import DecodeError
from wire.grammar import Statement
from wire.secret import Secret
from wire.source import Notices, Place, Word

_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]")
_HASHED_CRL: Final = re.compile(r"[0-9a-f]{8}\.r[0-9]")
_NONE: Final = Credentials(certificate=b"", private_key=Secret(b""))


class Certificates:
    """Reads the files; names are relative to `path certificate`."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    def own(self, made: Remote, values: Sequence[Word]) -> Credentials:
        """`certificate_type x509 CERT KEY`, with what `ca_type` gave. Raises: ConfError."""
        _, *names = values
        certificate, key = (self._path(name) for name in names)
        shown, *others = _certificates(certificate, names[0].place)
        private = _private_key(key, shown, names[1].place)
        return replace(
            made.credentials or _NONE,
            certificate=shown,
            private_key=private,
            chain=tuple(others),
        )

    def with_authority(self, made: Remote, setting: Statement) -> Credentials:
        """`ca_type x509 CA`, whose file may hold CRLs, too, added to what `certificate_type` gave.

        Raises: ConfError.
        """
        name = setting.words[2]
        path = self._path(name)
        return replace(
            made.credentials or _NONE,
            authorities=tuple(_certificates(path, name.place)),
            crls=tuple(_crls(path, name.place)),
        )

    def peers(self, name: Word) -> bytes:
        """The first certificate of the file. Raises: ConfError."""
        return _certificates(self._path(name), name.place)[0]

    def completed(self, made: Credentials, place: Place, notices: Notices) -> Credentials:
        """With the certificate folder's CRLs, its CAs if none is named, and our chain in order.

        Raises: ConfError.
        """
        listed = (der for path in self._hashed(_HASHED_CRL) for der in _hashed_crls(path, None))
        authorities = made.authorities or tuple(self._hashed_authorities(place, notices))
        crls = tuple(dict.fromkeys((*made.crls, *listed)))
        made = replace(made, authorities=authorities, crls=crls)
        return replace(made, chain=_chain(made))

    def _hashed_authorities(self, place: Place, notices: Notices) -> Iterator[bytes]:
        """Without one that cannot be read: whom it vouches for is not let in."""
        for path in self._hashed(_HASHED):
            try:
                yield from _certificates(path, None)
            except ConfError as error:
                notices.passed_over(place, error.sentence)

    def _hashed(self, name: re.Pattern[str]) -> list[Path]:
        """What `openssl rehash` linked in the certificate folder, as racoon finds it."""
        return sorted(p for p in self._folders.certificate.glob("*.*") if name.fullmatch(p.name))

    def _path(self, name: Word) -> Path:
        return self._folders.below(self._folders.certificate, name.text)


def _certificates(path: Path, place: Place | None) -> list[bytes]:
    """Those of a PEM file, of a PKCS #7 bundle, or the one in DER; at least one."""
    from ike.crypto.signatures import load

    content = _content(path, place)
    try:
        found = [each.der for each in certfile.certificates(content)]
        for der in found:
            load(der)
    except InvalidCertificate as error:
        raise ConfError(f"{path}: {error}", place) from None
    except (ValueError, DecodeError):
        found = []
    if not found:
        raise ConfError(f"{path} holds no certificate (PEM, DER or PKCS #7)", place)
    return found


def _crls(path: Path, place: Place | None) -> list[bytes]:
    """All CRLs of a PEM file; there may be none."""
    from ike.crypto.revocation import load

    content = _content(path, place)
    try:
        found = [each.der for each in certfile.revocation_lists(content)]
        for der in found:
            load(der)
    except (ValueError, DecodeError, LocalError):
        text = f"{path}: a CRL in it cannot be read; 'openssl crl -in {path} -noout' says why"
        raise ConfError(text, place) from None
    return found


def _hashed_crls(path: Path, place: Place | None) -> list[bytes]:
    found = _crls(path, place)
    if not found:
        raise ConfError(f"{path} holds no CRL in PEM form", place)
    return found


def _chain(made: Credentials) -> tuple[bytes, ...]:
    """What to send after our certificate: out of its file and, as strongSwan does, of the CAs."""
    from ike.crypto.chains import chain_to_send
    from ike.crypto.signatures import load

    if not made.certificate:
        return ()
    return tuple(chain_to_send(load(made.certificate), [*made.chain, *made.authorities]))


def _private_key(path: Path, certificate: bytes, place: Place) -> Secret:
    from cryptography.hazmat.primitives import serialization as form

    content, status = _content_and_status(path, place)
    check_private(path, status)
    try:
        if pem.is_pem(content):  # other blocks may stand before it
            blocks = [block.text for block in pem.blocks(content) if block.is_key]
            key = form.load_pem_private_key(blocks[0] if blocks else b"", None)
        else:
            key = form.load_der_private_key(content, None)
    except TypeError:
        raise ConfError(f"the private key {path} is encrypted; store it decrypted", place) from None
    except ValueError:
        raise ConfError(f"{path} holds no private key (PEM or DER)", place) from None
    if not _belongs(key.public_key(), certificate):
        text = (
            f"the private key {path} does not belong to the first certificate of certificate_type"
        )
        raise ConfError(text, place)
    der = key.private_bytes(form.Encoding.DER, form.PrivateFormat.PKCS8, form.NoEncryption())
    return Secret(der)


def _belongs(key: object, certificate: bytes) -> bool:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    from ike.crypto.signatures import load

    try:
        return load_der_public_key(load(certificate).public_key) == key
    except (ValueError, UnsupportedAlgorithm):
        return False


def _content(path: Path, place: Place | None) -> bytes:
    return _content_and_status(path, place)[0]


def _content_and_status(path: Path, place: Place | None) -> tuple[bytes, os.stat_result]:
    try:
        return files.read_with_status(path)
    except OSError as error:
        raise ConfError(f"cannot read {path}: {error.strerror}", place) from None
