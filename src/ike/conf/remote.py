"""`remote { }` of racoon.conf as the engine's `Remote`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ike.conf.certificates import Certificates
from ike.conf.errors import ConfError
from ike.conf.reading import Notes
from ike.conf.values import (
    HASHES,
    METHODS,
    PHASE1_CIPHERS,
    address,
    choice,
    group,
    identifier,
    key_bits,
    named,
    number,
    port,
    seconds,
    switch,
)
from ike.config import GeneratePolicy, Phase1Proposal, ProposalCheck, Remote, Switch
from ike.numbers.doi import Authentication
from ike.numbers.isakmp import ExchangeType
from wire.grammar import Statement
from wire.source import Word

ANONYMOUS: Final = "anonymous"

_MODES: Final = {"main": ExchangeType.MAIN, "aggressive": ExchangeType.AGGRESSIVE}
_NOT_HEEDED: Final = {
    "dh_group": "the group is the proposal's",
    "xauth_login": "XAuth is not supported",
    "esp_frag": "ESP packets are not fragmented before encryption",
    "script": "no scripts are run; follow 'racoonctl show-event' instead",
    "match_empty_cr": "an empty certificate request matches",
    "weak_phase1_check": "unauthenticated deletes and notifies never change what is established",
}
_REFUSED: Final = {
    "peers_certfile": "a peer is known by its CA here (ca_type), not by a certificate of its own",
}


def remote(statement: Statement, notes: Notes) -> Remote:
    """The peer that a `remote` statement describes. Raises: ConfError."""
    words = [word.text for word in statement.words]
    at = words.index("inherit") if "inherit" in words else len(words)
    made = _headed(statement.words[1:at], _parent(statement.words[at + 1 :], notes.remotes))
    settings = [s for s in statement.block if s.name not in ("proposal", "peers_identifier")]
    for setting in settings:
        made = _apply(made, setting, notes)
    peers = [identifier(s.values) for s in statement.block if s.name == "peers_identifier"]
    proposals = [_proposal(s) for s in statement.block if s.name == "proposal"]
    if peers:
        made = replace(made, peers_identifiers=tuple(peers))
    if proposals:
        made = replace(made, proposals=tuple(proposals))
    return _complete(made, statement, notes.certificates)


def _parent(words: Sequence[Word], earlier: Mapping[str, Remote]) -> Remote:
    if not words:
        return Remote(name="", address=None, proposals=())
    try:
        return earlier[words[0].text]
    except KeyError:
        text = f"there is no remote '{words[0].text}' above to inherit from"
        raise ConfError(text, words[0].place, tuple(earlier)) from None


def _headed(words: Sequence[Word], parent: Remote) -> Remote:
    name = words[0]
    made = replace(parent, name=name.text, port=500)
    if not name.quoted:
        made = replace(made, address=None if name.text == ANONYMOUS else address(name))
    if len(words) > 1:
        made = replace(made, port=port(words[1]))
    return made


def _complete(made: Remote, statement: Statement, certificates: Certificates) -> Remote:
    if not made.proposals:
        raise ConfError(f"the remote {made.name} has no proposal", statement.place)
    methods = {proposal.authentication for proposal in made.proposals}
    if Authentication.RSA_SIGNATURE not in methods:
        return made
    if made.credentials is None:
        text = f"the remote {made.name} proposes rsasig but names no certificate_type"
        raise ConfError(text, statement.place)
    return replace(made, credentials=certificates.completed(made.credentials))


def _apply(made: Remote, setting: Statement, notes: Notes) -> Remote:
    match setting.name:
        case "exchange_mode":
            return replace(made, exchange_modes=_modes(setting, notes))
        case "certificate_type":
            return replace(made, credentials=notes.certificates.own(made, setting.values))
        case "ca_type":
            return replace(made, credentials=notes.certificates.with_authority(made, setting))
        case name if name in _NOT_HEEDED:
            notes.passed_over(
                setting.place, f"{setting.words[0].text} has no effect: {_NOT_HEEDED[name]}"
            )
            return made
        case name if name in _REFUSED:
            raise ConfError(f"{setting.words[0].text}: {_REFUSED[name]}", setting.place)
        case "mode_cfg_switch" | "situation" | "doi" | "lifetime":
            return _constrained(made, setting)
        case name:
            return _SETTINGS[name](made, setting.values)


def _modes(setting: Statement, notes: Notes) -> tuple[ExchangeType, ...]:
    modes = [_MODES[word.text] for word in setting.values if word.text in _MODES]
    if not modes:
        raise ConfError("base mode is not supported", setting.value.place, list(_MODES))
    if len(modes) < len(setting.values):
        notes.passed_over(setting.place, "base mode is not supported and is left out")
    return tuple(modes)


def _constrained(made: Remote, setting: Statement) -> Remote:
    """Statements of which only one value can be done."""
    value = setting.value
    match setting.name, value.text:
        case "mode_cfg_switch", "on":
            raise ConfError(
                "mode_cfg is not supported: the peer cannot set our address", value.place
            )
        case "situation", "secrecy" | "integrity":
            raise ConfError("only the situation identity_only is supported", value.place)
        case "lifetime", "byte":
            raise ConfError("a phase 1 has no lifetime in octets", value.place, ["time"])
        case "lifetime", _:
            return replace(made, lifetime_seconds=seconds(*setting.words[2:4]))
        case _:
            return made


_Setting = Callable[[Remote, tuple[Word, ...]], Remote]
_SETTINGS: Final[dict[str, _Setting]] = {
    "remote_address": lambda r, v: replace(
        r, address=address(v[0]), port=port(v[1]) if len(v) > 1 else r.port
    ),
    "my_identifier": lambda r, v: replace(r, my_identifier=identifier(v)),
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


_REQUIRED: Final = ("encryption_algorithm", "hash_algorithm", "authentication_method", "dh_group")


def _proposal(statement: Statement) -> Phase1Proposal:
    given = {setting.name: setting for setting in statement.block}
    missing = [name for name in _REQUIRED if name not in given]
    if missing:
        raise ConfError(f"the proposal lacks {', '.join(missing)}", statement.place)
    if "gss_id" in given:
        raise ConfError("GSS-API is not supported", given["gss_id"].place)
    cipher = given["encryption_algorithm"]
    encryption = named(cipher.value, PHASE1_CIPHERS, "encryption algorithm")
    lifetime = given.get("lifetime")
    if lifetime and lifetime.value.text == "byte":
        raise ConfError("a phase 1 has no lifetime in octets", lifetime.value.place, ["time"])
    if len(cipher.values) > 2 or (len(cipher.values) == 2 and not cipher.words[2].text.isdigit()):
        text = "a proposal has one encryption algorithm; write another proposal for the next"
        raise ConfError(text, cipher.place)
    return Phase1Proposal(
        encryption=encryption,
        key_bits=key_bits(encryption, cipher.words[2]) if len(cipher.values) > 1 else None,
        hash=named(given["hash_algorithm"].value, HASHES, "hash"),
        authentication=named(given["authentication_method"].value, METHODS, "method"),
        group=group(given["dh_group"].value),
        lifetime_seconds=seconds(*lifetime.words[2:4]) if lifetime else None,
    )
