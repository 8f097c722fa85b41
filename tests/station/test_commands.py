"""Unlock: what needs hardware is answered when the hardware has answered, honestly and in time."""

import pytest

from gateway.station.events import CommandAnswered
from tests.station.rig import BOTH, Payload, Rig


def booted(version: str, *, lock: bool = True) -> Rig:
    rig = Rig(version, lock=lock, fixed_cable=not lock)
    rig.boot()
    return rig


def unlock(rig: Rig, n: int = 1) -> str | None:
    if rig.version == "1.6":
        return rig.status_of("UnlockConnector", connectorId=n)
    return rig.status_of("UnlockConnector", evseId=n, connectorId=1)


def word(rig: Rig) -> str | None:
    reply = rig.late_reply()
    return reply["status"] if isinstance(reply, dict) else None


@BOTH
def test_unlocked_when_the_device_says_so(version: str) -> None:
    """# [TC_017_1], F05.FR.01, [TC_F_07]: also without a cable."""
    rig = booted(version)

    assert unlock(rig) is None
    rig.result("in_progress")
    assert word(rig) is None
    rig.result("accepted")

    assert "Unlocked" == word(rig)


@BOTH
@pytest.mark.parametrize("status", ["failed", "rejected"])
def test_unlock_failure(version: str, status: str) -> None:
    """# [TC_030], F05.FR.03."""
    rig = booted(version)
    unlock(rig)

    rig.result(status, info="the plug is stuck")

    assert "UnlockFailed" == word(rig)


@BOTH
def test_a_silent_device_is_an_unlock_failure_before_the_csms_gives_up(version: str) -> None:
    """An honest refusal after command_timeout_s."""
    rig = booted(version)
    unlock(rig)
    rig.after(19)
    assert word(rig) is None

    rig.after(2)

    assert "UnlockFailed" == word(rig)


@BOTH
def test_a_late_result_changes_no_reply(version: str) -> None:
    """It is reported as what it is."""
    rig = booted(version)
    unlock(rig)
    rig.after(30)
    rig.forget()

    rig.result("accepted")

    assert "UnlockFailed" == word(rig)
    assert [] == rig.story()


@BOTH
def test_a_fixed_cable_cannot_be_unlocked_and_the_transaction_goes_on(version: str) -> None:
    """# [TC_017_2], [TC_018_2]; 2.0.1 has no such word."""
    rig = booted(version, lock=False)
    assert {"1.6": "NotSupported", "2.0.1": "UnlockFailed"}[version] == unlock(rig)
    rig.session()

    unlock(rig)

    assert rig.transaction() is not None
    assert rig.setpoint().energize


@BOTH
def test_an_unknown_connector(version: str) -> None:
    """# [TC_031], F05, [TC_F_10]."""
    assert {"1.6": "NotSupported", "2.0.1": "UnknownConnector"}[version] == unlock(booted(version), 9)


def test_16_an_unlock_ends_the_transaction() -> None:
    """# [TC_018_1]: Unlocked, Stop UnlockCommand, Finishing, Available."""
    rig = booted("1.6")
    rig.session()

    assert unlock(rig) is None
    rig.result("accepted")

    assert "Unlocked" == word(rig)
    story = rig.story()
    assert {"Stop 77 UnlockCommand 1000", "Status 1 Finishing"} <= set(story)
    rig.unplug()
    assert "Status 1 Available" == rig.story()[-1]


def test_16_energy_is_off_before_the_plug_is_unlocked() -> None:
    """# 1.6 §5.18: the transaction is finished first."""
    rig = booted("1.6")
    rig.session()

    unlock(rig)

    assert not rig.setpoint().energize
    assert rig.commands("unlock")


def test_201_an_unlock_during_a_transaction_is_refused() -> None:
    """# F05.FR.02, [TC_F_05]: nothing is done."""
    rig = booted("2.0.1")
    rig.session()

    assert "OngoingAuthorizedTransaction" == unlock(rig)

    assert not rig.commands("unlock")
    assert rig.setpoint().energize


@BOTH
def test_nobody_there_to_unlock(version: str) -> None:
    """A device that is offline gets no command."""
    rig = booted(version)
    rig.presence(1, online=False)

    assert "UnlockFailed" == unlock(rig)
    assert not rig.commands("unlock")


@BOTH
def test_a_result_to_no_question_does_nothing(version: str) -> None:
    """A device that answers what nobody asked."""
    rig = booted(version)

    rig.happens(CommandAnswered(1, "nonsense", "accepted"))

    assert [] == rig.story()


@BOTH
def test_a_reply_is_not_given_to_the_next_connection(version: str) -> None:
    """The CSMS that asked is gone."""
    rig = booted(version)
    unlock(rig)
    rig.disconnect()
    rig.connect()
    rig.forget()

    rig.result("accepted")

    assert [] == rig.story()


@BOTH
def test_a_command_carries_the_boot_id_and_its_time_to_live(version: str) -> None:
    """A device ignores commands for another boot."""
    rig = booted(version)

    unlock(rig)

    [command] = rig.commands("unlock")
    shown: Payload = {"boot": command.boot_id, "ttl": command.ttl_s, "n": command.n}
    assert {"boot": "boot1", "ttl": 20, "n": 1} == shown
