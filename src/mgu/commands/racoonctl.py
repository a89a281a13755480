"""`racoonctl`: ask the keying daemon over its admin socket, as racoon's own command does.

A plain blocking socket: nothing heavy is imported, so that scripts can call it in a loop.
"""

import argparse
import errno
import ipaddress
import socket
import sys
import time
from collections.abc import Callable, Sequence

from ike.admin.errors import AdminError
from ike.admin.framing import Command, Request, StatusForm, Subject
from ike.admin.records import (
    Credentials,
    Endpoint,
    EventRecord,
    EventType,
    Index,
    isakmp_sas,
    schedule,
)
from ike.admin.show import event_line, isakmp_table, schedule_table
from ike.conf.protocols import protocol_number
from mgu import exits, paths
from mgu.admin_client import Connection, Refused, reason
from mgu.arguments import Parser
from wire.addresses import Scoped, unscoped
from wire.cursor import DecodeError
from wire.lean import Final
from wire.record import Record

USAGE: Final = """\
usage: racoonctl [-l] [-d] [-s SOCKET] COMMAND ...

  reload-config                      (rc)  read racoon.conf and psk.txt again
  show-schedule                      (sc)  running timers
  show-sa [isakmp|esp|ah|ipsec]      (ss)  security associations, with their keys
  flush-sa [isakmp|esp|ah|ipsec]     (fs)  delete all of them
  delete-sa isakmp inet|inet6 SRC DST                      (ds)
  delete-sa esp|ah inet|inet6 SRC[/LEN[/PORT]] DST[/LEN[/PORT]] PROTOCOL
  establish-sa [-n REMOTE] [-w] isakmp inet|inet6 SRC DST  (es)
  establish-sa [-w] esp|ah inet|inet6 SRC[/LEN[/PORT]] DST[/LEN[/PORT]] PROTOCOL
  vpn-connect GATEWAY                (vc)  establish a phase 1, wait and report
  vpn-disconnect GATEWAY             (vd)  delete all SAs with the gateway
  show-event                         (se)  show events as they happen
  status [-v] [-f text|json]         (st)  SAs, peers and their last failures
  get-cert, logout-user                    not supported by this daemon

  -l  more columns of show-sa isakmp; -ll also the source
  -d  hexadecimal dump of the daemon's answers
  -s  the daemon's admin socket

Exit codes: 0 done, 1 refused or failed, 4 only root may ask, 64 wrong usage.
"""

_SHORT: Final = {
    "rc": "reload-config",
    "sc": "show-schedule",
    "ss": "show-sa",
    "fs": "flush-sa",
    "ds": "delete-sa",
    "es": "establish-sa",
    "vc": "vpn-connect",
    "vd": "vpn-disconnect",
    "se": "show-event",
    "st": "status",
    "gc": "get-cert",
    "lu": "logout-user",
}
_SUBJECTS: Final = {
    "isakmp": Subject.ISAKMP,
    "ipsec": Subject.IPSEC,
    "ah": Subject.AH,
    "esp": Subject.ESP,
    "internal": Subject.INTERNAL,
}
_FAMILIES: Final = {"inet": 4, "inet6": 6}
_FAILURES: Final = frozenset(
    {
        EventType.QUIT,
        EventType.PHASE1_NO_RESPONSE,
        EventType.PHASE1_NO_PROPOSAL,
        EventType.PHASE1_AUTH_FAILED,
        EventType.PHASE1_DPD_TIMEOUT,
        EventType.PHASE1_XAUTH_FAILED,
        EventType.PHASE2_NO_PHASE1,
        EventType.PHASE2_NO_RESPONSE,
    }
)


def _parser(name: str) -> argparse.ArgumentParser:
    parser = Parser(f"racoonctl {name}", add_help=False)
    parser.error = _usage  # type: ignore[method-assign, assignment]
    return parser


def _usage(message: str) -> None:
    raise Refused(f"{message}; 'racoonctl' alone shows the usage", exits.USAGE)


class Plan(Record, kw_only=True):
    """A command, understood: what to ask, what to do with the answer, and what to wait for.

    `absent` is what it means when the daemon finds no such thing. With `watch` events follow; they
    end with `until`, or when the daemon does.
    """

    request: Request
    show: Callable[[bytes], None] = lambda _: None
    absent: str = "there is no such SA"
    watch: bool = False
    until: EventType | None = None


def plan(command: str, arguments: list[str], detail: int) -> Plan:
    """Raises: Refused for wrong usage."""
    match command:
        case "show-sa":
            return _show_sa(arguments, detail)
        case "status":
            return _status(arguments)
        case "show-schedule":
            request = Request(command=Command.SHOW_SCHEDULE)
            return Plan(request=request, show=lambda body: print(schedule_table(schedule(body))))
        case "reload-config":
            return Plan(request=Request(command=Command.RELOAD_CONFIG), show=_warn)
        case "flush-sa":
            subject = _subject(arguments[0] if arguments else "isakmp")
            return Plan(request=Request(command=Command.FLUSH_SA, subject=subject))
        case "delete-sa":
            subject, index = _sa(arguments)
            body = bytes(index)
            return Plan(request=Request(command=Command.DELETE_SA, subject=subject, body=body))
        case "establish-sa":
            return _establish(arguments)
        case "vpn-connect" | "vpn-disconnect":
            return _vpn(arguments, connect=command == "vpn-connect")
        case "show-event":
            return Plan(request=Request(command=Command.SHOW_EVENT), watch=True)
        case "logout-user":
            user = (arguments or [""])[0].encode() + b"\0"
            return Plan(request=Request(command=Command.LOGOUT_USER, body=user))
        case _:
            return Plan(request=Request(command=Command.GET_CERT, subject=Subject.ISAKMP))


def _show_sa(arguments: list[str], detail: int) -> Plan:
    subject = _subject(arguments[0] if arguments else "isakmp")
    request = Request(command=Command.SHOW_SA, subject=subject)
    if subject == Subject.ISAKMP:
        show = lambda body: print(isakmp_table(isakmp_sas(body), detail))  # noqa: E731
        return Plan(request=request, show=show)
    return Plan(request=request, show=_print_ipsec)


def _print_ipsec(body: bytes) -> None:
    from xfrm.pfkey import parse_dump
    from xfrm.setkey.show import NO_SAS, show_sa

    dumped = parse_dump(body)
    if not dumped:
        print(NO_SAS)
    now = int(time.time())  # as the data plane stamps its SAs
    for one in dumped:
        print(show_sa(one.sa, sequence=one.sequence, pid=one.pid, now=now), end="")


def _status(arguments: list[str]) -> Plan:
    parser = _parser("status")
    parser.add_argument("-v", action="store_true")
    parser.add_argument("-f", choices=("text", "json"), default="text")
    options = parser.parse_args(arguments)
    command = Command.STATUS_VERBOSE if options.v else Command.STATUS
    form = StatusForm.JSON if options.f == "json" else StatusForm.TEXT
    return Plan(
        request=Request(command=command, subject=form),
        show=_print_text,
    )


def _warn(body: bytes) -> None:
    for line in body.decode("utf-8", "replace").splitlines():
        print(f"racoonctl: {line}", file=sys.stderr)


def _print_text(body: bytes) -> None:
    text = body.decode("utf-8", "replace")
    print(text, end="" if text.endswith("\n") else "\n")


def _establish(arguments: list[str]) -> Plan:
    parser = _parser("establish-sa")
    parser.add_argument("-u", metavar="IDENTITY")
    parser.add_argument("-n", metavar="REMOTE")
    parser.add_argument("-w", action="store_true")
    parser.add_argument("sa", nargs="+")
    options = parser.parse_args(arguments)
    subject, index = _sa(options.sa)
    isakmp = subject == Subject.ISAKMP
    name = options.n.encode() + b"\0" if options.n is not None and isakmp else b""
    return Plan(
        request=_establishing(subject, bytes(index) + name, options.u),
        absent="there is no policy for it; 'setkey -DP' lists the policies",
        watch=options.w,
        until=EventType.PHASE1_UP if isakmp else EventType.PHASE2_UP,
    )


def _establishing(subject: Subject, body: bytes, identity: str | None) -> Request:
    if identity is None:
        return Request(command=Command.ESTABLISH_SA, subject=subject, body=body)
    from getpass import getpass

    from wire.secret import Secret

    login = Credentials(id_type=2, identity=identity.encode(), password=Secret(getpass().encode()))
    command = Command.ESTABLISH_SA_WITH_PASSWORD
    return Request(command=command, subject=subject, body=body + bytes(login))


def _vpn(arguments: list[str], *, connect: bool) -> Plan:
    parser = _parser("vpn-connect" if connect else "vpn-disconnect")
    parser.add_argument("-u", metavar="IDENTITY")
    parser.add_argument("gateway")
    options = parser.parse_args(arguments)
    gateway = _address(options.gateway)
    body = bytes(Index(src=Endpoint(_source_towards(gateway)), dst=Endpoint(gateway)))
    deleting = Request(command=Command.DELETE_ALL_SA_DST, subject=Subject.ISAKMP, body=body)
    return Plan(
        request=_establishing(Subject.ISAKMP, body, options.u) if connect else deleting,
        absent=f"there is no SA with {gateway}",
        watch=True,
        until=EventType.PHASE1_UP if connect else EventType.PHASE1_DOWN,
    )


def _source_towards(
    gateway: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    family = socket.AF_INET if gateway.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(gateway), 500))
        except OSError as error:
            raise Refused(f"there is no route to {gateway}: {error.strerror}") from None
        return ipaddress.ip_address(probe.getsockname()[0])


def _watch(connection: Connection, until: EventType | None) -> int:
    """Print events; OK once `until` came, FAILED after a failure or the daemon's end.

    Mode Config is told after every phase 1 (racoon's own tool waits for it), even where there is
    none; who waits for SAs is not shown it.

    Raises: Refused when the events break off.
    """
    while (reply := connection.receive()) is not None:
        event = EventRecord.parse(reply.body)
        if event.type == EventType.PHASE1_MODE_CFG and until not in (None, event.type):
            continue
        print(event_line(event), flush=True)
        if event.type == until:
            return exits.OK
        if event.type == EventType.QUIT and until is None:
            return exits.OK
        if event.type in _FAILURES and until is not None:
            return exits.FAILED
    raise Refused("racoon ended the connection: later events are not shown")


def _subject(word: str) -> Subject:
    try:
        return _SUBJECTS[word]
    except KeyError:
        raise Refused(f"'{word}' is not one of {', '.join(_SUBJECTS)}", exits.USAGE) from None


def _sa(words: Sequence[str]) -> tuple[Subject, Index]:
    """`isakmp inet SRC DST` or `esp inet SRC/LEN/PORT DST/LEN/PORT PROTOCOL`."""
    match words:
        case ["isakmp", family, src, dst]:
            (near, _), (far, _) = _end(src, family), _end(dst, family)
            return Subject.ISAKMP, Index(src=near, dst=far)
        case [("esp" | "ah" | "ipsec") as kind, family, src, dst, *protocol] if len(protocol) < 2:
            (near, near_prefix), (far, far_prefix) = _end(src, family), _end(dst, family)
            number = protocol_number(protocol[0] if protocol else "any")
            if number is None:
                raise Refused(f"there is no IP protocol '{protocol[0]}'", exits.USAGE)
            index = Index(
                src=near,
                dst=far,
                src_prefix=near_prefix,
                dst_prefix=far_prefix,
                protocol=number or 255,
            )
            return _subject(kind), index
        case _:
            raise Refused("which SA? 'racoonctl' alone shows the usage", exits.USAGE)


def _end(text: str, family: str) -> tuple[Endpoint, int]:
    """ADDRESS[/LENGTH[/PORT]] or ADDRESS[/LENGTH][[PORT]]."""
    if family not in _FAMILIES:
        raise Refused(f"'{family}' is not an address family: inet or inet6", exits.USAGE)
    address, *rest = text.replace("[", "/").replace("]", "").split("/")
    parsed = _address(address)
    if parsed.version != _FAMILIES[family]:
        raise Refused(f"{address} is not an {family} address", exits.USAGE)
    if "[" in text and len(rest) == 1:
        rest = [str(parsed.max_prefixlen), *rest]
    try:
        prefix, port = (int(rest[0]) if rest else parsed.max_prefixlen), int((rest[1:] or ["0"])[0])
    except ValueError:
        raise Refused(f"'{text}' is not ADDRESS/LENGTH/PORT", exits.USAGE) from None
    if len(rest) > 2 or not 0 <= prefix <= parsed.max_prefixlen or not 0 <= port <= 0xFFFF:
        raise Refused(f"'{text}' is not ADDRESS/LENGTH/PORT", exits.USAGE)
    return Endpoint(parsed, port), prefix


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return unscoped(text)
    except Scoped as error:
        raise Refused(str(error), exits.USAGE) from None
    except ValueError:
        raise Refused(f"'{text}' is not an IP address", exits.USAGE) from None


def carry_out(made: Plan, connection: Connection) -> int:
    """Raises: Refused, AdminError."""
    reply = connection.ask(made.request)
    if reply.errno == errno.ENOENT:
        raise Refused(reply.body.decode("utf-8", "replace") or made.absent)
    if reply.errno:
        raise Refused(reason(reply))
    try:
        made.show(reply.body)
    except DecodeError as error:
        raise Refused(f"racoon's answer is not understood: {error}") from None
    return _watch(connection, made.until) if made.watch else exits.OK


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser("")
    parser.add_argument("-l", action="count", default=0)
    parser.add_argument("-d", action="store_true")
    parser.add_argument("-s", default=paths.located(paths.RACOON_SOCKET))
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("command", nargs="?")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    try:
        options = parser.parse_args(argv)
        if options.help or options.command is None:
            print(USAGE, end="")
            return exits.OK
        command = _SHORT.get(options.command, options.command)
        if command not in _SHORT.values():
            print(f"Invalid command [{command}]")
            raise Refused("kmpstat: Invalid argument")
        made = plan(command, options.arguments, options.l)
        with Connection(options.s, dump=options.d) as connection:
            return carry_out(made, connection)
    except (Refused, AdminError) as error:
        print(f"racoonctl: {error}", file=sys.stderr)
        return error.code if isinstance(error, Refused) else exits.FAILED
    except OSError as error:
        print(f"racoonctl: racoon's answer ended early: {error.strerror}", file=sys.stderr)
        return exits.FAILED
