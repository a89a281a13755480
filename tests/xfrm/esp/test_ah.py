"""AH (RFC 4302): scapy both ways, and what the check value covers."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH as SCAPY_AH
from scapy.layers.ipsec import SecurityAssociation as ScapySa
from scapy.packet import Raw

from lab.esp_values import LEFT, RIGHT, algorithm, ends, sa
from xfrm.algorithms import Kind
from xfrm.esp import ah
from xfrm.esp.ah import header_size, immutable
from xfrm.esp.reasons import Refused
from xfrm.esp.transform import BadAlgorithm
from xfrm.model import Protocol, SecurityAssociation

LEFT6, RIGHT6 = "2001:db8::1", "2001:db8::2"
MACS = ["hmac(md5)", "hmac(sha1)", "hmac(sha256)", "hmac(sha384)", "hmac(sha512)"]
SCAPY_NAMES = {
    "hmac(md5)": "HMAC-MD5-96",
    "hmac(sha1)": "HMAC-SHA1-96",
    "hmac(sha256)": "SHA2-256-128",
    "hmac(sha384)": "SHA2-384-192",
    "hmac(sha512)": "SHA2-512-256",
}
INNER = bytes(IP(src="10.1.0.1", dst="10.2.0.1", tos=0x28) / UDP() / Raw(b"content"))


def _ah_sa(
    name: str = "hmac(sha1)", *, ipv6: bool = False, esn: bool = False
) -> SecurityAssociation:
    src, dst = (LEFT6, RIGHT6) if ipv6 else (LEFT, RIGHT)
    authentication = algorithm(Kind.AUTHENTICATION, name)
    return sa(src, dst, protocol=Protocol.AH, authentication=authentication, esn=esn)


def _number(packet: bytes) -> int:
    at = header_size(packet)
    return int.from_bytes(packet[at + 8 : at + 12], "big")


@pytest.mark.parametrize("esn", [False, True], ids=["seq", "esn"])
@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("name", MACS)
def test_what_is_sealed_opens(name: str, ipv6: bool, esn: bool) -> None:
    sender, receiver = ends(_ah_sa(name, ipv6=ipv6, esn=esn), os.urandom)
    for size in range(40):
        packet = sender.seal(bytes(size), 4)
        at = header_size(packet)
        assert (packet[at + 1] + 2) * 4 % (8 if ipv6 else 4) == 0
        assert receiver.open(packet, _number(packet)) == (4, bytes(size))


@pytest.mark.parametrize("name", MACS)
def test_scapy_opens_ours_and_we_open_scapys(name: str) -> None:
    of = _ah_sa(name)
    sender, receiver = ends(of, os.urandom)
    theirs = ScapySa(
        SCAPY_AH, spi=of.spi, seq_num=7, auth_algo=SCAPY_NAMES[name],
        auth_key=of.authentication.key.reveal() if of.authentication else b"",
        tunnel_header=IP(src=LEFT, dst=RIGHT, id=99, ttl=9, tos=0x28),
    )  # fmt: skip
    opened = theirs.decrypt(IP(sender.seal(INNER, 4)))
    assert bytes(opened) == INNER
    sealed = bytes(theirs.encrypt(IP(INNER)))
    assert receiver.open(sealed, 7) == (4, INNER)


def test_scapy_opens_ours_over_ipv6() -> None:
    of = _ah_sa(ipv6=True)
    sender, _ = ends(of, os.urandom)
    theirs = ScapySa(
        SCAPY_AH, spi=of.spi, auth_algo="HMAC-SHA1-96",
        auth_key=of.authentication.key.reveal() if of.authentication else b"",
        tunnel_header=IPv6(src=LEFT6, dst=RIGHT6),
    )  # fmt: skip
    assert bytes(theirs.decrypt(IPv6(sender.seal(INNER, 4)))) == INNER


@given(where=st.integers(0, 19 + 24 + len(INNER)), bit=st.integers(0, 7))
def test_a_changed_bit_is_refused_unless_routers_may_change_it(where: int, bit: int) -> None:
    sender, receiver = ends(_ah_sa(), os.urandom)
    packet = bytearray(sender.seal(INNER, 4))
    packet[where] ^= 1 << bit
    if where in (1, 6, 7, 8, 10, 11):  # TOS, fragment field, TTL, checksum
        assert receiver.open(bytes(packet), 1) == (4, INNER)
    else:
        with pytest.raises(Refused):
            receiver.open(bytes(packet), 1)


@given(st.binary(max_size=100))
def test_arbitrary_octets_are_refused(octets: bytes) -> None:
    _, unprotect = ah.transforms(_ah_sa())
    with pytest.raises(Refused):
        unprotect(octets, 0)


def test_mutable_options_count_as_zeros() -> None:
    """A source route changes at each router; a security option does not (RFC 4302, A1)."""
    options = bytes.fromhex("830704000000018204abcd00")
    header = b"\x48" + bytes(8) + b"\x33" + bytes(10) + options
    assert immutable(header)[20:31] == bytes(7) + b"\x82\x04\xab\xcd"


@pytest.mark.parametrize("options", ["8300000000000000", "83ff0000", "8301", "9400"])
def test_malformed_options_are_refused(options: str) -> None:
    with pytest.raises(Refused):
        immutable(b"\x47" + bytes(19) + bytes.fromhex(options))


def test_an_sa_for_ah_needs_authentication_alone() -> None:
    with pytest.raises(BadAlgorithm, match="AH"):
        ah.transforms(sa())
