"""The Supplicant PAE state machine (IEEE Std 802.1X-2004, 8.2.11, figure 8-17).

Departures are marked "Differs:". The largest: after AUTHENTICATED only an EAP-Request moves the
machine, so that one stray or forged EAP-Success or EAP-Failure cannot close the port; and some
more EAPOL-Starts are sent in the first startPeriod, because a switch that is just coming up, or
has a conversation to end first, swallows them (hostapd does so for 5 s after a Logoff). And HELD
ends at once when its cause may be gone; since the switch may be quiet until its quietPeriod is over
(60 s, as our heldPeriod), heldWhile runs on, and its end brings another round of Starts.
"""

from typing import Final

from eapol.machine import Diagram, uct
from eapol.status import PaeState as S
from eapol.status import PortControl, PortStatus
from eapol.variables import Variables

EARLY_STARTS: Final = (1, 3, 6, 10)
"""Seconds after the first EAPOL-Start at which another is sent, until startPeriod is over."""


def _stopped(v: Variables) -> bool:
    return v.initialize or not v.portEnabled


def _to(control: PortControl, v: Variables) -> bool:
    return v.portControl is control and v.sPortMode is not control


def _may_start_again(v: Variables) -> bool:
    return v.startWhen.zero and v.startCount < len(_start_times(v)) - 1


def _out_of_starts(v: Variables) -> bool:
    return v.startWhen.zero and v.startCount >= len(_start_times(v)) - 1


def logoff(v: Variables) -> None:
    v.procedures.txLogoff()
    v.logoffSent = True
    v.suppPortStatus = PortStatus.UNAUTHORIZED
    # Differs: portValid and suppAbort; a conversation in progress would undo the logoff
    v.portValid = False
    v.suppAbort = True


def disconnected(v: Variables) -> None:
    v.sPortMode = PortControl.AUTO
    v.startCount = 0
    v.logoffSent = False
    v.suppPortStatus = PortStatus.UNAUTHORIZED
    v.suppAbort = True
    v.portValid = False  # Differs: portValid says here that EAP succeeded since the link came up
    v.reauthenticate = False
    v.heldWhile.clear()


def held(v: Variables) -> None:
    v.heldWhile.set(v.timers.heldPeriod)
    v.suppPortStatus = PortStatus.UNAUTHORIZED
    v.portValid = False
    v.eapolEap = False  # Differs: the frame that led here is used up
    v.startCount = 0  # Differs: or the one Start after HELD would be the last of its count
    v.retry = False


def connecting(v: Variables) -> None:
    v.retry = False
    if v.heldWhile.due:
        v.heldWhile.clear()
        v.startCount = 0
    v.startCount += 1
    times = _start_times(v)
    last = min(v.startCount, len(times) - 1)  # the timers may have been changed meanwhile
    v.startWhen.set(times[last] - times[last - 1])
    v.eapolEap = False
    v.reauthenticate = False
    v.procedures.txStart()


def _start_times(v: Variables) -> list[int]:
    """When each Start is sent, and when waiting for an answer ends; seconds after the first.

    Differs: the standard's times, every startPeriod, maxStart times; and the early ones.
    """
    period = v.timers.startPeriod
    early = [seconds for seconds in EARLY_STARTS if seconds < period]
    return [0, *early, *(period * count for count in range(1, max(1, v.timers.maxStart) + 1))]


def authenticating(v: Variables) -> None:
    v.startCount = 0
    v.suppSuccess = False
    v.suppFail = False
    v.suppTimeout = False
    v.suppStart = True


def authenticated(v: Variables) -> None:
    v.suppPortStatus = PortStatus.AUTHORIZED
    v.heldWhile.clear()
    v.startCount = 0  # Differs: entered from CONNECTING too, when REAUTHENTICATE had no answer


def restart(v: Variables) -> None:
    v.eapRestart = True


def force_auth(v: Variables) -> None:
    v.suppPortStatus = PortStatus.AUTHORIZED
    v.sPortMode = PortControl.FORCE_AUTHORIZED


def force_unauth(v: Variables) -> None:
    v.suppPortStatus = PortStatus.UNAUTHORIZED
    v.sPortMode = PortControl.FORCE_UNAUTHORIZED
    v.procedures.txLogoff()


FIGURE: Final[Diagram[S, Variables]] = Diagram(
    anywhere=(
        (lambda v: _stopped(v) or _to(PortControl.AUTO, v), S.DISCONNECTED),
        (lambda v: _to(PortControl.FORCE_AUTHORIZED, v), S.S_FORCE_AUTH),
        (lambda v: _to(PortControl.FORCE_UNAUTHORIZED, v), S.S_FORCE_UNAUTH),
        (lambda v: v.userLogoff and not v.logoffSent, S.LOGOFF),
    ),
    arcs={
        S.LOGOFF: ((lambda v: not v.userLogoff, S.DISCONNECTED),),
        S.DISCONNECTED: ((uct, S.CONNECTING),),
        S.HELD: (
            (lambda v: v.heldWhile.zero or v.retry, S.CONNECTING),  # Differs: retry
            (lambda v: v.eapolEap, S.RESTART),
        ),
        S.CONNECTING: (
            # Differs: eapFail does not lead to AUTHENTICATING; it is the ClientTimeout of a
            # conversation that was not begun
            (lambda v: v.eapSuccess, S.AUTHENTICATING),
            (lambda v: v.eapolEap, S.RESTART),
            (lambda v: v.heldWhile.due, S.CONNECTING),  # Differs: HELD was left before its end
            (_may_start_again, S.CONNECTING),
            (lambda v: _out_of_starts(v) and v.portValid, S.AUTHENTICATED),
            (lambda v: _out_of_starts(v) and not v.portValid, S.HELD),
        ),
        S.RESTART: ((lambda v: not v.eapRestart, S.AUTHENTICATING),),
        S.AUTHENTICATING: (
            (lambda v: v.suppSuccess and v.portValid, S.AUTHENTICATED),
            (lambda v: v.suppFail, S.HELD),
            (lambda v: v.suppTimeout, S.CONNECTING),
        ),
        S.AUTHENTICATED: (
            (lambda v: v.eapolEap and v.portValid, S.RESTART),
            (lambda v: not v.portValid, S.DISCONNECTED),
            (lambda v: v.reauthenticate, S.CONNECTING),  # Differs: the command REAUTHENTICATE
        ),
    },
    boxes={
        S.LOGOFF: logoff,
        S.DISCONNECTED: disconnected,
        S.HELD: held,
        S.CONNECTING: connecting,
        S.RESTART: restart,
        S.AUTHENTICATING: authenticating,
        S.AUTHENTICATED: authenticated,
        S.S_FORCE_AUTH: force_auth,
        S.S_FORCE_UNAUTH: force_unauth,
    },
)
