"""Why a packet was dropped: the kernel's own counters, so that the names are the same."""

from enum import StrEnum


class Reason(StrEnum):
    """Names of Linux's /proc/net/xfrm_stat, and below them what that file has no name for."""

    IN_HEADER = "XfrmInHdrError"
    IN_NO_STATES = "XfrmInNoStates"
    IN_PROTOCOL = "XfrmInStateProtoError"  # integrity check, padding
    IN_MODE = "XfrmInStateModeError"  # the inner header is not an IP header of the SA's kind
    IN_SEQUENCE = "XfrmInStateSeqError"  # replayed, or left of the window
    IN_EXPIRED = "XfrmInStateExpired"
    IN_MISMATCH = "XfrmInStateMismatch"  # UDP encapsulation where there must be none, and reverse
    IN_INVALID = "XfrmInStateInvalid"  # the SA is larval
    IN_TEMPLATE = "XfrmInTmplMismatch"  # came by another SA than the policy asks for
    IN_NO_POLICY = "XfrmInNoPols"
    IN_BLOCKED = "XfrmInPolBlock"
    OUT_NO_STATES = "XfrmOutNoStates"
    OUT_SEQUENCE = "XfrmOutStateSeqError"  # the sequence number would repeat
    OUT_EXPIRED = "XfrmOutStateExpired"
    OUT_BLOCKED = "XfrmOutPolBlock"
    OUT_ERROR = "XfrmOutError"
    IN_DUMMY = "MguInDummy"  # next header 59 (RFC 4303, 2.6): meant to be thrown away
    IN_CONGESTION = "MguInCongestion"  # outer CE over an inner that knows no ECN (RFC 6040, 4.2)
    IN_DEVICE = "MguInDeviceError"
    OUT_HEADER = "MguOutHdrError"
    OUT_TOO_BIG = "MguOutTooBig"
    OUT_LOOP = "MguOutLoop"  # what we sent came back to us: another program cleared its mark


class Refused(Exception):
    """This packet is not let through; nothing of it was released."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason
