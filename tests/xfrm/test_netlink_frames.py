"""Netlink itself: several messages in a datagram, and what a refusal says."""

import errno
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.xfrm_values import U16, U32
from xfrm.dataplane import AlreadyThere, NoSuchEntry, Unsupported, XfrmError
from xfrm.model import Malformed
from xfrm.netlink import frames
from xfrm.netlink.frames import Acknowledgement
from xfrm.netlink.messages import MessageType
from xfrm.netlink.refusals import no_socket, refusal


@given(st.binary(max_size=200))
def test_arbitrary_datagrams_raise_only_malformed(octets: bytes) -> None:
    try:
        for frame in frames.split(octets):
            frames.acknowledgement(frame)
    except Malformed:
        return


@given(st.lists(st.tuples(U16, U16, U32, st.binary(max_size=50)), max_size=5))
def test_a_datagram_holds_several_messages(rows: list[tuple[int, int, int, bytes]]) -> None:
    datagram = b"".join(frames.pack(*row) for row in rows)
    assert [(*frame[:3], frame.body) for frame in frames.split(datagram)] == rows


def ack(code: int, text: str, *, capped: bool) -> frames.Frame:
    """An acknowledgement as the kernel lays it out with NETLINK_EXT_ACK."""
    request = bytes(13)
    body = struct.pack("=iIHHII", -code, 16 + len(request), 16, 5, 1, 1)
    body += b"" if capped else request + bytes(3)
    value = text.encode() + b"\0"
    body += struct.pack("=HH", 4 + 4, 2) + bytes(4)  # NLMSGERR_ATTR_OFFS goes first
    body += struct.pack("=HH", 4 + len(value), 1) + value
    flags = frames.NLM_F_ACK_TLVS | (frames.NLM_F_CAPPED if capped else 0)
    return frames.Frame(frames.NLMSG_ERROR, flags, 1, 1, body)


@pytest.mark.parametrize("capped", [False, True])
def test_the_kernels_own_text_is_read_from_an_acknowledgement(capped: bool) -> None:
    answer = frames.acknowledgement(ack(93, "Requested type not found", capped=capped))
    assert answer == Acknowledgement(93, "Requested type not found")


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (errno.EPROTONOSUPPORT, Unsupported, "modprobe esp4"),
        (errno.ENOSYS, Unsupported, "algorithm"),
        (errno.ENOENT, Unsupported, "crypto"),
        (errno.EEXIST, AlreadyThere, "File exists"),
        (errno.ESRCH, NoSuchEntry, "No such process"),
        (errno.EPERM, XfrmError, "root"),
        (errno.EINVAL, XfrmError, "Invalid argument (Kernel says so)"),
    ],
)
def test_a_refusal_says_what_the_kernel_said_and_what_to_do(
    code: int, kind: type[XfrmError], says: str
) -> None:
    error = refusal(MessageType.NEWSA, Acknowledgement(code, "Kernel says so"), "add an SA")
    assert type(error) is kind
    assert error.code == code
    assert says in str(error)
    assert str(error).startswith("cannot add an SA: ")


def test_a_policy_that_is_not_there_is_no_lack_of_crypto() -> None:
    error = refusal(MessageType.DELPOLICY, Acknowledgement(errno.ENOENT, ""), "delete a policy")
    assert type(error) is NoSuchEntry


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (errno.EPROTONOSUPPORT, Unsupported, "without IPsec"),
        (errno.EPERM, XfrmError, "root"),
        (errno.EMFILE, XfrmError, "Too many open files"),
    ],
)
def test_a_socket_that_cannot_be_had_says_why(code: int, kind: type[XfrmError], says: str) -> None:
    error = no_socket(OSError(code, os.strerror(code)))
    assert (type(error), error.code) == (kind, code)
    assert says in str(error)
