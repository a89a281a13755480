"""What setkey -D and -DP print: words, tabs and trailing blanks of the manual and ipsec-tools."""

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given

from lab.xfrm_values import aes_cbc, hmac_sha1, policies, security_associations
from wire.secret import Secret
from xfrm.model import (
    Action,
    Algorithm,
    Direction,
    Encapsulation,
    Lifetime,
    Mode,
    Policy,
    Protocol,
    SecurityAssociation,
    Selector,
    Template,
    Usage,
)
from xfrm.pfkey import dump_message, parse_dump
from xfrm.setkey.show import show_policy, show_sa


def unix(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


MANUAL = SecurityAssociation(
    src=ip_address("10.105.68.54"),
    dst=ip_address("10.105.68.60"),
    spi=266192963,
    encryption=aes_cbc(bytes.fromhex("bc31a0ac98924ff1585d6413fbedb274")),
    authentication=hmac_sha1(bytes.fromhex("89e1aceaf22af30f7d6dde47139e1846f18fb283")),
    replay_window=4,
    lifetime=Lifetime(hard_seconds=3600, soft_seconds=2880),
    usage=Usage(
        octets=544, packets=4, added=unix("2015-05-04 14:05:30"), used=unix("2015-05-04 14:05:31")
    ),
)

# The operational directions, 6.1.7, with the tabs and blanks that print lost.
MANUAL_TEXT = (
    "10.105.68.54 10.105.68.60 \n"
    "\tesp mode=transport spi=266192963(0x0fddc843) reqid=0(0x00000000)\n"
    "\tE: aes-cbc  bc31a0ac 98924ff1 585d6413 fbedb274\n"
    "\tA: hmac-sha1  89e1acea f22af30f 7d6dde47 139e1846 f18fb283\n"
    "\tseq=0x00000000 replay=4 flags=0x00000000 state=mature \n"
    "\tcreated: May  4 14:05:30 2015\tcurrent: May  4 14:05:38 2015\n"
    "\tdiff: 8(s)\thard: 3600(s)\tsoft: 2880(s)\n"
    "\tlast: May  4 14:05:31 2015\thard: 0(s)\tsoft: 0(s)\n"
    "\tcurrent: 544(bytes)\thard: 0(bytes)\tsoft: 0(bytes)\n"
    "\tallocated: 4\thard: 0\tsoft: 0\n"
    "\tsadb_seq=1 pid=6456 refcnt=0\n"
)


def test_an_sa_is_shown_as_in_the_manual() -> None:
    now = unix("2015-05-04 14:05:38")
    assert show_sa(MANUAL, sequence=1, pid=6456, now=now, zone=UTC) == MANUAL_TEXT


def test_an_sa_that_went_through_pf_key_is_shown_the_same() -> None:
    now = unix("2015-05-04 14:05:38")
    (dumped,) = parse_dump(dump_message(MANUAL, sequence=1, pid=6456, now=now))
    shown = show_sa(dumped.sa, sequence=dumped.sequence, pid=dumped.pid, now=now, zone=UTC)
    assert shown == MANUAL_TEXT


def test_encapsulation_shows_ports_and_esp_udp() -> None:
    sa = replace(MANUAL, encapsulation=Encapsulation(), mode=Mode.TUNNEL)
    first, second, *_ = show_sa(sa, now=MANUAL.usage.added).splitlines()
    assert first == "10.105.68.54[4500] 10.105.68.60[4500] "
    assert second.startswith("\tesp-udp mode=tunnel spi=")


def test_compression_runs_into_the_next_line_as_setkeys_does() -> None:
    deflate = Algorithm(name="deflate", key=Secret(b""))
    sa = SecurityAssociation(
        src=MANUAL.src,
        dst=MANUAL.dst,
        spi=65540,
        protocol=Protocol.IPCOMP,
        compression=deflate,
        replay_window=0,
    )
    assert "\tC: deflate \tseq=0x00000000 replay=0 flags" in show_sa(sa, now=1)


def test_an_sa_never_used_shows_blanks_as_wide_as_a_date() -> None:
    sa = replace(MANUAL, usage=replace(MANUAL.usage, used=0))
    line = f"\tlast: {' ' * 20}\thard: 0(s)\tsoft: 0(s)\n"
    assert line in show_sa(sa, now=MANUAL.usage.added, zone=UTC)


@given(security_associations())
def test_every_sa_can_be_shown(sa: SecurityAssociation) -> None:
    text = show_sa(sa, now=1_764_000_000)
    assert text.startswith(str(sa.src))
    assert text.endswith("refcnt=0\n")


@given(policies())
def test_every_policy_can_be_shown(policy: Policy) -> None:
    text = show_policy(policy)
    assert f"spid={policy.index} " in text
    assert text.count("\n") == 6 + len(policy.templates)


def between(protocol: int, src_port: int | None, dst_port: int | None) -> Selector:
    return Selector(
        src=ip_network("10.98.1.0/24"),
        dst=ip_network("10.98.9.0/24"),
        protocol=protocol,
        src_port=src_port,
        dst_port=dst_port,
    )


def test_a_policy_is_shown_as_by_setkey() -> None:
    policy = Policy(
        selector=between(6, None, 80),
        direction=Direction.OUT,
        priority=0x80000000 - 100,
        templates=(
            Template(
                mode=Mode.TUNNEL,
                src=ip_address("10.99.0.1"),
                dst=ip_address("10.99.0.9"),
                reqid=7,
            ),
            Template(protocol=Protocol.AH),
        ),
        index=41,
        usage=Usage(added=unix("2026-11-23 19:04:18")),
    )
    assert show_policy(policy, sequence=5, pid=997, zone=UTC) == (
        "10.98.1.0/24[any] 10.98.9.0/24[80] tcp\n"
        "\tout prio def + 100 ipsec\n"
        "\tesp/tunnel/10.99.0.1-10.99.0.9/unique:7\n"
        "\tah/transport//require\n"
        "\tcreated: Nov 23 19:04:18 2026  lastused:                     \n"
        "\tlifetime: 0(s) validtime: 0(s)\n"
        "\tspid=41 seq=5 pid=997\n"
        "\trefcnt=1\n"
    )


@pytest.mark.parametrize(
    ("selector", "shown"),
    [
        (between(0, None, None), "10.98.1.0/24[any] 10.98.9.0/24[any] 255"),
        (between(1, 8, 0), "10.98.1.0/24 10.98.9.0/24 icmp 8,0"),
        (between(132, 2816, None), "10.98.1.0/24[2816] 10.98.9.0/24[any] sctp"),
        (between(200, None, None), "10.98.1.0/24[any] 10.98.9.0/24[any] 200"),
    ],
)
def test_the_selector_of_a_policy_names_what_it_matches(selector: Selector, shown: str) -> None:
    policy = Policy(selector=selector, direction=Direction.FWD, action=Action.BLOCK)
    assert show_policy(policy).splitlines()[:2] == [shown, "\tfwd discard"]


def test_a_policy_of_a_socket_says_so() -> None:
    policy = Policy(selector=between(0, None, None), direction=Direction.SOCKET_OUT, index=36)
    assert show_policy(policy).startswith("(per-socket policy) \n\tout(socket) none\n")
