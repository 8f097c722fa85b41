"""A gesture happens once, and not late."""

import pytest

from gateway.station.model import Policy
from tests.station.rig import BOTH, CARD, OTHER, Rig


def booted(version: str, policy: Policy | None = None) -> Rig:
    rig = Rig(version, policy=policy, connectors=2)
    rig.boot()
    rig.plug()
    rig.forget()
    return rig


@BOTH
def test_a_redelivered_card_acts_once(version: str) -> None:
    """Law 5: the id is remembered."""
    rig = booted(version)

    for _ in range(4):
        rig.card(gesture="g1")

    assert rig.transaction() is not None
    assert ["accepted"] == rig.verdicts()


@BOTH
def test_a_gesture_is_remembered_over_a_restart(version: str) -> None:
    """Durably, for a day."""
    rig = booted(version)
    rig.card(gesture="g1")

    rig.restart()
    rig.card(gesture="g1")

    assert rig.transaction() is not None


@BOTH
def test_a_gesture_is_forgotten_after_a_day(version: str) -> None:
    """gesture_memory_s: the memory is bounded."""
    rig = booted(version)
    rig.card(gesture="g1")
    rig.after(86401)

    rig.card(OTHER, 2, gesture="g2")

    assert {"g2"} == set(rig.records["gesture"])


@BOTH
def test_without_an_id_the_same_card_within_the_debounce_is_one(version: str) -> None:
    """card_debounce_s, at the same reader only."""
    rig = booted(version)
    rig.card()
    rig.pass_time(2)

    rig.card(at=rig.wall)
    assert rig.transaction() is not None
    rig.after(6)
    rig.card(at=rig.wall)

    assert rig.transaction() is None


@BOTH
@pytest.mark.parametrize(("age_s", "late"), [(29, False), (31, True)])
def test_a_late_card_does_nothing_and_is_said_to_be_late(version: str, age_s: float, late: bool) -> None:
    """gesture_max_age_s."""
    rig = booted(version)

    rig.card(gesture="g1", at=rig.wall - age_s)

    assert late is (rig.transaction() is None)
    assert [{True: "late", False: "accepted"}[late]] == rig.verdicts()


@BOTH
def test_a_card_out_of_the_backlog_without_a_time_is_late(version: str) -> None:
    """It is as old as it could be."""
    rig = booted(version)

    rig.card(gesture="g1", backlog=True)

    assert rig.transaction() is None
    assert ["late"] == rig.verdicts()


@BOTH
def test_a_card_out_of_the_backlog_that_is_recent_counts(version: str) -> None:
    """Its time says so."""
    rig = booted(version)

    rig.card(gesture="g1", backlog=True, at=rig.wall - 5)

    assert rig.transaction() is not None


@BOTH
def test_a_late_stop_button_stops_nothing(version: str) -> None:
    """The one who pressed it has gone on."""
    rig = booted(version)
    rig.card()

    rig.device_report("stop_button", gesture_id="b1", at=rig.wall - 60)
    assert rig.transaction() is not None
    rig.device_report("stop_button", gesture_id="b2", at=rig.wall)

    assert rig.transaction() is None


@BOTH
def test_a_card_and_a_button_with_the_same_id_are_two_gestures(version: str) -> None:
    """Ids are unique per kind."""
    rig = booted(version)
    rig.card(gesture="1")

    rig.device_report("stop_button", gesture_id="1")

    assert rig.transaction() is None


@BOTH
def test_the_reader_is_told_the_verdict(version: str) -> None:
    """command/card_result with the gesture's id."""
    rig = booted(version)

    rig.card(CARD, gesture="g1")

    [command] = rig.commands("card_result")
    assert ("g1", {"verdict": "accepted"}) == (command.id, command.arguments)
