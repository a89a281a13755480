"""Options as a printed page has them: with dashes that a typesetter made of hyphens."""

from collections.abc import Sequence

from wire.lean import Final

_DASHES: Final = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_FEW: Final = 3  # letters: so many and more are the name of an option


def hyphened(arguments: Sequence[str], *, until_a_word: bool = False) -> list[str]:
    """With hyphens where a word begins with a dash, as in a page that was printed and copied.

    `until_a_word`: only up to the first word that is no option, as what follows may be a secret.
    """
    made = [*arguments]
    for at, word in enumerate(made):
        name = word.lstrip(_DASHES)
        if until_a_word and name == word and not word.startswith("-"):
            break
        if name and name != word:
            letters = name.partition("=")[0]
            is_long = len(letters) >= _FEW and letters.islower() and len(set(letters)) > 1
            made[at] = ("--" if is_long else "-") + name.lstrip("-")
    return made
