"""`proposal { }` within a remote of racoon.conf as the engine's `Phase1Proposal`."""

from collections.abc import Mapping
from typing import Final

from ike.conf.errors import ConfError
from ike.conf.reading import Notes
from ike.conf.values import HASHES, METHODS, PHASE1_CIPHERS, group, key_bits, lifetime, named
from ike.config import Phase1Proposal
from wire.grammar import Statement

_REQUIRED: Final = ("encryption_algorithm", "hash_algorithm", "authentication_method", "dh_group")
_MAY_LACK: Final[tuple[tuple[str, Mapping[str, object]], ...]] = (
    ("encryption_algorithm", PHASE1_CIPHERS),
    ("authentication_method", METHODS),
)


def proposal(statement: Statement, notes: Notes) -> Phase1Proposal | None:
    """None for one that this daemon cannot do: the others are used, as racoon does.

    Raises: ConfError.
    """
    given = {setting.name: setting for setting in statement.block}
    missing = [name for name in _REQUIRED if name not in given]
    if missing:
        raise ConfError(f"the proposal lacks {', '.join(missing)}", statement.place)
    lasting = given.get("lifetime")
    if lasting and lasting.value.text == "byte":
        raise ConfError("a phase 1 has no lifetime in octets", lasting.value.place, ["time"])
    cipher = given["encryption_algorithm"]
    if len(cipher.values) > 2 or (len(cipher.values) == 2 and not cipher.words[2].text.isdigit()):
        text = "a proposal has one encryption algorithm; write another proposal for the next"
        raise ConfError(text, cipher.place)
    if not _can_be_done(given, notes):
        return None
    encryption = named(cipher.value, PHASE1_CIPHERS, "encryption algorithm")
    return Phase1Proposal(
        encryption=encryption,
        key_bits=key_bits(encryption, cipher.words[2]) if len(cipher.values) > 1 else None,
        hash=named(given["hash_algorithm"].value, HASHES, "hash"),
        authentication=named(given["authentication_method"].value, METHODS, "method"),
        group=group(given["dh_group"].value),
        lifetime_seconds=lifetime(lasting) if lasting else None,
    )


def _can_be_done(given: Mapping[str, Statement], notes: Notes) -> bool:
    for name, table in _MAY_LACK:
        word = given[name].value
        if word.text not in table:
            text = f"this proposal is left out: {word} is not supported by this daemon"
            notes.passed_over(word.place, text)
            return False
    if "gss_id" in given:
        notes.passed_over(given["gss_id"].place, "gss_id has no effect: GSS-API is not supported")
    return True
