"""`--load`: as many authentications at once, for so long, in as many processes as are given.

Each process has stations of its own: a station is a supplicant that begins again as soon as it is
through, or when the rate allows. Processes tell the first one what came of it, some times a second.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Final

from eapol.system.keylog import key_log
from mgu.eapoltest.drive import authenticate
from mgu.eapoltest.report import SCHEMA_VERSION
from mgu.eapoltest.session import Outcome, Result, Session
from mgu.eapoltest.setup import Setup, SetupError
from mgu.eapoltest.tally import Tally
from radius.aio.client import RadiusClient

_TELL: Final = 0.25  # seconds between two reports of a process
_SHOW: Final = 1.0  # seconds between two progress lines
_SHOW_IN_A_LOG: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one process does; `rate` in authentications a second, None for as fast as it goes."""

    stations: int
    rate: float | None
    seconds: float


def shares(stations: int, rate: float | None, seconds: float, processes: int) -> list[Share]:
    """At most as many processes as stations; what does not divide goes to the first ones."""
    count = min(processes, stations)
    base, more = divmod(stations, count)
    return [
        Share(
            stations=base + (number < more),
            rate=None if rate is None else rate * (base + (number < more)) / stations,
            seconds=seconds,
        )
        for number in range(count)
    ]


def main(options: argparse.Namespace, setup: Setup) -> int:
    """Raises: SetupError."""
    for name in ("capture", "junit", "certificates"):
        if getattr(options, name) is not None:
            raise SetupError(
                "--capture, --junit and -o are of single authentications, not of --load"
            )
    setup.context(None)  # what is wrong with the files is said once, and here
    mine = shares(options.load, options.rate, options.duration, options.processes)
    begun = time.monotonic()
    tally = _gather(options, setup, mine, begun)
    seconds = max(time.monotonic() - begun, 0.001)
    if options.json:
        load = tally.document(seconds, len(mine))
        document = {
            "schema_version": SCHEMA_VERSION,
            "success": tally.exit_code == 0 and bool(tally.milliseconds),
            "exit_code": tally.exit_code,
            "servers": [str(server) for server in setup.servers],
            "load": load,
        }
        print(json.dumps(document, indent=2))
    else:
        print("\n".join(tally.lines(seconds)))
    return tally.exit_code


def _gather(
    options: argparse.Namespace, setup: Setup, mine: list[Share], begun: float
) -> Tally:  # fmt: skip
    context = multiprocessing.get_context("fork")
    open_ends: dict[Connection, ForkProcess] = {}
    for share in mine:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_process, args=(theirs, options, setup, share))
        process.start()
        theirs.close()
        open_ends[ours] = process
    tally, shown = Tally(), begun
    try:
        while open_ends:
            for end in wait(list(open_ends), timeout=_SHOW):
                assert isinstance(end, Connection)
                try:
                    tally.add(end.recv())
                except EOFError:
                    open_ends.pop(end).join()
            shown = _show(tally, begun, shown)
    except KeyboardInterrupt:
        pass  # what came until now is shown
    finally:
        for process in open_ends.values():
            process.terminate()
            process.join()
        if sys.stderr.isatty():
            print(file=sys.stderr)
    return tally


def _show(tally: Tally, begun: float, shown: float) -> float:
    """The progress line: one that is written anew on a terminal, one now and then in a log."""
    now = time.monotonic()
    terminal = sys.stderr.isatty()
    if now - shown < (_SHOW if terminal else _SHOW_IN_A_LOG):
        return shown
    line = tally.progress(now - begun)
    print(f"\r{line:<79}" if terminal else line, end="" if terminal else "\n", file=sys.stderr)
    sys.stderr.flush()
    return now


# In the other processes


def _process(end: Connection, options: argparse.Namespace, setup: Setup, share: Share) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends us
    with end, suppress(BrokenPipeError):
        asyncio.run(_run(end, options, setup, share))


async def _run(end: Connection, options: argparse.Namespace, setup: Setup, share: Share) -> None:
    tally = Tally()
    with key_log(options.keys) as keylog:
        context = setup.context(keylog)
        pace = Pace(share, asyncio.get_running_loop().time())
        async with RadiusClient(setup.servers, source=setup.source) as client:
            station = replace(setup.station, named=False)
            sessions = [Session(station, context, os.urandom) for _ in range(share.stations)]
            tasks = [asyncio.create_task(_station(each, client, pace, tally)) for each in sessions]
            left = set(tasks)
            while left:
                done, left = await asyncio.wait(left, timeout=_TELL)
                for task in done:
                    task.result()
                told, tally.milliseconds = tally.milliseconds, []
                end.send(Tally(told, tally.errors, tally.resumed))
                tally.errors, tally.resumed = type(tally.errors)(), 0


class Pace:
    """When the next authentication begins; None when no more do."""

    def __init__(self, share: Share, now: float) -> None:
        self._end = now + share.seconds
        self._gap = 0.0 if share.rate is None else 1.0 / share.rate
        self._next = now

    def next(self, now: float) -> float | None:
        at = max(now, self._next)
        if at >= self._end:
            return None
        self._next = at + self._gap
        return at


async def _station(session: Session, client: RadiusClient, pace: Pace, tally: Tally) -> None:
    clock = asyncio.get_running_loop().time
    while (at := pace.next(clock())) is not None:
        if at > clock():
            await asyncio.sleep(at - clock())
        _count(tally, await authenticate(session, client))


def _count(tally: Tally, result: Result) -> None:
    if result.outcome is Outcome.ACCEPTED:
        tally.milliseconds.append(1000 * result.seconds)
        tally.resumed += result.tls is not None and result.tls.resumed
    else:
        tally.errors[result.outcome.exit_code, result.reason] += 1
