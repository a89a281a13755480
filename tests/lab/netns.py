"""Hosts and cables for tests: see `mgu.demo.netns`; here is what only tests need, a lossy cable."""

import os

from mgu.demo.netns import CommandFailed, Namespace, Veth, sweep

__all__ = ["CommandFailed", "Namespace", "Veth", "lose", "sweep"]


def lose(cable: Veth, percent: int) -> None:
    """Drop so many of the frames at random, each way; 0 drops none again. EAPOL counts too.

    With nftables' netdev hook, which the guest's kernel does not have: there with netem.
    """
    for namespace, ifname in (cable.left, cable.right):
        if os.environ.get("UML") == "1":
            netem = ("root", "netem", "loss", f"{percent}%")
            namespace.run("tc", "qdisc", "replace", "dev", ifname, *netem)
        else:
            namespace.run("nft", "-f", "-", stdin=_rules(ifname, percent))


def _rules(ifname: str, percent: int) -> str:
    table = f"netdev loss-{ifname}"
    rule = f"numgen random mod 100 < {percent} drop" if percent else "accept"
    return f"""
        table {table}
        delete table {table}
        table {table} {{
            chain ingress {{
                type filter hook ingress device "{ifname}" priority 0
                {rule}
            }}
        }}
    """
