"""The computations of MS-CHAP and MS-CHAP-V2 (RFC 2433, RFC 2759) and their keys (RFC 3079).

Names are those of the RFCs. MD4 and DES come from pycryptodomex; neither is safe today, and what
is built of them is as safe as the tunnel that it runs in.
"""

import hashlib
from typing import Final

from wire.secret import Secret

_SERVER_SIGNING: Final = b"Magic server to client signing constant"
_ITERATION: Final = b"Pad to make it do more than one iteration"
_MASTER: Final = b"This is the MPPE Master Key"
_CLIENT_SEND: Final = (
    b"On the client side, this is the send key; on the server side, it is the receive key."
)
_CLIENT_RECEIVE: Final = (
    b"On the client side, this is the receive key; on the server side, it is the send key."
)
_PAD_1: Final = bytes(40)
_PAD_2: Final = b"\xf2" * 40

CHALLENGE_OCTETS: Final = 16
RESPONSE_OCTETS: Final = 24


def nt_password_hash(password: bytes) -> Secret:
    """RFC 2759, 8.3. `password` is UTF-8; the hash is of its UTF-16, little-endian."""
    from Cryptodome.Hash import MD4  # late: only where a password is used

    text = password.decode("utf-8", "surrogateescape")
    return Secret(MD4.new(text.encode("utf-16-le", "surrogatepass")).digest())


def hash_nt_password_hash(password_hash: Secret) -> Secret:
    """RFC 2759, 8.4."""
    from Cryptodome.Hash import MD4

    return Secret(MD4.new(password_hash.reveal()).digest())


def challenge_hash(peer: bytes, authenticator: bytes, user: bytes) -> bytes:
    """RFC 2759, 8.2."""
    return _sha1(peer, authenticator, without_domain(user))[:8]


def challenge_response(challenge: bytes, password_hash: Secret) -> bytes:
    """RFC 2759, 8.5: three times DES; 24 octets. `challenge`: 8 octets."""
    from Cryptodome.Cipher import DES

    padded = password_hash.reveal() + bytes(5)
    keys = (_with_parity(padded[at : at + 7]) for at in (0, 7, 14))
    return b"".join(DES.new(key, DES.MODE_ECB).encrypt(challenge) for key in keys)


def nt_response(authenticator: bytes, peer: bytes, user: bytes, password_hash: Secret) -> bytes:
    """RFC 2759, 8.1 (GenerateNTResponse)."""
    return challenge_response(challenge_hash(peer, authenticator, user), password_hash)


def authenticator_response(
    password_hash: Secret, response: bytes, peer: bytes, authenticator: bytes, user: bytes
) -> bytes:
    """RFC 2759, 8.7: the 20 octets that a Success carries in hexadecimal."""
    twice = hash_nt_password_hash(password_hash).reveal()
    digest = _sha1(twice, response, _SERVER_SIGNING)
    return _sha1(digest, challenge_hash(peer, authenticator, user), _ITERATION)


def master_key(password_hash: Secret, response: bytes) -> Secret:
    """RFC 3079, 3.4 (GetMasterKey); 16 octets."""
    twice = hash_nt_password_hash(password_hash).reveal()
    return Secret(_sha1(twice, response, _MASTER)[:16])


def client_send_key(master: Secret) -> bytes:
    """RFC 3079, 3.4 (GetAsymmetricStartKey); 16 octets, the server's receive key."""
    return _sha1(master.reveal(), _PAD_1, _CLIENT_SEND, _PAD_2)[:16]


def client_receive_key(master: Secret) -> bytes:
    """The same for the other direction."""
    return _sha1(master.reveal(), _PAD_1, _CLIENT_RECEIVE, _PAD_2)[:16]


def without_domain(user: bytes) -> bytes:
    r"""RFC 2759, 4: `DOMAIN\user` is hashed as `user`."""
    return user.rpartition(b"\\")[2]


def _sha1(*parts: bytes) -> bytes:
    return hashlib.sha1(b"".join(parts), usedforsecurity=False).digest()


def _with_parity(key: bytes) -> bytes:
    """Seven octets as a DES key of eight; the parity bits are ignored."""
    bits = int.from_bytes(key, "big")
    return bytes((bits >> shift & 0x7F) << 1 for shift in range(49, -1, -7))
