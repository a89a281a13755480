"""mgu timed: keeps the gateway's clock right, as /etc/localntp.conf says."""

import asyncio
import json
import logging
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mgu import daemon, exits, logs, privileges, timeconf, timekeeping
from mgu.arguments import Parser
from mgu.commands.localntp_text import as_json, as_text
from mgu.files import write_whole
from mgu.paths import LOCALNTP_CONF, TIME_STATUS, under_root
from ntp.aio.errors import ClockRefused, NotPermitted
from ntp.aio.service import serve
from ntp.errors import ConfigurationError
from ntp.messages import Outcome
from ntp.service import Service
from ntp.source import Source
from ntp.sources import sources

KEEP: Final = frozenset({"CAP_SYS_TIME"})

log = logging.getLogger("ntp")


class Gateway:
    """The machine, as ntp.aio.service needs it."""

    def __init__(self) -> None:
        self._clock = timekeeping.gateway_clock()
        self._right = False

    @property
    def shift(self) -> int:
        return self._clock.shift

    def floor(self) -> int:
        return timekeeping.floor()

    def raise_to_floor(self) -> None:
        timekeeping.raise_to_floor(self._clock)

    def set_right(self, outcome: Outcome, *, step: bool, poll: int) -> None:
        action = timekeeping.set_right(self._clock, outcome, step=step, poll=poll)
        level = logging.DEBUG if self._right and not step else logging.INFO
        self._right = True
        for line in as_text(outcome, action).splitlines():
            log.log(level, "%s", line)

    def save(self) -> None:
        timekeeping.save(self._clock.now())

    def told(self, outcome: Outcome) -> None:
        text = as_text(outcome, "none") if outcome.verdict.usable else outcome.why
        document = json.loads(as_json(outcome, "none")) | {"text": text}
        write_whole(under_root(TIME_STATUS), json.dumps(document).encode())
        daemon.notify(f"STATUS={text.splitlines()[0]}")


_EPILOG: Final = """\
exit codes: 0 stopped, 1 failed, 4 no permission to set the clock, 64 usage or configuration
"""


def _parser() -> Parser:
    parser = Parser("timed", description=__doc__, epilog=_EPILOG)
    parser.add_argument("-B", action="store_true", dest="background", help="run in the background")
    parser.add_argument("-P", type=Path, dest="pidfile", metavar="FILE", help="pid file")
    parser.add_argument("-d", action="count", default=0, dest="debug", help="log more")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    logs.setup("timed", debug=options.debug, syslog=options.background)
    gateway = Gateway()
    try:
        gateway.raise_to_floor()  # before any network
        for rival in timekeeping.rivals():
            log.warning("%s", rival)
        setup = timeconf.installed()
        if not setup.configuration.servers:
            raise ConfigurationError(
                f"{under_root(LOCALNTP_CONF)} names no server; do: localNTP -a -n ADDRESS"
            )
        made = sources(
            setup.configuration.servers,
            setup.keys,
            entropy=os.urandom,
            pivot=timekeeping.floor(),
            allow_md5=True,  # whoever installed the key was asked then
        )
        if options.background:
            daemon.detach(options.pidfile)
        return _serve(gateway, made, setup.configuration.ca)
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


def _serve(gateway: Gateway, made: list[Source], ca: str) -> int:
    async def until_stopped(stop: asyncio.Event) -> int:
        privileges.drop(KEEP)
        daemon.ready()
        await serve(Service(random.random), made, gateway, stop, ca)
        return exits.OK

    return daemon.run(until_stopped, (ClockRefused, NotPermitted, OSError))


if __name__ == "__main__":
    sys.exit(main())
