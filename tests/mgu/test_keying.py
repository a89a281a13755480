"""The keying daemon's SAs and policies, as the data plane gets them."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from ike import values as ike
from ike.backend import BackendError
from ike.commands import AllocateSpi
from ike.events import Acquire, PolicyAdded, PolicyRemoved, SaExpired, SaGone
from ike.numbers.doi import EspTransform, Integrity
from ike.numbers.isakmp import ProtocolId
from ike.reqids import CONNECTIONS, GENERATED
from lab.plane import Plane
from mgu.connections.connection import Connection
from mgu.keying.backend import XfrmBackend
from mgu.keying.leftovers import acquire_of
from mgu.keying.values import association, policies_of, policy_entry
from wire.secret import Secret
from xfrm import dataplane, model
from xfrm.pfkey import parse_dump

HERE, THERE = ip_address("10.77.0.1"), ip_address("10.77.0.2")

INBOUND = ike.IpsecSa(
    direction=ike.Direction.IN,
    source=THERE,
    destination=HERE,
    spi=0x1000,
    protocol=ProtocolId.ESP,
    mode=ike.Mode.TRANSPORT,
    reqid=0,
    encryption=EspTransform.AES,
    encryption_key=Secret(bytes(16)),
    integrity=Integrity.HMAC_SHA1,
    integrity_key=Secret(bytes(20)),
    lifetime=ike.SaLifetime(
        soft_seconds=2880, hard_seconds=3600, soft_kilobytes=8, hard_kilobytes=10
    ),
    selector=ike.Selector(
        local=ip_network("10.77.0.1/32"), remote=ip_network("10.77.0.2/32"), protocol=6
    ),
)
OUTBOUND = replace(
    INBOUND,
    direction=ike.Direction.OUT,
    source=HERE,
    destination=THERE,
    spi=0x2000,
)


OUTBOUND_AT = association(OUTBOUND).id


def entry(
    *, tunnel: bool = False, reqid: int = 0, protocol: int = 0, dst_port: int = 0
) -> ike.PolicyEntry:
    connection = Connection(
        name="n",
        dst=THERE,
        network=ip_network("10.2.0.0/24") if tunnel else None,
        protocol=protocol,
        dst_port=dst_port,
        reqid=reqid,
    )
    return connection.policy(HERE)


@pytest.mark.parametrize("tunnel", [False, True], ids=["transport", "tunnel"])
def test_a_policy_survives_the_way_to_the_data_plane_and_back(tunnel: bool) -> None:
    wanted = entry(tunnel=tunnel, reqid=7, protocol=132, dst_port=2816)
    out = [p for p in policies_of(wanted) if p.direction is model.Direction.OUT]
    assert [policy_entry(policy) for policy in out] == [wanted]


def test_a_policy_is_three_and_the_inbound_ones_are_turned_round() -> None:
    inbound, forward, outbound = policies_of(entry(tunnel=True, protocol=6, dst_port=80))
    assert [p.direction.name for p in (inbound, forward, outbound)] == ["IN", "FWD", "OUT"]
    assert {p.priority for p in (inbound, forward, outbound)} == {0x8000_0000}  # setkey's default
    assert (outbound.selector.dst_port, inbound.selector.src_port) == (80, 80)
    assert inbound.selector.src == outbound.selector.dst == ip_network("10.2.0.0/24")
    assert (inbound.templates[0].src, inbound.templates[0].dst) == (THERE, HERE)
    assert forward.templates == inbound.templates


async def test_the_policies_are_those_that_ask_for_sas() -> None:
    wanted = [entry(), entry(tunnel=True, protocol=6)]
    plane = Plane([*installed(*wanted), *inbound_and_bypass()[-1:]])
    assert await XfrmBackend(plane).policies() == wanted


@pytest.mark.parametrize(
    ("cipher", "name"),
    [
        (EspTransform.DES, "cbc(des)"),
        (EspTransform.TRIPLE_DES, "cbc(des3_ede)"),
        (EspTransform.CAST, "cbc(cast5)"),
        (EspTransform.BLOWFISH, "cbc(blowfish)"),
        (EspTransform.NULL, "ecb(cipher_null)"),
        (EspTransform.AES, "cbc(aes)"),
        (EspTransform.CAMELLIA, "cbc(camellia)"),
    ],
)
def test_each_cipher_has_its_name_in_linux(cipher: EspTransform, name: str) -> None:
    size = {EspTransform.DES: 8, EspTransform.TRIPLE_DES: 24, EspTransform.NULL: 0}.get(cipher, 16)
    made = association(replace(OUTBOUND, encryption=cipher, encryption_key=Secret(bytes(size))))
    assert made.encryption is not None
    assert made.encryption.name == name


@pytest.mark.parametrize(
    ("integrity", "size", "name"),
    [
        (Integrity.HMAC_MD5, 16, "hmac(md5)"),
        (Integrity.HMAC_SHA1, 20, "hmac(sha1)"),
        (Integrity.HMAC_SHA2_256, 32, "hmac(sha256)"),
        (Integrity.HMAC_SHA2_384, 48, "hmac(sha384)"),
        (Integrity.HMAC_SHA2_512, 64, "hmac(sha512)"),
    ],
)
def test_each_check_value_has_its_name_in_linux(integrity: Integrity, size: int, name: str) -> None:
    wanted = replace(OUTBOUND, integrity=integrity, integrity_key=Secret(bytes(size)))
    authentication = association(wanted).authentication
    assert authentication is not None
    assert authentication.name == name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"integrity": Integrity(10)}, "no authentication"),
        ({"encryption_key": Secret(bytes(5))}, "a key of"),
    ],
)
def test_what_no_data_plane_can_do_is_a_refusal_that_says_what(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(BackendError, match=said):
        association(replace(OUTBOUND, **changes))


def test_a_template_names_the_ends_in_tunnel_mode_only() -> None:
    for tunnel in (True, False):
        for policy in policies_of(entry(tunnel=tunnel)):
            (template,) = policy.templates
            assert (template.src is None, template.dst is None) == (not tunnel, not tunnel)


async def test_a_data_plane_that_refuses_is_quoted_with_what_was_to_be_done() -> None:
    class Refusing(Plane):
        async def delete_sa(self, _: model.SaId) -> None:
            raise dataplane.XfrmError("it is busy")

    backend = XfrmBackend(Refusing(refusal=dataplane.XfrmError("it is down")))
    with pytest.raises(BackendError, match="cannot delete the SA 0x00002000: it is busy"):
        await backend.delete(OUTBOUND.id)
    with pytest.raises(BackendError, match="cannot list the SAs: it is down"):
        await backend.dump(ProtocolId.ANY)
    with pytest.raises(BackendError, match="cannot list the policies: it is down"):
        await backend.policies()


def test_ipv6_neighbours_are_found_in_the_clear() -> None:
    six = Connection(name="n", dst=ip_address("fd00::2")).policy(ip_address("fd00::1"))
    policies = list(policies_of(six))
    clear = [p for p in policies if not p.templates]
    assert {(p.selector.protocol, p.selector.src_port) for p in clear} == {(58, 135), (58, 136)}
    assert sorted(p.direction for p in clear) == sorted([*model.Direction][:3] * 2)
    assert all(
        (p.selector.src == ip_network("fd00::1")) is (p.direction is model.Direction.OUT)
        for p in clear
    )
    assert max(p.priority for p in clear) < min(p.priority for p in policies if p.templates)


def test_an_sa_has_the_kernels_names_and_the_rfcs_lengths() -> None:
    made = association(OUTBOUND)
    assert made.encryption is not None
    assert made.authentication is not None
    assert (made.encryption.name, made.authentication.name) == ("cbc(aes)", "hmac(sha1)")
    assert made.authentication.icv_bits == 96
    assert made.lifetime == model.Lifetime(
        soft_seconds=2880, hard_seconds=3600, soft_octets=8 * 1024, hard_octets=10 * 1024
    )
    assert made.replay_window == 64
    assert made.selector == model.Selector(
        src=ip_network("10.77.0.1/32"), dst=ip_network("10.77.0.2/32"), protocol=6
    )
    sha256 = replace(OUTBOUND, integrity=Integrity.HMAC_SHA2_256, integrity_key=Secret(bytes(32)))
    authentication = association(sha256).authentication
    assert authentication is not None
    assert authentication.icv_bits == 128  # RFC 4868, not Linux's 96


def test_an_algorithm_that_xfrm_lacks_is_a_refusal_with_its_name() -> None:
    with pytest.raises(BackendError, match="no encryption IDEA"):
        association(replace(OUTBOUND, encryption=EspTransform.IDEA))


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [(ProtocolId.ESP, model.Protocol.ESP), (ProtocolId.AH, model.Protocol.AH)],
)
def test_an_sa_keeps_its_protocol_its_mode_and_its_reqid(
    protocol: ProtocolId, expected: model.Protocol
) -> None:
    for mode, wanted in (
        (ike.Mode.TRANSPORT, model.Mode.TRANSPORT),
        (ike.Mode.TUNNEL, model.Mode.TUNNEL),
    ):
        made = association(replace(OUTBOUND, protocol=protocol, mode=mode, reqid=9))
        assert (made.protocol, made.mode, made.reqid) == (expected, wanted, 9)
        assert (made.selector is None) is (mode is ike.Mode.TUNNEL)
    no_cipher = association(replace(OUTBOUND, protocol=ProtocolId.AH, encryption=None))
    assert no_cipher.encryption is None


def test_behind_a_nat_the_sa_travels_in_udp() -> None:
    made = association(replace(INBOUND, udp_source=10500, udp_destination=4500))
    assert made.encapsulation == model.Encapsulation(src_port=10500, dst_port=4500)


async def test_an_inbound_sa_completes_the_reserved_spi() -> None:
    plane = Plane()
    backend = XfrmBackend(plane)
    wanted = AllocateSpi(
        ask=1,
        local=HERE,
        remote=THERE,
        protocol=ProtocolId.ESP,
        mode=ike.Mode.TRANSPORT,
        reqid=9,
    )
    assert await backend.allocate_spi(wanted) == 0x1000
    (larval,) = plane.held.values()
    assert (larval.larval, larval.src, larval.dst, larval.reqid) == (True, THERE, HERE, 9)
    assert (larval.protocol, larval.mode) == (model.Protocol.ESP, model.Mode.TRANSPORT)
    await backend.install(INBOUND)
    await backend.install(OUTBOUND)
    assert [(sa.spi, sa.larval) for sa in plane.held.values()] == [(0x1000, False), (0x2000, False)]
    await backend.delete(INBOUND.id)
    await backend.delete(INBOUND.id)  # gone already: no error
    assert [sa.spi for sa in plane.held.values()] == [0x2000]


async def test_a_refusal_says_what_was_tried_and_why() -> None:
    backend = XfrmBackend(Plane(refusal=dataplane.Unsupported("this kernel has no ESP")))
    with pytest.raises(BackendError, match=r"inbound SA 0x00001000: this kernel has no ESP"):
        await backend.install(INBOUND)


async def test_events_of_our_sas_reach_the_engine_and_others_do_not() -> None:
    plane = Plane()
    backend = XfrmBackend(plane)
    await backend.install(INBOUND)
    await backend.install(OUTBOUND)
    foreign = replace(association(OUTBOUND), spi=0x9999)
    out = next(p for p in policies_of(entry()) if p.direction is model.Direction.OUT)
    plane.told = [
        dataplane.Acquire(selector=out.selector, src=HERE, dst=THERE, policy=out),
        dataplane.Expire(sa=association(INBOUND), hard=False),
        dataplane.Expire(sa=foreign, hard=True),
        dataplane.Gone(association(INBOUND).id),
        dataplane.Gone(association(INBOUND).id),
        dataplane.Gone(foreign.id),
    ]
    assert [event async for event in backend.events()] == [
        Acquire(policy=entry()),
        SaExpired(sa=INBOUND.id, hard=False),
        SaGone(sa=INBOUND.id),
    ]


async def test_what_was_flushed_while_nobody_told_us_is_found_missing() -> None:
    plane = Plane(told=[dataplane.Resync(), dataplane.Resync()])
    backend = XfrmBackend(plane)
    await backend.install(INBOUND)
    await backend.install(OUTBOUND)
    del plane.held[association(OUTBOUND).id]
    assert [event async for event in backend.events()] == [SaGone(sa=OUTBOUND.id)]


async def test_what_is_installed_while_the_list_is_made_is_not_missing() -> None:
    class Busy(Plane):
        async def sas(self) -> list[model.SecurityAssociation]:
            listed = await super().sas()
            await backend.install(OUTBOUND)
            return listed

    backend = XfrmBackend(Busy(told=[dataplane.Resync()]))
    assert [event async for event in backend.events()] == []


async def test_a_list_that_fails_takes_no_sa_for_lost() -> None:
    class Silent(Plane):
        async def sas(self) -> list[model.SecurityAssociation]:
            raise dataplane.XfrmError("the kernel does not answer")

    backend = XfrmBackend(Silent(told=[dataplane.Resync()]))
    await backend.install(OUTBOUND)
    assert [event async for event in backend.events()] == []


async def test_the_dump_for_racoonctl_is_pf_keys_and_ends_with_sequence_0() -> None:
    backend = XfrmBackend(Plane())
    await backend.install(INBOUND)
    await backend.install(OUTBOUND)
    dumped = parse_dump(await backend.dump(ProtocolId.ANY))
    assert [(one.sa.spi, one.sequence) for one in dumped] == [(0x1000, 1), (0x2000, 0)]
    assert parse_dump(await backend.dump(ProtocolId.AH)) == []


class Stubborn(Plane):
    """Takes no outbound policy, unless `willing`."""

    willing = False

    async def add_policy(self, policy: model.Policy) -> None:
        if policy.direction is model.Direction.OUT and not self.willing:
            raise dataplane.XfrmError("no more")
        await super().add_policy(policy)


async def test_a_policy_that_is_refused_half_way_leaves_nothing() -> None:
    plane = Stubborn()
    with pytest.raises(BackendError, match="no more"):
        await XfrmBackend(plane).add_policy(entry())
    assert plane.spd == {}


async def test_a_policy_that_is_refused_half_way_leaves_the_one_that_it_was_to_replace() -> None:
    """Whether that is of an earlier daemon or of this one."""
    old, new = entry(reqid=CONNECTIONS[1]), entry(reqid=CONNECTIONS[2])
    for takes_over in (True, False):
        plane = Stubborn(list(policies_of(old)) if takes_over else [])
        backend = XfrmBackend(plane)
        if takes_over:
            await backend.take_over()
        else:
            plane.willing = True
            await backend.add_policy(old)
            plane.willing = False
        before = dict(plane.spd)
        with pytest.raises(BackendError, match="no more"):
            await backend.add_policy(new)
        assert plane.spd == before


async def test_a_way_back_that_is_refused_too_leaves_what_lets_nothing_pass(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Sticky(Stubborn):
        async def delete_policy(self, policy: model.Policy) -> None:
            raise dataplane.XfrmError(f"{policy.direction.name} is in use")

    plane = Sticky()
    with pytest.raises(BackendError, match="no more"):
        await XfrmBackend(plane).add_policy(entry())
    assert {one.direction for one in plane.spd.values()} == {
        model.Direction.IN,
        model.Direction.FWD,
    }
    assert "an incomplete policy stays in place: IN is in use" in caplog.text


async def test_a_policy_that_another_has_replaced_is_not_the_firsts_to_remove() -> None:
    plane = Plane()
    backend = XfrmBackend(plane)
    first, second = entry(reqid=CONNECTIONS[1]), entry(reqid=CONNECTIONS[2])
    await backend.add_policy(first)
    await backend.add_policy(second)
    await backend.remove_policy(first)
    assert await backend.policies() == [second]
    assert len(plane.spd) == 3
    await backend.remove_policy(second)
    assert plane.spd == {}


async def test_what_was_left_half_replaced_goes_but_for_what_has_been_replaced() -> None:
    """A daemon was killed when the inbound policy was another's already, and the rest not yet."""
    old, new = entry(reqid=CONNECTIONS[1]), entry(reqid=CONNECTIONS[2])
    plane = Plane([next(policies_of(new)), *list(policies_of(old))[1:]])
    backend = XfrmBackend(plane)
    left = await backend.take_over()
    assert sorted(left.connections, key=str) == sorted([old, new], key=str)
    await backend.add_policy(new)
    await backend.remove_policy(old)
    assert await backend.policies() == [new]
    assert len(plane.spd) == 3


async def test_a_peer_whose_nat_moved_it_to_another_port_is_answered_there() -> None:
    plane = Plane()
    backend = XfrmBackend(plane)
    await backend.install(replace(INBOUND, udp_source=10500, udp_destination=4500))
    await backend.install(replace(OUTBOUND, udp_source=4500, udp_destination=10500))
    moved = dataplane.Mapping(
        sa=association(INBOUND).id,
        reqid=0,
        old_src=THERE,
        old_port=10500,
        new_src=THERE,
        new_port=10777,
    )
    plane.told = [moved, replace(moved, old_port=10777, new_src=ip_address("10.9.9.9"))]
    assert [event async for event in backend.events()] == []
    assert [sa.encapsulation for sa in plane.held.values()] == [
        model.Encapsulation(src_port=10777, dst_port=4500),
        model.Encapsulation(src_port=4500, dst_port=10777),
    ]


def outbound(policy: ike.PolicyEntry, index: int) -> model.Policy:
    """As the data plane has it."""
    out = next(p for p in policies_of(policy) if p.direction is model.Direction.OUT)
    return replace(out, index=index)


def inbound_and_bypass() -> list[model.Policy]:
    inbound = [p for p in policies_of(entry()) if p.direction is not model.Direction.OUT]
    return [*inbound, replace(outbound(entry(protocol=58), 99), templates=())]


async def test_the_events_begin_with_every_policy_that_asks_for_sas_whoever_installed_it() -> None:
    made = entry(tunnel=True, reqid=GENERATED[0])
    plane = Plane(spd=[*inbound_and_bypass(), outbound(entry(), 1), outbound(made, 9)])
    assert [event async for event in XfrmBackend(plane).events()] == [
        PolicyAdded(policy=entry()),
        PolicyAdded(policy=made, generated=True),
    ]


async def test_a_policy_that_came_changed_or_went_is_told_once() -> None:
    plane = Plane(spd=[outbound(entry(), 1)])
    changed, other = entry(reqid=5), entry(tunnel=True, reqid=CONNECTIONS[0])
    plane.told = [
        dataplane.PolicyAdded(outbound(entry(), 1)),  # told, and in the first list
        dataplane.PolicyGone(outbound(other, 3)),  # came and went before the list
        dataplane.PolicyAdded(outbound(other, 2)),
        *(dataplane.PolicyAdded(policy) for policy in inbound_and_bypass()),
        dataplane.PolicyAdded(replace(outbound(entry(), 1), usage=model.Usage(used=5))),
        dataplane.PolicyAdded(outbound(changed, 1)),
        dataplane.PolicyGone(outbound(changed, 1)),
        dataplane.PolicyGone(outbound(changed, 1)),
    ]
    assert [event async for event in XfrmBackend(plane).events()] == [
        PolicyAdded(policy=entry()),
        PolicyAdded(policy=other),
        PolicyRemoved(policy=entry()),
        PolicyAdded(policy=changed),
        PolicyRemoved(policy=changed),
    ]


class Flaky(Plane):
    """Its lists are `lists`, one after the other; None is a refusal."""

    def __init__(self, lists: list[list[model.Policy] | None]) -> None:
        super().__init__()
        self._lists = lists

    async def policies(self) -> list[model.Policy]:
        found = self._lists.pop(0)
        if found is None:
            raise dataplane.XfrmError("the kernel does not answer")
        return found


async def test_after_lost_events_only_the_difference_is_told() -> None:
    kept, gone, new = entry(), entry(protocol=6), entry(protocol=17)
    plane = Flaky([[outbound(kept, 1), outbound(gone, 2)], [outbound(kept, 1), outbound(new, 3)]])
    plane.told = [dataplane.Resync()]
    assert [event async for event in XfrmBackend(plane).events()] == [
        PolicyAdded(policy=kept),
        PolicyAdded(policy=gone),
        PolicyRemoved(policy=gone),
        PolicyAdded(policy=new),
    ]


async def test_flushed_sas_have_no_policies_listed_and_flushed_policies_no_sas() -> None:
    class Counting(Flaky):
        async def sas(self) -> list[model.SecurityAssociation]:
            listings.append("sas")
            return await super().sas()

        async def policies(self) -> list[model.Policy]:
            listings.append("policies")
            return await super().policies()

    listings: list[str] = []
    plane = Counting([[outbound(entry(), 1)], []])
    plane.told = [dataplane.Resync(policies=False), dataplane.Resync(sas=False)]
    told = [event async for event in XfrmBackend(plane).events()]
    assert told == [PolicyAdded(policy=entry()), PolicyRemoved(policy=entry())]
    assert listings == ["policies", "sas", "policies"]


async def test_a_list_of_policies_that_fails_changes_nothing_and_the_next_event_asks_again() -> (
    None
):
    plane = Flaky([[outbound(entry(), 1)], None, [outbound(entry(), 1), outbound(entry(), 2)]])
    unknown = dataplane.Gone(association(OUTBOUND).id)
    plane.told = [dataplane.Resync(), unknown, unknown]
    assert [event async for event in XfrmBackend(plane).events()] == [
        PolicyAdded(policy=entry()),
        PolicyAdded(policy=entry()),
    ]


async def test_the_policies_of_others_cost_one_list_in_all() -> None:
    others = [outbound(entry(protocol=6, dst_port=number), number) for number in range(1, 1001)]
    plane = Flaky([others])  # a second list would be an IndexError
    plane.told = [dataplane.PolicyAdded(others[7]), dataplane.PolicyGone(others[8])]
    told = [event async for event in XfrmBackend(plane).events()]
    assert len(told) == 1001
    assert told[-1] == PolicyRemoved(policy=entry(protocol=6, dst_port=9))


# What a killed daemon left


def installed(*entries: ike.PolicyEntry) -> list[model.Policy]:
    """As a data plane has them that was filled by another."""
    parts = [part for entry in entries for part in policies_of(entry)]
    return [replace(part, index=at) for at, part in enumerate(parts, start=1)]


async def test_what_a_killed_daemon_left_is_found_and_what_is_others_stays_untouched() -> None:
    mine = entry(tunnel=True, reqid=CONNECTIONS[3])
    plane = Plane([*policies_of(mine), *policies_of(entry(reqid=7))])
    before = dict(plane.spd)
    left = association(replace(OUTBOUND, reqid=CONNECTIONS[3]))
    foreign = replace(left, spi=0x9999, sequence=0)
    counted = replace(left, spi=0x9998, sequence=0x4D46FFFF)
    reserved = replace(foreign, spi=0x9997, reqid=GENERATED[1], larval=True)
    theirs = replace(foreign, spi=0x9996, reqid=7, larval=True)
    plane.held = {sa.id: sa for sa in (left, foreign, counted, reserved, theirs)}
    found = await XfrmBackend(plane).take_over()
    assert (found.connections, found.generated, found.sas) == ([mine], [], 2)
    assert list(plane.held.values()) == [foreign, counted, theirs]
    assert plane.spd == before


async def test_half_a_policy_of_a_peer_is_made_whole_before_it_is_told() -> None:
    made = entry(tunnel=True, reqid=GENERATED[9])
    for part in policies_of(made):
        plane = Plane([part])
        backend = XfrmBackend(plane)
        assert (await backend.take_over()).generated == [made]
        assert [replace(one, index=0) for one in plane.spd.values()] == sorted(
            policies_of(made), key=lambda one: one != part
        )
        told = [event async for event in backend.events()]
        assert told == [PolicyAdded(policy=made, generated=True)]


@pytest.mark.parametrize("tunnel", [False, True], ids=["transport", "tunnel"])
@pytest.mark.parametrize("protocol", [0, 1, 6, 132])
@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
async def test_any_part_of_a_connections_policies_tells_the_whole(
    six: bool, protocol: int, tunnel: bool
) -> None:
    dst, src = (ip_address("fd00::2"), ip_address("fd00::1")) if six else (THERE, HERE)
    port = 9 if protocol > 1 else 0
    behind = ip_network("fd01::/64" if six else "10.2.0.0/24")
    wanted = Connection(
        name="n",
        dst=dst,
        network=behind if tunnel else None,
        protocol=protocol,
        src_port=port,
        reqid=CONNECTIONS[-1],
    ).policy(src)
    for part in policies_of(wanted):
        found = await XfrmBackend(Plane([part])).take_over()
        assert found.connections == ([wanted] if part.templates else [])


async def test_a_reserved_sa_that_ends_while_it_is_looked_at_is_no_error() -> None:
    class Ending(Plane):
        async def sas(self) -> list[model.SecurityAssociation]:
            listed = await super().sas()
            self.held.clear()
            return listed

    plane = Ending()
    plane.held = {OUTBOUND_AT: association(OUTBOUND)}
    assert (await XfrmBackend(plane).take_over()).sas == 1


async def test_a_data_plane_that_cannot_be_looked_at_is_a_refusal_that_says_so() -> None:
    backend = XfrmBackend(Plane(refusal=dataplane.XfrmError("the kernel does not answer")))
    with pytest.raises(BackendError, match=r"cannot take over .*: the kernel does not answer"):
        await backend.take_over()


async def test_sas_are_wanted_at_once_for_connections_whose_sas_a_killed_daemon_left() -> None:
    mine, idle = entry(reqid=CONNECTIONS[0]), entry(protocol=6, reqid=CONNECTIONS[1])
    made, others = entry(protocol=17, reqid=GENERATED[0]), entry(protocol=132)
    plane = Plane(installed(mine, idle, made, others))
    for at, one in enumerate((mine, made, others)):
        sa = association(replace(OUTBOUND, spi=at + 1, reqid=one.protections[0].reqid))
        plane.held[sa.id] = sa
    larval = replace(sa, spi=99, reqid=CONNECTIONS[1], sequence=0, larval=True)
    plane.held[larval.id] = larval
    backend = XfrmBackend(plane)
    await backend.take_over()
    told = [event async for event in backend.events() if isinstance(event, Acquire)]
    assert told == [Acquire(policy=mine)]


async def test_nobody_waits_for_the_answer_to_an_acquire_of_before() -> None:
    """At the start, after a failed negotiation, and when the policy was removed."""
    tunnel = entry(tunnel=True, reqid=CONNECTIONS[0])
    six = Connection(name="n", dst=ip_address("fd00::2")).policy(ip_address("fd00::1"))
    for policy in (tunnel, entry(), six):
        ends = policy.local, policy.remote
        plane = Plane(list(policies_of(policy)))
        backend = XfrmBackend(plane)
        out = outbound(policy, 1)
        for answer in ("start", "failed", "removed"):
            assert plane.acquire(out, *ends)
            assert not plane.acquire(out, *ends)
            if answer == "start":
                await backend.take_over()
            elif answer == "failed":
                await backend.ask_again(policy)
            else:
                await backend.remove_policy(policy)
            assert plane.larval == []


def test_what_an_acquire_left_is_asked_for_with_its_own_mark_and_interface() -> None:
    for src, dst, everything in (
        (HERE, THERE, "0.0.0.0/0"),
        (ip_address("fd00::1"), ip_address("fd00::2"), "::/0"),
    ):
        larval = model.SecurityAssociation(
            src=src, dst=dst, spi=0, protocol=model.Protocol.AH, mode=model.Mode.TUNNEL, reqid=7,
            larval=True, mark=model.Mark(value=5, mask=7), if_id=3,
        )  # fmt: skip
        template = model.Template(
            protocol=model.Protocol.AH, mode=model.Mode.TUNNEL, src=src, dst=dst, reqid=7
        )
        network = ip_network(everything)
        assert acquire_of(larval) == model.Policy(
            selector=model.Selector(src=network, dst=network),
            direction=model.Direction.OUT,
            templates=(template,),
            mark=larval.mark,
            if_id=3,
        )


async def test_the_ends_of_a_policy_for_networks_in_transport_mode_are_those_of_its_packet() -> (
    None
):
    wide = model.Policy(
        selector=model.Selector(src=ip_network("10.77.0.0/24"), dst=ip_network("10.77.0.0/24")),
        direction=model.Direction.OUT,
        templates=(model.Template(),),
        index=1,
    )
    asked = dataplane.Acquire(selector=wide.selector, src=HERE, dst=THERE, policy=wide)
    (told,) = [event async for event in XfrmBackend(Plane([wide], [asked])).events()]
    assert isinstance(told, Acquire)
    assert (told.policy.local, told.policy.remote) == (HERE, THERE)


async def test_a_plane_that_cannot_ask_again_says_why() -> None:
    backend = XfrmBackend(Plane(refusal=dataplane.XfrmError("no memory")))
    with pytest.raises(BackendError, match="no memory"):
        await backend.ask_again(entry())


def test_every_sa_carries_a_number_by_which_the_next_start_knows_it_and_no_mark() -> None:
    for spi in (0x1000, 0xFFFF_FFFF):
        made = association(replace(OUTBOUND, spi=spi))
        assert made.sequence == 0x4D47_0000 + spi % 0x1_0000
        assert made.mark is None


def test_a_type_of_icmp_has_no_direction() -> None:
    ping = replace(
        entry(),
        selector=replace(entry().selector, protocol=1, local_port=8, remote_port=0),
    )
    assert {(p.selector.src_port, p.selector.dst_port) for p in policies_of(ping)} == {(8, None)}


def test_a_policy_that_calls_for_no_sa_is_none_of_ours() -> None:
    bypass = model.Policy(
        selector=model.Selector(src=ip_network("10.0.0.1/32"), dst=ip_network("10.0.0.2/32")),
        direction=model.Direction.OUT,
    )
    assert policy_entry(bypass) is None
