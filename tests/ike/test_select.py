"""Choosing among proposals: racoon.conf(5), `proposal_check`; and identities of phase 2."""

from contextlib import nullcontext
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ike.config import EspEncryption, Identifier, ProposalCheck, Sainfo, SainfoId
from ike.doi.identity import (
    describe,
    host_selector,
    matches,
    network_of,
    own_identity,
    selector_of,
    traffic_identity,
)
from ike.doi.proposals import Lifetime, Phase1Suite, Phase2Suite, read_lifetime
from ike.doi.sainfo import SainfoIndex
from ike.doi.select import (
    Chosen2,
    accept_phase2,
    choose_phase2,
    choose_policy,
    phase2_offer,
    phase2_suites,
)
from ike.doi.select_phase1 import accept_phase1, choose_phase1, phase1_offer
from ike.errors import (
    AttributesNotSupported,
    InvalidIdInformation,
    LocalError,
    NoProposalChosen,
)
from ike.isakmp.attributes import Attribute, numeric
from ike.isakmp.payloads import Identification, Proposal, SaBody, Transform
from ike.numbers.doi import (
    Authentication,
    Encryption,
    EspTransform,
    Group,
    Hash,
    IdType,
    Integrity,
)
from ike.numbers.isakmp import ProtocolId
from ike.values import Mode, Network, Protection

BASE = Phase1Suite(
    encryption=Encryption.AES,
    key_bits=128,
    hash=Hash.SHA1,
    authentication=Authentication.PRE_SHARED_KEY,
    group=Group.MODP1024,
    lifetime=Lifetime(seconds=3600),
)
SPI = b"\0\0\x12\x34"
ESP = Protection()
C = ProposalCheck


@given(
    st.sampled_from(list(Encryption)),
    st.one_of(st.none(), st.integers(0, 512)),
    st.sampled_from(list(Hash)),
    st.sampled_from(list(Group)),
    st.one_of(st.none(), st.integers(1, 0xFFFFFFFF)),
    st.one_of(st.none(), st.integers(1, 0xFFFFFFFF)),
)
def test_a_phase_1_suite_survives_its_attributes(
    encryption: Encryption,
    bits: int | None,
    hash_algorithm: Hash,
    group: Group,
    seconds: int | None,
    kilobytes: int | None,
) -> None:
    suite = Phase1Suite(
        encryption=encryption,
        key_bits=bits,
        hash=hash_algorithm,
        authentication=Authentication.PRE_SHARED_KEY,
        group=group,
        lifetime=Lifetime(seconds=seconds, kilobytes=kilobytes),
    )
    assert Phase1Suite.read(suite.transform(1)) == suite


def _fits(theirs: Phase1Suite, ours: Phase1Suite, check: ProposalCheck) -> bool:
    try:
        choose_phase1(phase1_offer([theirs]), [ours], check)
    except NoProposalChosen:
        return False
    return True


@pytest.mark.parametrize(
    ("lifetime", "bits", "accepting"),
    [
        (3600, 128, {C.OBEY, C.STRICT, C.CLAIM, C.EXACT}),
        (600, 128, {C.OBEY, C.STRICT, C.CLAIM}),
        (7200, 128, {C.OBEY, C.CLAIM}),
        (3600, 256, {C.OBEY, C.STRICT, C.CLAIM}),
    ],
)
def test_proposal_check_says_which_lifetimes_and_key_lengths_will_do(
    lifetime: int, bits: int, accepting: set[ProposalCheck]
) -> None:
    theirs = replace(BASE, key_bits=bits, lifetime=Lifetime(seconds=lifetime))
    assert {check for check in C if _fits(theirs, BASE, check)} == accepting


def test_a_shorter_key_is_taken_by_obey_only() -> None:
    ours = replace(BASE, key_bits=256)
    assert {check for check in C if _fits(BASE, ours, check)} == {C.OBEY}


@pytest.mark.parametrize(
    ("cipher", "theirs", "ours", "accepting"),
    [
        (Encryption.AES, 100, 128, set()),  # no key of AES
        (Encryption.AES, 192, 192, set(C)),
        (Encryption.AES, None, 128, set(C)),  # 128 when nothing is said, as we say it
        (Encryption.AES, None, 256, {C.OBEY}),
        (Encryption.TRIPLE_DES, 192, None, set(C)),  # said, though there is one length only
        (Encryption.TRIPLE_DES, 128, None, set()),
    ],
)
def test_a_key_length_must_be_one_of_the_cipher(
    cipher: Encryption, theirs: int | None, ours: int | None, accepting: set[ProposalCheck]
) -> None:
    offered, allowed = (replace(BASE, encryption=cipher, key_bits=bits) for bits in (theirs, ours))
    assert {check for check in C if _fits(offered, allowed, check)} == accepting


def test_a_phase_2_suite_is_shown_with_its_pfs() -> None:
    assert ", no pfs, " in str(ESP_TRANSPORT)
    assert ", pfs group 14, " in str(replace(ESP_TRANSPORT, group=Group.MODP2048))


@pytest.mark.parametrize(("offers", "more"), [(8, ""), (9, "; and 1 more")])
def test_a_refusal_lists_up_to_eight_offers(offers: int, more: str) -> None:
    theirs = [replace(BASE, lifetime=Lifetime(seconds=at)) for at in range(1, offers + 1)]
    with pytest.raises(NoProposalChosen) as caught:
        choose_phase1(phase1_offer(theirs), [replace(BASE, hash=Hash.MD5)], C.OBEY)
    listed, _ = str(caught.value).split(" -- ")
    assert listed.endswith(f"{theirs[7]}{more}")


def test_a_suite_is_shown_with_its_lifetime() -> None:
    def shown(seconds: int | None, kilobytes: int | None) -> str:
        return str(replace(BASE, lifetime=Lifetime(seconds=seconds, kilobytes=kilobytes)))

    start = "aes 128, sha1, pre_shared_key, group 2, "
    assert shown(60, None) == start + "60 s"
    assert shown(60, 7) == start + "60 s and 7 kB"
    assert shown(None, 7) == start + "7 kB"
    assert shown(None, None) == start + "no lifetime"


def test_claim_keeps_the_shorter_lifetime_and_obey_the_peers() -> None:
    offer = phase1_offer([replace(BASE, lifetime=Lifetime(seconds=7200))])
    assert choose_phase1(offer, [BASE], C.CLAIM).suite.lifetime.seconds == 3600
    assert choose_phase1(offer, [BASE], C.OBEY).suite.lifetime.seconds == 7200


def test_the_peers_order_decides_and_its_transform_returns_octet_for_octet() -> None:
    second = replace(BASE, hash=Hash.MD5)
    offer = phase1_offer([replace(BASE, group=Group.MODP8192), second, BASE])
    chosen = choose_phase1(offer, [BASE, second], C.STRICT)
    assert chosen.suite == second
    assert chosen.reply.proposals[0].transforms == (offer.proposals[0].transforms[1],)


def test_a_transform_with_an_unknown_attribute_is_not_chosen_but_the_next_is() -> None:
    strange = BASE.transform(1)
    strange = replace(strange, attributes=(*strange.attributes, Attribute(77, 1)))
    offer = SaBody((Proposal(1, ProtocolId.ISAKMP, b"", (strange, BASE.transform(2))),))
    assert choose_phase1(offer, [BASE], C.OBEY).reply.proposals[0].transforms[0].number == 2


def test_a_responders_choice_must_be_one_of_what_was_offered() -> None:
    offered = [BASE, replace(BASE, hash=Hash.MD5)]
    reply = phase1_offer([replace(BASE, lifetime=Lifetime(seconds=60))])
    assert accept_phase1(reply, offered).lifetime.seconds == 60
    with pytest.raises(NoProposalChosen):
        accept_phase1(phase1_offer([replace(BASE, group=Group.MODP768)]), offered)
    with pytest.raises(NoProposalChosen):
        accept_phase1(phase1_offer(offered), offered)


def test_attributes_that_are_missing_twice_or_no_numbers_are_refused() -> None:
    good = BASE.transform(1).attributes
    for bad in (good[1:], (*good, good[0]), (Attribute(1, b"x" * 9), *good[1:])):
        with pytest.raises(AttributesNotSupported):
            Phase1Suite.read(Transform(1, 1, bad))
    with pytest.raises(AttributesNotSupported):
        Phase1Suite.read(Transform(1, 1, (*good, numeric(12, 60))))  # a duration, no type
    for number in ((1 << 32) - 1, 1 << 32):
        more = (*good, Attribute(16000, number.to_bytes(5)))
        with pytest.raises(AttributesNotSupported, match="too large" if number >> 32 else "16000"):
            Phase1Suite.read(Transform(1, 1, more))


# --- phase 2 ---


def _suites(**changes: object) -> tuple[Phase2Suite, ...]:
    return phase2_suites(replace(Sainfo(), **changes), ESP)  # type: ignore[arg-type]


def _chosen(theirs: Phase2Suite, ours: Phase2Suite, check: ProposalCheck) -> bool:
    try:
        choose_phase2(phase2_offer([[theirs]], [SPI]), [[ours]], check, bool(theirs.group))
    except NoProposalChosen:
        return False
    return True


@pytest.mark.parametrize(
    ("theirs", "ours", "accepting"),
    [
        (Group.NONE, Group.NONE, {C.OBEY, C.STRICT, C.CLAIM, C.EXACT}),
        (Group.MODP2048, Group.NONE, {C.OBEY, C.STRICT, C.CLAIM}),
        (Group.NONE, Group.MODP2048, {C.OBEY}),
        (Group.MODP1024, Group.MODP2048, {C.OBEY}),
        (Group.MODP2048, Group.MODP2048, {C.OBEY, C.STRICT, C.CLAIM, C.EXACT}),
    ],
)
def test_proposal_check_says_which_pfs_will_do(
    theirs: Group, ours: Group, accepting: set[ProposalCheck]
) -> None:
    (base,) = _suites()
    got = {
        check
        for check in C
        if _chosen(replace(base, group=theirs), replace(base, group=ours), check)
    }
    assert got == accepting


def test_a_group_without_a_ke_payload_is_not_chosen() -> None:
    (suite,) = _suites(pfs_group=Group.MODP1024)
    with pytest.raises(NoProposalChosen, match="no KE payload"):
        choose_phase2(phase2_offer([[suite]], [SPI]), [[suite]], C.OBEY, pfs=False)


def test_modes_and_encapsulation_must_be_the_same() -> None:
    (plain,) = phase2_suites(Sainfo(), ESP)
    (tunnel,) = phase2_suites(Sainfo(), Protection(mode=Mode.TUNNEL))
    (udp,) = phase2_suites(Sainfo(), ESP, udp=True)
    (draft,) = phase2_suites(Sainfo(), ESP, udp=True, draft=True)
    assert not _chosen(tunnel, plain, C.OBEY)
    assert not _chosen(udp, plain, C.OBEY)
    assert not _chosen(plain, udp, C.OBEY)
    assert _chosen(draft, udp, C.EXACT)  # the same thing, by the drafts' number


def test_sainfos_algorithms_are_offered_in_order_each_with_each() -> None:
    suites = _suites(
        encryption=(
            EspEncryption(EspTransform.AES, 256),
            EspEncryption(EspTransform.TRIPLE_DES),
            EspEncryption(EspTransform.IDEA),  # not implemented: not offered
        ),
        integrity=(Integrity.HMAC_SHA2_256, Integrity.HMAC_MD5),
    )
    assert [(s.encryption, s.key_bits, s.integrity) for s in suites] == [
        (EspTransform.AES, 256, Integrity.HMAC_SHA2_256),
        (EspTransform.AES, 256, Integrity.HMAC_MD5),
        (EspTransform.TRIPLE_DES, None, Integrity.HMAC_SHA2_256),
        (EspTransform.TRIPLE_DES, None, Integrity.HMAC_MD5),
    ]


def test_a_cipher_that_authenticates_is_offered_once_and_alone() -> None:  # RFC 4106, 8.3
    suites = _suites(
        encryption=(EspEncryption(EspTransform.AES_GCM_16, 256), EspEncryption(EspTransform.AES)),
        integrity=(Integrity.HMAC_SHA2_256, Integrity.HMAC_SHA1),
    )
    assert [(s.encryption, s.key_bits, s.integrity) for s in suites] == [
        (EspTransform.AES_GCM_16, 256, Integrity.NONE),
        (EspTransform.AES, 128, Integrity.HMAC_SHA2_256),
        (EspTransform.AES, 128, Integrity.HMAC_SHA1),
    ]


@pytest.mark.parametrize("cipher", [EspTransform.AES_CTR, EspTransform.NULL])
def test_what_protects_nothing_without_integrity_is_not_offered_without(
    cipher: EspTransform,
) -> None:  # RFC 3686, 3; RFC 2406, 3.2.2
    both = (Integrity.NONE, Integrity.HMAC_SHA1)
    suites = _suites(encryption=(EspEncryption(cipher),), integrity=both)
    assert [suite.integrity for suite in suites] == [Integrity.HMAC_SHA1]


def test_a_peers_counter_mode_without_integrity_is_refused() -> None:
    ours = _suites(
        encryption=(EspEncryption(EspTransform.AES_CTR),),
        integrity=(Integrity.NONE, Integrity.HMAC_SHA1),
    )
    theirs = replace(ours[0], integrity=Integrity.NONE)
    with pytest.raises(NoProposalChosen):
        choose_phase2(phase2_offer([[theirs]], [SPI]), [ours], C.OBEY, pfs=False)


def test_a_set_is_taken_whole_or_not_at_all() -> None:
    (esp,) = _suites()
    (ah,) = phase2_suites(Sainfo(), Protection(protocol=ProtocolId.AH))
    both = phase2_offer([[esp], [ah]], [SPI, SPI])
    chosen = choose_phase2(both, [[esp], [ah]], C.STRICT, pfs=False)
    assert [s.protocol for s in chosen.suites] == [ProtocolId.ESP, ProtocolId.AH]
    assert accept_phase2(chosen.reply, [[esp], [ah]]).suites == chosen.suites
    longer = [replace(suite, lifetime=Lifetime(seconds=100_000)) for suite in (esp, ah)]
    kept = accept_phase2(chosen.reply, [[longer[0]], [longer[1]]]).suites
    assert [suite.lifetime for suite in kept] == [suite.lifetime for suite in chosen.suites]
    with pytest.raises(NoProposalChosen):
        choose_phase2(both, [[esp]], C.STRICT, pfs=False)
    with pytest.raises(NoProposalChosen):
        choose_phase2(phase2_offer([[esp]], [SPI]), [[esp], [ah]], C.STRICT, pfs=False)


AH = phase2_suites(Sainfo(), Protection(protocol=ProtocolId.AH))[0]
ESP_TRANSPORT = phase2_suites(Sainfo(), ESP)[0]
ESP_TUNNEL = phase2_suites(Sainfo(), Protection(mode=Mode.TUNNEL))[0]
ESN = 11  # the attribute Extended (64-bit) Sequence Number (RFC 4304, IANA), not known here


def _sets(*sets: tuple[Phase2Suite, ...]) -> SaBody:
    return SaBody(
        tuple(
            Proposal(number, suite.protocol, SPI, (suite.transform(1),))
            for number, suites in enumerate(sets, 1)
            for suite in suites
        )
    )


def _meant(offered: SaBody, *policies: list[list[Phase2Suite]]) -> tuple[int, Chosen2]:
    return choose_policy(offered, lambda _: enumerate(policies), C.STRICT, pfs=False)


@pytest.mark.parametrize(
    ("offered", "suite"),
    [
        (_sets((AH, ESP_TRANSPORT), (ESP_TRANSPORT,)), ESP_TRANSPORT),
        (_sets((AH,), (ESP_TRANSPORT,)), ESP_TRANSPORT),
        (_sets((ESP_TUNNEL,), (ESP_TRANSPORT,)), ESP_TRANSPORT),
        (_sets((ESP_TRANSPORT,), (ESP_TUNNEL,)), ESP_TUNNEL),
    ],
)
def test_a_later_set_is_taken_where_the_first_fits_no_policy(
    offered: SaBody, suite: Phase2Suite
) -> None:
    _, chosen = _meant(offered, [[suite]])
    assert chosen.suites == (suite,)
    assert chosen.reply.proposals == (offered.proposals[-1],)


def test_the_first_acceptable_set_names_the_policy_not_our_order() -> None:
    offered = _sets((AH, ESP_TRANSPORT), (ESP_TUNNEL,), (ESP_TRANSPORT,))
    policies = ([[ESP_TRANSPORT]], [[ESP_TUNNEL]])
    number, chosen = _meant(offered, *policies)
    assert (number, chosen.suites) == (1, (ESP_TUNNEL,))
    number, chosen = _meant(offered, *policies, [[ESP_TRANSPORT], [AH]])
    assert (number, len(chosen.suites)) == (2, 2)


def _ipcomp(number: int) -> Proposal:
    return Proposal(number, ProtocolId.IPCOMP, b"\x12\x34", (Transform(1, 2),))


def test_a_set_with_compression_or_an_unknown_attribute_is_passed_over() -> None:
    plain = replace(_sets((ESP_TRANSPORT,)).proposals[0], number=2)
    esn = ESP_TRANSPORT.transform(1)
    esn = replace(esn, attributes=(*esn.attributes, numeric(ESN, 1)))
    for first in (
        (_ipcomp(1), replace(plain, number=1)),
        (replace(plain, number=1, transforms=(esn,)),),
    ):
        _, chosen = _meant(SaBody((*first, plain)), [[ESP_TRANSPORT]])
        assert chosen.reply.proposals == (plain,)


def test_the_refusal_of_a_set_with_compression_names_both_sides() -> None:
    esp = _sets((ESP_TUNNEL,)).proposals[0]
    with pytest.raises(NoProposalChosen) as caught:
        _meant(SaBody((_ipcomp(1), esp)), [[ESP_TUNNEL]])
    assert str(caught.value) == (
        f"the peer has: ipcomp deflate + {ESP_TUNNEL} -- configured here: {ESP_TUNNEL}"
    )


def test_a_set_for_which_there_is_no_policy_is_passed_over() -> None:
    offered = _sets((ESP_TUNNEL,), (ESP_TRANSPORT,))

    def policies(first: tuple[Phase2Suite, ...]) -> list[tuple[str, list[list[Phase2Suite]]]]:
        if first[0].mode is Mode.TUNNEL:
            raise InvalidIdInformation("no policy found: in tunnel mode")
        return [("mine", [[ESP_TRANSPORT]])]

    assert choose_policy(offered, policies, C.STRICT, pfs=False)[0] == "mine"
    offered = _sets((ESP_TUNNEL,))
    with pytest.raises(InvalidIdInformation, match="in tunnel mode"):
        choose_policy(offered, policies, C.STRICT, pfs=False)


def test_a_bundle_is_answered_in_the_initiators_order() -> None:
    """racoon began AH, ESP and refuses another order; our policy has it the other way round."""
    offered = SaBody(
        tuple(
            Proposal(1, suite.protocol, spi, (suite.transform(1),))
            for suite, spi in ((AH, b"peer"), (ESP_TRANSPORT, SPI))
        )
    )
    _, chosen = _meant(offered, [[ESP_TRANSPORT], [AH]])
    assert [p.protocol for p in chosen.reply.proposals] == [ProtocolId.AH, ProtocolId.ESP]
    assert chosen.suites == (ESP_TRANSPORT, AH)
    assert chosen.spis == (SPI, b"peer")
    assert chosen.order == (1, 0)


@pytest.mark.parametrize("unit", [1, 2])
def test_a_lifetime_of_nothing_is_refused_in_both_phases(unit: int) -> None:
    """0 s or 0 kB would let an SA end at once, or never."""
    nothing = (numeric(1, unit), numeric(2, 0))
    transform = ESP_TRANSPORT.transform(1)
    rest = tuple(a for a in transform.attributes if a.type not in (1, 2))
    with pytest.raises(AttributesNotSupported, match="a life duration of 0"):
        Phase2Suite.read(ProtocolId.ESP, replace(transform, attributes=(*nothing, *rest)))
    with pytest.raises(AttributesNotSupported, match="a life duration of 0"):
        read_lifetime(nothing)
    main = BASE.transform(1)
    rest = tuple(a for a in main.attributes if a.type not in (11, 12))
    none = (numeric(11, unit), numeric(12, 0))
    with pytest.raises(AttributesNotSupported, match="a life duration of 0"):
        Phase1Suite.read(replace(main, attributes=(*rest, *none)))


def test_a_bundle_has_one_group_for_pfs() -> None:
    """One KE payload serves all SAs of an exchange (RFC 2409, 5.5)."""
    ah, esp = (replace(suite, group=Group.MODP1024) for suite in (AH, ESP_TRANSPORT))
    other = replace(esp, group=Group.MODP2048)
    allowed = [[ah], [esp, other]]
    assert choose_phase2(_sets((ah, esp)), allowed, C.STRICT, pfs=True).suites == (ah, esp)
    with pytest.raises(NoProposalChosen):
        choose_phase2(_sets((ah, other)), allowed, C.STRICT, pfs=True)


@pytest.mark.parametrize(("spi", "taken"), [(255, False), (256, True)])
def test_spis_begin_with_256(spi: int, taken: bool) -> None:
    (esp,) = _suites()
    offer = phase2_offer([[esp]], [spi.to_bytes(4)])
    with nullcontext() if taken else pytest.raises(NoProposalChosen, match="SPI"):
        assert choose_phase2(offer, [[esp]], C.OBEY, pfs=False).spis == (spi.to_bytes(4),)
    with nullcontext() if taken else pytest.raises(NoProposalChosen, match="SPI"):
        assert accept_phase2(offer, [[esp]]).spis == (spi.to_bytes(4),)


def test_reserved_spis_are_refused() -> None:
    (esp,) = _suites()
    reserved = phase2_offer([[esp]], [b"\0\0\0\xff"])
    with pytest.raises(NoProposalChosen, match="SPI 000000ff"):
        accept_phase2(reserved, [[esp]])
    with pytest.raises(NoProposalChosen, match="SPI 000000ff"):
        choose_phase2(phase2_offer([[esp]], [b"\0\0\0\xff"]), [[esp]], C.OBEY, pfs=False)


# --- identities ---

networks = st.one_of(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
        lambda t: ip_network((t[0], t[1]), strict=False)
    ),
    st.tuples(st.integers(2**64, 2**128 - 1), st.integers(0, 128)).map(
        lambda t: ip_network((t[0], t[1]), strict=False)
    ),
)


@given(networks, st.integers(0, 255), st.integers(0, 65535))
def test_a_network_survives_its_identity(network: Network, protocol: int, port: int) -> None:
    identity = traffic_identity(network, protocol, port)
    assert Identification.parse(bytes(identity)) == identity
    assert network_of(identity) == network


def test_ranges_that_are_networks_are_taken_and_others_refused() -> None:
    kind = IdType.IPV4_ADDR_RANGE
    assert network_of(Identification(kind, bytes([10, 0, 0, 0, 10, 0, 0, 255]))) == ip_network(
        "10.0.0.0/24"
    )
    first, last = ip_address("fd00::"), ip_address("fd00::ffff")
    six = Identification(IdType.IPV6_ADDR_RANGE, first.packed + last.packed)
    assert network_of(six) == ip_network("fd00::/112")
    for data in (bytes([10, 0, 0, 1, 10, 0, 0, 5]), bytes([10, 0, 0, 9, 10, 0, 0, 5])):
        with pytest.raises(InvalidIdInformation):
            network_of(Identification(kind, data))


@pytest.mark.parametrize(
    "identity",
    [
        Identification(IdType.IPV4_ADDR, b"123"),
        Identification(IdType.IPV4_ADDR_SUBNET, bytes([10, 0, 0, 0, 255, 0, 255, 0])),
        Identification(IdType.IPV4_ADDR_SUBNET, bytes([10, 0, 0, 1, 255, 255, 255, 0])),
        Identification(IdType.FQDN, b"gateway"),
        Identification(IdType(99), b""),
    ],
)
def test_an_identity_that_is_no_network_is_refused(identity: Identification) -> None:
    with pytest.raises(InvalidIdInformation):
        network_of(identity)
    assert describe(identity)


def test_selectors_need_one_ip_version_and_one_protocol() -> None:
    four = traffic_identity(ip_network("10.0.0.0/8"), 6, 80)
    six = traffic_identity(ip_network("2001:db8::/32"), 6, 0)
    assert selector_of(four, four).local_port == 80
    for other in (six, replace(four, protocol=17)):
        with pytest.raises(InvalidIdInformation):
            selector_of(four, other)


def test_own_identities_are_made_from_the_configuration() -> None:
    here = ip_address("10.0.0.1")
    assert describe(own_identity(None, here)) == "10.0.0.1"
    name = Identifier(IdType.FQDN, "gw.example")
    assert own_identity(name, here) == Identification(IdType.FQDN, b"gw.example")
    assert matches(own_identity(name, here), Identifier(IdType.FQDN, "GW.example"))
    assert not matches(own_identity(name, here), Identifier(IdType.USER_FQDN, "gw.example"))
    group = Identifier(IdType.KEY_ID, "facade")
    assert own_identity(group, here) == Identification(IdType.KEY_ID, b"facade")
    with pytest.raises(LocalError):
        own_identity(Identifier(IdType.IPV4_ADDR, "facade"), here)


def test_the_most_precise_sainfo_wins_and_values_must_be_equal() -> None:
    here, there = ip_network("10.0.0.0/24"), ip_network("10.0.1.0/24")
    anonymous = Sainfo(lifetime_seconds=1)
    half = Sainfo(lifetime_seconds=2, local=SainfoId(network=here))
    whole = replace(half, lifetime_seconds=3, remote=SainfoId(network=there))
    other = replace(half, lifetime_seconds=4, remoteid=9)
    sainfos = (anonymous, half, whole, other)
    local, remote = traffic_identity(here, 0, 0), traffic_identity(there, 0, 0)

    def found(local: Identification, remote: Identification, ph1id: int = 0) -> int | None:
        sainfo = SainfoIndex(sainfos).find(local, remote, ph1id)
        return sainfo.lifetime_seconds if sainfo else None

    assert found(local, remote) == 3
    assert found(local, local) == 2
    assert found(remote, remote) == 1
    assert found(replace(local, port=80, protocol=6), remote) == 1
    assert found(local, local, 9) == 4
    assert SainfoIndex((whole,)).find(remote, local, 0) is None


def test_without_identities_the_hosts_are_meant() -> None:
    selector = host_selector(ip_address("10.0.0.1"), ip_address("10.0.0.2"))
    assert str(selector) == "10.0.0.1/32[any] 10.0.0.2/32[any] any"
