"""The racoon.conf that all connections share, and one remote-ADDRESS.conf a peer.

What an administrator changed in them stays: a file is written when it is missing, or when it
cannot do what the connection asks (another authentication method).
"""

from pathlib import Path

from ike.conf.errors import ConfError
from mgu.connections import pinned
from mgu.connections.connection import CERTIFICATE, Address, BadConnection
from mgu.files import PUBLIC, Write, write_whole
from mgu.paths import PSK_TXT, RACOON_CERTS, RACOON_CONF, RACOON_DIR, under_root
from wire import files
from wire.lean import TYPE_CHECKING, Final
from wire.source import Source, octets_of, text_of

if TYPE_CHECKING:
    from wire.grammar import Statement

CA_FILE: Final = "ca.pem"
CERTIFICATE_FILE: Final = "mgu.pem"
KEY_FILE: Final = "mgu.key"
INCLUDE: Final = f"{RACOON_DIR}/remote-*.conf"

_COMMON: Final = f"""\
# What all IPsec connections share; racoon.conf(5). Written by ipsec once: change it freely,
# then 'racoonctl reload-config'. The peers are in {INCLUDE}.

path pre_shared_key "{PSK_TXT}";
path certificate "{RACOON_CERTS}";
log info;                       # debug shows every message and every proposal compared

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
{identity}    proposal_check claim;       # a shorter lifetime of the peer is accepted
    nat_traversal on;
    dpd_delay 30;               # seconds of silence before the peer is probed
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
    peers_identifier {{pinned}};
    verify_identifier on;       # off: whoever has a certificate of the CA can pose as this peer
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
    if text == _COMMON:  # it was not changed: the grammar, which takes long, is not needed
        return False
    there = {_kind(statement) for statement in _statements(path, text)}
    missing = [line for kind, line in _NEEDED.items() if kind not in there]
    if not missing:
        return False
    if not text.endswith("\n"):
        text += "\n"
    write(path, octets_of("".join([text, "\n# added by ipsec\n", *missing])), PUBLIC)
    return True


def _kind(statement: "Statement") -> str:
    if statement.name == "path":
        return statement.value.text
    if statement.name == "include" and statement.value.text == INCLUDE:
        return "include"
    return ""


def write_remote(
    peer: Address, method: str, write: Write = write_whole, identity: str | None = None
) -> bool:
    """Make the peer's file authenticate by `method`; False when it does.

    `identity` is what the peer's certificate must name; None: what the file has, or the address.
    Raises: BadConnection.
    """
    path = remote_path(peer)
    wanted = _wanted(peer, method, identity)
    text = _text(path) if path.exists() else ""
    if text == wanted:
        return False
    if text and _word(method) in _methods(path, text):
        if identity is None or f"peers_identifier {pinned.identifier(identity)};" in text:
            return False
        if pinned.without_pins(text) != pinned.without_pins(wanted):
            raise BadConnection(
                f"{path} was changed by hand and stays as it is. Have it say 'peers_identifier"
                f" {pinned.identifier(identity)};' and 'verify_identifier on;', or remove it"
            )
    write(path, wanted.encode(), PUBLIC)
    return True


def is_pinned(peer: Address) -> bool:
    """Whether the peer's file accepts only certain identities.

    Raises: BadConnection.
    """
    path = remote_path(peer)
    text = _text(path) if path.exists() else ""
    if text == _wanted(peer, CERTIFICATE, None):
        return True
    found = _statements(path, text)
    return all(pinned.is_pinned(statement) for statement in found if statement.name == "remote")


def _wanted(peer: Address, method: str, identity: str | None) -> str:
    own = _BY_ADDRESS
    if method == CERTIFICATE:
        named = str(peer) if identity is None else identity
        own = _BY_CERTIFICATE.format(pinned=pinned.identifier(named))
    return _REMOTE.format(address=peer, method=_word(method), identity=own)


def _word(method: str) -> str:
    return "rsasig" if method == CERTIFICATE else "pre_shared_key"


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
    from ike.conf.syntax import GRAMMAR  # late: files as we wrote them need no grammar

    try:
        return GRAMMAR.parse(Source(str(path), text))
    except ConfError as error:
        raise BadConnection(error.report()) from None


def _text(path: Path) -> str:
    try:
        return text_of(files.read(path))
    except PermissionError:
        raise
    except OSError as error:
        raise BadConnection(f"cannot read {path}: {error}") from None
