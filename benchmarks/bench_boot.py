"""Complete boots a second in memory: time, port and tunnel, both ends of each on one core.

Printed for 0, 20 and 50 % loss, with duplication and reordering: boots a second, how many came up,
and the virtual seconds a boot took. There is nothing to compare this with; the parts are measured
beside their incumbents in the other files.
"""

import time
from statistics import median

import pytest

from lab.boot import Boot
from lab.virtual import Weather

BOOTS = 100
WEATHERS = {
    "no loss": Weather(),
    "20 % loss": Weather(loss=0.2, duplication=0.1, jitter=0.05),
    "50 % loss": Weather(loss=0.5, duplication=0.2, jitter=0.1),
}


@pytest.mark.parametrize("name", WEATHERS)
def test_boots_a_second(name: str) -> None:
    Boot(Weather()).run()  # makes the test PKI, once
    boots = [Boot(WEATHERS[name], seed) for seed in range(BOOTS)]
    begun = time.process_time()
    up = sum(boot.run() for boot in boots)
    spent = time.process_time() - begun
    took = sorted(boot.seconds for boot in boots if boot.up)
    print(
        f"\n{name}: {BOOTS / spent:.0f} boots/s, {up} of {BOOTS} up,"
        f" virtual time median {median(took):.2f} s, longest {took[-1]:.0f} s"
    )
    assert all(boot.up or boot.failures for boot in boots)
