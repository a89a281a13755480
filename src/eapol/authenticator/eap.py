"""The EAP authenticator (RFC 4137, 7: full authenticator).

Differs: one machine where the figures have two. The Identity is asked for here, and everything that
follows is an authentication server's, be it RADIUS or our own: SELECT_ACTION has one outcome,
PASSTHROUGH, and the states of local methods are inside of `eapol.authenticator.local`.
"""

from typing import Final

from eapol.authenticator.server import Answer, ServerVerdict
from eapol.authenticator.variables import EapState as S
from eapol.authenticator.variables import Variables
from eapol.eap import EapCode, EapType, Packet, request
from eapol.errors import MalformedFrame
from eapol.machine import Diagram, uct

MAX_ROUNDS: Final = 200
"""Requests of one conversation before it is given up. Differs: RFC 4137 has no bound."""

SILENT_PEER: Final = "the supplicant stopped answering"


def initialize(v: Variables) -> None:
    v.procedures.abortAuth()
    v.eapRestart = False
    v.eapResp = v.eapolEap = False  # Differs: the response that came before is to another request
    v.eapReq = v.eapNoReq = False
    v.eapSuccess = v.eapFail = v.eapTimeout = False
    v.aaa = None
    v.rounds = 0
    v.currentId = (v.currentId + 1) & 0xFF
    v.eapReqData = bytes(request(v.currentId, EapType.IDENTITY))


def send_request(v: Variables) -> None:
    v.retransCount = 0
    v.lastReqData = v.eapReqData
    v.rounds += 1
    v.eapResp = False
    v.eapReq = True
    v.retransWhile.set(_waits(v)[0])


def retransmit(v: Variables) -> None:
    v.retransCount += 1
    waits = _waits(v)
    if v.retransCount < len(waits):
        v.eapReqData = v.lastReqData
        v.eapReq = True
        v.retransWhile.set(waits[v.retransCount])


def _waits(v: Variables) -> tuple[float, ...]:
    """calculateTimeout. A port without an answer is asked once every txPeriod."""
    return (v.settings.txPeriod,) if v.quiet else v.settings.retransmit


def received(v: Variables) -> None:
    """parseEapResp."""
    try:
        v.resp = Packet.parse(v.eapRespData)
    except MalformedFrame:
        v.resp = None


def discard(v: Variables) -> None:
    v.eapResp = False
    v.eapNoReq = True
    v.aaa = None


def aaa_request(v: Variables) -> None:
    assert v.resp is not None
    v.eapResp = False
    v.quiet = False
    v.retransWhile.clear()
    if v.resp.method == EapType.IDENTITY:
        v.identity = v.resp.data
    v.aaa = None
    v.procedures.askServer()


def aaa_response(v: Variables) -> None:
    v.eapReqData = _answer(v).eap
    v.currentId = v.eapReqData[1]
    v.aaa = None


def success(v: Variables) -> None:
    v.eapReqData = _answer(v).eap or bytes(Packet(EapCode.SUCCESS, v.currentId))
    v.eapSuccess = True


def failure(v: Variables) -> None:
    worn_out = v.aaa is None or v.aaa.verdict is not ServerVerdict.FAIL
    reason = f"more than {MAX_ROUNDS} requests in one conversation"
    v.procedures.fail(reason if worn_out else _answer(v).reason)
    v.eapReqData = b"" if worn_out else _answer(v).eap
    v.eapReqData = v.eapReqData or bytes(Packet(EapCode.FAILURE, v.currentId))
    v.eapFail = True


def timeout_failure(v: Variables) -> None:
    if v.aaa is not None:
        v.procedures.fail(v.aaa.reason)
    else:
        asked = Packet.parse(v.lastReqData).method
        if asked != EapType.IDENTITY:
            v.procedures.fail(SILENT_PEER)
        v.quiet = True
    v.eapTimeout = True


def nothing(_: Variables) -> None:
    pass


def _answer(v: Variables) -> Answer:
    assert v.aaa is not None
    return v.aaa


def _answers(v: Variables) -> bool:
    """rxResp, respId and respMethod fit the request; a Nak fits all but that for the Identity."""
    response = v.resp
    if response is None or response.code != EapCode.RESPONSE:
        return False
    if response.identifier != v.currentId:
        return False
    asked = Packet.parse(v.lastReqData).method
    naks = response.method == EapType.NAK and asked != EapType.IDENTITY
    return response.method == asked or naks


def _says(v: Variables, verdict: ServerVerdict) -> bool:
    return v.aaa is not None and v.aaa.verdict is verdict


FIGURE: Final[Diagram[S, Variables]] = Diagram(
    anywhere=(
        (lambda v: not v.portEnabled, S.DISABLED),
        (lambda v: v.eapRestart, S.INITIALIZE),
    ),
    arcs={
        S.DISABLED: (),  # left by eapRestart
        S.INITIALIZE: ((uct, S.SEND_REQUEST),),
        S.SEND_REQUEST: ((uct, S.IDLE),),
        S.IDLE: (
            (lambda v: v.retransWhile.due, S.RETRANSMIT),
            (lambda v: v.eapResp, S.RECEIVED),
        ),
        S.RETRANSMIT: (
            (lambda v: v.retransCount >= len(_waits(v)), S.TIMEOUT_FAILURE),
            (uct, S.IDLE),
        ),
        S.RECEIVED: ((_answers, S.AAA_REQUEST), (uct, S.DISCARD)),
        S.DISCARD: ((uct, S.IDLE),),
        S.AAA_REQUEST: ((uct, S.AAA_IDLE),),
        S.AAA_IDLE: (
            (lambda v: v.aaa is not None and v.rounds >= MAX_ROUNDS, S.FAILURE),
            (lambda v: _says(v, ServerVerdict.REQUEST), S.AAA_RESPONSE),
            (lambda v: _says(v, ServerVerdict.NO_REQUEST), S.DISCARD),
            (lambda v: _says(v, ServerVerdict.SILENT), S.TIMEOUT_FAILURE),
            (lambda v: _says(v, ServerVerdict.FAIL), S.FAILURE),
            (lambda v: _says(v, ServerVerdict.SUCCESS), S.SUCCESS),
        ),
        S.AAA_RESPONSE: ((uct, S.SEND_REQUEST),),
        S.SUCCESS: (),
        S.FAILURE: (),
        S.TIMEOUT_FAILURE: (),
    },
    boxes={
        S.DISABLED: lambda v: v.retransWhile.clear(),
        S.INITIALIZE: initialize,
        S.SEND_REQUEST: send_request,
        S.IDLE: nothing,
        S.RETRANSMIT: retransmit,
        S.RECEIVED: received,
        S.DISCARD: discard,
        S.AAA_REQUEST: aaa_request,
        S.AAA_IDLE: nothing,
        S.AAA_RESPONSE: aaa_response,
        S.SUCCESS: success,
        S.FAILURE: failure,
        S.TIMEOUT_FAILURE: timeout_failure,
    },
)
