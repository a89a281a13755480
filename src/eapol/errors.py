"""What can go wrong; whose fault it is decides the class.

`MalformedFrame` is the wire's fault: counted, never fatal. `CredentialError` is the
administrator's: one sentence that names the file and the remedy. `PortError` is this machine's:
the interface cannot be used.
"""

from wire.cursor import DecodeError


class EapolError(Exception):
    """Everything that this package raises on purpose."""


class MalformedFrame(EapolError, DecodeError):
    """Octets from the wire that are not what IEEE 802.1X, RFC 3748 or RFC 5216 say they must be."""

    @classmethod
    def wrap(cls, error: DecodeError) -> "MalformedFrame":
        return cls(error.what, error.offset)


class CredentialError(EapolError):
    """A certificate or key file cannot be used; the text names the file and the remedy."""


class PassphraseNeeded(CredentialError):
    """The private key is encrypted and no passphrase was given."""


class PortError(EapolError):
    """The interface cannot be used for EAPOL; the text says why and what to do."""


class InterfaceMissing(PortError):
    """There is no interface of that name, or not yet."""


class NotPermitted(PortError):
    """We lack the privilege to open the interface."""
