from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from ntp.timestamp import (
    SECOND,
    from_unix_ns,
    ns_to_short,
    power_of_two_to_ns,
    short_to_ns,
    to_unix_ns,
)

PIVOT = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * SECOND
LAST = int(datetime(2106, 2, 7, 6, 28, 15, tzinfo=UTC).timestamp()) * SECOND


@given(st.integers(0, LAST))
def test_every_nanosecond_from_1970_to_2106_survives_the_wire(date: int) -> None:
    assert to_unix_ns(from_unix_ns(date), PIVOT) == date


@given(st.integers(0, 300 * 31_557_600 * SECOND), st.integers(0, 68 * 31_536_000 * SECOND))
def test_a_date_within_68_years_after_the_pivot_is_read_right(pivot: int, ahead: int) -> None:
    assert to_unix_ns(from_unix_ns(pivot + ahead), pivot) == pivot + ahead


def test_the_era_of_2036_begins_where_rfc_5905_says() -> None:
    # RFC 5905, figure 4: era 1 begins on 7 February 2036 at 06:28:16
    begin = datetime.fromtimestamp(to_unix_ns(0, PIVOT) / SECOND, UTC)
    assert begin == datetime(2036, 2, 7, 6, 28, 16, tzinfo=UTC)


def test_the_published_stamp_of_1970_is_the_unix_epoch() -> None:
    # RFC 5905, figure 4: 1 January 1970 is 2,208,988,800 s of era 0
    assert from_unix_ns(0) == 2_208_988_800 << 32


def test_the_dates_that_break_others_are_read_right() -> None:
    for year, month in ((1970, 1), (1999, 12), (2036, 1), (2036, 3), (2040, 6), (2106, 1)):
        date = int(datetime(year, month, 2, tzinfo=UTC).timestamp()) * SECOND
        assert to_unix_ns(from_unix_ns(date), PIVOT) == date, year


@given(st.integers(0, 0xFFFFFFFF))
def test_the_short_format_survives(short: int) -> None:
    assert ns_to_short(short_to_ns(short)) in (short, min(short + 1, 0xFFFFFFFF))


def test_precisions_are_bounded_whatever_the_server_says() -> None:
    assert power_of_two_to_ns(-20) == 953
    assert power_of_two_to_ns(-128) == 1
    assert power_of_two_to_ns(0) == SECOND
    assert power_of_two_to_ns(127) == SECOND << 34
