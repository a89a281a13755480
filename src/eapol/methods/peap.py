"""PEAP, the peer's side: version 0 ([MS-PEAP]) and 1 (draft-josefsson-pppext-eap-tls-eap-05).

Inside of TLS runs another EAP conversation. With version 0 its packets go without their header, and
the end is a Result TLV of the server that we answer; with version 1 they are whole, and the end is
an EAP-Success inside of TLS. Neither counts before the inner method has succeeded, unless a session
was resumed that an inner success had made (CVE-2023-52160); `phase2_auth` says so.

A Crypto-Binding TLV proves that the same server ends the TLS tunnel and the inner method; one that
does not fit ends the conversation.
"""

import hmac
import struct
from collections.abc import Sequence
from typing import Final

from eapol.eap import EapCode, EapType, Packet
from eapol.engine import Keys, TlsConnection
from eapol.errors import MalformedFrame
from eapol.methods import keys, table, tlv
from eapol.methods.base import Setup
from eapol.methods.fragments import TlsPacket
from eapol.methods.inner import InnerEap
from eapol.methods.tlv import Result, Tlv, TlvType
from eapol.methods.tunnel import PROTECTED_SUCCESS, is_resumed, is_tls_1_3
from eapol.notices import Notice
from eapol.settings import CryptoBinding
from eapol.status import Decision, MethodState
from wire.secret import Secret

HIGHEST: Final = 1
EXTENSIONS: Final = EapType(33)
"""The EAP type of the packets with TLVs; they keep their header in version 0, too."""

_HEADER: Final = struct.Struct("!BBH")
_BINDING: Final = struct.Struct("!BBBB32s20s")  # reserved, version, received, subtype, nonce, MAC
_REQUEST, _RESPONSE = 0, 1


class Peap:
    def __init__(self, connection: TlsConnection, setup: Setup) -> None:
        self._connection = connection
        self._policy = setup.network.tunnel
        self._label = "client PEAP encryption" if self._policy.peap_label else keys.EAP_LABEL
        self._inner = InnerEap(setup.network.phase2.auth, table.inside(setup))
        self._version = 0
        self._done = self._promised = False
        self._binding: bytes | None = None  # the IPMK, once the binding was checked
        self._ours: Keys | None = None
        self.failure: str | None = None

    @property
    def keys(self) -> Keys | None:
        if not (self._done or self._promised) or self._ours is None:
            return None
        if self._binding is None:
            return self._ours
        session = prf_plus(self._binding, b"Session Key Generating Function", b"\0", 128)
        msk, emsk = Secret(session[:64]), Secret(session[64:])
        return Keys(msk=msk, emsk=emsk, session_id=self._ours.session_id)

    @property
    def verdict(self) -> tuple[MethodState, Decision]:
        if self._done:
            return MethodState.DONE, Decision.UNCOND_SUCC
        if self._promised and self._sufficient:
            return MethodState.MAY_CONT, Decision.COND_SUCC
        return MethodState.MAY_CONT, Decision.FAIL

    @property
    def lacks(self) -> str:
        if not self._sufficient:
            return self._inner.lacks
        return "before the server's success inside the tunnel"

    @property
    def refusal(self) -> str:
        return (
            "after the TLS tunnel of PEAP was begun; are identity and password right, and does the"
            " server offer the method that phase2 names? Its log says why"
        )

    def begin(self, packet: TlsPacket) -> int | None:
        forced = self._policy.peap_version
        self._version = min(packet.version, HIGHEST) if forced is None else forced
        return self._version if self._version <= packet.version else None

    def established(self) -> None:
        self._ours = keys.of_tls(self._connection, EapType.PEAP, self._label)

    def take(self, data: bytes, identifier: int) -> bytes:
        if not data or self._done:
            return b""
        if data == PROTECTED_SUCCESS and is_tls_1_3(self._connection):
            return self._promise()
        try:
            return self._answer(self._packet(data, identifier))
        except MalformedFrame as error:
            self.failure = self.failure or f"the server broke the rules of PEAP: {error}"
            return b""

    def notices(self) -> Sequence[Notice]:
        return self._inner.notices()

    # What the server says

    def _promise(self) -> bytes:
        """RFC 9427, 3: there is no inner method; FreeRADIUS sends its Result TLV all the same."""
        bound = self._policy.crypto_binding is not CryptoBinding.REQUIRED
        self._promised = bound and self._sufficient and self.failure is None
        return b""

    def _packet(self, data: bytes, identifier: int) -> Packet:
        """Version 0 leaves the header out, but for TLVs, and FreeRADIUS keeps Identity's."""
        if self._version == 0 and not _is_whole(data):
            size = _HEADER.size + len(data)
            data = _HEADER.pack(EapCode.REQUEST, identifier, size) + data
        return Packet.parse(data)

    def _answer(self, packet: Packet) -> bytes:
        if packet.code == EapCode.REQUEST and packet.method == EXTENSIONS and not packet.vendor:
            return self._extensions(packet)
        if packet.code == EapCode.REQUEST:
            response = self._inner.process(packet)
            self.failure = self.failure or self._inner.failure
            return b"" if response is None else self._octets(response)
        if packet.code == EapCode.SUCCESS and self._version == 1:
            self._end()
            return b""  # the acknowledgement; EAP-Success outside follows
        if packet.code == EapCode.FAILURE:
            self.failure = self.failure or "the server sent EAP-Failure inside the tunnel"
            return bytes(packet)
        return b""

    def _octets(self, response: Packet) -> bytes:
        return bytes(response)[_HEADER.size :] if self._version == 0 else bytes(response)

    # Success

    @property
    def _sufficient(self) -> bool:
        """Whether the server may say success now."""
        if self._inner.method != EapType.NONE:  # what was begun has to be finished
            return self._inner.succeeded
        return self._policy.may_skip_inner(resumed=is_resumed(self._connection))

    def _end(self) -> None:
        if not self._sufficient:
            self.failure = self.failure or (
                f"the server sent success inside the tunnel {self._inner.lacks}; it is not"
                " accepted (phase2_auth), because neither side is authenticated by it"
            )
        elif self._policy.crypto_binding is CryptoBinding.REQUIRED and self._binding is None:
            self.failure = self.failure or (
                "the server sent no crypto-binding, which crypto_binding=2 in phase1 requires"
            )
        self._done = self.failure is None

    def _extensions(self, packet: Packet) -> bytes:
        tlvs = tlv.parse(packet.data)
        known = (TlvType.RESULT, TlvType.CRYPTO_BINDING)
        unknown = next((each for each in tlvs if each.mandatory and each.type not in known), None)
        if unknown is not None:
            return self._tlvs(packet, tlv.nak(unknown))
        said, bound = tlv.only(tlvs, TlvType.RESULT), tlv.only(tlvs, TlvType.CRYPTO_BINDING)
        if said is None:
            return b""
        answers = []
        succeeds = tlv.result_of(said) is Result.SUCCESS
        if not succeeds:
            self.failure = self.failure or (
                "the server sent failure inside the tunnel; is identity or password wrong? The"
                " server's log says why"
            )
        elif bound is not None and self._policy.crypto_binding is not CryptoBinding.OFF:
            answers += self._bind(bound)
        if succeeds:
            self._end()
        verdict = Result.SUCCESS if self._done else Result.FAILURE
        return self._tlvs(packet, tlv.result(verdict), *answers)

    def _tlvs(self, packet: Packet, *tlvs: Tlv) -> bytes:
        data = b"".join(bytes(each) for each in tlvs)
        return bytes(Packet(EapCode.RESPONSE, packet.identifier, EXTENSIONS, data))

    # [MS-PEAP], 2.2.8.1.1 and 3.1.5.5

    def _bind(self, bound: Tlv) -> list[Tlv]:
        """Check the server's binding; ours is the answer."""
        if len(bound.value) != _BINDING.size:
            raise MalformedFrame(f"Crypto-Binding TLV of {len(bound.value)} octets", 0)
        _, version, received, subtype, nonce, mac = _BINDING.unpack(bound.value)
        ipmk, cmk = self._compound_keys()
        expected = compound_mac(cmk, bound)
        fits = (version, received, subtype) == (self._version, self._version, _REQUEST)
        if not fits or not hmac.compare_digest(mac, expected):
            self.failure = self.failure or (
                "the crypto-binding does not match: the end of the TLS tunnel is not the server"
                " that knows our password, or the versions were changed on the way"
            )
            return []
        self._binding = ipmk
        value = _BINDING.pack(0, self._version, self._version, _RESPONSE, nonce, bytes(20))
        blank = Tlv(TlvType.CRYPTO_BINDING, value)
        return [Tlv(TlvType.CRYPTO_BINDING, value[:-20] + compound_mac(cmk, blank))]

    def _compound_keys(self) -> tuple[bytes, bytes]:
        """IPMK and CMK. A resumed session has no inner method; the tunnel's key stands alone."""
        assert self._ours is not None
        tunnel_key = self._ours.msk.reveal()[:60]
        if is_resumed(self._connection) and not self._inner.succeeded:
            return tunnel_key[:40], tunnel_key[40:]
        material = prf_plus(tunnel_key[:40], b"Inner Methods Compound Keys", self._inner_key(), 60)
        return material[:40], material[40:]

    def _inner_key(self) -> bytes:
        """ISK: 32 octets; zeros for a method without keys."""
        made = self._inner.keys
        if made is None:
            return bytes(32)
        return made.msk.reveal()[:32]


def _is_whole(data: bytes) -> bool:
    if len(data) < 5 or data[0] != EapCode.REQUEST or int.from_bytes(data[2:4], "big") != len(data):
        return False
    return data[4] == EXTENSIONS or (data[4] == EapType.IDENTITY and len(data) == 5)


def compound_mac(cmk: bytes, bound: Tlv) -> bytes:
    """HMAC-SHA1 of the TLV, its MAC zero, and the EAP type; 20 octets."""
    blank = Tlv(bound.type, bound.value[:-20] + bytes(20), bound.mandatory)
    return hmac.digest(cmk, bytes(blank) + bytes((EapType.PEAP,)), "sha1")


def prf_plus(key: bytes, label: bytes, seed: bytes, size: int) -> bytes:
    """PRF+ of PEAP version 0: HMAC-SHA1, a counter, and two octets of zero."""
    made, last, count = b"", b"", 0
    while len(made) < size:
        count += 1
        last = hmac.digest(key, last + label + seed + bytes((count, 0, 0)), "sha1")
        made += last
    return made[:size]
