"""The refusal of racoon.conf, and of the files that it names."""

from wire.source import SourceError


class ConfError(SourceError):
    """A configuration that cannot be used, told so that its author finds the place."""
