"""Transactions in 2.0.1."""

from typing import Any

import pytest

from gateway.station.model import (
    AuthorizationStatus,
    ChargingState,
    IdToken,
    ReadingContext,
    Sample,
    SampledValue,
    StopReason,
    TokenInfo,
    TriggerReason,
)
from gateway.station.reports import TransactionAnswer, TransactionEvent
from gateway.station.requests import TransactionStatusReply, TransactionStatusRequested
from tests.csms.v201.wire import AT, AT_TEXT, answered, heard, replied, told_once

BARE: dict[str, Any] = {
    "type": "Updated",
    "trigger": TriggerReason.CHARGING_STATE_CHANGED,
    "seq": 3,
    "at": AT,
    "transaction": "7f3c",
    "evse": 2,
    "connector": 1,
    "n": 3,
}


def event(**changed: Any) -> TransactionEvent:
    return TransactionEvent(**{**BARE, **changed})


def told_event(**changed: Any) -> dict[str, Any]:
    return told_once(event(**changed), "TransactionEvent")


def test_a_bare_event_has_nothing_that_is_not_known() -> None:
    """Absent is absent: no null, no empty list, no offline=false; not even the register of the core."""
    assert told_event(csms_id=5, start_token=IdToken("A"), register_wh=12.0) == {
        "eventType": "Updated",
        "timestamp": AT_TEXT,
        "triggerReason": "ChargingStateChanged",
        "seqNo": 3,
        "transactionInfo": {"transactionId": "7f3c"},
    }


def test_an_event_with_everything() -> None:
    """# E01.FR.16, E03.FR.01, E03.FR.03, E11.FR.07, F01.FR.25"""
    values = (SampledValue(1500.0, "Energy.Active.Import.Register", "Wh"),)

    assert told_event(
        type="Started",
        trigger=TriggerReason.REMOTE_START,
        seq=0,
        tell_evse=True,
        charging_state=ChargingState.EV_CONNECTED,
        id_token=IdToken("04A2B3C4"),
        reservation_id=0,
        remote_start_id=77,
        samples=(Sample(AT, ReadingContext.TRANSACTION_BEGIN, values),),
        phases_used=3,
        cable_limit_a=32.9,
        offline=True,
    ) == {
        "eventType": "Started",
        "timestamp": AT_TEXT,
        "triggerReason": "RemoteStart",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "7f3c", "chargingState": "EVConnected", "remoteStartId": 77},
        "offline": True,
        "numberOfPhasesUsed": 3,
        "cableMaxCurrent": 32,
        "reservationId": 0,
        "evse": {"id": 2, "connectorId": 1},
        "idToken": {"idToken": "04A2B3C4", "type": "ISO14443"},
        "meterValue": [
            {
                "timestamp": AT_TEXT,
                "sampledValue": [
                    {
                        "value": 1500,
                        "context": "Transaction.Begin",
                        "measurand": "Energy.Active.Import.Register",
                        "location": "Outlet",
                        "unitOfMeasure": {"unit": "Wh"},
                    }
                ],
            }
        ],
    }


@pytest.mark.parametrize("trigger", list(TriggerReason))
@pytest.mark.parametrize("state", [None, *ChargingState])
def test_every_trigger_and_state_is_told_in_its_own_word(
    trigger: TriggerReason, state: ChargingState | None
) -> None:
    """# E02.FR.13"""
    payload = told_event(trigger=trigger, charging_state=state)

    assert payload["triggerReason"] == trigger.value
    assert payload["transactionInfo"].get("chargingState") == (None if state is None else state.value)


@pytest.mark.parametrize("reason", list(StopReason))
def test_every_stop_reason_has_a_word_but_local(reason: StopReason) -> None:
    """# E06.FR.08: Local is what its absence means; 1.6's own words are told by the nearest of 2.x."""
    words = {
        StopReason.LOCAL: None,
        StopReason.HARD_RESET: "ImmediateReset",
        StopReason.SOFT_RESET: "Reboot",
        StopReason.UNLOCK_COMMAND: "Other",
    }

    info = told_event(type="Ended", stop_reason=reason)["transactionInfo"]

    assert info.get("stoppedReason") == words.get(reason, reason.value)


def test_only_the_end_tells_why_it_stopped() -> None:
    """The core may know the reason earlier."""
    assert "stoppedReason" not in told_event(stop_reason=StopReason.REMOTE)["transactionInfo"]


def test_a_transaction_is_told_however_long_its_token_is() -> None:
    """A transaction that happened cannot be refused any more."""
    assert told_event(id_token=IdToken("x" * 40))["idToken"] == {"idToken": "x" * 36, "type": "ISO14443"}


def test_samples_that_have_no_words_leave_no_empty_list() -> None:
    """2.0.1 dropped the temperature."""
    sample = Sample(AT, ReadingContext.SAMPLE_PERIODIC, (SampledValue(21.0, "Temperature", "Celsius"),))

    assert "meterValue" not in told_event(samples=(sample,))


def test_an_answer_without_anything() -> None:
    """The usual one."""
    assert answered(event(), {}) == TransactionAnswer()


def test_an_answer_with_everything() -> None:
    """# E05, I02, I06: a verdict, the cost so far, a text; what we have no use for is passed over."""
    payload = {
        "totalCost": 1.25,
        "chargingPriority": 3,
        "idTokenInfo": {"status": "NoCredit"},
        "updatedPersonalMessage": {"format": "UTF8", "content": "1.25 EUR"},
        "customData": {"vendorId": "x"},
    }

    assert answered(event(), payload) == TransactionAnswer(
        info=TokenInfo(AuthorizationStatus.NO_CREDIT), total_cost=1.25, message="1.25 EUR"
    )


@pytest.mark.parametrize(
    ("payload", "reply", "result"),
    [
        (
            {"transactionId": "7f3c"},
            TransactionStatusReply(messages_in_queue=True, ongoing=False),
            {"messagesInQueue": True, "ongoingIndicator": False},
        ),
        ({}, TransactionStatusReply(messages_in_queue=False), {"messagesInQueue": False}),
        ({}, TransactionStatusReply(messages_in_queue=False, ongoing=True), {"messagesInQueue": False}),
    ],
)
def test_the_status_of_transactions(
    payload: dict[str, Any], reply: TransactionStatusReply, result: dict[str, Any]
) -> None:
    """# E14: without an id there is no ongoingIndicator."""
    assert heard("GetTransactionStatus", payload) == TransactionStatusRequested(payload.get("transactionId"))
    assert replied("GetTransactionStatus", payload, reply) == result
