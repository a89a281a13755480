"""IKE fragmentation: who may hold how much of what is not whole yet."""

from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ike.errors import IkeError, OutOfTurn, PayloadMalformed
from ike.isakmp.fragment import LEAST, PATIENCE, PIECE, Reassembler, Standing, split
from ike.isakmp.header import Header
from ike.isakmp.message import Message, Payload
from ike.isakmp.payloads import Fragment
from ike.numbers.isakmp import ExchangeType, PayloadType
from ike.values import Endpoint

PEER = Endpoint(ip_address("10.0.0.1"), 500)
S = Standing


def _message(cookie: bytes = b"honest--", size: int = 3000) -> bytes:
    return bytes(
        Message(
            initiator_cookie=cookie,
            responder_cookie=b"respcook",
            exchange=ExchangeType.MAIN,
            payloads=(Payload(PayloadType.CERT, bytes(size)),),
        )
    )


def _pieces(message: bytes, identifier: int = 1) -> list[bytes]:
    return split(Header.parse(message), message, identifier)


def _source(number: int) -> Endpoint:
    return Endpoint(ip_address(0xC0000000 + number), 500)


def _add(
    reassembler: Reassembler,
    piece: bytes,
    source: Endpoint = PEER,
    standing: Standing = S.COOKIES,
    now: float = 0.0,
) -> bytes | None:
    return reassembler.add(Header.parse(piece), piece, source, now, standing)


def _small() -> Reassembler:
    return Reassembler(message=8_000, source=10_000, total=40_000)


def _flood(reassembler: Reassembler, standing: Standing, source: Endpoint | None = None) -> None:
    """A thousand first fragments, each of another message."""
    for number in range(1, 1000):
        piece = _pieces(_message(number.to_bytes(8)))[0]
        with suppress(OutOfTurn):
            _add(reassembler, piece, source or _source(number), standing)


@pytest.mark.parametrize(
    ("own", "others"), [(S.COOKIES, S.STRANGER), (S.COOKIES, S.REMOTE), (S.REMOTE, S.STRANGER)]
)
def test_strangers_cannot_displace_an_honest_peers_fragments(
    own: Standing, others: Standing
) -> None:
    reassembler, message = _small(), _message()
    first, *rest = _pieces(message)
    _flood(reassembler, others)
    assert _add(reassembler, first, standing=own) is None
    _flood(reassembler, others)
    _flood(reassembler, others, PEER)  # its address may be forged
    assert [_add(reassembler, piece, standing=own) for piece in rest][-1] == message


def test_a_source_has_its_share_and_no_more() -> None:
    reassembler = _small()
    _flood(reassembler, S.COOKIES, PEER)
    assert 8_000 < reassembler.held <= 10_000


def test_a_host_has_one_share_with_all_its_ipv6_addresses() -> None:
    reassembler = _small()
    for number in range(1, 100):
        source = Endpoint(ip_address("2001:db8::") + number, 500)
        _add(reassembler, _pieces(_message(number.to_bytes(8)))[0], source, S.STRANGER)
    assert reassembler.held <= 10_000
    assert _add(reassembler, _pieces(_message())[0], _source(1), S.STRANGER) is None
    assert reassembler.held > 10_000


@given(
    st.lists(
        st.tuples(
            st.integers(1, 5),  # the message
            st.integers(0, 3),  # which of its fragments
            st.integers(0, 3),  # the source
            st.sampled_from(S),
            st.integers(0, 40),  # seconds later
        ),
        max_size=60,
    )
)
def test_what_is_held_is_bounded_and_never_counted_wrong(
    steps: list[tuple[int, int, int, Standing, int]],
) -> None:
    reassembler, now = Reassembler(message=4_000, source=5_000, total=9_000), 0.0
    for number, index, source, standing, later in steps:
        now += later
        pieces = _pieces(_message(number.to_bytes(8)), number)
        with suppress(IkeError):
            _add(reassembler, pieces[index % len(pieces)], _source(source), standing, now)
        assert 0 <= reassembler.held <= 9_000
    _add(reassembler, _pieces(_message())[0], now=now + 2 * PATIENCE)
    assert reassembler.held == PIECE  # the last one, and nothing else


def test_small_fragments_count_for_what_they_cost() -> None:
    reassembler = _small()
    tiny = _pieces(_message())[0][: 28 + 8 + 1]
    tiny = tiny[:24] + len(tiny).to_bytes(4) + tiny[28:30] + (9).to_bytes(2) + tiny[32:]
    assert _add(reassembler, tiny) is None
    assert reassembler.held == LEAST


def test_fragments_come_in_any_order_and_twice() -> None:
    reassembler, message = _small(), _message()
    pieces = _pieces(message)
    for piece in (*pieces[1:], *pieces[1:]):
        assert _add(reassembler, piece) is None
    assert _add(reassembler, pieces[0]) == message
    assert reassembler.held == 0


def test_a_message_is_waited_for_half_a_minute() -> None:
    for wait, found in ((PATIENCE, True), (PATIENCE + 1, False)):
        reassembler, message = _small(), _message()
        first, *rest = _pieces(message)
        _add(reassembler, first)
        done = [_add(reassembler, piece, now=wait) for piece in rest]
        assert (done[-1] == message) is found


def test_a_message_beyond_the_limit_is_refused() -> None:
    reassembler = _small()
    *pieces, last = _pieces(_message(size=8_200))
    for piece in pieces:
        _add(reassembler, piece)
    with pytest.raises(PayloadMalformed):
        _add(reassembler, last)
    assert reassembler.held == 0


def test_another_identifier_starts_over() -> None:
    reassembler, message = _small(), _message()
    _add(reassembler, _pieces(message, 1)[0])
    again = _pieces(message, 2)
    assert [_add(reassembler, piece) for piece in again][-1] == message


def _piece(number: int, *more: Payload) -> bytes:
    fragment = Payload(PayloadType.FRAGMENT, bytes(Fragment(1, number, False, b"data")))
    return bytes(
        Message(
            initiator_cookie=b"honest--",
            responder_cookie=b"respcook",
            exchange=ExchangeType.MAIN,
            payloads=(fragment, *more),
        )
    )


def test_a_fragment_stands_alone_and_has_a_number_up_to_64() -> None:
    reassembler = _small()
    assert _add(reassembler, _piece(64)) is None
    with pytest.raises(PayloadMalformed, match="number 65"):
        _add(reassembler, _piece(65))
    with pytest.raises(PayloadMalformed, match="other payloads"):
        _add(reassembler, _piece(1, Payload(PayloadType.VENDOR, b"")))


def test_a_fragment_behind_the_last_one_spoils_the_message() -> None:
    reassembler, message = _small(), _message()
    pieces = _pieces(message)
    _add(reassembler, _piece(len(pieces) + 1))
    with pytest.raises(PayloadMalformed):
        _add(reassembler, pieces[-1])
    assert [_add(reassembler, piece) for piece in pieces][-1] == message
