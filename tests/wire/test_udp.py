"""The UDP endpoint, on loopback."""

import asyncio
import errno
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address

import pytest

from wire.udp import Address, Options, Taken, UdpEndpoint

ANY = IPv4Address("0.0.0.0")
LOOPBACK = IPv4Address("127.0.0.1")
OTHER = IPv4Address("127.0.0.5")


@contextmanager
def endpoint(
    address: Address = ANY, options: Options | None = None, taken: Taken | None = None
) -> Iterator[UdpEndpoint]:
    made = UdpEndpoint.open(address, 0, options or Options(), taken)
    try:
        yield made
    finally:
        made.close()


async def test_a_datagram_says_where_it_came_from_and_where_to() -> None:
    with endpoint() as left, endpoint() as right:
        left.send(b"hello", OTHER, right.local[1], local=LOOPBACK)
        datagram = await right.receive()
        assert datagram.octets == b"hello"
        assert (datagram.source, datagram.port) == (LOOPBACK, left.local[1])
        assert datagram.local == OTHER


async def test_an_answer_leaves_from_the_address_that_was_asked() -> None:
    with endpoint() as asking, endpoint() as answering:
        asking.send(b"?", OTHER, answering.local[1])
        question = await answering.receive()
        answering.send(b"!", question.source, question.port, local=question.local)
        assert (await asking.receive()).source == OTHER


async def test_ipv6_says_its_local_address_too() -> None:
    six = IPv6Address("::1")
    with endpoint(IPv6Address("::")) as left, endpoint(IPv6Address("::")) as right:
        left.send(b"hello", six, right.local[1], local=six)
        datagram = await right.receive()
        assert (datagram.source, datagram.local) == (six, six)


async def test_a_flood_is_dropped_and_counted_not_kept() -> None:
    with endpoint() as left, endpoint(options=Options(queue=8)) as right:
        for number in range(100):
            left.send(b"%d" % number, LOOPBACK, right.local[1])
        kept = [(await right.receive()).octets for _ in range(8)]
        assert kept == [b"%d" % number for number in range(8)]
        assert right.dropped["queue full"] > 0


async def test_one_sender_cannot_fill_the_queue_of_all() -> None:
    with endpoint() as loud, endpoint() as quiet, endpoint(options=Options(share=4)) as right:
        for number in range(50):
            loud.send(b"%d" % number, LOOPBACK, right.local[1])
        quiet.send(b"me too", LOOPBACK, right.local[1])
        for _ in range(20):  # turns of the loop, in which the endpoint reads them all
            await asyncio.sleep(0)
        kept = [(await right.receive()).octets for _ in range(5)]
        assert kept == [b"0", b"1", b"2", b"3", b"me too"]
        assert right.dropped["too many of one"] == 46
        loud.send(b"again", LOOPBACK, right.local[1])
        assert (await right.receive()).octets == b"again"


async def test_what_is_taken_never_reaches_the_queue() -> None:
    seen: list[tuple[bytes, Address]] = []

    def taken(octets: bytes, source: Address, port: int) -> bool:
        seen.append((octets, source))
        return octets.startswith(b"esp")

    with endpoint() as left, endpoint(taken=taken) as right:
        left.send(b"esp 1", LOOPBACK, right.local[1])
        left.send(b"ike 1", LOOPBACK, right.local[1])
        assert (await right.receive()).octets == b"ike 1"
        assert seen == [(b"esp 1", LOOPBACK), (b"ike 1", LOOPBACK)]


async def test_a_port_in_use_says_so() -> None:
    with endpoint() as first:
        with pytest.raises(OSError) as caught:
            UdpEndpoint.open(ANY, first.local[1], Options())
        assert caught.value.errno == errno.EADDRINUSE


async def test_a_waiting_receive_can_be_cancelled_and_begun_again() -> None:
    with endpoint() as left, endpoint() as right:
        waiting = asyncio.ensure_future(right.receive())
        await asyncio.sleep(0)
        waiting.cancel()
        left.send(b"later", LOOPBACK, right.local[1])
        assert (await right.receive()).octets == b"later"


@pytest.mark.parametrize("gro", [False, True])
@pytest.mark.parametrize("address", [LOOPBACK, IPv6Address("::1")], ids=str)
async def test_many_datagrams_in_one_call_arrive_one_by_one(address: Address, gro: bool) -> None:
    with endpoint(address) as left, endpoint(address, Options(gro=gro)) as right:
        send = left.sender(address, right.local[1], address)
        send(b"".join(bytes((number,)) * 100 for number in range(40)) + b"last", 100)
        send(b"alone", 0)
        expected = [bytes((number,)) * 100 for number in range(40)] + [b"last", b"alone"]
        assert [(await right.receive()).octets for _ in expected] == expected


async def test_what_cannot_leave_in_one_call_leaves_one_by_one() -> None:
    """More than the kernel's limit of segments: it refuses the call."""
    with endpoint() as left, endpoint() as right:
        send = left.sender(LOOPBACK, right.local[1])
        send(bytes(1000), 5)
        assert [(await right.receive()).octets for _ in range(200)] == [bytes(5)] * 200
