"""Sealing and opening one ESP packet, beside scapy and beside `cryptography` used straight.

The manual's default (AES-128-CBC with HMAC-SHA1-96) and AES-128-GCM, tunnel mode, octets to octets.
Rounds are interleaved, so that a busy machine slows all down alike; compare inside a line.
"""

import hashlib
import hmac
import os
import struct
from collections.abc import Callable
from statistics import median
from time import perf_counter

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from scapy.layers.inet import IP
from scapy.layers.ipsec import ESP as SCAPY_ESP
from scapy.layers.ipsec import SecurityAssociation as ScapySa

from lab.esp_values import AES_CBC, AES_GCM, LEFT, RIGHT, SHA1, ends, sa, sequence
from xfrm.esp.replay import Inbound

ROUNDS = 7
SIZES = (64, 256, 576, 1400)
Work = Callable[[int], None]  # does it so many times


def interleaved(works: dict[str, tuple[Work, int]]) -> dict[str, float]:
    """Median microseconds of one packet, by name. Each work comes with its packets in a round."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, (work, count) in works.items():
            start = perf_counter()
            work(count)
            times[name].append((perf_counter() - start) / count * 1e6)
    return {name: median(each) for name, each in times.items()}


def inner(size: int) -> bytes:
    return bytes(IP(src="10.1.0.1", dst="10.2.0.1", proto=17, len=size)) + os.urandom(size - 20)


def naive() -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    """What one writes first: a cipher and an HMAC object for each packet; no check is left out."""
    key, auth = AES_CBC.key.reveal(), SHA1.key.reveal()
    number = 0

    def seal(payload: bytes) -> bytes:
        nonlocal number
        number += 1
        iv = os.urandom(16)
        pad = -(len(payload) + 2) % 16
        encryptor = Cipher(AES(key), CBC(iv)).encryptor()
        plain = payload + bytes(range(1, pad + 1)) + bytes((pad, 4))
        body = struct.pack("!II", 0x1001, number) + iv + encryptor.update(plain)
        body += encryptor.finalize()
        return body + hmac.new(auth, body, hashlib.sha1).digest()[:12]

    seen: set[int] = set()

    def unseal(packet: bytes) -> bytes:
        _, number = struct.unpack_from("!II", packet)
        if number in seen:
            raise ValueError("replayed")
        body = packet[:-12]
        if not hmac.compare_digest(hmac.new(auth, body, hashlib.sha1).digest()[:12], packet[-12:]):
            raise ValueError("forged")
        seen.add(number)
        decryptor = Cipher(AES(key), CBC(packet[8:24])).decryptor()
        plain = decryptor.update(body[24:]) + decryptor.finalize()
        end = len(plain) - 2 - plain[-2]
        if plain[end:-2] != bytes(range(1, plain[-2] + 1)):
            raise ValueError("padding")
        return plain[:end]

    return seal, unseal


def scapy_sa(*, gcm: bool) -> ScapySa:
    if gcm:
        keys = {"crypt_algo": "AES-GCM", "crypt_key": AES_GCM.key.reveal()}
    else:
        keys = {"crypt_algo": "AES-CBC", "crypt_key": AES_CBC.key.reveal()}
        keys |= {"auth_algo": "HMAC-SHA1-96", "auth_key": SHA1.key.reveal()}
    return ScapySa(SCAPY_ESP, spi=0x1001, tunnel_header=IP(src=LEFT, dst=RIGHT), **keys)


def repeated(function: Callable[[bytes], object], argument: bytes) -> Work:
    def work(count: int) -> None:
        for _ in range(count):
            function(argument)

    return work


def opening(receiver: Inbound, packets: list[bytes]) -> Work:
    """Opens so many of `packets`, then starts over with an empty window."""

    def work(count: int) -> None:
        receiver.top = receiver.bitmap = 0
        take = receiver.open
        for packet in packets[:count]:
            take(packet, sequence(packet))

    return work


def report(title: str, rows: list[tuple[int, dict[str, float]]]) -> None:
    names = list(rows[0][1])
    print(f"\n{title}: microseconds a packet (how many times ours)")
    print("  octets" + "".join(f"{name:>22}" for name in names))
    for size, times in rows:
        cells = "".join(f"{each:>14.2f} ({each / times['ours']:>5.1f})" for each in times.values())
        print(f"  {size:>6}{cells}")


def seals(size: int, *, gcm: bool) -> dict[str, tuple[Work, int]]:
    """Each way to seal a packet of `size`."""
    payload = inner(size)
    sender, _ = ends(sa(aead=AES_GCM) if gcm else sa(), os.urandom)
    scapys, parsed = scapy_sa(gcm=gcm), IP(payload)
    works: dict[str, tuple[Work, int]] = {
        "ours": (repeated(lambda octets: sender.seal(octets, 4), payload), 5000),
        "scapy": (repeated(lambda _: bytes(scapys.encrypt(parsed)), payload), 50),
    }
    if not gcm:
        works["naive cryptography"] = repeated(naive()[0], payload), 2000
    return works


def opens(size: int, *, gcm: bool) -> dict[str, tuple[Work, int]]:
    """Each way to open a packet with an inner one of `size`."""
    sender, receiver = ends(sa(aead=AES_GCM) if gcm else sa(), os.urandom)
    packets = [sender.seal(inner(size), 4) for _ in range(5000)]
    whole = bytes(IP(src=LEFT, dst=RIGHT, proto=50) / packets[0])
    scapys = scapy_sa(gcm=gcm)

    def straight(count: int) -> None:
        unseal = naive()[1]
        for packet in packets[:count]:
            unseal(packet)

    works: dict[str, tuple[Work, int]] = {
        "ours": (opening(receiver, packets), 5000),
        "scapy": (repeated(lambda octets: bytes(scapys.decrypt(IP(octets))), whole), 50),
    }
    return works if gcm else works | {"naive cryptography": (straight, 2000)}


@pytest.mark.parametrize("gcm", [False, True], ids=["aes128-sha1", "aes128gcm16"])
@pytest.mark.parametrize("works", [seals, opens], ids=["seal", "open"])
def test_one_packet(works: Callable[..., dict[str, tuple[Work, int]]], gcm: bool) -> None:
    rows = [(size, interleaved(works(size, gcm=gcm))) for size in SIZES]
    algorithms = "AES-128-GCM" if gcm else "AES-128-CBC, HMAC-SHA1-96"
    report(f"{works.__name__.rstrip('s')} {algorithms}", rows)
    assert all(times["ours"] < times["scapy"] / 20 for _, times in rows)
