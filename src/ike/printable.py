"""Text from peers, made fit for a log: no line breaks, no terminal sequences, no end in sight."""

from typing import Final

MAX_TEXT: Final = 4000  # characters


def printable(text: str) -> str:
    """`text` with what does not print written as an escape; long text is cut."""
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}... ({len(text)} characters)"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
