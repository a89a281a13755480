"""An interface that comes, goes, is down, or belongs to another program: on a host in memory."""

import errno
import logging
from collections.abc import Callable

import pytest

from eapol.errors import InterfaceMissing, NotPermitted, PortError
from eapol.events import LinkChanged
from eapol.system.interface import LINUX, Host, Interface, Received
from eapol.system.link import LinkWatch, ip_address_of
from wire.rtnetlink import Link

MISSING = InterfaceMissing("eth0: there is no such interface; there are: none")
RIVAL = PortError("eth0: wpa_supplicant (process 7) speaks EAPOL here already")


class Machine:
    """A host with one interface, or none; also its packet socket and its watch."""

    def __init__(self, index: int | None = 2, refuses: PortError | None = None) -> None:
        self.present = index
        self.refuses = refuses
        self.index: int | None = None
        self.calls: list[str] = []
        self.unlucky: OSError | None = None
        self.sent: list[bytes] = []
        self.tell: Callable[[Link | None], None] = lambda _: None

    # the packet socket

    def open(self) -> None:
        self.calls.append("open")
        self.index = None
        if self.refuses is not None:
            raise self.refuses
        if self.present is None:
            raise MISSING
        self.index = self.present

    def start(self) -> None:
        self.calls.append("start")

    def send(self, octets: bytes) -> None:
        self.sent.append(octets)

    def close_socket(self) -> None:
        self.calls.append("close_socket")
        self.index = None

    def close(self) -> None:
        self.calls.append("close")

    # the host

    def host(self) -> Host:
        return Host(self._socket, self._watch, lambda _: b"\1" * 6, self._set_up)

    def _socket(self, name: str, received: Received) -> "Machine":
        self.name, self.received = name, received
        return self

    def _watch(self, name: str, tell: Callable[[Link | None], None]) -> "Machine":
        assert name == self.name
        self.tell = tell
        return self

    def _set_up(self, name: str) -> None:
        self.calls.append(f"up {name}")
        if self.unlucky is not None:
            raise self.unlucky

    def comes(self, index: int, *, up: bool = True, mtu: int = 1500) -> None:
        self.present = index
        self.tell(Link(index, "eth0", True, up, b"\2" * 6, mtu))

    def goes(self) -> None:
        self.present = None
        self.tell(None)


def interface(machine: Machine, *, bring_up: bool = True) -> tuple[Interface, list[LinkChanged]]:
    changes: list[LinkChanged] = []
    made = Interface(
        "eth0", lambda *_: None, changes.append, bring_up=bring_up, host=machine.host()
    )
    return made, changes


def seen(port: Interface) -> tuple[str | None, bool, bytes]:
    return port.trouble, port.is_missing, port.address


def test_one_that_is_there_is_opened_brought_up_and_told() -> None:
    machine = Machine()
    port, changes = interface(machine)
    assert machine.calls == ["open", "up eth0"]
    assert seen(port) == (None, False, b"\1" * 6)
    port.start()
    machine.comes(2, up=False)
    machine.comes(2, mtu=9000)
    assert changes == [LinkChanged(up=False, mtu=1500), LinkChanged(up=True, mtu=9000)]
    assert machine.calls == ["open", "up eth0", "start", "start"]
    assert port.address == b"\2" * 6
    port.send(b"frame")
    assert machine.sent == [b"frame"]
    port.close()
    assert machine.calls[-2:] == ["close", "close"]


def test_it_is_not_brought_up_unless_that_is_wanted() -> None:
    machine = Machine()
    interface(machine, bring_up=False)
    assert machine.calls == ["open"]


def test_one_that_is_missing_is_waited_for_and_brought_up_when_it_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    machine = Machine(index=None)
    port, changes = interface(machine)
    assert port.is_missing
    assert port.address == bytes(6)
    assert port.trouble == f"{MISSING}; waiting for eth0"
    machine.tell(None)
    assert changes == [LinkChanged(up=False)]
    machine.comes(5)
    assert machine.calls[-2:] == ["up eth0", "open"]
    assert seen(port) == (None, False, b"\2" * 6)
    assert changes[1:] == [LinkChanged(up=True, mtu=1500)]
    assert "eth0: the interface is present, its socket is open" in caplog.text
    assert caplog.text.count("waiting for eth0") == 1


def test_one_that_goes_is_closed_and_opened_again_when_it_comes_back() -> None:
    machine = Machine()
    port, changes = interface(machine)
    machine.comes(2)
    machine.goes()
    assert machine.calls[-1] == "close_socket"
    assert port.trouble == "eth0: the interface is gone; waiting for it"
    assert changes[-1] == LinkChanged(up=False)
    machine.comes(3)
    assert port.trouble is None
    assert changes[-1] == LinkChanged(up=True, mtu=1500)


def test_one_that_was_replaced_without_a_sign_is_opened_anew() -> None:
    machine = Machine()
    _, changes = interface(machine)
    machine.comes(2)
    machine.comes(9)
    assert machine.index == 9
    assert changes[-1] == LinkChanged(up=True, mtu=1500)


def test_one_that_another_program_has_is_tried_again_until_it_is_free(
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine = Machine(index=None)
    port, changes = interface(machine)
    machine.refuses = RIVAL
    machine.comes(4)
    assert port.trouble == f"{RIVAL}; trying again"
    assert changes[-1] == LinkChanged(up=False, mtu=1500)
    for _ in range(3):
        port.look()
    assert caplog.text.count("speaks EAPOL here already") == 1
    machine.refuses = None
    port.look()
    assert port.trouble is None
    assert changes[-1] == LinkChanged(up=True, mtu=1500)
    count = len(machine.calls)
    port.look()
    assert len(machine.calls) == count


@pytest.mark.parametrize("refusal", [RIVAL, NotPermitted("eth0: needs root")])
def test_what_an_administrator_has_to_mend_is_raised_at_the_start(refusal: PortError) -> None:
    with pytest.raises(type(refusal)):
        interface(Machine(refuses=refusal))


def test_one_that_cannot_be_brought_up_is_named_with_the_command(
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine = Machine()
    machine.unlucky = PermissionError(errno.EPERM, "Operation not permitted")
    port, _ = interface(machine)
    assert port.trouble is None
    assert caplog.messages == [
        "eth0: cannot be brought up (Operation not permitted): 'ip link set eth0 up'"
    ]


def test_before_there_is_a_link_there_is_nothing_to_look_at() -> None:
    machine = Machine(index=None)
    port, changes = interface(machine)
    port.look()
    assert machine.calls == ["open"]
    assert changes == []


async def test_the_watch_tells_the_state_at_its_start_and_nothing_of_what_is_not_there() -> None:
    """The loopback interface is in every network namespace."""
    told: list[Link | None] = []
    for name in ("lo", "none0"):
        watch = LinkWatch(name, told.append)
        watch.start()
        watch.close()
    (state,) = told
    assert state is not None
    assert (state.name, state.index) == ("lo", 1)
    assert ip_address_of("none0") is None
    assert LINUX.address_of("lo") == bytes(6)
