"""Down to the capabilities that a daemon uses, once it has opened what it needs as root.

capabilities(7), capset(2), prctl(2). The user id stays: the daemon goes on owning its files, but
it can neither override permissions nor load modules, and nothing it executes can regain that.
"""

import ctypes
import os
import struct
from typing import Final

# linux/capability.h: their numbers are their places in this list
_NAMES: Final = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
    LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK
    IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT
    SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE
    AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND
    AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
NUMBERS: Final = {f"CAP_{name}": number for number, name in enumerate(_NAMES.split())}

_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_VERSION_3: Final = 0x20080522  # _LINUX_CAPABILITY_VERSION_3: two sets of 32 bits
_SETPCAP: Final = 1 << NUMBERS["CAP_SETPCAP"]

_ZEROS: Final = (ctypes.c_ulong(0),) * 3  # prctl's arguments are longs

_libc = ctypes.CDLL(None, use_errno=True)


def drop(keep: frozenset[str]) -> None:
    """Keep of the permitted capabilities only those in `keep`, such as {"CAP_NET_ADMIN"}.

    What the process does not have is not asked for, so an ordinary user may call it too. Holds
    for the calling thread and those it starts later: call it before any other thread runs.
    Raises: KeyError for an unknown name; OSError if the kernel refuses.
    """
    wanted = sum(1 << NUMBERS[name] for name in keep)
    permitted = held()
    if permitted & _SETPCAP:
        _shrink_bounding_set(wanted)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    _capset(permitted & wanted)


def held() -> int:
    """The permitted capabilities of this thread, as a bit mask."""
    header = struct.pack("=Ii", _VERSION_3, 0)
    data = ctypes.create_string_buffer(24)
    _check(_libc.capget(header, data), "capget")
    low, high = (struct.unpack_from("=I", data, offset)[0] for offset in (4, 16))
    return int(low | high << 32)


def holds(name: str) -> bool:
    """Whether this thread may use the capability `name`."""
    return bool(held() >> NUMBERS[name] & 1)


def _shrink_bounding_set(wanted: int) -> None:
    capability = 0
    while (
        _libc.prctl(_PR_CAPBSET_READ, ctypes.c_ulong(capability), *_ZEROS) >= 0
    ):  # EINVAL after the last one
        if not wanted >> capability & 1:
            _prctl(_PR_CAPBSET_DROP, capability)
        capability += 1


def _capset(mask: int) -> None:
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = struct.pack("=Ii", _VERSION_3, 0)
    data = struct.pack("=6I", low, low, 0, high, high, 0)  # effective, permitted, inheritable
    _check(_libc.capset(header, data), "capset")


def _prctl(option: int, argument: int) -> None:
    _check(_libc.prctl(option, ctypes.c_ulong(argument), *_ZEROS), f"prctl {option}")


def _check(result: int, call: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
