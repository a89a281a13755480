"""The certificates of `ipsec --install-certs`: checked, then copied to /etc/racoon/certs."""

from pathlib import Path

from mgu import clock
from mgu.connections.connection import BadConnection
from mgu.connections.racoon import CA_FILE, CERTIFICATE_FILE, KEY_FILE
from mgu.files import PRIVATE, PUBLIC
from mgu.installation import Installation
from mgu.paths import RACOON_CERTS, under_root
from wire import files
from wire.record import Record
from wire.secret import Secret


class CertificateFiles(Record, kw_only=True):
    """Where the administrator put them."""

    ca: Path
    public: Path
    private: Path


def install(files: CertificateFiles) -> list[str]:
    """Copy them; the warnings about them. Raises: BadConnection, and nothing is changed then."""
    # late: only this needs cryptography
    from eapol.certificates import Handed, as_pem, judge, key_as_pem
    from eapol.errors import EapolError, PassphraseNeeded
    from eapol.settings import NamedOctets, NamedSecret

    ca, public, private = _read(files.ca), _read(files.public), _read(files.private)
    handed = Handed(
        client=NamedOctets(str(files.public), public),
        ca=NamedOctets(str(files.ca), ca),
        key=NamedSecret(str(files.private), Secret(private)),
    )
    try:
        warnings = judge(handed, clock.now())
        ca, public = as_pem(handed.ca), as_pem(handed.client)
        private = key_as_pem(handed).reveal()  # racoon reads nothing but PEM
    except PassphraseNeeded:
        raise BadConnection(
            f"{files.private}: the key is encrypted, and racoon cannot ask for the passphrase: "
            f"decrypt it with 'openssl pkey -in {files.private} -out NEW.pem'"
        ) from None
    except EapolError as error:
        raise BadConnection(str(error)) from None
    if files.private.stat().st_mode & 0o077:
        warnings.append(
            f"{files.private}: other users can read this key; 'chmod 600 {files.private}'"
        )
    folder = under_root(RACOON_CERTS)
    with Installation() as installation:
        installation.write(folder / CA_FILE, ca, PUBLIC)
        installation.write(folder / KEY_FILE, private, PRIVATE)
        installation.write(folder / CERTIFICATE_FILE, public, PUBLIC)
    return warnings


def installed() -> bool:
    """Whether certificates are in place from an earlier time."""
    folder = under_root(RACOON_CERTS)
    return all((folder / name).exists() for name in (CA_FILE, CERTIFICATE_FILE, KEY_FILE))


def _read(path: Path) -> bytes:
    try:
        return files.read(path, pipe=True)
    except OSError as error:
        raise BadConnection(f"cannot read {path}: {error.strerror}") from None
