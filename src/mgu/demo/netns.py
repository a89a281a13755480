"""Network namespaces as hosts, veth pairs as cables, bridges as switches.

Each namespace has a thread of its own that lives inside it: sockets are made and links changed
there, while the caller stays where it is. Names begin with `mgu-PID-`, so that what a killed
process left behind is known and removed by `sweep`.
"""

import contextlib
import ctypes
import itertools
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_interface
from pathlib import Path
from typing import IO, Any, Final, ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

FOLDER: Final = Path("/run/netns")
_PREFIX: Final = "mgu"
_CLONE_NEWNET: Final = 0x40000000
_MS_BIND: Final = 4096
_MNT_DETACH: Final = 2

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


class CommandFailed(Exception):
    """A command run inside a namespace failed; the text holds its output."""


class Namespace:
    """One host. `delete` (or the end of a `with` block) ends its processes and removes it.

    Raises: OSError where the kernel refuses; PermissionError without CAP_SYS_ADMIN.
    """

    def __init__(self, label: str = "host") -> None:
        self.label = label
        self.name = f"{_PREFIX}-{os.getpid()}-{next(_numbers)}-{label}"
        self.path = FOLDER / self.name
        self._routes: Any = None
        self._inside = 0  # the thread's number, once it runs
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=self.name)
        try:
            self.call(self._create)
        except BaseException:
            self._thread.shutdown()
            raise

    def _create(self) -> None:
        """In the namespace's own thread: leave the old network, give the new one its name."""
        self._inside = threading.get_ident()
        FOLDER.mkdir(parents=True, exist_ok=True)
        _check(_libc.unshare(_CLONE_NEWNET), "unshare(CLONE_NEWNET)")
        self.path.touch()
        source = f"/proc/self/task/{threading.get_native_id()}/ns/net"
        result = _libc.mount(source.encode(), bytes(self.path), None, _MS_BIND, None)
        _check(result, f"mount {self.path}")
        self.link("lo", state="up")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.delete()

    def delete(self) -> None:
        """End every process inside, then remove the namespace. Can be repeated."""
        if not self.path.exists():
            return
        kill_inside(self.path)
        self.call(self._close_routes)
        self._thread.shutdown()
        _remove(self.path)

    def _close_routes(self) -> None:
        if self._routes is not None:
            self._routes.close()
            self._routes = None

    # Doing things inside

    def call(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """`function(...)` in the thread inside the namespace."""
        if threading.get_ident() == self._inside:
            return function(*arguments, **named)
        return self._thread.submit(function, *arguments, **named).result()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is inside for the block: keep to making sockets and processes."""
        with open("/proc/thread-self/ns/net", "rb") as home, self.path.open("rb") as there:
            _check(_libc.setns(there.fileno(), _CLONE_NEWNET), f"setns {self.name}")
            try:
                yield
            finally:
                _check(_libc.setns(home.fileno(), _CLONE_NEWNET), "setns home")

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        return self.call(socket.socket, family, kind, protocol)

    def popen(
        self,
        argv: Sequence[str],
        *,
        output: IO[bytes] | int | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process inside, in a session of its own; `output` takes stdout and stderr."""
        return self.call(
            subprocess.Popen,
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output is not None else None,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )

    def run(
        self,
        *argv: str,
        check: bool = True,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        timeout: float = 30.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end, with its output as text.

        Raises: CommandFailed if `check` and it fails; subprocess.TimeoutExpired.
        """
        result = self.call(
            subprocess.run,
            argv,
            env=env,
            input=stdin,
            timeout=timeout,
            capture_output=True,
            text=True,
        )
        if check and result.returncode:
            raise CommandFailed(
                f"{' '.join(argv)}: exit code {result.returncode}\n{result.stdout}{result.stderr}"
            )
        return result

    # Links, addresses, routes

    def netlink(self, verb: str, *arguments: Any, **fields: Any) -> Any:
        """One request by pyroute2's IPRoute, inside: netlink("route", "add", dst=..., ...)."""

        def ask() -> Any:
            if self._routes is None:
                from pyroute2 import IPRoute

                self._routes = IPRoute()
            answer = getattr(self._routes, verb)(*arguments, **fields)
            return list(answer) if isinstance(answer, Iterator) else answer

        return self.call(ask)

    def index(self, ifname: str) -> int:
        return self.call(socket.if_nametoindex, ifname)

    def link(self, ifname: str, **fields: Any) -> None:
        """Change a link: link("eth0", state="up")."""
        self.netlink("link", "set", index=self.index(ifname), **fields)

    def operstate(self, ifname: str) -> str:
        """UP, DOWN, LOWERLAYERDOWN, ... (RFC 2863, ifOperStatus)."""
        (link,) = self.netlink("get_links", self.index(ifname))
        return str(link.get("operstate"))

    def add_address(self, ifname: str, address: str) -> None:
        """`address` with its prefix length, such as 192.168.1.10/24."""
        interface = ip_interface(address)
        fields: dict[str, Any] = {}
        if interface.version == 6:
            fields["flags"] = 0x02  # IFA_F_NODAD: usable at once
        self.netlink(
            "addr",
            "add",
            index=self.index(ifname),
            address=str(interface.ip),
            prefixlen=interface.network.prefixlen,
            **fields,
        )

    def add_route(self, destination: str, via: str) -> None:
        """`destination` such as 192.168.2.0/24, or "default"."""
        self.netlink("route", "add", dst=destination, gateway=via)

    def add_bridge(self, ifname: str, ports: Sequence[str] = ()) -> None:
        self.netlink("link", "add", ifname=ifname, kind="bridge")
        for port in ports:
            self.link(port, master=self.index(ifname))
        self.link(ifname, state="up")

    def isolate_port(self, port: str, isolated: bool) -> None:
        """A bridge passes nothing from one isolated port to another."""
        self.netlink("brport", "set", index=self.index(port), isolated=int(isolated))

    def sysctl(self, name: str, value: str) -> None:
        """sysctl("net.ipv4.ip_forward", "1"): /proc/sys/net is that of the calling thread."""
        self.call(Path("/proc/sys", name.replace(".", "/")).write_text, value)


class Veth:
    """A cable between two hosts: (namespace, interface name) at each end. Both ends are up."""

    def __init__(self, left: tuple[Namespace, str], right: tuple[Namespace, str]) -> None:
        self.left, self.right = left, right
        host, ifname = left
        with right[0].path.open("rb") as far:
            peer = {"ifname": right[1], "net_ns_fd": far.fileno()}
            # Equal numbers at both ends would have the kernel report carrier up to 1 s late.
            index = 1000 + next(_numbers)
            host.netlink("link", "add", ifname=ifname, index=index, kind="veth", peer=peer)
        for namespace, name in (left, right):
            namespace.link(name, state="up")
        self._await_carrier()
        self._routes: list[dict[str, Any]] = []

    def _await_carrier(self, *, there: bool = True, within: float = 5.0) -> None:
        """Until both ends know; what is sent before is dropped. A busy machine takes a while."""
        limit = time.monotonic() + within
        for namespace, ifname in (self.left, self.right):
            while (namespace.operstate(ifname) == "UP") != there and time.monotonic() < limit:
                time.sleep(0.005)

    def cut(self) -> None:
        """Pull the plug at the right end: the left end loses its carrier."""
        namespace, ifname = self.right
        index = namespace.index(ifname)
        self._routes = [
            {"dst": f"{route.get('dst', '0.0.0.0')}/{route['dst_len']}", "gateway": gateway}
            for route in namespace.netlink("get_routes", family=socket.AF_INET, oif=index)
            if (gateway := route.get("gateway"))
        ]
        namespace.link(ifname, state="down")
        self._await_carrier(there=False)

    def restore(self) -> None:
        """Plug it in again; routes that the right end lost come back."""
        namespace, ifname = self.right
        namespace.link(ifname, state="up")
        self._await_carrier()
        for route in self._routes:
            namespace.netlink("route", "replace", **route)
        self._routes = []


def processes_inside(path: Path) -> list[int]:
    """The processes whose network namespace is the one mounted at `path`, without our own."""
    wanted = path.stat().st_ino
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if (entry / "ns/net").stat().st_ino == wanted:
                found.append(int(entry.name))
    return found


def kill_inside(path: Path) -> None:
    """SIGKILL for every process in the namespace at `path`, until none of them runs."""
    while inside := [pid for pid in processes_inside(path) if not _is_zombie(pid)]:
        for pid in inside:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _remove(path: Path) -> None:
    _libc.umount2(bytes(path), _MNT_DETACH)
    path.unlink(missing_ok=True)


def sweep() -> list[str]:
    """Remove the namespaces of dead makers, with the processes inside; return their names."""
    removed: list[str] = []
    if not FOLDER.is_dir():
        return removed
    for path in FOLDER.iterdir():
        prefix, _, rest = path.name.partition("-")
        owner = rest.partition("-")[0]
        if prefix != _PREFIX or not owner.isdigit() or Path(f"/proc/{owner}").exists():
            continue
        with contextlib.suppress(FileNotFoundError):  # another sweep was faster
            kill_inside(path)
            _remove(path)
            removed.append(path.name)
    return removed
