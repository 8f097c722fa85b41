"""Devices that go and come back: the session stays, values become stale, nothing is invented."""

import pytest

from gateway.station.model import Policy
from tests.station.rig import BOTH, CARD, Rig


def booted(version: str, policy: Policy | None = None, connectors: int = 1) -> Rig:
    rig = Rig(version, policy=policy, connectors=connectors)
    rig.boot()
    return rig


def ends(rig: Rig) -> list[str]:
    return [s for s in rig.story() if s.startswith(("Stop ", "Ended"))]


@BOTH
@pytest.mark.parametrize(
    ("policy", "word"), [(Policy(), "Faulted"), (Policy(vanished="unavailable"), "Unavailable")]
)
def test_a_device_that_stays_away_is_told_after_its_grace(version: str, policy: Policy, word: str) -> None:
    """offline_grace_s, then Faulted or Unavailable by setting."""
    rig = booted(version, policy)
    rig.devices_fall_silent()

    rig.presence(1, online=False)
    rig.after(89)
    assert [] == rig.story()
    rig.after(2)

    assert word == rig.status()
    assert any(word in s for s in rig.story())


@BOTH
def test_a_device_that_is_back_in_time_was_never_away(version: str) -> None:
    """The grace is for reconnecting."""
    rig = booted(version)
    rig.devices_fall_silent()
    rig.presence(1, online=False)
    rig.after(30)

    rig.presence(1, online=True)
    rig.report_all()
    rig.after(90)

    assert [] == rig.story()


@BOTH
def test_a_device_that_returns_is_available_again(version: str) -> None:
    """Any live message ends it; facts are reconciled."""
    rig = booted(version)
    rig.devices_fall_silent()
    rig.presence(1, online=False)
    rig.after(100)
    rig.forget()

    rig.presence(1, online=True)
    rig.report_all()

    assert "Available" == rig.status()
    assert [s for s in rig.story() if s.endswith("Available")]


@BOTH
def test_silence_is_absence(version: str) -> None:
    """Devices speak at least every five minutes."""
    rig = booted(version)
    rig.devices_fall_silent()

    rig.after(329)
    assert "Available" == rig.status()
    rig.after(120)

    assert "Faulted" == rig.status()


@BOTH
def test_a_transaction_of_a_vanished_device_goes_on_and_is_energized_again(version: str) -> None:
    """No transaction is ended before the policy time; off while nobody knows."""
    rig = booted(version)
    rig.session()
    before = rig.transaction()
    rig.devices_fall_silent()

    rig.presence(1, online=False)
    assert not rig.setpoint().energize
    rig.after(600)
    assert before == rig.transaction()
    assert [] == ends(rig)
    rig.presence(1, online=True)
    rig.report_all()

    assert before == rig.transaction()
    assert rig.setpoint().energize
    assert "Charging" == rig.status()


@BOTH
def test_a_device_that_never_comes_back_ends_its_transaction_at_last(version: str) -> None:
    """vanished_transaction_s: with the last register that anybody sent."""
    rig = booted(version, Policy(vanished_transaction_s=600))
    rig.session()
    rig.charge(60)
    rig.devices_fall_silent()
    rig.forget()
    rig.presence(1, online=False)

    rig.after(620)

    assert rig.transaction() is None
    [end] = ends(rig)
    assert end == "Stop 77 Other 1060" or end.startswith("Ended AbnormalCondition")


@BOTH
def test_unplugged_while_it_was_away_ends_the_transaction_on_return(version: str) -> None:
    """Facts are reconciled on return."""
    rig = booted(version)
    rig.session()
    rig.devices_fall_silent()
    rig.presence(1, online=False)
    rig.after(100)
    rig.devices[1].plugged = rig.devices[1].energized = False
    rig.forget()

    rig.presence(1, online=True)
    rig.report_all()

    assert rig.transaction() is None
    [end] = ends(rig)
    assert "EVDisconnected" in end


@BOTH
def test_an_absent_reader_is_no_absent_connector(version: str) -> None:
    """Parts: only evse and meter are essential."""
    rig = booted(version)
    rig.devices_fall_silent()

    rig.presence(1, online=False, part="reader")
    rig.after(100)

    assert "Available" == rig.status()


@BOTH
def test_all_parts_have_to_return(version: str) -> None:
    """Several devices make one connector."""
    rig = booted(version)
    rig.presence(1, online=False, part="meter")
    rig.presence(1, online=False, part="evse")
    rig.after(100)
    rig.presence(1, online=True, part="meter")
    assert "Faulted" == rig.status()

    rig.presence(1, online=True, part="evse")
    rig.report_all()

    assert "Available" == rig.status()


def test_16_the_station_as_a_whole_is_away_with_its_last_device() -> None:
    """Connector 0 too; the link stays."""
    rig = booted("1.6", connectors=2)
    rig.devices_fall_silent()
    rig.presence(0, online=False)

    rig.after(100)

    assert {
        "Status 0 Faulted OtherError",
        "Status 1 Faulted OtherError",
        "Status 2 Faulted OtherError",
    } == set(rig.story())


@BOTH
def test_nothing_starts_at_a_vanished_device(version: str) -> None:
    """Nobody would obey."""
    rig = booted(version)
    rig.plug()
    rig.devices_fall_silent()
    rig.presence(1, online=False)
    rig.after(100)

    rig.card(CARD)

    assert rig.transaction() is None


# ------------------------------------------------------------------ reboots


@BOTH
def test_a_device_that_rebooted_resumes(version: str) -> None:
    """after_restart resume: the same transaction, energized once its facts are fresh."""
    rig = booted(version)
    rig.session()
    before = rig.transaction()
    rig.devices[1].obeys = False  # it has just booted, and so far says nothing
    rig.announce("boot2")
    assert not rig.setpoint().energize

    rig.devices[1].obeys = True
    rig.devices[1].energized = False
    rig.report_all()

    assert before == rig.transaction()
    assert rig.setpoint().energize


@BOTH
def test_a_device_that_rebooted_ends_its_transaction_where_that_is_the_policy(version: str) -> None:
    """# [TC_032_2]: after_restart stop: PowerLoss."""
    rig = booted(version, Policy(after_restart="stop"))
    rig.session()

    rig.announce("boot2")
    rig.report_all()

    assert rig.transaction() is None
    [end] = ends(rig)
    assert "PowerLoss" in end
    assert rig.status() == "Finishing"


@BOTH
def test_the_same_boot_id_is_no_reboot(version: str) -> None:
    """It only reconnected."""
    rig = booted(version, Policy(after_restart="stop"))
    rig.session()

    rig.announce("boot1")

    assert rig.transaction() is not None
