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
KEYS: Final = (
    r'"[^"\n]*"?|\b0[xX]\w{9,}'
    r"|(?<!\S)-[EA]\s+[^\s;]+\s+"
    r'(?P<secret>"[^"\n]*"?|0[xX][^\s;]+|(?!-[EAC]\s)(?:(?!\s-[EAC]\s)[^;\n])+)'
)
"""What no excerpt shows: strings, numbers longer than an SPI, and what stands in a key's place."""
