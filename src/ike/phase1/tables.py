"""All tables of phase 1, by exchange type and authentication method."""

from functools import cache

from ike.isakmp.table import Step
from ike.numbers.doi import Authentication
from ike.numbers.isakmp import ExchangeType
from ike.phase1.aggressive import aggressive_mode
from ike.phase1.authentication import METHODS
from ike.phase1.facts import Phase1
from ike.phase1.main import main_mode


@cache
def _tables() -> dict[tuple[ExchangeType, Authentication], tuple[Step[Phase1], ...]]:
    modes = {ExchangeType.MAIN: main_mode, ExchangeType.AGGRESSIVE: aggressive_mode}
    return {
        (exchange, number): mode(method)
        for exchange, mode in modes.items()
        for number, method in METHODS.items()
    }


def table(facts: Phase1) -> tuple[Step[Phase1], ...]:
    """The table to go on with. The rows up to the choice of a method are the same for all; only
    Aggressive Mode's answer is read by the method that was offered first.
    """
    if facts.suite is not None:
        method = facts.suite.authentication
    elif facts.offered:
        method = facts.offered[0].authentication
    else:
        method = Authentication.PRE_SHARED_KEY
    return _tables()[facts.exchange, method]
