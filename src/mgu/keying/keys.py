"""Keys for Wireshark, when an administrator asks for them: whoever has them can decrypt the
traffic.

Two of its tables (UAT files): `ikev1_decryption_table` and `esp_sa`. In a Wireshark profile,
or given to tshark with -o uat:..., they let it decrypt a capture.
"""

import logging
from pathlib import Path

from ike.aio.driver import Keys
from ike.commands import ExportKeys
from ike.values import IpsecSa
from mgu.keying.values import association
from wire.files import PrivateLog
from xfrm.algorithms import Kind, row_of
from xfrm.model import Algorithm

logger = logging.getLogger("ike")


class KeyFiles:
    """Appends to the two files in `folder`, mode 0600."""

    def __init__(self, folder: Path) -> None:
        """A folder that is missing is made, for root only. Raises: OSError."""
        self._ike = PrivateLog(folder / "ikev1_decryption_table", logger.warning)
        try:
            self._esp = PrivateLog(folder / "esp_sa", logger.warning)
        except OSError:
            self._ike.close()
            raise
        logger.warning(
            "the keys of all SAs are written to %s: whoever can read them can decrypt all traffic",
            folder,
        )

    def write(self, keys: Keys) -> None:
        """Add a line. A full disk is a warning: the tunnel matters more than its capture."""
        if isinstance(keys, ExportKeys):
            self._ike.write(_ike_line(keys).encode())
        else:
            self._esp.write(_esp_line(keys).encode())

    def close(self) -> None:
        self._ike.close()
        self._esp.close()


def _ike_line(keys: ExportKeys) -> str:
    return f"{keys.initiator_cookie.hex()},{keys.encryption_key.reveal().hex()}"


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
    return ",".join(f'"{field}"' for field in fields)


def _named(kind: Kind, algorithm: Algorithm | None) -> tuple[str, str]:
    row = row_of(kind, algorithm) if algorithm is not None else None
    if algorithm is None or row is None or row.tshark is None:
        return "NULL", ""
    return row.tshark, f"0x{algorithm.key.reveal().hex()}"
