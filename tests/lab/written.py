"""Files as people may write them: strategies that follow a grammar, for readers to read.

A file is a list of words; between them stand blanks, line ends and comments of any kind.
"""

from collections.abc import Iterable

from hypothesis import strategies as st

Words = list[str]
Part = str | st.SearchStrategy[str] | st.SearchStrategy[Words] | st.SearchStrategy[str | Words]

_BETWEEN = st.sampled_from(
    [" ", " ", " ", "  ", "\n", "\t", "\r\n", " # note; {\n", " # B\udcfcro\n"]
)


def said(*parts: Part) -> st.SearchStrategy[Words]:
    """One after the other."""
    made = [st.just([p]) if isinstance(p, str) else p.map(_as_words) for p in parts]
    return st.tuples(*made).map(_joined)


def maybe(*parts: Part) -> st.SearchStrategy[Words]:
    return st.one_of(st.just([]), said(*parts))


def some(part: st.SearchStrategy[Words], least: int = 0, most: int = 4) -> st.SearchStrategy[Words]:
    return st.lists(part, min_size=least, max_size=most).map(_joined)


def listed(part: Part, most: int = 3) -> st.SearchStrategy[Words]:
    """With commas between them."""
    return said(part, some(said(",", part), most=most - 1))


def word(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from(texts)


def quoted(*texts: str) -> st.SearchStrategy[str]:
    return st.sampled_from([f'"{text}"' for text in texts])


def count(low: int, high: int) -> st.SearchStrategy[str]:
    return st.integers(low, high).flatmap(lambda n: st.sampled_from([str(n), hex(n)]))


def decimal(low: int, high: int) -> st.SearchStrategy[str]:
    return st.integers(low, high).map(str)


@st.composite
def text(draw: st.DrawFn, words: st.SearchStrategy[Words]) -> bytes:
    """The words with something between each two, as octets."""
    made = "".join(each + draw(_BETWEEN) for each in draw(words))
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + made.encode("utf-8", "surrogateescape")


def _as_words(value: str | Words) -> Words:
    return [value] if isinstance(value, str) else value


def _joined(parts: Iterable[Words]) -> Words:
    return [each for words in parts for each in words]
