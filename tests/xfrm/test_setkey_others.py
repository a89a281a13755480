"""setkey.conf as others write it: what the real setkey reads is read, and means the same."""

from ipaddress import ip_address, ip_network

import pytest

from wire.source import text_of
from xfrm.model import Direction, Mode, Policy, Protocol, SecurityAssociation
from xfrm.setkey.parse import parse
from xfrm.setkey.show import PRIORITY_LOW
from xfrm.setkey.statements import AddPolicy, AddSa, DeletePolicy, FlushSas, Operation
from xfrm.setkey.words import Names

SERVICES = {"l2tp": 1701, "isakmp": 500}
NAMES = Names(port=SERVICES.get, upper_protocol={"sctp": 132}.get)
RULE = "ipsec esp/tunnel/10.0.0.1-10.0.0.2/require"


def one(text: str) -> Operation:
    (operation,) = parse(text, NAMES)
    return operation


def policy(text: str) -> Policy:
    operation = one(text)
    assert isinstance(operation, AddPolicy)
    return operation.policy


def sa(text: str) -> SecurityAssociation:
    operation = one(text)
    assert isinstance(operation, AddSa)
    return operation.sa


@pytest.mark.parametrize("end", ["10.0.0.1 [1701]", "10.0.0.1[ 1701 ]", "10.0.0.1[1701]"])
def test_a_port_may_stand_behind_a_blank(end: str) -> None:
    selector = policy(f"spdadd {end} 10.0.0.2 [any] udp -P out {RULE};").selector
    assert (selector.src_port, selector.dst_port) == (1701, None)


@pytest.mark.parametrize("end", ["10.0.0.0 /24", "10.0.0.0 /24[500]", "10.0.0.0 / 24 [500]"])
def test_a_prefix_may_stand_behind_a_blank(end: str) -> None:
    selector = policy(f"spdadd {end} 10.0.0.2 udp -P out {RULE};").selector
    assert selector.src == ip_network("10.0.0.0/24")


def test_the_host_bits_of_a_network_do_not_matter() -> None:
    selector = policy(f"spdadd 10.0.0.5/24 10.1.0.5/24 any -P out {RULE};").selector
    assert (selector.src, selector.dst) == (ip_network("10.0.0.0/24"), ip_network("10.1.0.0/24"))


def test_a_port_may_have_a_name() -> None:
    selector = policy(f"spdadd 10.0.0.1[l2tp] 10.0.0.2[isakmp] udp -P out {RULE};").selector
    assert (selector.src_port, selector.dst_port) == (1701, 500)


def test_a_comment_may_be_in_any_encoding() -> None:
    (operation,) = parse(text_of(b"# B\xfcro\nflush; # \xe9t\xe9\n"))
    assert isinstance(operation, FlushSas)


def test_a_byte_order_mark_is_passed_over() -> None:
    (operation,) = parse(text_of(b"\xef\xbb\xbfflush;\r\n"))
    assert isinstance(operation, FlushSas)


@pytest.mark.parametrize("written", ["low -5", "low - 5", "low-5", "low\n- 5"])
def test_the_sign_of_a_priority_may_touch_its_number(written: str) -> None:
    made = policy(f"spdadd 10.0.0.0/24 10.1.0.0/24 any -P out prio {written} {RULE};")
    assert made.priority == PRIORITY_LOW + 5


@pytest.mark.parametrize("rest", ["", f" {RULE}", f" prio low - 5 {RULE}", " none", " discard"])
def test_a_policy_is_deleted_by_the_whole_rule_or_its_direction(rest: str) -> None:
    operation = one(f"spddelete 10.0.0.0/24 10.1.0.0/24 any -P out{rest};")
    assert isinstance(operation, DeletePolicy)
    assert operation.policy.direction is Direction.OUT
    assert operation.policy.selector.src == ip_network("10.0.0.0/24")


@pytest.mark.parametrize("spi", [1, 100, 255])
def test_an_spi_below_256_is_taken(spi: int) -> None:
    made = sa(f"add 10.0.0.1 10.0.0.2 esp {spi} -m tunnel -E null -A hmac-md5 0x{'00' * 16};")
    assert made.spi == spi


def test_a_key_keeps_its_octets() -> None:
    text = text_of(b'add 10.0.0.1 10.0.0.2 ah 300 -A hmac-md5 "\xfc23456789012345\xe9";')
    made = sa(text)
    assert made.authentication is not None
    assert made.authentication.key.reveal() == b"\xfc23456789012345\xe9"[:16]


@pytest.mark.parametrize(
    "written",
    [
        "esp/tunnel/10.0.0.1-10.0.0.2/require",
        "esp / tunnel / 10.0.0.1 - 10.0.0.2 / require",
        "esp/tunnel/\n\t10.0.0.1-10.0.0.2/require",
        "esp/tunnel/10.0.0.1[4500]-10.0.0.2[4500]/require",
    ],
)
def test_blanks_within_a_rule_do_not_matter(written: str) -> None:
    (template,) = policy(f"spdadd 10.0.0.0/24 10.1.0.0/24 any -P out ipsec {written};").templates
    assert (template.protocol, template.mode) == (Protocol.ESP, Mode.TUNNEL)
    assert (template.src, template.dst) == (ip_address("10.0.0.1"), ip_address("10.0.0.2"))


def test_two_rules_stay_two_with_all_or_few_of_their_parts() -> None:
    for rules in ("esp/transport//require ah/transport//use", "esp/transport ah/transport"):
        made = policy(f"spdadd 10.0.0.1 10.0.0.2 any -P out ipsec {rules};")
        assert [template.protocol for template in made.templates] == [Protocol.ESP, Protocol.AH]
