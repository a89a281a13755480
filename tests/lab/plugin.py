"""How the lab hooks into pytest: peers' logs in reports, kernel tests in a guest, clean starts."""

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from lab import process, require, uml
from lab.netns import sweep

_REPORTS: Final = "MGU_TEST_REPORTS"  # in a guest: the file that takes the reports
_IN_GUEST: Final = os.environ.get("UML") == "1"
_GUEST_LIMIT: Final = 600.0  # seconds for one module
_LONGEST: Final = 20  # characters of TMPDIR: the kernel takes 107 of a socket's path
_reports = pytest.StashKey[dict[str, list[pytest.TestReport]]]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Clear away what killed runs left; from a guest, the runs outside cannot be seen."""
    session.config.stash[_reports] = {}
    if _IN_GUEST:
        return
    if os.geteuid() == 0:
        sweep()
    for path in Path(tempfile.gettempdir()).glob("mgu-*-*"):
        owner = path.name.split("-")[1]
        if not owner.isdigit() or Path(f"/proc/{owner}").exists():
            continue
        with contextlib.suppress(OSError):  # root's, and we are not root
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def pytest_sessionfinish() -> None:
    """Nothing stays, even where a fixture forgot it."""
    for each in process.Process.started:
        each.stop()
    process.forget_stopped()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the kernel tests of a module together: they share a guest, and its boot.

    They go first: each module occupies one worker for long, and would at the end keep it alone.
    """
    if _IN_GUEST:
        return
    items.sort(key=lambda item: item.get_closest_marker("kernel") is None)
    for item in items:
        if item.get_closest_marker("kernel"):
            if config.pluginmanager.has_plugin("xdist"):
                item.add_marker(pytest.mark.xdist_group(_module(item)))
            item.add_marker(pytest.mark.timeout(_GUEST_LIMIT + 60), append=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("interop"):
        require.root()
    if item.get_closest_marker("kernel") and not _IN_GUEST and (lack := uml.unavailable()):
        require.missing(lack)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of the peers to the report of a failure."""
    report = yield
    if report.failed:
        report.sections.extend(process.report_sections())
    return report


def pytest_runtest_logfinish() -> None:
    process.forget_stopped()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what was left out, and why."""
    reasons: dict[str, int] = defaultdict(int)
    for report in terminalreporter.stats.get("skipped", []):
        place = report.longrepr
        reasons[str(place[2] if isinstance(place, tuple) else place)] += 1
    if reasons:
        terminalreporter.section("left out")
        for reason, count in sorted(reasons.items()):
            tests = "1 test" if count == 1 else f"{count} tests"
            terminalreporter.line(f"{tests}: {reason.removeprefix('Skipped: ')}")


# Kernel tests: outside, a guest runs them; inside, the reports are written down


def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """A kernel test's reports are those that its guest wrote."""
    if _IN_GUEST or not item.get_closest_marker("kernel") or uml.unavailable():
        return None
    done = item.config.stash[_reports]
    if _node(item) not in done:
        done.update(_run_module(item))
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in done[_node(item)]:
        report.nodeid = item.nodeid
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


class _Writer:
    """Inside a guest: writes every report where the run outside reads it."""

    def __init__(self, config: pytest.Config, file: Path) -> None:
        self._config, self._file = config, file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        hook = self._config.hook
        data = hook.pytest_report_to_serializable(config=self._config, report=report)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(data) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    if len(tempfile.gettempdir()) > _LONGEST:
        os.environ["TMPDIR"] = tempfile.tempdir = "/tmp"
    if _IN_GUEST and _REPORTS in os.environ:
        config.pluginmanager.register(_Writer(config, Path(os.environ[_REPORTS])))


def _module(item: pytest.Item) -> str:
    return item.location[0]


def _node(item: pytest.Item) -> str:
    """The node id without the group that xdist appends."""
    return item.nodeid.removesuffix(f"@{_module(item)}")


def _run_module(first: pytest.Item) -> dict[str, list[pytest.TestReport]]:
    """Run what was selected of the module of `first` in one guest: reports by node id."""
    wanted = [
        _node(item)
        for item in first.session.items
        if _module(item) == _module(first) and item.get_closest_marker("kernel")
    ]
    with tempfile.TemporaryDirectory(prefix=f"mgu-{os.getpid()}-") as folder:
        file = Path(folder) / "reports"
        env = {_REPORTS: str(file), "CI": "true"}
        unused = ("cacheprovider", "xdist", "benchmark", "hypothesispytest")  # slow to import there
        options = ["-q", *(word for name in unused for word in ("-p", f"no:{name}"))]
        argv = [sys.executable, "-m", "pytest", *options, *wanted]
        try:
            result = uml.run(argv, shared=[Path(folder)], env=env, within=_GUEST_LIMIT)
            why = f"the guest ended with {result.code} before this test:\n{result.output[-5000:]}"
        except uml.GuestFailed as error:
            why = f"the guest failed:\n{error}"
        reports: dict[str, list[pytest.TestReport]] = defaultdict(list)
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
            with contextlib.suppress(json.JSONDecodeError):  # the guest died while it wrote
                report = first.config.hook.pytest_report_from_serializable(
                    config=first.config, data=json.loads(line)
                )
                reports[report.nodeid].append(report)
    for node in wanted:
        if not reports[node] or reports[node][-1].when != "teardown":
            reports[node].append(_failure(first, node, why))
    return reports


def _failure(item: pytest.Item, node: str, why: str) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=node,
        location=item.location,
        keywords={},
        outcome="failed",
        longrepr=why,
        when="call",
    )
