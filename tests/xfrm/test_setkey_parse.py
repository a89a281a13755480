"""setkey's language: what is written is what is meant, and mistakes are pointed at."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.xfrm_values import algorithms, networks, versions
from wire.secret import Secret
from xfrm.algorithms import Kind, row_of
from xfrm.model import (
    Action,
    Address,
    Algorithm,
    Direction,
    Encapsulation,
    Lifetime,
    Mode,
    Network,
    Policy,
    Protocol,
    SaId,
    SecurityAssociation,
    Selector,
    Template,
)
from xfrm.setkey.parse import parse
from xfrm.setkey.show import show_policy
from xfrm.setkey.statements import (
    CHOOSE_REQID,
    AddPolicy,
    AddSa,
    DeleteAllSas,
    DeletePolicy,
    DeleteSa,
    DumpPolicies,
    DumpSas,
    FlushPolicies,
    FlushSas,
    GetSa,
    GetSpi,
    Operation,
    SetkeyError,
)
from xfrm.setkey.words import Names

A, B = ip_address("10.0.0.1"), ip_address("10.0.0.2")


def one(text: str) -> Operation:
    (statement,) = parse(text)
    return statement


def sa(text: str) -> SecurityAssociation:
    statement = one(text)
    assert isinstance(statement, AddSa)
    return statement.sa


def policy(text: str) -> Policy:
    statement = one(text)
    assert isinstance(statement, AddPolicy)
    return statement.policy


# The example of setkey(8)'s manual page, in today's lengths of keys
EXAMPLE = """
add     3ffe:501:4819::1 3ffe:501:481d::1 esp 123457
        -E des-cbc 0x3ffe05014819ffff ;

add -6  3ffe:501:4819::1 3ffe:501:481d::1 ah 123456
        -A hmac-sha1 "AH SA configuration!" ;

add     10.0.11.41 10.0.11.33 esp 0x10001
        -E des-cbc 0x3ffe05014819ffff
        -A hmac-md5 "authentication!!" ;

get     3ffe:501:4819::1 3ffe:501:481d::1 ah 123456 ;

flush ;

dump esp ;   # a comment; with a semicolon

spdadd  10.0.11.41/32[21] 10.0.11.33/32[any] any
        -P out ipsec esp/tunnel/192.168.0.1-192.168.1.2/require ;
"""


def test_the_example_of_the_manual_page_is_understood() -> None:
    first, second, third, fourth, *_, spd = parse(EXAMPLE)
    assert isinstance(first, AddSa)
    assert first.sa.src.version == 6
    assert first.sa.authentication is None
    assert isinstance(second, AddSa)
    assert second.sa.protocol is Protocol.AH
    assert second.sa.authentication == Algorithm(
        name="hmac(sha1)", key=Secret(b"AH SA configuration!"), icv_bits=96
    )
    assert isinstance(third, AddSa)
    assert third.sa.id == SaId(ip_address("10.0.11.33"), Protocol.ESP, 0x10001)
    assert isinstance(fourth, GetSa)
    assert isinstance(spd, AddPolicy)
    assert spd.policy.selector.src_port == 21
    assert spd.policy.templates == (
        Template(mode=Mode.TUNNEL, src=ip_address("192.168.0.1"), dst=ip_address("192.168.1.2")),
    )
    assert spd.place.line == 18


def test_all_options_of_an_sa() -> None:
    assert sa(
        "add -4n 10.0.0.1[4500] 10.0.0.2[4501] esp-udp 65537 -m tunnel -r 8 -u 7 -f zero-pad"
        " -lh 100 -ls 80 -bh 1000 -bs 800 -E aes-cbc 0x000102030405060708090a0b0c0d0e0f"
        ' -A hmac-sha256 "12345678901234567890123456789012";'
    ) == SecurityAssociation(
        src=A,
        dst=B,
        spi=65537,
        mode=Mode.TUNNEL,
        reqid=7,
        replay_window=8,
        encryption=Algorithm(name="cbc(aes)", key=Secret(bytes(range(16)))),
        authentication=Algorithm(
            name="hmac(sha256)", key=Secret(b"12345678901234567890123456789012"), icv_bits=128
        ),
        encapsulation=Encapsulation(src_port=4500, dst_port=4501),
        lifetime=Lifetime(hard_seconds=100, soft_seconds=80, hard_octets=1000, soft_octets=800),
    )


def test_esp_udp_without_ports_is_on_4500() -> None:
    found = sa("add 10.0.0.1 10.0.0.2 esp-udp 0x1000 -E null;")
    assert found.encapsulation == Encapsulation(src_port=4500, dst_port=4500)


def test_esp_that_only_authenticates_gets_the_null_cipher() -> None:
    found = sa('add 10.0.0.1 10.0.0.2 esp 0x1000 -A hmac-sha1 "12345678901234567890";')
    assert found.encryption == Algorithm(name="ecb(cipher_null)", key=Secret(b""))


def test_ipcomp() -> None:
    found = sa("add 10.0.0.1 10.0.0.2 ipcomp 0x200 -C deflate;")
    assert found.compression == Algorithm(name="deflate", key=Secret(b""))


@given(algorithms(Kind.AEAD))
def test_a_combined_mode_is_an_encryption_algorithm(algorithm: Algorithm) -> None:
    row = row_of(Kind.AEAD, algorithm)
    assert row is not None
    key = algorithm.key.reveal().hex()
    assert sa(f"add 10.0.0.1 10.0.0.2 esp 300 -E {row.setkey[0]} 0x{key};").aead == algorithm


def test_statements_about_tables() -> None:
    kinds = [type(statement) for statement in parse("flush;dump;spdflush;spddump;flush ah;")]
    assert kinds == [FlushSas, DumpSas, FlushPolicies, DumpPolicies, FlushSas]
    flush = one("flush esp;")
    assert isinstance(flush, FlushSas)
    assert flush.protocol is Protocol.ESP


def test_statements_that_name_sas() -> None:
    delete, every, reserve = parse(
        "delete 10.0.0.1 10.0.0.2 ah 0x1000; deleteall 10.0.0.1 10.0.0.2 esp;"
        "getspi 10.0.0.1 10.0.0.2 esp -m tunnel -u 5;"
    )
    assert isinstance(delete, DeleteSa)
    assert delete.sa == SaId(B, Protocol.AH, 0x1000)
    assert isinstance(every, DeleteAllSas)
    assert (every.src, every.dst, every.protocol) == (A, B, Protocol.ESP)
    assert isinstance(reserve, GetSpi)
    assert (reserve.mode, reserve.reqid) == (Mode.TUNNEL, 5)


def test_exit_ends_the_file() -> None:
    assert [type(each) for each in parse("flush; exit; spdflush;")] == [FlushSas]


@st.composite
def written_policies(draw: st.DrawFn) -> Policy:
    """What setkey's language can say of a policy."""
    version = draw(versions)
    ends: st.SearchStrategy[Network] = networks(version)
    protocol = draw(st.integers(0, 254))
    has_ports = protocol not in (1, 47, 58, 135)
    port = st.none() | st.integers(0, 65535) if has_ports else st.none()
    rules = draw(st.lists(written_templates(), max_size=3).map(tuple))
    action = Action.ALLOW if rules else draw(st.sampled_from(Action))
    return Policy(
        selector=Selector(
            src=draw(ends), dst=draw(ends), protocol=protocol,
            src_port=draw(port), dst_port=draw(port),
        ),
        direction=draw(st.sampled_from([Direction.IN, Direction.OUT, Direction.FWD])),
        action=action,
        templates=rules,
        priority=draw(st.integers(0x40000001, 0xBFFFFFFF)),
    )  # fmt: skip


@st.composite
def written_templates(draw: st.DrawFn) -> Template:
    mode = draw(st.sampled_from(Mode))
    end = st.integers(1, 2**32 - 1).map(ip_address) if mode is Mode.TUNNEL else st.none()
    optional = draw(st.booleans())
    return Template(
        protocol=draw(st.sampled_from(Protocol)),
        mode=mode,
        src=draw(end),
        dst=draw(end),
        optional=optional,
        reqid=0 if optional else draw(st.integers(0, 32767)),
    )


@given(written_policies())
def test_a_policy_that_is_shown_reads_back(wanted: Policy) -> None:
    """`setkey -DP` prints the selector, priority, action and rules as the language has them."""
    selector, action, *rest = show_policy(wanted).splitlines()
    direction, rules = action.strip(), " ".join(line.strip() for line in rest[:-4])
    assert policy(f"spdadd {selector} -P {direction} {rules};") == wanted


@pytest.mark.parametrize(
    ("written", "kernel"),
    [
        ("", 0x80000000),
        ("prio def", 0x80000000),
        ("prio low", 0xC0000000),
        ("priority high", 0x40000000),
        ("prio 100", 0x80000000 - 100),
        ("prio -100", 0x80000000 + 100),
        ("prio high + 5", 0x40000000 - 5),
        ("prio low-5", 0xC0000000 + 5),
    ],
)
def test_a_larger_priority_is_a_smaller_number_to_the_kernel(written: str, kernel: int) -> None:
    assert policy(f"spdadd 10.0.0.1 10.0.0.2 any -P out {written} none;").priority == kernel


def test_an_in_policy_brings_the_one_for_forwarded_packets() -> None:
    text = "spdadd 10.0.0.0/24 10.0.1.0/24 any -P in ipsec esp/transport//require;"
    statement = one(text)
    assert isinstance(statement, AddPolicy)
    assert statement.twin == replace(statement.policy, direction=Direction.FWD)
    (statement,) = parse(text, kernel_semantics=True)
    assert isinstance(statement, AddPolicy)
    assert statement.twin is None
    statement = one("spddelete 10.0.0.0/24 10.0.1.0/24 any -P in;")
    assert isinstance(statement, DeletePolicy)
    assert statement.twin is not None


@pytest.mark.parametrize(
    ("level", "optional", "reqid"),
    [
        ("default", False, 0),
        ("", False, 0),
        ("use", True, 0),
        ("require", False, 0),
        ("unique", False, CHOOSE_REQID),
        ("unique:7", False, 7),
    ],
)
def test_levels(level: str, optional: bool, reqid: int) -> None:
    (template,) = policy(
        f"spdadd 10.0.0.1 10.0.0.2 any -P out ipsec esp/transport//{level};"
    ).templates
    assert (template.optional, template.reqid) == (optional, reqid)


def test_ports_of_tunnel_end_points_are_taken_and_idle() -> None:
    (template,) = policy(
        "spdadd 10.0.0.1 10.0.0.2 any -P out ipsec esp/tunnel/10.0.0.1[4500]-10.0.0.2[4500]/use;"
    ).templates
    assert (template.src, template.dst) == (A, B)


@pytest.mark.parametrize(
    ("upper", "protocol", "ports"),
    [
        ("any", 0, (None, None)),
        ("255", 0, (None, None)),
        ("tcp", 6, (None, None)),
        ("sctp", 132, (None, None)),
        ("132", 132, (None, None)),
        ("icmp 8,0", 1, (8, 0)),
        ("icmp6 135,0", 58, (135, 0)),
        ("gre 65537", 47, (1, 1)),
        ("frob", 99, (None, None)),
    ],
)
def test_upper_protocols(upper: str, protocol: int, ports: tuple[int | None, int | None]) -> None:
    names = Names(upper_protocol={"frob": 99}.get)
    (statement,) = parse(f"spdadd 10.0.0.1 10.0.0.2 {upper} -P out none;", names)
    assert isinstance(statement, AddPolicy)
    selector = statement.policy.selector
    assert (selector.protocol, (selector.src_port, selector.dst_port)) == (protocol, ports)


HOSTS: dict[str, list[Address]] = {
    "here": [A, ip_address("fd00::1")],
    "there": [B, ip_address("fd00::2")],
}


def test_a_name_with_two_addresses_makes_two_statements_unless_a_family_is_said() -> None:
    names = Names(addresses=lambda name: HOSTS.get(name, []))
    text = "spdadd {} here there any -P out none;"
    both = parse(text.format(""), names)
    assert [each.policy.selector.src for each in both if isinstance(each, AddPolicy)] == [
        ip_network(A),
        ip_network("fd00::1"),
    ]
    assert len(parse(text.format("-6"), names)) == 1
    with pytest.raises(SetkeyError, match="-n forbids names"):
        parse(text.format("-n"), names)


MISTAKES = {
    "add 10.0.0.1 10.0.0.2 esp 0x1000 -E aes-cbd 0x00;": (1, 37, "did you mean 'aes-cbc'"),
    "flush;\n\n  flsh;": (3, 3, "did you mean 'flush'"),
    "spdadd 10.0.0.1 10.0.0.2 here -P out none;": (1, 26, "not an upper layer protocol"),
    "flush;\nflush": (2, 6, "ends inside a statement"),
    "add 10.0.0.1 fd00::1 esp 500 -E null;": (1, 14, "different families"),
    "add 10.0.0.1 10.0.0.2 esp 500 -E aes-cbc 0x123;": (1, 42, "odd number of digits"),
    "add 10.0.0.1 10.0.0.2 esp 500 -E aes-cbc 0x12;": (1, 42, "128 or 192 or 256 bits"),
    "add 10.0.0.1 10.0.0.2 esp 500 -E aes-cbc abc;": (1, 42, 'a key is "text" or 0x'),
    'add 10.0.0.1 10.0.0.2 esp 500 -E aes-cbc "abc\n";': (1, 42, "no closing quote"),
    "add 10.0.0.1 10.0.0.2 esp 0 -E null;": (1, 27, "1 to 4294967295"),
    "add 10.0.0.1 10.0.0.2 esp 500;": (1, 23, "needs -E"),
    "add 10.0.0.1 10.0.0.2 ah 500 -E null;": (1, 23, "needs -A"),
    "add 10.0.0.1 10.0.0.2 ipcomp 500 -E null;": (1, 23, "-C is for ipcomp only"),
    "add 10.0.0.1 10.0.0.2 esp-old 500 -E null;": (1, 23, "Linux has no 'esp-old'"),
    "add 10.0.0.1 10.0.0.2 esp 500 -E des-deriv 0x00;": (1, 34, "Linux has no 'des-deriv'"),
    "add 10.0.0.1 10.0.0.2 esp 500 -m tunel -E null;": (1, 34, "did you mean 'tunnel'"),
    "add 10.0.0.1/24[ 10.0.0.2 esp 500 -E null;": (1, 16, "not understood here"),
    "spdadd nowhere 10.0.0.2 any -P out none;": (1, 8, "no host has that name"),
    "spdadd 10.0.0.1/33 10.0.0.2 any -P out none;": (1, 8, "0 to 32 bits"),
    "spdadd 10.0.0.1[http] 10.0.0.2 tcp -P out none;": (1, 8, "a port is 0 to 65535"),
    "spdadd 10.0.0.1 10.0.0.2 tcp 5 -P out none;": (1, 30, "allows no '5'"),
    "spdadd 10.0.0.1 10.0.0.2 icmp 8 -P out none;": (1, 31, "TYPE,CODE"),
    "spdadd 10.0.0.1 10.0.0.2 any -P sideways none;": (1, 33, "in, out, fwd"),
    "spdadd 10.0.0.1 10.0.0.2 any -P out prio hihg none;": (1, 42, "not a priority"),
    "spdadd 10.0.0.1 10.0.0.2 any -P out disacrd;": (1, 37, "did you mean 'discard'"),
    "spdadd 10.0.0.1 10.0.0.2 any -P out ipsec;": (1, 37, "needs a rule"),
    "spdadd 10.0.0.1 10.0.0.2 any -P out none esp/transport//use;": (1, 37, "allows no rules"),
    "spdadd 10.0.0.1 10.0.0.2 any -P out ipsec esp/tunnel//use;": (1, 43, "end points"),
    "spdadd 10.0.0.1 10.0.0.2 any -P out ipsec esp/transport//unique:0;": (1, 43, "1 to 32767"),
    "spdadd 10.0.0.1 10.0.0.2 any -P out ipsec esp/transport//requier;": (1, 43, "'require'"),
    'spdadd 10.0.0.1 10.0.0.2 any -ctx 1 1 "x" -P out none;': (1, 35, "contexts"),
    'spdadd tagged "x" -P out none;': (1, 1, "no tagged policies"),
    "spdadd fd00::1 fd00::2 any -P out ipsec esp/tunnel/fe80::1%eth0-fd00::2/use;": (
        1,
        41,
        "one interface",
    ),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_pointed_at_and_explained(text: str) -> None:
    line, column, says = MISTAKES[text]
    with pytest.raises(SetkeyError) as caught:
        parse(text)
    assert str(caught.value).startswith(f"stdin:{line}:{column}: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "add 10.0.0.1 10.0.0.2 esp 500 -E aes-cbc 0x0123456789abcdef 0x0123456789abcdef01;",
        "add 10.0.0.1 10.0.0.2 esp 500 -E 0x0123456789abcdef01234567;",
        "add 10.0.0.1 10.0.0.2 esp 0x0123456789abcdef01234567 -E null;",
        "add 10.0.0.1 10.0.0.2 esp 500 -E aes-cbc 0x0123456789abcdef01234567;",
        'add 10.0.0.1 10.0.0.2 esp 500 -E aes-cbc 0x12 "0123456789abcdef01";',
    ],
)
def test_a_key_at_the_wrong_place_is_not_shown(text: str) -> None:
    with pytest.raises(SetkeyError) as caught:
        parse(text)
    assert "0123456789abcdef" not in str(caught.value)


@given(st.text(max_size=200))
def test_arbitrary_text_raises_only_setkey_error(text: str) -> None:
    try:
        parse(text)
    except SetkeyError:
        return


WORDS = sorted(set(EXAMPLE.split()) | {"-r", "-lh", "prio", "+", "99999999999999999999", "::", "/"})


@given(st.lists(st.sampled_from(WORDS), max_size=14))
def test_words_in_any_order_raise_only_setkey_error(words: list[str]) -> None:
    try:
        parse(" ".join(["spdadd", *words, ";"]))
    except SetkeyError:
        return


@pytest.mark.parametrize(("digits", "is_shown"), [(16, True), (17, False)])
def test_a_number_that_is_long_enough_for_a_key_is_not_shown(digits: int, is_shown: bool) -> None:
    number = "0x" + "7" * digits
    with pytest.raises(SetkeyError) as caught:
        parse(f"add 10.0.0.1 10.0.0.2 esp 500 {number};")
    assert (number in str(caught.value)) == is_shown


@pytest.mark.parametrize(
    "key", ["0x01234567geheim00;", "0x0123456789geheim oops;", "geheim;", "no geheim;", '"geheim']
)
def test_no_message_shows_a_key_or_what_stands_in_its_place(key: str) -> None:
    for mode in ("transport", "transprot"):
        with pytest.raises(SetkeyError) as refused:
            parse(f"add 10.0.0.1 10.0.0.2 esp 0x1000 -m {mode} -E des-cbc {key}\n")
        excerpt = refused.value.report().partition("\n")[2]
        assert "-E des-cbc **" in excerpt
        assert "geheim" not in excerpt
    with pytest.raises(SetkeyError) as refused:
        parse("add 10.0.0.1 10.0.0.2 esp 0x1000 -m oops -E des-cbc 0x0123456789abcdef -A null;")
    assert "-E des-cbc ****************** -A null;" in refused.value.report()
    with pytest.raises(SetkeyError) as refused:
        parse("add 10.0.0.1 10.0.0.2 esp 0x1000 -E null -A non_auth;")
    assert "-E null -A non_auth;" in refused.value.report()
