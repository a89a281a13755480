"""The choice between large packets, which want numpy, and small ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ASK = "from xfrm.tun.device import can_offload; print(can_offload())"


@pytest.mark.parametrize("fault", ["ImportError('no room for openblas\\nand more')", "MemoryError"])
def test_a_numpy_that_cannot_be_loaded_costs_speed_and_nothing_else(
    fault: str, tmp_path: Path
) -> None:
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy/__init__.py").write_text(f"raise {fault}\n")
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
    why = "no room for openblas" if "Import" in fault else "not enough memory"
    assert done.stderr == (f"numpy cannot be loaded ({why}): TCP passes in small packets, slower\n")
