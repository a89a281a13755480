"""What ends HELD, what is waited for, and what is said of our own certificate meanwhile."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from eapol.authenticator import AuthenticatorSettings
from eapol.events import Look, Looked, Tell, UseNetwork, UseTls
from eapol.notices import CertificateError, Noted, Warned
from eapol.settings import Credentials, TlsPolicy
from eapol.status import PaeState, PortStatus, Review, WpaState
from eapol.supplicant import DAY, LOOK_CLOSED, LOOK_OPEN, Supplicant
from eapol.tls import ClientContext
from lab.eapol_pair import (
    NETWORK,
    START,
    Pair,
    client_context,
    credentials,
    nothing,
    opened,
    pae,
    pair,
    silent,
)
from lab.pki import Issued, KeyKind, Usage, site

WRONG = datetime(2001, 1, 1, tzinfo=UTC)
ROOT = site(depth=2).root.certificate_pem()


def context(own: Issued, ca: bytes = ROOT, policy: TlsPolicy = NETWORK.tls) -> ClientContext:
    return ClientContext(replace(policy, resume=False), credentials(own, ca))


def failure(both: Pair) -> str:
    return both.supplicant.status().failure or ""


def starts(both: Pair) -> int:
    return both.sent("gateway").count(START)


def at_a_wrong_date(quietPeriod: float) -> Pair:
    """A gateway without a clock: it refused the server as not yet valid."""
    both = pair(date=WRONG, settings=AuthenticatorSettings(quietPeriod=quietPeriod))
    both.plug_in()
    both.run_for(5.0)
    assert pae(both) is PaeState.HELD
    assert "not yet valid" in failure(both)
    return both


# What ends HELD


def test_the_right_date_opens_the_port_within_two_seconds() -> None:
    both = at_a_wrong_date(quietPeriod=1.0)
    both.date = datetime.now(UTC)
    assert both.opens(within=2.0)
    assert any(said.startswith("the date was set; it is ") for said in both.said(Noted))


@pytest.mark.parametrize("corrected_at", [10.0, 30.0, 55.0])
def test_after_a_try_at_the_wrong_date_the_port_opens_two_seconds_after_quiet_period(
    corrected_at: float,
) -> None:
    both = at_a_wrong_date(quietPeriod=60.0)
    both.run_for(corrected_at - both.lab.now)
    both.date = datetime.now(UTC)
    assert both.opens(within=60.0 + 2.0 - corrected_at)
    assert both.said(Noted)[-1].endswith(" UTC now; trying again")


def test_a_switch_that_does_not_poll_is_asked_again_when_its_quiet_period_is_over() -> None:
    """HELD was left at once, to no avail: the switch hears nobody for 60 s, and does not ask."""
    both = at_a_wrong_date(quietPeriod=1e9)
    both.date = datetime.now(UTC)
    both.run_for(61.0 - both.lab.now)
    before = starts(both)
    assert before >= 5
    both.run_for(4.0)
    assert starts(both) == before + 2


def test_a_date_that_is_set_wrong_does_not_close_an_open_port() -> None:
    both = opened()
    both.date = WRONG
    both.run_for(LOOK_OPEN + 1.0)
    assert both.open
    assert any("not valid before" in said for said in both.said(Warned))


def test_a_clock_that_is_slewed_is_not_one_that_is_set() -> None:
    both = silent()
    both.plug_in()
    for _ in range(600):
        both.run_for(1.0)
        both.date += timedelta(seconds=0.0005)  # 500 ppm, as much as Linux slews
    assert both.said(Noted) == []


@pytest.mark.parametrize("seconds", [-86_400.0, -2.0, 2.0, 3600.0])
def test_a_step_in_either_direction_is_noticed(seconds: float) -> None:
    both = silent()
    both.plug_in()
    both.run_for(5.0)
    both.date += timedelta(seconds=seconds)
    both.run_for(1.0)
    assert len(both.said(Noted)) == 1


def test_a_renewed_certificate_ends_held() -> None:
    expired = context(site(depth=2).expired(Usage.CLIENT))
    both = pair(client=expired, settings=AuthenticatorSettings(quietPeriod=1.0))
    both.plug_in()
    both.run_for(5.0)
    assert pae(both) is PaeState.HELD
    both.gateway(UseTls(tls=client_context()))
    assert pae(both) is PaeState.CONNECTING
    assert both.opens(within=2.0)


def test_a_renewed_certificate_disturbs_no_conversation_and_no_open_port() -> None:
    both = opened()
    before = len(both.frames)
    both.gateway(UseTls(tls=client_context()))
    both.run_for(5.0)
    assert both.open
    assert len(both.frames) == before


def test_held_without_a_reason_to_try_lasts_its_period() -> None:
    both = silent()
    both.plug_in()
    both.run_for(90.5)
    assert pae(both) is PaeState.HELD
    before = starts(both)
    both.run_for(59.0)
    assert (pae(both), starts(both)) == (PaeState.HELD, before)


# Looking


def looks(both: Pair, seconds: float) -> int:
    before = len(both.commands)
    both.run_for(seconds)
    return sum(isinstance(command, Look) for command in both.commands[before:])


def test_a_closed_port_is_looked_after_each_second_and_an_open_one_each_minute() -> None:
    both = silent()
    both.plug_in()
    assert looks(both, 10 * LOOK_CLOSED + 0.5) == 10
    assert looks(opened(), 10 * LOOK_OPEN + 0.5) == 10


def test_a_port_that_closes_is_looked_after_at_once() -> None:
    both = opened()
    both.tap = nothing
    both.run_for(5.0)
    both.gateway(UseNetwork(network=NETWORK, tls=client_context()))
    assert looks(both, 5.5) >= 5


def test_nothing_is_looked_at_for_a_network_that_is_disabled() -> None:
    both = silent(replace(NETWORK, disabled=True))
    both.plug_in()
    both.run_for(1.0)
    assert looks(both, 1000.0) == 0


# Waiting


MISSING = "/etc/wpa_cert/key.pem: cannot be read; waiting for the file to change"


def waiting() -> Pair:
    both = silent()
    both.gateway(UseNetwork(network=NETWORK, tls=None, waits=MISSING))
    both.plug_in()
    return both


def test_a_missing_file_sends_nothing_and_says_what_it_waits_for() -> None:
    both = waiting()
    both.run_for(100.0)
    status = both.supplicant.status()
    assert both.sent("gateway") == []
    assert failure(both) == MISSING
    assert status.wpa_state is WpaState.DISCONNECTED
    assert status.port_status is PortStatus.UNAUTHORIZED
    assert both.said(Warned) == [MISSING]


def test_a_file_that_comes_opens_the_port_at_once() -> None:
    both = waiting()
    both.run_for(10.0)
    both.tap = lambda _, octets: octets
    both.gateway(UseTls(tls=client_context()))
    assert both.opens(within=1.0)
    assert both.supplicant.status().failure is None


def test_another_reason_to_wait_takes_the_place_of_the_first() -> None:
    both = waiting()
    both.gateway(UseNetwork(network=NETWORK, tls=None, waits="another"))
    assert failure(both) == "another"


# Our own certificate


def test_a_certificate_in_order_is_not_spoken_of() -> None:
    assert opened().supplicant.status().review == Review()


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (site(depth=2).expired(Usage.CLIENT), "expired on "),
        (site(depth=2).not_yet_valid(Usage.CLIENT), "is not valid before "),
        (site(depth=2).leaf(Usage.SERVER), "is not for client authentication"),
    ],
)
def test_what_a_server_will_refuse_is_said_at_the_start(own: Issued, said: str) -> None:
    both = silent()
    both.gateway(UseNetwork(network=NETWORK, tls=context(own)))
    both.run_for(0.1)
    (fault,) = both.supplicant.status().review.faults
    assert fault.startswith("client.pem: the certificate ")
    assert said in fault
    assert fault in both.said(Warned)


def test_a_chain_with_a_gap_is_said_with_the_issuer_that_is_missing() -> None:
    deep = site(depth=4)
    alone = replace(deep.client, chain=())
    both = silent()
    both.gateway(UseNetwork(network=NETWORK, tls=context(alone, deep.root.certificate_pem())))
    both.run_for(0.1)
    (fault,) = both.supplicant.status().review.faults
    assert "rung 2" in fault
    assert "which is neither in this file nor in ca_cert" in fault
    assert "append it to client.pem" in fault
    whole = silent()
    whole.gateway(
        UseNetwork(network=NETWORK, tls=context(deep.client, deep.root.certificate_pem()))
    )
    whole.run_for(0.1)
    assert whole.supplicant.status().review == Review()


def test_what_will_be_a_fault_is_a_warning_each_day_and_then_a_fault() -> None:
    here = site(depth=2)
    both = opened(pair(client=context(here.client)))
    end = here.client.certificate.not_valid_after_utc
    both.date = end - timedelta(days=2, hours=1)
    both.run_for(LOOK_OPEN + 1.0)
    assert both.open
    (warning,) = both.supplicant.status().review.warnings
    assert "expires on" in warning
    said = [text for text in both.said(Warned) if "expires on" in text]
    assert said == [warning]
    both.run_for(DAY)
    assert len([text for text in both.said(Warned) if "expires on" in text]) == 2
    both.run_for(2 * DAY)
    assert both.supplicant.status().review.warnings == ()
    assert "expired on" in both.supplicant.status().review.faults[0]


def test_a_weak_certificate_is_a_warning() -> None:
    both = opened(pair(client=context(site(depth=2).leaf(Usage.CLIENT, KeyKind.RSA_1024))))
    (warning,) = both.supplicant.status().review.warnings
    assert "1024 bits; have a stronger one issued" in warning


def test_a_refusal_names_what_is_wrong_with_our_certificate() -> None:
    both = pair(client=context(site(depth=2).expired(Usage.CLIENT)))
    both.plug_in()
    both.run_for(5.0)
    assert "our certificate has expired, or the server's clock is wrong" in failure(both)
    assert "Our own certificate: client.pem: the certificate of 'CN=gw-0001" in failure(both)
    assert "have it renewed" in failure(both)
    assert both.said(CertificateError) == []


def test_the_silence_of_a_switch_is_not_blamed_on_our_certificate() -> None:
    both = silent()
    both.gateway(UseNetwork(network=NETWORK, tls=context(site(depth=2).expired(Usage.CLIENT))))
    both.plug_in()
    both.run_for(91.0)
    assert failure(both) == ("no answer to EAPOL-Start; is 802.1X enabled on the switch port?")


def test_without_a_certificate_nothing_is_said_of_one() -> None:
    assert ClientContext(TlsPolicy(), Credentials()).review(WRONG) == Review()


def test_looking_answers_nothing_before_there_is_a_network() -> None:
    told = Supplicant(entropy=bytes).handle(Looked(date=WRONG), 0.0)
    assert not any(isinstance(c, Tell) and isinstance(c.notice, Warned) for c in told)
