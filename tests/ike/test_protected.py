"""Exchanges under an ISAKMP SA: how often it may be used, when a Quick Mode is given up."""

from ike.commands import EventKind, SendDatagram
from ike.config import Timers
from ike.numbers.isakmp import ExchangeType
from ike.sa.protected import MAX_IDS, RENEW_IDS
from ike.values import Role
from lab.ike_world import LEFT, RIGHT, World, config, connect, pair


def test_the_initiator_renews_first_and_both_before_the_message_ids_are_used_up() -> None:
    assert RENEW_IDS[Role.INITIATOR] == MAX_IDS * 3 // 4
    assert RENEW_IDS[Role.RESPONDER] == MAX_IDS * 7 // 8


def test_a_quick_mode_without_an_answer_ends_with_its_last_repeat() -> None:
    """By `timer { counter 1; interval 2 sec; }`: after 4 s, long before `phase2` is over."""

    def no_answer(datagram: SendDatagram) -> SendDatagram | None:
        quick = datagram.octets[18] == ExchangeType.QUICK
        return None if quick and datagram.local.address == RIGHT else datagram

    timers = Timers(counter=1, interval=2.0)
    world = World()
    world.rewrite = no_answer
    left, _ = pair(world, left=config(RIGHT, timers=timers), right=config(LEFT))
    assert not connect(world, left, 3.9)
    assert EventKind.PHASE2_NO_RESPONSE not in left.kinds()
    world.run(0.2)
    assert EventKind.PHASE2_NO_RESPONSE in left.kinds()
    assert not left.sas
