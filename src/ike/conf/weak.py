"""What a configuration allows although it is weak today; each is named once in the log."""

from collections.abc import Iterator
from typing import Final

from ike.doi.numbers import Encryption, EspTransform, Group, Hash, Integrity
from ike.policy import Config

_GROUPS: Final = {Group.MODP768, Group.MODP1024, Group.MODP1536}
_CIPHERS: Final = {Encryption.DES, Encryption.TRIPLE_DES, Encryption.BLOWFISH, Encryption.CAST}
_TRANSFORMS: Final = {
    EspTransform.DES,
    EspTransform.TRIPLE_DES,
    EspTransform.BLOWFISH,
    EspTransform.CAST,
    EspTransform.NULL,
}


def weaknesses(config: Config) -> list[str]:
    """One sentence for each weak algorithm and who allows it."""
    return list(dict.fromkeys([*_of_remotes(config), *_of_sainfos(config)]))


def _of_remotes(config: Config) -> Iterator[str]:
    for remote in config.remotes:
        for proposal in remote.proposals:
            where = f"allowed for the peer {remote.name}"
            if proposal.group in _GROUPS:
                yield f"{proposal.group.name.lower()} is weak; modp2048 is better ({where})"
            if proposal.hash == Hash.MD5:
                yield f"md5 is weak; sha256 is better ({where})"
            if proposal.encryption in _CIPHERS:
                yield f"{proposal.encryption.name.lower()} is weak; aes is better ({where})"


def _of_sainfos(config: Config) -> Iterator[str]:
    for sainfo in config.sainfos:
        for cipher in sainfo.encryption:
            if cipher.transform in _TRANSFORMS:
                name = cipher.transform.name.lower()
                yield f"{name} is weak; aes is better (allowed by sainfo)"
        for integrity in sainfo.integrity:
            if integrity in (Integrity.HMAC_MD5, Integrity.NONE):
                name = integrity.name.lower()
                yield f"{name} is weak; hmac_sha256 is better (allowed by sainfo)"
