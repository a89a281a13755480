"""Packets that wait while IKE negotiates their SA: limited in number and time."""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from xfrm.esp.sad import Ends
from xfrm.tun.spd import PolicyEntry

HELD_PACKETS: Final = 32  # for each SA that is missing
HELD_SECONDS: Final = 10.0  # older packets are worth nothing to who sent them
ACQUIRE_SECONDS: Final = 30.0  # the kernel's net.core.xfrm_acq_expires
_MOST_PACKETS: Final = 1024  # in all
_MOST_SAS: Final = 1 << 14  # that are asked for at a time
_LOOK_SECONDS: Final = 1.0  # no oftener is looked for old packets


@dataclass(slots=True)
class _Queue:
    """What waits for one SA by one policy; `asked` is when it was asked for last."""

    asked: float
    packets: deque[tuple[float, bytes]] = field(default_factory=deque)


class Waiting:
    """Times are monotonic seconds. `deadline` is when `age` should be called."""

    def __init__(self) -> None:
        self._queues: dict[Ends, dict[PolicyEntry, _Queue]] = {}
        self._of_policy: dict[PolicyEntry, set[Ends]] = {}
        self._packets = 0
        self._sas = 0
        self.deadline: float | None = None

    def __len__(self) -> int:
        return self._packets

    def add(self, ends: Ends, policy: PolicyEntry, packet: bytes, now: float) -> tuple[bool, bool]:
        """Whether there was room for all, and whether it is time to ask for the SA."""
        queue = self._queues.get(ends, {}).get(policy)
        ask = queue is None or now - queue.asked >= ACQUIRE_SECONDS
        if queue is None:
            if self._sas >= _MOST_SAS:
                return False, False
            queue = self._queues.setdefault(ends, {})[policy] = _Queue(now)
            self._of_policy.setdefault(policy, set()).add(ends)
            self._sas += 1
        elif ask:
            queue.asked = now
        if self.deadline is None:
            self.deadline = now + HELD_SECONDS
        full = len(queue.packets) >= HELD_PACKETS
        if full:  # the newest are worth more
            queue.packets.popleft()
        elif self._packets >= _MOST_PACKETS:
            return False, ask
        else:
            self._packets += 1
        queue.packets.append((now, packet))
        return not full, ask

    def ask_again(self, policy: PolicyEntry) -> None:
        for ends in self._of_policy.get(policy, ()):
            self._queues[ends][policy].asked = -math.inf

    def take(self, ends: Ends, now: float) -> list[bytes]:
        """The packets for an SA that is there now; those that are too old are dropped."""
        return self._taken([(ends, policy) for policy in self._queues.get(ends, ())], now)

    def take_of(self, policy: PolicyEntry, now: float) -> list[bytes]:
        """The packets of a policy that is not there any more."""
        return self._taken([(ends, policy) for ends in self._of_policy.get(policy, ())], now)

    def age(self, now: float) -> int:
        """Drop what is too old. Returns: how many packets."""
        before = self._packets
        oldest: float | None = None
        for ends, queues in list(self._queues.items()):
            for policy, queue in list(queues.items()):
                while queue.packets and now - queue.packets[0][0] >= HELD_SECONDS:
                    queue.packets.popleft()
                    self._packets -= 1
                if queue.packets:
                    first = queue.packets[0][0] + HELD_SECONDS
                elif now - queue.asked < ACQUIRE_SECONDS:
                    first = queue.asked + ACQUIRE_SECONDS
                else:
                    self._remove(ends, policy)
                    continue
                oldest = first if oldest is None else min(oldest, first)
        self.deadline = None if oldest is None else max(oldest, now + _LOOK_SECONDS)
        return before - self._packets

    def _taken(self, names: list[tuple[Ends, PolicyEntry]], now: float) -> list[bytes]:
        packets: list[bytes] = []
        for ends, policy in names:
            queue = self._remove(ends, policy)
            self._packets -= len(queue.packets)
            packets += [packet for since, packet in queue.packets if now - since < HELD_SECONDS]
        return packets

    def _remove(self, ends: Ends, policy: PolicyEntry) -> _Queue:
        queue = self._queues[ends].pop(policy)
        if not self._queues[ends]:
            del self._queues[ends]
        self._of_policy[policy].discard(ends)
        if not self._of_policy[policy]:
            del self._of_policy[policy]
        self._sas -= 1
        return queue
