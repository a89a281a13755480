"""EAP-FAST version 1 without a PAC, the peer's side (RFC 4851; TLS 1.2 at most).

What goes through TLS is what TEAP made of it later: TLVs with EAP packets, results and a
crypto-binding. The server shows its certificate every time.

Differs: a PAC (3.2.2, RFC 5422) is neither asked for nor used: it would have to go into a session
ticket of OpenSSL's, and the TLS bindings do not reach that. TLS 1.3 is not offered (RFC 9427
defines it; no server here speaks it).
"""

import hmac
import struct
from typing import Final

from eapol.eap import EapType
from eapol.engine import Keys, TlsConnection
from eapol.errors import MalformedFrame
from eapol.methods.fragments import TlsPacket
from eapol.methods.teap import VERSION, Teap
from eapol.methods.tlv import Tlv, TlvType
from wire.secret import Secret

_BINDING: Final = struct.Struct("!BBBB32s20s")
"""4.2.8: reserved, version, received version, subtype, nonce, Compound MAC."""

_REQUEST, _RESPONSE = 0, 1
_SEED_OCTETS: Final = 40
_MACS: Final = {"SHA": 20, "SHA256": 32, "SHA384": 48}


def key_block(suite: str) -> int:
    """Octets of the key block of a suite, by OpenSSL's name for it (5.1: what follows is ours).

    Keys of MAC and cipher for both directions; with CBC the IV, too, as OpenSSL has it for every
    version. Raises: MalformedFrame for a suite that we do not know.
    """
    key = 16 if "AES128" in suite else 32
    if "GCM" in suite:
        return 2 * (key + 4)
    if "CHACHA20" in suite:
        return 2 * (key + 12)
    mac = _MACS.get(suite.rpartition("-")[2])
    if mac is None or "AES" not in suite or "CCM" in suite:
        raise MalformedFrame(f"the suite {suite}; use one with AES or ChaCha20", 0)
    return 2 * (mac + key + 16)


def t_prf(key: bytes, label: str, seed: bytes, size: int) -> bytes:
    """5.5."""
    s = label.encode() + b"\0" + seed + size.to_bytes(2, "big")
    made, last, count = b"", b"", 0
    while len(made) < size:
        count += 1
        last = hmac.digest(key, last + s + bytes((count,)), "sha1")
        made += last
    return made[:size]


class FastChain:
    """S-IMCK and CMK (5.1, 5.2). Raises: MalformedFrame for a suite that we do not know."""

    def __init__(self, connection: TlsConnection) -> None:
        status = connection.status
        block = key_block("" if status is None else status.cipher)
        self._session_id = bytes((EapType.FAST,)) + connection.randoms
        self._s_imck = connection.key_expansion(block + _SEED_OCTETS)[block:]
        self._cmk = b""

    def advance(self, imsk: bytes) -> None:
        imck = t_prf(self._s_imck, "Inner Methods Compound Keys", imsk + bytes(32 - len(imsk)), 60)
        self._s_imck, self._cmk = imck[:_SEED_OCTETS], imck[_SEED_OCTETS:]

    def mac(self, octets: bytes) -> bytes:
        """5.3."""
        return hmac.digest(self._cmk, octets, "sha1")

    def keys(self) -> Keys:
        """5.4."""
        msk = t_prf(self._s_imck, "Session Key Generating Function", b"", 64)
        emsk = t_prf(self._s_imck, "Extended Session Key Generating Function", b"", 64)
        return Keys(msk=Secret(msk), emsk=Secret(emsk), session_id=self._session_id)


class Fast(Teap):
    name = "EAP-FAST"

    def begin(self, packet: TlsPacket) -> int | None:
        """The data of the Start names the server's authority, for those with a PAC."""
        self._received = packet.version
        return VERSION if packet.version >= VERSION else None

    def established(self) -> None:
        try:
            self._chain = FastChain(self._connection)
        except MalformedFrame as error:
            self._fail(f"EAP-FAST: {error}")

    def _checked(self, bound: Tlv) -> bool:
        version, received, subtype, _, mac = self._fields(bound)
        fits = (version, received, subtype) == (self._received, VERSION, _REQUEST)
        return self._verdict_of(fits and hmac.compare_digest(mac, self._mac(bound)))

    def _our_binding(self, bound: Tlv) -> Tlv:
        nonce = self._fields(bound)[3]
        odd = nonce[:-1] + bytes((nonce[-1] | 1,))
        blank = (0, VERSION, self._received, _RESPONSE, odd)
        mac = self._mac(Tlv(TlvType.CRYPTO_BINDING, _BINDING.pack(*blank, bytes(20))))
        return Tlv(TlvType.CRYPTO_BINDING, _BINDING.pack(*blank, mac))

    def _fields(self, bound: Tlv) -> tuple[int, int, int, bytes, bytes]:
        if len(bound.value) != _BINDING.size:
            raise MalformedFrame(f"Crypto-Binding TLV of {len(bound.value)} octets", 0)
        _, version, received, subtype, nonce, mac = _BINDING.unpack(bound.value)
        return version, received, subtype, nonce, mac

    def _mac(self, bound: Tlv) -> bytes:
        assert self._chain is not None
        return self._chain.mac(bytes(Tlv(bound.type, bound.value[:-20] + bytes(20))))
