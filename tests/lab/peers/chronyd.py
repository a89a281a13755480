"""chronyd as a time server: it serves this machine's clock, and never sets it (-x)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab import require
from lab.netns import Namespace
from lab.process import Process


@contextmanager
def chronyd(
    folder: Path,
    *,
    namespace: Namespace | None = None,
    lines: Sequence[str] = (),
    port: int = 123,
    stratum: int = 1,
) -> Iterator[Process]:
    """Runs while the block does. `lines` are added to its configuration; `folder` is its own."""
    configuration = folder / "chrony.conf"
    folder.mkdir(exist_ok=True)
    common = (
        f"local stratum {stratum}",
        "allow all",
        f"port {port}",
        "cmdport 0",
        "bindcmdaddress /",
        f"pidfile {folder}/chronyd.pid",
    )
    configuration.write_text("".join(f"{line}\n" for line in (*common, *lines)))
    argv = [require.program("chronyd"), "-x", "-d", "-u", "root", "-f", str(configuration)]
    with Process(argv, namespace=namespace, name="chronyd") as process:
        process.wait_line("chronyd version")
        process.wait_line("Running with root privileges")
        yield process
