"""Modular exponentiation: libcrypto's constant-time one where the system has it, else `pow`.

Why not `cryptography`: its finite-field Diffie-Hellman is announced for removal, and every key
that enters it outside OpenSSL's named groups (groups 1 and 2 are outside) is checked for primality
first: 24 ms that a stranger could make us pay with each datagram. BN_mod_exp_mont_consttime takes
0.06 ms for group 2 with an exponent of 256 bits. `pow` takes 0.7 ms and its time depends on the
exponent; each exponent here serves one exchange only, which leaves a distant observer one sample.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Final

_LIBRARIES: Final = ("libcrypto.so.3", "libcrypto.so.4", "libcrypto.so.1.1", "libcrypto.so")
_POINTER: Final = ctypes.c_void_p
_PROTOTYPES: Final[tuple[tuple[str, object, tuple[object, ...]], ...]] = (
    ("BN_new", _POINTER, ()),
    ("BN_CTX_new", _POINTER, ()),
    ("BN_CTX_free", None, (_POINTER,)),
    ("BN_clear_free", None, (_POINTER,)),
    ("BN_bin2bn", _POINTER, (ctypes.c_char_p, ctypes.c_int, _POINTER)),
    ("BN_bn2binpad", ctypes.c_int, (_POINTER, ctypes.c_char_p, ctypes.c_int)),
    ("BN_mod_exp_mont_consttime", ctypes.c_int, (_POINTER,) * 6),
)

Power = Callable[[int, bytes, int], bytes]


def plain_power(base: int, exponent: bytes, modulus: int) -> bytes:
    """`power` without libcrypto."""
    size = (modulus.bit_length() + 7) // 8
    return pow(base, int.from_bytes(exponent), modulus).to_bytes(size)


@cache
def libcrypto_power() -> Power | None:
    """`power` by the system's libcrypto, once it has given the right answer; None without one."""
    library = _library()
    if library is None:
        return None

    def number(octets: bytes) -> int:
        pointer: int | None = library.BN_bin2bn(octets, len(octets), None)
        if not pointer:
            raise MemoryError("libcrypto: BN_bin2bn")
        return pointer

    def libcrypto(base: int, exponent: bytes, modulus: int) -> bytes:
        size = (modulus.bit_length() + 7) // 8
        out = ctypes.create_string_buffer(size)
        context = library.BN_CTX_new()
        values = [number(v) for v in (base.to_bytes(size), exponent, modulus.to_bytes(size))]
        result = number(b"")
        try:
            done = library.BN_mod_exp_mont_consttime(result, *values, context, None)
            if done != 1 or library.BN_bn2binpad(result, out, size) != size:
                raise ArithmeticError("libcrypto: BN_mod_exp_mont_consttime")
        finally:
            for value in (*values, result):
                library.BN_clear_free(value)
            library.BN_CTX_free(context)
        return out.raw

    question = (3, (2**64 + 13).to_bytes(9), 2**127 - 1)
    return libcrypto if libcrypto(*question) == plain_power(*question) else None


def power(base: int, exponent: bytes, modulus: int) -> bytes:
    """base ** exponent % modulus, as long as the odd `modulus`."""
    return (libcrypto_power() or plain_power)(base, exponent, modulus)


def _library() -> ctypes.CDLL | None:
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            for function, result, arguments in _PROTOTYPES:
                entry = getattr(library, function)
                entry.restype, entry.argtypes = result, arguments
        except (OSError, AttributeError):
            continue
        return library
    return None
