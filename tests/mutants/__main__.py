"""How much do the fast tests of a package notice? `make mutants PACKAGE=ike N=200 SEED=1 JOBS=2`.

Prints each change that no test noticed as FILE:LINE, then the percentage. Exit code: 0, or 1 where
the tests fail before anything is changed, 2 where PACKAGE is none.

The demo is a sample of its own, PACKAGE=mgu.demo: it makes namespaces and runs our commands in
them, so what judges it is that it runs, which takes 10 s.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

from mutants.judge import ALL, FAST, TestsFail, Verdict, copies, judge, judges, reach
from mutants.sample import package_files, sample

_RUNS: Final = {
    "mgu.demo": [
        "tests/mgu/test_demo_story.py",
        "tests/mgu/test_demo.py",
        "tests/lab/test_lab.py",
        "tests/lab/test_pki.py",
    ]
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", allow_abbrev=False)
    parser.add_argument("package", help="a package or module of src, such as ike or mgu.keying")
    parser.add_argument("--size", type=int, default=200, help="how many mutants (200)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same mutants (1)")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (2)")
    parser.add_argument(
        "tests", nargs="*", help="the tests that judge (those that name the package)"
    )
    asked = parser.parse_args()
    top = Path(__file__).parents[2]
    if not all(file.is_file() for file in package_files(top, asked.package) or [top / "none"]):
        parser.error(f"there is no package or module {asked.package} in src")
    runs = _RUNS.get(asked.package, [])
    tests = asked.tests or runs or judges(top, asked.package.partition(".")[0])
    with (
        tempfile.TemporaryDirectory(prefix="mutants-") as folder,
        copies(top, asked.jobs, Path(folder)) as trees,
    ):
        chosen = sample(trees[0], asked.package, asked.size, asked.seed)
        print(f"{len(chosen)} mutants of {asked.package}; the tests that judge: {' '.join(tests)}")
        try:
            reached = reach(trees[0], asked.package, tests, ALL if runs else FAST)
        except TestsFail as error:
            print(error, file=sys.stderr)
            return 1
        verdicts = [_told(verdict) for verdict in judge(chosen, reached, trees)]
    noticed = sum(verdict.noticed for verdict in verdicts)
    missed = sum(verdict.tests == 0 for verdict in verdicts)
    print(
        f"{asked.package}: {noticed} of {len(verdicts)} noticed, "
        f"{noticed * 100 / max(1, len(verdicts)):.1f} %; {missed} in lines that no test runs "
        f"(seed {asked.seed})"
    )
    return 0


def _told(verdict: Verdict) -> Verdict:
    if not verdict.noticed:
        mutant = verdict.mutant
        tests = f"{verdict.tests} tests run it" if verdict.tests else "no test runs it"
        print(f"{mutant.path}:{mutant.line}: {mutant.before}  ->  {mutant.after}  ({tests})")
        sys.stdout.flush()
    return verdict


if __name__ == "__main__":
    sys.exit(main())
