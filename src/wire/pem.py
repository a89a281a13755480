"""PEM (RFC 7468), read as OpenSSL reads it: blocks with any text before, between and behind them.

A byte order mark, blanks at the ends of lines, and CR LF change nothing. `X509 CERTIFICATE` is an
older name of a certificate, `TRUSTED CERTIFICATE` one with words about its use behind it.
"""

from base64 import b64decode
from re import compile as pattern

from wire.lean import Final
from wire.record import Record

TRUSTED: Final = "TRUSTED CERTIFICATE"
CERTIFICATES: Final = ("CERTIFICATE", "X509 CERTIFICATE", TRUSTED)
REVOCATION_LISTS: Final = ("X509 CRL", "CRL")
BUNDLES: Final = ("PKCS7", "PKCS #7 SIGNED DATA", "CMS")
_KEY: Final = "PRIVATE KEY"
_BLOCK: Final = pattern(
    rb"-----BEGIN (?P<label>[^\r\n-]+)-----[ \t]*[\r\n](?P<inside>.*?)-----END (?P=label)-----",
    16,  # re.DOTALL
)
_BEGIN: Final = b"-----BEGIN "
_START: Final = pattern(rb"-----BEGIN [^\r\n-]+-----[ \t]*[\r\n]")


class Block(Record):
    """`text` is the whole block, its ends of lines made LF; the base64 in it is not decoded yet."""

    label: str
    text: bytes

    @property
    def is_key(self) -> bool:
        return self.label.endswith(_KEY)

    def octets(self) -> bytes:
        """What is encoded; not of a key that is encrypted as in RFC 1421. Raises: ValueError."""
        lines = self.text.splitlines()[1:-1]
        return b64decode(b"".join(lines).translate(None, b" \t"), validate=True)


def is_pem(octets: bytes) -> bool:
    return _BEGIN in octets


def blocks(octets: bytes) -> list[Block]:
    """All blocks, in order. A block without its own END line is skipped."""
    found = []
    for match in _BLOCK.finditer(octets):
        lines = [line.strip(b" \t\0") for line in match[0].splitlines()]
        label = match["label"].decode("latin-1").strip()
        found.append(Block(label, b"\n".join(lines) + b"\n"))
    return found


def is_cut(octets: bytes) -> bool:
    """Whether a block has a beginning and no end: what is missing may matter."""
    return len(_START.findall(octets)) > len(blocks(octets))


def block(label: str, der: bytes) -> bytes:
    """The block that encodes `der`."""
    from base64 import encodebytes

    name = label.encode()
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (name, encodebytes(der), name)
