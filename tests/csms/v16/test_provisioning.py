"""Boot, heartbeat and reset in 1.6."""

import pytest

from gateway.station.model import BootReason, RegistrationStatus
from gateway.station.reports import Boot, BootAnswer, Heartbeat, HeartbeatAnswer
from gateway.station.requests import ResetRequested, StatusReply
from tests.csms.v16.wire import AT, AT_TEXT, answered, heard, replied, told_once

BOOT = Boot(BootReason.POWER_UP, "Vendor", "Model")


def test_boot_tells_only_what_is_known() -> None:
    """Optional fields are left out, never null or empty."""
    assert told_once(BOOT, "BootNotification") == {
        "chargePointVendor": "Vendor",
        "chargePointModel": "Model",
    }


def test_boot_keeps_to_the_lengths_of_the_schema() -> None:
    """Texts that a device maker made too long are cut, so that the station can boot at all."""
    long = "x" * 300

    payload = told_once(Boot(BootReason.UNKNOWN, long, long, long, long, long, long), "BootNotification")

    assert {field: len(text) for field, text in payload.items()} == {
        "chargePointVendor": 20,
        "chargePointModel": 20,
        "chargePointSerialNumber": 25,
        "firmwareVersion": 50,
        "iccid": 20,
        "imsi": 20,
    }


@pytest.mark.parametrize("status", list(RegistrationStatus))
def test_boot_is_answered(status: RegistrationStatus) -> None:
    """Status, interval and the CSMS's clock arrive."""
    payload = {"status": status.value, "interval": 300, "currentTime": AT_TEXT}

    assert answered(BOOT, payload) == BootAnswer(status, 300, AT)


def test_heartbeat() -> None:
    """A heartbeat says nothing and learns the time."""
    assert told_once(Heartbeat(), "Heartbeat") == {}
    assert answered(Heartbeat(), {"currentTime": AT_TEXT}) == HeartbeatAnswer(AT)


@pytest.mark.parametrize(("word", "kind"), [("Hard", "hard"), ("Soft", "soft")])
def test_reset(word: str, kind: str) -> None:
    """Both kinds of reset are told apart."""
    request = heard("Reset", {"type": word})

    assert isinstance(request, ResetRequested)
    assert request.kind == kind


@pytest.mark.parametrize(
    ("status", "word"), [("Accepted", "Accepted"), ("Scheduled", "Accepted"), ("Rejected", "Rejected")]
)
def test_reset_is_answered(status: str, word: str) -> None:
    """1.6 has no word for a reset that waits: it is accepted."""
    assert replied("Reset", {"type": "Soft"}, StatusReply(status=status)) == {"status": word}
