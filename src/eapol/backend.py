"""The Supplicant Backend state machine (IEEE Std 802.1X-2004, 8.2.12, figure 8-18)."""

from typing import Final

from eapol.machine import Diagram, uct
from eapol.status import BackendState as S
from eapol.variables import Variables


def initialize(v: Variables) -> None:
    """abortSupp: what the EAP peer was doing is of no interest any more."""
    v.eapReq = False
    v.eapResp = False
    v.eapNoResp = False
    v.eapSuccess = False
    v.eapFail = False
    v.suppStart = False
    v.suppAbort = False


def idle(v: Variables) -> None:
    v.suppStart = False


def request(v: Variables) -> None:
    """getSuppRsp: the EAP peer sees eapReq."""
    v.eapReq = True


def response(v: Variables) -> None:
    v.procedures.txSuppRsp(v.eapRespData)
    v.eapResp = False


def receive(v: Variables) -> None:
    v.authWhile.set(v.timers.authPeriod)
    v.eapolEap = False
    v.eapNoResp = False


def fail(v: Variables) -> None:
    v.suppFail = True
    v.eapFail = False  # used up, or the next conversation would find it


def timeout(v: Variables) -> None:
    v.suppTimeout = True


def success(v: Variables) -> None:
    v.suppSuccess = True
    v.portValid = True  # Differs: no keyRun and keyDone, wired ports do without EAPOL-Key
    v.eapSuccess = False  # used up, or REAUTHENTICATE would find it
    v.eapolEap = False


FIGURE: Final[Diagram[S, Variables]] = Diagram(
    anywhere=((lambda v: v.initialize or v.suppAbort, S.INITIALIZE),),
    arcs={
        S.INITIALIZE: ((uct, S.IDLE),),
        S.IDLE: (
            (lambda v: v.eapFail and v.suppStart, S.FAIL),
            (lambda v: v.eapolEap and v.suppStart, S.REQUEST),
            (lambda v: v.eapSuccess and v.suppStart, S.SUCCESS),
        ),
        S.REQUEST: (
            (lambda v: v.eapResp, S.RESPONSE),
            (lambda v: v.eapNoResp, S.RECEIVE),
            (lambda v: v.eapFail, S.FAIL),
            (lambda v: v.eapSuccess, S.SUCCESS),
        ),
        S.RESPONSE: ((uct, S.RECEIVE),),
        S.RECEIVE: (
            (lambda v: v.eapolEap, S.REQUEST),
            (lambda v: v.eapFail, S.FAIL),
            (lambda v: v.authWhile.zero, S.TIMEOUT),
            (lambda v: v.eapSuccess, S.SUCCESS),
        ),
        S.FAIL: ((uct, S.IDLE),),
        S.TIMEOUT: ((uct, S.IDLE),),
        S.SUCCESS: ((uct, S.IDLE),),
    },
    boxes={
        S.INITIALIZE: initialize,
        S.IDLE: idle,
        S.REQUEST: request,
        S.RESPONSE: response,
        S.RECEIVE: receive,
        S.FAIL: fail,
        S.TIMEOUT: timeout,
        S.SUCCESS: success,
    },
)
