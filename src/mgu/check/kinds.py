"""What kind of file it is: by what stands in it, then by its name."""

import re
from pathlib import PurePath
from typing import Final

from wire.record import Record
from wire.source import text_of


class Kind(Record):
    """`name` is what `--as` takes; `program` whose file it is; `line` matches its own lines."""

    name: str
    title: str
    program: str
    line: str
    names: str  # file names, a regular expression


CERTIFICATE: Final = "certificate"
KINDS: Final = (
    Kind(
        "racoon.conf",
        "racoon.conf",
        "racoon",
        r"(path|remote|sainfo|listen|timer|privsep|padding|mode_cfg|exchange_mode|proposal"
        r"|my_identifier|encryption_algorithm|hash_algorithm|lifetime|dh_group|pfs_group"
        r"|include|log|radiuscfg|ldapcfg|authentication_method|authentication_algorithm)\b(?!\s*=\s*\{)",
        r"racoon.*|remote-.*\.conf",
    ),
    Kind(
        "setkey.conf",
        "setkey.conf",
        "setkey",
        r"((add|update|delete|get|deleteall|getspi)\s+(-[46n]+\s+)*[\w.:]+(\[\w+\])?\s+[\w.:]+"
        r"|(spd(add|update|delete|flush|dump)|flush|dump)\b)",
        r"setkey.*|ipsec-tools.*|ipsec\.conf",
    ),
    Kind(
        "wpa_supplicant.conf",
        "wpa_supplicant.conf",
        "wpa_supplicant",
        r"(network\s*=\s*\{|(ctrl_interface|ctrl_interface_group|eapol_version|ap_scan|fast_reauth"
        r"|update_config|key_mgmt|eap|identity|ca_cert|client_cert|private_key|phase[12])\s*=)",
        r"wpa_supplicant.*|wpa.*\.conf|8021x.*",
    ),
    Kind(
        "ntp.conf",
        "the configuration of a time client",
        "ntpd, chronyd or localNTP",
        r"(server|pool|peer|keys|keyfile|driftfile|restrict|makestep|rtcsync|trustedkey|minsources"
        r"|maxdistance|maxchange|allow-md5|tos|leapsectz|logdir)\b(?!\s*=)",
        r".*ntp.*\.conf|chrony\.conf|.*\.sources",
    ),
    Kind(
        "ntp.keys",
        "a file of symmetric keys for NTP",
        "ntpd or chronyd",
        r"\d+\s+(\w[\w-]*\s+)?\S+\s*(#.*)?$",
        r".*\.keys",
    ),
    Kind("psk.txt", "psk.txt", "racoon", r"[^\s#]\S*[ \t]+\S.*", r"psk.*|.*\.psk"),
    Kind(
        CERTIFICATE,
        "certificates or keys",
        "OpenSSL",
        r"-----BEGIN ",
        r".*\.(pem|crt|cer|der|key|p12|pfx|crl|p7b|p7c)",
    ),
)
BY_NAME: Final = {kind.name: kind for kind in KINDS}
_SEEN: Final = 400  # lines
_NOT_KEYS: Final = ("hosts", "fstab", "resolv.conf", "services", "protocols")
"""Files of this host whose lines have the form of psk.txt's: nobody is told to close them."""

_COMMENT: Final = "#!;%"
_LEAST: Final = 0.2  # of the lines must be the kind's own


def kind_of(name: str, octets: bytes) -> Kind | None:
    """The kind that its name says, if a line agrees; else the one that most of the lines are, or,
    if they are none, the one that its name says."""
    if b"-----BEGIN " in octets or octets[:2] in (b"\x30\x82", b"\x30\x81", b"\x30\x80"):
        return BY_NAME[CERTIFICATE]
    base = PurePath(name).name
    named = [kind for kind in KINDS if re.fullmatch(kind.names, base, re.IGNORECASE)]
    lines = [line.strip() for line in text_of(octets).split("\n")[:_SEEN]]
    lines = [line for line in lines if line and line[0] not in _COMMENT]
    if not lines:
        return named[0] if named else None
    shares = {kind: sum(bool(re.match(kind.line, each, re.I)) for each in lines) for kind in KINDS}
    if named and shares[named[0]]:
        return named[0]
    telling = [kind for kind in KINDS if kind is not BY_NAME["psk.txt"]]  # any two words are one
    best = max(telling, key=lambda kind: shares[kind])
    if shares[best] >= _LEAST * len(lines):
        return best
    if named:
        return named[0]
    pairs = shares[BY_NAME["psk.txt"]] == len(lines) and base not in _NOT_KEYS
    return BY_NAME["psk.txt"] if pairs else None
