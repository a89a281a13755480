"""What `setkey` does: carry out statements, show and delete SAs and policies, print events.

What only some options need is imported when they are given: -D comes up fast.
"""

import argparse
import errno
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from mgu import exits, registries
from wire import files
from wire.source import Notices, Place, Source, text_of
from xfrm.dataplane import XfrmError
from xfrm.model import Policy, SecurityAssociation
from xfrm.names import sa_name
from xfrm.pfkey import sequence_numbers
from xfrm.setkey.run import Output, Runner
from xfrm.setkey.show import NO_POLICIES, NO_SAS, show_policy, show_sa
from xfrm.setkey.statements import FlushPolicies, FlushSas, SetkeyError
from xfrm.system.blocking import Client

_LARGEST = 1 << 26  # octets: 100,000 policies with their comments


Opener = Callable[[Sequence[int]], Client]
"""Of the netlink socket, which hears of the groups of events that are named."""


def call(options: argparse.Namespace, files: list[str], opener: Opener | None = None) -> int:
    """The exit code. Raises: XfrmError."""
    opener = opener or Client
    return _monitor(options, opener) if options.monitor else _Call(options, opener).run(files)


class _Call:
    """One call: its options, and the worst that happened."""

    def __init__(self, options: argparse.Namespace, opener: Opener) -> None:
        self._options = options
        self._opener = opener
        self._source = ""
        self._code = exits.OK

    def run(self, files: list[str]) -> int:
        options = self._options
        sources = ["-"] if options.stdin else files
        texts = [(name, _read(name)) for name in sources]
        if any(text is None for _, text in texts):
            return exits.FAILED
        if options.dry_run:
            for name, text in texts:
                self._statements(None, name, text or "")
            return self._code
        with self._opener(()) as client:
            output = Output(self._print_sas, self._print_policies, self._refused)
            runner = Runner(client, output)
            for name, text in texts:
                self._statements(runner, name, text or "")
            if options.flush:
                whole = Place(Source("", ""), 0, 0)
                table = FlushPolicies(place=whole) if options.policies else None
                runner.run([table or FlushSas(protocol=None, place=whole)])
            if options.dump:
                self._dump(runner)
        return self._code

    def _statements(self, runner: Runner | None, name: str, text: str) -> None:
        """Carry out one file, or only look at it without a runner."""
        from xfrm.setkey.parse import parse
        from xfrm.setkey.words import Names

        self._source = "stdin" if name == "-" else name
        kernel_semantics = self._options.kernel and not self._options.rfc
        notices = Notices()
        names = Names(
            registries.host_addresses, registries.protocol_number, registries.service_port
        )
        try:
            operations = parse(
                text, names, kernel_semantics=kernel_semantics, name=self._source, notices=notices
            )
        except SetkeyError as error:
            self._complain(error.sentence, error.place)
            if error.place is not None:
                print(error.place.excerpt(), file=sys.stderr)
            return
        for notice in notices if self._options.verbose or runner is None else ():
            self._say(notice.sentence, notice.place)
        if self._options.verbose:
            print(f"{self._source}: {len(operations)} statements", file=sys.stderr)
        if runner is not None:
            runner.run(operations)

    def _dump(self, runner: Runner) -> None:
        while True:
            if self._options.explain:
                _explain(runner)
            elif self._options.policies:
                self._print_policies(runner.policies())
            elif self._options.loop:
                for sa in runner.sas():
                    counted = f"{sa.usage.packets} packets {sa.usage.octets} octets"
                    print(f"{sa_name(sa)} from {sa.src}: {counted}")
            else:
                self._print_sas(runner.sas())
            if not self._options.loop:
                return
            sys.stdout.flush()
            time.sleep(1)

    def _print_sas(self, sas: Sequence[SecurityAssociation]) -> None:
        if not sas:
            print(NO_SAS)
        now, pid = int(time.time()), os.getpid()
        for sequence, sa in zip(sequence_numbers(len(sas)), sas, strict=True):
            sys.stdout.write(show_sa(sa, sequence=sequence, pid=pid, now=now))

    def _print_policies(self, policies: Sequence[Policy]) -> None:
        shown = policies
        if self._options.no_sockets:
            shown = [policy for policy in policies if not policy.per_socket]
        if not policies:
            print(NO_POLICIES)
        pid = os.getpid()
        for sequence, policy in zip(sequence_numbers(len(shown)), shown, strict=True):
            sys.stdout.write(
                show_policy(policy, sequence=sequence, pid=pid, ports=self._options.ports)
            )
        if len(shown) < len(policies):
            hidden = len(policies) - len(shown)
            print(f"{hidden} per-socket policies not shown (filtered by -N)")

    def _refused(self, error: XfrmError, place: Place | None) -> None:
        if error.code == errno.EPERM:
            raise error
        self._complain(str(error), place)

    def _complain(self, text: str, place: Place | None) -> None:
        self._say(text, place)
        self._code = exits.FAILED

    def _say(self, text: str, place: Place | None) -> None:
        """ "FILE,LINE: " is how setkey begins it."""
        where = ""
        if place is not None and place.line:
            where = f"{self._source},{place.line}: column {place.column}: "
        sys.stdout.flush()
        print(f"setkey: {where}{text}", file=sys.stderr)


def _explain(runner: Runner) -> None:
    from xfrm.setkey.explain import explain, explain_statistics, parse_statistics

    for line in explain(runner.sas(), runner.policies(), int(time.time())):
        print(line)
    with suppress(OSError):  # not every kernel counts
        with open("/proc/net/xfrm_stat", encoding="ascii") as file:
            text = file.read()
        for line in explain_statistics(parse_statistics(text)):
            print(line)


def _read(name: str) -> str | None:
    """The text of a file, or of standard input for "-"; None with a complaint."""
    try:
        if name == "-":
            return text_of(sys.stdin.buffer.read())
        return text_of(files.read(name, _LARGEST, pipe=True))
    except OSError as error:
        print(f"setkey: cannot read {name}: {error.strerror}", file=sys.stderr)
    return None


def _monitor(options: argparse.Namespace, opener: Opener) -> int:
    from xfrm.netlink.messages import Group
    from xfrm.setkey.monitor import line_of

    with opener(tuple(Group)) as client:
        for message in client.events():
            stamp = time.strftime("%H:%M:%S")
            print(f"{stamp} {line_of(message)}", flush=True)
            if options.hexadecimal:
                print(bytes(message).hex(" ", 4), flush=True)
    return exits.OK
