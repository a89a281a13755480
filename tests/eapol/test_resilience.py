"""Bad wires and strangers: the port opens or a failure is reported, and nothing is ever stuck."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eapol import eap
from eapol.eap import EapCode, EapType, Packet
from eapol.events import (
    Disconnect,
    Event,
    FrameReceived,
    LinkChanged,
    Logoff,
    Logon,
    Looked,
    PortAuthorized,
    PortUnauthorized,
    Reauthenticate,
    Reconnect,
    SendFrame,
    SetPortControl,
    SetTimer,
    TimerName,
    UseNetwork,
    UseTls,
)
from eapol.frame import Frame, PacketType
from eapol.settings import TlsPolicy, TlsVersion
from eapol.status import PortControl, PortStatus
from lab.eapol_pair import NETWORK, Pair, client_context, pair, server_context
from lab.virtual import Weather
from wire.timer import TimerFired

TLS_1_2 = TlsPolicy(max_version=TlsVersion.TLS_1_2)


@pytest.mark.parametrize("loss", [0.0, 0.2, 0.5])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=12, deadline=None)
def test_the_port_opens_whatever_the_wire_loses_repeats_and_reorders(
    loss: float, seed: int
) -> None:
    weather = Weather(loss=loss, duplication=0.2, jitter=0.02)
    both = pair(weather=weather, seed=seed)
    both.plug_in()
    assert both.opens(within=7200.0)


@given(st.integers(0, 40))
@settings(max_examples=15, deadline=None)
def test_whichever_single_frame_is_lost_the_port_opens_within_a_minute(lost: int) -> None:
    both = pair(client=client_context(TLS_1_2), server=server_context(TLS_1_2))
    count = {"frames": 0}

    def lose_one(_: str, octets: bytes) -> bytes | None:
        count["frames"] += 1
        return None if count["frames"] == lost + 1 else octets

    both.tap = lose_one
    both.plug_in()
    assert both.opens(within=60.0)


@given(st.integers(0, 40))
@settings(max_examples=15, deadline=None)
def test_a_plug_pulled_at_any_frame_and_put_back_opens_the_port(at: int) -> None:
    both = pair()
    count = {"frames": 0}

    def watch(_: str, octets: bytes) -> bytes | None:
        count["frames"] += 1
        return octets if count["frames"] <= at else None

    both.tap = watch
    both.plug_in()
    both.run_for(2.0)
    both.gateway(LinkChanged(up=False))
    both.switch(LinkChanged(up=False))
    both.tap = lambda _, octets: octets
    both.run_for(5.0)
    both.plug_in()
    assert both.opens(within=5.0)


def bodies() -> st.SearchStrategy[bytes]:
    types = st.sampled_from([0, 1, 2, 3, 4, 13, 254]) | st.integers(0, 255)
    ids = st.integers(0, 3)
    codes = st.sampled_from(list(EapCode)).map(EapCode)
    data = st.binary(max_size=20) | st.sampled_from([b"\x20", b"\x00", b"\xc0\x00\x00\x10\x00abc"])
    packets = st.builds(Packet, codes, ids, types.map(EapType), data).map(bytes)
    return packets | st.binary(max_size=40)


def events() -> st.SearchStrategy[Event | TimerFired]:
    date = datetime.now(UTC)

    def received(octets: bytes) -> FrameReceived:
        return FrameReceived(octets=octets, source=octets[-1:] * 6, date=date)

    eap_frames = bodies().map(lambda body: bytes(Frame(PacketType.EAP_PACKET, body)))
    others: st.SearchStrategy[Event | TimerFired] = st.sampled_from(
        [
            LinkChanged(up=True),
            LinkChanged(up=False),
            Logoff(),
            Logon(),
            Reauthenticate(),
            Disconnect(),
            Reconnect(),
            TimerFired(),
            UseTls(tls=client_context()),
            UseNetwork(network=NETWORK, tls=client_context()),
            UseNetwork(network=NETWORK, tls=None, waits="a file"),
            UseNetwork(network=replace(NETWORK, disabled=True), tls=None),
            *(Looked(date=date + timedelta(days=days)) for days in (-9000, 0, 9000)),
            *(SetPortControl(control=control) for control in PortControl),
            *(SetTimer(name=name, value=value) for name in TimerName for value in (-1, 0, 1, 99)),
        ]
    )
    return st.one_of((eap_frames | st.binary(max_size=20)).map(received), others)


@given(st.lists(st.tuples(events(), st.floats(0, 100)), max_size=40))
@settings(max_examples=150, deadline=None)
def test_no_order_of_events_raises_or_leaves_a_usable_port_without_a_deadline(
    script: list[tuple[Event | TimerFired, float]],
) -> None:
    both = pair()
    supplicant, now, authorized = both.supplicant, 0.0, False
    for event, pause in [(LinkChanged(up=True), 0.0), *script]:
        now += pause
        for command in supplicant.handle(event, now):
            if isinstance(command, PortAuthorized):
                authorized = True
            elif isinstance(command, PortUnauthorized):
                assert authorized
                authorized = False
        status = supplicant.status()
        assert authorized == (status.port_status is PortStatus.AUTHORIZED)
        if status.pae_state.name in ("CONNECTING", "AUTHENTICATING", "HELD"):
            assert supplicant.deadline is not None
            assert supplicant.deadline > now


@given(st.lists(bodies(), max_size=10))
@settings(max_examples=100, deadline=None)
def test_a_stranger_gets_at_most_one_frame_for_each_of_his(packets: list[bytes]) -> None:
    both = pair()
    both.supplicant.handle(LinkChanged(up=True), 0.0)
    for body in packets:
        octets = bytes(Frame(PacketType.EAP_PACKET, body))
        event = FrameReceived(octets=octets, source=bytes(6), date=both.date)
        sent = [c for c in both.supplicant.handle(event, 0.0) if isinstance(c, SendFrame)]
        assert len(sent) <= 1


def test_a_flood_of_requests_ends_with_the_port_open() -> None:
    both = pair()
    both.plug_in()
    for number in range(2000):
        asked = bytes(eap.request(number & 0xFF, EapType.IDENTITY))
        both.inject(bytes(Frame(PacketType.EAP_PACKET, asked)))
    both.tap = lambda _, octets: octets
    assert both.opens(within=60.0)


def test_hundreds_of_gateways_authenticate_in_a_second_of_nobodys_time() -> None:
    pairs: list[Pair] = [pair(seed=seed) for seed in range(100)]
    for both in pairs:
        both.plug_in()
    assert all(both.opens() for both in pairs)
