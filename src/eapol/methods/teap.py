"""TEAP version 1, the peer's side (RFC 7170; with TLS 1.3 RFC 9427).

Inside of TLS go TLVs: EAP packets, or a password alone, then the server's word of each method
(Intermediate-Result) and of the whole (Result). Each comes with a Crypto-Binding TLV, which proves
that one server ends the TLS tunnel and knows the keys of the inner method; without a right one no
success counts.

Differs: of the two Compound MACs only that of the MSK is used (5.2 allows it); there are no PACs,
and our outer TLVs are none.
"""

import hmac
import struct
from collections.abc import Sequence
from typing import ClassVar, Final, Protocol

from eapol.eap import EapCode, EapType, Packet
from eapol.engine import Keys, TlsConnection
from eapol.errors import MalformedFrame
from eapol.methods import table, tlv
from eapol.methods.base import Setup
from eapol.methods.fragments import TlsPacket
from eapol.methods.inner import InnerEap
from eapol.methods.teap_keys import Chain
from eapol.methods.tlv import Result, Tlv, TlvType
from eapol.methods.tunnel import PROTECTED_SUCCESS, is_resumed, is_tls_1_3
from eapol.notices import Notice
from eapol.status import Decision, MethodState

VERSION: Final = 1
OUTER_TLVS: Final = 0x10  # the O flag (4.1)

_LENGTH: Final = struct.Struct("!I")
_BINDING: Final = struct.Struct("!BBBB32s20s20s")
"""4.2.13: reserved, version, received version, flags and subtype, nonce, Compound MAC of the EMSK,
of the MSK."""

_REQUEST, _RESPONSE = 0, 1
_MSK_MAC: Final = 2  # flags: the MAC of the MSK is there
_USER: Final = b"\0\1"  # Identity-Type (4.2.3)


class _Chain(Protocol):
    """The keys, one link for each inner method."""

    def advance(self, imsk: bytes) -> None: ...

    def mac(self, octets: bytes) -> bytes: ...

    def keys(self) -> Keys: ...


class Teap:
    name: ClassVar[str] = "TEAP"

    def __init__(self, connection: TlsConnection, setup: Setup) -> None:
        self._connection = connection
        self._setup = setup
        self._policy = setup.network.tunnel
        self._inner = self._method()
        self._chain: _Chain | None = None
        self._outer = b""
        self._received = VERSION
        self._given = False  # the password, without EAP
        self._proved = 0  # inner methods that succeeded, and were bound to the tunnel
        self._bound = self._done = False
        self.failure: str | None = None

    @property
    def keys(self) -> Keys | None:
        return self._chain.keys() if self._done and self._chain is not None else None

    @property
    def verdict(self) -> tuple[MethodState, Decision]:
        if self._done:
            return MethodState.DONE, Decision.UNCOND_SUCC
        return MethodState.MAY_CONT, Decision.FAIL

    @property
    def lacks(self) -> str:
        if not self._sufficient:
            return self._inner.lacks
        resumed = "; write fast_reauth=0" if is_resumed(self._connection) else ""
        return f"before the server's Result TLV inside the tunnel{resumed}"

    @property
    def refusal(self) -> str:
        return (
            f"after the TLS tunnel of {self.name} was begun; are identity and password right, and"
            " does the server offer the method that phase2 names? Its log says why"
        )

    def begin(self, packet: TlsPacket) -> int | None:
        """Outer TLVs come after the TLS data, and are part of what a Compound MAC covers."""
        if packet.version < VERSION:
            return None
        self._received = packet.version
        if packet.reserved & OUTER_TLVS:
            size = int.from_bytes(packet.data[: _LENGTH.size], "big")
            rest = packet.data[_LENGTH.size :]
            if len(packet.data) < _LENGTH.size or size > len(rest):
                return None
            self._outer = rest[len(rest) - size :]
        return VERSION

    def established(self) -> None:
        self._chain = Chain(self._connection)

    def take(self, data: bytes, identifier: int) -> bytes:
        promise = data == PROTECTED_SUCCESS and is_tls_1_3(self._connection)
        if not data or promise or self._chain is None:
            return b""
        try:
            return b"".join(map(bytes, self._answer(tlv.parse(data))))
        except MalformedFrame as error:
            self._fail(f"the server broke the rules of {self.name}: {error}")
            return bytes(tlv.result(Result.FAILURE))

    def notices(self) -> Sequence[Notice]:
        return self._inner.notices()

    # The server's TLVs

    def _answer(self, tlvs: list[Tlv]) -> list[Tlv]:
        unknown = next((each for each in tlvs if each.mandatory and each.type not in _KNOWN), None)
        if unknown is not None:
            return [tlv.nak(unknown)]
        if (error := tlv.only(tlvs, TlvType.ERROR)) is not None:
            number = int.from_bytes(error.value, "big")
            self._fail(f"the server sent error {number} inside the tunnel (RFC 7170, 4.2.6)")
        payload = tlv.only(tlvs, TlvType.EAP_PAYLOAD)
        answers = self._results(tlvs)
        if self.failure is not None:
            return answers
        if (asked := tlv.only(tlvs, TlvType.BASIC_PASSWORD_AUTH_REQ)) is not None:
            answers += self._password(asked)
        if payload is not None:
            answers += self._eap(payload)
        if tlv.only(tlvs, TlvType.IDENTITY_TYPE) is not None and answers:
            answers.append(Tlv(TlvType.IDENTITY_TYPE, _USER, mandatory=False))
        return answers

    def _results(self, tlvs: list[Tlv]) -> list[Tlv]:
        """What the server says of the inner method, and of the whole; with its proof."""
        step = tlv.only(tlvs, TlvType.INTERMEDIATE_RESULT)
        whole = tlv.only(tlvs, TlvType.RESULT)
        bound = tlv.only(tlvs, TlvType.CRYPTO_BINDING)
        said = [each for each in (step, whole) if each is not None]
        if not said:
            return []
        if any(tlv.result_of(each) is Result.FAILURE for each in said):
            self._fail("the server sent failure inside the tunnel; is the password wrong?")
        elif step is not None or bound is not None:
            self._step(bound)
        if whole is not None and self.failure is None:
            self._end()
        verdict = Result.SUCCESS if self.failure is None else Result.FAILURE
        value = verdict.to_bytes(2, "big")
        answers = [Tlv(each.type, value) for each in said]
        if self.failure is None and bound is not None:
            answers.append(self._our_binding(bound))
        return answers

    def _step(self, bound: Tlv | None) -> None:
        """The server says that an inner method succeeded, or that a resumed session needs none."""
        assert self._chain is not None
        if not (self._inner.succeeded or self._given or self._sufficient):
            self._fail(f"the server sent success inside the tunnel {self._inner.lacks}")
        elif bound is None:
            self._fail("the server sent no crypto-binding (RFC 7170, 4.2.13)")
        else:
            new = self._inner.succeeded or self._given
            if new or not self._proved:
                self._chain.advance(self._inner_key())
            if self._checked(bound):
                self._bound = True
                self._proved += new
            if new:
                self._inner, self._given = self._method(), False

    def _inner_key(self) -> bytes:
        """IMSK (5.2): of the MSK; the halves of MS-CHAP-V2's change places, as in EAP-FAST."""
        made = self._inner.keys
        key = made.msk.reveal()[:32] if made is not None else b""
        return key[16:] + key[:16] if self._inner.method == EapType.MSCHAPV2 else key

    @property
    def _sufficient(self) -> bool:
        """Whether the server may say that the whole succeeded."""
        if self._inner.method != EapType.NONE:  # what was begun has to be finished, and bound
            return False
        resumed = is_resumed(self._connection)
        return self._proved > 0 or self._policy.may_skip_inner(resumed=resumed)

    def _end(self) -> None:
        if not self._sufficient:
            self._fail(f"the server sent success inside the tunnel {self._inner.lacks}")
        elif not self._bound:
            self._fail("the server sent no crypto-binding (RFC 7170, 4.2.13)")
        self._done = self.failure is None

    # The inner method

    def _method(self) -> InnerEap:
        return InnerEap(self._setup.network.phase2.auth, table.inside(self._setup))

    def _eap(self, payload: Tlv) -> list[Tlv]:
        request = Packet.parse(payload.value)
        if request.code != EapCode.REQUEST:
            return []
        response = self._inner.process(request)
        if self._inner.failure is not None:
            self._fail(self._inner.failure)
        return [] if response is None else [Tlv(TlvType.EAP_PAYLOAD, bytes(response))]

    def _password(self, asked: Tlv) -> list[Tlv]:
        """4.2.14 and 4.2.15: for whom phase2 allows it, and only as text."""
        network = self._setup.network
        names, password = network.phase2.auth, network.password
        if password is None or password.hashed or (names and "PAP" not in names):
            return [tlv.nak(asked)]
        parts = (network.identity, password.secret.reveal())
        if max(map(len, parts)) > 255:
            return [tlv.nak(asked)]
        self._given = True
        value = b"".join(bytes((len(part),)) + part for part in parts)
        return [Tlv(TlvType.BASIC_PASSWORD_AUTH_RESP, value)]

    # Crypto-binding (4.2.13, 5.3)

    def _checked(self, bound: Tlv) -> bool:
        version, received, kind, _, mac = self._parts(bound)
        flags, subtype = kind >> 4, kind & 0x0F
        fits = (version, received, subtype) == (self._received, VERSION, _REQUEST)
        right = hmac.compare_digest(mac, self._mac(bound)) and bool(flags & _MSK_MAC)
        return self._verdict_of(fits and right)

    def _verdict_of(self, fits: bool) -> bool:
        if not fits:
            self._fail(
                "the crypto-binding does not match: the end of the TLS tunnel is not the server"
                " that knows our password, or the versions were changed on the way"
            )
        return fits

    def _our_binding(self, bound: Tlv) -> Tlv:
        nonce = self._parts(bound)[3]
        odd = nonce[:-1] + bytes((nonce[-1] | 1,))
        kind = _MSK_MAC << 4 | _RESPONSE
        blank = (0, VERSION, self._received, kind, odd, bytes(20))
        mac = self._mac(Tlv(TlvType.CRYPTO_BINDING, _BINDING.pack(*blank, bytes(20))))
        return Tlv(TlvType.CRYPTO_BINDING, _BINDING.pack(*blank, mac))

    def _parts(self, bound: Tlv) -> tuple[int, int, int, bytes, bytes]:
        """Version, received version, flags and subtype, nonce, MAC of the MSK."""
        if len(bound.value) != _BINDING.size:
            raise MalformedFrame(f"Crypto-Binding TLV of {len(bound.value)} octets", 0)
        _, version, received, kind, nonce, _, mac = _BINDING.unpack(bound.value)
        return version, received, kind, nonce, mac

    def _mac(self, bound: Tlv) -> bytes:
        assert self._chain is not None
        blank = Tlv(bound.type, bound.value[:-40] + bytes(40), bound.mandatory)
        return self._chain.mac(bytes(blank) + bytes((EapType.TEAP,)) + self._outer)

    def _fail(self, failure: str) -> None:
        self.failure = self.failure or failure


_KNOWN: Final = frozenset(
    {
        TlvType.IDENTITY_TYPE,
        TlvType.RESULT,
        TlvType.NAK,
        TlvType.ERROR,
        TlvType.EAP_PAYLOAD,
        TlvType.INTERMEDIATE_RESULT,
        TlvType.CRYPTO_BINDING,
        TlvType.BASIC_PASSWORD_AUTH_REQ,
    }
)
