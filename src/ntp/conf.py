"""/etc/localntp.conf: one directive a line.

    server 192.168.1.10              # address or name; several lines, several servers
    server 192.168.1.11 key 3        # its answers must carry a MAC of key 3
    server time.example.net nts      # its answers must be authenticated by NTS
    pool ntp.example.net             # each of the name's addresses is a server (four at most)
    keys /etc/localntp.keys          # as ntpd and chrony write it
    ca /etc/localntp.ca.pem          # whom to trust for NTS, beside the system's authorities
    minsources 2                     # fewer servers that agree set nothing (1)
    maxdistance 12                   # s; a server that may be further off has no vote (1.5)
    maxchange 3600                   # s; a date that was right is moved no further (no limit)
    allow-md5                        # a key for MD5 may be used

Options of `server`: `port N` (UDP), `nts-port N` (TCP of the key exchange). Files of ntpd and
chrony are read as well (`ntp.foreign`): what only tunes is passed over with a notice.
"""

from ntp.errors import ConfigurationError
from ntp.peer import NTP_PORT, NTS_KE_PORT
from ntp.sample import MAXDIST
from wire.lean import TYPE_CHECKING, Any, Final
from wire.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wire.source import Notices, Word

LARGEST_KEY_ID: Final = 0xFFFFFFFF
MOST_SOURCES: Final = 64
FARTHEST: Final = 16.0  # s; what maxdistance can allow (ntp.sample.MAXDISP)
LARGEST_CHANGE: Final = 4e9  # s
DIRECTIVES: Final = (
    "server", "pool", "keys", "ca", "minsources", "maxdistance", "maxchange", "allow-md5",
)  # fmt: skip
_KEYS: Final = (
    r"\(\s*(?P<first>\d{1,10})\s*\.\.\.\s*(?P<last>\d{1,10})\s*\)|(?P<one>\b\d{1,10})\b"
    r"|(?P<other>\S+)"
)
_SERVER_OPTIONS: Final = ("nts", "port", "key", "nts-port")
_HEAD: Final = "# Written by localNTP -a; see localNTP -h\n"


class _Misplaced(ConfigurationError):
    """It is `word` that is wrong, not the first of its line."""

    def __init__(self, word: "Word", text: str) -> None:
        super().__init__(text)
        self.word = word


class ServerLine(Record, kw_only=True):
    """One server as configured; a `pool`: all that its name leads to."""

    host: str
    pool: bool = False
    port: int = NTP_PORT
    key: int | None = None
    nts: bool = False
    nts_port: int = NTS_KE_PORT


class Configuration(Record, kw_only=True):
    """All of the file."""

    servers: tuple[ServerLine, ...] = ()
    keys: str = ""
    ca: str = ""
    minsources: int = 1
    maxdistance: float = MAXDIST  # s
    maxchange: float | None = None  # s
    allow_md5: bool = False


def parse(octets: bytes, name: str, notices: "Notices") -> Configuration:
    """What the file called `name` says; a line of ntp.conf or chrony.conf that means nothing here
    is passed over with a notice.

    Raises: ConfigurationError that names file, line and column, and shows the line.
    """
    from wire.source import Place, Source, SourceError

    servers: list[tuple[Word, ServerLine]] = []
    trusted: list[range] = []
    values: dict[str, Any] = {}
    source = Source.of(name, octets)
    if wrong := source.in_utf16:
        raise ConfigurationError(SourceError(wrong, Place(source, 1, 1)).report())
    for line in source.lines():
        words = _words(line)
        if not words:
            continue
        try:
            if (directive := words[0].lower()) in ("server", "pool"):
                servers += [(words[0], each) for each in _servers(words, notices)]
            elif directive == "trustedkey":
                trusted += _trusted(words[1:])
            else:
                values |= _setting(words, notices)
        except ConfigurationError as error:
            word = error.word if isinstance(error, _Misplaced) else words[0]
            raise ConfigurationError(SourceError(str(error), word.place).report()) from None
    return Configuration(servers=tuple(_believed(servers, trusted, notices)), **values)


def _trusted(words: "list[Word]") -> list[range]:
    """ntpd's `trustedkey 1 2 (5 ... 9)`: the keys whose servers are believed."""
    from re import finditer  # late: our own file has no such line

    found: list[range] = []
    for match in finditer(_KEYS, " ".join(words)):
        if match["other"]:
            what = "'trustedkey' needs numbers of keys, such as 1 2 (5 ... 9)"
            raise ConfigurationError(f"{what}, not '{match['other']}'")
        first = int(match["first"] or match["one"])
        found.append(range(first, int(match["last"] or first) + 1))
    return found


def _believed(
    servers: "list[tuple[Word, ServerLine]]", trusted: list[range], notices: "Notices"
) -> "Iterator[ServerLine]":
    """As in ntpd, a server with a key that no `trustedkey` names is not used."""
    for word, server in servers:
        key = server.key
        if not trusted or key is None or any(key in keys for keys in trusted):
            yield server
            continue
        text = f"{server.host} is not used, as by ntpd: no 'trustedkey' names its key {key}"
        notices.passed_over(word.place, text)


def _words(line: "Word") -> "list[Word]":
    """Up to a comment: `#`, or chrony's other signs at the beginning of a line."""
    words = line.words()
    if words and words[0].startswith(tuple("!;%")):
        return []
    comments = (number for number, word in enumerate(words) if word.startswith("#"))
    return words[: next(comments, None)]


def _setting(words: "list[Word]", notices: "Notices") -> dict[str, Any]:
    """The fields of Configuration that a line sets, and their values."""
    from ntp import foreign

    directive = words[0].lower()
    values = words[1:]
    match [foreign.SYNONYMS.get(directive, directive), *map(str, values)]:
        case ["keys" | "ca" as which, path] if "\0" not in path:
            return {which: path}
        case ["minsources", count]:
            return {"minsources": _number("minsources", count, MOST_SOURCES)}
        case ["tos", *_]:
            return _tos(values, words[0], notices)
        case ["nts", *_]:
            return _nts(values, words[0], notices)
        case ["maxdistance", seconds]:
            return {"maxdistance": duration("maxdistance", seconds, FARTHEST)}
        case ["maxchange", seconds, *rest] if len(rest) in (0, 2):
            if rest:
                what = "maxchange holds from the first date on; START and IGNORE have no effect"
                notices.differs(words[2].place, what)
            return {"maxchange": duration("maxchange", seconds, LARGEST_CHANGE)}
        case ["allow-md5"]:
            return {"allow_md5": True}
        case [known, *_] if known in DIRECTIVES:
            wanted = "no value" if known == "allow-md5" else "one value"
            raise ConfigurationError(f"'{known}' needs {wanted}, not {len(values)}")
        case ["restrict", *flags] if "notrust" not in flags:
            notices.passed_over(
                words[0].place, "'restrict' concerns a server's clients, and localNTP serves none"
            )
            return {}
        case [known, *_] if known in foreign.REFUSED:
            raise ConfigurationError(f"'{known}' is not supported: {foreign.REFUSED[known]}")
        case [known, *_] if known in foreign.PASSED_OVER:
            notices.passed_over(words[0].place, f"'{known}' has no effect here")
            return {}
        case _:
            from wire.source import nearest

            hint = nearest(directive, DIRECTIVES)
            raise ConfigurationError(
                f"'{' '.join(words)}' is none of: {', '.join(DIRECTIVES)}{hint}"
            )


def _tos(settings: "list[Word]", tos: "Word", notices: "Notices") -> dict[str, Any]:
    """ntpd's `tos NAME VALUE ...`: how many servers have to agree, and what only tunes."""
    from ntp import foreign

    given = {str(k): str(v) for k, v in zip(settings[::2], settings[1::2], strict=False)}
    found: dict[str, Any] = {}
    if "minsane" in given:
        found["minsources"] = _number("tos minsane", given.pop("minsane"), MOST_SOURCES)
    if "maxdist" in given:
        found["maxdistance"] = duration("tos maxdist", given.pop("maxdist"), FARTHEST)
    for name in foreign.REFUSED_TOS:
        if name in given:
            what = f"'tos {name}' is not supported, and decides which servers are believed"
            raise ConfigurationError(f"{what}; remove it, and the servers that it leaves out")
    if given or len(settings) % 2:
        notices.passed_over(tos.place, f"'tos {' '.join(given)}' has no effect here")
    return found


def _nts(settings: "list[Word]", nts: "Word", notices: "Notices") -> dict[str, Any]:
    """ntpd's `nts ca FILE`, and what serves others."""
    match settings:
        case ["ca", path]:
            return {"ca": str(path)}
        case ["cert" | "key" | "cookie" | "enable" | "disable" | "tlsciphersuites", *_]:
            notices.passed_over(nts.place, f"'nts {settings[0]}' has no effect here")
            return {}
        case _:
            raise ConfigurationError(f"'nts {' '.join(settings)}' is not supported; write ca FILE")


def write(configuration: Configuration) -> str:
    """The text of the file."""
    lines = [_HEAD, *map(_server_text, configuration.servers)]
    if configuration.keys:
        lines.append(f"keys {configuration.keys}\n")
    if configuration.ca:
        lines.append(f"ca {configuration.ca}\n")
    if configuration.minsources != 1:
        lines.append(f"minsources {configuration.minsources}\n")
    if configuration.maxdistance != MAXDIST:
        lines.append(f"maxdistance {configuration.maxdistance!r}\n")
    if configuration.maxchange is not None:
        lines.append(f"maxchange {configuration.maxchange!r}\n")
    if configuration.allow_md5:
        lines.append("allow-md5\n")
    return "".join(lines)


def _server_text(server: ServerLine) -> str:
    words = ["pool" if server.pool else "server", server.host]
    if server.port != NTP_PORT:
        words += ["port", str(server.port)]
    if server.key is not None:
        words += ["key", str(server.key)]
    if server.nts:
        words.append("nts")
    if server.nts_port != NTS_KE_PORT:
        words += ["nts-port", str(server.nts_port)]
    return " ".join(words) + "\n"


def check_host(text: str) -> str:
    """`text`, if it can be an address or a name. Raises: ConfigurationError."""
    if not text or not all(c.isalnum() or c in "-._:%" for c in text):
        raise ConfigurationError(f"{str(text)!r} is neither an address nor a host name")
    return str(text)


def _servers(words: "list[Word]", notices: "Notices") -> list[ServerLine]:
    """The server of a line; none if it is not used."""
    from ntp import foreign

    kind, hosts = words[0].lower(), [word for word in words[1:] if word not in ("-4", "-6")]
    if not hosts:
        raise ConfigurationError(f"'{kind}' needs an address")
    host = hosts[0]
    if host.startswith(foreign.CLOCK_DRIVERS):
        notices.passed_over(host.place, f"'{host}' is a reference clock of ntpd, not a server")
        return []
    if foreign.UNUSED_SERVER in map(str.lower, hosts[1:]):
        notices.passed_over(host.place, f"'{host}' has 'noselect': it is not used")
        return []
    return [_server(kind, host, hosts[1:], notices)]


def _server(kind: str, host: "Word", options: "list[Word]", notices: "Notices") -> ServerLine:
    from ntp import foreign
    from wire.source import nearest

    rest = iter(options)
    numbers: dict[str, int] = {}
    nts = False
    for word in rest:
        name = {"ntsport": "nts-port"}.get(word.lower(), word.lower())
        if name == "nts":
            nts = True
        elif name in _SERVER_OPTIONS[1:]:
            largest = LARGEST_KEY_ID if name == "key" else 0xFFFF
            numbers[name] = _number(word, next(rest, ""), largest)
        elif name in foreign.OPTIONS:
            for _ in range(foreign.OPTIONS[name]):
                next(rest, None)
            notices.passed_over(word.place, f"'{word}' of a {kind} has no effect here")
        elif name in foreign.REFUSED_OPTIONS:
            what = f"'{word}' of a {kind} is not supported, and decides which answers are accepted"
            raise ConfigurationError(f"{what}; remove the option or the {kind}")
        else:
            known = [*_SERVER_OPTIONS, *foreign.OPTIONS, *foreign.REFUSED_OPTIONS]
            hint = nearest(name, known)
            raise _Misplaced(word, f"'{word}' is not an option of a {kind}{hint}")
    if nts and "key" in numbers:
        raise ConfigurationError("a server has a key or NTS, not both")
    if nts and kind == "pool":
        raise ConfigurationError("NTS needs single servers, not a pool")
    return ServerLine(
        host=check_host(host),
        pool=kind == "pool",
        port=numbers.get("port", NTP_PORT),
        key=numbers.get("key"),
        nts=nts,
        nts_port=numbers.get("nts-port", NTS_KE_PORT),
    )


def duration(option: str, word: str, most: float) -> float:
    """`word` as seconds, more than 0 and at most `most`. Raises: ConfigurationError."""
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if 0 < value <= most:
        return value
    raise ConfigurationError(
        f"'{option}' needs a number of seconds, more than 0 and at most {most:g}, not '{word}'"
    )


def _number(option: str, word: str, largest: int) -> int:
    if not is_number(word, largest):
        raise ConfigurationError(f"'{option}' needs a number of 1 to {largest}, not '{word}'")
    return int(word)


def is_number(word: str, largest: int) -> bool:
    """Whether `word` is decimal, 1 to `largest`; Python reads no number of thousands of digits."""
    digits = word.isascii() and word.isdigit() and len(word) <= len(str(largest))
    return digits and 1 <= int(word) <= largest
