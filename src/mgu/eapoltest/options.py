"""The options of eapol_test that people know, with their letters, and ours."""

import argparse
from pathlib import Path
from typing import Final, NoReturn

from mgu import exits
from mgu.arguments import Parser

FAILED: Final = 255
"""eapol_test's -1: wrong usage, or a configuration that cannot be used."""

DESCRIPTION: Final = """\
Authenticate at a RADIUS server with the EAP peer of the supplicant, as a switch port would: once,
several times (-r), or many at once as a load (--load)."""

EPILOG: Final = f"""\
exit status, as eapol_test's:
  {exits.OK}    accepted, the keys agree, and every --expect holds
  252  the server's MPPE keys are not those of our EAP session (or missing, without -n)
  253  Access-Reject
  254  no answer, or not finished in time (-t)
  {FAILED}  wrong usage, or a configuration that cannot be used
and ours:
  1    Access-Accept, but our side does not accept the server
  251  accepted, but an --expect does not hold
"""


class _Parser(Parser):
    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"{self.prog}: {message}; '{self.prog} -h' shows more\n")


def parser() -> argparse.ArgumentParser:
    made = _Parser("eapol-test", description=DESCRIPTION, epilog=EPILOG)
    _server(made)
    _station(made)
    _reports(made)
    _load(made)
    made.add_argument("-v", action="store_true", dest="version", help="show the version")
    return made


def _server(made: argparse.ArgumentParser) -> None:
    add = made.add_argument_group("server").add_argument
    add("-a", dest="address", metavar="IP", action="append", help="address (127.0.0.1); IPv6 too;"
        " several are asked in turn")  # fmt: skip
    add("-p", dest="port", metavar="PORT", type=_port, help="port (1812; with -X TLS 2083)")
    add("-s", dest="secret", metavar="SECRET", help="shared secret (radius; with -X TLS radsec);"
        " other users can see it with ps")  # fmt: skip
    add("--secret-file", metavar="FILE", type=Path, help="read the secret from FILE")
    add("-A", dest="own_address", metavar="IP", help="our address")
    add("-i", dest="interface", metavar="IF", help="use this interface")
    add("-X", dest="transport", choices=("UDP", "TLS"), default="UDP", help="TLS: RFC 6614")
    add("-j", dest="tls_ca", metavar="FILE", help="-X TLS: CA of the server's certificate")
    add("-J", dest="tls_cert", metavar="FILE", help="-X TLS: our certificate")
    add("-k", dest="tls_key", metavar="FILE", help="-X TLS: our key")
    add(
        "--tls-name",
        metavar="NAME",
        help="-X TLS: name in the server's certificate (default: its address)",
    )
    add("--status-server", action="store_true", help="only ask whether the server is up (RFC 5997)")
    add("--allow-missing-message-authenticator", action="store_true", dest="unsigned",
        help="accept answers that an on-path attacker can forge (CVE-2024-3596)")  # fmt: skip


def _station(made: argparse.ArgumentParser) -> None:
    add = made.add_argument_group("station").add_argument
    add("-c", dest="config", metavar="FILE", type=Path, help="wpa_supplicant.conf; its first"
        " network is used, whatever its key_mgmt")  # fmt: skip
    add("-r", dest="again", metavar="N", type=_count, default=0, help="authenticate N times more")
    add(
        "-t",
        dest="timeout",
        metavar="SECONDS",
        type=_seconds,
        default=30.0,
        help="seconds for one authentication (30)",
    )
    add("-M", dest="mac", metavar="MAC", default="02:00:00:00:00:01", help="Calling-Station-Id")
    add("-C", dest="connect_info", metavar="TEXT", help="Connect-Info")
    add("-N", dest="attributes", metavar="ATTR", action="append", default=[],
        help="attribute to send: NUMBER:s:TEXT, NUMBER:d:NUMBER, NUMBER:x:HEX, NUMBER, NAME=VALUE;"
        " replaces ours of that number")  # fmt: skip
    add("-e", dest="key_name", action="store_true", help="ask for EAP-Key-Name, and compare it")
    add("-n", dest="no_keys", action="store_true", help="no MPPE keys are expected")
    add("-S", dest="save", action="store_true", help="accepted; nothing in FILE would change")
    add("-P", dest="pin", metavar="PIN", help=argparse.SUPPRESS)
    add("-R", dest="reader", metavar="READER", help=argparse.SUPPRESS)
    add("--expect", metavar="NAME=VALUE", action="append", default=[],
        help="an attribute that the Access-Accept must have")  # fmt: skip
    add("--dictionary", metavar="FILE", action="append", default=[],
        help="more names of attributes, in FreeRADIUS's syntax")  # fmt: skip


def _reports(made: argparse.ArgumentParser) -> None:
    add = made.add_argument_group("reports").add_argument
    add("--json", action="store_true", help="one JSON object (docs/eapol-test.schema.json)")
    add("--junit", metavar="FILE", type=Path, help="a JUnit report")
    add("--capture", metavar="FILE", type=Path, help="the RADIUS packets, as pcapng")
    add("--keys", metavar="FILE", type=Path, help="TLS secrets, for Wireshark")
    add("-o", dest="certificates", metavar="FILE", type=Path, help="the server's certificates, PEM")


def _load(made: argparse.ArgumentParser) -> None:
    add = made.add_argument_group("load").add_argument
    add("--load", metavar="N", type=_positive, help="keep N authentications going at once")
    add("--rate", metavar="R", type=_seconds, help="begin at most R in a second")
    add("--for", dest="duration", metavar="SECONDS", type=_seconds, default=10.0,
        help="seconds to run (10)")  # fmt: skip
    add("--processes", metavar="P", type=_positive, default=1, help="number of processes (1)")


def _port(text: str) -> int:
    return _within(text, 1, 65535)


def _count(text: str) -> int:
    return _within(text, 0, 1_000_000)


def _positive(text: str) -> int:
    return _within(text, 1, 100_000)


def _within(text: str, low: int, high: int) -> int:
    if not (text.isdecimal() and low <= int(text) <= high):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from {low} to {high}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return number
