"""Locks on files."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mgu.files import PRIVATE, locked


def test_a_lock_is_for_one_at_a_time_and_for_its_owner_only(tmp_path: Path) -> None:
    path, inside = tmp_path / "run" / "lock", []

    def enter(number: int) -> None:
        with locked(path):
            inside.append(number)
            os.sched_yield()
            inside.append(number)

    with ThreadPoolExecutor(4) as people:
        list(people.map(enter, range(40)))
    assert inside[::2] == inside[1::2]
    assert path.stat().st_mode & 0o777 == PRIVATE
