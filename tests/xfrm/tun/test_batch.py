"""Datagrams of one burst in as few system calls as UDP_SEGMENT allows."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from xfrm.tun.batch import MOST_OCTETS, MOST_SEGMENTS, Batch


class Sink:
    """A socket that cuts as the kernel does, and a loop that calls back at the end of the burst."""

    def __init__(self) -> None:
        self.datagrams: list[bytes] = []
        self.calls = 0
        self.soon: list[Callable[[], None]] = []
        self.failures = 0
        self.broken = False
        self.batch = Batch(self.send, self.soon.append, self.fail)

    def send(self, octets: bytes, segment: int) -> None:
        if self.broken:
            raise OSError
        self.calls += 1
        step = segment or len(octets)
        cut = [octets[at : at + step] for at in range(0, len(octets), step)]
        assert len(cut) <= MOST_SEGMENTS
        assert len(octets) <= MOST_OCTETS
        self.datagrams += cut

    def fail(self) -> None:
        self.failures += 1

    def burst(self, packets: list[bytes]) -> None:
        for packet in packets:
            self.batch.add(packet, 0)
        for call in self.soon:
            call()
        self.soon.clear()


@given(st.lists(st.binary(min_size=1, max_size=6) | st.just(bytes(1460)), max_size=200))
def test_every_packet_leaves_in_its_order(packets: list[bytes]) -> None:
    sink = Sink()
    sink.burst(packets)
    assert sink.datagrams == packets


def test_equal_packets_and_a_shorter_last_one_leave_at_once() -> None:
    sink = Sink()
    sink.burst([bytes(1460)] * 43 + [bytes(100)])
    assert sink.calls == 1


def test_a_burst_that_the_socket_refuses_is_counted_and_the_next_one_tried() -> None:
    sink = Sink()
    sink.broken = True
    sink.burst([bytes(100)])
    sink.broken = False
    sink.burst([bytes(200)])
    assert (sink.failures, sink.datagrams) == (1, [bytes(200)])


def test_a_long_burst_leaves_in_as_few_calls_as_their_octets_allow() -> None:
    sink = Sink()
    sink.burst([bytes(1460)] * 100)
    assert sink.calls == 3  # 44, 44 and 12: MOST_OCTETS
    small = Sink()
    small.burst([bytes(100)] * 129)
    assert small.calls == 3  # 64, 64 and 1: MOST_SEGMENTS


def test_a_single_packet_is_not_cut() -> None:
    sink = Sink()
    segments: list[int] = []
    sink.batch = Batch(lambda _, size: segments.append(size), sink.soon.append, sink.fail)
    sink.burst([bytes(100)])
    sink.burst([bytes(100)] * 2)
    assert segments == [0, 100]
