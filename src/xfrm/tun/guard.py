"""Refuses what comes in clear and should have been protected (RFC 4301, 5.2, step 4).

Such packets never see the TUN device, so the kernel's packet filter refuses them: the inbound
policies are rules of one table of nf_tables, in their order, the `in` ones where the host's own
packets pass, the `fwd` ones where forwarded ones do. What comes from the TUN device has been
checked. The table stays when the process is killed, as the barriers of `routes` do.

It is also where the next start reads what the policies were. Each rule carries its policy as a note
(a structure of linux/xfrm.h), outbound ones in a chain that no packet passes. So what is protected
and the memory of it are one thing, changed in one transaction, on no disk and in no file.
"""

import errno
import logging
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Final

from wire.buffers import enlarge
from wire.cursor import DecodeError
from xfrm.dataplane import XfrmError
from xfrm.esp.packet import ICMP, ICMPV6, UDP
from xfrm.model import Action, Direction, Policy, Protocol, Selector
from xfrm.netlink import requests
from xfrm.netlink.answers import policy_of
from xfrm.netlink.messages import Message, MessageType
from xfrm.tun import nft

logger = logging.getLogger("xfrm")

TABLE: Final = "mgu-ipsec"
_CHAINS: Final[dict[Direction, tuple[str, int | None]]] = {  # with NF_INET_*
    Direction.IN: ("input", 1),
    Direction.FWD: ("forward", 2),
    Direction.OUT: ("outbound", None),
}
_ATTEMPTS: Final = 10  # at a list that nobody changes meanwhile
_KIND: Final = socket.SOCK_RAW | socket.SOCK_NONBLOCK
_NETLINK_NETFILTER: Final = 12
_GROUPS: Final = 1 << 6  # NFNLGRP_NFTABLES
_ROOM: Final = 4 << 20  # octets: all rules go in one message
_LARGEST: Final = 65536  # octets
_NEIGHBOURS: Final = range(133, 138)  # ICMPv6 types of RFC 4861: they go in clear
# The kernel has no nf_tables, or not all of it that is used here.
_LACKING: Final = frozenset(
    {errno.EPROTONOSUPPORT, errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.ENOENT}
)

Rules = dict[Direction, list[bytes]]


class Guard:
    """The table. Only what is new is sent.

    The event loop can watch this object: it is readable when `stale` may have become true.
    """

    def __init__(self, sock: socket.socket, watch: socket.socket, first: list[bytes]) -> None:
        """`watch` gets the notifications of nf_tables; `first` are rules in front of policies'."""
        self._socket = sock
        self._watch = watch
        self._gone = False
        self._first = first
        self._installed: Rules | None = None  # None: the table is a killed process's, or damaged

    @classmethod
    def open(cls, device: str, ike_ports: Iterable[int]) -> "Guard | None":
        """None if the kernel has no nf_tables, which a warning says. Raises XfrmError.

        A table that a killed process left behind stays as it is until policies are known.
        """
        sockets: list[socket.socket] = []
        try:
            for groups in (0, _GROUPS):
                sockets.append(socket.socket(socket.AF_NETLINK, _KIND, _NETLINK_NETFILTER))
                sockets[-1].bind((0, groups))
            sock, watch = sockets
            enlarge(sock, socket.SO_SNDBUF, _ROOM)
            guard = cls(sock, watch, _first(device, ike_ports))
            guard._send([nft.add_table(TABLE), *_chains(), _probe()])
        except OSError as error:
            for each in sockets:
                each.close()
            if error.errno not in _LACKING:
                raise XfrmError(f"the table {TABLE} cannot be made: {error.strerror}") from error
            logger.warning(
                "the kernel has no nf_tables: packets that come in clear and should have been "
                "protected are not refused"
            )
            return None
        return guard

    def fileno(self) -> int:
        return self._watch.fileno()

    def close(self) -> None:
        with suppress(OSError):  # somebody was faster
            self._send([nft.delete_table(TABLE)])
        self.let_go()

    def let_go(self) -> None:
        """End here, and leave the table."""
        self._socket.close()
        self._watch.close()

    def left_behind(self) -> list[Policy]:
        """The policies of a killed process whose table this was. Raises XfrmError."""
        for _ in range(_ATTEMPTS):
            try:
                return [_noted(note) for note in self._notes()]
            except nft.Interrupted:
                continue
            except (OSError, DecodeError) as error:
                raise _unread(str(error)) from error
        raise _unread("others change theirs all the time")

    def _notes(self) -> list[bytes]:
        """Raises: OSError, DecodeError, nft.Interrupted."""
        self._socket.send(nft.list_rules(TABLE))
        found: list[bytes] = []
        last = False
        while not last:
            some, last = nft.notes(self._socket.recv(_LARGEST))
            found += some
        return found

    @property
    def stale(self) -> bool:
        """Whether somebody took the table or of its rules, so that `follow` has to be called."""
        ours = self._socket.getsockname()[0]
        while True:
            try:
                octets = self._watch.recv(_LARGEST)
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # nothing more
                    return self._gone
                self._gone = True  # for all we know
                continue
            self._gone = self._gone or nft.takes_away(octets, TABLE, ours)

    def follow(self, policies: Mapping[Direction, Sequence[Policy]]) -> None:
        """Make the rules those of `policies`, the first of which decides. Raises XfrmError."""
        wanted = {way: [_rule(each) for each in policies[way]] for way in _CHAINS}
        if self.stale:
            self._installed = None
        if wanted == self._installed:
            return
        messages = self._added(wanted)
        self._installed, self._gone = None, False
        try:
            self._send(self._whole(wanted) if messages is None else messages)
        except OSError as error:
            self._gone = True
            raise XfrmError(
                f"the rules against clear packets cannot be set: {error.strerror}"
            ) from error
        self._installed = wanted

    def _added(self, wanted: Rules) -> list[bytes] | None:
        """The rules at the ends of the chains, if that is all that is new."""
        if self._installed is None:
            return None
        added = []
        for way, rules in self._installed.items():
            if wanted[way][: len(rules)] != rules:
                return None
            added += wanted[way][len(rules) :]
        return added

    def _whole(self, wanted: Rules) -> list[bytes]:
        messages = [nft.add_table(TABLE), nft.delete_table(TABLE), nft.add_table(TABLE)]
        rules = [rule for way in _CHAINS for rule in wanted[way]]
        return [*messages, *_chains(), *self._first, *rules]

    def _send(self, messages: Sequence[bytes]) -> None:
        """One transaction; the kernel has answered when `send` returns."""
        self._socket.send(nft.batch(messages))
        failed: list[int] = []
        with suppress(BlockingIOError):
            while True:
                failed += nft.errors(self._socket.recv(_LARGEST))
        if failed:
            raise OSError(failed[0], os.strerror(failed[0]))


def _chains() -> list[bytes]:
    return [nft.add_chain(TABLE, *chain) for chain in _CHAINS.values()]


def _probe() -> bytes:
    """All that rules may have, for packets of no interface: does the kernel know it?"""
    match = nft.from_interface("") + nft.later_fragment6() + nft.at_transport(0, _short(0))
    return nft.add_rule(TABLE, _CHAINS[Direction.IN][0], match, nft.DROP)


def _first(device: str, ike_ports: Iterable[int]) -> list[bytes]:
    """What no policy is asked about."""
    rules = [
        nft.add_rule(TABLE, chain, nft.from_interface(name), nft.ACCEPT)
        for chain, hook in _CHAINS.values()
        if hook is not None
        for name in (device, "lo")
    ]
    own = [nft.of_protocol(protocol) for protocol in (Protocol.ESP, Protocol.AH)]
    own += [nft.of_protocol(UDP) + nft.at_transport(2, _short(port)) for port in ike_ports]
    own += [nft.later_fragment6()]  # nothing comes of it without its first, which is looked at
    own += [nft.of_protocol(ICMPV6) + nft.at_transport(0, bytes((kind,))) for kind in _NEIGHBOURS]
    chain, _ = _CHAINS[Direction.IN]
    return rules + [nft.add_rule(TABLE, chain, match, nft.ACCEPT) for match in own]


@lru_cache(maxsize=4096)
def _rule(policy: Policy) -> bytes:
    """What the policy says of a packet in clear, and the policy itself."""
    note = bytes(requests.policy_message(MessageType.UPDPOLICY, policy))
    passes = policy.action == Action.ALLOW and all(each.optional for each in policy.templates)
    chain, _ = _CHAINS[policy.direction]
    verdict = nft.ACCEPT if passes else nft.DROP
    return nft.add_rule(TABLE, chain, _match(policy.selector), verdict, note)


def _unread(why: str) -> XfrmError:
    return XfrmError(
        f"what an earlier process protects cannot be read from the rules of its table ({why}): "
        f"'nft delete table inet {TABLE}' ends its protection"
    )


def _noted(note: bytes) -> Policy:
    """Raises: DecodeError."""
    return policy_of(Message.parse(MessageType.UPDPOLICY, note))


def _match(selector: Selector) -> nft.Match:
    match = nft.of_version(selector.dst.version)
    match += nft.from_network(selector.src) + nft.to_network(selector.dst)
    if selector.protocol:
        match += nft.of_protocol(selector.protocol)
    # For ICMP these are type and code, of one octet.
    size = 1 if selector.protocol in (ICMP, ICMPV6) else 2
    for index, number in enumerate((selector.src_port, selector.dst_port)):
        if number is not None:
            match += nft.at_transport(index * size, number.to_bytes(size, "big"))
    return match


def _short(number: int) -> bytes:
    return number.to_bytes(2, "big")
