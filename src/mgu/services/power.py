"""What a unit allows its daemon (systemd.exec(5)): as little as `systemd-analyze security` counts.

Differs: not MemoryDenyWriteExecute, as pyOpenSSL's callbacks are made at run time (cffi); not
ProtectProc, as a daemon names the other program that is in its way.
"""

from mgu import account
from wire.lean import Final

_ALWAYS: Final = """\
NoNewPrivileges=yes
LimitCORE=0
ProtectSystem=strict
ProtectHome=read-only
PrivateMounts=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
InaccessiblePaths=-/etc/shadow -/etc/gshadow -/etc/ssh
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallFilter=capset
"""
_FOLDERS: Final = (("/run/", "RuntimeDirectory"), ("/var/lib/", "StateDirectory"))
_TUN: Final = "/dev/net/tun"


def power_of(capabilities: frozenset[str], folders: tuple[str, ...]) -> str:
    """Lines of the section [Service] for a daemon with these capabilities and folders."""
    lines = []
    user = account.find()
    if user is not None:
        lines += [f"User={account.NAME}", f"AmbientCapabilities={_list(capabilities)}"]
    lines.append(f"CapabilityBoundingSet={_list(capabilities)}")
    for prefix, name in _FOLDERS:
        within = [folder.removeprefix(prefix) for folder in folders if folder.startswith(prefix)]
        if within:
            lines.append(f"{name}={' '.join(within)}")
    lines += ["RuntimeDirectoryPreserve=yes", *_places(capabilities), *_network(capabilities)]
    # What is allowed again has to come last.
    return "\n".join([*lines, _ALWAYS.rstrip(), *_calls(capabilities), ""])


def _list(capabilities: frozenset[str]) -> str:
    return " ".join(sorted(capabilities))


def _places(capabilities: frozenset[str]) -> list[str]:
    """Its own /tmp, unless wpa_cli wants to be answered there; devices: the TUN device at most."""
    tmp = [] if "CAP_DAC_OVERRIDE" in capabilities else ["PrivateTmp=yes"]
    if "CAP_NET_BIND_SERVICE" in capabilities:
        return [*tmp, "DevicePolicy=closed", f"DeviceAllow={_TUN} rw"]
    return [*tmp, "PrivateDevices=yes"]


def _network(capabilities: frozenset[str]) -> list[str]:
    families = ["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"]
    if "CAP_CHOWN" in capabilities:
        families.append("AF_PACKET")
    return [f"RestrictAddressFamilies={' '.join(families)}"]


def _calls(capabilities: frozenset[str]) -> list[str]:
    owner = ["SystemCallFilter=@chown"] if "CAP_CHOWN" in capabilities else []
    if "CAP_SYS_TIME" in capabilities:
        return [*owner, "SystemCallFilter=@clock"]
    return [*owner, "ProtectClock=yes"]
