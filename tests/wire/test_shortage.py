"""What counts as too little memory."""

import pytest

from wire.shortage import is_shortage


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        ImportError("libssl.so.3: failed to map segment from shared object"),
        Exception([("", "", "malloc failure")]),  # as pyOpenSSL raises it
    ],
)
def test_memory_that_is_short_is_no_fault_of_the_program(error: Exception) -> None:
    assert is_shortage(error)


@pytest.mark.parametrize("error", [RuntimeError("no"), ImportError("no module"), OSError(28, "x")])
def test_any_other_error_is(error: Exception) -> None:
    assert not is_shortage(error)
