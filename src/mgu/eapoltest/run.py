"""`mgu eapol-test` at work: set up, authenticate, report."""

import argparse
import asyncio
import json
import os
import sys
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from eapol.system.keylog import key_log
from mgu.eapoltest import load, report
from mgu.eapoltest.capture import Capture
from mgu.eapoltest.drive import authenticate
from mgu.eapoltest.options import FAILED
from mgu.eapoltest.session import Outcome, Result, Session
from mgu.eapoltest.setup import Setup, SetupError, made
from radius.aio.client import RadiusClient
from radius.events import Failed
from radius.numbers import Code
from wire.files import PUBLIC, write_whole


def main(options: argparse.Namespace) -> int:
    if options.version:
        print(f"eapol-test of mgusec {version('mgusec')}")
        return 0
    try:
        for path in (options.junit, options.capture, options.keys, options.certificates):
            lost = report.folder_missing(path)
            if lost is not None:
                raise SetupError(lost)
        setup = made(options)
        for warning in setup.warnings:
            print(warning, file=sys.stderr)
        if options.status_server:
            return asyncio.run(_status(setup))
        if options.load is not None:
            return load.main(options, setup)
        results = asyncio.run(_authentications(options, setup))
        _report(options, setup, results)
    except SetupError as error:
        print(f"eapol-test: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"eapol-test: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        return FAILED
    return report.exit_code(results)


async def _authentications(options: argparse.Namespace, setup: Setup) -> list[Result]:
    capture = Capture() if options.capture is not None else None
    results: list[Result] = []
    with ExitStack() as open_files:
        keylog = open_files.enter_context(key_log(options.keys))
        context = setup.context(keylog)
        if context is not None and not options.json:
            for warning in context.warnings:
                print(f"warning: {warning}", file=sys.stderr)
        session = Session(setup.station, context, os.urandom)
        tap = capture.tap if capture is not None else None
        try:
            async with RadiusClient(setup.servers, source=setup.source, tap=tap) as client:
                for _ in range(1 + options.again):
                    result = await authenticate(session, client)
                    results.append(result)
                    if not options.json:
                        print("\n".join(report.lines(result)), flush=True)
                    if result.outcome is Outcome.NO_ANSWER:
                        break
        finally:
            if capture is not None:
                capture.write(options.capture)
    return results


def _report(options: argparse.Namespace, setup: Setup, results: list[Result]) -> None:
    if options.json:
        print(json.dumps(report.document(results, setup.servers), indent=2))
    else:
        print("\n".join(report.summary(results)))
    if options.junit is not None:
        _write(options.junit, report.junit(results, ", ".join(map(str, setup.servers))))
    if options.certificates is not None:
        _write(options.certificates, report.pem(results))


def _write(path: Path, octets: bytes) -> None:
    write_whole(path, octets, PUBLIC)


async def _status(setup: Setup) -> int:
    """RFC 5997: is it up?"""
    code = 0
    clock = asyncio.get_running_loop().time
    async with RadiusClient(setup.servers, source=setup.source) as client:
        for number, server in enumerate(setup.servers):
            begun = clock()
            until = begun + setup.station.timeout
            answer = await client.ask((), server=number, until=until, code=Code.STATUS_SERVER)
            if isinstance(answer, Failed):
                print(answer.reason)
                code = Outcome.NO_ANSWER.exit_code
            else:
                print(f"{server}: up, {1000 * (clock() - begun):.1f} ms")
    return code
