"""`net8021x`: install the certificates of port authentication, write wpa_supplicant.conf.

Everything is checked before anything is written, and what was written is taken back if a later
step fails. Doing it twice changes nothing.
"""

import argparse
import sys
from collections.abc import Sequence

from mgu import exits
from mgu.commands.net8021x_options import SERVICE, check_usage, parser
from mgu.paths import WPA_CTRL_DIR, WPA_SUPPLICANT_CONF, located
from wire.lean import Final

PORT: Final = "eth0"


def main(argv: Sequence[str] | None = None) -> int:
    made = parser()
    options = made.parse_args(argv)
    check_usage(made, options)
    from eapol.errors import EapolError  # late: the help needs none of it
    from mgu.services import ServiceError

    try:
        _act(options)
    except PermissionError as error:
        name = error.filename or located(WPA_SUPPLICANT_CONF)
        print(f"net8021x: {name}: no permission; run this command as root", file=sys.stderr)
        return exits.NO_PERMISSION
    except (EapolError, ServiceError) as error:
        print(f"net8021x: {error}", file=sys.stderr)
        return exits.FAILED
    except EOFError:  # instead of a passphrase
        print("net8021x: interrupted; nothing was changed", file=sys.stderr)
        return exits.FAILED
    except OSError as error:
        _refuse(f"{error.filename}: {error.strerror}", error)
        return exits.FAILED
    return exits.OK


def _refuse(what: str, error: Exception) -> None:
    """With its notes: what became of what was written."""
    print("; ".join([f"net8021x: {what}", *getattr(error, "__notes__", [])]), file=sys.stderr)


def _act(options: argparse.Namespace) -> None:
    if options.client is not None:
        from mgu.commands.net8021x_files import install, read

        handed, warnings = read(options)
        for warning in warnings:
            print(f"net8021x: warning: {warning}", file=sys.stderr)
        if options.dry_run:
            print("The files are in order; nothing was changed.")
            return
        install(handed, options)
    elif options.activate:
        from mgu.commands.net8021x_files import check_installed

        check_installed()
    if options.dry_run:
        return
    if options.activate:
        _activate(options.now)
    if options.deactivate:
        _deactivate(options.now)


def _activate(now: bool) -> None:
    from mgu import services

    services.enable(SERVICE)
    if not now:
        print(f"The service {SERVICE} is enabled. Reboot the gateway to activate it.")
        return
    if not _told_to_read_again():
        services.stop(SERVICE)
        services.start(SERVICE)
    print(f"The service {SERVICE} is enabled and runs; 'wpa_cli status' shows the port.")


def _told_to_read_again() -> bool:
    """A supplicant that runs authenticates again with the new files: sooner than after a restart,
    which logs off first.
    """
    from mgu import services
    from mgu.wpa_ctrl import Client, NotServed

    if not services.running(SERVICE):
        return False
    try:
        with Client(located(WPA_CTRL_DIR), PORT) as supplicant:
            return supplicant.request("RECONFIGURE") == "OK\n"
    except NotServed:
        return False


def _deactivate(now: bool) -> None:
    from mgu import services

    services.disable(SERVICE)
    if not now:
        print(f"The service {SERVICE} is disabled. Reboot the gateway to stop it.")
        return
    services.stop(SERVICE)
    print(f"The service {SERVICE} is disabled and stopped.")
