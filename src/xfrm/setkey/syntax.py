"""A setkey file as statements of words; the grammar is setkey.lark."""

from pathlib import Path
from typing import Final

from wire.grammar import Grammar
from xfrm.setkey.statements import SetkeyError

GRAMMAR: Final = Grammar(
    Path(__file__).with_name("setkey.lark"),
    kinds={
        "WORD": "a word",
        "QUOTED": 'a "text"',
        "FAMILY": "-4 or -6",
        "SIGN": "+ or -",
        "SIGNED": "+ or -",
        "PREFIX": "/prefix",
        "PORT": "[port]",
        "RULE": "a rule",
    },
    quoted="QUOTED",
    error=SetkeyError,
)
KEYS: Final = r'"[^"\n]*"?|0[xX][0-9a-fA-F]{17,}'
"""What no excerpt shows."""
