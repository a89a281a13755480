"""setkey's policies on any kernel, ESP or not."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from lab.netns import Namespace
from lab.process import Process

pytestmark = pytest.mark.interop


@pytest.fixture
def host() -> Iterator[Namespace]:
    with Namespace("setkey") as namespace:
        yield namespace


def setkey(
    host: Namespace, *options: str, stdin: str = "", code: int = 0
) -> subprocess.CompletedProcess[str]:
    done = host.run(sys.executable, "-m", "mgu.main", "setkey", *options, stdin=stdin, check=False)
    assert done.returncode == code, done.stderr
    return done


POLICIES = """
spdadd 10.98.1.0/24[any] 10.98.6.0/24[any] any -P out ipsec
    esp/tunnel/10.99.0.1-10.99.0.6/require ah/transport//use;
spdadd 10.98.1.0/24 10.98.7.0/24 icmp 8,0 -P in none;
spdadd 10.98.1.0/24 10.98.8.0/24 any -P out discard;
spdadd 10.98.1.0/24[any] 10.98.9.0/24[80] tcp -P out prio def + 100 ipsec
    esp/tunnel/10.99.0.1-10.99.0.9/unique:7;
spdadd fd00:1::/64 fd00:2::/64[2816] sctp -P fwd prio low ipsec esp/tunnel/fd00::1-fd00::2/require;
"""


def entries(shown: str) -> set[str]:
    """Selector, direction, priority, action and rules of each entry of setkey -DP."""
    return set(re.findall(r"^(\S.*?)\n\tcreated:", shown, re.MULTILINE | re.DOTALL))


def test_policies_are_shown_as_they_were_written_and_as_ip_shows_them(host: Namespace) -> None:
    setkey(host, "-c", stdin=POLICIES)
    shown = setkey(host, "-DP").stdout
    assert entries(shown) == {
        "10.98.1.0/24[any] 10.98.6.0/24[any] 255\n\tout prio def ipsec\n"
        "\tesp/tunnel/10.99.0.1-10.99.0.6/require\n\tah/transport//use",
        "10.98.1.0/24 10.98.7.0/24 icmp 8,0\n\tin prio def none",
        "10.98.1.0/24 10.98.7.0/24 icmp 8,0\n\tfwd prio def none",
        "10.98.1.0/24[any] 10.98.8.0/24[any] 255\n\tout prio def discard",
        "10.98.1.0/24[any] 10.98.9.0/24[80] tcp\n\tout prio def + 100 ipsec\n"
        "\tesp/tunnel/10.99.0.1-10.99.0.9/unique:7",
        "fd00:1::/64[any] fd00:2::/64[2816] sctp\n\tfwd prio low ipsec\n"
        "\tesp/tunnel/fd00::1-fd00::2/require",
    }
    said = host.run("ip", "xfrm", "policy").stdout
    assert "src 10.98.1.0/24 dst 10.98.9.0/24 proto tcp dport 80" in said
    assert "dir out priority 2147483548" in said
    assert "src 10.98.1.0/24 dst 10.98.7.0/24 proto icmp type 8 code 0" in said
    assert "action block" in said
    assert "level use" in said
    assert "proto esp reqid 7 mode tunnel" in said


def test_what_is_shown_can_be_loaded_again(host: Namespace) -> None:
    setkey(host, "-c", stdin=POLICIES)
    before = entries(setkey(host, "-DP").stdout)
    written = "".join(
        f"spdadd {selector} -P {' '.join(rest.split())};\n"
        for selector, rest in (entry.split("\n", 1) for entry in before)
    )
    setkey(host, "-FP")
    assert setkey(host, "-DP").stdout == "No SPD entries.\n"
    setkey(host, "-k", "-c", stdin=written)
    assert entries(setkey(host, "-DP").stdout) == before


def test_deleting_an_in_policy_takes_its_fwd_twin_along(host: Namespace) -> None:
    setkey(host, "-c", stdin=POLICIES)
    setkey(host, "-c", stdin="spddelete 10.98.1.0/24 10.98.7.0/24 icmp 8,0 -P in;")
    assert "icmp" not in setkey(host, "-DP").stdout


def test_a_dry_run_changes_nothing(host: Namespace) -> None:
    setkey(host, "-n", "-c", stdin=POLICIES)
    assert setkey(host, "-DP").stdout == "No SPD entries.\n"


def test_a_policy_of_a_socket_is_shown_or_counted(host: Namespace) -> None:
    holder = (
        "import socket, struct, sys\n"
        "from xfrm.netlink import wire\n"
        "made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "any4 = wire.ANYTHING._replace(family=2)\n"
        "made.setsockopt(0, 17, bytes(wire.PolicyInfo(any4, dir=1)))\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = host.call(
        subprocess.Popen,
        [sys.executable, "-c", holder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert setkey(host, "-DP").stdout.startswith("(per-socket policy) \n\tout(socket) none\n")
        hidden = setkey(host, "-DPN").stdout
        assert hidden == "1 per-socket policies not shown (filtered by -N)\n"
        assert process.stdin is not None
        process.stdin.close()


async def test_what_happens_is_printed_by_x(host: Namespace) -> None:
    with Process([sys.executable, "-m", "mgu.main", "setkey", "-x"], namespace=host) as monitor:
        # It says nothing until something happens: cause it until it listens.
        while "NEWPOLICY" not in monitor.text and monitor.running:
            setkey(host, "-c", stdin="spdflush; spdadd 10.0.0.1 10.0.0.2 any -P out none;")
        await monitor.line("NEWPOLICY the out policy 10.0.0.1/32 -> 10.0.0.2/32")


def test_without_root_it_says_so_and_ends_with_4(host: Namespace) -> None:
    done = host.run("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", sys.executable,
                    "-m", "mgu.main", "setkey", "-D", check=False)  # fmt: skip
    assert done.returncode == 4
    assert "needs root" in done.stderr


def test_ten_thousand_policies_load_in_seconds(host: Namespace) -> None:
    text = "".join(
        f"spdadd 10.1.0.0/24 10.{n >> 8}.{n & 255}.0/24 any -P out ipsec"
        f" esp/tunnel/10.0.0.1-10.0.0.2/require;\n"
        for n in range(10_000)
    )
    started = time.monotonic()
    setkey(host, "-c", stdin=text)
    took = time.monotonic() - started
    assert host.run("ip", "xfrm", "policy", "count").stdout.count("10000") == 1
    assert took < 30, "it takes about 1.5 s on an idle machine"


def test_tables_are_explained_in_words(host: Namespace) -> None:
    setkey(host, "-c", stdin=POLICIES)
    said = setkey(host, "-D", "--explain").stdout
    assert "Policy for leaving packets 10.98.1.0/24 -> 10.98.9.0/24 port 80 tcp: protect" in said
    assert "! by ESP tunnel 10.99.0.1 -> 10.99.0.9: no such SA" in said
