"""What the daemon answers administrators and tells the engine: over an engine in memory."""

import asyncio
import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import pytest

from ike.admin.errors import AdminError
from ike.admin.framing import Command, Request, Subject
from ike.admin.records import Endpoint as Storage
from ike.admin.records import (
    EventRecord,
    EventType,
    Index,
    Phase1Status,
    Side,
    isakmp_sas,
    schedule,
)
from ike.aio.admin import Answer
from ike.aio.requests import Desk, Reloaded
from ike.backend import BackendError
from ike.commands import EventKind, Report
from ike.config import Config
from ike.events import Acquire, DeleteIpsec, DeleteIsakmp, EstablishIsakmp, Event, Flush
from ike.numbers.isakmp import ProtocolId
from ike.values import Address, Endpoint, PolicyEntry, Protection, SaId, Selector
from lab.ike_world import LEFT, RIGHT, Node, World, connect, pair

DATE = 1_795_458_811.0
STRANGER = ip_address("10.9.9.9")


def policy(
    local: str = str(LEFT), remote: str = str(RIGHT), protocol: int = 0, port: int = 0
) -> PolicyEntry:
    selector = Selector(
        local=ip_network(local), remote=ip_network(remote), protocol=protocol, remote_port=port
    )
    return PolicyEntry(selector=selector, local=LEFT, remote=RIGHT, protections=(Protection(),))


@dataclass
class Plane:
    """A data plane that is asked for policies and dumps only."""

    held: list[PolicyEntry] = field(default_factory=list)
    refuses: bool = False

    async def policies(self) -> list[PolicyEntry]:
        if self.refuses:
            raise BackendError("the kernel does not answer")
        return self.held

    async def dump(self, protocol: ProtocolId) -> bytes:
        return f"SAs of {protocol.name}".encode()


@dataclass
class Office:
    """A desk with what it was given and what it said."""

    desk: Desk
    plane: Plane
    told: list[Event]
    left: Node
    refusal: str = ""
    dropped: dict[str, int] = field(default_factory=dict)

    async def ask(self, command: Command, subject: int = 0, body: bytes = b"") -> Answer:
        return await self.desk.answer(Request(command=command, subject=subject, body=body))

    async def refused(self, command: Command, subject: int = 0, body: bytes = b"") -> int:
        return (await self.ask(command, subject, body)).reply.errno


def office(*, established: bool) -> Office:
    world = World()
    left, _ = pair(world)
    if established:
        assert connect(world, left)
        world.run(1)
    plane, told = Plane([policy()]), list[Event]()

    async def reload() -> Reloaded:
        if made.refusal:
            raise ValueError(made.refusal)
        return Reloaded(Config(), ("one remark", "another"))

    def dropped() -> Mapping[str, int]:
        return made.dropped

    desk = Desk(
        left.engine,
        plane,  # type: ignore[arg-type]
        told.append,
        config=left.engine.config,
        date=lambda: DATE,
        reload=reload,
        dropped=dropped,
    )
    made = Office(desk, plane, told, left)
    return made


@pytest.fixture
def empty() -> Office:
    return office(established=False)


@pytest.fixture
def busy() -> Office:
    return office(established=True)


def index(
    src: Address | None = LEFT, dst: Address | None = RIGHT, protocol: int = 255, **more: int
) -> bytes:
    made = Index(
        src=Storage(src, more.pop("src_port", 0)),
        dst=Storage(dst, more.pop("dst_port", 0)),
        protocol=protocol,
        **more,
    )
    return bytes(made)


# --- to show ---


@pytest.mark.parametrize(
    ("subject", "shown"),
    [(Subject.ESP, "ESP"), (Subject.AH, "AH"), (Subject.IPSEC, "ANY")],
)
async def test_ipsec_sas_are_those_of_the_data_plane(
    busy: Office, subject: Subject, shown: str
) -> None:
    answer = await busy.ask(Command.SHOW_SA, subject)
    assert answer.reply.body.decode() == f"SAs of {shown}"
    assert answer.reply.subject == subject


async def test_an_isakmp_sa_is_shown_with_both_ends_and_its_side(busy: Office) -> None:
    (sa,) = isakmp_sas((await busy.ask(Command.SHOW_SA, Subject.ISAKMP)).reply.body)
    assert (sa.local, sa.remote) == (Storage(LEFT, 500), Storage(RIGHT, 500))
    assert (sa.side, sa.status, sa.exchange) == (Side.INITIATOR, Phase1Status.ESTABLISHED, 2)
    assert sa.phase2_count == 1
    assert len(sa.cookies) == 16


async def test_timers_are_numbered_from_1_in_the_order_of_their_ends(busy: Office) -> None:
    timers = schedule((await busy.ask(Command.SHOW_SCHEDULE)).reply.body)
    assert [timer.number for timer in timers] == list(range(1, len(timers) + 1))
    assert len(timers) >= 2
    assert [timer.due for timer in timers] == sorted(timer.due for timer in timers)
    now = asyncio.get_running_loop().time()
    assert all(abs(timer.tick - max(0, timer.due - now)) <= 2 for timer in timers)


async def test_status_shows_phase_2_to_who_asks_for_more(busy: Office) -> None:
    busy.dropped = {"queue full": 3}
    text = (await busy.ask(Command.STATUS)).reply.body.decode()
    assert text.startswith("racoon status at 2026-11-23T")
    assert "Phase 1: 0x" in text
    assert "Phase 2: 0x" not in text
    assert text.endswith("Dropped datagrams: queue full: 3\n")
    assert "Phase 2: 0x" in (await busy.ask(Command.STATUS_VERBOSE)).reply.body.decode()
    assert (await busy.ask(Command.STATUS, 1)).reply.body.startswith(b'{"schema_version":"2.0"')


async def test_events_are_for_everybody_who_watches(busy: Office) -> None:
    answer = await busy.ask(Command.SHOW_EVENT)
    assert answer.events is not None
    assert answer.events(_event(EventType.PHASE1_UP, STRANGER))


def _event(kind: EventType, dst: Address | None) -> EventRecord:
    return EventRecord(type=kind, when=0, src=Storage(LEFT, 500), dst=Storage(dst, 500))


def test_a_report_is_an_event_with_its_date_and_ends(empty: Office) -> None:
    report = Report(
        kind=EventKind.PHASE2_UP,
        local=Endpoint(LEFT, 500),
        remote=Endpoint(RIGHT, 4500),
        message_id=7,
    )
    (event,) = empty.desk.events(report)
    assert event == EventRecord(
        type=EventType.PHASE2_UP,
        when=int(DATE),
        src=Storage(LEFT, 500),
        dst=Storage(RIGHT, 4500),
        message_id=7,
    )
    (quit_,) = empty.desk.events(Report(kind=EventKind.QUIT))
    assert (quit_.src, quit_.dst) == (Storage(None), Storage(None))


# --- to establish ---


async def test_a_phase_1_is_begun_from_the_port_that_is_named_or_the_daemons(
    empty: Office,
) -> None:
    answer = await empty.ask(Command.ESTABLISH_SA, Subject.ISAKMP, index())
    await empty.ask(Command.ESTABLISH_SA, Subject.ISAKMP, index(src_port=501) + b"10.0.0.2\0")
    assert empty.told == [
        EstablishIsakmp(local=Endpoint(LEFT, 500), remote=RIGHT, remote_name=None),
        EstablishIsakmp(local=Endpoint(LEFT, 501), remote=RIGHT, remote_name="10.0.0.2"),
    ]
    assert answer.events is not None
    assert answer.events(_event(EventType.PHASE1_UP, RIGHT))
    assert answer.events(_event(EventType.QUIT, None))
    assert not answer.events(_event(EventType.PHASE1_UP, STRANGER))


async def test_ipsec_sas_are_asked_for_by_the_policy_of_the_traffic(empty: Office) -> None:
    wanted = policy("10.1.0.0/16", "10.2.0.0/16", protocol=6, port=80)
    empty.plane.held = [policy("10.3.0.0/16"), wanted]
    traffic = {"src_prefix": 24, "dst_prefix": 24, "dst_port": 80}
    src, dst = ip_address("10.1.5.0"), ip_address("10.2.5.0")
    body = index(src, dst, protocol=6, **traffic)
    answer = await empty.ask(Command.ESTABLISH_SA, Subject.ESP, body)
    assert empty.told == [Acquire(policy=wanted, local_port=500)]
    assert answer.events is not None
    assert answer.events(_event(EventType.PHASE2_UP, RIGHT))  # the peer, not the traffic's end
    assert not answer.events(_event(EventType.PHASE2_UP, dst))


@pytest.mark.parametrize(
    "body",
    [
        index(ip_address("10.4.0.1")),
        index(dst=ip_address("10.4.0.1")),
        index(src_prefix=15, src=ip_address("10.1.0.0")),
        index(dst_prefix=15),
        index(protocol=17),
        index(src_port=1),
        index(dst_port=81),
    ],
)
async def test_traffic_without_a_policy_is_refused(
    empty: Office, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    empty.plane.held = [policy("10.1.0.0/16", str(RIGHT), protocol=6, port=80)]
    assert await empty.refused(Command.ESTABLISH_SA, Subject.ESP, body) == errno.ENOENT
    assert empty.told == []
    assert [(r.name, r.message[:13]) for r in caplog.records] == [("ike", "no policy for")]


@pytest.mark.parametrize("body", [index(src=None), index(dst=None), b""])
async def test_an_sa_without_addresses_is_no_request(empty: Office, body: bytes) -> None:
    with pytest.raises(AdminError):
        await empty.ask(Command.ESTABLISH_SA, Subject.ISAKMP, body)


async def test_an_identity_with_a_password_is_not_supported(empty: Office) -> None:
    command = Command.ESTABLISH_SA_WITH_PASSWORD
    assert await empty.refused(command, Subject.ISAKMP, index()) == errno.ENOTSUP
    assert empty.told == []


async def test_a_data_plane_that_does_not_answer_is_an_input_output_error(
    empty: Office, caplog: pytest.LogCaptureFixture
) -> None:
    empty.plane.refuses = True
    assert await empty.refused(Command.ESTABLISH_SA, Subject.ESP, index()) == errno.EIO
    assert "the kernel does not answer" in caplog.text


# --- to delete ---


@pytest.mark.parametrize(
    ("subject", "flush"),
    [
        (Subject.ISAKMP, Flush(isakmp=True, ipsec=False)),
        (Subject.ESP, Flush(isakmp=False, ipsec=True)),
        (Subject.IPSEC, Flush(isakmp=False, ipsec=True)),
    ],
)
async def test_all_of_a_kind_are_flushed(empty: Office, subject: Subject, flush: Flush) -> None:
    assert await empty.refused(Command.FLUSH_SA, subject) == 0
    assert empty.told == [flush]


async def test_a_phase_1_is_deleted_between_the_ends_that_are_named(busy: Office) -> None:
    assert await busy.refused(Command.DELETE_SA, Subject.ISAKMP, index()) == 0
    assert await busy.refused(Command.DELETE_SA, Subject.ISAKMP, index(src=None)) == 0
    assert busy.told == [
        DeleteIsakmp(remote=RIGHT, local=LEFT),
        DeleteIsakmp(remote=RIGHT, local=None),
    ]
    busy.told.clear()
    for body in (index(dst=STRANGER), index(src=STRANGER)):
        assert await busy.refused(Command.DELETE_SA, Subject.ISAKMP, body) == errno.ENOENT
    assert busy.told == []


async def test_a_phase_1_under_way_is_none_to_delete(empty: Office) -> None:
    empty.left.engine.handle(
        EstablishIsakmp(local=Endpoint(LEFT, 500), remote=RIGHT, remote_name=None), 0.0
    )
    assert len(empty.left.engine.isakmp_sas()) == 1
    assert await empty.refused(Command.DELETE_SA, Subject.ISAKMP, index()) == errno.ENOENT


@pytest.mark.parametrize("subject", [Subject.ESP, Subject.IPSEC])
async def test_an_ipsec_sa_is_deleted_by_our_spi_whichever_end_comes_first(
    busy: Office, subject: Subject
) -> None:
    (view,) = busy.left.engine.ipsec_sas()
    for body in (index(), index(RIGHT, LEFT)):
        assert await busy.refused(Command.DELETE_SA, subject, body) == 0
    sa = SaId(LEFT, ProtocolId.ESP, view.spi_in)
    assert busy.told == [DeleteIpsec(sa=sa)] * 2


async def test_ipsec_sas_of_others_and_of_another_protocol_are_not_deleted(busy: Office) -> None:
    assert await busy.refused(Command.DELETE_SA, Subject.AH, index()) == errno.ENOENT
    for body in (index(dst=STRANGER), index(src=STRANGER)):
        assert await busy.refused(Command.DELETE_SA, Subject.ESP, body) == errno.ENOENT
    assert busy.told == []


async def test_all_that_there_is_with_a_peer_is_deleted_and_followed(busy: Office) -> None:
    answer = await busy.ask(Command.DELETE_ALL_SA_DST, Subject.ISAKMP, index())
    assert busy.told == [DeleteIsakmp(remote=RIGHT)]
    assert answer.reply.errno == 0
    assert answer.events is not None
    assert answer.events(_event(EventType.PHASE1_DOWN, RIGHT))
    body = index(dst=STRANGER)
    assert await busy.refused(Command.DELETE_ALL_SA_DST, Subject.ISAKMP, body) == errno.ENOENT
    with pytest.raises(AdminError, match="without a destination"):
        await busy.ask(Command.DELETE_SA, Subject.ISAKMP, index(dst=None))


# --- to read the configuration again ---


async def test_a_reload_answers_with_its_remarks_and_is_what_is_shown_from_then_on(
    empty: Office,
) -> None:
    assert (await empty.ask(Command.RELOAD_CONFIG)).reply.body == b"one remark\nanother"
    assert empty.desk.config == Config()


async def test_a_refused_reload_answers_with_the_reason_and_changes_nothing(
    empty: Office,
) -> None:
    before = empty.desk.config
    empty.refusal = "racoon.conf:1:1: " + "long " * 2000
    reply = (await empty.ask(Command.RELOAD_CONFIG)).reply
    assert reply.errno == errno.EINVAL
    assert reply.body == empty.refusal.encode()[:4096]
    assert empty.desk.config is before


async def test_a_user_who_is_logged_out_had_no_sa(
    empty: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ike")
    assert await empty.refused(Command.LOGOUT_USER, 0, b"joe\0rest") == 0
    assert caplog.messages == ['deleted 0 SA for user "joe"']
