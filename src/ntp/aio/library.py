"""The two calls of the library."""

import os
import time
from collections.abc import Sequence

from ntp.aio.driver import run
from ntp.client import Client
from ntp.conf import ServerLine
from ntp.messages import Outcome
from ntp.peer import NTP_PORT
from ntp.peers import peers
from ntp.trust import Floor
from ntp.turn import Policy


async def query(
    host: str,
    *,
    port: int = NTP_PORT,
    samples: int = 1,
    within: float = 5.0,
    pivot: int | None = None,
) -> Outcome:
    """Ask one server; its answer is not confirmed.

    Args: `samples`, two seconds apart; `within`, s, for all of it; `pivot`, Unix ns: a date that
    has passed (default: the local clock's, which must then not be decades off).
    Never raises for what the network does: see `outcome.verdict` and `outcome.why`.
    """
    return await agree([host], port=port, samples=samples, within=within, pivot=pivot)


async def agree(
    hosts: Sequence[str],
    *,
    port: int = NTP_PORT,
    samples: int = 1,
    within: float = 5.0,
    pivot: int | None = None,
) -> Outcome:
    """Ask several servers at once; the outcome is what a majority of them says, or of those that
    answer: then it is called unconfirmed.

    Args: as for `query`; with four hosts or more, one false server does no harm.
    """
    lines = [ServerLine(host=host, port=port) for host in hosts]
    date = time.time_ns() if pivot is None else pivot
    asked = peers(lines, {}, entropy=os.urandom, pivot=date, timeout=within)
    floor = Floor(released=0 if pivot is None else pivot)
    return await run(Client(asked, floor=floor, policy=Policy(samples=samples, timeout=within)))
