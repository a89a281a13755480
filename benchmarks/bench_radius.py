"""Authentications at FreeRADIUS: ours beside Debian's eapol_test 2.10. EAP-TLS, RSA-2048.

"loops": two shells that start eapol_test again and again, as scripts do, beside one command of
ours in two processes; all on this machine with the server, whose CPU is printed. "CPU each": what
one more authentication costs a client that runs already (`-r`). With `fast_reauth=0` each one is a
whole handshake for both, with a new TLS context in eapol_test; with 1 both would resume, which this
server does not do.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab import require
from lab.eapol_test import configuration
from lab.gateway import network
from lab.netns import Namespace
from lab.peers.freeradius import SECRET, Settings, freeradius
from lab.pki import site
from lab.process import Process

SECONDS = 8
AGAIN = 200
TLS_1_3 = 'phase1="tls_disable_tlsv1_3=0"'  # or eapol_test does not offer it
OURS = (sys.executable, "-m", "mgu.main", "eapol-test")
TICKS = os.sysconf("SC_CLK_TCK")


def run(namespace: Namespace, argv: Sequence[str]) -> tuple[float, str]:
    """CPU seconds, its children's too, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with Process(argv, namespace=namespace) as process:
        assert process.wait(300) == 0, process.text[-500:]
        printed = process.text
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return user + system, printed


def cpu_each(namespace: Namespace, argv: Sequence[str]) -> float:
    """Milliseconds of one more authentication, of a client that runs already."""
    few, _ = run(namespace, [*argv, "-r", "1"])
    many, _ = run(namespace, [*argv, "-r", str(AGAIN)])
    return 1000 * (many - few) / (AGAIN - 1)


def spent(pid: int) -> float:
    """CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def loops(namespace: Namespace, argv: Sequence[str], count: int) -> float:
    """Authentications a second of `count` shells that start eapol_test again and again."""
    line = 'n=0; while :; do "$@" > /dev/null || exit 1; n=$((n+1)); echo $n; done'
    shells = [
        Process(["sh", "-c", line, "sh", *argv], namespace=namespace, name="loop")
        for _ in range(count)
    ]
    time.sleep(SECONDS)
    done = [int((shell.text.split() or ["0"])[-1]) for shell in shells]
    for shell in shells:
        assert shell.running, shell.text[-500:]
        shell.stop()
    return sum(done) / SECONDS


@pytest.mark.timeout(600)
@pytest.mark.parametrize("resume", [False, True], ids=["fast_reauth=0", "fast_reauth=1"])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_beside_eapol_test(tmp_path: Path, version: str, resume: bool) -> None:
    made = site()
    file = configuration(tmp_path, network(tmp_path, made), resume=resume, more=TLS_1_3)
    options = ["-c", str(file), "-s", SECRET]
    theirs = [require.program("eapol_test"), *options]
    settings = Settings(server=made.server, ca=made.root, max_version=version, log=False)
    with Namespace("office") as host, freeradius(host, settings) as server:
        each, debians = cpu_each(host, [*OURS, *options]), cpu_each(host, theirs)
        before = spent(server.pid)
        load = ["--load", "8", "--for", str(SECONDS), "--json"]
        cpu, printed = run(host, [*OURS, *options, *load, "--processes", "2"])
        measured = json.loads(printed[printed.index("{\n") :])["load"]
        server_cpu = 1000 * (spent(server.pid) - before) / measured["accepted"]
        scripted = loops(host, theirs, 2)
    assert measured["failed"] == 0
    rate = measured["per_second"]
    print(
        f"\nTLS {version}, fast_reauth={int(resume)}: {rate:.0f} authentications/s in two"
        f" processes, {scripted:.0f}/s in two loops of eapol_test: {rate / scripted:.1f} (>= 3)."
        f" CPU each: ours {each:.2f} ms with -r, {1000 * cpu / measured['accepted']:.2f} ms with"
        f" --load, start included; eapol_test -r {debians:.2f} ms: {each / debians:.2f} (<= 0.6);"
        f" FreeRADIUS {server_cpu:.2f} ms"
    )
