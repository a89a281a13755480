"""A throw-away User-Mode Linux kernel with ESP, AH, SCTP and netem, booted in a few seconds.

It runs one command as root on the host's files; what it writes outside the shared directories is
gone with it. Its clock, namespaces, SAs and policies are its own. From a shell:

    python tests/lab/uml.py -- ip xfrm state
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KERNEL: Final = "linux.uml"
_COMPILER: Final = "gcc"
_MODULES: Final = """
    esp4 ah4 esp6 ah6 ipcomp ipcomp6 xfrm4_tunnel xfrm6_tunnel xfrm_user xfrm_interface af_key
    authenc cbc ctr gcm ccm seqiv echainiv sha512_generic des_generic camellia_generic cast5_generic
    blowfish_generic hmac xcbc cmac deflate drbg jitterentropy_rng
    veth bridge tun af_packet 8021q sctp sch_netem
    nf_tables nf_nat nft_masq nft_numgen iptable_nat xt_MASQUERADE xt_nat xt_policy
"""


class GuestFailed(Exception):
    """The guest did not boot, or ended before its command did; the text holds its console."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`code` is the command's exit code; None if the time was over and the guest was ended."""

    code: int | None
    output: str


def unavailable() -> str | None:
    """What is missing to boot a guest, or None."""
    if shutil.which(KERNEL) is None:
        return f"{KERNEL} (Debian's user-mode-linux; tests/lab/install-peers installs it)"
    if not Path("/usr/lib/uml/modules").is_dir():
        return "/usr/lib/uml/modules (Debian's user-mode-linux)"
    if _has_amx() and shutil.which(_COMPILER) is None:
        return f"{_COMPILER} (Debian's gcc and libc6-dev: this processor needs uml-xstate.c)"
    return None


def run(
    argv: Sequence[str],
    *,
    shared: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
    memory: str = "1G",
    within: float = 300.0,
) -> Result:
    """Run `argv` in a guest of its own, in this working directory.

    The directories `shared` are writable on both sides. Raises: GuestFailed.
    """
    with tempfile.TemporaryDirectory(prefix=f"mgu-{os.getpid()}-uml.") as folder:
        guest = Path(folder)
        _prepare(guest, argv, shared, env or {})
        ended = _boot(guest, memory, within)
        output = (guest / "out").read_text(encoding="utf-8", errors="replace")
        code = (guest / "code").read_text().strip()
        if code:
            return Result(code=int(code), output=output)
        if not ended:
            return Result(code=None, output=output)
        raise GuestFailed("\n".join([_tail(guest / "boot"), _tail(guest / "console"), output]))


def _prepare(
    guest: Path, argv: Sequence[str], shared: Sequence[Path], env: Mapping[str, str]
) -> None:
    guest.chmod(0o755)
    for name in ("out", "code", "boot", "console"):
        (guest / name).touch()
    folders = [guest, *(path.resolve() for path in shared)]
    (guest / "shared").write_text("".join(f"{path}\n" for path in folders))
    (guest / "modules").write_text(_MODULES)
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in env.items())
    _script(
        guest / "command", f"cd {shlex.quote(str(Path.cwd()))}\n{exports}exec {shlex.join(argv)}"
    )
    _script(guest / "modprobe", 'exec /usr/sbin/chroot /run/overlay/root /sbin/modprobe "$@"')


def _script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def _boot(guest: Path, memory: str, within: float) -> bool:
    """Run the guest to its end; False if it had to be ended after `within` seconds."""
    init = Path(__file__).with_name("uml-init")
    kernel = [
        KERNEL,
        f"mem={memory}",
        "rootfstype=hostfs",
        "rootflags=/",
        "rw",
        f"init={init}",
        f"MGU_GUEST={guest}",
        "quiet",
        "con=null",
        "con0=null,fd:1",
        f"umid={guest.name}",
        f"uml_dir={guest}/",
    ]
    with (guest / "console").open("wb") as console:
        process = subprocess.Popen(
            [*_in_a_cage(), *kernel],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=_environment(guest),
        )
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return True


def _has_amx() -> bool:
    return " amx_tile" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")


def _environment(guest: Path) -> dict[str, str] | None:
    """What the kernel is started with: uml-xstate.c says why."""
    if not _has_amx():
        return None
    source, library = Path(__file__).with_name("uml-xstate.c"), guest / "xstate.so"
    compiler = [_COMPILER, "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([*compiler, "-o", str(library), str(source)], check=True)
    return {**os.environ, "LD_PRELOAD": str(library)}


def _in_a_cage() -> list[str]:
    """What ends the guest with us, even by SIGKILL: it forgets its parent-death signal.

    The shell is process 1 of a process namespace, and does not forget. Only root may make one.
    """
    leash = ["setpriv", "--pdeathsig", "KILL", "--"]
    if os.geteuid() != 0:
        return leash
    cage = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return [*leash, *cage, "sh", "-c", '"$@"; exit $?', "sh"]


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[:1] != ["--"] or not arguments[1:]:
        print(__doc__, file=sys.stderr)
        return 64
    result = run(arguments[1:])
    print(result.output, end="")
    return 124 if result.code is None else result.code


if __name__ == "__main__":
    sys.exit(main())
