"""`remote { }` of racoon.conf as the engine's `Remote`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ike.conf.errors import ConfError
from ike.conf.identifiers import identifier
from ike.conf.proposal import proposal
from ike.conf.reading import Notes
from ike.conf.values import address, choice, lifetime, number, port, switch
from ike.config import GeneratePolicy, ProposalCheck, Remote, Switch
from ike.numbers.doi import Authentication
from ike.numbers.isakmp import ExchangeType
from wire.grammar import Statement
from wire.source import Word

ISAKMP_PORT: Final = 500
ANONYMOUS: Final = "anonymous"

_MODES: Final = {"main": ExchangeType.MAIN, "aggressive": ExchangeType.AGGRESSIVE}
_NOT_HEEDED: Final = {
    "dh_group": "the group of the proposal is used",
    "xauth_login": "XAuth is not supported",
    "esp_frag": "ESP packets are not fragmented before encryption",
    "script": "no scripts are run; follow 'racoonctl show-event' instead",
    "match_empty_cr": "an empty certificate request matches",
    "weak_phase1_check": "unauthenticated deletes and notifies never change what is established",
}


_CERTIFICATES: Final = ("certificate_type", "ca_type", "peers_certfile")


def remote(statement: Statement, notes: Notes) -> Remote:
    """The peer that a `remote` statement describes. Raises: ConfError."""
    words = list(statement.values)
    at = next((i for i, w in enumerate(words) if w == "inherit" and not w.quoted), len(words))
    parent = _parent(words[at + 1 :], notes.remotes)
    made = _headed(words[:at], parent)
    if parent.name in notes.without_rsa:
        notes.without_rsa[made.name] = notes.without_rsa[parent.name]
    settings = [s for s in statement.block if s.name not in ("proposal", "peers_identifier")]
    for setting in settings:
        try:
            made = _apply(made, setting, notes)
        except ConfError as error:
            if setting.name not in _CERTIFICATES or _signs(statement, parent):
                raise
            notes.without_rsa[made.name] = error.sentence
            text = f"no proposal of {made.name} needs this file: {error.sentence}"
            notes.passed_over(setting.place, text)
    peers = [identifier(s.values, notes) for s in statement.block if s.name == "peers_identifier"]
    if peers:
        made = replace(made, peers_identifiers=tuple(peers))
    return _complete(made, statement, notes, inherited=at < len(words))


def _signs(statement: Statement, parent: Remote) -> bool:
    """Whether one of its proposals needs certificates."""
    written = [each for each in statement.block if each.name == "proposal"]
    if not written:
        return any(p.authentication == Authentication.RSA_SIGNATURE for p in parent.proposals)
    settings = (setting for each in written for setting in each.block)
    return any(s.name == "authentication_method" and s.value == "rsasig" for s in settings)


def _parent(words: Sequence[Word], earlier: Mapping[str, Remote]) -> Remote:
    if not words:
        return Remote(name="", address=None, proposals=())
    try:
        return earlier[_name(words)]
    except KeyError:
        text = f"there is no remote '{_name(words)}' above to inherit from"
        raise ConfError(text, words[0].place, tuple(earlier)) from None


def _name(words: Sequence[Word]) -> str:
    """As in an error: several remotes may have one address, told apart by their ports."""
    host, *rest = words
    if not rest or host.quoted or number(rest[0]) == ISAKMP_PORT:
        return host.text
    return f"{host}[{number(rest[0])}]"


def _headed(words: Sequence[Word], parent: Remote) -> Remote:
    host = words[0]
    made = replace(parent, name=_name(words), port=ISAKMP_PORT)
    if not host.quoted:
        made = replace(made, address=None if host == ANONYMOUS else address(host))
    if len(words) > 1:
        made = replace(made, port=port(words[1]))
    return made


def _complete(made: Remote, statement: Statement, notes: Notes, *, inherited: bool) -> Remote:
    """With its proposals; those that cannot be done are left out, and named."""
    written = [s for s in statement.block if s.name == "proposal"]
    if not written and not inherited:
        raise ConfError(f"the remote {made.name} has no proposal", statement.place)
    if written:
        proposals = (proposal(each, notes) for each in written)
        made = replace(made, proposals=tuple(p for p in proposals if p is not None))
    if any(p.authentication == Authentication.RSA_SIGNATURE for p in made.proposals):
        made = _signing(made, statement, notes)
    if not made.proposals:
        text = f"none of the proposals of {made.name} can be done: its peers are refused"
        notes.passed_over(statement.place, text)
    return made


def _signing(made: Remote, statement: Statement, notes: Notes) -> Remote:
    """With the credentials in order, or without the proposals that need them."""
    why = notes.without_rsa.get(made.name)
    if made.credentials is None or not made.credentials.certificate:
        why = why or "it names no certificate_type"
    if why is None and made.credentials is not None:
        completed = notes.certificates.completed(made.credentials, statement.place, notes)
        return replace(made, credentials=completed)
    notes.passed_over(statement.place, f"rsasig is left out for {made.name}: {why}")
    left = (p for p in made.proposals if p.authentication != Authentication.RSA_SIGNATURE)
    return replace(made, proposals=tuple(left))


def _apply(made: Remote, setting: Statement, notes: Notes) -> Remote:
    match setting.name:
        case "exchange_mode":
            return replace(made, exchange_modes=_modes(setting, notes))
        case "certificate_type" if setting.value != "x509":
            notes.without_rsa[made.name] = "plain RSA keys are not supported"
            return made
        case "certificate_type":
            return replace(made, credentials=notes.certificates.own(made, setting.values))
        case "ca_type":
            return replace(made, credentials=notes.certificates.with_authority(made, setting))
        case name if name in _NOT_HEEDED:
            notes.passed_over(
                setting.place, f"{setting.words[0].text} has no effect: {_NOT_HEEDED[name]}"
            )
            return made
        case "peers_certfile":
            return _pinned(made, setting, notes)
        case "generate_policy" if setting.value != "off":
            text = "generate_policy is bounded by the sainfo, or to a host; racoon's is not"
            notes.differs(setting.place, text)
            return _SETTINGS["generate_policy"](made, setting.values)
        case "my_identifier":
            return replace(made, my_identifier=identifier(setting.values, notes))
        case "mode_cfg_switch" | "situation" | "doi" | "lifetime":
            return _constrained(made, setting, notes)
        case name:
            return _SETTINGS[name](made, setting.values)


def _modes(setting: Statement, notes: Notes) -> tuple[ExchangeType, ...]:
    modes = [_MODES[word.text] for word in setting.values if word.text in _MODES]
    if not modes:
        text = "base mode is not supported: the peers of this remote are refused"
        notes.passed_over(setting.value.place, text)
    elif len(modes) < len(setting.values):
        notes.passed_over(setting.place, "base mode is not supported and is left out")
    return tuple(modes)


def _pinned(made: Remote, setting: Statement, notes: Notes) -> Remote:
    """`peers_certfile`: the peer has this certificate, and no CA vouches for it."""
    kind, *rest = setting.values
    if kind.quoted or kind == "x509":
        name = rest[0] if rest else kind
        return replace(made, peers_certificate=notes.certificates.peers(name))
    notes.without_rsa[made.name] = f"peers_certfile {kind} is not supported"
    return made


def _constrained(made: Remote, setting: Statement, notes: Notes) -> Remote:
    """Statements of which only one value can be done."""
    value = setting.value
    match setting.name, value.text:
        case "mode_cfg_switch", "on":
            text = "mode_cfg has no effect: addresses are neither given nor asked for"
            notes.passed_over(value.place, text)
            return made
        case "situation", "secrecy" | "integrity":
            notes.passed_over(value.place, "the situation is identity_only, as no other is known")
            return made
        case "lifetime", "byte":
            raise ConfError("a phase 1 has no lifetime in octets", value.place, ["time"])
        case "lifetime", _:
            return replace(made, lifetime_seconds=lifetime(setting))
        case _:
            return made


_Setting = Callable[[Remote, tuple[Word, ...]], Remote]
_SETTINGS: Final[dict[str, _Setting]] = {
    "remote_address": lambda r, v: replace(
        r, address=address(v[0]), port=port(v[1]) if len(v) > 1 else r.port
    ),
    "verify_identifier": lambda r, v: replace(r, verify_identifier=switch(v[0])),
    "verify_cert": lambda r, v: replace(r, verify_cert=switch(v[0])),
    "send_cert": lambda r, v: replace(r, send_cert=switch(v[0])),
    "send_cr": lambda r, v: replace(r, send_cr=switch(v[0])),
    "nonce_size": lambda r, v: replace(r, nonce_size=_nonce_size(v[0])),
    "passive": lambda r, v: replace(r, passive=switch(v[0])),
    "generate_policy": lambda r, v: replace(r, generate_policy=choice(v[0], GeneratePolicy)),
    "support_proxy": lambda r, v: replace(r, support_proxy=switch(v[0])),
    "initial_contact": lambda r, v: replace(r, initial_contact=switch(v[0])),
    "proposal_check": lambda r, v: replace(r, proposal_check=choice(v[0], ProposalCheck)),
    "nat_traversal": lambda r, v: replace(r, nat_traversal=choice(v[0], Switch)),
    "ike_frag": lambda r, v: replace(r, ike_frag=choice(v[0], Switch)),
    "dpd": lambda r, v: replace(r, dpd=switch(v[0])),
    "dpd_delay": lambda r, v: replace(r, dpd_delay=number(v[0])),
    "dpd_retry": lambda r, v: replace(r, dpd_retry=number(v[0])),
    "dpd_maxfail": lambda r, v: replace(r, dpd_maxfail=number(v[0])),
    "rekey": lambda r, v: replace(r, rekey=choice(v[0], Switch)),
    "ph1id": lambda r, v: replace(r, ph1id=number(v[0])),
}


def _nonce_size(word: Word) -> int:
    size = number(word)
    if not 8 <= size <= 256:  # RFC 2409, 5
        raise ConfError("a nonce has 8 to 256 octets", word.place)
    return size
