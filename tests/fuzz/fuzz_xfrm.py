"""What a kernel, a keying daemon and a file of SAs may hand to the IPsec packages."""

from collections.abc import Callable
from contextlib import suppress

from xfrm.model import Malformed
from xfrm.netlink import frames
from xfrm.netlink.answers import event_of, policy_of, sa_of
from xfrm.netlink.messages import Message
from xfrm.pfkey import parse_dump
from xfrm.setkey.parse import parse
from xfrm.setkey.statements import SetkeyError


def _netlink(data: bytes) -> None:
    """A datagram from the kernel, as the driver reads it."""
    with suppress(Malformed):
        for frame in frames.split(data):
            if frame.type == frames.NLMSG_ERROR:
                frames.acknowledgement(frame)
                continue
            _read(Message.parse(frame.type, frame.body))


def _message(data: bytes) -> None:
    """One message, its type the first octet."""
    with suppress(Malformed):
        _read(Message.parse(data[0] if data else 0, data[1:]))


def _read(message: Message) -> None:
    event_of(message)
    for decode in (sa_of, policy_of):
        with suppress(Malformed):
            decode(message)


def _pfkey(data: bytes) -> None:
    with suppress(Malformed):
        parse_dump(data)


def _setkey(data: bytes) -> None:
    with suppress(SetkeyError):
        parse(data.decode("latin-1"))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "netlink": _netlink,
    "message": _message,
    "pfkey": _pfkey,
    "setkey": _setkey,
}
