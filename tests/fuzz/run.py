"""Coverage-guided fuzzing of the decoders: `make fuzz`, or `python tests/fuzz/run.py NAME SECONDS`.

A target calls one decoder and swallows nothing but its package's own error. What it finds becomes
a test beside the decoder; no corpus is kept here.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

Target = Callable[[bytes], None]


def targets(of: str = "*") -> dict[str, Target]:
    """Every target, or those of one package, by the name `package.decoder`."""
    found: dict[str, Target] = {}
    for path in sorted(Path(__file__).parent.glob(f"fuzz_{of}.py")):
        module = import_module(path.stem)
        package = path.stem.removeprefix("fuzz_")
        found |= {f"{package}.{name}": target for name, target in module.TARGETS.items()}
    return found


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: run.py NAME SECONDS\n" + "\n".join(targets()))
    import atheris

    name, seconds = sys.argv[1:]
    with atheris.instrument_imports(include=["wire", "ntp", "eapol", "radius", "xfrm", "ike"]):
        known = targets(name.partition(".")[0])
    if name not in known:
        sys.exit(f"there is no target {name}; there are\n" + "\n".join(targets()))
    limits = [f"-max_total_time={seconds}", "-max_len=4096", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *limits], known[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
