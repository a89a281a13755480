"""The SA database: who, since when, until when."""

import os
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.esp_values import AES_GCM, LEFT, RIGHT, algorithm, sa
from xfrm.algorithms import Kind
from xfrm.dataplane import AlreadyThere, Mapping, NoSuchEntry, Unsupported
from xfrm.esp.sad import LARVAL_SECONDS, Sad
from xfrm.model import (
    Encapsulation,
    Lifetime,
    Mode,
    Protocol,
    SaId,
    Template,
)

HERE, THERE = ip_address(LEFT), ip_address(RIGHT)
TEMPLATE = Template(mode=Mode.TUNNEL, src=HERE, dst=THERE)
DATE = 1_700_000_000


def test_an_allocated_spi_is_a_larval_sa_until_it_gets_keys() -> None:
    sad = Sad(os.urandom)
    spi = sad.allocate(THERE, HERE, Protocol.ESP, Mode.TUNNEL, 5, 0.0, DATE)
    assert spi >= 256
    (entry,) = sad
    assert entry.snapshot().larval
    with pytest.raises(AlreadyThere):
        sad.add(sa(RIGHT, LEFT, spi), 1.0, DATE)
    sad.update(sa(RIGHT, LEFT, spi), 1.0, DATE)
    (entry,) = sad
    assert not entry.snapshot().larval


def test_a_larval_sa_goes_when_nobody_gives_it_keys() -> None:
    sad = Sad(os.urandom)
    sad.allocate(THERE, HERE, Protocol.ESP, Mode.TUNNEL, 5, 10.0, DATE)
    assert sad.deadline == 10.0 + LARVAL_SECONDS
    assert sad.expire(9.0 + LARVAL_SECONDS) == []
    (event,) = sad.expire(10.0 + LARVAL_SECONDS)
    assert event.hard
    assert list(sad) == []


def test_reserved_and_used_spis_are_not_given_out() -> None:
    draws = iter([b"\0\0\0\xff", b"\0\0\x01\x00", b"\0\0\x01\x00", b"\0\0\x01\x01"])
    sad = Sad(lambda _: next(draws))
    first = sad.allocate(THERE, HERE, Protocol.ESP, Mode.TUNNEL, 0, 0.0, DATE)
    second = sad.allocate(THERE, HERE, Protocol.ESP, Mode.TUNNEL, 0, 0.0, DATE)
    assert (first, second) == (256, 257)


def test_soft_then_hard_lifetime_in_seconds() -> None:
    sad = Sad(os.urandom)
    sad.add(sa(lifetime=Lifetime(soft_seconds=80, hard_seconds=100)), 1000.0, DATE)
    assert sad.deadline == 1080.0
    assert sad.expire(1079.9) == []
    assert [event.hard for event in sad.expire(1080.0)] == [False]
    assert sad.deadline == 1100.0
    assert sad.expire(1099.0) == []
    assert [event.hard for event in sad.expire(1100.0)] == [True]
    assert sad.deadline is None


def test_soft_then_hard_lifetime_in_packets() -> None:
    sad = Sad(os.urandom)
    entry = sad.add(sa(lifetime=Lifetime(soft_packets=1, hard_packets=2)), 0.0, DATE)
    assert sad.expire(0.0) == []
    entry.outbound.seal(b"", 4)
    assert [event.hard for event in sad.expire(0.0)] == [False]
    entry.outbound.seal(b"", 4)
    (event,) = sad.expire(0.0)
    assert event.hard
    assert event.sa.usage.packets == 2


def test_the_newest_sa_that_does_not_soon_expire_is_used() -> None:
    sad = Sad(os.urandom)
    old = sad.add(sa(spi=0x1001), 0.0, DATE)
    new = sad.add(sa(spi=0x1002), 1.0, DATE)
    assert sad.outbound(TEMPLATE, HERE, THERE) is new
    new.soft_told = True
    assert sad.outbound(TEMPLATE, HERE, THERE) is old
    old.soft_told = True
    assert sad.outbound(TEMPLATE, HERE, THERE) is not None


@pytest.mark.parametrize(
    "template",
    [
        TEMPLATE,  # Linux, too, compares a reqid of 0 as any other
        replace(TEMPLATE, reqid=8),
        replace(TEMPLATE, reqid=7, spi=0x9999),
        replace(TEMPLATE, reqid=7, mode=Mode.TRANSPORT),
        replace(TEMPLATE, reqid=7, protocol=Protocol.AH),
    ],
)
def test_an_sa_that_the_template_does_not_ask_for_is_not_used(template: Template) -> None:
    sad = Sad(os.urandom)
    sad.add(sa(reqid=7), 0.0, DATE)
    right = replace(TEMPLATE, reqid=7)
    assert sad.outbound(right, HERE, THERE) is not None
    assert sad.outbound(template, HERE, THERE) is None
    assert sad.outbound(right, THERE, HERE) is None


def test_an_update_with_the_same_keys_goes_on_counting() -> None:
    """GCM breaks when a number comes twice under a key."""
    sad = Sad(os.urandom)
    first = sad.add(sa(aead=AES_GCM), 0.0, DATE)
    first.outbound.seal(b"content", 4)
    sad.update(sa(aead=AES_GCM, lifetime=Lifetime(hard_seconds=60)), 5.0, DATE)
    (entry,) = sad
    assert entry.outbound.seal(b"content", 4)[4:8] == b"\0\0\0\2"
    assert sad.deadline == 60.0
    other = algorithm(Kind.AEAD, "rfc4106(gcm(aes))", fill=1)
    sad.update(sa(aead=other), 6.0, DATE)
    (entry,) = sad
    assert entry.outbound.seal(b"content", 4)[4:8] == b"\0\0\0\1"


def test_what_is_not_there_cannot_be_changed() -> None:
    sad = Sad(os.urandom)
    with pytest.raises(NoSuchEntry):
        sad.update(sa(), 0.0, DATE)
    with pytest.raises(NoSuchEntry, match="0x00001001"):
        sad.delete(SaId(THERE, Protocol.ESP, 0x1001))
    sad.add(sa(), 0.0, DATE)
    with pytest.raises(AlreadyThere):
        sad.add(sa(), 0.0, DATE)
    sad.delete(SaId(THERE, Protocol.ESP, 0x1001))
    assert list(sad) == []


def test_what_cannot_be_done_is_refused_with_the_reason() -> None:
    sad = Sad(os.urandom)
    with pytest.raises(Unsupported, match="IPCOMP"):
        sad.add(sa(protocol=Protocol.IPCOMP), 0.0, DATE)
    with pytest.raises(Unsupported, match="NAT"):
        sad.add(sa(protocol=Protocol.AH, encapsulation=Encapsulation()), 0.0, DATE)
    with pytest.raises(Unsupported, match="kernel with ESP"):
        sad.add(sa(if_id=1), 0.0, DATE)
    with pytest.raises(Unsupported, match="4096"):
        sad.add(sa(replay_window=5000), 0.0, DATE)


changes = st.lists(
    st.tuples(
        st.sampled_from(["add", "update", "delete", "allocate", "expire", "use"]),
        st.integers(0, 5),  # which SA
        st.sampled_from([0, 7]),  # its reqid
        st.sampled_from([None, 5, 20]),  # its hard lifetime
    ),
    max_size=25,
)


def deadline_of(sad: Sad) -> float | None:
    return min((when for each in sad if (when := each.deadline()) is not None), default=None)


@given(changes)
def test_the_indexes_find_what_looking_at_each_sa_finds(
    made: list[tuple[str, int, int, int | None]],
) -> None:
    sad, now = Sad(os.urandom), 100.0
    for what, number, reqid, hard in made:
        life = Lifetime(hard_seconds=hard, soft_seconds=hard and hard - 2, hard_packets=3)
        dst = RIGHT if number < 3 else "192.0.2.3"
        inside = Encapsulation() if number % 2 else None
        one = sa(LEFT, dst, 0x1000 + number % 4, reqid=reqid, lifetime=life, encapsulation=inside)
        entry = sad.get(one.id)
        now += 1
        if what == "add" and entry is None:
            sad.add(one, now, 0)
        elif what == "update" and entry is not None:
            sad.update(one, now, 0)
        elif what == "delete" and entry is not None:
            sad.delete(one.id)
        elif what == "allocate":
            sad.allocate(one.src, one.dst, one.protocol, one.mode, reqid, now, 0)
        elif what == "use" and entry is not None and not entry.sa.larval and not entry.spent:
            entry.outbound.seal(b"x", 4)
        elif what == "expire":
            sad.expire(now)
            assert not any(each.spent for each in sad)
            assert (deadline_of(sad) or now + 1) > now
        assert sad.deadline == deadline_of(sad)
        for spi in range(0x1000, 0x1004):
            wanted = {e for e in sad if e.sa.spi == spi and e.sa.encapsulation is not None}
            assert set(sad.encapsulated(spi)) == wanted
        for end, with_reqid in ((RIGHT, 0), (RIGHT, 7), ("192.0.2.3", 0)):
            template = Template(
                mode=Mode.TUNNEL, src=ip_address(LEFT), dst=ip_address(end), reqid=with_reqid
            )
            found = sad.outbound(template, ip_address(LEFT), ip_address(end))
            fit = [
                each for each in sad
                if (each.sa.reqid, each.sa.dst) == (with_reqid, ip_address(end))
                and not each.sa.larval and not each.spent
            ]  # fmt: skip
            fresh = [each for each in fit if not each.soft]
            assert (found in (fresh or fit)) if fit else (found is None)


def test_a_peer_that_moved_is_told_with_where_it_was_and_where_it_is() -> None:
    sad, elsewhere = Sad(os.urandom), ip_address("192.0.2.77")
    natted = sa(LEFT, RIGHT, 0x1001, reqid=5, encapsulation=Encapsulation(src_port=4501))
    sad.add(natted, 0.0, DATE)
    (entry,) = sad
    assert not entry.moved_to(HERE, 4501)
    assert entry.moved_to(elsewhere, 4501)
    assert entry.moved_to(elsewhere, 61000)
    assert not entry.moved_to(elsewhere, 61000)
    assert entry.mapping() == Mapping(
        sa=natted.id, reqid=5, old_src=HERE, old_port=4501, new_src=elsewhere, new_port=61000
    )
