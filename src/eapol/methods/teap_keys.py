"""The keys of TEAP (RFC 7170, 5; with TLS 1.3 RFC 9427, 2.2): a chain, one link a method."""

import hmac
from typing import Final

from eapol.eap import EapType
from eapol.engine import Keys, TlsConnection
from eapol.methods.tunnel import is_tls_1_3
from wire.secret import Secret

_TYPE: Final = bytes((EapType.TEAP,))
_COMPOUND: Final = "Inner Methods Compound Keys"
_SESSION: Final = "Session Key Generating Function"
_EXTENDED: Final = "Extended Session Key Generating Function"
_SEED_OCTETS: Final = 40
_MAC_OCTETS: Final = 20
_IMSK_OCTETS: Final = 32


class Chain:
    """S-IMCK and CMK of an established `connection`."""

    def __init__(self, connection: TlsConnection) -> None:
        status = connection.status
        self._connection = connection
        self._tls_1_3 = is_tls_1_3(connection)
        cipher = "" if status is None else status.cipher
        self._hash = "sha384" if cipher.endswith("SHA384") else "sha256"
        context = _TYPE if self._tls_1_3 else None
        self._s_imck = connection.export("EXPORTER: teap session key seed", _SEED_OCTETS, context)
        self._cmk = b""

    def advance(self, imsk: bytes) -> None:
        """5.2: one more inner method. `imsk`: of its MSK, empty if it has none."""
        padded = imsk + bytes(_IMSK_OCTETS - len(imsk))
        imck = self._derive(_COMPOUND, padded, _SEED_OCTETS + _MAC_OCTETS)
        self._s_imck, self._cmk = imck[:_SEED_OCTETS], imck[_SEED_OCTETS:]

    def mac(self, octets: bytes) -> bytes:
        """5.3, cut to the field's 20 octets."""
        return hmac.digest(self._cmk, octets, self._hash)[:_MAC_OCTETS]

    def keys(self) -> Keys:
        """5.4; the Session-Id is the type and tls-unique (4.1), with TLS 1.3 the Method-Id."""
        if self._tls_1_3:
            unique = self._connection.export("EXPORTER_EAP_TLS_Method-Id", 64, _TYPE)
        else:
            unique = self._connection.unique
        return Keys(
            msk=Secret(self._derive(_SESSION, b"", 64)),
            emsk=Secret(self._derive(_EXTENDED, b"", 64)),
            session_id=_TYPE + unique,
        )

    def _derive(self, label: str, seed: bytes, size: int) -> bytes:
        """TLS-PRF of RFC 5246, 5; RFC 9427 has the exporter in its place."""
        if self._tls_1_3:
            return self._connection.export(f"EXPORTER: {label}", size, self._s_imck + seed)
        seed, made = label.encode() + seed, b""
        block = seed
        while len(made) < size:
            block = hmac.digest(self._s_imck, block, self._hash)
            made += hmac.digest(self._s_imck, block + seed, self._hash)
        return made[:size]
