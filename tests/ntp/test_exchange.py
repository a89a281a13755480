"""Stamps as the kernel hands them over, and what is to be done when it does not."""

import errno
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from lab.ntp_stamps import stamps_on
from ntp.messages import Address
from ntp.system.exchange import (
    SCM_TIMESTAMPING,
    Exchange,
    received_stamp,
    restart_stamps,
    sent_stamp,
)

IP_RECVERR = 11


def stamp(seconds: int, rest: int) -> tuple[int, int, bytes]:
    return (socket.SOL_SOCKET, SCM_TIMESTAMPING, struct.pack("=6q", seconds, rest, 0, 0, 0, 0))


def test_a_stamp_is_read_to_the_nanosecond() -> None:
    assert received_stamp([stamp(5, 7)]) == 5_000_000_007


def test_a_stamp_of_zero_or_none_at_all_means_that_there_is_none() -> None:
    assert received_stamp([stamp(0, 0)]) is None
    assert received_stamp([]) is None
    assert received_stamp([(socket.SOL_SOCKET, SCM_TIMESTAMPING, b"short")]) is None


@pytest.fixture(autouse=True)
def _stamps() -> Iterator[None]:
    with stamps_on():
        yield


@pytest.fixture
def pair() -> tuple[socket.socket, Exchange]:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    return server, Exchange(1, Address("127.0.0.1", server.getsockname()[1]), bytes(48))


def test_both_stamps_lie_between_sending_and_reading() -> None:
    before = time.time_ns()
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    exchange = Exchange(1, Address("127.0.0.1", server.getsockname()[1]), bytes(48))
    with server, exchange.socket:
        _, source = server.recvfrom(100)
        server.sendto(b"answer", source)
        received = exchange.read()
        assert received is not None
        assert received.octets == b"answer"
        assert received.stamps.by_kernel
        assert before < received.stamps.sent < received.stamps.received < time.time_ns()


def test_an_error_queue_that_wakes_us_is_no_datagram(pair: tuple[socket.socket, Exchange]) -> None:
    server, exchange = pair
    with server, exchange.socket:
        assert exchange.read() is None
        assert exchange.read() is None


def test_a_stamp_of_another_packet_is_not_taken(pair: tuple[socket.socket, Exchange]) -> None:
    server, exchange = pair
    with server, exchange.socket:
        exchange.socket.send(b"second")
        exchange.socket.send(b"third")
        assert sent_stamp(exchange.socket, 7) is None  # and all are drained
        assert sent_stamp(exchange.socket, 0) is None
        exchange.socket.send(b"fourth")
        assert sent_stamp(exchange.socket, 3) is not None
        for number in range(4):
            exchange.socket.send(b"unread %d" % number)
        restart_stamps(exchange.socket)
        with pytest.raises(BlockingIOError):  # all that was left is thrown away
            exchange.socket.recvmsg(0, 256, socket.MSG_ERRQUEUE)
        exchange.socket.send(b"first again")
        assert sent_stamp(exchange.socket, 0) is not None


def test_the_gateways_shift_moves_both_stamps() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        to = Address("127.0.0.1", server.getsockname()[1])
        exchange = Exchange(1, to, bytes(48), shift=-(10**18))
        with exchange.socket:
            _, source = server.recvfrom(100)
            server.sendto(b"answer", source)
            received = exchange.read()
            assert received is not None
            assert abs(received.stamps.sent - (time.time_ns() - 10**18)) < 10**9
            assert abs(received.stamps.received - (time.time_ns() - 10**18)) < 10**9


def test_a_link_local_address_is_asked_on_the_interface_that_it_names() -> None:
    number = socket.if_nametoindex("lo")
    for zone in ("lo", str(number)):
        with pytest.raises(OSError) as raised:
            Exchange(1, Address(f"fe80::1%{zone}"), bytes(48))
        assert raised.value.errno != errno.EINVAL  # as it was: there is no such address on lo
    with pytest.raises(OSError, match="no interface"):
        Exchange(1, Address("fe80::1%no-such0"), bytes(48))
