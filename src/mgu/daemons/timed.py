"""mgu timed: keeps the gateway's clock right, as /etc/localntp.conf says."""

import asyncio
import logging
import os
import random
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from mgu import daemon, exits, logs, privileges, timeconf, timekeeping, timestatus
from mgu.arguments import Parser
from mgu.commands.localntp_text import as_text, seconds
from mgu.paths import LOCALNTP_CONF, under_root
from mgu.services.table import become_user
from ntp.aio.service import serve
from ntp.conf import Configuration
from ntp.errors import ConfigurationError
from ntp.jump import Jump
from ntp.messages import Outcome
from ntp.peer import Peer
from ntp.peers import peers
from ntp.service import Service, SetClock, State
from ntp.system.errors import ClockRefused, NotPermitted
from ntp.trust import Level
from ntp.turn import Policy
from wire.runner import clock

KEEP: Final = frozenset({"CAP_SYS_TIME"})

log = logging.getLogger("ntp")


class Gateway:
    """The machine, as ntp.aio.service needs it."""

    def __init__(self) -> None:
        self._clock = timekeeping.gateway_clock()
        self._action = "none"
        self._level: Level | None = None
        self._held: Jump | None = None

    @property
    def shift(self) -> int:
        return self._clock.shift

    def begin(self) -> None:
        """The steps before there is a network. Raises: ClockRefused."""
        timekeeping.raise_to_floor(self._clock)
        timekeeping.restore_frequency(self._clock)
        try:
            timekeeping.unmark_right()  # an earlier service no longer keeps the clock
        except OSError as error:
            log.error("%s: %s", error.filename, error.strerror)

    def set_right(self, command: SetClock) -> None:
        outcome, trust = command.outcome, command.trust
        self._action = timekeeping.set_clock(
            self._clock, outcome, trust, step=command.step, poll=command.poll
        )
        is_news = command.step or trust.level is not self._level
        self._level = trust.level
        for line in as_text(outcome, self._action).splitlines():
            log.log(logging.INFO if is_news else logging.DEBUG, "%s", line)
        timekeeping.mark_right(trust)

    def lose_trust(self) -> None:
        self._level = None
        timekeeping.unmark_right()

    def save(self, date: int) -> None:
        timekeeping.save(date)
        timekeeping.save_frequency(self._clock)

    def told(self, state: State, outcome: Outcome | None) -> None:
        jump, self._held = self._held, state.jump
        if state.jump and (jump is None or jump.waits_for != state.jump.waits_for):
            offset = seconds(state.jump.offset)
            log.warning(
                "a jump of the clock by %s s is held back; it waits for %s",
                offset,
                state.jump.waits_for,
            )
        action = self._action if outcome and outcome.trust and not state.jump else "none"
        line = timestatus.write(state, outcome, action, clock())
        daemon.notify(f"STATUS={line}")


_EPILOG: Final = """\
exit codes: 0 stopped, 1 failed, 4 no permission to set the clock, 64 usage or configuration
"""


def _parser() -> Parser:
    parser = Parser("mgu timed", description=__doc__, epilog=_EPILOG)
    parser.add_argument("-B", action="store_true", dest="background", help="run in the background")
    parser.add_argument("-P", type=Path, dest="pidfile", metavar="FILE", help="pid file")
    parser.add_argument("-d", action="count", default=0, dest="debug", help="log more")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    logs.setup("timed", debug=options.debug, syslog=options.background)
    gateway = Gateway()
    try:
        gateway.begin()
        for rival in timekeeping.rivals():
            log.warning("%s", rival)
        setup = timeconf.installed()
        for notice in setup.notices:
            log.warning("%s", notice)
        if not setup.configuration.servers:
            raise ConfigurationError(
                f"{under_root(LOCALNTP_CONF)} names no server; run: localNTP -a -n ADDRESS"
            )
        made = peers(
            setup.configuration.servers,
            setup.keys,
            entropy=os.urandom,
            pivot=timekeeping.floor().released,
            allow_md5=setup.configuration.allow_md5,
        )
        if options.background:
            daemon.detach(options.pidfile)
        return _serve(gateway, made, setup.configuration)
    except ConfigurationError as error:
        log.error("%s", error)
        return exits.USAGE
    except NotPermitted as error:
        log.error("%s", error)
        return exits.NO_PERMISSION
    except (ClockRefused, daemon.AlreadyRunning) as error:
        log.error("%s", error)
        return exits.FAILED
    except OSError as error:
        log.error("%s: %s", error.filename, error.strerror)
        return exits.FAILED


def _known() -> ExitStack:
    try:
        return timekeeping.at_work()
    except OSError as error:
        log.warning(
            "%s: %s; other daemons do not wait for the date", error.filename, error.strerror
        )
        return ExitStack()


def _serve(gateway: Gateway, made: list[Peer], configuration: Configuration) -> int:
    core = Service(random.random, floor=timekeeping.floor(), maxchange=configuration.maxchange)
    policy = Policy(maxdistance=configuration.maxdistance, minsources=configuration.minsources)

    async def until_stopped(stop: asyncio.Event) -> int:
        become_user("localntp")
        privileges.drop(KEEP)
        with _known():
            daemon.ready()
            await serve(core, made, gateway, stop, policy=policy, ca=configuration.ca)
        return exits.OK

    return daemon.run(until_stopped, (ClockRefused, NotPermitted, OSError))
