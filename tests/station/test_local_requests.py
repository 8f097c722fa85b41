"""What may be asked over MQTT, and how it is answered."""

import pytest

from gateway.station import effects
from gateway.station.model import Policy
from tests.station.rig import BOTH, CARD, OTHER, Rig


def booted(version: str, *, lock: bool = True, policy: Policy | None = None) -> Rig:
    rig = Rig(version, connectors=2, lock=lock, policy=policy)
    rig.boot()
    return rig


def ok(response: effects.Respond | None) -> bool:
    assert response is not None
    assert response.ok is (response.error is None)
    return response.ok


@BOTH
def test_start_goes_through_normal_authorization(version: str) -> None:
    """As a card would."""
    rig = booted(version)
    rig.plug()
    rig.forget()

    assert ok(rig.request("start", id_token=CARD))

    assert f"Authorize {CARD}" in rig.story()
    assert rig.transaction() is not None


@BOTH
def test_start_where_it_cannot_be_is_answered_with_the_reason(version: str) -> None:
    """The response says why."""
    rig = booted(version)
    assert not ok(rig.request("start", 0, id_token=CARD))
    rig.session()
    assert not ok(rig.request("start", 1, id_token=OTHER))
    rig.fault("GroundFailure", 2)

    response = rig.request("start", 2, id_token=OTHER)

    assert response is not None
    assert "faulted" == response.error


@BOTH
def test_stop(version: str) -> None:
    """Local; an error where nothing runs."""
    rig = booted(version)
    assert not ok(rig.request("stop"))
    rig.session()

    assert ok(rig.request("stop"))

    assert rig.transaction() is None
    assert [s for s in rig.story() if s.startswith(("Stop 77 Local", "Ended StopAuthorized"))]


@BOTH
def test_stop_of_a_named_transaction_stops_no_other(version: str) -> None:
    """`transaction` guards against a stop that comes for the one before."""
    rig = booted(version)
    rig.session()
    running = rig.transaction()

    assert not ok(rig.request("stop", transaction="another"))
    assert running == rig.transaction()
    assert ok(rig.request("stop", transaction=running))


@BOTH
def test_unlock_is_answered_by_the_device(version: str) -> None:
    """The response waits for the hardware."""
    rig = booted(version)
    assert rig.request("unlock") is None

    rig.result("accepted")

    assert ok(rig.response())


@BOTH
def test_unlock_during_a_transaction_or_without_a_lock_is_an_error(version: str) -> None:
    """Stop it first."""
    rig = booted(version)
    rig.session()
    assert not ok(rig.request("unlock"))

    assert not ok(booted(version, lock=False).request("unlock"))


@BOTH
def test_an_unlock_that_fails_says_so(version: str) -> None:
    """With the device's words."""
    rig = booted(version)
    rig.request("unlock")

    rig.result("failed", info="stuck")

    response = rig.response()
    assert response is not None
    assert response.error is not None
    assert "stuck" in response.error


@BOTH
def test_link_is_held_where_that_is_allowed(version: str) -> None:
    """A simulated network loss; not allowed by default."""
    rig = booted(version)
    assert not ok(rig.request("link", 0, connected=False))

    rig = booted(version, policy=Policy(allow_requests=frozenset({"link"})))
    assert ok(rig.request("link", 0, connected=False))

    [held] = rig.done(effects.HoldLink)
    assert held.hold


@BOTH
def test_what_is_not_allowed_is_named(version: str) -> None:
    """allow_requests."""
    rig = booted(version, policy=Policy(allow_requests=frozenset({"stop"})))

    response = rig.request("start", id_token=CARD)

    assert response is not None
    assert "allow_requests" in (response.error or "")


@BOTH
def test_an_unknown_action_is_an_error(version: str) -> None:
    """A closed list."""
    rig = booted(version, policy=Policy(allow_requests=frozenset({"dance"})))

    assert not ok(rig.request("dance"))


@BOTH
def test_a_request_is_carried_out_once_and_not_late(version: str) -> None:
    """Requests are gestures."""
    rig = booted(version)
    rig.session()
    late = rig.request("stop", gesture="r0", at=rig.wall - 60)
    assert late is not None
    assert "late" in (late.error or "")
    assert rig.transaction() is not None
    rig.request("stop", gesture="r1")
    rig.unplug()
    rig.session()

    rig.request("stop", gesture="r1")

    assert rig.transaction() is not None


@BOTH
@pytest.mark.parametrize("n", [0, 1])
def test_a_limit_of_one_connector_or_all(version: str, n: int) -> None:
    """n 0 is the whole station."""
    rig = booted(version)

    assert ok(rig.request("limit", n, limit_a=10))

    assert [10.0, 10.0 if n == 0 else 32.0] == [rig.setpoint(1).limit_a, rig.setpoint(2).limit_a]


@BOTH
def test_a_fault_that_is_asked_for_acts_like_one_of_the_device(version: str) -> None:
    """Charging stops for it, the CSMS is told, and when it is taken back all goes on."""
    policy = Policy(allow_requests=frozenset({"fault", "clear_fault"}))
    rig = booted(version, policy=policy)
    rig.session()
    assert rig.setpoint().energize

    assert ok(rig.request("fault", code="HighTemperature", info="a test"))
    assert "Faulted" == rig.status()
    assert not rig.setpoint().energize
    rig.facts(errors=())  # the device itself is well
    assert "Faulted" == rig.status()
    assert ok(rig.request("clear_fault"))

    assert "Charging" == rig.status()
    assert rig.setpoint().energize
    told = [
        s["status"] if version == "1.6" else s["connectorStatus"] for s in rig.payloads("StatusNotification")
    ]
    assert "Faulted" in told


def test_a_warning_that_is_asked_for_stops_nothing() -> None:
    """`fault`: false; and a grave fault ends the transaction, as from the device."""
    policy = Policy(allow_requests=frozenset({"fault", "clear_fault"}))
    rig = booted("1.6", policy=policy)
    rig.session()

    assert ok(rig.request("fault", code="WeakSignal", fault=False))
    assert "Charging" == rig.status()
    assert ok(rig.request("fault", 0, code="GroundFailure"))
    rig.after(6)

    assert ["Faulted", "Faulted"] == [rig.status(1), rig.status(2)]
    assert rig.transaction() is None


def test_faults_are_injected_only_where_that_is_allowed() -> None:
    """Not by default."""
    rig = booted("1.6")

    assert not ok(rig.request("fault", code="GroundFailure"))
    assert "Available" == rig.status()


@BOTH
def test_a_reset_ends_what_runs_and_registers_anew(version: str) -> None:
    """The device is booted too, and the boot says why."""
    rig = booted(version)
    rig.session()

    assert ok(rig.request("reset", 0))
    rig.after(10)
    rig.connect()

    assert rig.transaction() is None
    assert 1 == len(rig.commands("reset"))
    assert [s for s in rig.story() if s.startswith("Boot")]
    assert ok(rig.request("reset", 0))
