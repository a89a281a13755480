"""Drop to the user and the capabilities that a daemon needs, once it has opened what needs root.

capabilities(7), capset(2), prctl(2). Nothing that it executes can regain what it gave up. Key files
stay root's, mode 0600; a daemon that reads changed ones keeps CAP_DAC_READ_SEARCH: it may read, and
never write. The alternative, descriptors from a supervisor that stays root, is one more protocol,
which systemd does not have.
"""

import ctypes
import os
import resource
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from mgu import account

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

_PR_SET_DUMPABLE: Final = 4
_PR_SET_KEEPCAPS: Final = 8
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_CLONE_NEWNS: Final = 0x00020000
_MS_BIND: Final = 0x1000
_MS_REC: Final = 0x4000
_MS_SLAVE: Final = 0x80000
_MOUNT_SETATTR: Final = 442  # the same for all architectures of today
_MOUNT_ATTR_RDONLY: Final = 0x1
_AT_FDCWD: Final = -100
_AT_RECURSIVE: Final = 0x8000
_VERSION_3: Final = 0x20080522  # _LINUX_CAPABILITY_VERSION_3: two sets of 32 bits
_SETPCAP: Final = 1 << NUMBERS["CAP_SETPCAP"]

_ZEROS: Final = (ctypes.c_ulong(0),) * 3  # prctl's arguments are longs

_libc = ctypes.CDLL(None, use_errno=True)


class OtherThreads(RuntimeError):
    """A fault of the program: privileges are those of a thread, and must be given up before."""


def become_user(folders: Iterable[Path] = ()) -> None:
    """Become the user of the daemons (`mgu.account`), to whom the `folders` are given.

    The capabilities stay until `drop`. Root stays root where there is no such user; somebody else
    (systemd's User=) stays who he is. Call it before any other thread runs.
    Raises: OSError.
    """
    user = account.find() if os.geteuid() == 0 else None
    if user is None:
        return
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchown(handle, user.uid, -1)
        finally:
            os.close(handle)
    permitted = held()
    _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    _capset(permitted)


def confine(writable: Iterable[Path]) -> None:
    """Let this process write to the folders `writable`, and see all else as read-only.

    What systemd does for ProtectSystem=strict; under it, and for who may not, this does nothing.
    For a daemon that keeps CAP_DAC_OVERRIDE. mount_namespaces(7), mount_setattr(2).
    Raises: OSError, on a kernel before 5.12, too.
    """
    if not holds("CAP_SYS_ADMIN"):
        return
    folders = [os.fsencode(folder.resolve()) for folder in writable]
    _check(_libc.unshare(_CLONE_NEWNS), "unshare")
    _mount(b"none", b"/", _MS_REC | _MS_SLAVE)  # what is mounted later is seen
    for folder in folders:
        _mount(folder, folder, _MS_BIND | _MS_REC)
    _set_read_only(b"/", read_only=True)
    for folder in folders:
        _set_read_only(folder, read_only=False)
    os.chdir(os.getcwd())  # into the new mounts


def _mount(source: bytes, target: bytes, flags: int) -> None:
    _check(_libc.mount(source, target, None, ctypes.c_ulong(flags), None), "mount")


def _set_read_only(path: bytes, *, read_only: bool) -> None:
    change = (_MOUNT_ATTR_RDONLY, 0) if read_only else (0, _MOUNT_ATTR_RDONLY)
    attributes = struct.pack("=4Q", *change, 0, 0)  # mount_attr: to set, to clear, ..., userns
    arguments = (_AT_FDCWD, path, _AT_RECURSIVE, attributes, ctypes.c_size_t(len(attributes)))
    _check(_libc.syscall(ctypes.c_long(_MOUNT_SETATTR), *arguments), "mount_setattr")


def forbid_core_dumps() -> None:
    """Keys shall not be in one, nor shall another process of this user look into this one."""
    with suppress(OSError):  # systemd has done it (LimitCORE=), and forbids the call
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)


def drop(keep: frozenset[str]) -> None:
    """Keep of the permitted capabilities only those in `keep`, such as {"CAP_NET_ADMIN"}.

    What the process does not have is not asked for, so an ordinary user may call it too. Holds
    for the calling thread and those it starts later.
    Raises: KeyError for an unknown name; OSError if the kernel refuses; OtherThreads.
    """
    wanted = sum(1 << NUMBERS[name] for name in keep)
    _check_alone()
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


def _check_alone() -> None:
    """Raises: OtherThreads."""
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        raise OtherThreads(f"privileges can only be dropped with one thread, and {threads} run")


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
