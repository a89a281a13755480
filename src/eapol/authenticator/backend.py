"""The Backend Authentication machine (IEEE Std 802.1X-2004, 8.2.9)."""

from typing import Final

from eapol.authenticator.variables import BackendState as S
from eapol.authenticator.variables import Variables
from eapol.machine import Diagram, uct
from eapol.status import PortControl


def initialize(v: Variables) -> None:
    v.procedures.abortAuth()
    v.aWhile.clear()
    v.eapNoReq = False
    v.authAbort = False


def request(v: Variables) -> None:
    v.procedures.txReq(v.eapReqData)
    v.eapReq = False


def response(v: Variables) -> None:
    v.authTimeout = False
    v.eapolEap = False
    v.eapNoReq = False
    v.aWhile.set(v.settings.serverTimeout)
    v.eapResp = True  # sendRespToServer: the EAP layer does, in AAA_REQUEST


def ignore(v: Variables) -> None:
    v.eapNoReq = False
    v.aWhile.clear()


def success(v: Variables) -> None:
    v.procedures.txReq(v.eapReqData)
    v.authSuccess = True
    v.aWhile.clear()


def fail(v: Variables) -> None:
    v.procedures.txReq(v.eapReqData)
    v.authFail = True
    v.aWhile.clear()


def timeout(v: Variables) -> None:
    v.authTimeout = True
    v.aWhile.clear()


def idle(v: Variables) -> None:
    v.authStart = False


def _stopped(v: Variables) -> bool:
    """Differs: portEnabled; or it waits on, and takes the next conversation's first request."""
    automatic = v.portControl is PortControl.AUTO and v.portEnabled
    return not automatic or v.initialize or v.authAbort


FIGURE: Final[Diagram[S, Variables]] = Diagram(
    anywhere=((_stopped, S.INITIALIZE),),
    arcs={
        S.INITIALIZE: ((uct, S.IDLE),),
        S.IDLE: (
            (lambda v: v.eapFail and v.authStart, S.FAIL),
            (lambda v: v.eapReq and v.authStart, S.REQUEST),
            (lambda v: v.eapSuccess and v.authStart, S.SUCCESS),
        ),
        S.REQUEST: (
            (lambda v: v.eapolEap, S.RESPONSE),
            (lambda v: v.eapReq, S.REQUEST),
            (lambda v: v.eapTimeout, S.TIMEOUT),
        ),
        S.RESPONSE: (
            (lambda v: v.eapNoReq, S.IGNORE),
            (lambda v: v.aWhile.due or v.eapTimeout, S.TIMEOUT),
            (lambda v: v.eapFail, S.FAIL),
            (lambda v: v.eapSuccess, S.SUCCESS),
            (lambda v: v.eapReq, S.REQUEST),
        ),
        S.IGNORE: (
            (lambda v: v.eapolEap, S.RESPONSE),
            (lambda v: v.eapReq, S.REQUEST),
            (lambda v: v.eapTimeout, S.TIMEOUT),
        ),
        S.SUCCESS: ((uct, S.IDLE),),
        S.FAIL: ((uct, S.IDLE),),
        S.TIMEOUT: ((uct, S.IDLE),),
    },
    boxes={
        S.INITIALIZE: initialize,
        S.IDLE: idle,
        S.REQUEST: request,
        S.RESPONSE: response,
        S.IGNORE: ignore,
        S.SUCCESS: success,
        S.FAIL: fail,
        S.TIMEOUT: timeout,
    },
)
