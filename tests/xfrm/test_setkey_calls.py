"""What setkey does with each option, over a kernel in memory."""

import errno
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from socket import socketpair

import pytest

from lab.esp_values import sa
from mgu.commands.setkey import main
from wire.record import replace
from xfrm.dataplane import AlreadyThere, XfrmError
from xfrm.model import Direction, Policy, SecurityAssociation
from xfrm.netlink import requests
from xfrm.netlink.messages import Group, Message, MessageType
from xfrm.netlink.wire import SaInfo
from xfrm.setkey.parse import parse
from xfrm.setkey.run import Request
from xfrm.setkey.statements import AddPolicy
from xfrm.system.blocking import Client

ADD = "add 10.0.0.1 10.0.0.2 esp 0x10001 -E null;\n"
SPD = "spdadd 10.0.0.1[7] 10.0.0.2[8] udp -P in ipsec esp/tunnel/192.0.2.1-192.0.2.2/require;\n"


def _counted(message: Message) -> Message:
    """The SA has carried 3 packets and 1500 octets; it is the kernel that counts."""
    assert isinstance(message.body, SaInfo)
    carried = message.body.curlft._replace(packets=3, octets=1500)
    return replace(message, body=message.body._replace(curlft=carried))


class Kernel(Client):
    """Has `sas` and `policies`; refuses with `refusal`; writes down what it is asked for."""

    def __init__(self) -> None:
        here, self._far = socketpair()
        super().__init__(ready=here)
        self.sas: list[SecurityAssociation] = []
        self.policies: list[Policy] = []
        self.refusal: XfrmError | None = None
        self.calls: list[str] = []
        self.groups: Sequence[int] = ()
        self.closed = False

    def opened(self, groups: Sequence[int]) -> "Kernel":
        self.groups = groups
        return self

    def close(self) -> None:
        super().close()
        self._far.close()
        self.closed = True

    def tell(self, wishes: Sequence[Request]) -> list[XfrmError | None]:  # type: ignore[override]
        self.calls += [wish.message.type.name for wish in wishes]
        return [self.refusal] * len(wishes)

    def dump(self, wish: Request) -> list[Message]:  # type: ignore[override]
        self.calls.append(f"dump {wish.message.type.name}")
        if self.refusal:
            raise self.refusal
        if wish.message.type == MessageType.GETPOLICY:
            return [requests.policy_message(MessageType.NEWPOLICY, each) for each in self.policies]
        return [_counted(requests.sa_message(MessageType.NEWSA, each)) for each in self.sas]

    def events(self) -> Iterator[Message]:
        yield requests.sa_message(MessageType.NEWSA, self.sas[0])


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with Kernel() as made:
        yield made
    assert made.closed


Printed = pytest.CaptureFixture[str]


def policy(text: str = SPD) -> Policy:
    (statement,) = parse(text)
    assert isinstance(statement, AddPolicy)
    return statement.policy


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "setkey.conf"
    path.write_text(ADD + SPD)
    return path


def test_all_files_are_carried_out_in_their_order(
    kernel: Kernel, file: Path, capsys: Printed
) -> None:
    assert main(["-v", "-f", str(file), "-f", str(file)], kernel.opened) == 0
    assert kernel.calls == 2 * ["NEWSA", "NEWPOLICY", "NEWPOLICY"]
    assert capsys.readouterr().err == 2 * f"{file}: 2 statements\n"
    assert kernel.groups == ()


def test_with_k_an_in_policy_brings_no_fwd_one(kernel: Kernel, file: Path) -> None:
    assert main(["-k", str(file)], kernel.opened) == 0
    assert kernel.calls == ["NEWSA", "NEWPOLICY"]
    assert main(["-k", "-r", str(file)], kernel.opened) == 0
    assert kernel.calls[2:] == ["NEWSA", "NEWPOLICY", "NEWPOLICY"]


def test_standard_input_is_read_with_c(
    kernel: Kernel, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"flush;\nnonsense;\n")))
    assert main(["-c"], kernel.opened) == 1
    assert capsys.readouterr().err.startswith("setkey: stdin,2: column 1: ")


def test_a_dry_run_asks_the_kernel_for_nothing(kernel: Kernel, file: Path) -> None:
    assert main(["-n", str(file)], kernel.opened) == 0
    assert kernel.calls == []


def test_a_file_that_is_missing_keeps_the_others_from_being_carried_out(
    kernel: Kernel, file: Path, capsys: Printed
) -> None:
    assert main([str(file), f"{file}.missing"], kernel.opened) == 1
    assert kernel.calls == []
    assert capsys.readouterr().err == (
        f"setkey: cannot read {file}.missing: No such file or directory\n"
    )


def test_a_refusal_names_file_line_and_column(kernel: Kernel, file: Path, capsys: Printed) -> None:
    kernel.refusal = AlreadyThere("cannot add: File exists", errno.EEXIST)
    assert main([str(file)], kernel.opened) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"setkey: {file},1: column 1: cannot add: File exists",
        *2 * [f"setkey: {file},2: column 1: cannot add: File exists"],
    ]


def test_who_may_not_is_told_once_with_exit_code_4(
    kernel: Kernel, file: Path, capsys: Printed
) -> None:
    kernel.refusal = XfrmError("cannot add: needs root", errno.EPERM)
    assert main([str(file)], kernel.opened) == 4
    assert capsys.readouterr().err == "setkey: cannot add: needs root\n"
    kernel.refusal = XfrmError("cannot list: no memory", errno.ENOMEM)
    assert main(["-D"], kernel.opened) == 1


def test_empty_tables_are_said_to_be_empty(kernel: Kernel, capsys: Printed) -> None:
    assert main(["-D"], kernel.opened) == 0
    assert capsys.readouterr().out == "No SAD entries.\n"
    assert main(["-DP"], kernel.opened) == 0
    assert capsys.readouterr().out == "No SPD entries.\n"


def test_sas_are_numbered_as_in_a_dump_of_pf_key_the_last_one_0(
    kernel: Kernel, capsys: Printed
) -> None:
    kernel.sas = [sa("10.0.0.1", "10.0.0.2", spi) for spi in (0x1001, 0x1002, 0x1003)]
    assert main(["-D"], kernel.opened) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"spi=\d+\((0x\w+)\)", shown) == ["0x00001001", "0x00001002", "0x00001003"]
    numbered = re.findall(r"sadb_seq=(\d+) pid=(\d+)", shown)
    assert numbered == [(str(number), str(os.getpid())) for number in (1, 2, 0)]
    assert kernel.calls == ["dump GETSA"]


def test_policies_are_shown_without_those_of_sockets_if_asked(
    kernel: Kernel, capsys: Printed
) -> None:
    kernel.policies = [policy(), replace(policy(), direction=Direction.SOCKET_IN)]
    assert main(["-D", "-P"], kernel.opened) == 0
    assert capsys.readouterr().out.count("spid=") == 2
    assert main(["-DPN"], kernel.opened) == 0
    shown = capsys.readouterr().out
    assert shown.count("spid=") == 1
    assert shown.endswith("1 per-socket policies not shown (filtered by -N)\n")
    assert kernel.calls == 2 * ["dump GETPOLICY"]


def test_in_words_both_tables_are_shown(kernel: Kernel, capsys: Printed) -> None:
    kernel.sas, kernel.policies = [sa("10.0.0.1", "10.0.0.2", 0x1001)], [policy()]
    assert main(["-D", "--explain"], kernel.opened) == 0
    shown = capsys.readouterr().out
    assert "0x00001001" in shown
    assert "192.0.2.2" in shown
    assert kernel.calls == ["dump GETSA", "dump GETPOLICY"]


def test_flushing_deletes_the_table_that_is_named(kernel: Kernel) -> None:
    assert main(["-F"], kernel.opened) == 0
    assert main(["-F", "-P"], kernel.opened) == 0
    assert kernel.calls == ["FLUSHSA", "FLUSHPOLICY"]


def test_a_flush_that_is_refused_has_no_line(kernel: Kernel, capsys: Printed) -> None:
    kernel.refusal = XfrmError("cannot flush: no memory", errno.ENOMEM)
    assert main(["-F"], kernel.opened) == 1
    assert capsys.readouterr().err == "setkey: cannot flush: no memory\n"


def test_events_are_printed_with_their_time_and_octets_if_asked(
    kernel: Kernel, capsys: Printed
) -> None:
    kernel.sas = [sa("10.0.0.1", "10.0.0.2", 0x1001)]
    assert main(["-x"], kernel.opened) == 0
    line = r"\d\d:\d\d:\d\d NEWSA esp SA 0x00001001 to 10\.0\.0\.2\n"
    assert re.fullmatch(line, capsys.readouterr().out)
    assert kernel.groups == tuple(Group)
    assert main(["-x", "-H"], kernel.opened) == 0
    octets = bytes(next(kernel.events())).hex(" ", 4)
    assert re.fullmatch(f"{line}{octets}\n", capsys.readouterr().out)


class Interrupted(Exception):
    """The administrator's Ctrl-C."""


def test_with_l_each_sa_is_a_line_with_what_it_carried(kernel: Kernel, capsys: Printed) -> None:
    kernel.sas = [sa("10.0.0.1", "10.0.0.2", 0x1001)]

    def once(wish: Request) -> list[Message]:
        if kernel.calls:
            raise Interrupted
        return Kernel.dump(kernel, wish)

    kernel.dump = once  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        main(["-D", "-l"], kernel.opened)
    assert capsys.readouterr().out == (
        "esp SA 0x00001001 to 10.0.0.2 from 10.0.0.1: 3 packets 1500 octets\n"
    )


def test_names_of_hosts_and_protocols_are_those_of_this_host(
    kernel: Kernel, file: Path, capsys: Printed
) -> None:
    file.write_text("add localhost 127.0.0.2 esp 0x10001 -E null;\n"
                    "spdadd 10.0.0.1 10.0.0.2 ospf -P out none;\n")  # fmt: skip
    assert main([str(file)], kernel.opened) == 0
    file.write_text("spdadd 10.0.0.1 10.0.0.2 no-such-protocol -P out none;\n")
    assert main([str(file)], kernel.opened) == 1
    file.write_text("add no-such-host.invalid 127.0.0.2 esp 0x10001 -E null;\n")
    assert main([str(file)], kernel.opened) == 1
    assert "no-such-host.invalid" in capsys.readouterr().err
