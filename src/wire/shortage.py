"""Too little memory, as Python, its loader and OpenSSL report it. There is no room for imports."""

_WORDS = (
    (MemoryError, ""),
    (RuntimeError, "can't start new thread"),
    (ImportError, "failed to map segment"),  # ld.so's
    (Exception, "malloc failure"),  # OpenSSL's
)


def is_shortage(error: BaseException) -> bool:
    """Whether it is no fault of the program, but of the machine: memory is short."""
    return any(isinstance(error, kind) and words in str(error) for kind, words in _WORDS)
