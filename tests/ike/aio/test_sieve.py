"""What the kernel's filter lets through to the daemon's sockets, on loopback."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ike.errors import IkeError, InvalidMajorVersion
from ike.isakmp.header import Header
from ike.system import prefilter
from ike.system.prefilter import Program
from wire.udp import Options, bound_socket

HEADER = bytes(8) + bytes(8) + b"\x01\x10\x02\x00" + bytes(4) + (28).to_bytes(4)
MARKER, LAST = bytes(4), b"this one passes"


def passed(program: Program, host: str, *octets: bytes) -> list[bytes]:
    """Which of `octets` reach a socket with this program."""
    address = ip_address(host)
    last = {prefilter.ISAKMP: HEADER, prefilter.NATT: LAST}[program]
    with (
        bound_socket(address, 0, Options(program=program)) as receiver,
        bound_socket(address, 0, Options()) as sender,
    ):
        receiver.setblocking(True)
        for each in (*octets, last):
            sender.sendto(each, receiver.getsockname()[:2])
        found: list[bytes] = []
        while (read := receiver.recv(65536)) != last:
            found.append(read)
        return found


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_messages_of_versions_1_and_2_pass_and_others_do_not(host: str) -> None:
    one = HEADER[:17] + b"\x11" + HEADER[18:] + b"and more"
    two = HEADER[:17] + b"\x20" + HEADER[18:]
    three = HEADER[:17] + b"\x30" + HEADER[18:]
    assert passed(prefilter.ISAKMP, host, one, three, two, one[:27], b"") == [one, two]
    marked = [MARKER + each for each in (one, three, two, one[:27], b"")]
    assert passed(prefilter.NATT, host, *marked) == [MARKER + one, MARKER + two]


def test_esp_passes_port_4500_and_keepalives_end_there() -> None:
    esp = b"\x00\x00\x10\x01" + bytes(40)
    assert passed(prefilter.NATT, "127.0.0.1", b"\xff", esp, esp[:4], esp[:3]) == [esp, esp[:4]]


@given(st.binary(max_size=64) | st.binary(max_size=40).map(lambda rest: HEADER[:18] + rest))
def test_nothing_is_dropped_that_the_decoder_would_take(octets: bytes) -> None:
    if passed(prefilter.ISAKMP, "127.0.0.1", octets) == [octets] or octets == HEADER:
        return
    with pytest.raises(IkeError) as refused:
        Header.parse(octets)
    assert isinstance(refused.value, InvalidMajorVersion) or len(octets) < len(HEADER)


def test_a_program_that_the_kernel_does_not_take_is_an_error() -> None:
    with pytest.raises(OSError):
        bound_socket(ip_address("127.0.0.1"), 0, Options(program=((0x06, 0, 0, 0), (0, 9, 9, 9))))
