"""chronyd as a time server: it serves this machine's clock, and never sets it (-x)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from lab import require
from lab.netns import Namespace
from lab.pki import Usage, Validity, site
from lab.process import Process


def nts(folder: Path, host: str, valid: Validity | None = None) -> tuple[list[str], Path]:
    """The lines that make chronyd serve NTS as `host`, and the authority to trust for it."""
    authority = site(name="Time Root")
    issued = authority.root.issue(
        "time",
        valid or Validity.around(datetime.now(UTC)),
        authority.server.key,
        usage=Usage.SERVER,
        names=[host],
    )
    ca = folder / "ca.pem"
    ca.write_bytes(authority.root.certificate.public_bytes(Encoding.PEM))
    (folder / "cert.pem").write_bytes(issued.certificate_pem())
    (folder / "key.pem").write_bytes(issued.key_pem())
    return [f"ntsservercert {folder}/cert.pem", f"ntsserverkey {folder}/key.pem"], ca


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
