"""Judges mutants: each in a forked process, by the tests that run the changed line.

The tree is copied, once for each job; the working files are never changed. One run of the tests
under coverage says which test runs which line, itself or in a process that it starts, and how long
each takes. Then this process imports
what the tests need from others, and forks for each mutant: a verdict costs the import of our own
package and its tests, the quickest first, up to the first that fails.
"""

import contextlib
import importlib
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import hypothesis
import pytest

if TYPE_CHECKING:
    from coverage import Coverage

_FORK: Final = multiprocessing.get_context("fork")
_OPTIONS: Final = (
    *("-q", "-x", "--tb=no", "--no-header"),
    *("-p", "no:cacheprovider", "-p", "no:xdist"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of what was imported before the fork
)
FAST: Final = "not interop and not kernel and not long"
ALL: Final = "not kernel and not long"
_FOREIGN: Final = ("cryptography.x509", "OpenSSL.SSL", "pyroute2", "lark", "hypothesis.stateful")
_TIMES: Final = 4.0  # of the tests' own time is waited for a verdict,
_SECONDS: Final = 20.0  # and so much more: the machine may be busy
_SILENT: Final = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file. Lines count from 1; `first` to `last` is the statement's head."""

    path: str  # from the top of the tree
    line: int
    first: int
    last: int
    before: str
    after: str
    source: str


class TestsFail(Exception):
    """The tests fail before anything is changed."""


@dataclass(slots=True)
class Reach:
    """Which tests run which line, by their node ids."""

    seconds: dict[str, float] = field(default_factory=dict)
    by_line: dict[str, dict[int, set[str]]] = field(default_factory=dict)  # path, line, tests

    def tests(self, mutant: Mutant) -> list[str]:
        """The tests that run the changed statement, quickest first.

        A line that runs at import (a table, a number) can matter to every test: those that run
        something else of its module come first.
        """
        lines = self.by_line.get(mutant.path, {})
        span = range(mutant.first, mutant.last + 1)
        hit = {test for line in span for test in lines.get(line, ())}
        if "" not in hit:
            return sorted(hit, key=self._time)
        near = {test for tests in lines.values() for test in tests} - {""}
        return [*sorted(near, key=self._time), *sorted(self.seconds.keys() - near, key=self._time)]

    def _time(self, test: str) -> tuple[float, str]:
        return self.seconds.get(test, 0.0), test


@contextlib.contextmanager
def copies(tree: Path, jobs: int, folder: Path) -> Iterator[list[Path]]:
    """Copies of what git tracks, or would, of `tree`; removed at the end."""
    listing = ["git", "-C", str(tree), "ls-files", "-z", "-co", "--exclude-standard"]
    names = subprocess.run(listing, check=True, capture_output=True).stdout.decode().split("\0")
    made = [folder / f"job{number}" for number in range(jobs)]
    for name in filter(None, names):
        if not (tree / name).is_file():
            continue  # removed, and not committed yet
        for copy in made:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / name, copy / name)
    try:
        yield made
    finally:
        for copy in made:
            shutil.rmtree(copy, ignore_errors=True)


# Which test runs which line


def judges(tree: Path, package: str) -> list[str]:
    """The tests of `package`, and those in other folders that name it: `localNTP` is a command of
    mgu, and is tested among ntp's."""
    own = tree / "tests" / package
    named = re.compile(rf"\b{package}\.|\bfrom {package} import")
    passed_over = {own, tree / "tests/interop", tree / "tests/kernel", tree / "tests/mutants"}
    others = sorted(
        str(file.relative_to(tree))
        for file in tree.glob("tests/*/**/test_*.py")
        if not passed_over & set(file.parents) and named.search(file.read_text(encoding="utf-8"))
    )
    return [f"tests/{package}", *others]


def reach(tree: Path, package: str, tests: list[str], marks: str = FAST) -> Reach:
    """Run those of `tests` that `marks` selects once under coverage. Raises: TestsFail."""
    for name in _FOREIGN:
        importlib.import_module(name)
    ours, theirs = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_measure, args=(tree, package, tests, marks, theirs))
    process.start()
    theirs.close()
    try:
        found: Reach | str = ours.recv()
    except EOFError:
        found = "the run of the tests died"
    process.join()
    if isinstance(found, str):
        raise TestsFail(found)
    return found


def _measure(tree: Path, package: str, tests: list[str], marks: str, answer: Connection) -> None:
    import coverage  # with mutmut: what only judges needs neither

    _enter(tree)
    place = tree / "src" / package.replace(".", "/")
    pattern = f"{place}/*" if place.is_dir() else f"{place}.py"
    cover = coverage.Coverage(data_file=None, include=[pattern], config_file=False)
    contexts = _Contexts(cover)
    traces = tree / ".traces"
    traces.mkdir()
    hook = str(tree / "tests/mutants/traced")
    os.environ["PYTHONPATH"] = os.pathsep.join([hook, os.environ["PYTHONPATH"]])
    os.environ |= {"MUTANTS_TRACE": str(traces), "MUTANTS_TREE": str(place)}
    cover.start()
    code = pytest.main([*_OPTIONS, "-m", marks, *tests], plugins=[_Steady(), contexts])
    cover.stop()
    if code:
        answer.send(f"the tests fail before anything is changed: {' '.join(contexts.failed)}")
        return
    data = cover.get_data()
    found = Reach(dict(contexts.seconds))
    for file in data.measured_files():
        lines = data.contexts_by_lineno(file)
        found.by_line[str(Path(file).relative_to(tree))] = {n: set(lines[n]) for n in lines}
    _add_started(found, tree, traces)
    answer.send(found)


def _add_started(found: Reach, tree: Path, traces: Path) -> None:
    """What processes ran that the tests had started (`traced/sitecustomize.py`)."""
    for file in traces.iterdir():
        for part in filter(None, file.read_text(encoding="utf-8").strip().split("\n\n")):
            test, *places = part.splitlines()
            if test not in found.seconds:
                continue  # what a fixture of a module started
            for name, _, line in (place.rpartition(":") for place in places):
                lines = found.by_line.setdefault(str(Path(name).relative_to(tree)), {})
                lines.setdefault(int(line), set()).add(test)
    shutil.rmtree(traces)


class _Contexts:
    """Tells coverage which test runs, and keeps how long each took."""

    def __init__(self, cover: "Coverage") -> None:
        self._cover = cover
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._cover.switch_context(item.nodeid)
        done = yield
        self._cover.switch_context("")
        return done

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.append(report.nodeid)


# One mutant


@dataclass(frozen=True, slots=True)
class Verdict:
    mutant: Mutant
    noticed: bool
    tests: int  # that run the changed statement


@dataclass(slots=True)
class _Trial:
    mutant: Mutant
    tests: list[str]
    tree: Path
    process: ForkProcess
    until: float


def judge(mutants: list[Mutant], reached: Reach, trees: list[Path]) -> Iterator[Verdict]:
    """The verdicts, as they come. What takes too long counts as noticed."""
    waiting, free, running = list(reversed(mutants)), list(trees), dict[int, _Trial]()
    try:
        while waiting or running:
            while waiting and free:
                mutant = waiting.pop()
                tests = reached.tests(mutant)
                if not tests:
                    yield Verdict(mutant, noticed=False, tests=0)
                    continue
                trial = _begin(mutant, tests, reached, free.pop())
                running[trial.process.sentinel] = trial
            wait(list(running), timeout=0.5)
            for sentinel, trial in list(running.items()):
                if trial.process.exitcode is None and time.monotonic() < trial.until:
                    continue
                noticed = trial.process.exitcode not in _SILENT
                _end(trial)
                free.append(trial.tree)
                del running[sentinel]
                yield Verdict(trial.mutant, noticed, len(trial.tests))
    finally:
        for trial in running.values():
            _end(trial)


def _begin(mutant: Mutant, tests: list[str], reached: Reach, tree: Path) -> _Trial:
    file = tree / mutant.path
    shutil.copy2(file, file.with_suffix(".kept"))
    file.write_text(mutant.source, encoding="utf-8")
    process = _FORK.Process(target=_try, args=(tree, tests))
    process.start()
    patience = _TIMES * sum(reached.seconds[test] for test in tests) + _SECONDS
    return _Trial(mutant, tests, tree, process, time.monotonic() + patience)


def _end(trial: _Trial) -> None:
    """Nothing that the trial started stays, and the file is as it was, with its time."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(trial.process.pid or 0, signal.SIGKILL)
    trial.process.join()
    file = trial.tree / trial.mutant.path
    file.with_suffix(".kept").replace(file)


def _try(tree: Path, tests: list[str]) -> None:
    os.setpgid(0, 0)
    _enter(tree)
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    files = sorted({test.partition("::")[0] for test in tests})
    code = pytest.main([*_OPTIONS, "-m", "", *files], plugins=[_Steady(), _Order(tests)])
    os._exit(int(code))


def _enter(tree: Path) -> None:
    """The tree's own code, in this process and in those it starts; what it prints goes nowhere."""
    os.chdir(tree)
    sys.path[:0] = [str(tree / "src")]
    os.environ["PYTHONPATH"] = str(tree / "src")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)


class _Order:
    """Runs these tests only, in this order."""

    def __init__(self, tests: list[str]) -> None:
        self._place = {test: place for place, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        wanted = [item for item in items if item.nodeid in self._place]
        items[:] = sorted(wanted, key=lambda item: self._place[item.nodeid])


class _Steady:
    """The same examples each time, and none made smaller: that it fails is all we ask."""

    def pytest_sessionstart(self) -> None:
        phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
        hypothesis.settings.register_profile(
            "mutants", deadline=None, derandomize=True, database=None, phases=phases
        )
        hypothesis.settings.load_profile("mutants")
