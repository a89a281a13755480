"""A real kernel's PF_KEY dumps beside ours: the same SAs, and the same octets."""

import os
import socket
import struct

import pytest

from xfrm.model import SecurityAssociation
from xfrm.netlink import requests
from xfrm.netlink.answers import sa_of
from xfrm.pfkey import PF_KEY_V2, SADB_DUMP, dump_message, parse_dump
from xfrm.setkey.parse import parse
from xfrm.setkey.run import Output, Request, Runner
from xfrm.system.blocking import Client

pytestmark = pytest.mark.kernel

AF_KEY = 15

SAS = """
add 10.99.0.1 10.99.0.9 esp 0x10001 -m tunnel -u 7 -r 8 -lh 100 -ls 80 -bh 5000 -bs 4000
    -E 3des-cbc 0x112233445566778899aabbccddeeff001122334455667788
    -A hmac-md5 "authentication!!";
add 10.99.0.1 10.99.0.9 ah 0x10002
    -A hmac-sha256 0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f;
add 10.99.0.1 10.99.0.9 esp-udp 0x10003 -m tunnel -E aes-cbc 0x00112233445566778899aabbccddeeff
    -A hmac-sha1 "12345678901234567890";
add 10.99.0.1 10.99.0.9 ipcomp 0x1004 -C deflate;
add 10.99.0.1 10.99.0.9 esp 0x10005
    -A hmac-sha512 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
add fd00::1 fd00::2 esp 0x10006 -E camellia-cbc 0x000102030405060708090a0b0c0d0e0f;
"""


@pytest.fixture
def sas() -> dict[int, SecurityAssociation]:
    """In the kernel, and by SPI."""
    with Client() as client:

        def refuse(error: Exception, _: object) -> None:
            raise error

        output = Output(lambda _: None, lambda _: None, refuse)
        Runner(client, output).run([*parse("flush;"), *parse(SAS)])
        answers = client.dump(Request(requests.dump_sas_message(), "list the SAs"))
    return {sa.spi: sa for sa in map(sa_of, answers)}


def kernels_dump() -> list[bytes]:
    """The messages that answer SADB_DUMP on a PF_KEY socket."""
    with socket.socket(AF_KEY, socket.SOCK_RAW, PF_KEY_V2) as made:
        made.settimeout(10)
        made.send(struct.pack("=BBBBHHII", PF_KEY_V2, SADB_DUMP, 0, 0, 2, 0, 0, os.getpid()))
        messages = [made.recv(65536)]
        while struct.unpack_from("=I", messages[-1], 8)[0]:  # the last has sequence number 0
            messages.append(made.recv(65536))
    return messages


def test_a_dump_of_ours_has_the_octets_of_the_kernels(sas: dict[int, SecurityAssociation]) -> None:
    messages = kernels_dump()
    assert len(messages) == len(sas) == 6
    for theirs in messages:
        (dumped,) = parse_dump(theirs)
        sa = sas[dumped.sa.spi]
        ours = dump_message(sa, sequence=dumped.sequence, pid=dumped.pid, now=sa.usage.added)
        assert without_reserved(ours) == without_reserved(theirs)


def without_reserved(message: bytes) -> bytes:
    """The kernel leaves its reference count in the reserved field."""
    return message[:6] + bytes(2) + message[8:]


def test_what_the_kernel_dumps_is_read_as_netlink_tells_it(
    sas: dict[int, SecurityAssociation],
) -> None:
    for dumped in parse_dump(b"".join(kernels_dump())):
        assert dumped.sa == sas[dumped.sa.spi]
        assert dumped.pid == os.getpid()
