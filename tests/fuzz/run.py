"""Coverage-guided fuzzing of the decoders: `make fuzz`, or `python tests/fuzz/run.py NAME SECONDS`.

A target calls one decoder and swallows nothing but its package's own error. What it finds becomes
a test beside the decoder; no corpus is kept here.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

Target = Callable[[bytes], None]


def targets() -> dict[str, Target]:
    """Every target by the name `package.decoder`."""
    found: dict[str, Target] = {}
    for path in sorted(Path(__file__).parent.glob("fuzz_*.py")):
        module = import_module(path.stem)
        package = path.stem.removeprefix("fuzz_")
        found |= {f"{package}.{name}": target for name, target in module.TARGETS.items()}
    return found


def main() -> None:
    known = targets()
    if len(sys.argv) != 3 or sys.argv[1] not in known:
        sys.exit("usage: run.py NAME SECONDS\n" + "\n".join(known))
    import atheris

    atheris.instrument_all()
    limits = [f"-max_total_time={sys.argv[2]}", "-max_len=4096", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *limits], known[sys.argv[1]])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
