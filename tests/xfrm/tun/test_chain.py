"""The rules against clear packets, beside the database that they are made of.

`test_datapath.py` and `interop/test_datapath_clear.py` have the kernel's.
"""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from lab.esp_values import LEFT, RIGHT, policy
from xfrm.model import Direction, Policy
from xfrm.tun import nft
from xfrm.tun.chain import Chain
from xfrm.tun.spd import Spd

IN = Direction.IN
NETWORKS = st.sampled_from(["0.0.0.0/0", "10.1.0.0/16", "10.2.0.0/16", "10.2.3.0/24", "fd00::/64"])


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    src = draw(NETWORKS)
    dst = "fd01::/64" if ":" in src else draw(st.sampled_from(["10.9.0.0/16", "10.9.9.9/32"]))
    ports = draw(st.sampled_from([{}, {"of_protocol": 17, "of_dst_port": 53}, {"of_protocol": 1}]))
    ends = draw(st.sampled_from([(LEFT, RIGHT), None]))  # None: it may come in clear
    return policy(IN, src, dst, ends, priority=draw(st.integers(1, 4)), **ports)


class Filter:
    """A chain beside the database whose policies it has."""

    def __init__(self) -> None:
        self.chain = Chain("t", "input", count(1))
        self.spd = Spd()

    def apply(self, messages: list[bytes] | None) -> bool:
        """Whether the change went without making all anew."""
        if messages is None:
            self.chain.whole(self.spd.ordered(IN))
        return messages is not None

    def decides(self) -> list[int]:
        """The verdict of each policy in its order, as the runs of rules have them."""
        found = []
        for entry in self.spd.ordered(IN):
            run = self.chain._runs[self.chain._at(entry.rank)]
            assert run.first <= entry.rank <= run.last
            found.append(run.verdict)
        return found


@given(st.lists(st.tuples(policies(), st.booleans()), max_size=20))
def test_policies_keep_the_verdict_and_the_order_that_the_database_has(
    changes: list[tuple[Policy, bool]],
) -> None:
    made = Filter()
    made.apply(None)
    for each, stays in changes:
        old = made.spd.get(each)
        entry = made.spd.put(each, 0)
        removed = made.chain.remove(old) if old is not None else []
        made.apply(None if removed is None else made.chain.add(entry))
        if not stays:
            made.apply(made.chain.remove(made.spd.remove(each)))
        wanted = [
            nft.DROP if entry.policy.templates else nft.ACCEPT for entry in made.spd.ordered(IN)
        ]
        assert made.decides() == wanted


def test_one_more_tunnel_is_one_element_and_one_less_is_its_removal() -> None:
    made = Filter()
    first = made.spd.put(policy(IN, "10.2.0.0/24", "10.1.0.0/24", (LEFT, RIGHT)), 0)
    made.apply(None)
    second = made.spd.put(policy(IN, "10.3.0.0/24", "10.1.0.0/24", (LEFT, RIGHT)), 0)
    (added,) = made.chain.add(second) or []
    (gone,) = made.chain.remove(made.spd.remove(first.policy)) or []
    assert bytes([10, 3, 0, 0, 10, 1, 0, 0]) in added
    assert bytes([10, 2, 0, 0, 10, 1, 0, 0]) in gone


def test_outbound_policies_are_kept_without_a_rule() -> None:
    chain = Chain("t", None, count(1))
    entry = Spd().put(policy(Direction.OUT, "10.1.0.0/24", "10.2.0.0/24", (LEFT, RIGHT)), 0)
    made, element = chain.whole([entry])
    assert b"policies1" in made
    assert b"policies1" in element
