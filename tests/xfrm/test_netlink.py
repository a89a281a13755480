"""XFRM messages: the kernel's layout, round trips, unknown numbers, arbitrary octets."""

import struct
import sys
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import esp_values
from lab.xfrm_values import (
    U8,
    U16,
    U32,
    U64,
    aes_cbc,
    hmac_sha1,
    policies,
    security_associations,
    selectors,
)
from wire.secret import Secret
from xfrm.dataplane import (
    Acquire,
    Expire,
    Gone,
    Mapping,
    PolicyAdded,
    PolicyGone,
    Resync,
)
from xfrm.model import (
    Algorithm,
    Direction,
    Malformed,
    Mark,
    Mode,
    Policy,
    Protocol,
    SaId,
    SecurityAssociation,
    Selector,
    Usage,
)
from xfrm.names import policy_name, sa_name
from xfrm.netlink import attributes as attr
from xfrm.netlink import requests, wire
from xfrm.netlink.answers import event_of, policy_of, sa_of
from xfrm.netlink.attributes import Attribute
from xfrm.netlink.messages import Message, MessageType

# sizeof() by a C compiler over linux/xfrm.h of Linux 6.1, x86-64.
SIZES = {
    "xfrm_selector": (wire.SELECTOR, 56),
    "xfrm_usersa_info": (wire.SA_INFO, 224),
    "xfrm_usersa_id": (wire.SA_IDENT, 24),
    "xfrm_userspi_info": (wire.SPI_INFO, 232),
    "xfrm_userpolicy_info": (wire.POLICY_INFO, 168),
    "xfrm_userpolicy_id": (wire.POLICY_IDENT, 64),
    "xfrm_user_acquire": (wire.ACQUIRE, 280),
    "xfrm_user_expire": (wire.EXPIRE, 232),
    "xfrm_user_polexpire": (wire.POL_EXPIRE, 176),
    "xfrm_user_mapping": (wire.MAPPING, 64),
}


@pytest.mark.parametrize("name", SIZES)
def test_a_structure_is_as_long_as_the_kernels(name: str) -> None:
    layout, size = SIZES[name]
    assert layout.size == size


def test_a_template_is_64_octets_and_an_encapsulation_24() -> None:
    template = attr.Template(wire.Id(bytes(16), 0, 50), wire.AF_INET, bytes(16), 0, 0)
    assert len(attr.pack_templates((template, template))) == 128
    assert len(attr.pack_encap(attr.Encap(2, 0, 0))) == 24


def over_the_wire(message: Message) -> Message:
    return Message.parse(message.type, bytes(message))


def unused(value: SecurityAssociation) -> SecurityAssociation:
    """Requests carry no counters."""
    return replace(value, usage=Usage())


def settled(selector: Selector | None) -> Selector | None:
    """A selector that selects nothing is none to the kernel."""
    if selector is None:
        return None
    everything = selector.src.prefixlen == selector.dst.prefixlen == selector.protocol == 0
    ports = selector.src_port is not None or selector.dst_port is not None
    return selector if ports or not everything else None


@given(security_associations(), st.sampled_from([MessageType.NEWSA, MessageType.UPDSA]))
def test_an_sa_survives_the_wire(sa: SecurityAssociation, kind: MessageType) -> None:
    sa = replace(sa, selector=settled(sa.selector))
    assert sa_of(over_the_wire(requests.sa_message(kind, sa))) == unused(sa)


@given(policies(), st.sampled_from([MessageType.NEWPOLICY, MessageType.UPDPOLICY]))
def test_a_policy_survives_the_wire(policy: Policy, kind: MessageType) -> None:
    back = policy_of(over_the_wire(requests.policy_message(kind, policy)))
    assert back == replace(policy, usage=Usage())


addresses16 = st.binary(min_size=16, max_size=16)
wire_selectors = st.builds(
    wire.Selector, addresses16, addresses16, U16, U16, U16, U16, U16, U8, U8, U8,
    st.integers(-(2**31), 2**31 - 1), U32,
)  # fmt: skip
idents = st.builds(wire.Id, addresses16, U32, U8)
limits = st.builds(wire.LifetimeCfg, *[U64] * 8)
counts = st.builds(wire.LifetimeCur, U64, U64, U64, U64)
sa_infos = st.builds(
    wire.SaInfo, wire_selectors, idents, addresses16, limits, counts,
    st.builds(wire.Stats, U32, U32, U32), U32, U32, U16, U8, U8, U8,
)  # fmt: skip
policy_infos = st.builds(wire.PolicyInfo, wire_selectors, limits, counts, U32, U32, U8, U8, U8, U8)
sa_idents = st.builds(wire.SaIdent, addresses16, U32, U16, U8)
bodies = st.one_of(
    st.tuples(st.sampled_from([MessageType.NEWSA, MessageType.UPDSA]), sa_infos),
    st.tuples(st.sampled_from([MessageType.DELSA, MessageType.GETSA]), sa_idents),
    st.tuples(st.sampled_from([MessageType.NEWPOLICY, MessageType.UPDPOLICY]), policy_infos),
    st.tuples(
        st.sampled_from([MessageType.DELPOLICY, MessageType.GETPOLICY]),
        st.builds(wire.PolicyIdent, wire_selectors, U32, U8),
    ),
    st.tuples(st.just(MessageType.ALLOCSPI), st.builds(wire.SpiInfo, sa_infos, U32, U32)),
    st.tuples(
        st.just(MessageType.ACQUIRE),
        st.builds(
            wire.Acquire, idents, addresses16, wire_selectors, policy_infos, U32, U32, U32, U32
        ),
    ),
    st.tuples(st.just(MessageType.EXPIRE), st.builds(wire.Expire, sa_infos, U8)),
    st.tuples(st.just(MessageType.POLEXPIRE), st.builds(wire.PolExpire, policy_infos, U8)),
    st.tuples(
        st.just(MessageType.MAPPING),
        st.builds(wire.Mapping, sa_idents, U32, addresses16, addresses16, U16, U16),
    ),
    st.tuples(st.just(MessageType.FLUSHSA), st.builds(wire.Flush, U8)),
)
any_attributes = st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=40), max_size=5)


@given(bodies, any_attributes)
def test_every_structure_and_unknown_attributes_survive(
    row: tuple[MessageType, wire.SaInfo], attributes: dict[int, bytes]
) -> None:
    message = Message(row[0], row[1], attributes)
    assert over_the_wire(message) == message


@given(st.integers(0, 0xFFFF), st.binary(max_size=500))
def test_arbitrary_octets_raise_only_malformed(number: int, octets: bytes) -> None:
    try:
        message = Message.parse(number, octets)
        event_of(message)
        sa_of(message)
    except Malformed:
        return


@given(st.binary(min_size=224, max_size=600), any_attributes)
def test_arbitrary_octets_of_the_right_length_raise_only_malformed(
    octets: bytes, attributes: dict[int, bytes]
) -> None:
    for kind, size in ((MessageType.NEWSA, 224), (MessageType.NEWPOLICY, 168)):
        message = Message.parse(kind, octets[:size] + attr.pack(attributes))
        try:
            sa_of(message) if kind is MessageType.NEWSA else policy_of(message)
        except Malformed:
            continue


def sa(**changes: object) -> SecurityAssociation:
    return replace(
        SecurityAssociation(
            src=ip_address("10.0.0.1"),
            dst=ip_address("10.0.0.2"),
            spi=0x11223344,
            encryption=aes_cbc(),
            authentication=hmac_sha1(),
        ),
        **changes,  # type: ignore[arg-type]
    )


def info(message: Message) -> wire.SaInfo:
    assert isinstance(message.body, wire.SaInfo)
    return message.body


def test_the_spi_and_the_ports_are_in_network_byte_order() -> None:
    octets = bytes(requests.sa_message(MessageType.NEWSA, sa()))
    assert octets[56 + 16 : 56 + 20] == bytes.fromhex("11223344")
    selector = Selector(
        src=ip_network("10.0.0.1"), dst=ip_network("10.0.0.2"), protocol=132, dst_port=2816
    )
    policy = Policy(selector=selector, direction=Direction.OUT)
    octets = bytes(requests.policy_message(MessageType.NEWPOLICY, policy))
    assert octets[32:36] == bytes.fromhex("0b00ffff")  # port, mask


def test_the_dump_of_sas_has_no_body() -> None:
    """A zeroed structure would make the kernel complain about leftover octets."""
    assert bytes(requests.dump_sas_message()) == b""
    # A filter follows the header at once.
    assert bytes(requests.dump_sas_message(50)) == struct.pack("=HHB3x", 5, Attribute.PROTO, 50)


def test_authentication_always_says_how_long_its_check_value_is() -> None:
    sha256 = Algorithm(name="hmac(sha256)", key=Secret(bytes(32)))
    message = requests.sa_message(MessageType.NEWSA, sa(authentication=sha256))
    assert Attribute.ALG_AUTH not in message.attributes
    assert attr.algorithm_icv(message.attributes[Attribute.ALG_AUTH_TRUNC]).icv_bits == 128


def test_an_algorithm_that_the_kernel_names_twice_is_read_once() -> None:
    message = requests.sa_message(MessageType.NEWSA, sa())
    assert sa().authentication is not None
    twice = dict(message.attributes)
    twice[Attribute.ALG_AUTH] = attr.pack_algorithm(sa().authentication or aes_cbc())
    assert sa_of(Message(message.type, message.body, twice)).authentication == hmac_sha1()


def test_a_kernel_that_names_only_the_short_form_is_understood() -> None:
    message = requests.sa_message(MessageType.NEWSA, sa())
    short: dict[int, bytes] = {
        Attribute.ALG_CRYPT: message.attributes[Attribute.ALG_CRYPT],
        Attribute.ALG_AUTH: attr.pack_algorithm(hmac_sha1()),
    }
    back = sa_of(Message(message.type, message.body, short)).authentication
    assert back is not None
    assert back.name == "hmac(sha1)"


def test_an_attribute_newer_than_this_program_is_kept_as_it_came() -> None:
    """Linux 6.10 and later send SA_DIR; later ones will send others."""
    message = requests.sa_message(MessageType.NEWSA, sa())
    newer = Message(
        message.type, message.body, {**message.attributes, Attribute.SA_DIR: b"\1", 60: b"new"}
    )
    again = over_the_wire(newer)
    assert again.attributes[60] == b"new"
    assert sa_of(again) == unused(sa())


@pytest.mark.parametrize(("window", "esn"), [(0, False), (32, False), (64, False), (64, True)])
def test_wide_windows_and_extended_numbers_leave_the_old_field_at_0(window: int, esn: bool) -> None:
    message = requests.sa_message(MessageType.NEWSA, sa(replay_window=window, esn=esn))
    wide = window > 32 or esn
    assert info(message).replay_window == (0 if wide else window)
    assert (Attribute.REPLAY_ESN_VAL in message.attributes) == wide
    assert bool(info(message).flags & wire.STATE_ESN) == esn


def test_a_tunnel_without_a_selector_carries_both_families() -> None:
    tunnel = info(requests.sa_message(MessageType.NEWSA, sa(mode=Mode.TUNNEL)))
    transport = info(requests.sa_message(MessageType.NEWSA, sa()))
    assert tunnel.flags & wire.STATE_AF_UNSPEC
    assert not transport.flags & wire.STATE_AF_UNSPEC


@pytest.mark.parametrize(
    ("protocol", "src", "dst", "aligned"),
    [
        (Protocol.AH, "192.0.2.1", "192.0.2.2", True),
        (Protocol.AH, "fd00::1", "fd00::2", False),
        (Protocol.ESP, "192.0.2.1", "192.0.2.2", False),
    ],
)
def test_ah_fills_words_of_32_bits_in_ipv4_and_of_64_in_ipv6(
    protocol: Protocol, src: str, dst: str, aligned: bool
) -> None:
    """RFC 4302, 2.6: XFRM_STATE_ALIGN4."""
    made = sa(protocol=protocol, src=ip_address(src), dst=ip_address(dst))
    assert bool(info(requests.sa_message(MessageType.NEWSA, made)).flags & 64) == aligned


def test_addresses_of_two_families_are_refused() -> None:
    with pytest.raises(ValueError, match="different families"):
        requests.sa_message(MessageType.NEWSA, sa(dst=ip_address("fd00::1")))


def test_keys_are_not_shown() -> None:
    message = requests.sa_message(MessageType.NEWSA, sa())
    assert bytes(range(16)).hex() not in f"{message!r}"
    assert repr(bytes(range(16)))[2:-1] not in f"{message!r} {sa()!r}"


@given(policies(), selectors(), U32)
def test_an_acquire_becomes_an_event(policy: Policy, flow: Selector, sequence: int) -> None:
    wanted = requests.policy_message(MessageType.NEWPOLICY, policy)
    assert isinstance(wanted.body, wire.PolicyInfo)
    flow_of = requests.policy_message(
        MessageType.NEWPOLICY, Policy(selector=flow, direction=Direction.OUT)
    )
    assert isinstance(flow_of.body, wire.PolicyInfo)
    family = 4 if policy.selector.src.version == 4 else 6
    ends = [ip_address("192.0.2.1"), ip_address("192.0.2.2")]
    if family == 6:
        ends = [ip_address("2001:db8::1"), ip_address("2001:db8::2")]
    src, dst = (end.packed.ljust(16, b"\0") for end in ends)
    body = wire.Acquire(wire.Id(dst, 0, 50), src, flow_of.body.sel, wanted.body, 0, 0, 0, sequence)
    event = event_of(over_the_wire(Message(MessageType.ACQUIRE, body, wanted.attributes)))
    assert event == Acquire(
        selector=flow,
        src=ends[0],
        dst=ends[1],
        policy=replace(policy, usage=Usage()),
        sequence=sequence,
    )


@given(security_associations(), st.booleans())
def test_an_expiry_becomes_an_event(expired: SecurityAssociation, hard: bool) -> None:
    expired = replace(expired, selector=settled(expired.selector))
    message = requests.sa_message(MessageType.NEWSA, expired)
    body = wire.Expire(info(message), int(hard))
    event = event_of(over_the_wire(Message(MessageType.EXPIRE, body, message.attributes)))
    wanted = replace(unused(expired), larval=expired.spi == 0)
    assert event == Expire(sa=wanted, hard=hard)


def test_a_changed_nat_mapping_becomes_an_event() -> None:
    def padded(text: str) -> bytes:
        return ip_address(text).packed + bytes(12)

    ident = wire.SaIdent(padded("10.0.0.2"), wire.swap32(0x1000), wire.AF_INET, 50)
    body = wire.Mapping(
        ident, 7, padded("192.0.2.1"), padded("192.0.2.9"), wire.swap16(4500), wire.swap16(61000)
    )
    assert event_of(over_the_wire(Message(MessageType.MAPPING, body))) == Mapping(
        sa=SaId(ip_address("10.0.0.2"), Protocol.ESP, 0x1000),
        reqid=7,
        old_src=ip_address("192.0.2.1"),
        old_port=4500,
        new_src=ip_address("192.0.2.9"),
        new_port=61000,
    )


def test_a_deleted_sa_and_a_flushed_table_become_events() -> None:
    ident = SaId(ip_address("10.0.0.2"), Protocol.ESP, 0x1000)
    assert event_of(over_the_wire(requests.delete_sa_message(ident))) == Gone(ident)
    assert event_of(over_the_wire(requests.flush_sas_message())) == Resync(policies=False)

    assert event_of(over_the_wire(requests.flush_policies_message())) == Resync(sas=False)


@given(policies())
def test_a_policy_that_comes_or_goes_becomes_an_event(policy: Policy) -> None:
    """A kernel tells a deleted one whole in an attribute, for its body may hold the index only."""
    told = replace(policy, usage=Usage())
    for kind in (MessageType.NEWPOLICY, MessageType.UPDPOLICY):
        message = requests.policy_message(kind, policy)
        assert event_of(over_the_wire(message)) == PolicyAdded(told)
    assert isinstance(message.body, wire.PolicyInfo)
    by_index = wire.PolicyIdent(wire.ANYTHING, policy.index, policy.direction)
    whole = dict(message.attributes) | {Attribute.POLICY: bytes(message.body)}
    deleted = Message(MessageType.DELPOLICY, by_index, whole)
    assert event_of(over_the_wire(deleted)) == PolicyGone(told)
    for hard, event in ((0, None), (1, PolicyGone(told))):
        expired = wire.PolExpire(message.body, hard)
        told_by = Message(MessageType.POLEXPIRE, expired, message.attributes)
        assert event_of(over_the_wire(told_by)) == event


@pytest.mark.parametrize("size", [0, 167])
def test_a_deleted_policy_that_is_not_told_whole_makes_no_sense(size: int) -> None:
    by_index = wire.PolicyIdent(wire.ANYTHING, 9, Direction.OUT)
    with pytest.raises(Malformed, match=f"a deleted policy of {size} octets"):
        event_of(Message(MessageType.DELPOLICY, by_index, {Attribute.POLICY: bytes(size)}))


def test_a_message_that_nobody_asked_about_is_no_event() -> None:
    assert event_of(Message.parse(0x7777, b"what is this")) is None


def test_a_replay_window_is_read_with_both_numbers_and_their_upper_halves() -> None:
    value = struct.pack("=IIIIII", 2, 11, 22, 33, 44, 64) + bytes(range(8))
    found = attr.replay_esn(value)
    assert found == (11, 22, 33, 44, 64, bytes(range(8)))


def test_names_in_messages_say_protocol_direction_and_ends() -> None:
    policy = Policy(
        selector=Selector(src=ip_network("10.0.0.0/24"), dst=ip_network("10.1.0.0/24")),
        direction=Direction.FWD,
    )
    assert policy.index == 0
    assert policy_name(policy) == "the fwd policy 10.0.0.0/24 -> 10.1.0.0/24"
    assert sa_name(SaId(ip_address("10.0.0.2"), Protocol.AH, 0x1000)) == (
        "ah SA 0x00001000 to 10.0.0.2"
    )


def test_an_sa_of_a_mark_is_another_than_the_one_without() -> None:
    marked = sa(mark=Mark(value=1, mask=3))
    assert marked.id.mark == Mark(value=1, mask=3)
    assert marked.id != sa().id


def test_the_last_use_of_an_sa_is_told_by_newer_kernels_and_the_first_by_all() -> None:
    message = requests.sa_message(MessageType.NEWSA, esp_values.sa())
    assert isinstance(message.body, wire.SaInfo)
    used = wire.LifetimeCur(octets=7, packets=2, add_time=100, use_time=200)
    counted = replace(message, body=message.body._replace(curlft=used))
    assert sa_of(counted).usage == Usage(octets=7, packets=2, added=100, used=200)
    last = {**counted.attributes, Attribute.LASTUSED: (300).to_bytes(8, sys.byteorder)}
    assert sa_of(replace(counted, attributes=last)).usage == Usage(
        octets=7, packets=2, added=100, used=300
    )


def test_a_policy_with_a_direction_that_there_is_not_makes_no_sense() -> None:
    policy = esp_values.policy(Direction.OUT, "10.1.0.0/24", "10.2.0.0/24")
    message = requests.policy_message(MessageType.NEWPOLICY, policy)
    assert isinstance(message.body, wire.PolicyInfo)
    with pytest.raises(Malformed, match="9 is not a valid Direction"):
        policy_of(replace(message, body=message.body._replace(dir=9)))
