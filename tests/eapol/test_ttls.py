"""EAP-TTLS: RFC 5281; with TLS 1.3 RFC 9427; CVE-2023-52160."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eapol import eap, mschap
from eapol.eap import EapType, Packet
from eapol.errors import MalformedFrame
from eapol.methods import avp, keys
from eapol.methods.avp import MICROSOFT, Avp, Code, MsCode
from eapol.methods.md5 import chap
from eapol.notices import ServerSays
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

TTLS = user(EapType.TTLS)
EACH_TLS = pytest.mark.parametrize("policy", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])


def using(name: str) -> Network:
    return replace(TTLS, phase2=Phase2(auth=(name,)))


class Server:
    """EAP-TTLS' server; `first` is what the peer said first inside the tunnel."""

    def __init__(
        self,
        network: Network,
        policy: TlsPolicy = TLS_1_2,
        client: ClientContext | None = None,
        *,
        waits: bool = True,
    ) -> None:
        self.talk = Talk(network, client or client_tls(policy))
        self.tunnel = Tunnel(self.talk, EapType.TTLS, server_tls(policy))
        first = self.tunnel.handshake()
        if not first and waits:
            first = self.tunnel.nothing()
        self.first = avp.parse(first)

    def find(self, code: int, vendor: int = 0) -> bytes:
        (found,) = (a.data for a in self.first if (a.code, a.vendor) == (code, vendor))
        return found

    def challenge(self, size: int) -> tuple[bytes, int]:
        material = self.tunnel.tls.export("ttls challenge", size + 1)
        return material[:size], material[size]

    def success(self) -> bool:
        self.tunnel.tls.close(success=True)
        return self.talk.success()

    def proves(self, password: bytes = PASSWORD) -> bytes:
        """MS-CHAP2-Success, if the response is right; what the peer answers."""
        challenge, identifier = self.challenge(16)
        assert self.find(MsCode.CHAP_CHALLENGE, MICROSOFT) == challenge
        value = self.find(MsCode.CHAP2_RESPONSE, MICROSOFT)
        peer, response = value[2:18], value[26:]
        hashed = mschap.nt_password_hash(password)
        assert value[0] == identifier
        assert response == mschap.nt_response(challenge, peer, USER, hashed)
        proof = mschap.authenticator_response(hashed, response, peer, challenge, USER)
        said = bytes((identifier,)) + b"S=" + proof.hex().upper().encode()
        return self.tunnel.say(bytes(Avp(MsCode.CHAP2_SUCCESS, said, MICROSOFT)))

    def eap(self, request: Packet) -> Packet:
        answered = avp.parse(self.tunnel.say(bytes(Avp(Code.EAP_MESSAGE, bytes(request)))))
        return Packet.parse(b"".join(a.data for a in answered if a.code == Code.EAP_MESSAGE))


@EACH_TLS
def test_pap_sends_the_password_padded_inside_and_has_the_keys_of_the_tunnel(
    policy: TlsPolicy,
) -> None:
    server = Server(using("PAP"), policy)
    assert server.find(Code.USER_NAME) == USER
    assert server.find(Code.USER_PASSWORD) == PASSWORD + bytes(-len(PASSWORD) % 16)
    assert server.success()
    expected = keys.of_tls(server.tunnel.tls, EapType.TTLS, "ttls keying material")
    assert server.talk.keys is not None
    assert server.talk.keys.msk == expected.msk
    assert server.talk.keys.emsk == expected.emsk
    assert server.talk.keys.session_id == expected.session_id


@EACH_TLS
def test_chap_answers_the_challenge_of_the_tunnel(policy: TlsPolicy) -> None:
    server = Server(using("CHAP"), policy)
    challenge, identifier = server.challenge(16)
    assert server.find(Code.CHAP_CHALLENGE) == challenge
    value = bytes((identifier,)) + chap(identifier, PASSWORD, challenge)
    assert server.find(Code.CHAP_PASSWORD) == value
    assert server.success()


@EACH_TLS
def test_mschap_answers_the_challenge_of_the_tunnel(policy: TlsPolicy) -> None:
    server = Server(using("MSCHAP"), policy)
    challenge, identifier = server.challenge(8)
    assert server.find(MsCode.CHAP_CHALLENGE, MICROSOFT) == challenge
    response = mschap.challenge_response(challenge, mschap.nt_password_hash(PASSWORD))
    expected = bytes((identifier, 1)) + bytes(24) + response
    assert server.find(MsCode.CHAP_RESPONSE, MICROSOFT) == expected
    assert server.success()


@EACH_TLS
def test_mschapv2_wants_the_servers_proof_first(policy: TlsPolicy) -> None:
    server = Server(using("MSCHAPV2"), policy)
    assert server.proves() == b""
    assert server.success()
    assert not Server(using("MSCHAPV2"), policy).success()


def test_a_wrong_proof_of_mschapv2_is_refused() -> None:
    server = Server(using("MSCHAPV2"))
    said = bytes((server.challenge(16)[1],)) + b"S=" + b"0" * 40
    server.tunnel.say(bytes(Avp(MsCode.CHAP2_SUCCESS, said, MICROSOFT)))
    assert not server.success()
    assert "did not prove that it knows our password" in server.talk.failure


def test_the_words_of_a_server_are_one_line_of_bounded_length_whatever_it_sends() -> None:
    server = Server(using("PAP"))
    notices = server.talk.notices
    notices.clear()
    server.tunnel.say(avp.joined([Avp(Code.REPLY_MESSAGE, b"again\n", mandatory=False)] * 3000))
    (said,) = (notice for notice in notices if isinstance(notice, ServerSays))
    assert said.message.startswith(r"again\nagain\n")
    assert len(said.message) < 1300
    assert server.success()


def test_an_error_of_mschapv2_is_told_in_words() -> None:
    server = Server(using("MSCHAPV2"))
    said = b"\x01E=648 R=0 C=00 V=3"
    server.tunnel.say(bytes(Avp(MsCode.CHAP_ERROR, said, MICROSOFT)))
    server.talk.reject()
    assert "the password has expired" in server.talk.failure


@EACH_TLS
@pytest.mark.parametrize("method", [EapType.MD5, EapType.GTC])
def test_eap_inside_begins_with_the_identity(policy: TlsPolicy, method: EapType) -> None:
    server = Server(replace(TTLS, phase2=Phase2(autheap=(method.name,))), policy)
    said = Packet.parse(server.find(Code.EAP_MESSAGE))
    assert said == eap.response(0, EapType.IDENTITY, USER)
    answer = server.eap(eap.request(1, method, bytes((16,)) + bytes(16)))
    md5 = bytes((16,)) + chap(1, PASSWORD, bytes(16)) + USER
    assert answer.data == (md5 if method == EapType.MD5 else PASSWORD)
    assert server.success()


def test_success_before_eap_inside_is_done_is_refused() -> None:
    server = Server(TTLS)
    assert not server.success()
    assert "inside the tunnel" in server.talk.failure


def test_success_before_the_peer_could_begin_is_refused() -> None:
    talk = Talk(using("PAP"), client_tls())
    talk.ask(EapType.TTLS, b"\x20")
    assert not talk.success()
    assert "before TLS was complete" in talk.failure


def test_a_method_that_autheap_does_not_name_is_refused_by_name() -> None:
    server = Server(replace(TTLS, phase2=Phase2(autheap=("MD5",))))
    answer = server.eap(eap.request(1, EapType.GTC, b""))
    assert answer == eap.nak(1, (EapType.MD5,))


def test_a_mandatory_avp_that_nobody_knows_ends_it() -> None:
    server = Server(using("PAP"))
    server.tunnel.say(bytes(Avp(999, b"x")))
    assert not server.success()
    assert "code 999" in server.talk.failure


@pytest.mark.parametrize(
    ("auth", "opens"), [(Phase2Auth.INITIAL, True), (Phase2Auth.ALWAYS, False)]
)
@EACH_TLS
def test_a_resumed_session_may_end_without_the_inner_method_unless_told_otherwise(
    policy: TlsPolicy, auth: Phase2Auth, opens: bool
) -> None:
    policy = replace(policy, resume=True)
    network = replace(using("PAP"), tunnel=TunnelPolicy(phase2_auth=auth))
    client = without_certificate(policy)
    assert Server(network, policy, client).success()
    again = Server(network, policy, client, waits=False)
    tls = again.talk.supplicant.status().tls
    assert tls is not None
    assert tls.resumed
    assert not again.first
    if policy.max_version == TLS_1_3.max_version:
        again.tunnel.say(b"\0")
    assert again.success() == opens


def test_a_server_that_asks_after_a_resumption_gets_the_inner_method() -> None:
    policy = replace(TLS_1_2, resume=True)
    client = without_certificate(policy)
    assert Server(using("PAP"), policy, client).success()
    again = Server(using("PAP"), policy, client, waits=False)
    again.tunnel.nothing()
    again.first = avp.parse(again.tunnel.nothing())
    assert again.find(Code.USER_NAME) == USER
    assert again.success()


def test_a_resumption_that_came_to_a_bad_end_is_not_tried_again() -> None:
    """As at hostapd 2.10, which leaves the protected success out: it fails once, not each time."""
    policy = replace(TLS_1_3, resume=True)
    client = without_certificate(policy)
    opened, resumed = [], []
    for _ in range(4):
        server = Server(using("PAP"), policy, client, waits=False)
        opened.append(server.success())
        tls = server.talk.supplicant.status().tls
        resumed.append(tls is not None and tls.resumed)
    assert opened == [True, False, True, True]
    assert resumed == [False, True, False, False]


# Octets

AVPS = st.builds(
    Avp,
    st.integers(0, 2**32 - 1),
    st.binary(max_size=40),
    st.sampled_from((0, MICROSOFT)),
    st.booleans(),
)


@given(st.lists(AVPS, max_size=5))
def test_avps_survive_the_wire(avps: list[Avp]) -> None:
    assert avp.parse(avp.joined(avps)) == avps


@given(st.binary(max_size=60))
def test_octets_are_avps_or_malformed(octets: bytes) -> None:
    try:
        avp.parse(octets)
    except MalformedFrame:
        return


@given(st.binary(min_size=1, max_size=60))
def test_whatever_the_server_says_in_place_of_its_proof_opens_nothing(octets: bytes) -> None:
    server = Server(using("MSCHAPV2"))
    server.tunnel.say(octets)
    assert not server.success()
