"""Boot, heartbeat and reset in 2.0.1."""

import pytest

from gateway.station.model import BootReason, RegistrationStatus
from gateway.station.reports import Boot, BootAnswer, Heartbeat, HeartbeatAnswer
from gateway.station.requests import ResetRequested, StatusReply
from tests.csms.v201.wire import AT, AT_TEXT, answered, heard, replied, told_once


def test_a_boot_with_all_that_is_known() -> None:
    """# B01; what is too long is cut."""
    report = Boot(
        BootReason.REMOTE_RESET,
        vendor="V" * 60,
        model="M" * 30,
        serial="S" * 30,
        firmware_version="F" * 60,
        iccid="1" * 30,
        imsi="2" * 30,
    )

    assert told_once(report, "BootNotification") == {
        "reason": "RemoteReset",
        "chargingStation": {
            "vendorName": "V" * 50,
            "model": "M" * 20,
            "serialNumber": "S" * 25,
            "firmwareVersion": "F" * 50,
            "modem": {"iccid": "1" * 20, "imsi": "2" * 20},
        },
    }


def test_a_boot_tells_nothing_that_is_not_known() -> None:
    """No empty texts, no empty modem."""
    report = Boot(BootReason.POWER_UP, vendor="Acme", model="One", serial="", firmware_version=None)

    assert told_once(report, "BootNotification") == {
        "reason": "PowerUp",
        "chargingStation": {"vendorName": "Acme", "model": "One"},
    }


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        (
            {"currentTime": AT_TEXT, "interval": 300, "status": "Accepted"},
            BootAnswer(RegistrationStatus.ACCEPTED, 300, AT),
        ),
        (
            {"currentTime": AT_TEXT, "interval": -1, "status": "Pending", "statusInfo": {"reasonCode": "x"}},
            BootAnswer(RegistrationStatus.PENDING, 0, AT),
        ),
    ],
)
def test_a_boot_is_answered(payload: dict[str, object], answer: BootAnswer) -> None:
    """# B01, B02, B03; a nonsense interval leaves the choice to the station."""
    assert answered(Boot(BootReason.POWER_UP, vendor="Acme", model="One"), payload) == answer


def test_a_heartbeat_brings_the_time() -> None:
    """# G02"""
    assert told_once(Heartbeat(), "Heartbeat") == {}
    assert answered(Heartbeat(), {"currentTime": AT_TEXT}) == HeartbeatAnswer(AT)


@pytest.mark.parametrize(
    ("payload", "request_"),
    [
        ({"type": "Immediate"}, ResetRequested("immediate")),
        ({"type": "OnIdle", "evseId": 2}, ResetRequested("on_idle", 2)),
    ],
)
def test_a_reset(payload: dict[str, object], request_: ResetRequested) -> None:
    """# B11, B12: of the station or of one EVSE."""
    assert heard("Reset", payload) == request_


def test_the_answer_to_a_reset() -> None:
    """Scheduled is a word of its own; why it is refused may be told."""
    assert replied("Reset", {"type": "OnIdle"}, StatusReply(status="Scheduled")) == {"status": "Scheduled"}
    assert replied(
        "Reset",
        {"type": "OnIdle"},
        StatusReply(status="Rejected", reason_code="FwUpdateInProgress", info="later " * 100),
    ) == {
        "status": "Rejected",
        "statusInfo": {"reasonCode": "FwUpdateInProgress", "additionalInfo": ("later " * 100)[:512]},
    }
    assert replied("Reset", {"type": "OnIdle"}, StatusReply(status="Rejected", info="no code, no place")) == {
        "status": "Rejected"
    }
