"""Encryption of ISAKMP messages and the chains of initialization vectors (RFC 2409, appendix B).

Each phase 2 exchange has a chain of its own, started from the last block of phase 1. A chain moves
on only with messages that were accepted: what a stranger sends cannot break it.
"""

from dataclasses import dataclass

from ike.crypto.keys import Phase1Keys
from ike.errors import PayloadMalformed
from ike.isakmp.header import HEADER_SIZE, Header
from ike.isakmp.message import Message, pack_chain


@dataclass(slots=True)
class Channel:
    """One chain. `iv` is the vector for the next message, in either direction."""

    keys: Phase1Keys
    iv: bytes

    def seal(self, message: Message) -> bytes:
        """The encrypted message; the chain moves on."""
        body = pack_chain(message.payloads)
        block = self.keys.cipher.block
        body += bytes(-len(body) % block)
        ciphertext = self.keys.cipher.encrypt(self.iv, body)
        self.iv = ciphertext[-block:]
        return bytes(message.header(len(body))) + ciphertext

    def open(self, header: Header, data: bytes) -> Message:
        """Decrypt; `accept` moves the chain on. Raises: PayloadMalformed, as a rule: wrong key."""
        ciphertext = data[HEADER_SIZE:]
        if not ciphertext or len(ciphertext) % self.keys.cipher.block:
            raise PayloadMalformed(f"{len(ciphertext)} encrypted octets are not whole blocks")
        return Message.decrypted(header, self.keys.cipher.decrypt(self.iv, ciphertext))

    def accept(self, data: bytes) -> None:
        """The message `data` was good: its last block is the next vector."""
        self.iv = data[-self.keys.cipher.block :]
