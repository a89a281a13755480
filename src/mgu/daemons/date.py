"""What a daemon that checks certificates waits for at a boot under systemd: the right date.

It waits with everything loaded, so that it begins at once. After that the daemon starts without a
date: a closed port could not be repaired remotely.
"""

import asyncio
import contextlib
import logging
from typing import Final

from mgu.arguments import Parser

LOOK: Final = 0.05  # seconds between two looks
_log = logging.getLogger("mgu")


def add_option(made: Parser) -> None:
    made.add_argument(
        "--wait-date",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="if localntp runs, wait at most so many seconds until the date is right",
    )


async def right(patience: float, stop: asyncio.Event) -> bool:
    """Wait until the date is right, `patience` s at most; not if no service sets it.

    Returns: False if `stop` was set meanwhile.
    """
    from mgu import timekeeping  # late: -h does not need it

    if patience > 0 and timekeeping.trust() is None and timekeeping.is_being_set():
        _log.info("the date is not right yet: waiting for it, %g s at most", patience)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await _right_or_stopped(stop)
    return not stop.is_set()


async def _right_or_stopped(stop: asyncio.Event) -> None:
    from mgu import timekeeping

    while timekeeping.trust() is None and not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK)
