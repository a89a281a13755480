"""Says when our own datagrams come back into the device: something changes their mark."""

import logging
from typing import Final

from xfrm.model import Address
from xfrm.tun.outer import MARK, MASK

logger = logging.getLogger("xfrm")

_WARNED: Final = 64  # peers


class LoopWarning:
    """Once for each peer."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._told: set[Address] = set()

    def __call__(self, peer: Address) -> None:
        if peer in self._told or len(self._told) >= _WARNED:
            return
        self._told.add(peer)
        logger.error(
            "what we send to %s comes back into %s, and is dropped: something on this host changes "
            "the bits 0x%x of the mark (our value is 0x%x), as a packet filter's output hook may; "
            "'nft list ruleset' and 'iptables-save -t mangle' show it",
            peer, self._device, MASK, MARK,
        )  # fmt: skip
