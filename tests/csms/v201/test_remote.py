"""Remote control in 2.0.1."""

from typing import Any

import pytest

from gateway.station.model import IdToken
from gateway.station.requests import (
    Place,
    StartRequested,
    StatusReply,
    StopRequested,
    TriggerRequested,
    UnlockRequested,
)
from tests.csms.v201.wire import heard, replied

START: dict[str, Any] = {"idToken": {"idToken": "A1", "type": "Central"}, "remoteStartId": 0}


def test_a_remote_start_anywhere() -> None:
    """# F02: no EVSE is named."""
    assert heard("RequestStartTransaction", START) == StartRequested(
        IdToken("A1", "Central"), Place(), remote_start_id=0
    )


def test_a_remote_start_with_everything() -> None:
    """# F01; without smart charging the profile counts for nothing ([TC_K_38])."""
    profile = {
        "id": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": [
            {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8.0}]}
        ],
    }
    payload = {
        **START,
        "evseId": 2,
        "groupIdToken": {"idToken": "G", "type": "Local"},
        "chargingProfile": profile,
    }

    assert heard("RequestStartTransaction", payload) == StartRequested(
        IdToken("A1", "Central"),
        Place(evse=2),
        remote_start_id=0,
        group=IdToken("G", "Local"),
    )


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        (StatusReply(status="Accepted"), {"status": "Accepted"}),
        (
            StatusReply(status="Accepted", transaction="7f3c"),
            {"status": "Accepted", "transactionId": "7f3c"},
        ),
        (
            StatusReply(status="Rejected", reason_code="UnknownEvse", transaction="7f3c"),
            {"status": "Rejected", "statusInfo": {"reasonCode": "UnknownEvse"}},
        ),
    ],
)
def test_the_answer_to_a_remote_start(reply: StatusReply, result: dict[str, Any]) -> None:
    """# F01.FR.13: the transaction that runs already."""
    assert replied("RequestStartTransaction", START, reply) == result


def test_a_remote_stop() -> None:
    """# F03"""
    payload = {"transactionId": "7f3c"}

    assert heard("RequestStopTransaction", payload) == StopRequested("7f3c")
    assert replied(
        "RequestStopTransaction", payload, StatusReply(status="Rejected", reason_code="UnknownTxId")
    ) == {"status": "Rejected", "statusInfo": {"reasonCode": "UnknownTxId"}}


@pytest.mark.parametrize(
    ("said", "told_word"),
    [
        ("Unlocked", "Unlocked"),
        ("UnlockFailed", "UnlockFailed"),
        ("OngoingAuthorizedTransaction", "OngoingAuthorizedTransaction"),
        ("UnknownConnector", "UnknownConnector"),
        ("NotSupported", "UnlockFailed"),
    ],
)
def test_unlocking(said: str, told_word: str) -> None:
    """# F05; NotSupported is a word of 1.6."""
    payload = {"evseId": 1, "connectorId": 2}

    assert heard("UnlockConnector", payload) == UnlockRequested(Place(evse=1, connector=2))
    assert replied("UnlockConnector", payload, StatusReply(status=said)) == {"status": told_word}


@pytest.mark.parametrize(
    "message",
    [
        *("BootNotification", "LogStatusNotification", "FirmwareStatusNotification", "Heartbeat"),
        *("MeterValues", "SignChargingStationCertificate", "SignV2GCertificate", "StatusNotification"),
        *("TransactionEvent", "SignCombinedCertificate", "PublishFirmwareStatusNotification"),
    ],
)
def test_a_trigger_is_passed_on_in_its_own_word(message: str) -> None:
    """# F06: of all, of an EVSE, of a connector."""
    payload = {"requestedMessage": message, "evse": {"id": 1, "connectorId": 2}}

    assert heard("TriggerMessage", {"requestedMessage": message}) == TriggerRequested(message, Place())
    assert heard("TriggerMessage", payload) == TriggerRequested(message, Place(evse=1, connector=2))


@pytest.mark.parametrize("status", ["Accepted", "Rejected", "NotImplemented"])
def test_the_answer_to_a_trigger(status: str) -> None:
    """# [TC_F_27]"""
    payload = {"requestedMessage": "Heartbeat"}

    assert replied("TriggerMessage", payload, StatusReply(status=status)) == {"status": status}
