"""MS-CHAP-V2: the vectors of RFC 2759, 9.2, and RFC 3079, 3.5.3 (the same user and password)."""

import pytest

from eapol import mschap
from eapol.eap import EapType, request
from eapol.methods.base import Outcome
from eapol.methods.mschapv2 import MsChapPacket, MsChapV2, OpCode
from eapol.settings import Password
from wire.secret import Secret

USER, PASSWORD = b"User", b"clientPass"
AUTHENTICATOR = bytes.fromhex("5B5D7C7D7B3F2F3E3C2C602132262628")
PEER = bytes.fromhex("21402324255E262A28295F2B3A337C7E")
HASH = Secret(bytes.fromhex("44EBBA8D5312B8D611474411F56989AE"))
RESPONSE = bytes.fromhex("82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF")


def test_the_password_hash_is_that_of_rfc_2759() -> None:
    assert mschap.nt_password_hash(PASSWORD) == HASH
    twice = mschap.hash_nt_password_hash(HASH).reveal()
    assert twice == bytes.fromhex("41C00C584BD2D91C4017A2A12FA59F3F")


def test_the_challenge_hash_is_that_of_rfc_2759() -> None:
    assert mschap.challenge_hash(PEER, AUTHENTICATOR, USER) == bytes.fromhex("D02E4386BCE91226")


@pytest.mark.parametrize("user", [USER, b"DOMAIN\\User"])
def test_the_nt_response_is_that_of_rfc_2759_with_and_without_a_domain(user: bytes) -> None:
    assert mschap.nt_response(AUTHENTICATOR, PEER, user, HASH) == RESPONSE


def test_the_authenticator_response_is_that_of_rfc_2759() -> None:
    made = mschap.authenticator_response(HASH, RESPONSE, PEER, AUTHENTICATOR, USER)
    assert made == bytes.fromhex("407A5589115FD0D6209F510FE9C04566932CDA56")


def test_the_keys_are_those_of_rfc_3079() -> None:
    master = mschap.master_key(HASH, RESPONSE)
    assert master.reveal() == bytes.fromhex("FDECE3717A8C838CB388E527AE3CDD31")
    sends = mschap.client_receive_key(master)  # the server's send key, of 128 bits
    assert sends == bytes.fromhex("8B7CDC149B993A1BA118CB153F56DCCB")


def test_a_response_of_a_des_key_is_that_of_rfc_2433() -> None:
    """RFC 2433, B.2: NtChallengeResponse of "MyPw" to a challenge of 8 octets."""
    hashed = mschap.nt_password_hash(b"MyPw")
    made = mschap.challenge_response(bytes.fromhex("102DB5DF085D3041"), hashed)
    assert made == bytes.fromhex("4E9D3C8F9CFD385D5BF4D3246791956CA4C351AB409A3D61")


# A conversation


def test_no_proof_counts_after_a_failure() -> None:
    hashed = mschap.nt_password_hash(b"secret")
    method = MsChapV2(b"gw", Password(Secret(b"secret")), lambda size: bytes(size))

    def said(code: OpCode, data: bytes) -> Outcome | None:
        return method.process(request(1, EapType.MSCHAPV2, bytes(MsChapPacket(code, 1, data))))

    asked = said(OpCode.CHALLENGE, bytes((16,)) + bytes(16) + b"server")
    assert asked is not None
    response = MsChapPacket.parse(asked.data).data[25:49]
    proof = mschap.authenticator_response(hashed, response, bytes(16), bytes(16), b"gw")
    failed = said(OpCode.FAILURE, b"E=691 R=0")
    assert failed is not None
    assert failed.failure is not None
    assert said(OpCode.SUCCESS, b"S=" + proof.hex().upper().encode()) is None
    assert method.keys is None
