"""SNTP for programs: the offset of the local clock, and its error bound.

    outcome = await ntp.query("192.0.2.1")
    outcome = await ntp.agree(["192.0.2.1", "192.0.2.2", "time.example.net"])

`outcome.offset` is what the local clock lacks, in nanoseconds (above zero: it is slow);
`outcome.error` bounds the distance from the truth. The core without I/O is `ntp.client.Client`,
the server role `ntp.server.Server`; docs/localNTP.md tells the rest.
"""

from wire.lean import TYPE_CHECKING

if TYPE_CHECKING:
    from ntp.aio.library import agree, query

__all__ = ["agree", "query"]


def __getattr__(name: str) -> object:
    """asyncio is imported with the first use of `query` or `agree`, not before."""
    if name in __all__:
        from ntp.aio import library

        return getattr(library, name)
    raise AttributeError(f"module 'ntp' has no attribute '{name}'")
