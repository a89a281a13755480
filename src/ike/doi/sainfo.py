"""Which `sainfo` is meant (racoon.conf(5)): both identities match, the most precise wins."""

from collections.abc import Iterable

from ike.config import Sainfo
from ike.doi.identity import sainfo_matches
from ike.isakmp.payloads import Identification


def find_sainfo(
    sainfos: Iterable[Sainfo], local: Identification, remote: Identification, ph1id: int
) -> Sainfo | None:
    """The sainfo for traffic between these, under a remote with this `ph1id`."""
    matching = [
        sainfo
        for sainfo in sainfos
        if sainfo.remoteid in (0, ph1id)
        and sainfo_matches(sainfo.local, local)
        and sainfo_matches(sainfo.remote, remote)
    ]
    return max(matching, key=_precision, default=None)


def _precision(sainfo: Sainfo) -> int:
    return (sainfo.local is not None) + (sainfo.remote is not None) + (sainfo.remoteid != 0)
