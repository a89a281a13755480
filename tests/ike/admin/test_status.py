"""`racoonctl status` in the words of the racoon fork, as racoon 0.9.1 printed it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from ike.admin.status import status_json, status_text
from ike.config import Config, GeneratePolicy, Remote
from ike.numbers.isakmp import ExchangeType, ProtocolId
from ike.values import (
    Endpoint,
    IpsecView,
    IsakmpView,
    Mode,
    Phase1State,
    Role,
    Selector,
)

NOW = datetime(2026, 11, 23, 18, 33, 33, tzinfo=UTC)
HERE, THERE = ip_address("10.99.0.1"), ip_address("10.99.0.2")
CONFIG = Config(remotes=(Remote(name="10.99.0.2", address=THERE),))
PHASE1 = IsakmpView(
    local=Endpoint(HERE, 500),
    remote=Endpoint(THERE, 500),
    initiator_cookie=bytes.fromhex("5ffbde19baad3051"),
    responder_cookie=bytes.fromhex("c051ea79ade5828f"),
    state=Phase1State.ESTABLISHED,
    role=Role.INITIATOR,
    exchange=ExchangeType.MAIN,
    created=1.0,
    phase2_count=1,
    remote_name="10.99.0.2",
    encryption="AES",
    hash="SHA1",
    authentication="PRE_SHARED_KEY",
    group=2,
    lifetime_seconds=3600,
    dpd=True,
)
PHASE2 = IpsecView(
    initiator_cookie=PHASE1.initiator_cookie,
    responder_cookie=PHASE1.responder_cookie,
    local=PHASE1.local,
    remote=PHASE1.remote,
    role=Role.INITIATOR,
    established=True,
    message_id=0x01A26488,
    protocol=ProtocolId.ESP,
    mode=Mode.TRANSPORT,
    selector=Selector(local=ip_network(HERE), remote=ip_network(THERE)),
    spi_in=0x09DD425C,
    spi_out=0x0AB4FB2E,
    created=1.0,
    encryption="AES",
    integrity="HMAC_SHA1",
    effective_group=2,
    lifetime_seconds=1800,
)

TEXT1 = """\
Phase 1: 0x5ffbde19baad3051c051ea79ade5828f
  state:          established
  remote:         10.99.0.2
  local:          10.99.0.1
  version:        1.0  exchange_mode: MAIN
  encryption:     AES-CBC  hash: SHA  auth: pre-shared key  dh: MODP1024
  lifetime:       3600s
  dpd:            supported=yes fails=0
  remote_config:  anonymous=no passive=no generate_policy=none

"""
TEXT2 = """\
Phase 2: 0x01a26488
  phase1:         0x5ffbde19baad3051c051ea79ade5828f
  state:          established  protocol: ESP  mode: Transport
  spi:            in=0x09dd**** out=0x0ab4****
  selector:       10.99.0.1/32 -> 10.99.0.2/32  proto=any sport=any dport=any
  encryption:     AES-CBC  auth: hmac-sha1
  pfs_group:      (none)
  effective_group: 2
  lifetime:       1800s / 0 bytes
  reqid:          in=0 out=0  ok=yes

"""
HEAD = "racoon status at 2026-11-23T18:33:33Z\n\n"
JSON = (
    '{"schema_version":"2.0","timestamp":"2026-11-23T18:33:33Z","phase1":[{"index":"0x5ffbde19baad'
    '3051c051ea79ade5828f","state":"established","remote_id":"10.99.0.2","local_id":"10.99.0.1",'
    '"version":"1.0","exchange_mode":"MAIN","proposal":{"encryption_algorithm":"AES-CBC",'
    '"hash_algorithm":"SHA","authentication_method":"pre-shared key","dh_group":"MODP1024",'
    '"lifetime_time":3600},"dpd":{"supported":true,"fails":0},"remote_config":{"anonymous":false,'
    '"passive":false,"generate_policy":"none"}}],"phase2":[{"index":"0x01a26488","phase1_index":'
    '"0x5ffbde19baad3051c051ea79ade5828f","state":"established","spi_in":"0x09dd****","spi_out":'
    '"0x0ab4****","protocol":"ESP","encmode":"Transport","selectors":{"src":"10.99.0.1/32","dst":'
    '"10.99.0.2/32","protocol":"any","src_port":"any","dst_port":"any"},"proposal":{'
    '"encryption_algorithm":"AES-CBC","authentication_algorithm":"hmac-sha1","pfs_group":null,'
    '"effective_group":2,"lifetime_time":1800,"lifetime_bytes":0},"reqid_in":0,"reqid_out":0,'
    '"ok":true}],"dropped_datagrams":{}}'
)


def test_the_text_is_the_forks_word_for_word() -> None:
    assert status_text(CONFIG, [PHASE1], [PHASE2], NOW, {}) == HEAD + TEXT1 + TEXT2


def test_the_json_is_the_forks_schema_2() -> None:
    assert status_json(CONFIG, [PHASE1], [PHASE2], NOW, {}) == JSON


def test_without_v_neither_text_nor_json_has_phase_2() -> None:
    assert status_text(CONFIG, [PHASE1], None, NOW, {}) == HEAD + TEXT1
    assert "phase2" not in json.loads(status_json(CONFIG, [PHASE1], None, NOW, {}))


def test_nothing_there_is_said() -> None:
    assert status_text(CONFIG, [], None, NOW, {}) == f"{HEAD}(no phase 1 SAs)\n"
    nothing = f"{HEAD}(no phase 1 SAs)\n(no phase 2 SAs)\n"
    assert status_text(CONFIG, [], [], NOW, {}) == nothing


def test_dropped_datagrams_are_shown_by_reason() -> None:
    dropped = {"queue full": 7, "too many of one": 2}
    assert status_text(CONFIG, [], None, NOW, dropped).endswith(
        "\nDropped datagrams: queue full: 7, too many of one: 2\n"
    )
    assert json.loads(status_json(CONFIG, [], None, NOW, dropped))["dropped_datagrams"] == dropped


def test_the_last_failure_with_each_peer_is_shown() -> None:
    failures = {"10.0.0.2": "phase1 negotiation failed due to time up."}
    assert status_text(CONFIG, [], None, NOW, {}, failures).endswith(
        "\nLast failure with 10.0.0.2: phase1 negotiation failed due to time up.\n"
    )
    shown = json.loads(status_json(CONFIG, [], None, NOW, {}, failures))
    assert shown["last_failures"] == failures
    assert "last_failures" not in json.loads(status_json(CONFIG, [], None, NOW, {}))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"encryption": "TRIPLE_DES"}, "encryption:     3DES-CBC  hash: SHA"),
        ({"encryption": "DES", "hash": "MD5"}, "encryption:     DES-CBC  hash: MD5"),
        ({"hash": "SHA2_256"}, "hash: SHA256  auth"),
        ({"hash": "SHA2_384"}, "hash: SHA384  auth"),
        ({"hash": "SHA2_512"}, "hash: SHA512  auth"),
        ({"authentication": "RSA_SIGNATURE"}, "auth: RSA signatures  dh"),
        ({"encryption": "65001"}, "encryption:     65001  hash"),
        ({"remote_id": "C=XX, CN=b", "local_id": "a.lab"}, "remote:         C=XX, CN=b\n"),
        ({"nat": True}, "\n  natt:           enabled=yes\n  remote_config:"),
        ({"state": Phase1State.DYING}, "state:          dying\n"),
        ({"exchange": ExchangeType.AGGRESSIVE}, "exchange_mode: AGGRESSIVE\n"),
        ({"dpd": False, "dpd_fails": 3}, "supported=no fails=3\n"),
        ({"remote_name": "gone"}, "anonymous=no passive=no generate_policy=none\n"),
    ],
)
def test_phase_1_has_the_forks_names(ours: dict[str, Any], theirs: str) -> None:
    assert theirs in status_text(CONFIG, [replace(PHASE1, **ours)], None, NOW, {})


def test_a_phase_1_under_way_says_how_far_it_is_and_has_no_proposal() -> None:
    view = replace(PHASE1, state=Phase1State.MSG1_SENT, group=0, encryption="", dpd=False)
    assert status_text(CONFIG, [view], None, NOW, {}).splitlines()[3:8] == [
        "  state:          msg1sent",
        "  remote:         10.99.0.2",
        "  local:          10.99.0.1",
        "  version:        1.0  exchange_mode: MAIN",
        "  dpd:            supported=no fails=0",
    ]
    (phase1,) = json.loads(status_json(CONFIG, [view], None, NOW, {}))["phase1"]
    assert phase1["state"] == "msg1sent"
    assert "proposal" not in phase1


def test_what_a_remote_lets_its_peers_do_is_shown() -> None:
    anybody = Remote(
        name="anonymous", address=None, passive=True, generate_policy=GeneratePolicy.UNIQUE
    )
    view = replace(PHASE1, remote_name="anonymous", nat=True)
    config = Config(remotes=(anybody,))
    assert "anonymous=yes passive=yes generate_policy=unique" in status_text(
        config, [view], None, NOW, {}
    )
    (phase1,) = json.loads(status_json(config, [view], None, NOW, {}))["phase1"]
    assert phase1["natt"] == {"enabled": True}
    assert phase1["remote_config"] == {
        "anonymous": True,
        "passive": True,
        "generate_policy": "unique",
    }


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"encryption": "NULL"}, "encryption:     NULL  auth: hmac-sha1\n"),
        ({"encryption": "TRIPLE_DES", "integrity": "NONE"}, "3DES-CBC  auth: (none)\n"),
        ({"integrity": "HMAC_MD5"}, "auth: hmac-md5\n"),
        ({"integrity": "HMAC_SHA2_256"}, "auth: hmac-sha256\n"),
        ({"integrity": "HMAC_SHA2_384"}, "auth: hmac-sha384\n"),
        ({"integrity": "HMAC_SHA2_512"}, "auth: hmac-sha512\n"),
        (
            {"protocol": ProtocolId.AH, "encryption": "", "integrity": "HMAC_SHA1"},
            "encryption:     (none)  auth: SHA\n",
        ),
        (
            {"protocol": ProtocolId.AH, "encryption": "", "integrity": "HMAC_SHA2_256"},
            "encryption:     (none)  auth: SHA256\n",
        ),
        ({"protocol": ProtocolId.AH, "integrity": "HMAC_SHA2_384"}, "auth: SHA384\n"),
        ({"protocol": ProtocolId.AH, "integrity": "HMAC_SHA2_512"}, "auth: SHA512\n"),
        ({"pfs_group": 14, "effective_group": 14}, "pfs_group:      14\n  effective_group: 14\n"),
        ({"lifetime_kilobytes": 2}, "lifetime:       1800s / 2048 bytes\n"),
        ({"reqid": 7}, "reqid:          in=7 out=7  ok=yes\n"),
        ({"mode": Mode.TUNNEL}, "mode: Tunnel\n"),
        ({"established": False}, "ok=no\n"),
    ],
)
def test_phase_2_has_the_forks_names(ours: dict[str, Any], theirs: str) -> None:
    assert theirs in status_text(CONFIG, [], [replace(PHASE2, **ours)], NOW, {})


def test_ah_has_an_authentication_and_no_cipher_in_json_and_numbers_are_numbers() -> None:
    selector = replace(PHASE2.selector, protocol=132, local_port=0, remote_port=2816)
    view = replace(
        PHASE2,
        protocol=ProtocolId.AH,
        encryption="",
        integrity="HMAC_MD5",
        selector=selector,
        pfs_group=5,
        lifetime_kilobytes=4,
    )
    (phase2,) = json.loads(status_json(CONFIG, [], [view], NOW, {}))["phase2"]
    assert phase2["protocol"] == "AH"
    assert phase2["proposal"] == {
        "encryption_algorithm": None,
        "authentication_algorithm": "MD5",
        "pfs_group": 5,
        "effective_group": 2,
        "lifetime_time": 1800,
        "lifetime_bytes": 4096,
    }
    assert phase2["selectors"] == {
        "src": "10.99.0.1/32",
        "dst": "10.99.0.2/32",
        "protocol": 132,
        "src_port": "any",
        "dst_port": 2816,
    }
