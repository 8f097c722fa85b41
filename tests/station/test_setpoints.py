"""Off is faster than anything; on needs authorization, fresh facts and a limit that can be met."""

from typing import Any

import pytest

from gateway.station import effects
from gateway.station.events import BrokerLost, StoreChanged
from tests.station.rig import BOTH, CARD, Rig


def booted(version: str = "1.6", **connector: Any) -> Rig:
    rig = Rig(version, **connector)
    rig.boot()
    return rig


@BOTH
def test_nothing_is_energized_without_authorization(version: str) -> None:
    """Law 4."""
    rig = booted(version)

    rig.plug()
    rig.facts(control_pilot="C")

    assert not rig.setpoint().energize


@BOTH
def test_a_setpoint_is_complete_and_names_its_transaction(version: str) -> None:
    """The contract: every key, watts from amperes."""
    rig = booted(version, max_current_a=16.0, phases=3)
    rig.session()

    setpoint = rig.setpoint()

    assert (True, 16.0, 11040, 3) == (setpoint.energize, setpoint.limit_a, setpoint.limit_w, setpoint.phases)
    assert rig.transaction() == setpoint.transaction
    assert ("epoch1", 90, True) == (setpoint.epoch, setpoint.valid_s, setpoint.operative)


@BOTH
def test_revisions_only_rise(version: str) -> None:
    """Law 4: also over restarts of the gateway."""
    rig = booted(version)
    seen: list[int] = []
    for _ in range(3):
        rig.session()
        rig.card()
        rig.unplug()
        seen.append(rig.setpoint().revision)
        rig.restart()
        seen.append(rig.setpoint().revision)

    assert sorted(set(seen)) == seen


@BOTH
def test_after_a_restart_nothing_is_energized_before_the_facts_are_fresh(version: str) -> None:
    """Law 4: a retained or remembered fact does not close a contactor."""
    rig = booted(version)
    rig.session()
    rig.devices[1].obeys = False  # and so it says nothing

    rig.restart(fresh=False)
    assert not rig.setpoint().energize
    rig.facts(plugged=True, retained=True)
    assert not rig.setpoint().energize
    rig.facts(plugged=True)

    assert rig.setpoint().energize
    assert rig.transaction() is not None


@BOTH
def test_a_new_broker_session_needs_fresh_facts_too(version: str) -> None:
    """The gateway, on every reconnect: new epoch, first every setpoint."""
    rig = booted(version)
    rig.session()
    rig.devices[1].obeys = False  # and so it says nothing
    rig.happens(BrokerLost())

    rig.broker_connects()
    assert ("epoch2", False) == (rig.setpoint().epoch, rig.setpoint().energize)
    rig.report_all()

    assert rig.setpoint().energize


@BOTH
@pytest.mark.parametrize(("limit", "energize"), [(16, True), (6, True), (5.9, False), (0, False)])
def test_a_limit_below_the_minimum_is_off(version: str, limit: float, energize: bool) -> None:
    """Whether a limit can be met is decided by the gateway alone: SuspendedEVSE, and on again when it is lifted."""
    rig = booted(version)
    rig.session()

    rig.request("limit", limit_a=limit)
    assert energize is rig.setpoint().energize
    if not energize:
        assert "SuspendedEVSE" == rig.status()
    rig.request("limit", limit_a=None)

    assert rig.setpoint().energize
    assert "Charging" == rig.status()


@BOTH
def test_a_switch_cannot_charge_with_less_than_its_draw(version: str) -> None:
    """limiting: on_off."""
    rig = booted(version, limiting="on_off", max_current_a=16.0)
    rig.session()

    rig.request("limit", limit_a=15)
    assert not rig.setpoint().energize
    rig.request("limit", limit_a=16)

    assert rig.setpoint().energize


@BOTH
def test_a_local_limit_ends_with_its_time(version: str) -> None:
    """`{"limit_a": 8, "ttl_s": 900}`."""
    rig = booted(version)
    rig.session()
    rig.request("limit", limit_a=8, ttl_s=900)
    assert 8.0 == rig.setpoint().limit_a

    rig.after(899)
    assert 8.0 == rig.setpoint().limit_a
    rig.after(2)

    assert 32.0 == rig.setpoint().limit_a


@BOTH
def test_a_local_limit_survives_a_restart(version: str) -> None:
    """It is kept, with its end."""
    rig = booted(version)
    rig.request("limit", limit_a=8, ttl_s=900)

    rig.restart()

    assert 8.0 == rig.setpoint().limit_a


@BOTH
def test_the_cable_limits(version: str) -> None:
    """cable_limit_a: the plug's resistor."""
    rig = booted(version)
    rig.facts(cable_limit_a=13.0)
    rig.session()

    assert 13.0 == rig.setpoint().limit_a


@BOTH
def test_off_is_said_in_the_turn_of_its_cause(version: str) -> None:
    """Law 4: before anything else is decided, though the end register is still to be measured."""
    rig = Rig(version, obeys=False)
    rig.boot()
    rig.plug()
    rig.card()
    rig.facts(energized=True, charging=True)
    rig.forget()

    rig.device_report("emergency_stop")

    [setpoint] = rig.done(effects.SetPoint)
    assert not setpoint.setpoint.energize


@BOTH
def test_with_a_full_disk_nothing_starts_running_ones_go_on_and_off_works(version: str) -> None:
    """Law 3."""
    rig = booted(version, connectors=2)
    rig.session(n=1)
    rig.happens(StoreChanged(writable=False, detail="No space left on device"))

    rig.plug(2)
    rig.card("0455667788", 2)
    assert rig.transaction(2) is None
    assert rig.setpoint(1).energize
    rig.card(CARD, 1)
    assert not rig.setpoint(1).energize

    rig.happens(StoreChanged(writable=True))
    rig.card("0455667788", 2)
    assert rig.transaction(2) is not None


@BOTH
def test_the_lock_is_held_from_authorization_to_the_end(version: str) -> None:
    """# 1.6 §4.10: a normal end unlocks."""
    rig = booted(version, lock=True)
    rig.plug()
    assert not rig.setpoint().lock
    rig.card()
    assert rig.setpoint().lock

    rig.card()

    assert not rig.setpoint().lock
