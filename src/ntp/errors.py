"""What can be wrong with a reply, by what it means for the exchange.

`Skip` is for what anybody can send who guesses or replays: it is dropped and the wait goes on.
`ServerError` is for what only the asked server (or who sits on the path) can have sent: the
request is answered, and the answer is no good.
"""


class NtpError(Exception):
    """Base of every error that this package raises."""


class Skip(NtpError):
    """Not an answer to our request; wait on as if it had not come."""


class Malformed(Skip):
    """The octets are no NTP packet (RFC 5905, 7.3; RFC 7822)."""


class NotAuthentic(Skip):
    """The reply lacks the authentication that was asked for, or carries a wrong one."""


class ServerError(NtpError):
    """The server answered, and its time cannot be used."""


class Unusable(ServerError):
    """Not synchronised."""


class Implausible(Unusable):
    """The numbers of this one answer contradict each other; the next one may be better."""


class ClockStepped(ServerError):
    """Our own clock was set while the request was on its way; ask again."""


class KissOfDeath(ServerError):
    """The server sends a kiss code instead of time (RFC 5905, 7.4)."""

    def __init__(self, code: bytes) -> None:
        text = code.decode("latin-1")
        super().__init__(f"kiss code {text if text.isascii() and text.isalnum() else code.hex()}")
        self.code = code

    @property
    def is_final(self) -> bool:
        """Whether the server wants never to be asked again."""
        return self.code in (b"DENY", b"RSTR")

    @property
    def is_for_now(self) -> bool:
        """Whether the server is not synchronised yet, or not at the moment."""
        return self.code in (b"INIT", b"STEP", b"DROP")


class NtsNak(ServerError):
    """The server cannot read our cookie: keys must be exchanged again (RFC 8915, 5.7)."""


class ConfigurationError(NtpError):
    """A key file or an option says what cannot be; the text names file, line and remedy."""
