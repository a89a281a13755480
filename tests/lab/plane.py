"""A data plane in memory, for those who only need one that remembers."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import count

from xfrm import dataplane, model

Traffic = tuple[model.Selector, model.Direction]


class Plane:
    """Its events are `told`. It acts as Linux does: policies keep their index, an Acquire leaves a
    larval SA without SPI that is in the way of the next. With `refusal` it refuses everything.
    """

    def __init__(
        self,
        spd: Sequence[model.Policy] = (),
        told: Sequence[dataplane.Event] = (),
        refusal: dataplane.XfrmError | None = None,
    ) -> None:
        self.held: dict[model.SaId, model.SecurityAssociation] = {}
        self.spd: dict[Traffic, model.Policy] = {(p.selector, p.direction): p for p in spd}
        self.told = list(told)
        self.larval: list[model.SecurityAssociation] = []
        self.refusal = refusal
        self._index = count(1000)
        self._spi = count(0x1000)

    async def allocate_spi(
        self,
        *,
        src: model.Address,
        dst: model.Address,
        protocol: model.Protocol,
        mode: model.Mode,
        reqid: int = 0,
    ) -> int:
        self._refuse()
        made = model.SecurityAssociation(
            src=src,
            dst=dst,
            spi=next(self._spi),
            protocol=protocol,
            mode=mode,
            reqid=reqid,
            larval=True,
        )
        self.held[made.id] = made
        return made.spi

    def acquire(self, policy: model.Policy, src: model.Address, dst: model.Address) -> bool:
        """A packet of `policy` finds no SA; whether that is told."""
        larval = _asked(policy, src, dst)
        if larval in self.larval:
            return False
        self.larval.append(larval)
        return True

    async def ask_again(
        self, policy: model.Policy, src: model.Address, dst: model.Address, /
    ) -> None:
        self._refuse()
        self.larval = [sa for sa in self.larval if sa != _asked(policy, src, dst)]

    async def add_sa(self, sa: model.SecurityAssociation) -> None:
        self._refuse()
        self.held[sa.id] = sa

    async def update_sa(self, sa: model.SecurityAssociation) -> None:
        self._refuse()
        self.held[sa.id] = sa

    async def delete_sa(self, sa: model.SaId) -> None:
        if self.held.pop(sa, None) is None:
            raise dataplane.NoSuchEntry("there is no such SA")

    async def sas(self) -> list[model.SecurityAssociation]:
        self._refuse()
        return [*self.held.values(), *self.larval]

    async def add_policy(self, policy: model.Policy) -> None:
        self._refuse()
        before = self.spd.get((policy.selector, policy.direction))
        index = next(self._index) if before is None else before.index
        self.spd[policy.selector, policy.direction] = replace(policy, index=index)

    async def delete_policy(self, policy: model.Policy) -> None:
        if self.spd.pop((policy.selector, policy.direction), None) is None:
            raise dataplane.NoSuchEntry("there is no such policy")

    async def policies(self) -> list[model.Policy]:
        self._refuse()
        return list(self.spd.values())

    async def events(self) -> AsyncIterator[dataplane.Event]:
        for event in self.told:
            yield event

    async def close(self) -> None: ...

    def _refuse(self) -> None:
        if self.refusal is not None:
            raise self.refusal


def _asked(
    policy: model.Policy, src: model.Address, dst: model.Address
) -> model.SecurityAssociation:
    template = policy.templates[0]
    return model.SecurityAssociation(
        src=template.src or src,
        dst=template.dst or dst,
        spi=0,
        protocol=template.protocol,
        mode=template.mode,
        reqid=template.reqid,
        larval=True,
    )
