"""Whether a peer's packets would be dropped by a strict reverse path filter."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from lab.esp_values import policy
from xfrm.model import Direction, Policy
from xfrm.tun.rpfilter import RpFilter

PEERS = st.sampled_from(["10.0.0.1", "10.0.0.9", "10.1.0.1", "192.0.2.1", "fd00::1"])
NETWORKS = st.sampled_from(["10.0.0.0/29", "10.0.0.0/24", "10.0.0.0/8", "0.0.0.0/0", "fd00::/64"])


class Caught(RpFilter):
    """Takes down whom it would warn of."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[object] = []

    def _warn(self, caught: object) -> None:
        self.found.append(caught)


@given(st.lists(st.tuples(PEERS, NETWORKS, st.booleans()), max_size=12))
def test_a_peer_within_a_routed_network_is_found_whichever_came_first(
    changes: list[tuple[str, str, bool]],
) -> None:
    caught = Caught()
    there: list[Policy] = []
    for peer, network, stays in changes:
        if (":" in peer) != (":" in network):
            continue
        own = "::/0" if ":" in network else "0.0.0.0/0"
        made = policy(Direction.OUT, own, network, (peer, peer))
        before = len(caught.found)
        caught.add(made)
        both = [*there, made]
        of_this = [
            each for each in both for net in both
            if (each is made or net is made)
            and each.templates[0].dst in net.selector.dst
        ]  # fmt: skip
        assert (len(caught.found) > before) == bool(of_this)
        if stays:
            there.append(made)
        else:
            caught.remove(made)
    assert ip_address("192.0.2.77") not in caught.found
