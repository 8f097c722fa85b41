"""Status from facts, only along allowed paths, told when it changes and not otherwise."""

import itertools
from typing import Any

import pytest

from gateway.station.availability import ALLOWED, path
from gateway.station.events import LinkClosed
from gateway.station.model import ConnectorStatus
from tests.station.rig import BOTH, REFUSED, Rig


def booted(version: str, **connector: Any) -> Rig:
    rig = Rig(version, **connector)
    rig.boot()
    return rig


def statuses(rig: Rig) -> list[str]:
    return [s for s in rig.story() if s.startswith("Status")]


@pytest.mark.parametrize(("start", "goal"), list(itertools.permutations(ConnectorStatus, 2)))
def test_every_status_is_reached_along_allowed_transitions(
    start: ConnectorStatus, goal: ConnectorStatus
) -> None:
    """# 1.6 §4.9: no transition outside the table, and no lie on the way."""
    steps = (start, *path(start, goal))

    assert goal is steps[-1]
    for here, there in itertools.pairwise(steps):
        assert there in ALLOWED[here]
    lies = {ConnectorStatus.FAULTED, ConnectorStatus.UNAVAILABLE, ConnectorStatus.RESERVED}
    assert not lies & set(steps[1:-1])


@BOTH
def test_plugging_and_unplugging(version: str) -> None:
    """# G01.FR.01, [TC_G_01], [TC_G_02]; 1.6 A2, B1."""
    rig = booted(version)

    rig.plug()
    rig.unplug()

    expected = {
        "1.6": ["Status 1 Preparing", "Status 1 Available"],
        "2.0.1": ["Status 1.1 Occupied", "Status 1.1 Available"],
    }
    assert expected[version] == rig.story()


@BOTH
def test_only_the_connector_that_changed_is_told(version: str) -> None:
    """# G01.FR: the others say nothing."""
    rig = booted(version, connectors=2)

    rig.plug(2)

    assert 1 == len(rig.story())


@BOTH
def test_a_repeated_status_is_told_once(version: str) -> None:
    """Law 5: repeating a level changes nothing."""
    rig = booted(version)
    rig.plug()
    rig.forget()

    for _ in range(3):
        rig.facts(plugged=True)

    assert [] == rig.story()


@BOTH
def test_a_fault_and_its_end(version: str) -> None:
    """# [TC_041], 1.6 I2: Faulted with the code, and the pre-fault state afterwards; no start meanwhile."""
    rig = booted(version)
    rig.plug()
    rig.forget()

    rig.fault("GroundFailure", info="leak", vendor_code="E7", vendor_id="acme")
    if version == "1.6":
        [status] = rig.payloads("StatusNotification")
        told = (
            status["status"],
            status["errorCode"],
            status["info"],
            status["vendorErrorCode"],
            status["vendorId"],
        )
        assert ("Faulted", "GroundFailure", "leak", "E7", "acme") == told
    assert "Faulted" in rig.story()[0]
    rig.card()
    assert rig.transaction() is None
    rig.forget()
    rig.facts(errors=())

    assert [{"1.6": "Status 1 Preparing", "2.0.1": "Status 1.1 Occupied"}[version]] == statuses(rig)


def test_16_a_warning_is_told_beside_the_status() -> None:
    """# 1.6 §4.9: errorCode with a status other than Faulted; NoError when it is gone."""
    rig = booted("1.6")

    rig.fault("WeakSignal", fault=False)
    rig.facts(errors=())

    assert ["Status 1 Available WeakSignal", "Status 1 Available"] == rig.story()


def test_16_an_error_without_a_word_of_ocpp_is_other_error() -> None:
    """# 1.6 ChargePointErrorCode."""
    rig = booted("1.6")

    rig.fault("relay welded")

    assert ["Status 1 Faulted OtherError"] == rig.story()


@BOTH
def test_a_lock_failure_forbids_charging(version: str) -> None:
    """# [TC_024], G05: Faulted with ConnectorLockFailure, no transaction."""
    rig = booted(version, lock=True)
    rig.plug()
    rig.forget()

    rig.facts(lock_failed=True)
    told = rig.story()
    rig.card()

    assert [{"1.6": "Status 1 Faulted ConnectorLockFailure", "2.0.1": "Status 1.1 Faulted"}[version]] == told
    assert rig.transaction() is None


@BOTH
def test_a_plug_that_does_not_lock_starts_nothing(version: str) -> None:
    """# [TC_024], E: the lock is closed before the start."""
    rig = booted(version, lock=True)
    rig.facts(locked=False)
    rig.plug()
    rig.card()
    assert rig.setpoint().lock
    assert rig.transaction() is None

    rig.after(5)

    assert rig.transaction() is None
    assert not rig.setpoint().energize


@BOTH
def test_a_plug_that_locks_in_time_starts(version: str) -> None:
    """Locked, then energized."""
    rig = booted(version, lock=True)
    rig.facts(locked=False)
    rig.plug()
    rig.card()

    rig.facts(locked=True)

    assert rig.transaction() is not None
    assert rig.setpoint().energize


def test_16_minimum_status_duration() -> None:
    """# 1.6 §9.1: a status held shorter than that is left out."""
    rig = Rig("1.6")
    rig.boot()
    rig.set("MinimumStatusDuration", "10")
    rig.forget()

    rig.plug()
    rig.after(5)
    rig.unplug()
    rig.after(60)
    assert [] == rig.story()
    rig.plug()
    rig.after(11)

    assert ["Status 1 Preparing"] == rig.story()


@BOTH
def test_a_status_that_the_csms_refuses_is_not_told_for_ever(version: str) -> None:
    """A CALLERROR would come again: it counts as told."""
    rig = booted(version)
    rig.answers["StatusNotification"] = REFUSED

    rig.plug()
    rig.after(60)

    assert 1 == len(statuses(rig))


@BOTH
def test_a_status_lost_with_the_link_is_told_after_it(version: str) -> None:
    """What was on the wire may not have arrived."""
    rig = booted(version)
    rig.answers["StatusNotification"] = None
    rig.plug()
    rig.disconnect()
    del rig.answers["StatusNotification"]
    rig.forget()

    rig.connect()

    assert 1 == len(statuses(rig))


@BOTH
def test_while_one_status_is_unanswered_the_next_waits(version: str) -> None:
    """In order, one a connector at a time; the present one comes last."""
    rig = booted(version)
    rig.answers["StatusNotification"] = None
    rig.plug()
    rig.unplug()
    assert 1 == len(statuses(rig))
    del rig.answers["StatusNotification"]

    rig.answer("StatusNotification")

    assert [{"1.6": "Status 1 Available", "2.0.1": "Status 1.1 Available"}[version]] == statuses(rig)


@BOTH
def test_facts_win_over_the_pilot_and_that_over_a_word(version: str) -> None:
    """The contract's order."""
    rig = booted(version)

    rig.facts(status="Charging", control_pilot="B", plugged=False)
    assert "Available" == rig.status()
    rig.facts(status="Available", control_pilot="B")
    assert "Preparing" == rig.status()
    rig.facts(status="Available")

    assert "Available" == rig.status()


@BOTH
def test_a_retained_copy_only_fills_what_is_unknown(version: str) -> None:
    """Law 5: unless its own stamp is newer."""
    rig = booted(version)
    rig.plug()

    rig.facts(plugged=False, retained=True)
    assert "Preparing" == rig.status()
    rig.facts(plugged=False, retained=True, at=rig.wall + 1)

    assert "Available" == rig.status()


@BOTH
def test_control_pilot_e_is_a_fault(version: str) -> None:
    """IEC 61851: state E or F."""
    rig = booted(version)

    rig.facts(control_pilot="F")

    assert "Faulted" == rig.status()


@BOTH
def test_without_a_plug_sensor_a_socket_charges_with_the_card(version: str) -> None:
    """plug_sensor false: authorized is plugged; available again after the stop."""
    rig = Rig(version, plug_sensor=False)
    rig.start()
    rig.station.state.by_n[1].record.facts.plugged = None
    rig.connect()
    rig.forget()

    rig.card()
    assert rig.transaction() is not None
    assert rig.setpoint().energize
    rig.card()

    assert rig.transaction() is None
    assert not rig.setpoint().energize
    assert "Available" == rig.status()


@BOTH
def test_a_closed_link_that_was_never_open_changes_nothing(version: str) -> None:
    """Failed attempts are facts about the link only."""
    rig = Rig(version)
    rig.start()

    rig.happens(LinkClosed("refused", "no route"))
    rig.connect()

    assert 1 == rig.story().count("BootNotification")
