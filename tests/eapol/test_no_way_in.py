"""No sequence of a server's messages opens the port without the inner method's success.

The server here has a certificate that the supplicant believes, but not the password: one that was
stolen, or of the same CA and not checked by name (CVE-2023-52160). It says whatever hypothesis
likes, in any order: within TLS, around it, and around EAP.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from eapol import eap
from eapol.eap import EapCode, EapType, Packet
from eapol.methods import avp, keys, tlv
from eapol.methods.avp import MICROSOFT, Avp, Code, MsCode
from eapol.methods.fast import FastChain
from eapol.methods.mschapv2 import MsChapPacket, OpCode
from eapol.methods.peap import EXTENSIONS, compound_mac, prf_plus
from eapol.methods.teap_keys import Chain
from eapol.methods.tlv import Result, Tlv, TlvType
from eapol.settings import Network, Phase2, TlsPolicy
from lab.eap_talk import (
    PASSWORD,
    TLS_1_2,
    TLS_1_3,
    Talk,
    Tunnel,
    TunnelEnded,
    client_tls,
    server_tls,
    user,
)

SUCCESS = Packet(EapCode.SUCCESS, 0)
CHALLENGE = bytes((16,)) + bytes(16) + b"server"
INNER = {
    "identity": eap.request(0, EapType.IDENTITY),
    "notification": eap.request(0, EapType.NOTIFICATION, b"hello"),
    "challenge": eap.request(
        0, EapType.MSCHAPV2, bytes(MsChapPacket(OpCode.CHALLENGE, 1, CHALLENGE))
    ),
    "forged proof": eap.request(
        0, EapType.MSCHAPV2, bytes(MsChapPacket(OpCode.SUCCESS, 1, b"S=" + b"0" * 40))
    ),
    "failure of mschapv2": eap.request(
        0, EapType.MSCHAPV2, bytes(MsChapPacket(OpCode.FAILURE, 1, b"E=691 R=1"))
    ),
    "answer as a request": eap.request(0, EapType.MSCHAPV2, bytes((OpCode.SUCCESS,))),
    "md5": eap.request(0, EapType.MD5, CHALLENGE),
    "gtc": eap.request(0, EapType.GTC, b"Password:"),
    "tls": eap.request(0, EapType.TLS, b"\x20"),
    "result": eap.request(0, EXTENSIONS, bytes(tlv.result(Result.SUCCESS))),
    "failed result": eap.request(0, EXTENSIONS, bytes(tlv.result(Result.FAILURE))),
    "success": SUCCESS,
    "failure": Packet(EapCode.FAILURE, 0),
    "response": eap.response(0, EapType.MSCHAPV2, bytes((OpCode.SUCCESS,))),
}


class Intruder(RuleBasedStateMachine):
    """`network` and `policy` are the subclass'."""

    network: Network
    policy: TlsPolicy
    version = 0

    def __init__(self) -> None:
        super().__init__()
        self.talk = Talk(self.network, client_tls(self.policy))
        self.tunnel: Tunnel | None = None
        self.heard = b""

    @property
    def method(self) -> EapType:
        return self.network.eap[0]

    def inside(self, octets: bytes) -> None:
        if self.tunnel is not None and octets:
            self.attempt(partial(self.tunnel.say, octets))

    def attempt(self, what: Callable[[], bytes]) -> None:
        """What ends TLS ends it until the next handshake."""
        try:
            self.heard += what()
        except TunnelEnded:
            self.tunnel = None

    def framed(self, packet: Packet) -> bytes:
        octets = bytes(packet)
        if self.method in (EapType.TEAP, EapType.FAST):
            return bytes(Tlv(TlvType.EAP_PAYLOAD, octets))
        if self.method == EapType.TTLS:
            return bytes(Avp(Code.EAP_MESSAGE, octets))
        whole = self.version == 1 or packet.method == EXTENSIONS
        return octets if whole or packet.code != EapCode.REQUEST else octets[4:]

    @precondition(lambda self: self.tunnel is None)
    @rule()
    def handshake(self) -> None:
        self.talk.ask(EapType.IDENTITY)
        self.tunnel = Tunnel(self.talk, self.method, server_tls(self.policy), version=self.version)
        self.attempt(self.tunnel.handshake)

    @rule(what=st.sampled_from(sorted(INNER)))
    def say(self, what: str) -> None:
        self.inside(self.framed(INNER[what]))

    @rule(octets=st.binary(min_size=1, max_size=40))
    def babble(self, octets: bytes) -> None:
        self.inside(octets)

    @rule()
    def promise(self) -> None:
        self.inside(b"\0")

    @rule()
    def forged_proof_of_ttls(self) -> None:
        said = Avp(MsCode.CHAP2_SUCCESS, b"\0S=" + b"0" * 40, MICROSOFT)
        self.inside(avp.joined([said]))

    @precondition(lambda self: self.tunnel is not None)
    @rule()
    def bind_to_the_tunnel_alone(self) -> None:
        assert self.tunnel is not None
        made = keys.of_tls(self.tunnel.tls, EapType.PEAP).msk.reveal()[:60]
        cmk = prf_plus(made[:40], b"Inner Methods Compound Keys", bytes(32), 60)[40:]
        head = bytes((0, self.version, self.version, 0)) + bytes(32)
        mac = compound_mac(cmk, Tlv(TlvType.CRYPTO_BINDING, head + bytes(20)))
        data = bytes(tlv.result(Result.SUCCESS)) + bytes(Tlv(TlvType.CRYPTO_BINDING, head + mac))
        self.inside(self.framed(eap.request(0, EXTENSIONS, data)))

    def bound(self, links: int) -> Tlv:
        """A binding to the tunnel alone: all that an intruder can compute."""
        assert self.tunnel is not None
        teap = self.method == EapType.TEAP
        chain = Chain(self.tunnel.tls) if teap else FastChain(self.tunnel.tls)
        for _ in range(links):
            chain.advance(b"")
        head = bytes((0, 1, 1, 0x20)) + bytes(52) if teap else bytes((0, 1, 1, 0)) + bytes(32)
        blank = Tlv(TlvType.CRYPTO_BINDING, head + bytes(20))
        return Tlv(blank.type, head + chain.mac(bytes(blank) + b"\x37" * teap))

    @precondition(
        lambda self: self.tunnel is not None and self.method in (EapType.TEAP, EapType.FAST)
    )
    @rule(
        links=st.integers(0, 2),
        step=st.booleans(),
        whole=st.booleans(),
        bound=st.booleans(),
        asks=st.booleans(),
    )
    def tlvs(self, links: int, step: bool, whole: bool, bound: bool, asks: bool) -> None:
        assert self.tunnel is not None
        if not self.tunnel.tls.established:
            return
        said = [Tlv(TlvType.INTERMEDIATE_RESULT, b"\0\1")] * step + [self.bound(links)] * bound
        said += [Tlv(TlvType.BASIC_PASSWORD_AUTH_REQ, b"?")] * asks
        said += [tlv.result(Result.SUCCESS)] * whole
        self.inside(b"".join(map(bytes, said)))

    @rule()
    def wait(self) -> None:
        if self.tunnel is not None:
            self.attempt(self.tunnel.nothing)

    @rule(octets=st.binary(max_size=20))
    def clear(self, octets: bytes) -> None:
        self.talk.ask(self.method, octets)

    @rule(method=st.sampled_from((EapType.MD5, EapType.TLS, EapType.GTC, EapType.NOTIFICATION)))
    def another_method(self, method: EapType) -> None:
        self.talk.ask(method, CHALLENGE)

    @rule(ahead=st.integers(0, 2))
    def outer_success(self, ahead: int) -> None:
        self.talk.send(Packet(EapCode.SUCCESS, (self.talk.identifier + ahead) & 0xFF))

    @invariant()
    def the_port_is_closed(self) -> None:
        assert not self.talk.open

    def teardown(self) -> None:
        assert PASSWORD not in self.heard or "GTC" in str(self.network.phase2)


@pytest.mark.parametrize("policy", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize(
    ("network", "version"),
    [
        (replace(user(EapType.PEAP), phase2=Phase2(auth=("MSCHAPV2",))), 0),
        (replace(user(EapType.PEAP), phase2=Phase2(auth=("MSCHAPV2",))), 1),
        (replace(user(EapType.TEAP), phase2=Phase2(auth=("MSCHAPV2",))), 1),
        (replace(user(EapType.FAST), phase2=Phase2(auth=("MSCHAPV2",))), 1),
        (replace(user(EapType.TTLS), phase2=Phase2(auth=("MSCHAPV2",))), 0),
        (replace(user(EapType.TTLS), phase2=Phase2(autheap=("MSCHAPV2",))), 0),
    ],
    ids=["peap0", "peap1", "teap", "fast", "ttls", "ttls-eap"],
)
def test_who_does_not_know_the_password_never_opens_the_port(
    network: Network, version: int, policy: TlsPolicy
) -> None:
    kind = type("Case", (Intruder,), {"network": network, "version": version, "policy": policy})
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run(
        kind,
        settings=settings(
            max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=slow
        ),
    )
