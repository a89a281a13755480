"""The words of phase1 about tunnels, and what the control interface has fixed answers to."""

import pytest

from eapol.config import Config, parse, text
from eapol.control import Interpreter
from eapol.settings import CryptoBinding, Phase2Auth, TunnelPolicy
from lab.port import Port

FILE = """network={{
 key_mgmt=IEEE8021X
 eap=PEAP
 identity="me"
 password="secret"
 ca_cert="/etc/ca.pem"
 phase1="{words}"
}}
"""


def tunnel(words: str) -> TunnelPolicy:
    network = parse(FILE.format(words=words), "conf").network
    assert network is not None
    again = parse(text(Config(networks=(network,))), "written").network
    assert again is not None
    assert again.tunnel == network.tunnel  # what is written is read back
    return network.tunnel


@pytest.mark.parametrize(
    ("words", "policy"),
    [
        ("", TunnelPolicy()),
        ("peapver=0", TunnelPolicy(peap_version=0)),
        ("peapver=1 peaplabel=1", TunnelPolicy(peap_version=1, peap_label=True)),
        ("crypto_binding=0", TunnelPolicy(crypto_binding=CryptoBinding.OFF)),
        ("crypto_binding=1", TunnelPolicy(crypto_binding=CryptoBinding.OPTIONAL)),
        ("crypto_binding=2", TunnelPolicy(crypto_binding=CryptoBinding.REQUIRED)),
        *((f"phase2_auth={each.value}", TunnelPolicy(phase2_auth=each)) for each in Phase2Auth),
    ],
)
def test_each_word_of_a_tunnel_is_taken(words: str, policy: TunnelPolicy) -> None:
    assert tunnel(words) == policy


def test_without_words_the_binding_is_checked_where_there_is_one() -> None:
    assert TunnelPolicy().crypto_binding is CryptoBinding.OPTIONAL
    assert [each.value for each in CryptoBinding] == [0, 1, 2]


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("RELOG", "OK\n"),
        ("ADD_NETWORK", "FAIL\n"),
        ("REMOVE_NETWORK 0", "FAIL\n"),
        ("BLACKLIST", ""),
        ("BSSID_IGNORE", ""),
        ("LIST_CREDS", "cred id / realm / username / domain / imsi\n"),
        ("SCAN_RESULTS", "bssid / frequency / signal level / flags / ssid\n"),
        ("PMKSA", "Index / AA / PMKID / expiration (in seconds) / opportunistic\n"),
        ("GET version", "mgusec"),
        ("GET country", "FAIL\n"),
        ("GET_CAPABILITY pairwise", "NONE"),
        ("GET_CAPABILITY group strict", "NONE"),
        ("GET_CAPABILITY channels", "FAIL\n"),
    ],
)
def test_what_is_of_wireless_ports_has_wpa_supplicants_answer_for_a_wired_one(
    command: str, reply: str
) -> None:
    answer = Interpreter(Port(), lambda: "10.98.0.1").answer(command.encode(), "/tmp/client")
    assert answer is not None
    assert answer.decode() == reply


def test_the_methods_that_there_are_are_named_as_wpa_supplicant_names_them() -> None:
    interface = Interpreter(Port(), lambda: "10.98.0.1")
    answer = interface.answer(b"GET_CAPABILITY eap", "/tmp/client")
    assert answer is not None
    assert {"TLS", "PEAP", "TTLS"} <= set(answer.decode().split(" "))
