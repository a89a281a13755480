"""What others changed, in a namespace; `interop/test_datapath_life.py` has what follows from it."""

import subprocess
import sys

SCRIPT = """
import subprocess
from xfrm.tun.watch import Changes, Watch

def ip(*lines):
    subprocess.run(["ip", "-batch", "-"], input="\\n".join(lines), text=True, check=True)

def show(*lines):
    ip(*lines)
    changes = watch.drain()
    routes = sorted(map(str, changes.routes))
    print(int(changes.addresses), int(changes.everything), *routes, bool(changes))

ip("link set lo up", "link add e0 type veth peer name e1", "addr add 10.1.0.1/24 dev e0")
ip("link set e1 up", "link set e0 up")
ip("rule add fwmark 7 table 4500", "route add 10.3.0.0/16 dev e0 table 4500")
ip("route add 10.4.0.0/16 dev e0", "rule add fwmark 8 table 4501")
watch = Watch(3, 4500)
watch.drain()
show("addr replace 10.1.0.1/24 dev e0 valid_lft 100 preferred_lft 50")
show("addr add 10.1.0.2/24 dev e0")
show("addr del 10.1.0.2/24 dev e0")
show("route add 10.5.0.0/16 dev e0 table 4500")
show("route del 10.4.0.0/16", "rule del fwmark 8 table 4501", "link set e1 mtu 1400")
show("route del 10.3.0.0/16 table 4500", "route del 10.5.0.0/16 table 4500")
show("rule del fwmark 7 table 4500")
show("link set e0 mtu 1400")
"""


def test_only_addresses_of_the_host_and_what_is_ours_count_as_changes() -> None:
    argv = ["unshare", "-rn", sys.executable, "-B", "-c", SCRIPT]
    child = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert child.returncode == 0, child.stderr
    assert child.stdout.splitlines() == [
        "0 0 False",
        "1 0 True",
        "1 0 True",
        "0 0 False",
        "0 0 False",
        "0 0 10.3.0.0/16 10.5.0.0/16 True",
        "0 1 True",
        "0 1 True",
    ]
