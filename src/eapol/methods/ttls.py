"""EAP-TTLS version 0, the peer's side (RFC 5281; with TLS 1.3 RFC 9427).

Inside of TLS go AVPs: those of PAP, CHAP, MS-CHAP or MS-CHAP-V2, or another EAP conversation. The
peer begins. An EAP-Success counts only once that was done, and with MS-CHAP-V2 and EAP only after
the server's own proof, unless a session was resumed that such a success had made (`phase2_auth`).
"""

from collections.abc import Callable, Mapping, Sequence
from hmac import compare_digest
from typing import Final

from eapol import eap, mschap
from eapol.eap import EapType, Packet
from eapol.engine import Keys, TlsConnection
from eapol.errors import MalformedFrame
from eapol.methods import avp, keys, table
from eapol.methods.avp import MICROSOFT, Avp, Code, MsCode
from eapol.methods.base import Setup
from eapol.methods.fragments import TlsPacket
from eapol.methods.inner import InnerEap
from eapol.methods.md5 import chap
from eapol.methods.mschapv2 import hash_of, why
from eapol.methods.tunnel import PROTECTED_SUCCESS, is_resumed, is_tls_1_3
from eapol.notices import Notice, ServerSays
from eapol.settings import Password
from eapol.status import Decision, MethodState

_KEY_LABEL: Final = "ttls keying material"
_CHALLENGE_LABEL: Final = "ttls challenge"
_PAP_BLOCK: Final = 16  # octets; RFC 5281, 11.2.5: zeros hide the length of the password


class Ttls:
    def __init__(self, connection: TlsConnection, setup: Setup) -> None:
        network = setup.network
        self._connection = connection
        self._policy = network.tunnel
        self._identity = network.identity
        self._password = network.password
        self._entropy = setup.entropy
        self._plain = table.without_eap(network)
        self._inner = InnerEap(network.phase2.autheap, table.inside(setup))
        self._patience = 0
        self._begun = False
        self._done = False
        self._promised = False
        self._expected = b""
        self._notices: list[Notice] = []
        self.keys: Keys | None = None
        self.failure: str | None = None

    @property
    def verdict(self) -> tuple[MethodState, Decision]:
        if self._sufficient:
            return MethodState.MAY_CONT, Decision.COND_SUCC
        return MethodState.MAY_CONT, Decision.FAIL

    @property
    def _sufficient(self) -> bool:
        """Whether the server may say success now."""
        if self._done or self._inner.succeeded:
            return True
        if self._begun or not self._policy.may_skip_inner(resumed=is_resumed(self._connection)):
            return False
        return self._promised or not is_tls_1_3(self._connection)

    @property
    def lacks(self) -> str:
        if self._plain is None and self._begun:
            return self._inner.lacks
        if is_resumed(self._connection) and not self._begun:
            return (
                "of a resumed session before its protected success (RFC 9427, 3); update the RADIUS"
                ' server, or write phase1="tls_disable_tlsv1_3=1"'
            )
        if self._begun:
            return "before the server has proved that it knows the password (MS-CHAP-V2)"
        return "before the method inside the tunnel began"

    @property
    def refusal(self) -> str:
        return (
            "after the TLS tunnel of EAP-TTLS was begun; are identity and password right, and does"
            " the server offer the method that phase2 names? Its log says why"
        )

    def begin(self, packet: TlsPacket) -> int | None:
        return 0

    def established(self) -> None:
        self.keys = keys.of_tls(self._connection, EapType.TTLS, _KEY_LABEL)
        self._patience = 1 if is_resumed(self._connection) else 0

    def take(self, data: bytes, identifier: int) -> bytes:
        if data == PROTECTED_SUCCESS and is_tls_1_3(self._connection):
            self._promised = True
            return b""
        try:
            return self._begin() if not data else self._answer(avp.parse(data))
        except MalformedFrame as error:
            self.failure = self.failure or f"the server broke the rules of EAP-TTLS: {error}"
            return b""

    def notices(self) -> Sequence[Notice]:
        seen, self._notices = self._notices, []
        return (*seen, *self._inner.notices())

    # Our first message

    def _begin(self) -> bytes:
        """The server waits for us. After a resumption its first silence is an acknowledgement."""
        if self._begun:
            return b""
        if self._patience:
            self._patience -= 1
            return b""
        self._begun = True
        if self._plain is None:
            return _eap_message(eap.response(0, EapType.IDENTITY, self._identity))
        assert self._password is not None
        made = _PLAIN[self._plain](self, self._password)
        return avp.joined([Avp(Code.USER_NAME, self._identity), *made])

    def _challenge(self, size: int) -> tuple[bytes, int]:
        """The challenge that TLS makes, and an identifier (RFC 5281, 11.1)."""
        material = self._connection.export(_CHALLENGE_LABEL, size + 1)
        return material[:size], material[size]

    def _pap(self, password: Password) -> list[Avp]:
        octets = password.secret.reveal()
        padded = octets + bytes(-len(octets) % _PAP_BLOCK)
        self._done = True
        return [Avp(Code.USER_PASSWORD, padded)]

    def _chap(self, password: Password) -> list[Avp]:
        challenge, identifier = self._challenge(16)
        value = chap(identifier, password.secret.reveal(), challenge)
        self._done = True
        return [
            Avp(Code.CHAP_CHALLENGE, challenge),
            Avp(Code.CHAP_PASSWORD, bytes((identifier,)) + value),
        ]

    def _mschap(self, password: Password) -> list[Avp]:
        challenge, identifier = self._challenge(8)
        response = mschap.challenge_response(challenge, hash_of(password))
        use_nt = 1
        self._done = True
        return [
            Avp(MsCode.CHAP_CHALLENGE, challenge, MICROSOFT),
            Avp(
                MsCode.CHAP_RESPONSE, bytes((identifier, use_nt)) + bytes(24) + response, MICROSOFT
            ),
        ]

    def _mschapv2(self, password: Password) -> list[Avp]:
        challenge, identifier = self._challenge(mschap.CHALLENGE_OCTETS)
        peer = self._entropy(mschap.CHALLENGE_OCTETS)
        hashed, user = hash_of(password), self._identity
        response = mschap.nt_response(challenge, peer, user, hashed)
        proof = mschap.authenticator_response(hashed, response, peer, challenge, user)
        self._expected = bytes((identifier,)) + b"S=" + proof.hex().upper().encode()
        value = bytes((identifier, 0)) + peer + bytes(8) + response
        return [
            Avp(MsCode.CHAP_CHALLENGE, challenge, MICROSOFT),
            Avp(MsCode.CHAP2_RESPONSE, value, MICROSOFT),
        ]

    # The server's messages

    def _answer(self, avps: list[Avp]) -> bytes:
        message, words = _joined(avps, Code.EAP_MESSAGE), _joined(avps, Code.REPLY_MESSAGE)
        if words:  # one text, in however many parts (RFC 2865, 5.18)
            self._notices.append(ServerSays.of(words))
        for each in avps:
            self._look_at(each)
        if not message or self._plain is not None:
            return b""
        self._begun = True
        response = self._inner.process(Packet.parse(message))
        self.failure = self.failure or self._inner.failure
        return b"" if response is None else _eap_message(response)

    def _look_at(self, said: Avp) -> None:
        match said.vendor, said.code:
            case 0, Code.EAP_MESSAGE if self._plain is None:
                pass
            case 0, Code.REPLY_MESSAGE:
                pass
            case vendor, code if (vendor, code) == (MICROSOFT, MsCode.CHAP2_SUCCESS):
                self._proof(said.data)
            case vendor, code if (vendor, code) == (MICROSOFT, MsCode.CHAP_ERROR):
                self.failure = self.failure or why(said.data[1:])
            case vendor, code if said.mandatory:
                self.failure = self.failure or (
                    "the server sent a mandatory AVP inside the tunnel that is not supported"
                    f" (vendor {vendor}, code {code}); does phase2 name the method it wants?"
                )
            case _:
                pass

    def _proof(self, data: bytes) -> None:
        shown = data[:1] + data[1 : len(self._expected)].upper()
        if not self._expected or not compare_digest(shown, self._expected):
            self.failure = self.failure or (
                "the server did not prove that it knows our password (MS-CHAP-V2 authenticator"
                " response); it is not the right server, or its copy of the password differs"
            )
        self._done = self.failure is None


_PLAIN: Final[Mapping[str, Callable[[Ttls, Password], list[Avp]]]] = {
    "PAP": Ttls._pap,
    "CHAP": Ttls._chap,
    "MSCHAP": Ttls._mschap,
    "MSCHAPV2": Ttls._mschapv2,
}


def _joined(avps: list[Avp], code: Code) -> bytes:
    return b"".join(each.data for each in avps if (each.vendor, each.code) == (0, code))


def _eap_message(packet: Packet) -> bytes:
    return bytes(Avp(Code.EAP_MESSAGE, bytes(packet)))
