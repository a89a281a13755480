"""Errors of setting the clock; apart from ntp.system.clock, so that catching them costs nothing."""

from ntp.errors import NtpError


class ClockRefused(NtpError):
    """The kernel does not take the new date; the text says why and what to do."""


class NotPermitted(ClockRefused):
    """CAP_SYS_TIME is missing."""
