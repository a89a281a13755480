"""The runner of state diagrams, and that each figure is whole."""

from enum import Enum
from typing import Any

import pytest

from eapol import backend, pae, peer
from eapol.machine import ChasingArcs, Diagram, Machine, settle, uct
from eapol.status import BackendState, EapState, PaeState


class S(Enum):
    A = "A"
    B = "B"
    C = "C"


def machine(diagram: Diagram[S, list[str]], log: list[str]) -> Machine[S, list[str]]:
    return Machine(diagram, log, S.A, lambda state: log.append(f"entered {state.name}"))


def boxes(*states: S) -> dict[S, Any]:
    return {state: lambda v, state=state: v.append(f"box {state.name}") for state in states}


def test_an_arc_from_anywhere_beats_the_others_and_its_box_runs_once() -> None:
    diagram: Diagram[S, list[str]] = Diagram(
        anywhere=((uct, S.C),), arcs={S.A: ((uct, S.B),)}, boxes=boxes(S.B, S.C)
    )
    log: list[str] = []
    running = machine(diagram, log)
    assert running.step()
    assert not running.step()
    assert log == ["box C", "entered C"]


def test_the_first_arc_that_holds_is_taken_and_the_conditions_are_looked_at_again() -> None:
    diagram: Diagram[S, list[str]] = Diagram(
        anywhere=(),
        arcs={S.A: ((lambda v: "go" in v, S.B), (uct, S.C)), S.C: ((uct, S.B),)},
        boxes=boxes(S.B, S.C),
    )
    log: list[str] = []
    machine(diagram, log).step()
    assert [line for line in log if line.startswith("box")] == ["box C", "box B"]


def test_an_arc_back_to_its_own_state_runs_the_box_again() -> None:
    diagram: Diagram[S, list[str]] = Diagram(
        anywhere=(), arcs={S.A: ((lambda v: len(v) < 6, S.A),)}, boxes=boxes(S.A)
    )
    log: list[str] = []
    machine(diagram, log).step()
    assert log == ["box A", "entered A"] * 3


def test_two_arcs_that_chase_each_other_are_found() -> None:
    diagram: Diagram[S, list[str]] = Diagram(
        anywhere=(), arcs={S.A: ((uct, S.B),), S.B: ((uct, S.A),)}, boxes=boxes(S.A, S.B)
    )
    with pytest.raises(ChasingArcs):
        settle([machine(diagram, [])])


@pytest.mark.parametrize(
    ("figure", "states"),
    [(pae.FIGURE, PaeState), (backend.FIGURE, BackendState), (peer.FIGURE, EapState)],
    ids=["Supplicant PAE", "Supplicant Backend", "EAP peer"],
)
def test_every_state_of_a_figure_has_its_box_and_can_be_entered(
    figure: Diagram[Any, Any], states: type[Enum]
) -> None:
    entered = {target for _, target in figure.anywhere}
    entered |= {target for arcs in figure.arcs.values() for _, target in arcs}
    assert set(figure.boxes) == set(states) == entered
    assert set(figure.arcs) <= set(states)
