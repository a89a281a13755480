"""Key files as ntpd (ntp.keys) and chrony (chrony.keys) have them.

One key a line: identifier, algorithm, key. A key is text, or hexadecimal: after `HEX:` (chrony), or
when it is longer than 20 characters (ntpd). `ASCII:` marks text. chrony leaves the algorithm out
for MD5; we do not guess. ntpd may list hosts after the key; they do not matter to a client.
"""

from typing import Final

from ntp.auth import Algorithm, Key
from ntp.conf import LARGEST_KEY_ID, is_number
from ntp.errors import ConfigurationError
from wire.secret import Secret

_ALGORITHMS: Final = {
    "AES128CMAC": Algorithm.AES128CMAC,
    "AES128": Algorithm.AES128CMAC,  # chrony
    "AES-128-CMAC": Algorithm.AES128CMAC,  # ntpsec
    "SHA1": Algorithm.SHA1,
    "MD5": Algorithm.MD5,
    "M": Algorithm.MD5,  # ntpd
}
_CMAC_LENGTH: Final = 16  # octets
_LONGEST_TEXT: Final = 20  # characters; ntp.keys(5)


def parse(text: str, name: str) -> dict[int, Key]:
    """The keys by identifier.

    Raises: ConfigurationError that names file (`name`) and line, and never the key.
    """
    keys: dict[int, Key] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            key = _key(words)
        except ConfigurationError as error:
            raise ConfigurationError(f"{name}, line {number}: {error}") from None
        if key.key_id in keys:
            raise ConfigurationError(f"{name}, line {number}: key {key.key_id} appears twice")
        keys[key.key_id] = key
    return keys


def _key(words: list[str]) -> Key:
    if len(words) < 3:
        raise ConfigurationError("a key is: identifier, algorithm, key")
    identifier, algorithm_name, secret = words[:3]
    if not is_number(identifier, LARGEST_KEY_ID):
        raise ConfigurationError(f"the identifier must be a number of 1 to {LARGEST_KEY_ID}")
    algorithm = _ALGORITHMS.get(algorithm_name.upper())
    if algorithm is None:
        raise ConfigurationError("the algorithm must be AES128CMAC, SHA1 or MD5")
    octets = _octets(secret)
    if algorithm is Algorithm.AES128CMAC and len(octets) != _CMAC_LENGTH:
        raise ConfigurationError(
            f"a key for AES128CMAC has 16 octets (32 hexadecimal digits), this one {len(octets)}"
        )
    return Key(int(identifier), algorithm, Secret(octets))


def _octets(secret: str) -> bytes:
    if secret.startswith("ASCII:"):
        return secret.removeprefix("ASCII:").encode()
    digits = secret.removeprefix("HEX:")
    if digits == secret and len(secret) <= _LONGEST_TEXT:
        return secret.encode()
    try:
        return bytes.fromhex(digits)
    except ValueError:
        what = "the key is longer than 20 characters, and not hexadecimal"
        raise ConfigurationError(what) from None
