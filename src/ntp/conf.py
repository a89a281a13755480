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

Options of `server`: `port N` (UDP), `nts-port N` (TCP of the key exchange).
"""

from ntp.errors import ConfigurationError
from ntp.peer import NTP_PORT, NTS_KE_PORT
from ntp.sample import MAXDIST
from wire.lean import Any, Final
from wire.record import Record

LARGEST_KEY_ID: Final = 0xFFFFFFFF
MOST_SOURCES: Final = 64
FARTHEST: Final = 16.0  # s; what maxdistance can allow (ntp.sample.MAXDISP)
LARGEST_CHANGE: Final = 4e9  # s
DIRECTIVES: Final = (
    "server", "pool", "keys", "ca", "minsources", "maxdistance", "maxchange", "allow-md5",
)  # fmt: skip
_HEAD: Final = "# Written by localNTP -a; see localNTP -h\n"


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


def parse(text: str, name: str) -> Configuration:
    """Raises: ConfigurationError that names file (`name`) and line."""
    servers: list[ServerLine] = []
    values: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            if words[0] in ("server", "pool"):
                servers.append(_server(words[0], words[1:]))
            else:
                values |= _setting(words, line)
        except ConfigurationError as error:
            raise ConfigurationError(f"{name}, line {number}: {error}") from None
    return Configuration(servers=tuple(servers), **values)


def _setting(words: list[str], line: str) -> dict[str, Any]:
    """The field of Configuration that a line sets, and its value."""
    match words:
        case ["keys" | "ca" as which, path]:
            return {which: path}
        case ["minsources", count]:
            return {"minsources": _number("minsources", count, MOST_SOURCES)}
        case ["maxdistance", seconds]:
            return {"maxdistance": duration("maxdistance", seconds, FARTHEST)}
        case ["maxchange", seconds]:
            return {"maxchange": duration("maxchange", seconds, LARGEST_CHANGE)}
        case ["allow-md5"]:
            return {"allow_md5": True}
        case [known, *values] if known in DIRECTIVES:
            wanted = "no value" if known == "allow-md5" else "one value"
            raise ConfigurationError(f"'{known}' takes {wanted}, not {len(values)}")
        case _:
            known = ", ".join(DIRECTIVES)
            raise ConfigurationError(f"'{line.strip()}' is none of: {known}")


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
        raise ConfigurationError(f"{text!r} is neither an address nor a host name")
    return text


def _server(kind: str, words: list[str]) -> ServerLine:
    if not words:
        raise ConfigurationError(f"'{kind}' needs an address")
    rest = iter(words[1:])
    numbers: dict[str, int] = {}
    nts = False
    for word in rest:
        if word == "nts":
            nts = True
        elif word in ("port", "key", "nts-port"):
            largest = LARGEST_KEY_ID if word == "key" else 0xFFFF
            numbers[word] = _number(word, next(rest, ""), largest)
        else:
            raise ConfigurationError(f"'{word}' is not an option of a {kind}")
    if nts and "key" in numbers:
        raise ConfigurationError("a server has a key or NTS, not both")
    if nts and kind == "pool":
        raise ConfigurationError("NTS needs single servers, not a pool")
    return ServerLine(
        host=check_host(words[0]),
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
