"""What the kernel drops before it reaches the daemon: datagrams that cannot be ISAKMP messages.

A flood of nonsense costs then a few instructions each, and no place in a socket's queue, where the
peers' messages would have to be lucky to find one. Versions 1 and 2 pass (IKEv2 gets an answer);
wrong lengths and all the rest are the engine's to judge.

The programs are classic BPF (linux/filter.h), from the UDP header on.
"""

from typing import Final

from ike.isakmp.header import HEADER_SIZE

Program = tuple[tuple[int, int, int, int], ...]

_LENGTH: Final = 0x80  # BPF_LD | BPF_W | BPF_LEN
_WORD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_OCTET: Final = 0x30  # BPF_LD | BPF_B | BPF_ABS
_AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K

_UDP: Final = 8  # octets of header
_MARKER: Final = 4
_VERSION: Final = 17  # where it is in an ISAKMP header
_ALL: Final = 0xFFFFFFFF


def _isakmp(start: int) -> Program:
    """Passes what may be a message that begins at `start`."""
    return (
        (_LENGTH, 0, 0, 0),
        (_AT_LEAST, 0, 5, start + HEADER_SIZE),
        (_OCTET, 0, 0, start + _VERSION),
        (_AND, 0, 0, 0xF0),
        (_EQUAL, 1, 0, 0x10),
        (_EQUAL, 0, 1, 0x20),
        (_RETURN, 0, 0, _ALL),
        (_RETURN, 0, 0, 0),
    )


ISAKMP: Final = _isakmp(_UDP)
"""For port 500."""

NATT: Final = (
    (_LENGTH, 0, 0, 0),
    (_AT_LEAST, 1, 0, _UDP + _MARKER),
    (_RETURN, 0, 0, 0),  # a keepalive (RFC 3948, 2.3), which has done its work by passing the NAT
    (_WORD, 0, 0, _UDP),
    (_EQUAL, 1, 0, 0),
    (_RETURN, 0, 0, _ALL),  # ESP
    *_isakmp(_UDP + _MARKER),
)
"""For port 4500 (RFC 3948, 2): ESP, and messages behind the non-ESP marker."""
