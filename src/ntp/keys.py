"""Key files as ntpd (ntp.keys) and chrony (chrony.keys) have them.

One key a line: identifier, algorithm, key. `#` begins a comment between words, `!`, `;` and `%` at
the beginning of a line (chrony). A key is text, or hexadecimal: after `HEX:` (chrony), or when it
is longer than 20 characters and nothing but hexadecimal digits (ntpd). `ASCII:` marks text. A line
without an algorithm is for MD5 (chrony). ntpd may list hosts after the key; they do not matter to a
client.

A line that is no key of ours is passed over with a notice: a server that needs that key is refused.
Of two keys of one number the last counts, as for ntpd.
"""

from ntp.auth import Algorithm, Key
from ntp.conf import LARGEST_KEY_ID, is_number
from wire.lean import TYPE_CHECKING, Final
from wire.secret import Secret
from wire.source import Notices, Place, Source, Word, nearest, octets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALGORITHMS: Final = {
    "AES128CMAC": Algorithm.AES128CMAC,
    "AES128": Algorithm.AES128CMAC,  # chrony
    "AES-128-CMAC": Algorithm.AES128CMAC,  # ntpsec
    "AES-128": Algorithm.AES128CMAC,
    "AES-CMAC": Algorithm.AES128CMAC,
    "AES": Algorithm.AES128CMAC,
    "SHA1": Algorithm.SHA1,
    "SHA-1": Algorithm.SHA1,
    "MD5": Algorithm.MD5,
    "M": Algorithm.MD5,  # ntpd
}
_CMAC_LENGTH: Final = 16  # octets
_LONGEST_TEXT: Final = 20  # characters; ntp.keys(5)
_SECRET: Final = r"^\s*+(?:\d+\s)?(?P<secret>.*)"  # all but a number at the beginning
_COMMENTS: Final = "#!;%"


class _NoKey(Exception):
    """A line gives no key; `word` is where it fails."""

    def __init__(self, word: Word, why: str) -> None:
        super().__init__(why)
        self.word = word


def parse(octets: bytes, name: str, notices: Notices) -> dict[int, Key]:
    """The keys by identifier, in the order of the file called `name`. No notice shows a key."""
    keys: dict[int, Key] = {}
    source = Source.of(name, octets, secret=_SECRET)
    if foreign := source.in_utf16:
        notices.passed_over(Place(source, 1, 1), foreign)
        return keys
    for line in source.lines():
        words = list(_words(line))
        if not words:
            continue
        try:
            key = _key(words, notices)
        except _NoKey as wrong:
            notices.passed_over(wrong.word.place, str(wrong))
            continue
        if keys.get(key.key_id, key) != key:
            what = f"key {key.key_id} appears twice; the last one is used, as by ntpd"
            notices.differs(words[0].place, f"{what}. chronyd may use either")
        keys[key.key_id] = key
    return keys


def _words(line: Word) -> "Iterator[Word]":
    """Up to a comment."""
    for number, word in enumerate(line.words()):
        if word.startswith("#" if number else tuple(_COMMENTS)):
            return
        yield word


def _key(words: list[Word], notices: Notices) -> Key:
    """Raises: _NoKey."""
    first = words[0]
    if not is_number(first, LARGEST_KEY_ID):
        what = f"it does not begin with a number of 1 to {LARGEST_KEY_ID}"
        raise _NoKey(first, f"this line is not a key: {what}")
    algorithm = _algorithm(words)
    octets = _octets(words[min(2, len(words) - 1)], first, notices)
    if algorithm is Algorithm.AES128CMAC and len(octets) != _CMAC_LENGTH:
        what = f"16 octets (32 hexadecimal digits), and this one has {len(octets)}"
        raise _NoKey(words[2], f"key {first} is not read: AES128CMAC needs {what}")
    return Key(int(first), algorithm, Secret(octets))


def _algorithm(words: list[Word]) -> Algorithm:
    """Raises: _NoKey."""
    found = _ALGORITHMS.get(words[1].upper()) if len(words) > 1 else None
    if len(words) == 2 and found is None:
        return Algorithm.MD5  # chrony
    if len(words) < 3:
        raise _NoKey(words[0], f"key {words[0]} is not read: a key is: identifier, algorithm, key")
    if found is None:
        known = f"AES128CMAC, SHA1 and MD5 can be used{nearest(words[1].upper(), _ALGORITHMS)}"
        raise _NoKey(words[1], f"key {words[0]} is not read: of the algorithms {known}")
    return found


def _octets(secret: Word, number: Word, notices: Notices) -> bytes:
    """Raises: _NoKey."""
    if secret.startswith("ASCII:"):
        found: bytes | None = octets_of(secret.removeprefix("ASCII:"))
    elif secret.startswith("HEX:"):
        found = _hexadecimal(secret.removeprefix("HEX:"))
    else:
        found = _hexadecimal(secret) if len(secret) > _LONGEST_TEXT else None
        if found is None:
            return octets_of(secret)
        what = f"key {number} is read as hexadecimal, as by ntpd; chronyd reads it as text"
        notices.differs(secret.place, what)
    if not found:
        raise _NoKey(secret, f"key {number} is not read: what follows the colon is not a key")
    return found


def _hexadecimal(digits: str) -> bytes | None:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return None
