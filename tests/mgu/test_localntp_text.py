"""What localNTP and its status print of a round, word by word; `-s` of a real kernel's clock."""

import json

import pytest

from mgu.commands import localntp_status
from mgu.commands.localntp_text import as_json, as_text, document, seconds, trust_document
from ntp.messages import Address, Outcome, Report, Verdict
from ntp.sample import Sample
from ntp.timestamp import SECOND
from ntp.trust import Level, Trust

MS = 1_000_000  # ns
SAMPLE = Sample(
    offset=5 * MS, delay=2 * MS, error=MS, date=0, at=0.0, stratum=2, leap=1,
    by_kernel=True, interleaved=True, authenticated=True,
)  # fmt: skip
A = Report(
    server="a", address=Address("10.0.0.1", 123), sample=SAMPLE, survivor=True, why="",
    reach=0o17, jitter=7,
)  # fmt: skip
B = Report(server="b", address=None, sample=None, survivor=False, why="no answer")
TRUST = Trust(level=Level.AGREED, by=("a", "c"), since=9, error=MS)


def outcome(verdict: Verdict, trust: Trust | None, *servers: Report, why: str = "") -> Outcome:
    return Outcome(
        verdict=verdict, why=why, servers=servers, offset=-1_500_000_001, error=3 * MS,
        delay=2 * MS, date=1_793_491_200 * SECOND, leap=1, trust=trust,
    )  # fmt: skip


LINE = "offset -1.500000001 s, error bound 0.003000000 s, delay 0.002000000 s, from "


def test_an_agreed_date_is_one_line_and_one_for_each_that_does_not_agree() -> None:
    agreed = outcome(Verdict.AGREED, TRUST, A, B, A)
    assert as_text(agreed, "stepped") == f"{LINE}a, a (agreed); stepped\nnote: b: no answer"
    assert as_text(agreed, "none") == f"{LINE}a, a (agreed)\nnote: b: no answer"
    dry = outcome(Verdict.AGREED, None, A)
    assert as_text(dry, "none") == f"{LINE}a (agreed)"


@pytest.mark.parametrize(
    ("servers", "few"), [((A,), "one server"), ((A, A), "too few of the servers configured")]
)
def test_an_unconfirmed_date_says_whose_word_it_is(servers: tuple[Report, ...], few: str) -> None:
    trust = Trust(level=Level.UNCONFIRMED, by=("a",), since=0, error=MS)
    said = as_text(outcome(Verdict.UNCONFIRMED, trust, *servers), "none").splitlines()
    assert said[1:] == [f"note: 2026-11-01 00:00:00 UTC comes from {few} and is not confirmed"]


def test_the_result_for_programs_is_this_and_nothing_else() -> None:
    found = document(outcome(Verdict.AGREED, TRUST, A, B), "slewed")
    assert found == {
        "schema_version": 1,
        "verdict": "agreed",
        "why": "",
        "action": "slewed",
        "offset_ns": -1_500_000_001,
        "error_ns": 3 * MS,
        "delay_ns": 2 * MS,
        "date_ns": 1_793_491_200 * SECOND,
        "leap": 1,
        "authenticated": False,
        "trust": {"level": "agreed", "by": ["a", "c"], "since_ns": 9, "error_ns": MS},
        "servers": [
            {
                "server": "a",
                "address": "10.0.0.1",
                "survivor": True,
                "why": "",
                "reach": "017",
                "jitter_ns": 7,
                "offset_ns": 5 * MS,
                "delay_ns": 2 * MS,
                "error_ns": MS,
                "stratum": 2,
                "leap": 1,
                "kernel_stamps": True,
                "interleaved": True,
                "authenticated": True,
            },
            {
                "server": "b",
                "address": None,
                "survivor": False,
                "why": "no answer",
                "reach": "000",
                "jitter_ns": 0,
            },
        ],
    }
    assert as_json(outcome(Verdict.AGREED, TRUST, A, B), "slewed") == json.dumps(found)


def test_what_is_not_to_be_trusted_has_no_numbers() -> None:
    found = document(outcome(Verdict.NO_MAJORITY, None, why="they differ"), "none")
    numbers = ("offset_ns", "error_ns", "delay_ns", "date_ns", "trust")
    assert {name: found[name] for name in numbers} == dict.fromkeys(numbers)
    assert (found["verdict"], found["why"]) == ("no majority", "they differ")
    assert trust_document(None) is None


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (0, "+0.000000000"),
        (-1, "-0.000000001"),
        (SECOND, "+1.000000000"),
        (-(2 * SECOND + 50), "-2.000000050"),
    ],
)
def test_a_duration_is_signed_and_has_all_its_digits(duration: int, text: str) -> None:
    assert seconds(duration) == text


SHOWN = {
    "date_ns": 1_793_491_200 * SECOND,
    "floor_ns": 1_793_404_800 * SECOND,
    "servers": ["a", "b"],
    "running": True,
    "enabled": True,
    "trust": {"level": "agreed", "by": ["a"], "since_ns": 1_793_491_000 * SECOND, "error_ns": MS},
    "heard_ago_s": 12.4,
    "next_round_in_s": 3.6,
    "poll_s": 64,
    "held_jump": {"offset_ns": SECOND, "seen_for_s": 9.6, "waits_for": "another"},
    "kernel": {"synchronized": True, "error_ns": 2 * MS, "frequency_ppm": -1.25, "leap": 1},
    "last": {
        "text": "fine",
        "servers": [
            {"server": "a", "reach": "017", "stratum": 2, "leap": 0, "offset_ns": MS,
             "jitter_ns": 7, "why": ""},
            {"server": "b", "reach": "000", "why": "no answer"},
        ],
    },
}  # fmt: skip


def test_the_status_of_a_running_service_is_these_lines() -> None:
    assert localntp_status._lines(SHOWN) == [
        "date          2026-11-01 00:00:00 UTC",
        "synchronized  yes, agreed by a, since 2026-10-31 23:56:40 UTC, within 0.001000 s",
        "servers       a, b",
        "service       running, started at boot",
        "floor         2026-10-31 00:00:00 UTC",
        "rounds        last successful one 12 s ago, next one in 4 s, every 64 s",
        "held jump     +1.000000000 s, seen for 10 s; waits for another",
        "kernel        synchronised, error bound 0.002000 s, frequency -1.250 ppm; "
        "a second is inserted at the end of the month",
        "last answer   fine",
        "  a: reach 017, stratum 2, leap 0, offset +0.001000000 s, jitter 0.000000007 s",
        "  b: reach 000 (no answer)",
    ]


def test_the_status_of_nothing_is_these_lines() -> None:
    nothing = dict.fromkeys(SHOWN) | {"date_ns": 0, "floor_ns": 0, "servers": []}
    kernel = {"synchronized": False, "error_ns": 0, "frequency_ppm": 0.0, "leap": 2}
    assert localntp_status._lines(nothing | {"kernel": kernel}) == [
        "date          1970-01-01 00:00:00 UTC",
        "synchronized  no",
        "servers       none configured (localNTP -a -n ...)",
        "service       stopped, not started at boot",
        "floor         1970-01-01 00:00:00 UTC",
        "kernel        not synchronised, error bound 0.000000 s, frequency +0.000 ppm; "
        "a second is removed at the end of the month",
    ]
    assert len(localntp_status._lines(nothing | {"kernel": kernel | {"leap": 0}})[-1]) < 80
