"""The racoon.conf that all connections share, and one remote-ADDRESS.conf a peer.

What an administrator changed in them stays: a file is written when it is missing, or when it
cannot do what the connection asks (another authentication method).
"""

from pathlib import Path

from ike.conf.errors import ConfError, Source
from mgu.connections.connection import CERTIFICATE, Address, BadConnection
from mgu.files import PUBLIC, Write, write_whole
from mgu.paths import PSK_TXT, RACOON_CERTS, RACOON_CONF, RACOON_DIR, under_root
from wire import files
from wire.lean import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ike.conf.syntax import Statement

CA_FILE: Final = "ca.pem"
CERTIFICATE_FILE: Final = "mgu.pem"
KEY_FILE: Final = "mgu.key"
INCLUDE: Final = f"{RACOON_DIR}/remote-*.conf"

_COMMON: Final = f"""\
# What all IPsec connections share; racoon.conf(5). Written by ipsec once: change it freely,
# then 'racoonctl reload-config'. The peers are in {INCLUDE}.

path pre_shared_key "{PSK_TXT}";
path certificate "{RACOON_CERTS}";
log info;                       # debug shows every payload

# What protects the traffic (IPsec SAs). A statement 'sainfo address ...' for one peer goes before.
sainfo anonymous {{
    lifetime time 1 hour;
    encryption_algorithm aes 128;
    authentication_algorithm hmac_sha1;
    compression_algorithm deflate;
}}

include "{INCLUDE}";
"""

_NEEDED: Final = {
    "pre_shared_key": f'path pre_shared_key "{PSK_TXT}";\n',
    "certificate": f'path certificate "{RACOON_CERTS}";\n',
    "include": f'include "{INCLUDE}";\n',
}

_REMOTE: Final = """\
# How to agree on keys with {address}. Written by ipsec once: change it freely, then
# 'racoonctl reload-config'.

remote {address} {{
    exchange_mode main;
{identity}    proposal_check claim;       # a shorter lifetime of the peer is taken over
    nat_traversal on;
    dpd_delay 30;               # seconds of silence until the peer is asked whether it lives
    lifetime time 8 hour;
    proposal {{
        encryption_algorithm aes 128;
        hash_algorithm sha1;
        authentication_method {method};
        dh_group modp1024;      # group 2, the manual's default; modp2048 is safer
    }}
}}
"""
_BY_ADDRESS: Final = "    my_identifier address;\n"
_BY_CERTIFICATE: Final = f"""\
    my_identifier asn1dn;
    certificate_type x509 "{CERTIFICATE_FILE}" "{KEY_FILE}";
    ca_type x509 "{CA_FILE}";
"""


def remote_path(peer: Address) -> Path:
    return under_root(RACOON_DIR) / f"remote-{peer}.conf"


def write_common(write: Write = write_whole) -> bool:
    """Make racoon.conf hold what connections need; False when it does. Raises: BadConnection."""
    path = under_root(RACOON_CONF)
    if not path.exists():
        write(path, _COMMON.encode(), PUBLIC)
        return True
    text = _text(path)
    if text == _COMMON:  # nobody changed it: the grammar, which takes long, need not be asked
        return False
    there = {_kind(statement) for statement in _statements(path, text)}
    missing = [line for kind, line in _NEEDED.items() if kind not in there]
    if not missing:
        return False
    if not text.endswith("\n"):
        text += "\n"
    write(path, "".join([text, "\n# added by ipsec\n", *missing]).encode(), PUBLIC)
    return True


def _kind(statement: "Statement") -> str:
    if statement.name == "path":
        return statement.value.text
    if statement.name == "include" and statement.value.text == INCLUDE:
        return "include"
    return ""


def write_remote(peer: Address, method: str, write: Write = write_whole) -> bool:
    """Make the peer's file authenticate by `method`; False when it does. Raises: BadConnection."""
    path = remote_path(peer)
    word = "rsasig" if method == CERTIFICATE else "pre_shared_key"
    identity = _BY_CERTIFICATE if method == CERTIFICATE else _BY_ADDRESS
    wanted = _REMOTE.format(address=peer, method=word, identity=identity)
    if path.exists() and ((text := _text(path)) == wanted or word in _methods(path, text)):
        return False
    write(path, wanted.encode(), PUBLIC)
    return True


def _methods(path: Path, text: str) -> set[str]:
    return {
        setting.value.text
        for remote in _statements(path, text)
        for proposal in remote.block
        if proposal.name == "proposal"
        for setting in proposal.block
        if setting.name == "authentication_method"
    }


def _statements(path: Path, text: str) -> "tuple[Statement, ...]":
    from ike.conf.syntax import parse  # late: files as we wrote them need no grammar

    try:
        return parse(Source(str(path), text))
    except ConfError as error:
        raise BadConnection(error.report()) from None


def _text(path: Path) -> str:
    try:
        return files.read(path).decode("utf-8")
    except PermissionError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise BadConnection(f"cannot read {path}: {error}") from None
