"""racoon.conf as statements that know their places. The grammar is racoon.lark."""

from pathlib import Path
from typing import Final

from ike.conf.errors import ConfError
from wire.grammar import Grammar

SECRETS: Final = r'(?:bind_pw|(?:auth|acct)\s*"[^"\n]*"(?:\s*\d+)?)\s*(?P<secret>"[^"\n]*"?)'
"""What no excerpt shows: passwords of LDAP and secrets of RADIUS."""

GRAMMAR: Final = Grammar(
    Path(__file__).with_name("racoon.lark"),
    kinds={
        "STRING": 'a "string"',
        "NUMBER": "a number",
        "IPV4": "an address",
        "IPV6": "an address",
        "WORD": "a name",
        "CIPHER": "a cipher",
    },
    quoted="STRING",
    error=ConfError,
    silent="{};,[]-/",
    stray="STRAY",
    lexer="basic",  # a keyword is one wherever it stands: names are always in quotes
)
