"""TEAP: RFC 7170; with TLS 1.3 RFC 9427, 2.2. A server in memory."""

import hmac
from dataclasses import replace

import pytest

from eapol import eap, mschap
from eapol.eap import EapCode, EapType, Packet
from eapol.methods import tlv
from eapol.methods.mschapv2 import MsChapPacket, OpCode
from eapol.methods.teap_keys import Chain
from eapol.methods.tlv import Result, Tlv, TlvType
from eapol.settings import Network, Phase2, Phase2Auth, TlsPolicy, TunnelPolicy
from eapol.tls import ClientContext
from lab.eap_talk import (
    PASSWORD,
    TLS_1_2,
    TLS_1_3,
    USER,
    Talk,
    Tunnel,
    client_tls,
    server_tls,
    user,
    without_certificate,
)

TEAP = user(EapType.TEAP)
EACH_TLS = pytest.mark.parametrize("policy", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
CHALLENGE = bytes(range(16))
OUTER = bytes(Tlv(TlvType.AUTHORITY_ID, b"authority", mandatory=False))
STEP = Tlv(TlvType.INTERMEDIATE_RESULT, b"\0\1")


class Server:
    def __init__(
        self,
        network: Network = TEAP,
        policy: TlsPolicy = TLS_1_2,
        client: ClientContext | None = None,
        *,
        outer: bytes = OUTER,
    ) -> None:
        self.talk = Talk(network, client or client_tls(policy))
        start = len(outer).to_bytes(4, "big") + outer if outer else b""
        self.outer = outer
        self.tunnel = Tunnel(
            self.talk,
            EapType.TEAP,
            server_tls(policy),
            version=1,
            start=start,
            flags=0x10 if outer else 0,
        )
        self.tunnel.handshake()
        self.chain = Chain(self.tunnel.tls)
        self.number = 0

    def say(self, *tlvs: Tlv) -> list[Tlv]:
        return tlv.parse(self.tunnel.say(b"".join(map(bytes, tlvs))))

    def ask(self, method: EapType, data: bytes = b"") -> Packet:
        self.number += 1
        request = bytes(eap.request(self.number, method, data))
        (answer,) = self.say(Tlv(TlvType.EAP_PAYLOAD, request))
        return Packet.parse(answer.value)

    def mschapv2(self) -> None:
        assert self.ask(EapType.IDENTITY).data == USER
        challenge = bytes((16,)) + CHALLENGE + b"server"
        answer = self.ask(EapType.MSCHAPV2, bytes(MsChapPacket(OpCode.CHALLENGE, 7, challenge)))
        value = MsChapPacket.parse(answer.data).data
        peer, response = value[1:17], value[25:49]
        hashed = mschap.nt_password_hash(PASSWORD)
        proof = mschap.authenticator_response(hashed, response, peer, CHALLENGE, USER)
        message = b"S=" + proof.hex().upper().encode() + b" M=OK"
        self.ask(EapType.MSCHAPV2, bytes(MsChapPacket(OpCode.SUCCESS, 7, message)))
        master = mschap.master_key(hashed, response)
        sent, received = mschap.client_send_key(master), mschap.client_receive_key(master)
        self.chain.advance(received + sent)

    def binding(self, *, version: int = 1, kind: int = 0x20, wrong: bool = False) -> Tlv:
        head = bytes((0, version, 1, kind)) + bytes(32) + bytes(20)
        mac = self.mac(Tlv(TlvType.CRYPTO_BINDING, head + bytes(20)))
        mac = bytes((mac[0] ^ wrong,)) + mac[1:]
        return Tlv(TlvType.CRYPTO_BINDING, head + mac)

    def mac(self, blank: Tlv) -> bytes:
        return self.chain.mac(bytes(blank) + b"\x37" + self.outer)

    def end(self, *tlvs: Tlv) -> bool:
        answers = self.say(*tlvs, tlv.result(Result.SUCCESS), self.binding())
        self.tunnel.tls.close(success=True)
        opened = self.talk.success()
        if opened:
            ours = tlv.only(answers, TlvType.CRYPTO_BINDING)
            assert ours is not None
            blank = Tlv(ours.type, ours.value[:-40] + bytes(40))
            assert hmac.compare_digest(ours.value[-20:], self.mac(blank))
            assert ours.value[3] == 0x21
            assert tlv.result(Result.SUCCESS) in answers
        return opened


@EACH_TLS
@pytest.mark.parametrize("outer", [OUTER, b""], ids=["outer TLVs", "none"])
def test_mschapv2_inside_opens_the_port_with_the_keys_of_the_chain(
    policy: TlsPolicy, outer: bytes
) -> None:
    server = Server(policy=policy, outer=outer)
    server.mschapv2()
    assert server.end(STEP)
    assert server.talk.keys is not None
    expected = server.chain.keys()
    assert server.talk.keys.msk == expected.msk
    assert server.talk.keys.emsk == expected.emsk
    assert server.talk.keys.session_id == expected.session_id
    assert server.tunnel.spoken == 1


@EACH_TLS
def test_the_results_may_come_one_after_the_other(policy: TlsPolicy) -> None:
    server = Server(policy=policy)
    server.mschapv2()
    answered = server.say(STEP, server.binding())
    assert STEP in answered
    assert not server.talk.open
    assert server.end()


@EACH_TLS
def test_two_methods_one_after_the_other_make_a_chain_of_two(policy: TlsPolicy) -> None:
    server = Server(policy=policy)
    for _ in range(2):
        server.mschapv2()
        server.say(STEP, server.binding())
    assert server.end()
    assert server.talk.keys is not None
    assert server.talk.keys.msk == server.chain.keys().msk


def test_a_password_without_eap_is_given_where_phase2_allows_it() -> None:
    server = Server(replace(TEAP, phase2=Phase2(auth=("PAP",))))
    (answer,) = server.say(Tlv(TlvType.BASIC_PASSWORD_AUTH_REQ, b"Password:"))
    value = bytes((len(USER),)) + USER + bytes((len(PASSWORD),)) + PASSWORD
    assert answer == Tlv(TlvType.BASIC_PASSWORD_AUTH_RESP, value)
    server.chain.advance(b"")
    assert server.end(STEP)


def test_a_password_is_not_given_where_phase2_names_something_else() -> None:
    server = Server(replace(TEAP, phase2=Phase2(auth=("MSCHAPV2",))))
    asked = Tlv(TlvType.BASIC_PASSWORD_AUTH_REQ, b"Password:")
    assert server.say(asked) == [tlv.nak(asked)]


# An outer success, or the server's word alone, never stands for the inner method


@EACH_TLS
def test_success_without_the_inner_method_is_refused(policy: TlsPolicy) -> None:
    for steps in ((), (STEP,)):
        server = Server(policy=policy)
        server.chain.advance(b"")
        assert not server.end(*steps)
        assert "before the method inside the tunnel began" in server.talk.failure
    assert not Server(policy=policy).talk.success()


@pytest.mark.parametrize("before", [0, 1], ids=["the first", "the second"])
def test_a_method_that_was_begun_has_to_be_finished_even_with_phase2_auth_0(before: int) -> None:
    server = Server(replace(TEAP, tunnel=TunnelPolicy(phase2_auth=Phase2Auth.NEVER)))
    if before:
        server.mschapv2()
        server.say(STEP, server.binding())
    else:
        server.chain.advance(b"")
    server.ask(EapType.IDENTITY)
    challenge = bytes((16,)) + CHALLENGE + b"server"
    server.ask(EapType.MSCHAPV2, bytes(MsChapPacket(OpCode.CHALLENGE, 7, challenge)))
    assert not server.end()
    assert "before the server has proved that it knows the password" in server.talk.failure


def test_a_second_method_that_was_not_bound_is_no_success() -> None:
    server = Server()
    server.mschapv2()
    server.say(STEP, server.binding())
    server.mschapv2()
    server.say(tlv.result(Result.SUCCESS))
    assert not server.talk.success()


def test_success_without_a_crypto_binding_is_refused() -> None:
    server = Server()
    server.mschapv2()
    server.say(STEP, tlv.result(Result.SUCCESS))
    assert not server.talk.success()
    assert "no crypto-binding" in server.talk.failure


@pytest.mark.parametrize("flaw", [{"wrong": True}, {"version": 2}, {"kind": 0x21}, {"kind": 0x10}])
def test_a_wrong_binding_is_refused(flaw: dict[str, int]) -> None:
    server = Server()
    server.mschapv2()
    bound = server.binding(
        version=flaw.get("version", 1),
        kind=flaw.get("kind", 0x20),
        wrong=bool(flaw.get("wrong", 0)),
    )
    answered = server.say(STEP, tlv.result(Result.SUCCESS), bound)
    assert tlv.result(Result.FAILURE) in answered
    assert not server.talk.success()
    assert "crypto-binding does not match" in server.talk.failure


def test_outer_tlvs_that_were_changed_on_the_way_are_noticed() -> None:
    server = Server()
    server.outer = b""  # what the server sent was something else
    server.mschapv2()
    assert not server.end(STEP)
    assert "crypto-binding does not match" in server.talk.failure


def test_an_error_of_the_server_is_told() -> None:
    server = Server()
    failed = Tlv(TlvType.RESULT, b"\0\2")
    server.say(Tlv(TlvType.ERROR, (2001).to_bytes(4, "big")), failed)
    server.talk.send(Packet(EapCode.FAILURE, server.talk.identifier))
    assert "error 2001" in server.talk.failure


@pytest.mark.parametrize(
    ("auth", "opens"), [(Phase2Auth.INITIAL, True), (Phase2Auth.ALWAYS, False)]
)
@EACH_TLS
def test_a_resumed_session_may_end_without_the_inner_method_unless_told_otherwise(
    policy: TlsPolicy, auth: Phase2Auth, opens: bool
) -> None:
    policy = replace(policy, resume=True)
    network = replace(TEAP, tunnel=TunnelPolicy(phase2_auth=auth))
    client = without_certificate(policy)
    first = Server(network, policy, client)
    first.mschapv2()
    assert first.end(STEP)
    again = Server(network, policy, client)
    tls = again.talk.supplicant.status().tls
    assert tls is not None
    assert tls.resumed
    again.chain.advance(b"")
    assert again.end() == opens


def test_a_server_of_version_0_gets_no_answer() -> None:
    talk = Talk(TEAP, client_tls())
    assert talk.ask(EapType.TEAP, b"\x20") is None
