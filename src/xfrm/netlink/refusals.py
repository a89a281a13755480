"""A kernel's refusal as an exception: what happened, in the kernel's own words, and what to do."""

import errno
import os
from collections.abc import Callable
from typing import TypeVar

from xfrm.dataplane import AlreadyThere, NoSuchEntry, Unsupported, XfrmError
from xfrm.model import Malformed
from xfrm.netlink.frames import Acknowledgement
from xfrm.netlink.messages import MessageType

M = TypeVar("M")
T = TypeVar("T")

_NEW_SA = (MessageType.NEWSA, MessageType.UPDSA)


def refusal(request: int, answer: Acknowledgement, doing: str) -> XfrmError:
    """The exception for a request of type `request` that was answered with an error.

    `doing` is what was wanted, such as "add SA 0x00001000 to 10.0.0.2".
    """
    code, text = answer
    said = f"{os.strerror(code)} ({text})" if text else os.strerror(code)

    def error(kind: type[XfrmError], remedy: str = "") -> XfrmError:
        return kind(f"cannot {doing}: {said}{'; ' if remedy else ''}{remedy}", code)

    if code in (errno.EPERM, errno.EACCES):
        return error(XfrmError, "this needs root (CAP_NET_ADMIN)")
    if code in (errno.EPROTONOSUPPORT, errno.ENOPROTOOPT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
        return error(
            Unsupported,
            "this kernel has no such protocol: load its module (modprobe esp4 esp6 ah4 ah6 ipcomp)"
            " or use the userspace data path",
        )
    if code == errno.ENOSYS:
        return error(Unsupported, "load the module of that algorithm, or choose another one")
    if code == errno.ENOENT and request in _NEW_SA:
        return error(
            Unsupported,
            "the kernel's crypto lacks a part of it, often one of the modules"
            " authenc, cbc, hmac, seqiv, echainiv, drbg",
        )
    if code in (errno.ESRCH, errno.ENOENT):
        return error(NoSuchEntry)
    if code == errno.EEXIST:
        return error(AlreadyThere, "delete it first, or update it")
    if code == errno.EINVAL and not text:
        return error(XfrmError, "the kernel does not say which value is wrong")
    return error(XfrmError)


def understood(read: Callable[[M], T], given: M, doing: str) -> T:
    """`read(given)`, with Malformed as a refusal: the kernel's answer cannot be decoded."""
    try:
        return read(given)
    except Malformed as error:
        raise XfrmError(f"cannot {doing}: the kernel's answer cannot be decoded: {error}") from None


def no_socket(error: OSError) -> XfrmError:
    """The exception for a netlink socket that cannot be had."""
    code, text = error.errno or 0, f"cannot open XFRM netlink: {error.strerror}"
    if code in (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT):
        return Unsupported(f"{text}; this kernel was built without IPsec", code)
    if code in (errno.EPERM, errno.EACCES):
        return XfrmError(f"{text}; this needs root (CAP_NET_ADMIN)", code)
    return XfrmError(text, code)
