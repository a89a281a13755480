"""Several networks of one file: each has its turn."""

from eapol.settings import Network
from eapol.turns import Turns

A, B = Network(identity=b"a"), Network(identity=b"b")


def test_each_has_its_turn_and_there_is_one_pause_in_a_round() -> None:
    turns = Turns((A, Network(identity=b"off", disabled=True), B))
    assert turns.after_failure(A) == B
    assert turns.after_failure(B) is None  # held; then B tries again
    assert turns.after_failure(B) == A
    assert turns.after_failure(A) == B
    assert turns.after_failure(B) is None


def test_a_single_network_and_one_that_is_not_of_the_file_go_on() -> None:
    assert Turns((A,)).after_failure(A) is None
    assert Turns((A, B)).after_failure(Network(identity=b"c")) is None
