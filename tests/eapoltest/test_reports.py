"""What is told of authentications and of a load, word by word; the frames of a capture."""

import time
from collections import Counter
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from eapol.status import TlsStatus
from lab.pki import site
from mgu.eapoltest import report
from mgu.eapoltest.capture import Capture, frame
from mgu.eapoltest.load import Pace, Share, _count, _show, shares
from mgu.eapoltest.session import Outcome, Result
from mgu.eapoltest.tally import Tally
from radius.events import Server
from wire.secret import Secret

SERVERS = tuple(
    Server(address=ip_address(each), port=1812, secret=Secret(b"radius"))
    for each in ("192.0.2.1", "2001:db8::1")
)
TLS = TlsStatus(version="TLSv1.3", cipher="TLS_AES_128", resumed=False)
GOOD = Result(
    outcome=Outcome.ACCEPTED, reason="", seconds=0.0125, rounds=5, server=1, method="TLS", tls=TLS,
    keys=True, key_name=True, message="hi", attributes=(("Class", "x"), ("Filter-Id", "y")),
)  # fmt: skip
BAD = Result(outcome=Outcome.REJECTED, reason="no\x1bt known", seconds=1.0, rounds=1, keys=False)


def test_an_authentication_is_a_line_and_one_for_each_attribute() -> None:
    assert report.lines(GOOD) == [
        "SUCCESS (EAP-TLS, TLSv1.3, TLS_AES_128, 12.5 ms, 5 Access-Requests)",
        "  Class = x",
        "  Filter-Id = y",
    ]
    resumed = replace(GOOD, tls=replace(TLS, resumed=True), attributes=())
    assert report.lines(resumed) == [
        "SUCCESS (EAP-TLS, TLSv1.3, TLS_AES_128, resumed, 12.5 ms, 5 Access-Requests)"
    ]
    bare = replace(GOOD, tls=None, attributes=(), method="MD5")
    assert report.lines(bare) == ["SUCCESS (EAP-MD5, 12.5 ms, 5 Access-Requests)"]


def test_a_failure_says_why() -> None:
    assert report.lines(replace(BAD, reason="no such user")) == [
        "FAILURE (1000.0 ms, 1 Access-Requests)",
        "  why: no such user",
    ]


def test_the_exit_code_is_that_of_the_first_failure() -> None:
    assert report.exit_code([]) == 0
    assert report.exit_code([GOOD, BAD, replace(BAD, outcome=Outcome.NO_ANSWER)]) == 253
    codes = {each: each.exit_code for each in Outcome}
    assert list(codes.values()) == [0, 253, 254, 252, 1, 251]


def test_the_last_two_lines_are_those_of_eapol_test() -> None:
    assert report.summary([GOOD, GOOD]) == ["MPPE keys OK: 2  mismatch: 0", "SUCCESS"]
    assert report.summary([GOOD, BAD]) == ["MPPE keys OK: 1  mismatch: 1", "FAILURE"]
    none = replace(GOOD, keys=None)
    assert report.summary([none]) == ["MPPE keys OK: 0  mismatch: 0", "SUCCESS"]


def test_the_document_is_this_and_nothing_else() -> None:
    assert report.document([GOOD, BAD], SERVERS) == {
        "schema_version": 1,
        "success": False,
        "exit_code": 253,
        "servers": ["192.0.2.1:1812/UDP", "[2001:db8::1]:1812/UDP"],
        "authentications": [
            {
                "outcome": "accepted", "reason": "", "milliseconds": 12.5, "access_requests": 5,
                "server": "[2001:db8::1]:1812/UDP", "method": "TLS",
                "tls": {"version": "TLSv1.3", "cipher": "TLS_AES_128", "resumed": False},
                "mppe_keys_agree": True, "eap_key_name_agrees": True, "reply_message": "hi",
                "attributes": [
                    {"name": "Class", "value": "x"}, {"name": "Filter-Id", "value": "y"}
                ],
            },
            {
                "outcome": "rejected", "reason": "no\x1bt known", "milliseconds": 1000.0,
                "access_requests": 1, "server": None, "method": None, "tls": None,
                "mppe_keys_agree": False, "eap_key_name_agrees": None, "reply_message": "",
                "attributes": [],
            },
        ],
    }  # fmt: skip
    assert report.document([GOOD], SERVERS)["success"] is True


def test_the_junit_report_has_a_case_for_each() -> None:
    octets = report.junit([GOOD, BAD], "here")
    assert octets.startswith(b"<?xml version='1.0' encoding='utf-8'?>\n")
    assert octets.endswith(b"</testsuite>\n")
    suite = ElementTree.fromstring(octets)
    assert suite.attrib == {
        "name": "eapol-test here", "tests": "2", "failures": "1", "errors": "0", "time": "1.012500",
    }  # fmt: skip
    first, second = suite
    assert first.attrib == {
        "classname": "eapol-test", "name": "authentication 1", "time": "0.012500",
    }  # fmt: skip
    assert list(first) == []
    (failure,) = second
    assert second.attrib["name"] == "authentication 2"
    assert failure.attrib == {"type": "rejected", "message": "no?t known"}
    assert failure.text == "no?t known"


def test_the_certificates_are_those_of_the_first_that_had_some() -> None:
    pki = site()
    with_one = replace(GOOD, certificates=(pki.root.certificate.public_bytes(Encoding.DER),))
    other = replace(GOOD, certificates=(b"never read",))
    assert report.pem([GOOD, with_one, other]) == pki.root.certificate_pem()
    assert report.pem([GOOD]) == b""


def test_a_folder_that_is_missing_is_said_before(tmp_path: Path) -> None:
    assert report.folder_missing(None) is None
    assert report.folder_missing(tmp_path / "file") is None
    where = tmp_path / "none/file"
    assert report.folder_missing(where) == f"{where}: its directory does not exist"


# A load


def test_counts_of_processes_are_added_up() -> None:
    tally = Tally()
    tally.add(Tally([1.0], Counter({(253, "no"): 2}), 1))
    tally.add(Tally([2.0], Counter({(253, "no"): 1, (254, "silence"): 1}), 1))
    assert tally == Tally([1.0, 2.0], Counter({(253, "no"): 3, (254, "silence"): 1}), 2)
    assert (tally.failed, tally.exit_code) == (4, 253)
    assert (Tally().failed, Tally().exit_code) == (0, 0)


def test_percentiles_are_what_so_many_did_not_exceed() -> None:
    hundred = Tally([float(number) for number in range(100, 0, -1)])
    assert hundred.percentiles() == {
        50.0: 51.0, 90.0: 91.0, 95.0: 96.0, 99.0: 100.0, 99.9: 100.0, 100.0: 100.0,
    }  # fmt: skip
    assert Tally([7.0]).percentiles() == dict.fromkeys((50.0, 90.0, 95.0, 99.0, 99.9, 100.0), 7.0)
    assert Tally().percentiles() == {}


def test_the_histogram_has_no_empty_ends() -> None:
    infinity = float("inf")
    assert Tally([2.0, 2.1, 9.0]).histogram() == [(2.0, 1), (4.0, 1), (8.0, 0), (16.0, 1)]
    assert Tally([0.0, 1e9]).histogram()[0] == (1.0, 1)
    assert Tally([0.0, 1e9]).histogram()[-2:] == [(32768.0, 0), (infinity, 1)]
    assert Tally().histogram() == []


LOAD = Tally([2.0, 2.0, 2.0, 5.0], Counter({(253, "no"): 1, (254, "silence"): 2}), 1)


def test_a_load_for_people_is_these_lines() -> None:
    assert LOAD.lines(2.0) == [
        "4 accepted, 1 of them resumed, 3 not, in 2.0 s: 2.0 authentications/s",
        "     50 % within      2.0 ms",
        "     90 % within      5.0 ms",
        "     95 % within      5.0 ms",
        "     99 % within      5.0 ms",
        "   99.9 % within      5.0 ms",
        "    100 % within      5.0 ms",
        f"  <=      2 ms        3 {'#' * 40}",
        "  <=      4 ms        0 ",
        f"  <=      8 ms        1 {'#' * 14}",
        "  2 times: silence",
        "  1 times: no",
    ]
    assert Tally().lines(1.0) == ["0 accepted, 0 not, in 1.0 s: 0.0 authentications/s"]
    many = Tally(errors=Counter({(253, str(number)): 1 for number in range(20)}))
    assert len(many.lines(1.0)) == 11


def test_the_progress_line() -> None:
    assert LOAD.progress(2.0) == "    2 s: 4 accepted, 3 not, 2.0/s, half within 2.0 ms"
    assert Tally().progress(0.0) == "    0 s: 0 accepted, 0 not, 0.0/s"


def test_a_load_for_programs_is_this_and_nothing_else() -> None:
    found = Tally([*LOAD.milliseconds, 1e9], LOAD.errors, 1).document(2.0, 3)
    assert found == {
        "seconds": 2.0, "processes": 3, "accepted": 5, "resumed": 1, "failed": 3,
        "per_second": 2.5,
        "percentiles_ms": {
            "50": 2.0, "90": 1e9, "95": 1e9, "99": 1e9, "99.9": 1e9, "100": 1e9
        },
        "histogram_ms": [
            {"up_to": 2.0, "count": 3}, {"up_to": 4.0, "count": 0}, {"up_to": 8.0, "count": 1},
            *({"up_to": float(1 << power), "count": 0} for power in range(4, 16)),
            {"up_to": None, "count": 1},
        ],
        "errors": [
            {"reason": "silence", "exit_code": 254, "count": 2},
            {"reason": "no", "exit_code": 253, "count": 1},
        ],
    }  # fmt: skip


def test_stations_and_rate_are_shared_out_and_nothing_is_lost() -> None:
    assert shares(5, None, 7.0, 2) == [
        Share(stations=3, rate=None, seconds=7.0),
        Share(stations=2, rate=None, seconds=7.0),
    ]
    assert shares(2, 10.0, 1.0, 8) == [Share(stations=1, rate=5.0, seconds=1.0)] * 2
    uneven = shares(7, 70.0, 1.0, 3)
    assert [each.stations for each in uneven] == [3, 2, 2]
    assert sum(each.rate or 0 for each in uneven) == pytest.approx(70.0)


def test_the_pace_keeps_the_rate_and_ends_in_time() -> None:
    pace = Pace(Share(stations=1, rate=2.0, seconds=1.0), 10.0)
    assert [pace.next(10.0), pace.next(10.0), pace.next(10.0)] == [10.0, 10.5, None]
    late = Pace(Share(stations=1, rate=2.0, seconds=2.0), 10.0)
    assert [late.next(11.0), late.next(11.0), late.next(11.0)] == [11.0, 11.5, None]
    fast = Pace(Share(stations=1, rate=None, seconds=1.0), 10.0)
    assert [fast.next(10.0), fast.next(10.9), fast.next(11.0)] == [10.0, 10.9, None]


def test_what_came_of_each_is_counted() -> None:
    tally = Tally()
    _count(tally, GOOD)
    _count(tally, replace(GOOD, tls=replace(TLS, resumed=True)))
    _count(tally, replace(GOOD, tls=None))
    _count(tally, BAD)
    assert tally == Tally([12.5] * 3, Counter({(253, BAD.reason): 1}), 1)


# Frames


@pytest.mark.parametrize("payload", [b"even", b"odd"])
def test_frames_are_what_scapy_would_make(payload: bytes) -> None:
    ports = {"sport": 40000, "dport": 1812}
    link = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
    four = Ether(**link) / IP(src="192.0.2.7", dst="192.0.2.1", id=0) / UDP(**ports, chksum=0)
    made = frame(payload, ("192.0.2.7", 40000), ("192.0.2.1", 1812))
    assert made == bytes(four / payload)
    six = Ether(**link) / IPv6(src="2001:db8::7", dst="2001:db8::1") / UDP(**ports)
    made = frame(payload, ("2001:db8::7", 40000), ("2001:db8::1", 1812))
    assert made == bytes(six / payload)


def test_a_capture_is_for_its_owner_only(tmp_path: Path) -> None:
    capture = Capture()
    capture.tap(b"request", ("192.0.2.7", 40000), ("192.0.2.1", 1812))
    capture.write(tmp_path / "radius.pcapng")
    octets = (tmp_path / "radius.pcapng").read_bytes()
    assert frame(b"request", ("192.0.2.7", 40000), ("192.0.2.1", 1812)) in octets
    assert b"mgu eapol-test" in octets
    assert (tmp_path / "radius.pcapng").stat().st_mode & 0o777 == 0o600


def test_in_a_log_the_progress_is_told_every_10_s(capsys: pytest.CaptureFixture[str]) -> None:
    now = time.monotonic()
    assert _show(LOAD, now - 20, now - 8) == now - 8
    assert capsys.readouterr().err == ""
    assert _show(LOAD, now - 20, now - 10) >= now
    assert capsys.readouterr().err == f"{LOAD.progress(20.0)}\n"
