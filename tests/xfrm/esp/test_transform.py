"""ESP's transforms: published vectors, scapy both ways, and properties."""

import os
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.ipsec import ESP as SCAPY_ESP
from scapy.layers.ipsec import SecurityAssociation as ScapySa
from scapy.packet import Raw

from lab.esp_values import AES_CBC, LEFT, RIGHT, SHA1, ends, esp_choices, sa, sequence
from wire.secret import Secret
from xfrm.esp.reasons import Refused
from xfrm.esp.transform import BadAlgorithm, integrity, transforms
from xfrm.model import Algorithm, SecurityAssociation

CHOICES = esp_choices()
CHOICE = st.sampled_from(CHOICES)


def _named(choice: dict[str, Any]) -> str:
    return " ".join(
        f"{each.name}-{len(each.key) * 8}-{each.icv_bits}" if each else "null"
        for each in choice.values()
    )


@pytest.mark.parametrize("esn", [False, True], ids=["seq", "esn"])
@pytest.mark.parametrize("choice", CHOICES, ids=_named)
def test_what_is_sealed_opens_whatever_its_size(choice: dict[str, Any], esn: bool) -> None:
    sender, receiver = ends(sa(esn=esn, **choice), os.urandom)
    for size in range(70):
        payload = os.urandom(size)
        packet = sender.seal(payload, size)
        assert receiver.open(packet, sequence(packet)) == (size, payload)


@given(
    choice=CHOICE, esn=st.booleans(), payload=st.binary(max_size=200),
    order=st.permutations(range(5)),
)  # fmt: skip
def test_packets_open_in_any_order(
    choice: dict[str, Any], esn: bool, payload: bytes, order: list[int]
) -> None:
    sender, receiver = ends(sa(esn=esn, **choice), os.urandom)
    packets = [sender.seal(payload + bytes((number,)), 4) for number in range(5)]
    for number in order:
        packet = packets[number]
        assert receiver.open(packet, sequence(packet)) == (4, payload + bytes((number,)))


@given(
    choice=CHOICE, esn=st.booleans(), payload=st.binary(max_size=100), where=st.floats(0, 0.999),
    bit=st.integers(0, 7),
)  # fmt: skip
def test_any_bit_changed_under_way_is_refused(
    choice: dict[str, Any], esn: bool, payload: bytes, where: float, bit: int
) -> None:
    sender, receiver = ends(sa(esn=esn, replay_window=0, **choice), os.urandom)
    packet = bytearray(sender.seal(payload, 4))
    packet[int(where * len(packet))] ^= 1 << bit
    with pytest.raises(Refused, match="XfrmInStateProtoError"):
        receiver.open(bytes(packet), sequence(bytes(packet)))
    assert receiver.failed == 1


@given(choice=CHOICE, esn=st.booleans(), octets=st.binary(max_size=200))
def test_arbitrary_octets_are_refused(choice: dict[str, Any], esn: bool, octets: bytes) -> None:
    _, unprotect = transforms(sa(esn=esn, **choice), os.urandom)
    with pytest.raises(Refused):
        unprotect(octets, 0)


def test_each_iv_is_fresh() -> None:
    sender, _ = ends(sa(), os.urandom)
    payload = bytes(64)
    packets = [sender.seal(payload, 4) for _ in range(1000)]
    assert len({packet[8:24] for packet in packets}) == 1000
    assert len({packet[24:40] for packet in packets}) == 1000


def test_the_next_iv_is_not_the_last_ciphertext_block() -> None:
    """That would be predictable; ours depends on a random block (SP 800-38A, Appendix C)."""
    first, _ = ends(sa(), lambda size: bytes(size))
    second, _ = ends(sa(), lambda size: b"\1" * size)
    for sender in (first, second):
        before = sender.seal(bytes(64), 4)
        assert sender.seal(bytes(64), 4)[8:24] != before[-28:-12]
    assert first.seal(b"", 4)[8:24] != second.seal(b"", 4)[8:24]


# Padding and other content that only a peer with the key can send


def _sealed_by_hand(plain: bytes) -> bytes:
    """What a peer of the default SA sends if it makes `plain` of payload, padding and trailer."""
    iv = os.urandom(16)
    encryptor = Cipher(AES(AES_CBC.key.reveal()), CBC(iv)).encryptor()
    body = b"\0\0\x10\1\0\0\0\1" + iv + encryptor.update(plain) + encryptor.finalize()
    mac, _ = integrity(SHA1)
    return body + mac(body)


@pytest.mark.parametrize(
    "trailer",
    [
        bytes(14) + b"\x0e\4",  # zeros where 1, 2, 3, ... belongs
        bytes(range(1, 15)) + b"\xff\4",  # more padding than packet
        bytes(range(1, 15)) + b"\x0f\4",
    ],
)
def test_wrong_padding_is_refused(trailer: bytes) -> None:
    _, unprotect = transforms(sa(), os.urandom)
    with pytest.raises(Refused):
        unprotect(_sealed_by_hand(bytes(16) + trailer), 0)


def test_as_much_padding_as_fits_is_taken() -> None:
    _, unprotect = transforms(sa(), os.urandom)
    plain = b"12345678901234567" + bytes(range(1, 254)) + b"\xfd\4"
    assert unprotect(_sealed_by_hand(plain), 0) == (4, b"12345678901234567")


# Published vectors


@pytest.mark.parametrize(
    ("next_header", "payload", "packet"),
    [
        (  # RFC 3602, 4, case 5
            1,
            "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
            "202122232425262728292a2b2c2d2e2f3031323334353637",
            "0000432100000001e96e8c08ab465763fd098d45dd3ff893f663c25d325c18c6a9453e194e120849"
            "a4870b66cc6b9965330013b4898dc856a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c"
            "538ab50c551b874aa269add047ad2d5913ac19b7cfbad4a6",
        ),
        (  # case 6
            1,
            "0800b5e8a80a0500a69c083d0b660e00777777777777777777777777",
            "000043210000000869d08df7d203329db093fc4924e5bd80f51995881ec4e0c4488987ce742e8109"
            "689bb379d2d750c0d915dca346a89f75",
        ),
    ],
)
def test_the_packets_of_rfc_3602_open(next_header: int, payload: str, packet: str) -> None:
    key = Secret(bytes.fromhex("90d382b410eeba7ad938c46cec1a82bf"))
    of = sa(spi=0x4321, encryption=Algorithm(name="cbc(aes)", key=key), authentication=None)
    _, unprotect = transforms(of, os.urandom)
    assert unprotect(bytes.fromhex(packet), 0) == (next_header, bytes.fromhex(payload))


@pytest.mark.parametrize(
    ("key", "esn", "packet", "high", "payload"),
    [
        (  # draft-mcgrew-gcm-test-01, 4: the first, with extended numbers
            "4c80cdefbb5d10da906ac73c3613a6342e443b68",
            True,
            "00004321000000004956ed7e3b244cfe"
            "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf"
            "65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce61bc17d768fd9732"
            "459018148f6cbe722fd04796562dfdb4",
            0x87654321,
            "45000048699a000080114db7c0a80102c0a801010a9bf15638d3010000010000"
            "00000000045f736970045f756470037369700963796265726369747902646b0000210001",
        ),
        (  # with a key of 192 bits
            "feffe9928665731c6d6a8f9467308308feffe9928665731ccafebabe",
            False,
            "0000a5f80000000afacedbaddecaf888"
            "a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0315b27452144cc77"
            "95457b9652037f5318027b5b4cd7a636",
            0,
            "45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d07568",
        ),
    ],
)
def test_the_packets_of_draft_mcgrew_gcm_test_open(
    key: str, esn: bool, packet: str, high: int, payload: str
) -> None:
    aead = Algorithm(name="rfc4106(gcm(aes))", key=Secret(bytes.fromhex(key)), icv_bits=128)
    _, unprotect = transforms(sa(aead=aead, esn=esn), os.urandom)
    assert unprotect(bytes.fromhex(packet), high) == (1, bytes.fromhex(payload))


@pytest.mark.parametrize(
    ("name", "key_octets", "digest"),
    [  # RFC 2202, 2 and 3, and RFC 4231, 4.2: test case 1, cut as RFC 2403, 2404 and 4868 say
        ("hmac(md5)", 16, "9294727a3638bb1c13f48ef8"),
        ("hmac(sha1)", 20, "b617318655057264e28bc0b6"),
        ("hmac(sha256)", 20, "b0344c61d8db38535ca8afceaf0bf12b"),
        ("hmac(sha384)", 20, "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec6"),
        ("hmac(sha512)", 20, "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"),
    ],
)
def test_check_values_are_those_of_the_rfcs(name: str, key_octets: int, digest: str) -> None:
    mac, size = integrity(Algorithm(name=name, key=Secret(b"\x0b" * key_octets)))
    assert mac(b"Hi There").hex() == digest
    assert size == len(digest) // 2


# Scapy, which has its own implementation

SCAPY_NAMES = {
    "cbc(aes)": "AES-CBC",
    "cbc(des3_ede)": "3DES",
    "cbc(des)": "DES",
    "cbc(cast5)": "CAST",
    "cbc(blowfish)": "Blowfish",
    "rfc4106(gcm(aes))": "AES-GCM",
    "rfc4309(ccm(aes))": "AES-CCM",
    "rfc7539esp(chacha20,poly1305)": "CHACHA20-POLY1305",
    "hmac(md5)": "HMAC-MD5-96",
    "hmac(sha1)": "HMAC-SHA1-96",
    "hmac(sha256)": "SHA2-256-128",
    "hmac(sha384)": "SHA2-384-192",
    "hmac(sha512)": "SHA2-512-256",
}


def scapy_sa(of: SecurityAssociation) -> ScapySa:
    """The same SA in scapy."""
    cipher = of.aead or of.encryption
    auth = of.authentication
    return ScapySa(
        SCAPY_ESP,
        spi=of.spi,
        seq_num=1,
        crypt_algo=SCAPY_NAMES[cipher.name] if cipher else "NULL",
        crypt_key=cipher.key.reveal() if cipher else b"",
        crypt_icv_size=cipher.icv_bits // 8 if of.aead and cipher else None,
        auth_algo=SCAPY_NAMES[auth.name] if auth else "NULL",
        auth_key=auth.key.reveal() if auth else b"",
        tunnel_header=IP(src=LEFT, dst=RIGHT),
        esn_en=of.esn,
        esn=0,
    )


def _known_to_scapy(choice: dict[str, Any]) -> bool:
    names = [each.name for each in choice.values() if each is not None]
    return all(name in SCAPY_NAMES for name in names)


@pytest.mark.parametrize("esn", [False, True], ids=["seq", "esn"])
@pytest.mark.parametrize("choice", [*filter(_known_to_scapy, CHOICES)], ids=_named)
def test_scapy_opens_ours_and_we_open_scapys(choice: dict[str, Any], esn: bool) -> None:
    of = sa(esn=esn, **choice)
    sender, receiver = ends(of, os.urandom)
    for size in (0, 1, 13, 64, 1400):
        inner = IP(src="10.1.0.1", dst="10.2.0.1") / UDP(sport=1, dport=2) / Raw(os.urandom(size))
        packet = sender.seal(bytes(inner), 4)
        theirs = scapy_sa(of)
        opened = theirs.decrypt(IP(src=LEFT, dst=RIGHT, proto=50) / SCAPY_ESP(packet))
        assert bytes(opened) == bytes(inner)

        sealed = bytes(scapy_sa(of).encrypt(IP(bytes(inner)), seq_num=size + 1)[SCAPY_ESP])
        assert receiver.open(sealed, size + 1) == (4, bytes(inner))


# What is refused when the SA is made


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"encryption": Algorithm(name="cbc(aes)", key=Secret(bytes(15)))}, "120"),
        ({"encryption": Algorithm(name="cbc(serpent)", key=Secret(bytes(16)))}, "cbc(aes)"),
        ({"authentication": Algorithm(name="xcbc(aes)", key=Secret(bytes(16)))}, "hmac(sha1)"),
        ({"authentication": None, "encryption": None}, "encryption or authentication"),
        (
            {"aead": Algorithm(name="rfc4106(gcm(aes))", key=Secret(bytes(20)), icv_bits=64)},
            "128",
        ),
    ],
)
def test_what_cannot_be_done_is_said(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(BadAlgorithm) as error:
        transforms(sa(**fields), os.urandom)
    assert text in str(error.value)


def test_no_key_is_in_a_message() -> None:
    key = Secret(b"\xabcdefghijklmno")
    with pytest.raises(BadAlgorithm) as error:
        transforms(sa(encryption=Algorithm(name="cbc(aes)", key=key)), os.urandom)
    assert "bcdefgh" not in str(error.value)
