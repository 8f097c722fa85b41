"""Remote control in 1.6."""

from typing import Any

import pytest

from gateway.csms.v16.smart_charging import profile_of
from gateway.station.model import IdToken
from gateway.station.requests import (
    Place,
    StartRequested,
    StatusReply,
    StopRequested,
    TriggerRequested,
    UnlockRequested,
)
from tests.csms.v16.wire import heard, replied

START: dict[str, Any] = {"idTag": "REMOTE1"}
PROFILE = {
    "chargingProfileId": 4,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": {
        "chargingRateUnit": "W",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6000.0}],
    },
}


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_remote_start_at_a_connector(n: int) -> None:
    """The connector is passed on as it is; that 0 cannot be started is the core's word ([TC_027])."""
    request = heard("RemoteStartTransaction", {**START, "connectorId": n})

    assert request == StartRequested(IdToken("REMOTE1"), Place(n=n))


def test_a_remote_start_anywhere() -> None:
    """Without a connector the station may choose."""
    assert heard("RemoteStartTransaction", START) == StartRequested(IdToken("REMOTE1"), Place())


def test_a_remote_start_with_a_profile() -> None:
    """What it is in full: see test_smart_charging.py."""
    request = heard("RemoteStartTransaction", {**START, "chargingProfile": PROFILE})

    assert isinstance(request, StartRequested)
    assert request.profile == profile_of(PROFILE)


def test_a_remote_stop() -> None:
    """It names the number that the CSMS gave; 0 is one."""
    assert heard("RemoteStopTransaction", {"transactionId": 0}) == StopRequested(csms_id=0)


@pytest.mark.parametrize("action", ["RemoteStartTransaction", "RemoteStopTransaction"])
@pytest.mark.parametrize("word", ["Accepted", "Rejected"])
def test_remote_start_and_stop_are_answered(action: str, word: str) -> None:
    """There are two words."""
    assert replied(action, {}, StatusReply(status=word)) == {"status": word}


def test_unlock() -> None:
    """The connector is counted over the whole station."""
    assert heard("UnlockConnector", {"connectorId": 2}) == UnlockRequested(Place(n=2))


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ("Unlocked", "Unlocked"),
        ("UnlockFailed", "UnlockFailed"),
        ("NotSupported", "NotSupported"),
        ("UnknownConnector", "NotSupported"),
        ("OngoingAuthorizedTransaction", "UnlockFailed"),
    ],
)
def test_unlock_is_answered(status: str, word: str) -> None:
    """A connector that is not there cannot be unlocked ([TC_031])."""
    assert replied("UnlockConnector", {"connectorId": 1}, StatusReply(status=status)) == {"status": word}


@pytest.mark.parametrize(
    ("action", "word", "message"),
    [
        ("TriggerMessage", "BootNotification", "BootNotification"),
        ("TriggerMessage", "DiagnosticsStatusNotification", "DiagnosticsStatusNotification"),
        ("TriggerMessage", "FirmwareStatusNotification", "FirmwareStatusNotification"),
        ("TriggerMessage", "Heartbeat", "Heartbeat"),
        ("TriggerMessage", "MeterValues", "MeterValues"),
        ("TriggerMessage", "StatusNotification", "StatusNotification"),
        ("ExtendedTriggerMessage", "FirmwareStatusNotification", "SignedFirmwareStatusNotification"),
        ("ExtendedTriggerMessage", "LogStatusNotification", "LogStatusNotification"),
        ("ExtendedTriggerMessage", "SignChargePointCertificate", "SignChargingStationCertificate"),
    ],
)
def test_trigger(action: str, word: str, message: str) -> None:
    """Messages are named as in 2.x."""
    assert heard(action, {"requestedMessage": word}) == TriggerRequested(message, Place())
    assert heard(action, {"requestedMessage": word, "connectorId": 0}) == TriggerRequested(
        message, Place(n=0)
    )


@pytest.mark.parametrize("action", ["TriggerMessage", "ExtendedTriggerMessage"])
@pytest.mark.parametrize("word", ["Accepted", "Rejected", "NotImplemented"])
def test_trigger_is_answered(action: str, word: str) -> None:
    """The three words are the same in both versions."""
    payload = {"requestedMessage": "Heartbeat"}

    assert replied(action, payload, StatusReply(status=word)) == {"status": word}
