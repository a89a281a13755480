"""Keys for Wireshark, when an administrator asks for them: whoever reads them reads the traffic.

Two of its tables (UAT files): `ikev1_decryption_table` and `esp_sa`. In a Wireshark profile,
or given to tshark with -o uat:..., they let it decrypt a capture.
"""

import errno
import logging
import os
import stat
from pathlib import Path

from ike.aio.driver import Keys
from ike.commands import ExportKeys
from ike.values import IpsecSa
from mgu.files import PRIVATE
from mgu.keying.values import association
from xfrm.algorithms import Kind, row_of
from xfrm.model import Algorithm

logger = logging.getLogger("ike")


class KeyFiles:
    """Appends to the two files in `folder`, mode 0600."""

    def __init__(self, folder: Path) -> None:
        """A folder that is missing is made, for root only. Raises: OSError."""
        folder.mkdir(0o700, parents=True, exist_ok=True)
        self._ike = _opened(folder / "ikev1_decryption_table")
        try:
            self._esp = _opened(folder / "esp_sa")
        except OSError:
            os.close(self._ike)
            raise
        logger.warning("the keys of all SAs are written to %s: who reads them reads all", folder)

    def write(self, keys: Keys) -> None:
        """Add a line. A full disk is a warning: the tunnel matters more than its capture."""
        file, line = (
            (self._ike, _ike_line(keys))
            if isinstance(keys, ExportKeys)
            else (self._esp, _esp_line(keys))
        )
        try:
            os.write(file, line.encode())
        except OSError as error:
            logger.warning("cannot write keys: %s", error.strerror)

    def close(self) -> None:
        os.close(self._ike)
        os.close(self._esp)


def _opened(path: Path) -> int:
    """The file for appending, root's alone. Raises: OSError for what is not a file of our own."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        file = os.open(path, flags, PRIVATE)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _not_ours(path, "is a link or a pipe") from None
        raise
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise _not_ours(path, "is no file")
        if status.st_nlink > 1:
            raise _not_ours(path, "has a second name")
        if status.st_uid != os.geteuid():
            raise _not_ours(path, f"belongs to user {status.st_uid}")
        os.fchmod(file, PRIVATE)
    except OSError:
        os.close(file)
        raise
    return file


def _not_ours(path: Path, what: str) -> OSError:
    return FileExistsError(errno.EEXIST, f"it {what}: keys are not written there", str(path))


def _ike_line(keys: ExportKeys) -> str:
    return f"{keys.initiator_cookie.hex()},{keys.encryption_key.reveal().hex()}\n"


def _esp_line(sa: IpsecSa) -> str:
    made = association(sa)
    fields = (
        f"IPv{sa.source.version}",
        str(sa.source),
        str(sa.destination),
        f"0x{sa.spi:08x}",
        *_named(Kind.ENCRYPTION, made.encryption),
        *_named(Kind.AUTHENTICATION, made.authentication),
    )
    return ",".join(f'"{field}"' for field in fields) + "\n"


def _named(kind: Kind, algorithm: Algorithm | None) -> tuple[str, str]:
    row = row_of(kind, algorithm) if algorithm is not None else None
    if algorithm is None or row is None or row.tshark is None:
        return "NULL", ""
    return row.tshark, f"0x{algorithm.key.reveal().hex()}"
