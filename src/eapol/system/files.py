"""The certificate and key files of a network: read whole, and looked at again for changes."""

import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from eapol.errors import CredentialError
from eapol.method_options import inner_policy
from eapol.settings import Credentials, InnerTls, NamedOctets, NamedSecret, Network
from wire import files
from wire.secret import Secret

BLOB: Final = "blob://"


class Files:
    """The files that `network` names; `blobs` are those inside the configuration file."""

    def __init__(self, network: Network, blobs: Mapping[str, bytes]) -> None:
        self._network = network
        self._blobs = blobs
        self._seen: tuple[object, ...] = ()

    def load(self) -> Credentials:
        """Raises: CredentialError, one sentence that names the file and the remedy."""
        network = self._network
        self._seen = self._marks()
        found = self._credentials(network, network.ca_cert, "")
        if network.inner is None:
            return found
        # Differs: without ca_cert2 wpa_supplicant accepts any server; here ca_cert counts
        ca = network.inner.ca_cert or network.ca_cert
        policy = inner_policy(network, network.inner)
        return replace(found, inner=(policy, self._credentials(network.inner, ca, "2")))

    def _credentials(self, of: Network | InnerTls, ca: str | None, suffix: str) -> Credentials:
        key, option = of.private_key, f"private_key{suffix}"
        return Credentials(
            ca=self._named(f"ca_cert{suffix}", ca),
            certificate=self._named(f"client_cert{suffix}", of.client_cert),
            key=NamedSecret(key, Secret(self._octets(option, key))) if key else None,
            passphrase=of.private_key_passwd,
        )

    def changed(self) -> bool:
        """Whether a file is another than at the last `load` or `changed`."""
        marks = self._marks()
        if marks == self._seen:
            return False
        self._seen = marks
        return True

    def _named(self, option: str, name: str | None) -> NamedOctets | None:
        return NamedOctets(name, self._octets(option, name)) if name else None

    def _octets(self, option: str, name: str) -> bytes:
        if name.startswith(BLOB):
            blob = self._blobs.get(name.removeprefix(BLOB))
            if blob is None:
                raise CredentialError(f"{option}={name}: the configuration has no such blob")
            return blob
        try:
            return files.read(name)
        except OSError as error:
            raise CredentialError(
                f"{name}: cannot be read ({error.strerror}); {option} names it;"
                " put the file there, or run net8021x again"
            ) from error

    def _marks(self) -> tuple[object, ...]:
        parts = (self._network, self._network.inner or InnerTls())
        names = [n for of in parts for n in (of.ca_cert, of.client_cert, of.private_key)]
        return tuple(_mark(Path(name)) for name in names if name and not name.startswith(BLOB))


def exposed(name: str) -> bool:
    """Whether others than its owner may read the file `name`."""
    try:
        return bool(Path(name).stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except (OSError, ValueError):
        return False


def _mark(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):  # no such file; no such name
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
