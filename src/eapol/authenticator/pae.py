"""The Authenticator PAE and Reauthentication Timer machines (IEEE Std 802.1X-2004, 8.2.4, 8.2.8).

Differs: keyRun and keyDone are left out, for there are no EAPOL keys on wired ports; a session
that the server limits ends as if by EAPOL-Logoff, unless it wants another authentication.
"""

from typing import Final

from eapol.authenticator.variables import PortState as S
from eapol.authenticator.variables import ReauthState as R
from eapol.authenticator.variables import Variables
from eapol.eap import EapCode, Packet
from eapol.machine import Diagram, uct
from eapol.status import PortControl


def _down(v: Variables) -> bool:
    return v.initialize or not v.portEnabled


def _to(control: PortControl, v: Variables) -> bool:
    return v.portControl is control and v.portMode is not control and not _down(v)


def initialize(v: Variables) -> None:
    v.portMode = PortControl.AUTO
    v.authorized = False  # Differs: DISCONNECTED does it, when the link is back


def disconnected(v: Variables) -> None:
    v.authorized = False
    v.reAuthCount = 0
    v.eapolLogoff = False


def restart(v: Variables) -> None:
    v.eapRestart = True


def connecting(v: Variables) -> None:
    v.reAuthenticate = False
    v.reAuthCount += 1


def authenticating(v: Variables) -> None:
    v.eapolStart = False
    v.authSuccess = False
    v.authFail = False
    v.authTimeout = False
    v.authStart = True


def aborting(v: Variables) -> None:
    v.authAbort = True


def held(v: Variables) -> None:
    v.authorized = False
    v.quietWhile.set(v.settings.quietPeriod)
    v.eapolLogoff = False


def authenticated(v: Variables) -> None:
    v.authorized = True
    v.reAuthCount = 0


def force_auth(v: Variables) -> None:
    v.authorized = True
    v.portMode = PortControl.FORCE_AUTHORIZED
    v.eapolStart = False
    v.procedures.txReq(bytes(Packet(EapCode.SUCCESS, v.currentId)))


def force_unauth(v: Variables) -> None:
    v.authorized = False
    v.portMode = PortControl.FORCE_UNAUTHORIZED
    v.eapolStart = False
    v.procedures.txReq(bytes(Packet(EapCode.FAILURE, v.currentId)))


def _begins(v: Variables) -> bool:
    asks = v.eapReq and v.reAuthCount <= v.settings.reAuthMax
    return asks or v.eapSuccess or v.eapFail


FIGURE: Final[Diagram[S, Variables]] = Diagram(
    anywhere=(
        (lambda v: _down(v) or _to(PortControl.AUTO, v), S.INITIALIZE),
        (lambda v: _to(PortControl.FORCE_AUTHORIZED, v), S.FORCE_AUTH),
        (lambda v: _to(PortControl.FORCE_UNAUTHORIZED, v), S.FORCE_UNAUTH),
    ),
    arcs={
        S.INITIALIZE: ((uct, S.DISCONNECTED),),
        S.DISCONNECTED: ((uct, S.RESTART),),
        S.RESTART: ((lambda v: not v.eapRestart, S.CONNECTING),),
        S.CONNECTING: (
            (lambda v: v.eapolLogoff or v.reAuthCount > v.settings.reAuthMax, S.DISCONNECTED),
            (_begins, S.AUTHENTICATING),
        ),
        S.AUTHENTICATING: (
            (lambda v: v.authSuccess and v.portValid, S.AUTHENTICATED),
            (lambda v: v.authFail, S.HELD),
            (lambda v: v.eapolStart or v.eapolLogoff or v.authTimeout, S.ABORTING),
        ),
        S.AUTHENTICATED: (
            (lambda v: v.eapolLogoff or not v.portValid, S.DISCONNECTED),
            (lambda v: v.eapolStart or v.reAuthenticate, S.RESTART),
        ),
        S.ABORTING: (
            (lambda v: v.eapolLogoff and not v.authAbort, S.DISCONNECTED),
            (lambda v: not v.eapolLogoff and not v.authAbort, S.RESTART),
        ),
        S.HELD: ((lambda v: v.quietWhile.zero, S.RESTART),),
        S.FORCE_AUTH: ((lambda v: v.eapolStart, S.FORCE_AUTH),),
        S.FORCE_UNAUTH: ((lambda v: v.eapolStart, S.FORCE_UNAUTH),),
    },
    boxes={
        S.INITIALIZE: initialize,
        S.DISCONNECTED: disconnected,
        S.RESTART: restart,
        S.CONNECTING: connecting,
        S.AUTHENTICATING: authenticating,
        S.AUTHENTICATED: authenticated,
        S.ABORTING: aborting,
        S.HELD: held,
        S.FORCE_AUTH: force_auth,
        S.FORCE_UNAUTH: force_unauth,
    },
)


def reauth_initialize(v: Variables) -> None:
    v.reAuthWhen.clear()
    if v.authorized and v.reAuthPeriod is not None:
        v.reAuthWhen.set(v.reAuthPeriod)


def reauthenticate(v: Variables) -> None:
    if v.sessionEnds:
        v.eapolLogoff = True
    else:
        v.reAuthenticate = True


def _idle(v: Variables) -> bool:
    automatic = v.portControl is PortControl.AUTO and not v.initialize
    return not (automatic and v.authorized)


REAUTH_TIMER: Final[Diagram[R, Variables]] = Diagram(
    anywhere=((lambda v: _idle(v) and v.reAuthWhen.due, R.INITIALIZE),),
    arcs={
        R.INITIALIZE: ((lambda v: v.reAuthWhen.due, R.REAUTHENTICATE),),
        R.REAUTHENTICATE: ((uct, R.INITIALIZE),),
    },
    boxes={R.INITIALIZE: reauth_initialize, R.REAUTHENTICATE: reauthenticate},
)
"""The timer starts, and starts anew, when a supplicant is let in: `port` says so."""
