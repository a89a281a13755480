"""/etc/localntp.conf: one directive a line.

    server 192.168.1.10              # address or name; several lines, several servers
    server 192.168.1.11 key 3        # its answers must carry a MAC of key 3
    server time.example.net nts      # its answers must be authenticated by NTS
    keys /etc/localntp.keys          # as ntpd and chrony write it
    ca /etc/localntp.ca.pem          # whom to trust for NTS, beside the system's authorities

Options of `server`: `port N` (UDP), `nts-port N` (TCP of the key exchange).
"""

from ntp.errors import ConfigurationError
from ntp.source import NTP_PORT, NTS_KE_PORT
from wire.lean import Final
from wire.record import Record

LARGEST_KEY_ID: Final = 0xFFFFFFFF
DIRECTIVES: Final = ("server", "keys", "ca")
_HEAD: Final = "# Written by localNTP -a; see localNTP -h\n"


class ServerLine(Record, kw_only=True):
    """One server as configured."""

    host: str
    port: int = NTP_PORT
    key: int | None = None
    nts: bool = False
    nts_port: int = NTS_KE_PORT


class Configuration(Record, kw_only=True):
    """All of the file."""

    servers: tuple[ServerLine, ...] = ()
    keys: str = ""
    ca: str = ""


def parse(text: str, name: str) -> Configuration:
    """Raises: ConfigurationError that names file (`name`) and line."""
    servers: list[ServerLine] = []
    paths = {"keys": "", "ca": ""}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            if words[0] == "server":
                servers.append(_server(words[1:]))
            elif words[0] in paths and len(words) == 2:
                paths[words[0]] = words[1]
            else:
                known = ", ".join(DIRECTIVES)
                raise ConfigurationError(f"'{line.strip()}' is none of: {known}")
        except ConfigurationError as error:
            raise ConfigurationError(f"{name}, line {number}: {error}") from None
    return Configuration(servers=tuple(servers), keys=paths["keys"], ca=paths["ca"])


def write(configuration: Configuration) -> str:
    """The text of the file."""
    lines = [_HEAD]
    for server in configuration.servers:
        words = ["server", server.host]
        if server.port != NTP_PORT:
            words += ["port", str(server.port)]
        if server.key is not None:
            words += ["key", str(server.key)]
        if server.nts:
            words.append("nts")
        if server.nts_port != NTS_KE_PORT:
            words += ["nts-port", str(server.nts_port)]
        lines.append(" ".join(words) + "\n")
    if configuration.keys:
        lines.append(f"keys {configuration.keys}\n")
    if configuration.ca:
        lines.append(f"ca {configuration.ca}\n")
    return "".join(lines)


def check_host(text: str) -> str:
    """`text`, if it can be an address or a name. Raises: ConfigurationError."""
    if not text or not all(c.isalnum() or c in "-._:%" for c in text):
        raise ConfigurationError(f"{text!r} is neither an address nor a host name")
    return text


def _server(words: list[str]) -> ServerLine:
    if not words:
        raise ConfigurationError("'server' needs an address")
    rest = iter(words[1:])
    numbers: dict[str, int] = {}
    nts = False
    for word in rest:
        if word == "nts":
            nts = True
        elif word in ("port", "key", "nts-port"):
            numbers[word] = _number(word, next(rest, ""))
        else:
            raise ConfigurationError(f"'{word}' is no option of a server")
    if nts and "key" in numbers:
        raise ConfigurationError("a server has a key or NTS, not both")
    return ServerLine(
        host=check_host(words[0]),
        port=numbers.get("port", NTP_PORT),
        key=numbers.get("key"),
        nts=nts,
        nts_port=numbers.get("nts-port", NTS_KE_PORT),
    )


def _number(option: str, word: str) -> int:
    largest = LARGEST_KEY_ID if option == "key" else 0xFFFF
    if not is_number(word, largest):
        raise ConfigurationError(f"'{option}' needs a number of 1 to {largest}, not '{word}'")
    return int(word)


def is_number(word: str, largest: int) -> bool:
    """Whether `word` is decimal, 1 to `largest`; Python reads no number of thousands of digits."""
    digits = word.isascii() and word.isdigit() and len(word) <= len(str(largest))
    return digits and 1 <= int(word) <= largest
