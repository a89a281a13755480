"""What a kernel tells about SAs and policies, a line each, for `setkey -x`. No keys."""

from xfrm.dataplane import (
    Acquire,
    Event,
    Expire,
    Gone,
    Mapping,
    PolicyAdded,
    PolicyGone,
    Resync,
)
from xfrm.model import Malformed
from xfrm.names import policy_name, sa_name
from xfrm.netlink import wire
from xfrm.netlink.answers import event_of, sa_of
from xfrm.netlink.messages import Message


def line_of(message: Message) -> str:
    """Such as "NEWSA esp SA 0x00001000 to 10.0.0.2"."""
    try:
        return f"{message.type.name} {_text(message)}".rstrip()
    except Malformed as error:
        return f"{message.type.name} that cannot be decoded: {error}"


def _text(message: Message) -> str:
    event = event_of(message)
    if event is not None:
        return _event(event)
    match message.body:
        case wire.SaInfo():
            return sa_name(sa_of(message))
        case wire.PolExpire():
            return "soft"
        case _:
            return ""


def _event(event: Event) -> str:
    match event:
        case Acquire():
            flow = event.selector
            return f"{event.src} -> {event.dst} for {flow.src} -> {flow.dst}"
        case Expire():
            return f"{'hard' if event.hard else 'soft'} {sa_name(event.sa)}"
        case Mapping():
            return f"{sa_name(event.sa)} now from {event.new_src}[{event.new_port}]"
        case Gone():
            return sa_name(event.sa)
        case PolicyAdded() | PolicyGone():
            return policy_name(event.policy)
        case Resync():
            return "all"
