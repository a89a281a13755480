"""Directives of ntp.conf (ntpd) and chrony.conf that localntp.conf does not have.

A directive about serving others, logging, steering the clock or hardware clocks is passed over:
without it neither who is believed nor what is authenticated is another. One that makes a stricter
choice of servers is refused, because without it more answers would be accepted than the file
allows.
"""

from wire.lean import Final

SYNONYMS: Final = {"keyfile": "keys", "ntstrustedcerts": "ca"}
"""chrony's names of directives that exist here."""

_PASSED_OVER: Final = """
acquisitionport allow automax bindacqaddress bindacqdevice bindaddress bindcmdaddress
bindcmddevice binddevice broadcast broadcastclient calldelay clientlimit clientloglimit
clockprecision cmdallow cmddeny cmdport cmdratelimit combinelimit commandkey confdir controlkey
corrtimeratio crypto deny disable discard driftfile dscp dumpdata dumpdir dumponexit enable extra
fallbackdrift filegen fudge generatecommandkey hwclockfile hwtimestamp hwtstimeout
initstepslew interface intpres keysdir leapfile leapseclist leapsecmode leapsectz
leapsmearinterval local lock_all log logbanner logchange logconfig logdir logfile mailonchange
makestep manual manycastclient manycastserver maxclockerror maxdrift maxntsconnections
maxsamples maxslewrate maxupdateskew mem minsamples mru multicastclient nic nocerttimecheck
noclientlog nonvolatile ntpsigndsocket ntscachedir ntsdumpdir ntsntpserver ntsport ntsprocesses
ntsratelimit ntsrefresh ntsrotate ntsservercert ntsserverkey peer phone pidfile port ptpdomain
ptpport qos ratelimit refclock refresh requestkey reselectdist reset restrict revoke rlimit
rtcautotrim rtcdevice rtcfile rtconutc rtcsync saveconfigdir sched_priority setvar simulate
smoothtime sourcedir statistics statsdir stratumweight tempcomp tick tinker trap ttl
unconfig unpeer user
"""
PASSED_OVER: Final = frozenset(_PASSED_OVER.split())

_INCLUDE: Final = "write the lines of that file here; they may decide which servers are believed"

REFUSED: Final = {
    "restrict": "notrust accepts authenticated servers only; remove those without a key or NTS",
    "authselectmode": "authenticated servers decide here; remove those without a key or NTS",
    "include": _INCLUDE,
    "includefile": _INCLUDE,
    "maxdelay": "write maxdistance SECONDS",
    "maxjitter": "write maxdistance SECONDS",
}

_OPTIONS: Final = """
iburst=0 burst=0 minpoll=1 maxpoll=1 prefer=0 version=1 xleave=0 auto_offline=0 offline=0 presend=1
minsamples=1 maxsamples=1 filter=1 polltarget=1 asymmetry=1 copy=0 extfield=1 minstratum=1
mindelay=1 mode=1 ttl=1 true=0 bias=1 preempt=0 limit=1 maxsources=1 ipv4=0 ipv6=0 trust=0
maxunreach=1 maxdelayquant=1
"""
OPTIONS: Final = {
    name: int(values) for name, _, values in (word.partition("=") for word in _OPTIONS.split())
}
"""Options of a server that only tune how it is asked: their number of values."""

_REFUSED_OPTIONS: Final = """
require offset maxdelay maxdelayratio maxdelaydevratio certset ca cert ask autokey
"""
REFUSED_OPTIONS: Final = frozenset(_REFUSED_OPTIONS.split())
"""Options that decide which answers are accepted."""

REFUSED_TOS: Final = ("ceiling", "floor")
"""Words of `tos` that decide which servers are believed, by their stratum."""

UNUSED_SERVER: Final = "noselect"
"""A server that is asked, but not used."""

CLOCK_DRIVERS: Final = "127.127."
"""ntpd's addresses of hardware clocks."""
