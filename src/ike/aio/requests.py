"""Answers racoonctl's requests from the engine and the data plane."""

import errno
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ike.admin.errors import AdminError
from ike.admin.framing import Command, Reply, Request, StatusForm, Subject
from ike.admin.records import Endpoint as Storage
from ike.admin.records import (
    EventRecord,
    EventType,
    Index,
    IsakmpSaRecord,
    Phase1Status,
    ScheduleRecord,
    Side,
)
from ike.admin.status import status_json, status_text
from ike.aio.admin import Answer
from ike.backend import Backend, BackendError
from ike.commands import EventKind, Report
from ike.config import Config
from ike.engine import Engine
from ike.events import Acquire, DeleteIpsec, DeleteIsakmp, EstablishIsakmp, Event, Flush
from ike.numbers.isakmp import ProtocolId
from ike.values import Endpoint, IpsecView, IsakmpView, Phase1State, PolicyEntry, Role, SaId
from wire.runner import clock

logger = logging.getLogger("ike")

_LONGEST: Final = 4096  # octets of a refusal's text
_ANY_PROTOCOL: Final = (0, 255)
_PROTOCOLS: Final = {
    Subject.ESP: ProtocolId.ESP,
    Subject.AH: ProtocolId.AH,
    Subject.IPSEC: ProtocolId.ANY,
}


@dataclass(frozen=True, slots=True)
class Reloaded:
    """A configuration that was read again, and what an administrator should know of it."""

    config: Config
    remarks: tuple[str, ...] = ()


class Desk:
    """`date()` is the gateway's Unix time in seconds; `reload` raises ValueError when refused.

    `dropped()` counts the datagrams that never came to the engine, by reason.
    """

    def __init__(
        self,
        engine: Engine,
        backend: Backend,
        tell: Callable[[Event], None],
        *,
        config: Config,
        date: Callable[[], float],
        reload: Callable[[], Awaitable[Reloaded]],
        dropped: Callable[[], Mapping[str, int]],
        port: int = 500,
    ) -> None:
        self._engine = engine
        self._backend = backend
        self._tell = tell
        self.config = config
        self._date = date
        self._reload = reload
        self._dropped = dropped
        self._port = port

    async def answer(self, request: Request) -> Answer:
        """Raises: AdminError for a request that is not one."""
        try:
            match request.command:
                case Command.SHOW_SA if request.subject in (Subject.ISAKMP, *_PROTOCOLS):
                    return _reply(request, await self._show(request))
                case Command.SHOW_SCHEDULE:
                    return _reply(request, b"".join(map(bytes, self._schedule())))
                case Command.STATUS | Command.STATUS_VERBOSE:
                    return _reply(request, self._status(request).encode())
                case Command.SHOW_EVENT:
                    return Answer(_reply(request).reply, lambda _: True)
                case Command.ESTABLISH_SA | Command.ESTABLISH_SA_WITH_PASSWORD:
                    return await self._establish(request)
                case Command.DELETE_SA | Command.DELETE_ALL_SA_DST:
                    return self._delete(request)
                case Command.FLUSH_SA:
                    isakmp = request.subject == Subject.ISAKMP
                    self._tell(Flush(isakmp=isakmp, ipsec=not isakmp))
                    return _reply(request)
                case Command.RELOAD_CONFIG:
                    return _reply(request, await self.reload())
                case Command.LOGOUT_USER:
                    user = request.body.partition(b"\0")[0].decode("utf-8", "replace")
                    logger.info('deleted 0 SA for user "%s"', user)
                    return _reply(request)
                case _:
                    return _refusal(request, errno.ENOTSUP)
        except BackendError as error:
            logger.error("%s", error)
            return _refusal(request, errno.EIO)
        except ValueError as error:  # what is wrong with the new configuration
            return _refusal(request, errno.EINVAL, str(error))

    async def reload(self) -> bytes:
        """Apply the configuration; what to say of it. Raises: ValueError when it is refused."""
        reloaded = await self._reload()
        self.config = reloaded.config
        return "\n".join(reloaded.remarks).encode(errors="replace")[:_LONGEST]

    def events(self, report: Report) -> list[EventRecord]:
        """A report of the engine as racoonctl reads it.

        After a phase 1 racoon tells that Mode Config is done, even where there is none, and its own
        `establish-sa -w isakmp` and `vpn-connect` wait for that.
        """
        types = [EventType(int(report.kind))]
        if report.kind == EventKind.PHASE1_UP:
            types.append(EventType.PHASE1_MODE_CFG)
        return [
            EventRecord(
                type=type_,
                when=int(self._date()),
                src=_storage(report.local),
                dst=_storage(report.remote),
                message_id=report.message_id,
            )
            for type_ in types
        ]

    async def _show(self, request: Request) -> bytes:
        if request.subject == Subject.ISAKMP:
            return b"".join(bytes(self._record(view)) for view in self._engine.isakmp_sas())
        return await self._backend.dump(_PROTOCOLS[Subject(request.subject)])

    def _record(self, view: IsakmpView) -> IsakmpSaRecord:
        return IsakmpSaRecord(
            cookies=view.initiator_cookie + view.responder_cookie,
            status=Phase1Status(int(view.state)),
            side=Side.INITIATOR if view.role is Role.INITIATOR else Side.RESPONDER,
            remote=_storage(view.remote),
            local=_storage(view.local),
            exchange=int(view.exchange),
            created=self._wall(view.created),
            phase2_count=view.phase2_count,
        )

    def _schedule(self) -> list[ScheduleRecord]:
        now = clock()
        return [
            ScheduleRecord(
                due=int(timer.fires),
                number=number,
                created=self._wall(timer.created),
                tick=max(0, int(timer.fires - now)),
            )
            for number, timer in enumerate(self._engine.schedule(), start=1)
        ]

    def _status(self, request: Request) -> str:
        verbose = request.command == Command.STATUS_VERBOSE
        show = status_json if request.subject == StatusForm.JSON else status_text
        return show(
            self.config,
            self._engine.isakmp_sas(),
            self._engine.ipsec_sas() if verbose else None,
            datetime.fromtimestamp(self._date(), UTC),
            self._dropped(),
            self._engine.last_failures(),
        )

    async def _establish(self, request: Request) -> Answer:
        index, rest = Index.parse(request.body)
        remote, local = index.dst.address, index.src.address
        if remote is None or local is None:
            raise AdminError("establish-sa without addresses")
        if request.command == Command.ESTABLISH_SA_WITH_PASSWORD:
            return _refusal(request, errno.ENOTSUP)
        if request.subject != Subject.ISAKMP:
            return await self._establish_ipsec(request, index)
        name = rest.partition(b"\0")[0].decode("utf-8", "replace") or None
        if name is not None and self.config.remote_named(name) is None:
            return _refusal(request, errno.ENOENT, f"racoon.conf has no remote '{name}'")
        if name is None and self.config.remote_for(remote) is None:
            return _refusal(request, errno.ENOENT, f"racoon.conf has no remote for {remote}")
        here = Endpoint(local, index.src.port or self._port)
        self._tell(EstablishIsakmp(local=here, remote=remote, remote_name=name))
        return Answer(_reply(request).reply, _about(index))

    async def _establish_ipsec(self, request: Request, index: Index) -> Answer:
        policies = [p for p in await self._backend.policies() if _means(index, p)]
        if not policies:
            logger.error("no policy for %s -> %s: 'setkey -DP' shows all", index.src, index.dst)
            return _refusal(request, errno.ENOENT)
        policy = policies[0]
        self._tell(Acquire(policy=policy, local_port=self._port))
        peer = Index(src=Storage(policy.local), dst=Storage(policy.remote))
        return Answer(_reply(request).reply, _about(peer))

    def _delete(self, request: Request) -> Answer:
        index, _ = Index.parse(request.body)
        if index.dst.address is None:
            raise AdminError("delete-sa without a destination")
        if request.command == Command.DELETE_ALL_SA_DST:
            peers = {view.remote.address for view in self._engine.isakmp_sas()}
            peers |= {view.remote.address for view in self._engine.ipsec_sas()}
            if index.dst.address not in peers:
                return _refusal(request, errno.ENOENT)
            logger.info("Flushing all SAs for peer %s", index.dst.address)
            self._tell(DeleteIsakmp(remote=index.dst.address))
            return Answer(_reply(request).reply, _about(index))
        logger.info("admin delete-sa %s %s", index.src, index.dst)
        if request.subject == Subject.ISAKMP:
            if self._established(index) is None:
                return _refusal(request, errno.ENOENT)
            self._tell(DeleteIsakmp(remote=index.dst.address, local=index.src.address))
            return _reply(request)
        protocol = _PROTOCOLS.get(Subject(request.subject), ProtocolId.ANY)
        children = [v for v in self._engine.ipsec_sas() if _is_between(v, index, protocol)]
        for child in children:
            self._tell(DeleteIpsec(sa=SaId(child.local.address, child.protocol, child.spi_in)))
        return _reply(request) if children else _refusal(request, errno.ENOENT)

    def _established(self, index: Index) -> IsakmpView | None:
        for view in self._engine.isakmp_sas():
            if view.remote.address != index.dst.address:
                continue
            if index.src.address not in (None, view.local.address):
                continue
            if view.state >= Phase1State.ESTABLISHED:
                return view
        return None

    def _wall(self, monotonic: float) -> int:
        if not monotonic:
            return 0
        return round(self._date() - (clock() - monotonic))


def _reply(request: Request, body: bytes = b"") -> Answer:
    return Answer(Reply(command=request.command, subject=request.subject, body=body))


def _refusal(request: Request, number: int, why: str = "") -> Answer:
    """racoon's own racoonctl passes over the body, where `why` is."""
    body = why.encode(errors="replace")[:_LONGEST]
    return Answer(Reply(command=request.command, subject=request.subject, body=body, errno=number))


def _storage(endpoint: Endpoint | None) -> Storage:
    return Storage(None) if endpoint is None else Storage(endpoint.address, endpoint.port)


def _about(index: Index) -> Callable[[EventRecord], bool]:
    """Whether an event is about this peer, or the end of everything."""
    return lambda event: event.type == EventType.QUIT or event.dst.address == index.dst.address


def _means(index: Index, policy: PolicyEntry) -> bool:
    selector = policy.selector
    return (
        index.src.address in selector.local
        and index.src_prefix >= selector.local.prefixlen
        and index.dst.address in selector.remote
        and index.dst_prefix >= selector.remote.prefixlen
        and (index.protocol in _ANY_PROTOCOL or selector.protocol in (0, index.protocol))
        and index.src.port in (0, selector.local_port)
        and index.dst.port in (0, selector.remote_port)
    )


def _is_between(view: IpsecView, index: Index, protocol: ProtocolId) -> bool:
    ends = {view.local.address, view.remote.address}
    return ends == {index.src.address, index.dst.address} and protocol in (
        ProtocolId.ANY,
        view.protocol,
    )
