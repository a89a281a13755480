"""Exit codes that the commands share; a command with more says so in its help."""

from wire.lean import Final

OK: Final = 0
FAILED: Final = 1
NO_PERMISSION: Final = 4
USAGE: Final = 64
INTERRUPTED: Final = 130  # 128 and SIGINT
NOBODY_READS: Final = 141  # 128 and SIGPIPE
