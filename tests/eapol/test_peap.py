"""PEAP: [MS-PEAP], draft-josefsson-pppext-eap-tls-eap-05, RFC 9427; CVE-2023-52160."""

from dataclasses import replace

import pytest

from eapol import eap, mschap
from eapol.eap import EapCode, EapType, Packet
from eapol.methods import keys, tlv
from eapol.methods.md5 import chap
from eapol.methods.mschapv2 import MsChapPacket, OpCode
from eapol.methods.peap import EXTENSIONS, compound_mac, prf_plus
from eapol.methods.tlv import Result, Tlv, TlvType
from eapol.settings import CryptoBinding, Network, Phase2, Phase2Auth, TlsPolicy, TunnelPolicy
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

PEAP = user(EapType.PEAP)
EACH_TLS = pytest.mark.parametrize("policy", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
EACH_VERSION = pytest.mark.parametrize("version", [0, 1])
CHALLENGE = bytes(range(16))


class Server:
    """PEAP's server: what is inside the tunnel, and its own view of the keys."""

    def __init__(
        self,
        network: Network = PEAP,
        policy: TlsPolicy = TLS_1_2,
        version: int = 0,
        client: ClientContext | None = None,
    ) -> None:
        self.version = version
        self.talk = Talk(network, client or client_tls(policy))
        self.tunnel = Tunnel(self.talk, EapType.PEAP, server_tls(policy), version=version)
        self.tunnel.handshake()
        self.master: bytes | None = None
        self.number = 0

    def ask(self, method: EapType, data: bytes = b"", *, whole: bool = False) -> Packet | None:
        """An inner request, and the inner response."""
        self.number += 1
        request = bytes(eap.request(self.number, method, data))
        whole = whole or self.version == 1 or method == EXTENSIONS
        said = self.tunnel.say(request if whole else request[4:])
        if not said:
            return None
        if whole and (self.version == 1 or method == EXTENSIONS):
            return Packet.parse(said)
        return Packet.parse(bytes((2, self.number)) + (len(said) + 4).to_bytes(2, "big") + said)

    def mschapv2(self, password: bytes = PASSWORD) -> bool:
        """Whether the password was right; the server's own proof is right, too."""
        assert self.ask(EapType.IDENTITY) == eap.response(self.number, EapType.IDENTITY, USER)
        challenge = bytes((16,)) + CHALLENGE + b"server"
        answer = self.ask(EapType.MSCHAPV2, bytes(MsChapPacket(OpCode.CHALLENGE, 7, challenge)))
        assert answer is not None
        value = MsChapPacket.parse(answer.data).data
        peer, response, name = value[1:17], value[25:49], value[50:]
        assert name == USER
        hashed = mschap.nt_password_hash(password)
        if response != mschap.nt_response(CHALLENGE, peer, USER, hashed):
            failure = b"E=691 R=0 C=" + b"0" * 32 + b" V=3 M=no"
            answer = self.ask(EapType.MSCHAPV2, bytes(MsChapPacket(OpCode.FAILURE, 7, failure)))
            assert answer is not None
            assert answer.data == bytes((OpCode.FAILURE,))
            return False
        proof = mschap.authenticator_response(hashed, response, peer, CHALLENGE, USER)
        message = b"S=" + proof.hex().upper().encode() + b" M=OK"
        answer = self.ask(EapType.MSCHAPV2, bytes(MsChapPacket(OpCode.SUCCESS, 7, message)))
        assert answer is not None
        assert answer.data == bytes((OpCode.SUCCESS,))
        master = mschap.master_key(hashed, response)
        self.master = mschap.client_send_key(master) + mschap.client_receive_key(master)
        return True

    def result(self, said: Result, *others: Tlv) -> list[Tlv] | None:
        data = b"".join(map(bytes, (tlv.result(said), *others)))
        answer = self.ask(EXTENSIONS, data)
        return None if answer is None else tlv.parse(answer.data)

    def end(self) -> bool:
        """Success inside in the version's way, and outside; whether the port opened."""
        if self.version == 1:
            self.tunnel.say(bytes(Packet(EapCode.SUCCESS, self.number)))
        else:
            self.result(Result.SUCCESS)
        self.tunnel.tls.close(success=True)
        return self.talk.success()

    # crypto-binding

    def compound(self) -> tuple[bytes, bytes]:
        made = keys.of_tls(self.tunnel.tls, EapType.PEAP).msk.reveal()[:60]
        seed = self.master or bytes(32)
        material = prf_plus(made[:40], b"Inner Methods Compound Keys", seed, 60)
        return material[:40], material[40:]

    def binding(self, *, version: int = 0, subtype: int = 0, wrong: bool = False) -> Tlv:
        head = bytes((0, version, version, subtype)) + bytes(range(32))
        blank = Tlv(TlvType.CRYPTO_BINDING, head + bytes(20))
        mac = compound_mac(self.compound()[1], blank)
        mac = bytes((mac[0] ^ 1,)) + mac[1:] if wrong else mac
        return Tlv(TlvType.CRYPTO_BINDING, head + mac)


@EACH_TLS
@EACH_VERSION
def test_mschapv2_inside_opens_the_port_with_the_keys_of_the_tunnel(
    policy: TlsPolicy, version: int
) -> None:
    server = Server(policy=policy, version=version)
    assert server.mschapv2()
    assert server.end()
    assert server.talk.keys is not None
    expected = keys.of_tls(server.tunnel.tls, EapType.PEAP)
    assert server.talk.keys.msk == expected.msk
    assert server.talk.keys.emsk == expected.emsk
    assert server.talk.keys.session_id == expected.session_id
    assert expected.session_id[0] == EapType.PEAP
    assert server.tunnel.spoken == version


@EACH_VERSION
@pytest.mark.parametrize("method", [EapType.GTC, EapType.MD5])
def test_other_methods_run_inside(method: EapType, version: int) -> None:
    server = Server(version=version)
    server.ask(EapType.IDENTITY)
    data = b"Password: " if method == EapType.GTC else bytes((16,)) + CHALLENGE
    answer = server.ask(method, data)
    assert answer is not None
    identifier = server.number if version == 1 else server.talk.identifier  # the header is left out
    md5 = bytes((16,)) + chap(identifier, PASSWORD, CHALLENGE) + USER
    assert answer.data == (PASSWORD if method == EapType.GTC else md5)
    assert server.end()


def test_a_wrong_password_is_told_in_words_and_the_port_stays_closed() -> None:
    server = Server(user(EapType.PEAP, password=b"another"))
    assert not server.mschapv2()
    answered = server.result(Result.FAILURE)
    assert answered == [tlv.result(Result.FAILURE)]
    assert not server.talk.success()
    assert "identity or password is wrong" in server.talk.failure


def test_a_server_that_does_not_know_the_password_is_refused() -> None:
    server = Server()
    server.ask(EapType.IDENTITY)
    challenge = bytes((16,)) + CHALLENGE + b"server"
    server.ask(EapType.MSCHAPV2, bytes(MsChapPacket(OpCode.CHALLENGE, 7, challenge)))
    message = b"S=" + b"A" * 40 + b" M=OK"
    answer = server.ask(EapType.MSCHAPV2, bytes(MsChapPacket(OpCode.SUCCESS, 7, message)))
    assert answer is not None
    assert answer.data == bytes((OpCode.FAILURE,))
    assert not server.end()
    assert "did not prove that it knows our password" in server.talk.failure


# An outer success never skips the inner method


@EACH_TLS
@EACH_VERSION
def test_success_without_the_inner_method_is_refused(policy: TlsPolicy, version: int) -> None:
    server = Server(policy=policy, version=version)
    assert not server.end()
    assert "before the method inside the tunnel began" in server.talk.failure
    assert not Server(policy=policy, version=version).talk.success()


@EACH_VERSION
def test_success_after_the_identity_only_is_refused(version: int) -> None:
    server = Server(version=version)
    server.ask(EapType.IDENTITY)
    assert not server.end()


def test_success_before_the_servers_proof_is_refused() -> None:
    server = Server()
    server.ask(EapType.IDENTITY)
    challenge = bytes((16,)) + CHALLENGE + b"server"
    server.ask(EapType.MSCHAPV2, bytes(MsChapPacket(OpCode.CHALLENGE, 7, challenge)))
    assert not server.end()
    assert "before the server has proved that it knows the password" in server.talk.failure


def test_an_outer_success_after_the_inner_method_but_before_the_result_is_refused() -> None:
    server = Server()
    assert server.mschapv2()
    assert not server.talk.success()


def test_the_protected_octet_of_tls_1_3_does_not_stand_for_the_inner_method() -> None:
    server = Server(policy=TLS_1_3)
    server.tunnel.say(b"\0")
    assert not server.talk.success()


def test_phase2_auth_0_lets_the_server_leave_the_inner_method_out() -> None:
    lax = TunnelPolicy(phase2_auth=Phase2Auth.NEVER)
    assert Server(replace(PEAP, tunnel=lax)).end()


def begun(server: Server) -> None:
    server.ask(EapType.IDENTITY)
    challenge = bytes((16,)) + CHALLENGE + b"server"
    server.ask(EapType.MSCHAPV2, bytes(MsChapPacket(OpCode.CHALLENGE, 7, challenge)))


def test_an_inner_method_that_was_begun_has_to_be_finished_even_with_phase2_auth_0() -> None:
    server = Server(replace(PEAP, tunnel=TunnelPolicy(phase2_auth=Phase2Auth.NEVER)))
    begun(server)
    assert not server.end()


# Resumption


def test_an_inner_method_after_the_protected_success_has_to_be_finished() -> None:
    policy = replace(TLS_1_3, resume=True)
    client = without_certificate(policy)
    first = Server(policy=policy, client=client)
    assert first.mschapv2()
    assert first.end()
    again = Server(policy=policy, client=client)
    again.tunnel.say(b"\0")
    begun(again)
    assert not again.talk.success()


@pytest.mark.parametrize(
    ("auth", "opens"),
    [(Phase2Auth.NEVER, True), (Phase2Auth.INITIAL, True), (Phase2Auth.ALWAYS, False)],
)
@EACH_TLS
def test_a_resumed_session_may_end_without_the_inner_method_unless_told_otherwise(
    policy: TlsPolicy, auth: Phase2Auth, opens: bool
) -> None:
    policy = replace(policy, resume=True)
    network = replace(PEAP, tunnel=TunnelPolicy(phase2_auth=auth))
    client = without_certificate(policy)
    for resumed in (False, True):
        server = Server(network, policy, client=client)
        assert resumed or server.mschapv2()
        tls = server.talk.supplicant.status().tls
        assert tls is not None
        assert tls.resumed == resumed
        assert server.end() == (opens if resumed else True)


def test_a_session_of_a_failed_conversation_is_not_kept() -> None:
    policy = replace(TLS_1_2, resume=True)
    client = without_certificate(policy)
    for _ in range(2):
        talk = Talk(PEAP, client)
        tunnel = Tunnel(talk, EapType.PEAP, server_tls(policy))
        tunnel.handshake()
        tls = talk.supplicant.status().tls
        assert tls is not None
        assert not tls.resumed
        talk.reject()


# Crypto-binding


def test_a_right_binding_is_answered_and_mixes_the_keys() -> None:
    server = Server()
    assert server.mschapv2()
    answered = server.result(Result.SUCCESS, server.binding())
    assert answered is not None
    ours = tlv.only(answered, TlvType.CRYPTO_BINDING)
    ipmk, cmk = server.compound()
    assert ours is not None
    assert ours.value[-20:] == compound_mac(cmk, ours)
    assert ours.value[3] == 1
    assert server.talk.success()
    session = prf_plus(ipmk, b"Session Key Generating Function", b"\0", 128)
    assert server.talk.keys is not None
    assert server.talk.keys.msk is not None
    assert server.talk.keys.msk.reveal() == session[:64]


@pytest.mark.parametrize("flaw", [{"wrong": True}, {"version": 1}, {"subtype": 1}])
def test_a_wrong_binding_is_refused(flaw: dict[str, int]) -> None:
    server = Server()
    assert server.mschapv2()
    bound = server.binding(
        version=flaw.get("version", 0),
        subtype=flaw.get("subtype", 0),
        wrong=bool(flaw.get("wrong", 0)),
    )
    assert server.result(Result.SUCCESS, bound) == [tlv.result(Result.FAILURE)]
    assert not server.talk.success()
    assert "crypto-binding does not match" in server.talk.failure


def test_a_binding_of_another_inner_method_is_refused() -> None:
    server = Server()
    assert server.mschapv2()
    server.master = bytes(32)  # as one who relayed the inner method from elsewhere
    server.result(Result.SUCCESS, server.binding())
    assert not server.talk.success()


def test_a_missing_binding_counts_only_where_it_is_demanded() -> None:
    strict = replace(PEAP, tunnel=TunnelPolicy(crypto_binding=CryptoBinding.REQUIRED))
    server = Server(strict)
    assert server.mschapv2()
    assert not server.end()
    assert "crypto_binding=2" in server.talk.failure


# What is offered


def test_a_method_that_phase2_does_not_name_is_refused_with_those_that_it_names() -> None:
    wanted = replace(PEAP, phase2=Phase2(auth=("GTC", "MSCHAPV2")))
    server = Server(wanted, version=1)
    answer = server.ask(EapType.MD5, bytes(17))
    assert answer is not None
    assert answer.method == EapType.NAK
    assert answer.data == bytes((EapType.GTC, EapType.MSCHAPV2))


def test_the_version_that_is_forced_is_spoken_or_nothing_is() -> None:
    forced = replace(PEAP, tunnel=TunnelPolicy(peap_version=0))
    server = Server(forced, version=1)
    assert server.tunnel.spoken == 0
    forced = replace(PEAP, tunnel=TunnelPolicy(peap_version=1))
    talk = Talk(forced, client_tls())
    assert talk.ask(EapType.PEAP, b"\x20") is None


def test_what_freeradius_sends_with_a_header_is_understood() -> None:
    server = Server()
    answer = server.ask(EapType.IDENTITY, whole=True)
    assert answer == eap.response(server.number, EapType.IDENTITY, USER)


def test_a_mandatory_tlv_that_nobody_knows_is_refused_by_name() -> None:
    server = Server()
    assert server.mschapv2()
    answer = server.result(Result.SUCCESS, Tlv(99, b""))
    assert answer == [tlv.nak(Tlv(99, b""))]
    assert not server.talk.success()


def test_the_identity_outside_is_the_anonymous_one() -> None:
    server = Server(replace(PEAP, anonymous_identity=b"anonymous"))
    assert server.talk.identity is not None
    assert server.talk.identity.data == b"anonymous"
    assert server.mschapv2()
    assert server.end()
