"""Which data plane the keying daemon takes; interop and kernel tests show that each works."""

from contextlib import AsyncExitStack
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from ike.aio.sockets import Listening
from ike.values import Endpoint
from lab.esp_values import sa
from lab.plane import Plane as InMemory
from mgu.keying.plane import Opener, Plane, ike_ports, open_plane, udp_sender
from xfrm.dataplane import Unsupported, XfrmError
from xfrm.model import Encapsulation

HERE = ip_address("192.0.2.1")


def opener(name: str, refusal: XfrmError | None = None) -> Opener:
    async def opened(_: AsyncExitStack, listening: Listening) -> Plane:
        assert listening.isakmp_port == 501
        if refusal is not None:
            raise refusal
        return Plane(name, InMemory(), None)  # type: ignore[arg-type]

    return opened


async def chosen(kernel: Opener) -> str:
    async with AsyncExitStack() as stack:
        listening = Listening(isakmp_port=501)
        plane = await open_plane(stack, listening, kernel, opener("ours"))
        assert await plane.backend.policies() == []
        return plane.name


NO_ESP = Unsupported("this kernel has no ESP")


@pytest.mark.parametrize(
    ("choice", "with_esp", "without"),
    [("auto", "kernel", "ours"), ("kernel", "kernel", None), ("userspace", "ours", "ours")],
)
async def test_the_kernel_is_asked_first_unless_one_is_named(
    monkeypatch: pytest.MonkeyPatch, choice: str, with_esp: str, without: str | None
) -> None:
    monkeypatch.setenv("MGU_DATAPLANE", choice)
    assert await chosen(opener("kernel")) == with_esp
    if without is None:
        with pytest.raises(Unsupported):
            await chosen(opener("kernel", NO_ESP))
    else:
        assert await chosen(opener("kernel", NO_ESP)) == without


async def test_without_a_choice_it_is_auto_and_the_log_says_what_the_kernel_lacks(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MGU_DATAPLANE", raising=False)
    caplog.set_level("INFO", "ike")
    assert await chosen(opener("kernel", NO_ESP)) == "ours"
    assert caplog.messages == ["this kernel has no ESP; the userspace data path does it instead"]


async def test_a_kernel_that_refuses_for_another_reason_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MGU_DATAPLANE", "auto")
    with pytest.raises(XfrmError, match="needs root"):
        await chosen(opener("kernel", XfrmError("it needs root")))


async def test_a_data_plane_that_there_is_not_is_refused_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MGU_DATAPLANE", "hardware")
    with pytest.raises(XfrmError) as refused:
        await chosen(opener("kernel"))
    assert str(refused.value) == "MGU_DATAPLANE=hardware is not one of auto, kernel, userspace"


def test_all_ports_that_ike_may_use_are_let_in_in_clear() -> None:
    listening = Listening(
        isakmp=(Endpoint(HERE, 501),), natt=(Endpoint(HERE, 4501),), isakmp_port=502, natt_port=4502
    )
    assert ike_ports(listening) == {501, 4501, 502, 4502}
    assert ike_ports(Listening()) == {500, 4500}


def test_esp_in_udp_leaves_between_the_ports_of_its_sa() -> None:
    class Ends:
        def sender(self, *ends: Endpoint) -> Any:
            return ends

    send = udp_sender(Ends())  # type: ignore[arg-type]
    plain = sa("192.0.2.1", "192.0.2.2", 0x1001)
    natted = replace(plain, encapsulation=Encapsulation(src_port=4501, dst_port=61000))
    ends: object = send(natted)
    assert ends == (Endpoint(HERE, 4501), Endpoint(ip_address("192.0.2.2"), 61000))
    with pytest.raises(XfrmError, match="0x00001001 has no ports"):
        send(replace(plain, encapsulation=None))
