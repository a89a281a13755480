"""Sends the messages of one ISAKMP SA to where the peer is, in fragments if it understands them."""

from ike.config import Switch
from ike.context import Context
from ike.isakmp.fragment import split
from ike.isakmp.header import Header
from ike.isakmp.vendor import Vendor
from ike.phase1.facts import Phase1


class Sender:
    def __init__(self, context: Context, facts: Phase1) -> None:
        self._context = context
        self._facts = facts
        self._fragmented = 0  # messages so far

    def send(self, octets: bytes) -> None:
        facts = self._facts
        pieces = [octets]
        if Vendor.FRAGMENTATION in facts.vendors and facts.remote.ike_frag is not Switch.OFF:
            self._fragmented = self._fragmented % 0xFFFF + 1
            pieces = split(Header.parse(octets), octets, self._fragmented)
        for piece in pieces:
            self._context.send(piece, facts.peer, facts.local)
