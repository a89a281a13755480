"""Complete boots in memory, whatever the weather."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.boot import Boot
from lab.virtual import Weather

CALM = Weather()
ROUGH = Weather(loss=0.2, duplication=0.1, jitter=0.05)
STORM = Weather(loss=0.5, duplication=0.2, jitter=0.1)


def test_in_calm_weather_a_boot_takes_less_than_a_second_and_nothing_fails() -> None:
    boot = Boot(CALM)
    assert boot.run()
    assert boot.failures == []
    assert boot.seconds < 1.0


@pytest.mark.parametrize("weather", [ROUGH, STORM], ids=["20 % loss", "50 % loss"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_boot_ends_up_or_in_a_reported_failure_and_never_stuck(
    weather: Weather, seed: int
) -> None:
    boot = Boot(weather, seed)
    assert boot.run() or boot.failures
    assert boot.up or len(boot.reached) < 3


def test_a_fifth_of_all_messages_lost_does_not_keep_the_gateway_down() -> None:
    boots = [Boot(ROUGH, seed) for seed in range(20)]
    assert all(boot.run() for boot in boots)
