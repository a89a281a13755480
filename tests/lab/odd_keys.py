"""Made key files of NTP: a usual line, and beside it one with an oddity, in many surroundings."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

_HEX20: Final = "0102030405060708090A0B0C0D0E0F1011121314"
_HEX16: Final = _HEX20[:32]
USUAL: Final = f"1 SHA1 HEX:{_HEX20}\n"

LINES: Final = (
    # chrony.keys(5)
    f"2 AES128 HEX:{_HEX16}",
    f"2 MD5 HEX:{_HEX16}",
    f"2 SHA1 HEX:{_HEX20}",
    f"2 SHA1 HEX:{_HEX20.lower()}",
    "2 MD5 ASCII:secret",
    "2 MD5 secret",
    "2 SHA1 secret",
    "2 secret",  # MD5
    "2 ASCII:secret",
    f"2 HEX:{_HEX16}",
    "2 AES128 sixteen-letters.",
    "2 AES128 ASCII:sixteen-letters.",
    "2 SHA1 longer-than-twenty-letters",
    "2 SHA1 ASCII:longer-than-twenty-letters",
    "2 SHA1 with#a;comment!sign%",
    '2 SHA1 "quoted"',
    "2 SHA1 B\u00fcro",
    "2 SHA1 x",
    "2 SHA1 ASCII:HEX:00",
    "2 SHA1 HEX:0",
    "2 SHA1 HEX:",
    "2 SHA1 HEX:xyz",
    "2 SHA1 ASCII:",
    "2 SHA1",
    "2",
    "2 SHA1 two words",
    "2 SHA1 secret # comment",
    "2 SHA1 secret #comment",
    "2 SHA1 secret 192.0.2.1",
    "2 SHA256 secret",
    "2 SHA512 HEX:00112233",
    "2 AES256 HEX:" + _HEX16 * 2,
    "2 ROT13 secret",
    "2 AES128 short",
    f"2 AES128 HEX:{_HEX20}",
    "2 sha1 secret",
    "2 md5 secret",
    f"2 aes128 HEX:{_HEX16}",
    # ntp.keys(5)
    "2 M secret",
    f"2 SHA1 {_HEX20.lower()}",
    f"2 MD5 {_HEX16}",
    f"2 AES {_HEX16}",
    f"2 AES-128 {_HEX16}",
    f"2 AES128CMAC {_HEX16}",
    "2 SHA-1 secret",
    "2 SHA1 nothexadecimalatallanyway",
    "0 SHA1 secret",
    "002 SHA1 secret",
    "x SHA1 secret",
    "-2 SHA1 secret",
    "4294967295 SHA1 secret",
    "4294967296 SHA1 secret",
    "70000 SHA1 secret",
)
_COMMENTS: Final = ("# c", "! c", "; c", "% c", "#", "  # c", "\t! c", "#2 SHA1 other", "## c ##")
_FRAMES: Final[Mapping[str, Callable[[str], str]]] = {
    "CR LF": lambda text: text.replace("\n", "\r\n"),
    "blanks before": lambda text: "".join(f"  {line}\n" for line in text.splitlines()),
    "tabs between": lambda text: text.replace(" ", "\t"),
    "many blanks between": lambda text: text.replace(" ", "    "),
    "blanks behind": lambda text: text.replace("\n", "  \t\n"),
    "no last end of line": lambda text: text.rstrip("\n"),
    "empty lines": lambda text: text.replace("\n", "\n\n  \n"),
    "form feed": lambda text: text.replace(" ", "\f", 1),
}


def files() -> Iterator[tuple[str, bytes]]:
    """(name, octets). Key 1 is the usual one, key 2 may be the odd one, or there is none."""
    for line in LINES:
        yield line, f"{USUAL}{line}\n".encode()
        yield f"{line}, first", f"{line}\n{USUAL}".encode()
    for comment in _COMMENTS:
        yield comment, f"{comment}\n{USUAL}{comment}\n2 SHA1 secret\n".encode()
    for name, frame in _FRAMES.items():
        yield name, frame(f"{USUAL}2 SHA1 secret\n").encode()
    yield "Latin-1", b"# B\xfcro\n" + USUAL.encode() + b"2 SHA1 B\xfcro\n"
    yield "twice", f"{USUAL}2 SHA1 secret\n2 SHA1 secret\n".encode()
    yield "out of order", f"2 SHA1 secret\n{USUAL}".encode()
    yield "nothing", b""
