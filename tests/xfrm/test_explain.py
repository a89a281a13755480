"""setkey -D --explain: what belongs together, what looks wrong, and no key."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from lab.xfrm_values import aes_cbc, hmac_sha1, policies, security_associations
from wire.secret import Secret
from xfrm.algorithms import Kind
from xfrm.esp.reasons import Reason
from xfrm.model import (
    Action,
    Algorithm,
    Direction,
    Lifetime,
    Mode,
    Policy,
    SecurityAssociation,
    Selector,
    Template,
    Usage,
)
from xfrm.setkey.explain import (
    STATISTICS,
    _algorithm,
    explain,
    explain_statistics,
    parse_statistics,
)

NOW = 1_764_000_000
A, B = ip_address("192.168.1.100"), ip_address("192.168.1.200")
OUT = SecurityAssociation(
    src=A,
    dst=B,
    spi=0x1000,
    mode=Mode.TUNNEL,
    reqid=7,
    encryption=aes_cbc(),
    authentication=hmac_sha1(),
    lifetime=Lifetime(soft_seconds=2880, hard_seconds=3600),
    usage=Usage(octets=544, packets=4, added=NOW - 300, used=NOW - 299),
)
POLICY = Policy(
    selector=Selector(src=ip_network(A), dst=ip_network("192.168.2.0/24"), protocol=132),
    direction=Direction.OUT,
    templates=(Template(mode=Mode.TUNNEL, src=A, dst=B, reqid=7),),
)
IN = replace(
    POLICY,
    direction=Direction.IN,
    selector=Selector(src=ip_network("192.168.2.0/24"), dst=ip_network(A), protocol=132),
    templates=(Template(mode=Mode.TUNNEL, src=B, dst=A, reqid=7),),
)


def said(sas: list[SecurityAssociation], policies: list[Policy], now: int = NOW) -> list[str]:
    return list(explain(sas, policies, now))


def test_an_sa_and_its_policy_name_each_other() -> None:
    assert said([OUT], [POLICY]) == [
        "SA ESP 0x00001000 192.168.1.100 -> 192.168.1.200: tunnel, aes-cbc (key of 128 bits),"
        " hmac-sha1 (key of 160 bits) truncated to 96 bits, request id 7, replay window 64 packets",
        "  4 packets, 544 octets in 5 min; lives 60 min",
        "  for leaving packets 192.168.1.100 -> 192.168.2.0/24 sctp",
        "Policy for leaving packets 192.168.1.100 -> 192.168.2.0/24 sctp: protect",
        "  by ESP tunnel 192.168.1.100 -> 192.168.1.200: SA 0x00001000",
    ]


def test_several_limits_are_joined_by_or() -> None:
    limited = replace(OUT, lifetime=Lifetime(hard_seconds=3600, hard_octets=1000, hard_packets=9))
    assert said([limited], [POLICY])[1].endswith("; lives 60 min or 1000 octets or 9 packets")


def test_icmp_has_a_type_and_a_code_and_no_ports() -> None:
    echo = replace(POLICY.selector, protocol=1, src_port=8, dst_port=0)
    ends = "Policy for leaving packets 192.168.1.100 -> 192.168.2.0/24 icmp"
    assert said([], [replace(POLICY, selector=echo)])[0] == f"{ends} type 8 code 0: protect"
    any_code = replace(echo, dst_port=None)
    assert said([], [replace(POLICY, selector=any_code)])[0] == f"{ends} type 8: protect"


def test_empty_tables_let_everything_pass() -> None:
    assert said([], []) == ["There are no SAs and no policies: everything passes as it is."]


def warnings(*sas: SecurityAssociation, policies: list[Policy], now: int = NOW) -> str:
    return "\n".join(line for line in said(list(sas), policies, now) if line.startswith("  !"))


def test_a_policy_without_an_sa_says_what_will_happen() -> None:
    assert "ask a keying daemon" in warnings(policies=[POLICY])
    assert "such packets are discarded" in warnings(policies=[IN])
    optional = replace(POLICY, templates=(replace(POLICY.templates[0], optional=True),))
    assert warnings(policies=[optional]) == ""


def test_a_request_id_that_keeps_two_apart_is_named() -> None:
    assert "matches but for its request id: 8, the policy's is 7" in warnings(
        replace(OUT, reqid=8), policies=[POLICY]
    )


def test_an_arriving_policy_takes_any_request_id_if_it_asks_for_none() -> None:
    anyone = replace(IN, templates=(replace(IN.templates[0], reqid=0),))
    arriving = replace(OUT, src=B, dst=A)
    assert "no such SA" not in warnings(arriving, policies=[anyone])


def test_an_sa_without_a_policy_and_one_past_its_soft_lifetime_are_noticed() -> None:
    assert "no policy uses it" in warnings(OUT, policies=[])
    assert "soft lifetime is over" in warnings(OUT, policies=[POLICY], now=NOW + 3000)


def test_a_check_value_that_no_peer_expects_is_noticed() -> None:
    sha256 = replace(hmac_sha1(), name="hmac(sha256)", icv_bits=96)
    assert "the standard to 128" in warnings(replace(OUT, authentication=sha256), policies=[POLICY])


def test_an_arriving_sa_without_replay_check_and_a_gateway_without_fwd_are_noticed() -> None:
    arriving = replace(OUT, src=B, dst=A, replay_window=0)
    text = warnings(arriving, policies=[IN])
    assert "replay window is 0" in text
    assert "no `fwd` policy" in text
    assert "no `fwd` policy" not in warnings(
        arriving, policies=[IN, replace(IN, direction=Direction.FWD)]
    )


def test_a_larval_sa_waits() -> None:
    larval = replace(OUT, encryption=None, authentication=None, larval=True)
    assert "waiting for its keys for 5 min" in said([larval], [])[1]


def test_a_discarding_policy_says_so() -> None:
    (line,) = said([], [replace(POLICY, action=Action.BLOCK, templates=())])
    assert line.endswith(": discard")


@given(st.lists(security_associations(), max_size=3), st.lists(policies(), max_size=3))
def test_everything_can_be_explained_and_no_key_is_shown(
    sas: list[SecurityAssociation], listed: list[Policy]
) -> None:
    text = "\n".join(said(sas, listed))
    assert text
    for sa in sas:
        for algorithm in (sa.encryption, sa.authentication, sa.aead):
            if algorithm is not None and len(algorithm.key) > 4:
                assert algorithm.key.reveal().hex() not in text


def test_the_kernels_counters_are_put_into_words() -> None:
    text = "XfrmInError                0\nXfrmInStateProtoError      12\nnonsense\nXfrmInNew x\n"
    (line,) = explain_statistics(parse_statistics(text))
    assert line == (
        "  ! 12 packets failed authentication or decryption: keys or algorithms differ"
        " (XfrmInStateProtoError)"
    )
    assert all(name.startswith("Xfrm") for name in STATISTICS)


@st.composite
def related(draw: st.DrawFn) -> tuple[list[SecurityAssociation], list[Policy]]:
    """SAs and policies between a few ends, so that many belong together."""
    ends = st.sampled_from([A, B, ip_address("192.168.1.7")])
    reqids, modes = st.sampled_from([0, 0, 7]), st.sampled_from([Mode.TUNNEL, Mode.TRANSPORT])
    networks = st.sampled_from([ip_network(A), ip_network(B), ip_network("192.168.1.0/24")])
    sas = [
        replace(
            OUT, spi=0x1000 + number, src=draw(ends), dst=draw(ends), mode=draw(modes),
            reqid=draw(reqids), larval=draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 6)))
    ]  # fmt: skip
    made = []
    for _ in range(draw(st.integers(0, 6))):
        template = Template(
            mode=draw(modes), src=draw(ends), dst=draw(ends), reqid=draw(reqids),
            optional=draw(st.booleans()),
        )  # fmt: skip
        selector = Selector(src=draw(networks), dst=draw(networks))
        way = draw(st.sampled_from([Direction.OUT, Direction.IN, Direction.FWD]))
        made.append(Policy(selector=selector, direction=way, templates=(template,)))
    return sas, made


@given(related())
def test_what_belongs_together_among_many_is_what_belongs_together_two_by_two(
    found: tuple[list[SecurityAssociation], list[Policy]],
) -> None:
    def lines(start: str, sas: list[SecurityAssociation], policies: list[Policy]) -> list[str]:
        return [line for line in said(sas, policies) if line.startswith(start)]

    sas, made = found
    for sa in sas:
        two_by_two = [line for policy in made for line in lines("  for ", [sa], [policy])]
        assert lines("  for ", [sa], made) == two_by_two
    for policy in made:
        for start in ("  by ESP", "  ! SA"):
            alone = [line for sa in sas for line in lines(start, [sa], [policy]) if "SA 0x" in line]
            among = [line for line in lines(start, sas, [policy]) if "SA 0x" in line]
            assert bool(among) <= bool(alone)
            assert set(among) <= set(alone)
        by_one = any("SA 0x" in line for sa in sas for line in lines("  by ", [sa], [policy]))
        assert any("SA 0x" in line for line in lines("  by ", sas, [policy])) == by_one


def test_a_policy_for_every_protocol_names_none() -> None:
    every = replace(POLICY, selector=replace(POLICY.selector, protocol=0))
    assert said([], [every])[0] == (
        "Policy for leaving packets 192.168.1.100 -> 192.168.2.0/24: protect"
    )


def test_what_the_userspace_path_counts_has_the_kernels_names_or_is_our_own() -> None:
    """/proc/net/xfrm_stat; an operator has one vocabulary."""
    of_kernel = {*STATISTICS, "XfrmInHdrError", "XfrmOutError"}
    ours = {
        "MguInDummy", "MguInCongestion", "MguInDeviceError", "MguOutHdrError", "MguOutTooBig",
        "MguOutLoop",
    }  # fmt: skip
    assert {reason.value for reason in Reason} <= of_kernel | ours


def test_an_algorithm_is_named_with_the_bits_of_its_key_and_of_its_check_value() -> None:
    null = Algorithm(name="ecb(cipher_null)", key=Secret(b""))
    assert _algorithm(Kind.ENCRYPTION, null) == "null"
    aes = Algorithm(name="cbc(aes)", key=Secret(bytes(16)))
    assert _algorithm(Kind.ENCRYPTION, aes) == "aes-cbc (key of 128 bits)"
    sha1 = Algorithm(name="hmac(sha1)", key=Secret(bytes(20)), icv_bits=96)
    said = "hmac-sha1 (key of 160 bits) truncated to 96 bits"
    assert _algorithm(Kind.AUTHENTICATION, sha1) == said
    strange = Algorithm(name="rot(13)", key=Secret(bytes(1)))
    assert _algorithm(Kind.ENCRYPTION, strange) == "rot(13) (key of 8 bits)"
