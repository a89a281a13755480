"""How statements become requests: in their order, many at a time, refusals with their lines."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from wire.source import Place
from xfrm.dataplane import AlreadyThere, NoSuchEntry, XfrmError
from xfrm.model import Policy, SecurityAssociation, Usage
from xfrm.netlink import requests
from xfrm.netlink.answers import policy_of
from xfrm.netlink.messages import Message, MessageType
from xfrm.netlink.wire import swap32
from xfrm.setkey.parse import parse
from xfrm.setkey.run import Output, Request, Runner
from xfrm.setkey.statements import AddSa


@dataclass
class Kernel:
    """A client that writes down what it is told, and refuses what the test says."""

    policies: list[Policy] = field(default_factory=list)
    sas: list[SecurityAssociation] = field(default_factory=list)
    refusals: dict[MessageType, XfrmError] = field(default_factory=dict)
    calls: list[list[str]] = field(default_factory=list)
    told: list[Message] = field(default_factory=list)
    doing: list[str] = field(default_factory=list)

    def tell(self, wishes: Sequence[Request]) -> list[XfrmError | None]:
        if wishes:
            self.calls.append([wish.message.type.name for wish in wishes])
        self.told += [wish.message for wish in wishes]
        self.doing += [wish.doing for wish in wishes]
        return [self.refusals.get(wish.message.type) for wish in wishes]

    def ask(self, wish: Request) -> Message:
        self.calls.append([wish.message.type.name])
        return requests.sa_message(MessageType.NEWSA, self.sas[0])

    def dump(self, wish: Request) -> list[Message]:
        self.calls.append([f"dump {wish.message.type.name}"])
        if wish.message.type == MessageType.GETPOLICY:
            return [requests.policy_message(MessageType.NEWPOLICY, each) for each in self.policies]
        return [requests.sa_message(MessageType.NEWSA, each) for each in self.sas]


@dataclass
class Seen:
    sas: list[SecurityAssociation] = field(default_factory=list)
    policies: list[Policy] = field(default_factory=list)
    refused: list[tuple[int, str]] = field(default_factory=list)


def run(kernel: Kernel, text: str) -> Seen:
    seen = Seen()

    def refused(error: XfrmError, place: Place | None) -> None:
        seen.refused.append((place.line if place else 0, str(error)))

    Runner(kernel, Output(seen.sas.extend, seen.policies.extend, refused)).run(parse(text))
    return seen


ADD = "add 10.0.0.1 10.0.0.2 esp {} -E null;\n"
IN = "spdadd 10.0.0.1 10.0.0.2 any -P in ipsec esp/transport//{};\n"


def test_changes_go_together_and_reading_waits_for_them() -> None:
    kernel = Kernel()
    run(kernel, "flush;" + ADD.format(500) + ADD.format(501) + "dump;" + ADD.format(502))
    assert kernel.calls == [["FLUSHSA", "NEWSA", "NEWSA"], ["dump GETSA"], ["NEWSA"]]


def test_a_refusal_names_its_line_and_the_rest_goes_on() -> None:
    kernel = Kernel(refusals={MessageType.NEWSA: AlreadyThere("cannot add: File exists", 17)})
    seen = run(kernel, "spdflush;\n" + ADD.format(500) + IN.format("use"))
    assert seen.refused == [(2, "cannot add: File exists")]
    assert kernel.calls == [["FLUSHPOLICY", "NEWSA", "NEWPOLICY", "NEWPOLICY"]]


def test_update_statements_ask_for_updates() -> None:
    kernel = Kernel()
    run(kernel, (ADD.format(500) + IN.format("use")).replace("add ", "update "))
    assert kernel.calls == [["UPDSA", "UPDPOLICY", "UPDPOLICY"]]


def test_a_policy_deleted_without_its_twin_is_no_mistake_but_a_missing_one_is() -> None:
    kernel = Kernel(refusals={MessageType.DELPOLICY: NoSuchEntry("cannot delete: No such file", 2)})
    seen = run(kernel, "spddelete 10.0.0.1 10.0.0.2 any -P in;")
    assert kernel.calls == [["DELPOLICY", "DELPOLICY"]]
    assert seen.refused == [(1, "cannot delete: No such file")]


def test_delete_all_deletes_the_sas_of_this_pair_only() -> None:
    kernel = Kernel()
    texts = ("10.0.0.1 10.0.0.2 esp 500", "10.0.0.1 10.0.0.3 esp 501", "10.0.0.1 10.0.0.2 esp 502")
    for text in texts:
        (statement,) = parse(f"add {text} -E null;")
        assert isinstance(statement, AddSa)
        kernel.sas.append(statement.sa)
    run(kernel, "deleteall 10.0.0.1 10.0.0.2 esp;")
    assert kernel.calls == [["dump GETSA"], ["DELSA", "DELSA"]]
    spis = [message.body.spi for message in kernel.told]  # type: ignore[union-attr]
    assert spis == [swap32(500), swap32(502)]


def test_unique_gets_a_number_that_no_policy_has_and_its_twin_the_same() -> None:
    kernel = Kernel()
    (there,) = parse(IN.format("unique:7"))
    template = there.policy.templates[0]  # type: ignore[union-attr]
    kernel.policies = [
        replace(there.policy, templates=(replace(template, reqid=0x4000),))  # type: ignore[union-attr]
    ]
    run(kernel, IN.format("unique") * 2)
    reqids = [policy_of(message).templates[0].reqid for message in kernel.told]
    assert reqids == [0x4001, 0x4001, 0x4002, 0x4002]


def test_get_and_dump_show_what_the_kernel_answers() -> None:
    kernel = Kernel()
    (statement,) = parse(ADD.format(500))
    assert isinstance(statement, AddSa)
    kernel.sas.append(statement.sa)
    seen = run(kernel, "get 10.0.0.1 10.0.0.2 esp 500; dump;")
    assert [replace(sa, usage=Usage()) for sa in seen.sas] == kernel.sas * 2


EVERYTHING = """
add 10.0.0.1 10.0.0.2 esp 500 -E null;
update 10.0.0.1 10.0.0.2 esp 500 -E null;
delete 10.0.0.1 10.0.0.2 esp 500;
flush esp;
spdadd 10.0.0.1 10.0.0.2 any -P out none;
spddelete 10.0.0.1 10.0.0.2 any -P out;
spdflush;
"""


def test_each_request_says_what_it_is_for() -> None:
    kernel = Kernel()
    run(kernel, EVERYTHING)
    sa, policy = "esp SA 0x000001f4 to 10.0.0.2", "the out policy 10.0.0.1/32 -> 10.0.0.2/32"
    assert kernel.doing == [
        f"add {sa}",
        f"update {sa}",
        f"delete {sa}",
        "flush the SAs",
        f"add {policy}",
        f"delete {policy}",
        "flush the policies",
    ]


def test_an_empty_table_is_no_mistake_to_flush_and_all_else_that_is_missing_is_one() -> None:
    missing = NoSuchEntry("missing", 3)
    kinds = (MessageType.FLUSHSA, MessageType.FLUSHPOLICY, MessageType.DELSA, MessageType.UPDSA)
    kernel = Kernel(refusals=dict.fromkeys(kinds, missing))
    assert run(kernel, EVERYTHING).refused == [(3, "missing"), (4, "missing")]
    denied = XfrmError("denied", 1)
    kernel = Kernel(refusals=dict.fromkeys(kinds, denied))
    assert [line for line, _ in run(kernel, EVERYTHING).refused] == [3, 4, 5, 8]


def test_a_kernel_that_is_gone_is_told_at_the_line_that_asked_first() -> None:
    class Gone(Kernel):
        def tell(self, wishes: Sequence[Request]) -> list[XfrmError | None]:
            raise XfrmError(f"no answer to {len(wishes)}")

    assert run(Gone(), "flush;\n" + ADD.format(500)).refused == [(1, "no answer to 2")]
