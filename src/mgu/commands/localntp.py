"""localNTP: set the gateway's clock from local time servers, and keep it so."""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence

from mgu import clock as gateway_clock
from mgu import exits, timeconf, timekeeping
from mgu.arguments import Parser
from ntp.aio import oneshot
from ntp.aio.errors import ClockRefused, NotPermitted
from ntp.aio.exchange import stamping
from ntp.client import Client
from ntp.conf import is_number
from ntp.errors import ConfigurationError
from ntp.messages import Outcome, Verdict
from ntp.peer import Policy
from ntp.sample import STEPT
from ntp.sources import sources
from wire.lean import Final

SERVICE: Final = "localntp"
NO_MAJORITY: Final = 2
REFUSED: Final = 3

EXITS: Final = {
    Verdict.AGREED: exits.OK,
    Verdict.UNCONFIRMED: exits.OK,
    Verdict.NO_ANSWER: exits.FAILED,
    Verdict.NO_MAJORITY: NO_MAJORITY,
    Verdict.REFUSED: REFUSED,
}

_EPILOG: Final = """\
examples:
  localNTP -a -n 192.168.1.10        set the clock now, and at every boot, from this server
  localNTP -n 192.168.1.10 --dry-run show how wrong the clock is; change nothing
  localNTP -a -n A -n B -n C         believe what a majority of three says
  localNTP -s                        show what is configured, and how right the clock is
  localNTP --wait 60                 end with 0 once the service has set the date right

exit codes: 0 set or shown, 1 no answer (--wait: the date is not right in time), 2 no majority among
the servers, 3 refused (the date is before the floor, the server forbids us to ask, or the
authentication fails), 4 no permission, 64 usage.

files: /etc/localntp.conf, /etc/localntp.keys, /var/lib/mgu/localntp/time (the date saved last),
/run/mgu/localntp/synchronized (there once the date is right). If a wrong date was saved, so that
right ones are refused as being before the floor, remove /var/lib/mgu/localntp/time.
"""


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) <= 3600:
            return value
    raise argparse.ArgumentTypeError(f"must be more than 0 and at most 3600 seconds, not '{text}'")


def _patience(text: str) -> float:
    with contextlib.suppress(ValueError):
        if text == "infinity" or 0 <= float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"must be 0 or more seconds, or 'infinity', not '{text}'")


def _port(text: str) -> int:
    if is_number(text, 0xFFFF):
        return int(text)
    raise argparse.ArgumentTypeError(f"must be a number of 1 to 65535, not '{text}'")


def _parser() -> Parser:
    parser = Parser("localNTP", description=__doc__, epilog=_EPILOG)
    add = parser.add_mutually_exclusive_group().add_argument
    add("-a", action="store_true", dest="activate", help="set the clock, now and from now on")
    add("-d", action="store_true", dest="deactivate", help="stop the service; keep the file")
    add("-s", action="store_true", dest="status", help="show the state")
    wait = "wait until the date is right, so long at most ('infinity': as long as it takes)"
    add("--wait", type=_patience, metavar="SECONDS", help=wait)
    add = parser.add_argument
    server = "time server: address or name (several allowed; default: those configured)"
    add("-n", action="append", dest="servers", default=[], metavar="SERVER", help=server)
    nts = "time server whose answers NTS must authenticate (several allowed)"
    add("--nts", action="append", default=[], metavar="NAME", help=nts)
    add("--nts-ca", metavar="FILE", help="authorities to trust for --nts (PEM)")
    add("--nts-port", type=_port, default=4460, metavar="N", help="TCP port for --nts (4460)")
    add("--keys", metavar="FILE", help="symmetric keys, as ntpd and chrony write them")
    key = "which of them the -n servers share with us (default: the first)"
    add("--key", type=int, metavar="ID", help=key)
    add("--allow-md5", action="store_true", help="take a key for MD5 too")
    add("--port", type=_port, default=123, metavar="N", help="UDP port of the servers (123)")
    add("--dry-run", action="store_true", help="show the offset; change nothing")
    add("--json", action="store_true", help="print the result as one JSON object")
    timeout = "wait S seconds at most (5)"
    add("--timeout", type=_seconds, default=5.0, metavar="S", help=timeout)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        if options.status:
            from mgu.commands import localntp_status

            return localntp_status.show(as_json=options.json)
        if options.wait is not None:
            from mgu.commands import localntp_status

            return localntp_status.wait(options.wait)
        if options.deactivate:
            return _deactivate()
        with stamping():  # it is on by the time that all is read and made
            return _run(parser, options)
    except ConfigurationError as error:
        return _say(str(error), exits.USAGE)
    except NotPermitted as error:
        return _say(str(error), exits.NO_PERMISSION)
    except ClockRefused as error:
        return _say(str(error), REFUSED)
    except PermissionError as error:
        return _say(f"{error.filename}: permission denied; run it as root", exits.NO_PERMISSION)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror}", exits.FAILED)


def _say(text: str, code: int) -> int:
    print(f"localNTP: {text}", file=sys.stderr)
    return code


def _run(parser: Parser, options: argparse.Namespace) -> int:
    setup = _setup(parser, options)
    floor = timekeeping.floor()
    made = sources(
        setup.configuration.servers,
        setup.keys,
        entropy=os.urandom,
        pivot=floor,
        timeout=options.timeout,
        allow_md5=options.allow_md5 or not _is_given(options),  # else asked when it was installed
    )
    client = Client(made, floor=floor, policy=Policy(timeout=options.timeout))
    if options.dry_run:
        outcome = oneshot.run(client, gateway_clock.shift_ns(), setup.configuration.ca)
        return _report(outcome, "none", as_json=options.json)
    if options.activate:
        timeconf.install(setup)
        for rival in timekeeping.rivals():
            print(f"localNTP: warning: {rival}", file=sys.stderr)
    clock = timekeeping.gateway_clock()
    timekeeping.raise_to_floor(clock)
    outcome = oneshot.run(client, clock.shift, setup.configuration.ca)
    action = "none"
    if outcome.verdict.usable:
        action = timekeeping.set_right(clock, outcome, step=abs(outcome.offset) >= STEPT)
    code = _report(outcome, action, as_json=options.json, goes_on=options.activate)
    return max(code, _activate()) if options.activate else code


def _report(outcome: Outcome, action: str, *, as_json: bool, goes_on: bool = False) -> int:
    """Say what came of it; returns the exit code. `goes_on`: the service will ask again."""
    from mgu.commands import localntp_text

    code = EXITS[outcome.verdict]
    if as_json:
        print(localntp_text.as_json(outcome, action))
    elif outcome.verdict.usable:
        print(localntp_text.as_text(outcome, action))
    if outcome.verdict.usable:
        return code
    return _say(outcome.why + ("; the service goes on asking" if goes_on else ""), code)


def _is_given(options: argparse.Namespace) -> bool:
    """Whether the command line names servers."""
    return bool(options.servers or options.nts)


def _setup(parser: Parser, options: argparse.Namespace) -> timeconf.Setup:
    """What to ask: the command line's servers, else the configured ones."""
    if not _is_given(options):
        setup = timeconf.installed()
        if not setup.configuration.servers:
            parser.error("no server is given (-n), and none is configured")
        return setup
    return timeconf.given(
        hosts=options.servers,
        port=options.port,
        nts=options.nts,
        nts_port=options.nts_port,
        ca=options.nts_ca or "",
        keys=options.keys or "",
        key=options.key,
    )


def _activate() -> int:
    """Have the service run, now and at every boot, with what was just configured."""
    from mgu import services

    return _serviced(services.enable, services.stop, services.start)


def _deactivate() -> int:
    from mgu import services

    return _serviced(services.disable, services.stop)


def _serviced(*actions: Callable[[str], None]) -> int:
    from mgu.services import ServiceError

    try:
        for action in actions:
            action(SERVICE)
    except ServiceError as error:
        return _say(str(error), exits.FAILED)
    return exits.OK
