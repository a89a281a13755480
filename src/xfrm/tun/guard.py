"""Drops packets in clear that should have been protected (RFC 4301, 5.2, step 4).

Such packets never see the TUN device, so the kernel's packet filter refuses them: the inbound
policies are in one table of nf_tables, the `in` ones where the host's own packets pass, the `fwd`
ones where forwarded ones do (see `chain`). What comes from the TUN device has been checked. The
table stays when the process is killed, as the barriers of `routes` do.

It is also where the next start reads what the policies were. Each element carries its policy as a
note (a structure of linux/xfrm.h), outbound ones in sets that no rule asks. So what is protected
and the memory of it are one thing, changed in one transaction, on no disk and in no file.
"""

import errno
import logging
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import count
from typing import Final, TypeVar

from wire.buffers import enlarge
from wire.cursor import DecodeError
from xfrm.dataplane import XfrmError
from xfrm.esp.packet import ICMPV6, UDP
from xfrm.model import Direction, Policy, Protocol
from xfrm.netlink.answers import policy_of
from xfrm.netlink.messages import Message, MessageType
from xfrm.tun import nft
from xfrm.tun.chain import Chain
from xfrm.tun.spd import PolicyEntry, Spd

logger = logging.getLogger("xfrm")

TABLE: Final = "mgu-ipsec"
_CHAINS: Final = {Direction.IN: ("input", 1), Direction.FWD: ("forward", 2)}  # with NF_INET_*
_ATTEMPTS: Final = 10  # at a list that is not changed meanwhile
_KIND: Final = socket.SOCK_RAW | socket.SOCK_NONBLOCK
_NETLINK_NETFILTER: Final = 12
_GROUPS: Final = 1 << 6  # NFNLGRP_NFTABLES
_ROOM: Final = 16 << 20  # octets: 40,000 policies go in one message
_LARGEST: Final = 65536  # octets
_NEIGHBOURS: Final = range(133, 138)  # ICMPv6 types of RFC 4861: they go in clear
# The kernel has no nf_tables, or not all of it that is used here.
_LACKING: Final = frozenset(
    {errno.EPROTONOSUPPORT, errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.ENOENT}
)


T = TypeVar("T")


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
        numbers = count(1)
        self._chains = {way: Chain(TABLE, name, numbers) for way, (name, _) in _CHAINS.items()}
        self._chains[Direction.OUT] = Chain(TABLE, None, numbers)
        self._ours = False  # the table is a killed process's, or damaged

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
                "the kernel has no nf_tables: packets that arrive in clear and should have been"
                " protected are not dropped"
            )
            return None
        return guard

    def fileno(self) -> int:
        return self._watch.fileno()

    def close(self) -> None:
        with suppress(OSError):  # another program was faster
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
                # Of the same priority the older decides: indexes count on.
                return sorted(map(_noted, self._notes()), key=lambda policy: policy.index)
            except nft.Interrupted:
                continue
            except (OSError, DecodeError) as error:
                raise _unread(str(error)) from error
        raise _unread("it changed during each try")

    def _notes(self) -> list[bytes]:
        """Raises: OSError, DecodeError, nft.Interrupted."""
        found: list[bytes] = []
        for name in self._listed(nft.list_sets(TABLE), nft.names):
            found += self._listed(nft.list_elements(TABLE, name), nft.notes)
        return found

    def _listed(self, request: bytes, read: "Callable[[bytes], tuple[list[T], bool]]") -> list[T]:
        self._socket.send(request)
        found: list[T] = []
        last = False
        while not last:
            some, last = read(self._socket.recv(_LARGEST))
            found += some
        return found

    @property
    def stale(self) -> bool:
        """Whether the table or one of its rules was removed, so that `follow` has to be called."""
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

    def change(self, old: PolicyEntry | None, new: PolicyEntry | None, spd: Spd) -> None:
        """Have the rules of `spd`, in which `new` is in the place of `old`. Raises XfrmError."""
        messages: list[bytes] | None = [] if self._is_ours() else None
        for entry in (old, new):
            chain = self._chains.get(entry.policy.direction) if entry is not None else None
            if chain is None or entry is None or messages is None:
                continue
            made = chain.remove(entry) if entry is old else chain.add(entry)
            messages = None if made is None else [*messages, *made]
        if messages is None or messages:
            self._send_all(messages, spd)

    def follow(self, spd: Spd) -> None:
        """Make all rules again if some were removed. Raises XfrmError."""
        if not self._is_ours():
            self._send_all(None, spd)

    def _is_ours(self) -> bool:
        return self._ours and not self.stale

    def _send_all(self, messages: list[bytes] | None, spd: Spd) -> None:
        """One transaction; None: the whole table."""
        self._ours, self._gone = False, False
        try:
            self._send(self._whole(spd) if messages is None else messages)
        except OSError as error:
            self._gone = True
            raise XfrmError(
                f"the rules against clear packets cannot be set: {error.strerror}"
            ) from error
        self._ours = True

    def _whole(self, spd: Spd) -> list[bytes]:
        messages = [nft.add_table(TABLE), nft.delete_table(TABLE), nft.add_table(TABLE)]
        messages += [*_chains(), *self._first]
        for way, chain in self._chains.items():
            messages += chain.whole(spd.ordered(way))
        return messages

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
    fields = [nft.source(4, 24), nft.protocol()]
    match = nft.from_interface("") + nft.later_fragment6() + nft.at_transport(0, _short(0))
    match += nft.in_set("probe", 0, fields)
    rule = nft.add_rule(TABLE, _CHAINS[Direction.IN][0], match, nft.DROP)
    return nft.add_set(TABLE, "probe", 0, fields) + rule


def _first(device: str, ike_ports: Iterable[int]) -> list[bytes]:
    """What no policy is asked about."""
    rules = [
        nft.add_rule(TABLE, chain, nft.from_interface(name), nft.ACCEPT)
        for chain, _ in _CHAINS.values()
        for name in (device, "lo")
    ]
    own = [nft.of_protocol(protocol) for protocol in (Protocol.ESP, Protocol.AH)]
    own += [nft.of_protocol(UDP) + nft.at_transport(2, _short(port)) for port in ike_ports]
    own += [nft.later_fragment6()]  # nothing comes of it without its first, which is looked at
    own += [nft.of_protocol(ICMPV6) + nft.at_transport(0, bytes((kind,))) for kind in _NEIGHBOURS]
    chain, _ = _CHAINS[Direction.IN]
    return rules + [nft.add_rule(TABLE, chain, match, nft.ACCEPT) for match in own]


def _unread(why: str) -> XfrmError:
    return XfrmError(
        f"what an earlier process protects cannot be read from the rules of its table ({why}): "
        f"'nft delete table inet {TABLE}' removes that protection"
    )


def _noted(note: bytes) -> Policy:
    """Raises: DecodeError."""
    return policy_of(Message.parse(MessageType.UPDPOLICY, note))


def _short(number: int) -> bytes:
    return number.to_bytes(2, "big")
