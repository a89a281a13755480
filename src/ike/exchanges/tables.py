"""All tables of phase 1, by exchange type and authentication method."""

from functools import cache

from ike.doi.numbers import Authentication
from ike.exchanges.aggressive import aggressive_mode
from ike.exchanges.authentication import METHODS
from ike.exchanges.main import main_mode
from ike.exchanges.phase1 import Phase1
from ike.exchanges.steps import Step
from ike.isakmp.numbers import ExchangeType


@cache
def _tables() -> dict[tuple[ExchangeType, Authentication], tuple[Step, ...]]:
    modes = {ExchangeType.MAIN: main_mode, ExchangeType.AGGRESSIVE: aggressive_mode}
    return {
        (exchange, number): mode(method)
        for exchange, mode in modes.items()
        for number, method in METHODS.items()
    }


def table(facts: Phase1) -> tuple[Step, ...]:
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
