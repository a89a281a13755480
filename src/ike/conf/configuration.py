"""racoon.conf and psk.txt, read whole: what the engine is configured with and the daemon needs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ike.conf import psk
from ike.conf.errors import ConfError
from ike.conf.files import Folders, read
from ike.conf.reading import Notes
from ike.conf.remote import remote
from ike.conf.sainfo import sainfo
from ike.conf.values import address, number, port, seconds
from ike.config import Config, Limits, Sainfo, Timers
from ike.numbers.doi import Authentication
from ike.values import Endpoint
from wire.grammar import Statement
from wire.source import Notice, Word

ISAKMP_PORT: Final = 500
NATT_PORT: Final = 4500

_NOT_HEEDED: Final = {
    "pfkey_buffer": "PF_KEY is not used",
    "complex_bundle": "bundles are proposed as the policy has them",
    "privsep": "the daemon always drops its privileges",
    "padding": "padding follows RFC 2409",
    "gss_id_enc": "GSS-API is not supported",
    "mode_cfg": "mode_cfg is not supported",
    "radiuscfg": "XAuth is not supported",
    "ldapcfg": "XAuth is not supported",
    "admin": "use adminsock",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSocket:
    """`adminsock`: owner and group are names or numbers; None is the daemon's own."""

    path: str | None = None  # None: the default path
    owner: str | None = None
    group: str | None = None
    mode: int = 0o600
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """`listen` and `listen_natt` empty: every address. `log` is racoon's level name."""

    engine: Config = field(default_factory=Config)
    listen: tuple[Endpoint, ...] = ()
    listen_natt: tuple[Endpoint, ...] = ()
    strict_address: bool = False
    admin: AdminSocket = field(default_factory=AdminSocket)
    log: str = "info"
    keys_file: Path | None = None
    pidfile: Path | None = None
    notices: tuple[Notice, ...] = ()


def load(
    path: Path,
    root: Path = Path("/"),
    give_way: Callable[[], None] = lambda: None,
    refusals: list[ConfError] | None = None,
) -> Configuration:
    """Read `path`, what it includes and the keys it names; absolute names hang below `root`.

    `give_way` is called after each statement: who reads in a thread lets others run there.
    `refusals`, if given, collects what would be raised, of all statements: for who only looks.
    Raises: ConfError.
    """
    folders = Folders(root, path.parent)
    notes = Notes(folders)
    made = Configuration()
    for statement in read(path, folders, notes):
        give_way()
        with _collecting(refusals):
            made = _apply(made, statement, folders, notes)
    engine = replace(
        made.engine, remotes=tuple(notes.remotes.values()), sainfos=tuple(notes.sainfos)
    )
    if made.keys_file and (_needs_keys(engine) or _there(made.keys_file)):
        with _collecting(refusals):
            engine = engine.with_keys(psk.read(made.keys_file, notes))
    return replace(made, engine=engine, notices=tuple(notes))


@contextmanager
def _collecting(refusals: list[ConfError] | None) -> Iterator[None]:
    try:
        yield
    except ConfError as error:
        if refusals is None:
            raise
        refusals.append(error)


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # not ours to see, but that is for who reads it to say
        return True


def _needs_keys(engine: Config) -> bool:
    """Whether a peer might be known by a pre-shared key; others need no file of keys."""
    proposals = (proposal for remote in engine.remotes for proposal in remote.proposals)
    return any(p.authentication == Authentication.PRE_SHARED_KEY for p in proposals)


def _apply(
    made: Configuration, statement: Statement, folders: Folders, notes: Notes
) -> Configuration:
    engine = made.engine
    match statement.name:
        case "path":
            return _path(made, statement, folders, notes)
        case "log":
            return replace(made, log=statement.value.text)
        case "listen":
            for setting in statement.block:
                made = _listen(made, setting, notes)
            return made
        case "timer":
            return replace(made, engine=replace(engine, timers=_timers(statement, engine.timers)))
        case "limits":
            return replace(made, engine=replace(engine, limits=_limits(statement, engine.limits)))
        case "remote":
            peer = remote(statement, notes)
            if peer.name in notes.remotes:
                raise ConfError(f"the remote '{peer.name}' appears twice", statement.place)
            notes.remotes[peer.name] = peer
            return made
        case "sainfo":
            if (found := sainfo(statement, notes)) is not None:
                _take(found, statement, notes)
            return made
        case name:
            notes.passed_over(statement.place, f"{name} has no effect: {_NOT_HEEDED[name]}")
            return made


def _take(found: Sainfo, statement: Statement, notes: Notes) -> None:
    traffic = found.local, found.remote, found.remoteid, found.peer
    if traffic in notes.traffic:
        text = "this sainfo is never used: one above it is for the same traffic"
        notes.passed_over(statement.place, text)
    notes.traffic.add(traffic)
    notes.sainfos.append(found)


def _path(
    made: Configuration, statement: Statement, folders: Folders, notes: Notes
) -> Configuration:
    kind, name = statement.value.text, statement.words[2].text
    match kind:
        case "pre_shared_key":
            return replace(made, keys_file=folders.below(folders.include, name))
        case "certificate":
            folders.certificate = folders.below(folders.include, name)
        case "pidfile":
            return replace(made, pidfile=folders.below(folders.root / "var/run", name))
        case "script" | "backupsa":
            notes.passed_over(statement.place, f"path {kind} has no effect: it is not supported")
        case _:
            pass  # include: followed while reading
    return made


def _listen(made: Configuration, setting: Statement, notes: Notes) -> Configuration:
    match setting.name:
        case "isakmp":
            where = _endpoint(setting.values, ISAKMP_PORT)
            return replace(made, listen=(*made.listen, where))
        case "isakmp_natt":
            where = _endpoint(setting.values, NATT_PORT)
            return replace(made, listen_natt=(*made.listen_natt, where))
        case "strict_address":
            return replace(made, strict_address=True)
        case "adminsock":
            return replace(made, admin=_admin(setting.values))
        case name:
            notes.passed_over(setting.place, f"{name} has no effect: {_NOT_HEEDED[name]}")
            return made


def _endpoint(values: tuple[Word, ...], default: int) -> Endpoint:
    return Endpoint(address(values[0]), port(values[1]) if len(values) > 1 else default)


def _admin(values: tuple[Word, ...]) -> AdminSocket:
    if not values[0].quoted:
        return AdminSocket(disabled=True)
    if len(values) == 1:
        return AdminSocket(path=values[0].text)
    path, owner, group, mode = values
    try:
        bits = int(mode.text, 8)
    except ValueError:
        raise ConfError(f"{mode.text} is not a file mode, such as 0600", mode.place) from None
    return AdminSocket(path=path.text, owner=owner.text, group=group.text, mode=bits)


_Timer = Callable[[Timers, tuple[Word, ...]], Timers]
_TIMERS: Final[dict[str, _Timer]] = {
    "counter": lambda t, v: replace(t, counter=number(v[0])),
    "interval": lambda t, v: replace(t, interval=seconds(*v)),
    "persend": lambda t, v: replace(t, persend=number(v[0])),
    "phase1": lambda t, v: replace(t, phase1=seconds(*v)),
    "phase2": lambda t, v: replace(t, phase2=seconds(*v)),
    "natt_keepalive": lambda t, v: replace(t, natt_keepalive=seconds(*v)),
}


def _timers(statement: Statement, timers: Timers) -> Timers:
    for setting in statement.block:
        timers = _TIMERS[setting.name](timers, setting.values)
    return timers


def _limits(statement: Statement, limits: Limits) -> Limits:
    """Ours, not racoon's. Nothing is unlimited, and nothing is shut: 0 is refused."""
    for setting in statement.block:
        name, amount, *unit = setting.words
        value = seconds(amount, *unit) if unit else number(amount)
        if value < 1:
            raise ConfError(f"{name.text} must be at least 1", amount.place)
        limits = replace(limits, **{name.text: value})
    return limits
