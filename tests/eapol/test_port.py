"""The packet socket on a pair of virtual cables, in a namespace that an ordinary user can make."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence

HEAD = """
import asyncio, logging, os, socket, subprocess, sys, textwrap
from eapol.aio.port import AT_ONCE, Port
from eapol.errors import EapolError

def ip(words):
    subprocess.run(["ip", *words.split()], check=True)

def groups():
    return open("/proc/net/dev_mcast").read().count("0180c2000003")

async def until(what):
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.005)

async def main():
    ip("link add left type veth peer name right")
    for name in ("left", "right"):
        ip(f"link set {name} up")
    heard, theirs = [], []
    left = Port("left", lambda octets, source: heard.append((octets, source)))
    right = Port("right", lambda octets, source: theirs.append((octets, source)))
"""


def between_two_ports(script: str, prefix: Sequence[str] = ()) -> list[str]:
    """What `script` prints, the body of a coroutine with a port at each end of a cable."""
    body = "".join(f"    {line}\n" for line in script.strip().splitlines())
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), *sys.path]),
    }
    program = f"{HEAD}{body}\nasyncio.run(main())\n"
    argv = ["unshare", "-rn", *prefix, sys.executable, "-B", "-c", program]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


def test_frames_go_to_the_group_address_and_come_with_their_source() -> None:
    assert between_two_ports("""
every = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
every.bind(("right", 0))
for port in (left, right):
    port.open()
    port.start()
left.send(b"hello")
await until(lambda: theirs)
right.send(b"answer")
await until(lambda: heard)
def mac(name):
    words = subprocess.run(["ip", "-o", "link", "show", name], capture_output=True, text=True)
    return bytes.fromhex(words.stdout.partition("link/ether ")[2][:17].replace(":", ""))
print(theirs == [(b"hello", mac("left"))], heard == [(b"answer", mac("right"))])
frames = []
while not frames or not frames[-1].endswith(b"hello"):
    frames.append(every.recv(2000))
print(frames[-1][:6].hex(), frames[-1][12:14].hex())
print(left.index == socket.if_nametoindex("left"), groups(), dict(left.dropped))
""") == ["True True", "0180c2000003 888e", "True 2 {}"]


def test_a_flood_takes_turns_and_loses_nothing() -> None:
    assert between_two_ports("""
for port in (left, right):
    port.open()
left.start()
for number in range(3 * AT_ONCE):
    right.send(bytes([number]))
turns = []
def look():
    turns.append(len(heard))
    if len(heard) < 3 * AT_ONCE:
        loop.call_soon(look)
loop = asyncio.get_running_loop()
loop.call_soon(look)
await until(lambda: len(heard) == 3 * AT_ONCE)
print([octets[0] for octets, _ in heard] == list(range(3 * AT_ONCE)))
print(all(b - a <= AT_ONCE for a, b in zip(turns, turns[1:])))
""") == ["True", "True"]


def test_a_port_that_is_closed_or_down_drops_what_it_is_to_send_and_counts_it() -> None:
    assert between_two_ports("""
left.send(b"x")
left.open()
left.start()
ip("link set left down")
left.send(b"x")
left.send(b"x")
await asyncio.sleep(0.05)
print(dict(left.dropped))
left.close()
left.close()
left.send(b"x")
print(dict(left.dropped), left.index, groups())
""") == [
        "{'closed': 1, 'Network is down': 2}",
        "{'closed': 2, 'Network is down': 2} None 0",
    ]


def test_a_frame_that_is_too_long_is_told_of() -> None:
    assert between_two_ports("""
logging.basicConfig(format="%(levelname)s %(message)s")
left.open()
left.send(bytes(9000))
print(dict(left.dropped))
""") == ["{'Message too long': 1}", "WARNING left: frame not sent: Message too long"]


def test_an_interface_that_went_away_is_opened_again_when_it_is_back() -> None:
    assert between_two_ports("""
left.open()
left.start()
before = left.index
ip("link del left")
try:
    left.open()
except EapolError as error:
    print(type(error).__name__, error)
print(left.index)
ip("link add left type veth peer name right")
for name in ("left", "right"):
    ip(f"link set {name} up")
left.open()
right.open()
right.send(b"x")
await until(lambda: heard)
print(left.index != before, len(heard))
""") == [
        "InterfaceMissing left: there is no such interface; there are: none",
        "None",
        "True 1",
    ]


def test_the_interfaces_that_there_are_are_named() -> None:
    (said,) = between_two_ports("""
try:
    Port("eth7", None).open()
except EapolError as error:
    print(error)
""")
    assert said.startswith("eth7: there is no such interface; there are: ")
    assert "lo" not in said.partition("are: ")[2].split(", ")
    assert {"left", "right"} <= set(said.partition("are: ")[2].split(", "))


def test_another_program_that_speaks_eapol_there_is_named_and_elsewhere_is_nobodys_business() -> (
    None
):
    said = between_two_ports("""
rival = '''
import socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
sock.bind(("left", int(sys.argv[1], 16)))
print("ready", flush=True)
sys.stdin.read()
'''
def started(kind):
    argv = [sys.executable, "-c", textwrap.dedent(rival), kind]
    made = subprocess.Popen(argv, stdin=-1, stdout=-1)
    assert made.stdout.readline() == b"ready\\n"
    return made
other = started("88cc")
left.open()
print(left.index is not None)
left.open()  # our own socket is none of another
def own():
    made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    made.bind(("left", 0x888e))
    return made
before = own()  # the kernel's list has it on one side of the rival's, and the next on the other
with started("888e") as child:
    after = own()
    right.open()
    try:
        left.open()
    except EapolError as error:
        print(str(error).replace(str(child.pid), "PID"))
    print(left.index, groups())
    child.stdin.close()
left.open()
other.stdin.close()
other.wait()
print(left.index is not None)
""")
    assert said[0] == "True"
    assert re.fullmatch(r"left: python\S* \(process PID\) .*; stop it first: kill PID", said[1])
    assert said[2:] == ["None 1", "True"]


def test_who_may_not_open_a_packet_socket_is_told_what_it_needs() -> None:
    said = between_two_ports(
        """
try:
    left.open()
except EapolError as error:
    print(type(error).__name__, error)
""",
        prefix=["setpriv", "--bounding-set", "-net_raw", "--"],
    )
    need = "left: EAPOL needs a packet socket, and that needs root (CAP_NET_RAW)"
    assert said == [f"NotPermitted {need}"]
