"""Hypothesis strategies for SAs and policies that a Linux kernel could hold."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from hypothesis import strategies as st

from wire.secret import Secret
from xfrm.algorithms import TABLE, Kind, Row
from xfrm.model import (
    Action,
    Address,
    Algorithm,
    Direction,
    Encapsulation,
    Lifetime,
    Mark,
    Mode,
    Network,
    Policy,
    Protocol,
    SecurityAssociation,
    Selector,
    Template,
    Usage,
)

U8, U16, U32 = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
U64 = st.integers(0, (1 << 64) - 1)
LIMIT = st.none() | st.integers(1, (1 << 64) - 2)  # the largest number is the kernel's "none"
PORT = st.none() | U16
MARK = st.none() | st.builds(Mark, value=U32, mask=U32)


def addresses(version: int) -> st.SearchStrategy[Address]:
    bits = 32 if version == 4 else 128
    kind: type[Address] = IPv4Address if version == 4 else IPv6Address
    return st.integers(1, (1 << bits) - 1).map(kind)


def networks(version: int) -> st.SearchStrategy[Network]:
    bits = 32 if version == 4 else 128
    kind: type[Network] = IPv4Network if version == 4 else IPv6Network
    numbers = st.tuples(st.integers(0, (1 << bits) - 1), st.integers(0, bits))
    return numbers.map(lambda pair: kind(pair, strict=False))


@st.composite
def algorithms(draw: st.DrawFn, kind: Kind, *, numbered: bool = False) -> Algorithm:
    """One of the table; `numbered` leaves out those that PF_KEY cannot name."""

    def wanted(row: Row) -> bool:
        return row.kind is kind and (row.pfkey > 0 or not numbered)

    row = draw(st.sampled_from([row for row in TABLE if wanted(row)]))
    return row.algorithm(draw(st.binary(min_size=64, max_size=64))[: row.key_bits[-1] // 8])


versions = st.sampled_from([4, 6])


@st.composite
def selectors(draw: st.DrawFn, version: int | None = None) -> Selector:
    version = version or draw(versions)
    return Selector(
        src=draw(networks(version)),
        dst=draw(networks(version)),
        protocol=draw(U8),
        src_port=draw(PORT),
        dst_port=draw(PORT),
    )


lifetimes = st.builds(
    Lifetime,
    soft_seconds=LIMIT,
    hard_seconds=LIMIT,
    soft_octets=LIMIT,
    hard_octets=LIMIT,
    soft_packets=LIMIT,
    hard_packets=LIMIT,
)
usages = st.builds(Usage, octets=U64, packets=U64, added=U64, used=U64)


@st.composite
def security_associations(draw: st.DrawFn, *, numbered: bool = False) -> SecurityAssociation:
    """Any shape: larval, cipher with check value, combined mode, IPComp."""
    version = draw(versions)
    shape = draw(st.sampled_from(["larval", "pair", "aead", "ipcomp"]))
    pair, aead, ipcomp = shape == "pair", shape == "aead", shape == "ipcomp"
    esn = draw(st.booleans())
    return SecurityAssociation(
        src=draw(addresses(version)),
        dst=draw(addresses(version)),
        spi=draw(U32),
        protocol=Protocol.IPCOMP if ipcomp else Protocol.ESP,
        mode=draw(st.sampled_from(Mode)),
        reqid=draw(U32),
        encryption=draw(algorithms(Kind.ENCRYPTION, numbered=numbered)) if pair else None,
        authentication=draw(algorithms(Kind.AUTHENTICATION, numbered=numbered)) if pair else None,
        aead=draw(algorithms(Kind.AEAD, numbered=numbered)) if aead else None,
        compression=draw(algorithms(Kind.COMPRESSION, numbered=numbered)) if ipcomp else None,
        encapsulation=draw(st.none() | st.builds(Encapsulation, src_port=U16, dst_port=U16)),
        replay_window=draw(st.integers(1 if esn else 0, 4096)),
        esn=esn,
        lifetime=draw(lifetimes),
        selector=draw(st.none() | selectors(version)),
        usage=draw(usages),
        larval=shape == "larval",
        sequence=draw(U32),
        mark=draw(MARK),
        if_id=draw(U32),
    )


@st.composite
def templates(draw: st.DrawFn) -> Template:
    mode = draw(st.sampled_from(Mode))
    version = draw(versions)
    ends = addresses(version) if mode == Mode.TUNNEL else st.none()
    return Template(
        protocol=draw(st.sampled_from(Protocol)),
        mode=mode,
        src=draw(ends),
        dst=draw(ends),
        reqid=draw(U32),
        spi=draw(U32),
        optional=draw(st.booleans()),
    )


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    return Policy(
        selector=draw(selectors()),
        direction=draw(st.sampled_from(Direction)),
        action=draw(st.sampled_from(Action)),
        templates=draw(st.lists(templates(), max_size=3).map(tuple)),
        priority=draw(U32),
        index=draw(U32),
        lifetime=draw(lifetimes),
        usage=draw(usages),
        mark=draw(MARK),
        if_id=draw(U32),
    )


def aes_cbc(key: bytes = bytes(range(16))) -> Algorithm:
    return Algorithm(name="cbc(aes)", key=Secret(key))


def hmac_sha1(key: bytes = bytes(range(20))) -> Algorithm:
    return Algorithm(name="hmac(sha1)", key=Secret(key), icv_bits=96)
