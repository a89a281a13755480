"""The EAP peer state machine (RFC 4137, 4, figure 3) as data."""

from typing import Final

from eapol import eap
from eapol.eap import EapCode, EapType
from eapol.machine import Diagram, uct
from eapol.notices import (
    EapStarted,
    EapStatus,
    EapSuccess,
    MethodSelected,
    ProposedMethod,
    ServerSays,
    Warned,
)
from eapol.status import Decision, MethodState
from eapol.status import EapState as S
from eapol.variables import Variables

LATE_IDENTIFIERS: Final = (1, 2)
"""How far the identifier of a Success or Failure may be ahead of the last Request's.

Differs: RFC 4137 wants equality; old servers count on (Microsoft IAS by one, others by two), and
wpa_supplicant's eap_workaround takes both.
"""


ROUNDS: Final = 100
FUTILE: Final = 20
CONVERSATION: Final = 180.0
"""The bounds of one conversation: requests answered, those in a row without progress, seconds.

Differs: RFC 4137 has none, so that a server that sends empty fragments keeps a peer for ever.
wpa_supplicant counts rounds, too. TLS data are bounded by rounds times the octets of a frame.
"""

SLOW: Final = 10.0
"""Seconds after which a repeated EAP-Request/Identity means that the RADIUS server is silent."""


def _rx(v: Variables, code: EapCode) -> bool:
    return v.req is not None and v.req.code == code


def _req_method(v: Variables) -> EapType:
    """reqMethod. A vendor's type is never one of ours; IETF types may come expanded (RFC 3748)."""
    if v.req is None or v.req.method is None or v.req.vendor:
        return EapType.EXPANDED
    return v.req.method


def _repeated(v: Variables) -> bool:
    """Differs: with eap_workaround a known identifier with new octets is a new request."""
    same = v.req is not None and v.req.identifier == v.lastId
    return same and (not v.workaround or v.eapReqData == v.lastReqData)


def _new(v: Variables) -> bool:
    return _rx(v, EapCode.REQUEST) and not _repeated(v)


def _new_of(v: Variables, method: EapType) -> bool:
    return _new(v) and _req_method(v) == method


def _ends_this(v: Variables) -> bool:
    """reqId == lastId, for Success and Failure."""
    if v.req is None or v.lastId is None:
        return False
    ahead = (v.req.identifier - v.lastId) & 0xFF
    return ahead == 0 or (v.workaround and ahead in LATE_IDENTIFIERS)


def _no_method(v: Variables) -> bool:
    return v.selectedMethod == EapType.NONE


def _accepts(v: Variables) -> bool:
    return _rx(v, EapCode.SUCCESS) and _ends_this(v) and v.decision is not Decision.FAIL


def _canned(v: Variables) -> bool:
    """Differs: allow_canned_success=1, for switches that open a guest port so."""
    return _rx(v, EapCode.SUCCESS) and v.allowCanned


def _rejects(v: Variables) -> bool:
    if v.methodState is MethodState.CONT or not _ends_this(v):
        return False
    failed = _rx(v, EapCode.FAILURE) and v.decision is not Decision.UNCOND_SUCC
    unearned = _rx(v, EapCode.SUCCESS) and v.decision is Decision.FAIL
    return failed or unearned


def _for_method(v: Variables) -> bool:
    # GET_METHOD has not run yet for a request of type NONE: that number is reserved
    chosen = not _no_method(v) and _req_method(v) == v.selectedMethod
    return _new(v) and chosen and v.methodState is not MethodState.DONE


def _starts_over(v: Variables) -> bool:
    """Differs: an Identity request during a method means that the switch started again.

    RFC 4137 discards it, and both ends then wait for a timeout of 30 s.
    """
    return _new_of(v, EapType.IDENTITY) and not _no_method(v)


def _proposes(v: Variables) -> bool:
    # Differs: Nak and 0 are no types of a request (RFC 3748, 5.3); discarded
    proposal = _req_method(v) not in (EapType.NAK, EapType.NONE)
    return _new(v) and _no_method(v) and proposal


def _worn_out(v: Variables) -> bool:
    return (v.rounds >= ROUNDS or v.futile >= FUTILE) and _rx(v, EapCode.REQUEST)


def disabled(v: Variables) -> None:
    _close(v, success=False)


def initialize(v: Variables) -> None:
    if v.m is not None:
        v.m.close(success=False)
    if v.eapRestart:
        v.rounds = v.futile = 0
        v.endWhen.set(CONVERSATION)
        v.procedures.tell(EapStarted())
        v.procedures.tell(EapStatus("started"))
    v.m = None
    v.selectedMethod = EapType.NONE
    v.methodState = MethodState.NONE
    v.allowNotifications = True
    v.decision = Decision.FAIL
    v.idleWhile.set(v.timers.ClientTimeout)
    v.lastId = None
    v.eapSuccess = False
    v.eapFail = False
    v.eapKeyData = None
    v.eapRestart = False


def idle(_: Variables) -> None:
    pass


def received(v: Variables) -> None:
    """Differs: parseEapReq was done before; what cannot be parsed never gets here."""
    v.progress = False


def get_method(v: Variables) -> None:
    assert v.req is not None
    method = _req_method(v)
    v.m = v.procedures.method(method)
    proposed = v.req.method or EapType.NONE
    v.procedures.tell(ProposedMethod(v.req.vendor, proposed, refused=v.m is None))
    if v.m is None:
        v.procedures.tell(EapStatus("refuse proposed method", str(proposed)))
        build = eap.expanded_nak if v.req.vendor or v.req.expanded else eap.nak
        v.eapRespData = bytes(build(v.req.identifier, v.wanted))
        return
    v.selectedMethod = method
    v.methodState = MethodState.INIT
    v.procedures.tell(EapStatus("accept proposed method", str(method)))
    v.procedures.tell(MethodSelected(method))


def method(v: Variables) -> None:
    """m.check, m.process and m.buildResp in one call, which says "ignore" by None."""
    assert v.req is not None
    assert v.m is not None
    outcome = v.m.process(v.req)
    v.ignore = outcome is None
    if outcome is None:
        return
    for notice in v.m.notices():
        v.procedures.tell(notice)
    v.methodState = outcome.methodState
    v.decision = outcome.decision
    v.progress = outcome.progress
    if outcome.failure is not None:
        v.procedures.fail(outcome.failure)
    v.eapRespData = bytes(eap.response(v.req.identifier, v.selectedMethod, outcome.data))
    v.eapKeyData = v.m.keys


def identity(v: Variables) -> None:
    assert v.req is not None
    if v.lastId is not None and v.clock.now - v.answeredAt >= SLOW:
        v.procedures.fail(silence(round(v.clock.now - v.answeredAt)))
    who = v.procedures.buildIdentity()
    v.eapRespData = bytes(eap.response(v.req.identifier, EapType.IDENTITY, who))


def notification(v: Variables) -> None:
    assert v.req is not None
    v.procedures.tell(ServerSays.of(v.req.data))
    v.eapRespData = bytes(eap.response(v.req.identifier, EapType.NOTIFICATION))


def retransmit(v: Variables) -> None:
    v.eapRespData = v.lastRespData


def send_response(v: Variables) -> None:
    assert v.req is not None
    v.lastId = v.req.identifier
    v.lastReqData = v.eapReqData
    v.lastRespData = v.eapRespData
    v.rounds += 1
    v.futile = 0 if v.progress else v.futile + 1
    v.answeredAt = v.clock.now
    v.eapReq = False
    v.eapResp = True
    v.idleWhile.set(v.timers.ClientTimeout)


def discard(v: Variables) -> None:
    v.eapReq = False
    v.eapNoResp = True


def success(v: Variables) -> None:
    canned = v.decision is Decision.FAIL
    if canned:
        v.eapKeyData = None
        v.procedures.tell(
            Warned("EAP-Success without authentication: the switch is not authenticated")
        )
    else:  # Differs: the server has decided, and the control interface shows it
        v.methodState = MethodState.DONE
        v.decision = Decision.UNCOND_SUCC
    v.eapReq = False  # Differs: used up, or the next INITIALIZE would take it for a new one
    v.eapSuccess = True
    _close(v, success=not canned)
    v.procedures.tell(EapStatus("completion", "success"))
    v.procedures.tell(EapSuccess())


def failure(v: Variables) -> None:
    v.procedures.fail(_why(v))
    v.eapReq = False
    v.eapFail = True
    _close(v, success=False)
    v.procedures.tell(EapStatus("completion", "failure"))


def silence(seconds: int) -> str:
    """What it means that nothing new came for so long."""
    return (
        f"no EAP request for {seconds} s: the switch or its RADIUS server does not answer; does the"
        " server run, and does it know this switch (address, secret)?"
    )


def _why(v: Variables) -> str | None:
    """What ended the conversation, as far as this machine can tell."""
    if _worn_out(v):
        return (
            f"gave up after {v.rounds} EAP requests, the last {v.futile} of which made no progress"
            f" (at most {ROUNDS} and {FUTILE} are answered); is fragment_size too small here or"
            " on the server? Otherwise see the server's log"
        )
    if v.endWhen.due:
        return (
            f"gave up after {CONVERSATION:.0f} s of one authentication, {v.rounds} EAP requests;"
            " the switch or its RADIUS server is too slow, or does not finish"
        )
    if _rx(v, EapCode.SUCCESS) and _ends_this(v):
        return _unearned(v)
    if _rx(v, EapCode.FAILURE):
        return _refusal(v)
    return silence(v.timers.ClientTimeout) if v.lastId is not None else None


def _unearned(v: Variables) -> str:
    """What an EAP-Success means that comes before its time."""
    said = "the switch sent EAP-Success"
    if v.m is None:
        return (
            f"{said} without an authentication, as some switches do to open a guest network; it"
            " was not accepted."
            ' If that is wanted, write phase1="allow_canned_success=1"'
        )
    return f"{said} {v.m.lacks}. It was not accepted; the server's log says why"


def _refusal(v: Variables) -> str:
    """What an EAP-Failure without an alert may mean; many servers keep the alert to themselves."""
    said = "the switch refused us (EAP-Failure)"
    if v.m is None:
        return (
            f"{said} before a method began; is the identity known to the server, and does it allow"
            f" {' or '.join(f'EAP-{wanted}' for wanted in v.wanted)}? Its log says why"
        )
    return f"{said} {v.m.refusal}"


def _close(v: Variables, *, success: bool) -> None:
    v.endWhen.clear()
    if v.m is not None:
        v.m.close(success=success)


FIGURE: Final[Diagram[S, Variables]] = Diagram(
    anywhere=(
        (lambda v: not v.portEnabled, S.DISABLED),
        (lambda v: v.eapRestart, S.INITIALIZE),
    ),
    arcs={
        S.DISABLED: ((lambda v: v.portEnabled, S.INITIALIZE),),
        S.INITIALIZE: ((uct, S.IDLE),),
        S.IDLE: (
            (lambda v: v.eapReq, S.RECEIVED),
            # altAccept and altReject, the lower layer's own indications, do not exist here
            (lambda v: v.idleWhile.zero and v.decision is Decision.UNCOND_SUCC, S.SUCCESS),
            (lambda v: v.idleWhile.zero and v.decision is not Decision.UNCOND_SUCC, S.FAILURE),
            (lambda v: v.endWhen.due, S.FAILURE),
        ),
        S.RECEIVED: (
            (_worn_out, S.FAILURE),
            (lambda v: _rx(v, EapCode.REQUEST) and _repeated(v), S.RETRANSMIT),
            (_for_method, S.METHOD),
            (_starts_over, S.INITIALIZE),
            (lambda v: _new_of(v, EapType.IDENTITY), S.IDENTITY),
            (
                lambda v: _new_of(v, EapType.NOTIFICATION) and v.allowNotifications,
                S.NOTIFICATION,
            ),
            (_proposes, S.GET_METHOD),
            (_accepts, S.SUCCESS),
            (_canned, S.SUCCESS),
            (_rejects, S.FAILURE),
            (uct, S.DISCARD),
        ),
        S.GET_METHOD: (
            (lambda v: not _no_method(v), S.METHOD),
            (uct, S.SEND_RESPONSE),
        ),
        S.METHOD: (
            (lambda v: v.ignore, S.DISCARD),
            (
                lambda v: v.methodState is MethodState.DONE and v.decision is Decision.FAIL,
                S.FAILURE,
            ),
            (uct, S.SEND_RESPONSE),
        ),
        S.IDENTITY: ((uct, S.SEND_RESPONSE),),
        S.NOTIFICATION: ((uct, S.SEND_RESPONSE),),
        S.RETRANSMIT: ((uct, S.SEND_RESPONSE),),
        S.SEND_RESPONSE: ((uct, S.IDLE),),
        S.DISCARD: ((uct, S.IDLE),),
    },
    boxes={
        S.DISABLED: disabled,
        S.INITIALIZE: initialize,
        S.IDLE: idle,
        S.RECEIVED: received,
        S.GET_METHOD: get_method,
        S.METHOD: method,
        S.IDENTITY: identity,
        S.NOTIFICATION: notification,
        S.RETRANSMIT: retransmit,
        S.SEND_RESPONSE: send_response,
        S.DISCARD: discard,
        S.SUCCESS: success,
        S.FAILURE: failure,
    },
)
