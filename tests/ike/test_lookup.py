"""What is configured is found by its key: what a search from the first to the last would find."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ike.config import Config, Identifier, PreSharedKeys, Remote, Sainfo, SainfoId
from ike.crypto.names import written_name
from ike.doi.identity import matches, network_of, traffic_identity
from ike.doi.sainfo import SainfoIndex
from ike.errors import InvalidIdInformation
from ike.isakmp.payloads import Identification
from ike.numbers.doi import IdType
from wire.secret import Secret

T = IdType
networks = st.sampled_from(["10.0.0.0/24", "10.0.1.0/24", "10.0.0.7/32", "2001:db8::/64"]).map(
    ip_network
)
identifiers = st.builds(
    Identifier,
    st.sampled_from([T.FQDN, T.USER_FQDN, T.IPV4_ADDR, T.KEY_ID]),
    st.sampled_from(["", "*", "gw.example", "GW.Example", "10.0.0.7", "abcd", "ABCD"]),
)
sides = st.one_of(
    st.none(),
    st.builds(
        SainfoId, network=networks, port=st.integers(0, 1), protocol=st.sampled_from([0, 17])
    ),
    st.builds(SainfoId, identifier=identifiers),
)
sainfos = st.lists(
    st.builds(
        Sainfo,
        local=sides,
        remote=sides,
        remoteid=st.integers(0, 2),
        lifetime_seconds=st.integers(1, 10**9),
    ),
    max_size=12,
)
identities = st.one_of(
    st.builds(traffic_identity, networks, st.sampled_from([0, 17]), st.integers(0, 1)),
    st.builds(
        Identification,
        st.sampled_from([T.FQDN, T.USER_FQDN, T.IPV4_ADDR, T.KEY_ID]),
        st.sampled_from([b"gw.example", b"GW.EXAMPLE", b"\x0a\0\0\x07", b"\xab\xcd"]),
    ),
)


def _matches(side: SainfoId | None, identity: Identification) -> bool:
    """racoon.conf(5), word for word."""
    if side is None:
        return True
    if side.identifier is not None:
        return matches(identity, side.identifier)
    try:
        network = network_of(identity)
    except InvalidIdInformation:
        return False
    values = (side.network, side.port, side.protocol)
    return values == (network, identity.port, identity.protocol)


@given(sainfos, identities, identities, st.integers(0, 2))
def test_the_most_precise_sainfo_is_found_and_of_equals_the_first(
    configured: list[Sainfo], local: Identification, remote: Identification, ph1id: int
) -> None:
    fitting = [
        sainfo
        for sainfo in configured
        if sainfo.remoteid in (0, ph1id)
        and _matches(sainfo.local, local)
        and _matches(sainfo.remote, remote)
    ]
    expected = max(
        fitting,
        key=lambda s: (s.local is not None) + (s.remote is not None) + (s.remoteid != 0),
        default=None,
    )
    assert SainfoIndex(configured).find(local, remote, ph1id) is expected


@pytest.mark.parametrize("kind", [T.FQDN, T.USER_FQDN])
def test_the_case_of_a_name_does_not_matter(kind: IdType) -> None:
    named = Sainfo(remote=SainfoId(identifier=Identifier(kind, "GW.example")))
    here = traffic_identity(ip_network("10.0.0.1/32"), 0, 0)
    assert SainfoIndex([named]).find(here, Identification(kind, b"gw.EXAMPLE"), 0) is named
    assert SainfoIndex([named]).find(here, Identification(kind, b"gw.other"), 0) is None


def test_a_sainfo_may_be_for_a_distinguished_name() -> None:
    named = Sainfo(remote=SainfoId(identifier=Identifier(T.DER_ASN1_DN, "CN=gw")))
    index = SainfoIndex([Sainfo(remoteid=9), named])
    here = traffic_identity(ip_network("10.0.0.1/32"), 0, 0)
    gateway = bytes.fromhex("300d310b3009060355040313026777")  # CN=gw
    assert written_name("CN=gw")
    assert index.find(here, Identification(T.DER_ASN1_DN, gateway), 0) is named
    other = gateway[:-1] + b"x"
    assert index.find(here, Identification(T.DER_ASN1_DN, other), 0) is None


@given(
    st.lists(st.tuples(st.sampled_from("abc*"), st.integers(0, 9)), max_size=8),
    st.lists(st.sampled_from("abcd"), max_size=3),
)
def test_the_first_line_of_psk_txt_with_one_of_the_names_counts(
    lines: list[tuple[str, int]], names: list[str]
) -> None:
    keys = PreSharedKeys(tuple((name, Secret(bytes([key]))) for name, key in lines))
    expected = next((key for name, key in keys.entries if name == "*" or name in names), None)
    assert keys.find(*names) is expected


addresses = st.sampled_from([None, ip_address("10.0.0.1"), ip_address("10.0.0.2")])


@given(
    st.lists(st.tuples(addresses, st.sampled_from([500, 501])), max_size=6),
    addresses.filter(bool),
    st.sampled_from([None, 500, 501]),
)
def test_a_remote_is_found_by_address_then_port_and_else_it_is_anonymous(
    configured: list[tuple[object, int]], address: object, port: int | None
) -> None:
    remotes = tuple(
        Remote(name=str(at), address=where, port=number)  # type: ignore[arg-type]
        for at, (where, number) in enumerate(configured)
    )
    named = [remote for remote in remotes if remote.address == address]
    exact = [remote for remote in named if remote.port == port]
    anonymous = [remote for remote in remotes if remote.address is None]
    expected = next(iter([*exact, *named, *anonymous]), None)
    assert Config(remotes=remotes).remote_for(address, port) is expected  # type: ignore[arg-type]
