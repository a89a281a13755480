"""Carries out the statements of a setkey file over a netlink client that it is given.

Changes are collected and sent many at a time; what reads the tables, or flushes them, sends what
was collected first, so that the order is the file's.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import count

from wire.lean import Final, Protocol
from wire.record import Record, replace
from wire.source import Place
from xfrm.dataplane import NoSuchEntry, XfrmError
from xfrm.model import Policy, SecurityAssociation
from xfrm.model import Protocol as SaProtocol
from xfrm.names import policy_name, sa_name
from xfrm.netlink import requests
from xfrm.netlink.answers import policy_of, sa_of
from xfrm.netlink.messages import Message, MessageType
from xfrm.netlink.refusals import understood
from xfrm.setkey.statements import (
    CHOOSE_REQID,
    AddPolicy,
    AddSa,
    DeleteAllSas,
    DeletePolicy,
    DeleteSa,
    DumpPolicies,
    DumpSas,
    FlushPolicies,
    FlushSas,
    GetSa,
    GetSpi,
    Operation,
)

_AT_ONCE: Final = 4096
_FIRST_CHOSEN_REQID: Final = 0x4000  # above those that are typed (IPSEC_MANUAL_REQID_MAX)


class Request(Record):
    """A message, what it is for, and where the file asks for it."""

    message: Message
    doing: str
    place: Place | None = None
    may_lack: bool = False  # the entry to delete need not be there


class Client(Protocol):
    """`xfrm.system.blocking.Client`."""

    def tell(self, wishes: Sequence[Request]) -> list[XfrmError | None]: ...
    def ask(self, wish: Request) -> Message: ...
    def dump(self, wish: Request) -> list[Message]: ...


class Output(Record):
    """What became of it: entries to print, and refusals with their places."""

    sas: Callable[[Sequence[SecurityAssociation]], None]
    policies: Callable[[Sequence[Policy]], None]
    refused: Callable[[XfrmError, Place | None], None]


class Runner:
    def __init__(self, client: Client, output: Output) -> None:
        self._client = client
        self._output = output
        self._waiting: list[Request] = []
        self._reqids: Iterable[int] | None = None

    def run(self, statements: Iterable[Operation]) -> None:
        """All of them, whatever is refused."""
        for statement in statements:
            try:
                self._carry_out(statement)
            except XfrmError as error:
                self._output.refused(error, statement.place)
        self._flush_waiting()

    def sas(self, protocol: SaProtocol | None = None) -> list[SecurityAssociation]:
        """Raises XfrmError."""
        request = Request(requests.dump_sas_message(protocol or 0), "list the SAs")
        return [understood(sa_of, each, request.doing) for each in self._client.dump(request)]

    def policies(self) -> list[Policy]:
        """Raises XfrmError."""
        request = Request(requests.dump_policies_message(), "list the policies")
        return [understood(policy_of, each, request.doing) for each in self._client.dump(request)]

    def _carry_out(self, statement: Operation) -> None:
        match statement:
            case AddSa():
                self._add_sa(statement)
            case DeleteSa(sa=sa):
                self._later(
                    requests.delete_sa_message(sa), f"delete {sa_name(sa)}", statement.place
                )
            case AddPolicy():
                self._add_policy(statement)
            case DeletePolicy():
                self._delete_policy(statement)
            case FlushSas(protocol=protocol):
                message = requests.flush_sas_message(protocol or requests.ALL_PROTOCOLS)
                self._later(message, "flush the SAs", statement.place, may_lack=True)
            case FlushPolicies():
                message = requests.flush_policies_message()
                self._later(message, "flush the policies", statement.place, may_lack=True)
            case GetSa() | GetSpi() | DeleteAllSas() | DumpSas() | DumpPolicies():
                self._flush_waiting()
                self._look(statement)

    def _look(self, statement: GetSa | GetSpi | DeleteAllSas | DumpSas | DumpPolicies) -> None:
        match statement:
            case GetSa(sa=sa):
                self._show(Request(requests.get_sa_message(sa), f"get {sa_name(sa)}"))
            case GetSpi():
                self._show(_reserve(statement))
            case DeleteAllSas():
                self._delete_all(statement)
            case DumpSas(protocol=protocol):
                self._output.sas(self.sas(protocol))
            case DumpPolicies():
                self._output.policies(self.policies())

    def _show(self, request: Request) -> None:
        self._output.sas([understood(sa_of, self._client.ask(request), request.doing)])

    def _delete_all(self, statement: DeleteAllSas) -> None:
        for sa in self.sas(statement.protocol):
            if (sa.src, sa.dst) == (statement.src, statement.dst):
                message, doing = requests.delete_sa_message(sa.id), f"delete {sa_name(sa)}"
                self._later(message, doing, statement.place, may_lack=True)

    def _add_sa(self, statement: AddSa) -> None:
        kind = MessageType.UPDSA if statement.update else MessageType.NEWSA
        message = requests.sa_message(kind, statement.sa)
        verb = "update" if statement.update else "add"
        self._later(message, f"{verb} {sa_name(statement.sa)}", statement.place)

    def _add_policy(self, statement: AddPolicy) -> None:
        kind = MessageType.UPDPOLICY if statement.update else MessageType.NEWPOLICY
        for policy in self._with_reqids(statement):
            message = requests.policy_message(kind, policy)
            self._later(message, f"add {policy_name(policy)}", statement.place)

    def _delete_policy(self, statement: DeletePolicy) -> None:
        policy, twin, place = statement.policy, statement.twin, statement.place
        self._later(requests.delete_policy_message(policy), f"delete {policy_name(policy)}", place)
        if twin is not None:
            message = requests.delete_policy_message(twin)
            self._later(message, f"delete {policy_name(twin)}", place, may_lack=True)

    def _with_reqids(self, statement: AddPolicy) -> list[Policy]:
        """The policy and its twin, with numbers for the rules that are `unique` without one."""
        policies = (
            [statement.policy] if statement.twin is None else [statement.policy, statement.twin]
        )
        templates = statement.policy.templates
        if all(template.reqid != CHOOSE_REQID for template in templates):
            return policies
        chosen = tuple(
            replace(template, reqid=self._reqid()) if template.reqid == CHOOSE_REQID else template
            for template in templates
        )
        return [replace(policy, templates=chosen) for policy in policies]

    def _reqid(self) -> int:
        """One that no policy has."""
        if self._reqids is None:
            used = {template.reqid for policy in self.policies() for template in policy.templates}
            self._reqids = (each for each in count(_FIRST_CHOSEN_REQID) if each not in used)
        return next(iter(self._reqids))

    def _later(self, message: Message, doing: str, place: Place, *, may_lack: bool = False) -> None:
        self._waiting.append(Request(message, doing, place, may_lack))
        if len(self._waiting) >= _AT_ONCE:
            self._flush_waiting()

    def _flush_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            results = self._client.tell(waiting)
        except XfrmError as error:
            self._output.refused(error, waiting[0].place)
            return
        for request, refused in zip(waiting, results, strict=True):
            if refused is None or (request.may_lack and isinstance(refused, NoSuchEntry)):
                continue
            self._output.refused(refused, request.place)


def _reserve(statement: GetSpi) -> Request:
    larval = SecurityAssociation(
        src=statement.src,
        dst=statement.dst,
        spi=0,
        protocol=statement.protocol,
        mode=statement.mode,
        reqid=statement.reqid,
        larval=True,
    )
    message = requests.allocate_message(larval)
    return Request(message, f"reserve an SPI for {statement.src} -> {statement.dst}")
