"""The judge of mutants, on a tree of one module and three tests."""

import subprocess
from pathlib import Path

import pytest

from mutants.judge import Mutant, Reach, copies, judge, judges

MODULE = "def least(a, b):\n    return a if a < b else b\n"
TESTS = """
from least import least

def test_the_smaller_of_two():
    assert least(1, 2) == 1

def test_equal_ones():
    assert least(2, 2) == 2
"""
LOOP = "asyncio_default_fixture_loop_scope = function\n"  # else pytest-asyncio warns
FIRST = "tests/test_least.py::test_the_smaller_of_two"
SECOND = "tests/test_least.py::test_equal_ones"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    for name, text in {"src/least.py": MODULE, "tests/test_least.py": TESTS}.items():
        (tree / name).parent.mkdir(parents=True)
        (tree / name).write_text(text, encoding="utf-8")
    (tree / "pytest.ini").write_text("[pytest]\nmarkers =\n  interop\n  kernel\n" + LOOP, "utf-8")
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    return tree


def mutant(after: str) -> Mutant:
    line = f"    return {after}\n"
    return Mutant("src/least.py", 2, 2, 2, "", after, MODULE.splitlines(keepends=True)[0] + line)


def reached(*tests: str) -> Reach:
    return Reach(dict.fromkeys(tests, 0.1), {"src/least.py": {2: set(tests)}})


def noticed(tree: Path, folder: Path, after: str, *tests: str) -> list[bool]:
    with copies(tree, 1, folder) as trees:
        return [each.noticed for each in judge([mutant(after)], reached(*tests), trees)]


def test_a_change_that_a_test_tells_apart_is_noticed(tree: Path, tmp_path: Path) -> None:
    assert noticed(tree, tmp_path, "a if a > b else b", FIRST, SECOND) == [True]


def test_a_change_of_no_effect_survives(tree: Path, tmp_path: Path) -> None:
    assert noticed(tree, tmp_path, "a if a <= b else b", FIRST, SECOND) == [False]


def test_only_the_tests_that_run_the_line_judge(tree: Path, tmp_path: Path) -> None:
    assert noticed(tree, tmp_path, "b if a < b else b", SECOND) == [False]


def test_a_line_that_no_test_runs_survives(tree: Path, tmp_path: Path) -> None:
    assert noticed(tree, tmp_path, "None") == [False]


def test_the_working_tree_stays_and_copies_are_as_before_for_the_next_mutant(
    tree: Path, tmp_path: Path
) -> None:
    with copies(tree, 1, tmp_path) as trees:
        again = [mutant("None"), mutant("a if a <= b else b"), mutant("b")]
        verdicts = list(judge(again, reached(FIRST, SECOND), trees))
        assert (trees[0] / "src/least.py").read_text("utf-8") == MODULE
    assert [verdict.noticed for verdict in verdicts] == [True, False, True]
    assert (tree / "src/least.py").read_text("utf-8") == MODULE
    assert not trees[0].exists()


def test_a_line_that_runs_at_import_is_judged_by_all_those_of_its_module_first() -> None:
    reach = Reach(
        {"near": 3.0, "quick": 0.1, "slow": 9.0},
        {"src/least.py": {1: {""}, 2: {"near"}}, "src/most.py": {1: {"", "quick", "slow"}}},
    )
    at_import = Mutant("src/least.py", 1, 1, 1, "", "", "")
    assert reach.tests(at_import) == ["near", "quick", "slow"]


def test_a_package_is_judged_by_its_own_tests_and_by_those_elsewhere_that_name_it(
    tmp_path: Path,
) -> None:
    for name, text in {
        "mgu/test_own.py": "",
        "ntp/test_command.py": "from mgu import boot",
        "ntp/test_process.py": 'argv = ["-m", "mgu.main"]',
        "ntp/test_client.py": "from ntp import client",
        "ntp/lab.py": "import mgu.boot",
    }.items():
        (tmp_path / "tests" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tests" / name).write_text(text, encoding="utf-8")
    named = ["tests/ntp/test_command.py", "tests/ntp/test_process.py"]
    assert judges(tmp_path, "mgu") == ["tests/mgu", *named]
    assert judges(tmp_path, "ntp") == ["tests/ntp"]
