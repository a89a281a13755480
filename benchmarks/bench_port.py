"""How soon hostapd opens the port: our supplicant beside Debian's wpa_supplicant 2.10.

FreeRADIUS behind hostapd, RSA-2048, TLS 1.2, all on this machine. "cold" is from the start of the
process to the open port, by the switch's own word; "again" from REAUTHENTICATE to EAP-Success.
wpa_supplicant waits two seconds before it says its first word.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

from eapol.settings import Network, TlsPolicy, TlsVersion
from lab import require
from lab.gateway import Supplicant, debians, network, supplicant
from lab.netns import Namespace, Veth
from lab.peers.freeradius import Settings, freeradius
from lab.peers.hostapd import Hostapd, hostapd
from lab.pki import site
from mgu.wpa_ctrl import Client

COLD, AGAIN = 5, 40

Run = Callable[[Namespace, Network], AbstractContextManager[Supplicant]]


def ours(namespace: Namespace, wanted: Network) -> AbstractContextManager[Supplicant]:
    """Without a logoff at its end, after which hostapd hears nobody for five seconds."""
    return supplicant(namespace, wanted, "--no-logoff")


SUPPLICANTS: dict[str, Run] = {"ours": ours, "Debian's": debians}


@contextmanager
def switch(folder: Path) -> Iterator[tuple[Namespace, Network, Hostapd]]:
    made = site()
    policy = TlsPolicy(max_version=TlsVersion.TLS_1_2)
    settings = Settings(server=made.server, ca=made.root, max_version="1.2")
    with ExitStack() as stack:
        gateway = stack.enter_context(Namespace("gateway"))
        far = stack.enter_context(Namespace("switch"))
        Veth((gateway, "eth0"), (far, "eth0"))
        stack.enter_context(freeradius(far, settings))
        port = stack.enter_context(hostapd(far, folder))
        yield gateway, replace(network(folder, made), tls=policy), port


def again(running: Supplicant) -> float:
    """Milliseconds of one re-authentication, the median of many."""
    with Client(running.folder, "eth0") as asked, Client(running.folder, "eth0") as heard:
        heard.request("ATTACH")
        taken = []
        for _ in range(AGAIN):
            begun = time.perf_counter()
            asked.request("REAUTHENTICATE")
            while "CTRL-EVENT-EAP-SUCCESS" not in (event := heard.event(10) or ""):
                assert event
            taken.append(1000 * (time.perf_counter() - begun))
    return median(taken)


def test_cold_and_again(tmp_path: Path) -> None:
    require.root()
    print(f"\n{'milliseconds':<14}{'cold':>10}{'again':>10}")
    for name, run in SUPPLICANTS.items():
        cold, warm = [], 0.0
        with switch(tmp_path) as (gateway, wanted, port):
            for _ in range(COLD):
                begun = time.perf_counter()
                with run(gateway, wanted) as running:
                    port.authorized()
                    cold.append(1000 * (time.perf_counter() - begun))
                    running.authorized()
                    warm = again(running)
                    port.process.wait_line("$(?![\\s\\S])")  # what was printed so far is read
        print(f"{name:<14}{median(cold):>10.0f}{warm:>10.1f}")
