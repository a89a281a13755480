"""`wpa_cli`: ask the supplicant, with the commands and the output of wpa_supplicant's wpa_cli."""

import argparse
import sys
from collections.abc import Sequence

from mgu import exits
from mgu.arguments import Parser
from mgu.paths import WPA_CTRL_DIR, located
from mgu.streams import write_octets
from mgu.wpa_ctrl import COMMANDS, Client, NotServed, fields, interfaces, wire_form
from wire.lean import Final

DESCRIPTION: Final = "Query and control the IEEE 802.1X supplicant of this gateway."

EPILOG: Final = f"""\
commands (without one: interactive, events are shown as they happen):
{COMMANDS}

exit status: 0 done, 1 no supplicant answers, or the reply is FAIL, 4 no permission, 64 wrong usage
"""

REFUSALS: Final = ("FAIL", "UNKNOWN COMMAND")
_GET_REFUSAL: Final = "GET refusal"  # eapol.control, whose import would cost the start


def main(argv: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    options = _parser().parse_args(["status" if word == "-status" else word for word in words])
    folder = options.folder or located(WPA_CTRL_DIR)
    folder = folder.rstrip("/") or "/"
    try:
        return _run(options, folder)
    except NotServed as error:
        print(f"wpa_cli: {error}", file=sys.stderr)
        return exits.FAILED
    except PermissionError as error:
        print(f"wpa_cli: {error.filename}: no permission; run this as root", file=sys.stderr)
        return exits.NO_PERMISSION
    except OSError as error:
        print(f"wpa_cli: {error.filename or folder}: {error.strerror}", file=sys.stderr)
        return exits.FAILED


def _parser() -> argparse.ArgumentParser:
    parser = Parser("wpa_cli", description=DESCRIPTION, epilog=EPILOG)
    add = parser.add_argument
    add("-i", dest="interface", metavar="IF", help="interface (default: the first one served)")
    add("-p", dest="folder", metavar="DIR", help=f"control sockets (default: {WPA_CTRL_DIR})")
    add(
        "-s",
        dest="own_folder",
        metavar="DIR",
        default="/tmp",
        help="directory of the client's socket",
    )
    add("-a", dest="script", metavar="FILE", help="run FILE IF CONNECTED|DISCONNECTED on events")
    add("-B", dest="background", action="store_true", help="with -a: run in the background")
    add("-P", dest="pidfile", metavar="FILE", help="with -B: write the process id to FILE")
    add("-G", dest="ping", metavar="SECONDS", type=int, default=5, help="seconds between pings (5)")
    add("--json", action="store_true", help="name=value replies as one JSON object")
    add("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _run(options: argparse.Namespace, folder: str) -> int:
    interface = options.interface or _selected(folder, quiet=options.json)
    if options.script is not None or not options.command:
        from pathlib import Path  # late, as all here: one question needs none of it

        from mgu import wpa_monitor

        if options.script is None:
            return wpa_monitor.interactive(folder, interface, options.own_folder, options.ping)
        if options.background:
            from mgu.daemon import detach

            detach(Path(options.pidfile) if options.pidfile else None)
        return wpa_monitor.act(
            folder, interface, options.own_folder, options.ping, options.script,
            background=options.background,
        )  # fmt: skip
    with Client(folder, interface, options.own_folder) as supplicant:
        reply = supplicant.request(wire_form(options.command))
        why = supplicant.request(_GET_REFUSAL) if reply == "FAIL\n" else "FAIL\n"
    if why.strip() not in REFUSALS:
        print(f"wpa_cli: {why.strip()}", file=sys.stderr)
    _show(reply, interface, as_json=options.json)
    return exits.FAILED if reply.strip() in REFUSALS else exits.OK


def _selected(folder: str, *, quiet: bool) -> str:
    found = interfaces(folder)
    if not found:
        raise NotServed(
            f"no supplicant runs ({folder} holds no control socket); start the service"
            " wpa_supplicant, or name the directory with -p"
        )
    if not quiet:
        print(f"Selected interface '{found[0]}'", flush=True)
    return found[0]


def _show(reply: str, interface: str, *, as_json: bool) -> None:
    if not as_json:
        _write(reply if reply.endswith("\n") or not reply else reply + "\n")
        return
    import json

    content = {"schema_version": 1, "interface": interface}
    values = fields(reply)
    answer = values if values else {"reply": reply.strip()}
    _write(json.dumps({**content, **answer}, indent=2) + "\n")


def _write(text: str) -> None:
    write_octets(text.encode("utf-8", "surrogateescape"))
