"""What every data plane promises, whoever enforces: the same clauses for the kernel and for ours.

Each clause takes an open plane without SAs and policies, on a host that has `A` in `NET`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Final

import pytest

from lab.xfrm_values import aes_cbc, hmac_sha1
from wire.secret import Secret
from xfrm.dataplane import (
    AlreadyThere,
    Dataplane,
    Event,
    Expire,
    NoSuchEntry,
    PolicyAdded,
    PolicyGone,
    Unsupported,
    XfrmError,
)
from xfrm.model import (
    Algorithm,
    Direction,
    Lifetime,
    Mode,
    Policy,
    Protocol,
    SaId,
    SecurityAssociation,
    Selector,
    Template,
    Usage,
)

A, B = ip_address("10.9.0.1"), ip_address("10.9.0.2")
NET = "10.9.0.1/24"

OUT: Final = SecurityAssociation(
    src=A, dst=B, spi=0x1000, mode=Mode.TUNNEL, reqid=7, encryption=aes_cbc(),
    authentication=hmac_sha1(), lifetime=Lifetime(hard_seconds=1000, soft_seconds=800),
)  # fmt: skip
IN: Final = replace(OUT, src=B, dst=A)
POLICY: Final = Policy(
    selector=Selector(src=ip_network("10.9.0.1/32"), dst=ip_network("10.10.0.0/16"), protocol=132),
    direction=Direction.OUT,
    templates=(Template(mode=Mode.TUNNEL, src=A, dst=B, reqid=7),),
    priority=0x80000000,
)


async def reserve(plane: Dataplane) -> int:
    return await plane.allocate_spi(src=B, dst=A, protocol=Protocol.ESP, mode=Mode.TUNNEL, reqid=7)


async def an_sa_is_listed_as_it_was_added(plane: Dataplane) -> None:
    for sa in (OUT, IN):
        await plane.add_sa(sa)
    found = [replace(sa, usage=Usage()) for sa in await plane.sas()]
    assert sorted(found, key=lambda sa: sa.src) == [OUT, IN]
    assert all(sa.usage.added for sa in await plane.sas())
    assert not any(sa.usage.packets or sa.usage.used for sa in await plane.sas())


async def an_sa_keeps_the_sequence_number_that_it_was_given(plane: Dataplane) -> None:
    """It tells the next start of a daemon which SAs are its own."""
    spi = await reserve(plane)
    for sa in (OUT, replace(IN, spi=spi)):
        await plane.update_sa(replace(sa, sequence=0x4D471234))
        await plane.update_sa(replace(sa, sequence=0x4D471234, lifetime=Lifetime(hard_seconds=900)))
    assert [sa.sequence for sa in await plane.sas()] == [0x4D471234] * 2


async def an_sa_cannot_be_added_twice(plane: Dataplane) -> None:
    await plane.add_sa(OUT)
    with pytest.raises(AlreadyThere):
        await plane.add_sa(OUT)
    assert len(await plane.sas()) == 1


async def what_is_not_there_cannot_be_deleted(plane: Dataplane) -> None:
    with pytest.raises(NoSuchEntry):
        await plane.delete_sa(OUT.id)
    with pytest.raises(NoSuchEntry):
        await plane.delete_policy(POLICY)


async def a_deleted_sa_is_gone(plane: Dataplane) -> None:
    await plane.add_sa(OUT)
    await plane.delete_sa(OUT.id)
    assert await plane.sas() == []


async def a_reserved_spi_is_listed_as_larval_until_it_has_keys(plane: Dataplane) -> None:
    spi = await reserve(plane)
    (larval,) = await plane.sas()
    assert (larval.spi, larval.larval, larval.src, larval.dst, larval.mode) == (
        spi, True, B, A, Mode.TUNNEL,
    )  # fmt: skip
    await plane.update_sa(replace(IN, spi=spi))
    (sa,) = await plane.sas()
    assert replace(sa, usage=Usage()) == replace(IN, spi=spi)


async def a_reserved_spi_can_be_given_back(plane: Dataplane) -> None:
    spi = await reserve(plane)
    await plane.delete_sa(SaId(A, Protocol.ESP, spi))
    assert await plane.sas() == []


async def keys_that_come_after_the_reservation_ended_are_still_taken(plane: Dataplane) -> None:
    spi = await reserve(plane)
    await plane.delete_sa(SaId(A, Protocol.ESP, spi))
    await plane.update_sa(replace(IN, spi=spi))
    assert [sa.spi for sa in await plane.sas()] == [spi]


async def reserved_spis_differ(plane: Dataplane) -> None:
    spis = {await reserve(plane) for _ in range(50)}
    assert len(spis) == 50
    assert min(spis) > 255


async def a_policy_is_listed_replaced_and_deleted(plane: Dataplane) -> None:
    for direction in (Direction.OUT, Direction.IN, Direction.FWD):
        await plane.add_policy(replace(POLICY, direction=direction))
    await plane.add_policy(replace(POLICY, priority=1000))
    listed = {policy.direction: policy for policy in await plane.policies()}
    assert set(listed) == {Direction.OUT, Direction.IN, Direction.FWD}
    assert listed[Direction.OUT].priority == 1000
    assert listed[Direction.IN].selector == POLICY.selector
    assert listed[Direction.IN].templates == POLICY.templates
    await plane.delete_policy(POLICY)
    assert {policy.direction for policy in await plane.policies()} == {Direction.IN, Direction.FWD}


async def a_policy_that_comes_changes_or_goes_is_told(plane: Dataplane) -> None:
    events = plane.events()
    await plane.add_policy(POLICY)
    await plane.add_policy(replace(POLICY, priority=1000))
    (listed,) = await plane.policies()
    await plane.delete_policy(POLICY)
    async with asyncio.timeout(10):
        told = [await anext(events) for _ in range(3)]
    first, second, gone = (unused(event) for event in told)
    assert first == PolicyAdded(replace(POLICY, index=listed.index))
    assert second == PolicyAdded(replace(POLICY, index=listed.index, priority=1000))
    assert gone == PolicyGone(replace(POLICY, index=listed.index, priority=1000))


def unused(event: Event) -> Event:
    """The event without what its policy has done."""
    assert isinstance(event, PolicyAdded | PolicyGone)
    return replace(event, policy=replace(event.policy, usage=Usage()))


async def an_algorithm_that_nobody_knows_is_refused(plane: Dataplane) -> None:
    strange = Algorithm(name="rot(13)", key=Secret(bytes(16)))
    with pytest.raises(Unsupported):
        await plane.add_sa(replace(OUT, encryption=strange))
    assert await plane.sas() == []


async def a_key_of_no_length_that_fits_is_refused(plane: Dataplane) -> None:
    with pytest.raises(XfrmError):
        await plane.add_sa(replace(OUT, encryption=aes_cbc(bytes(5))))


async def an_sa_ends_softly_and_then_hard(plane: Dataplane) -> None:
    # Linux loads its modules with the first SA, whose life has begun: a second is over by then.
    # A busy guest stands still for as long; past both limits Linux tells the hard one only.
    await plane.add_sa(OUT)
    await plane.delete_sa(OUT.id)
    await plane.add_sa(replace(OUT, lifetime=Lifetime(soft_seconds=1, hard_seconds=4)))
    events = plane.events()
    seen = [await _expiry(events) for _ in range(2)]
    assert [(expire.sa.id, expire.hard) for expire in seen] == [(OUT.id, False), (OUT.id, True)]
    assert await plane.sas() == []


async def the_events_end_when_the_plane_is_closed(plane: Dataplane) -> None:
    async def read() -> None:
        async for _ in plane.events():
            pass

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    await plane.close()
    async with asyncio.timeout(5):
        await reader


async def _expiry(events: AsyncIterator[Event]) -> Expire:
    async with asyncio.timeout(10):
        while True:
            event = await anext(events)
            if isinstance(event, Expire):
                return event


Clause = Callable[[Dataplane], Awaitable[None]]

CLAUSES: Final[tuple[Clause, ...]] = (
    an_sa_is_listed_as_it_was_added,
    an_sa_keeps_the_sequence_number_that_it_was_given,
    an_sa_cannot_be_added_twice,
    what_is_not_there_cannot_be_deleted,
    a_deleted_sa_is_gone,
    a_reserved_spi_is_listed_as_larval_until_it_has_keys,
    a_reserved_spi_can_be_given_back,
    keys_that_come_after_the_reservation_ended_are_still_taken,
    reserved_spis_differ,
    a_policy_is_listed_replaced_and_deleted,
    a_policy_that_comes_changes_or_goes_is_told,
    an_algorithm_that_nobody_knows_is_refused,
    a_key_of_no_length_that_fits_is_refused,
    an_sa_ends_softly_and_then_hard,
    the_events_end_when_the_plane_is_closed,
)


def named(clause: Clause) -> str:
    return getattr(clause, "__name__", "clause")
