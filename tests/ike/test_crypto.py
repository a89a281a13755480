"""Groups, ciphers, key derivation (RFC 2409, RFC 3526): against published numbers, other
implementations, and the formulas of the standard written down a second time.
"""

import hashlib
import hmac
from functools import partial

import pytest
import scapy.layers.tls.crypto.groups as tls_groups
from cryptography.hazmat.primitives.asymmetric import dh, ec
from hypothesis import given
from hypothesis import strategies as st

from ike.crypto.ciphers import CIPHERS, CbcCipher
from ike.crypto.curves import Curve, Curve25519
from ike.crypto.groups import MODP, SUPPORTED, KeyPair, octets
from ike.crypto.keys import (
    Cookies,
    Nonces,
    Phase1Keys,
    PublicValues,
    expanded_key,
    skeyid_pre_shared_key,
    skeyid_signatures,
)
from ike.crypto.modexp import libcrypto_power, plain_power, power
from ike.crypto.prf import HASHES
from ike.errors import InvalidKeyInformation
from ike.numbers.doi import Encryption, Group, Hash
from wire.secret import Secret

# RFC 2409, 6.2: the prime of the second Oakley group.
OAKLEY_2 = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A0879"
    "8E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B"
    "0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
    16,
)
GROUPS = sorted(SUPPORTED)


def _draw(size: int) -> bytes:
    return hashlib.shake_128(size.to_bytes(2)).digest(size)


def test_the_prime_of_group_2_is_that_of_the_standard() -> None:
    assert MODP[Group.MODP1024].prime == OAKLEY_2


@pytest.mark.parametrize("group", MODP)
def test_the_primes_are_those_that_scapy_lists(group: Group) -> None:
    assert MODP[group].prime == getattr(tls_groups, f"modp{octets(group) * 8}").m


@pytest.mark.parametrize("group", GROUPS)
def test_both_sides_get_the_same_secret(group: Group) -> None:
    here = KeyPair.generate(group, _draw)
    there = KeyPair.generate(group, lambda size: _draw(size + 1)[:size])
    shared = here.shared(there.public)
    assert shared == there.shared(here.public)
    assert len(here.public) == octets(group)
    assert len(shared) == (octets(group) // 2 if group.name.startswith("ECP") else octets(group))


def test_a_secret_is_the_one_that_openssl_computes() -> None:
    group = Group.MODP2048
    parameters = dh.DHParameterNumbers(MODP[group].prime, 2)
    theirs = parameters.parameters().generate_private_key()
    ours = KeyPair.generate(group, _draw)
    public = dh.DHPublicNumbers(int.from_bytes(ours.public), parameters).public_key()
    value = theirs.public_key().public_numbers().y.to_bytes(octets(group))
    assert ours.shared(value).reveal() == theirs.exchange(public)


@pytest.mark.parametrize("group", MODP)
def test_values_that_give_the_secret_away_are_refused(group: Group) -> None:
    pair = KeyPair.generate(group, _draw)
    size, p = octets(group), MODP[group].prime
    for bad in (0, 1, p - 1, p, (1 << 8 * size) - 1):
        with pytest.raises(InvalidKeyInformation):
            pair.shared(bad.to_bytes(size))
    with pytest.raises(InvalidKeyInformation):
        pair.shared(pair.public[1:])
    with pytest.raises(InvalidKeyInformation):
        pair.shared(b"\0" + pair.public)


CURVES = sorted(SUPPORTED - MODP.keys())


@pytest.mark.parametrize("group", CURVES)
def test_values_of_no_point_or_of_a_small_group_are_refused(group: Group) -> None:
    pair = KeyPair.generate(group, _draw)
    turned = bytes([*pair.public[:-1], pair.public[-1] ^ 1]) if group != Group.CURVE25519 else None
    for bad in (bytes(octets(group)), b"\xff" * octets(group), pair.public[1:], turned):
        if bad is not None and (group != Group.CURVE25519 or bad[:1] != b"\xff"):
            with pytest.raises(InvalidKeyInformation):
                pair.shared(bad)
    with pytest.raises(InvalidKeyInformation):
        pair.shared(b"\0" + pair.public)


def test_group_19_gives_the_vector_of_rfc_5903() -> None:  # 8.1
    first = bytes.fromhex("C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433")
    second = bytes.fromhex("C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53")
    public = bytes.fromhex(
        "DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180"
        "5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3"
    )
    peer = bytes.fromhex(
        "D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63"
        "56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB"
    )
    secret = bytes.fromhex("D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE")
    curve = Curve(ec.SECP256R1())
    assert (curve.public(first), curve.public(second)) == (public, peer)
    assert curve.shared(first, peer) == curve.shared(second, public) == secret


def test_group_31_gives_the_vector_of_rfc_7748() -> None:  # 6.1
    bob = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    public = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
    alice = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    secret = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    assert Curve25519().public(bob) == public
    assert Curve25519().shared(bob, alice) == secret


def _repeated(octet: bytes, size: int) -> bytes:
    return octet * size


@pytest.mark.parametrize("group", [g for g in CURVES if g != Group.CURVE25519])
def test_the_private_number_is_never_zero_nor_the_order_or_more(group: Group) -> None:
    for octet in (b"\0", b"\xff"):
        pair = KeyPair.generate(group, partial(_repeated, octet))
        assert int.from_bytes(pair.exponent.reveal()) > 0
        assert pair.shared(KeyPair.generate(group, _draw).public)


@given(st.integers(2, OAKLEY_2 - 2), st.binary(min_size=1, max_size=40))
def test_libcrypto_and_python_agree(base: int, exponent: bytes) -> None:
    expected = plain_power(base, exponent, OAKLEY_2)
    assert power(base, exponent, OAKLEY_2) == expected
    fast = libcrypto_power()
    assert fast is not None, (
        "OpenSSL's library is not there, or lacks a function that is named here"
    )
    assert fast(base, exponent, OAKLEY_2) == expected


def test_an_exponent_does_not_show() -> None:
    pair = KeyPair.generate(Group.MODP1024, _draw)
    assert pair.exponent.reveal().hex() not in repr(pair)


# --- ciphers: NIST SP 800-38A, F.2.1 and FIPS 81, table C1 ---


def test_aes_in_cbc_mode_gives_the_vector_of_nist() -> None:
    key = Secret(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"))
    iv = bytes(range(16))
    plaintext = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    expected = bytes.fromhex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2")
    cipher = CbcCipher(Encryption.AES, key)
    assert cipher.encrypt(iv, plaintext) == expected
    assert cipher.decrypt(iv, expected) == plaintext


def test_des_in_cbc_mode_gives_the_vector_of_fips_81() -> None:
    key = Secret(bytes.fromhex("0123456789abcdef"))
    iv = bytes.fromhex("1234567890abcdef")
    cipher = CbcCipher(Encryption.DES, key)
    assert (
        cipher.encrypt(iv, b"Now is the time ")
        == bytes.fromhex("e5c7cdde872bf27c43e934008c389c0f")[:16]
    )


@pytest.mark.parametrize("encryption", list(CIPHERS))
def test_each_cipher_decrypts_what_it_encrypted(encryption: Encryption) -> None:
    spec = CIPHERS[encryption]
    for bits in spec.key_bits:
        cipher = CbcCipher(encryption, Secret(_draw(bits // 8)))
        iv, text = _draw(spec.block), _draw(spec.block * 5)
        assert cipher.decrypt(iv, cipher.encrypt(iv, text)) == text


# --- keys: the formulas of RFC 2409, written again ---

COOKIES = Cookies(initiator=b"initcook", responder=b"respcook")
NONCES = Nonces(initiator=b"Ni" * 8, responder=b"Nr" * 8)
PUBLIC = PublicValues(initiator=b"gxi" * 9, responder=b"gxr" * 9)
SHARED = Secret(b"g^xy" * 32)
PSK = Secret(b"a pre-shared key")


def _hmac(name: str, key: bytes, *parts: bytes) -> bytes:
    return hmac.new(key, b"".join(parts), name).digest()


def _keys(hash_algorithm: Hash, encryption: Encryption, bits: int | None) -> Phase1Keys:
    return Phase1Keys(
        hash_algorithm=hash_algorithm,
        encryption=encryption,
        key_bits=bits,
        skeyid=skeyid_pre_shared_key(HASHES[hash_algorithm], PSK, NONCES),
        shared=SHARED,
        cookies=COOKIES,
    )


@pytest.mark.parametrize("hash_algorithm", list(HASHES))
def test_the_family_of_skeyid_follows_the_formulas(hash_algorithm: Hash) -> None:
    name = HASHES[hash_algorithm].algorithm
    keys = _keys(hash_algorithm, Encryption.AES, 128)
    skeyid = _hmac(name, b"a pre-shared key", b"Ni" * 8, b"Nr" * 8)
    end = b"g^xy" * 32 + b"initcookrespcook"
    d = _hmac(name, skeyid, end, b"\0")
    a = _hmac(name, skeyid, d, end, b"\1")
    e = _hmac(name, skeyid, a, end, b"\2")
    assert keys.SKEYID.reveal() == skeyid
    assert keys.SKEYID_d.reveal() == d
    assert keys.SKEYID_a.reveal() == a
    assert keys.encryption_key.reveal() == e[:16]
    assert keys.phase1_hash_i(PUBLIC, b"SAi", b"IDii") == _hmac(
        name, skeyid, b"gxi" * 9, b"gxr" * 9, b"initcookrespcook", b"SAi", b"IDii"
    )
    assert keys.phase1_hash_r(PUBLIC, b"SAi", b"IDir") == _hmac(
        name, skeyid, b"gxr" * 9, b"gxi" * 9, b"respcookinitcook", b"SAi", b"IDir"
    )
    assert keys.phase2_hash(b"M-ID", b"payloads") == _hmac(name, a, b"M-ID", b"payloads")


def test_skeyid_for_signatures_takes_the_nonces_as_key() -> None:
    spec = HASHES[Hash.SHA1]
    expected = _hmac("sha1", b"Ni" * 8 + b"Nr" * 8, b"g^xy" * 32)
    assert skeyid_signatures(spec, NONCES, SHARED).reveal() == expected


def test_a_short_skeyid_e_is_expanded_as_appendix_b_says() -> None:
    spec, e = HASHES[Hash.MD5], b"e" * 16
    k1 = _hmac("md5", e, b"\0")
    k2 = _hmac("md5", e, k1)
    k3 = _hmac("md5", e, k2)
    assert expanded_key(spec, Secret(e), 24).reveal() == (k1 + k2)[:24]
    assert expanded_key(spec, Secret(e), 40).reveal() == (k1 + k2 + k3)[:40]
    assert expanded_key(spec, Secret(e), 16).reveal() == e


@pytest.mark.parametrize("shared", [None, Secret(b"pfs" * 40)])
def test_keying_material_follows_the_formula(shared: Secret | None) -> None:
    keys = _keys(Hash.SHA1, Encryption.AES, 256)
    pfs = shared.reveal() if shared else b""
    seed = pfs + bytes([3]) + b"SPI!" + b"Ni" * 8 + b"Nr" * 8
    k1 = _hmac("sha1", keys.SKEYID_d.reveal(), seed)
    k2 = _hmac("sha1", keys.SKEYID_d.reveal(), k1, seed)
    got = keys.keymat(36, protocol=3, spi=b"SPI!", nonces=NONCES, shared=shared)
    assert got.reveal() == (k1 + k2)[:36]


def test_vectors_are_cut_to_a_block() -> None:
    keys = _keys(Hash.SHA1, Encryption.TRIPLE_DES, None)
    whole = hashlib.sha1(b"gxi" * 9 + b"gxr" * 9).digest()
    assert keys.first_iv(PUBLIC) == whole[:8]
    assert keys.phase2_iv(b"lastblck", 0x01020304) == hashlib.sha1(b"lastblck\1\2\3\4").digest()[:8]
