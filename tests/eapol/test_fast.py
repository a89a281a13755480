"""EAP-FAST without a PAC: RFC 4851; real servers are in `interop/test_methods.py`."""

import hmac

import pytest

from eapol import eap
from eapol.eap import EapType, Packet
from eapol.errors import MalformedFrame
from eapol.methods import tlv
from eapol.methods.fast import FastChain, key_block, t_prf
from eapol.methods.md5 import chap
from eapol.methods.tlv import Result, Tlv, TlvType
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
)

FAST = user(EapType.FAST)
STEP = Tlv(TlvType.INTERMEDIATE_RESULT, b"\0\1")


class Server:
    def __init__(self) -> None:
        self.talk = Talk(FAST, client_tls())
        self.tunnel = Tunnel(
            self.talk, EapType.FAST, server_tls(), version=1, start=b"\0\4\0\4auth"
        )
        self.tunnel.handshake()
        self.chain = FastChain(self.tunnel.tls)

    def say(self, *tlvs: Tlv) -> list[Tlv]:
        return tlv.parse(self.tunnel.say(b"".join(map(bytes, tlvs))))

    def md5(self) -> None:
        request = eap.request(1, EapType.MD5, bytes((16,)) + bytes(16))
        (answer,) = self.say(Tlv(TlvType.EAP_PAYLOAD, bytes(request)))
        value = bytes((16,)) + chap(1, PASSWORD, bytes(16)) + USER
        assert Packet.parse(answer.value) == eap.response(1, EapType.MD5, value)

    def binding(self, *, wrong: bool = False) -> Tlv:
        head = bytes((0, 1, 1, 0)) + bytes(32)
        mac = self.chain.mac(bytes(Tlv(TlvType.CRYPTO_BINDING, head + bytes(20))))
        return Tlv(TlvType.CRYPTO_BINDING, head + bytes((mac[0] ^ wrong,)) + mac[1:])

    def end(self, *, wrong: bool = False) -> bool:
        answers = self.say(STEP, tlv.result(Result.SUCCESS), self.binding(wrong=wrong))
        if self.talk.success():
            ours = tlv.only(answers, TlvType.CRYPTO_BINDING)
            assert ours is not None
            blank = Tlv(ours.type, ours.value[:-20] + bytes(20))
            assert hmac.compare_digest(ours.value[-20:], self.chain.mac(bytes(blank)))
        return self.talk.open


def test_a_method_inside_opens_the_port_with_the_keys_of_the_chain() -> None:
    server = Server()
    server.md5()
    server.chain.advance(b"")  # MD5 has no key
    assert server.end()
    assert server.talk.keys is not None
    expected = server.chain.keys()
    assert server.talk.keys.msk == expected.msk
    assert server.talk.keys.emsk == expected.emsk
    assert server.talk.keys.session_id == expected.session_id


def test_a_wrong_binding_and_success_without_a_method_are_refused() -> None:
    server = Server()
    server.md5()
    server.chain.advance(b"")
    assert not server.end(wrong=True)
    server = Server()
    server.chain.advance(b"")
    assert not server.end()
    assert "before the method inside the tunnel began" in server.talk.failure


def test_tls_1_3_is_not_offered() -> None:
    talk = Talk(FAST, client_tls(TLS_1_2.__class__(resume=False)))
    tunnel = Tunnel(talk, EapType.FAST, server_tls(TLS_1_3.__class__(resume=False)), version=1)
    tunnel.handshake()
    status = talk.supplicant.status().tls
    assert status is not None
    assert status.version == "TLSv1.2"


def test_the_prf_counts_blocks_over_the_length() -> None:
    """RFC 4851, 5.5, spelled out."""
    s = b"label\0seed" + b"\0\x28"
    first = hmac.digest(b"key", s + b"\1", "sha1")
    second = hmac.digest(b"key", first + s + b"\2", "sha1")
    assert t_prf(b"key", "label", b"seed", 40) == first + second


@pytest.mark.parametrize(
    ("suite", "octets"),
    [
        ("ECDHE-RSA-AES256-GCM-SHA384", 72),
        ("ECDHE-ECDSA-AES128-GCM-SHA256", 40),
        ("ECDHE-RSA-CHACHA20-POLY1305", 88),
        ("AES128-SHA", 104),
        ("AES256-SHA256", 160),
    ],
)
def test_the_key_block_of_a_suite(suite: str, octets: int) -> None:
    assert key_block(suite) == octets


def test_a_suite_that_we_do_not_know_is_refused() -> None:
    with pytest.raises(MalformedFrame, match="use one with AES or ChaCha20"):
        key_block("NULL-SHA")
