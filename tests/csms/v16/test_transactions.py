"""Transactions in 1.6."""

from typing import Any

import pytest

from gateway.station.model import (
    AuthorizationStatus,
    IdToken,
    ReadingContext,
    Sample,
    SampledValue,
    StopReason,
    TokenInfo,
    TriggerReason,
)
from gateway.station.reports import Acknowledged, TransactionAnswer, TransactionEvent
from tests.csms.v16.wire import AT, AT_TEXT, answered, told, told_once

TOKEN = IdToken("04A2B3C4")
REGISTER = SampledValue(1500.0, "Energy.Active.Import.Register", "Wh")


def sample(context: ReadingContext) -> Sample:
    return Sample(AT, context, (REGISTER,))


def started(**changed: Any) -> TransactionEvent:
    fields: dict[str, Any] = {"start_token": TOKEN, "register_wh": 1500.4, **changed}
    return _event(type="Started", trigger=TriggerReason.AUTHORIZED, seq=0, **fields)


def updated(**changed: Any) -> TransactionEvent:
    return _event(type="Updated", trigger=TriggerReason.METER_VALUE_PERIODIC, seq=1, **changed)


def ended(**changed: Any) -> TransactionEvent:
    fields: dict[str, Any] = {"register_wh": 2500.6, "csms_id": 7, **changed}
    return _event(type="Ended", trigger=TriggerReason.STOP_AUTHORIZED, seq=2, **fields)


def _event(**fields: Any) -> TransactionEvent:
    return TransactionEvent(at=AT, transaction="tx-1", evse=1, connector=1, n=1, **fields)


def test_a_start() -> None:
    """Connector over the whole station, token, register in whole Wh, and the moment."""
    assert told_once(started(), "StartTransaction") == {
        "connectorId": 1,
        "idTag": "04A2B3C4",
        "meterStart": 1500,
        "timestamp": AT_TEXT,
    }


def test_a_start_that_uses_a_reservation() -> None:
    """The reservation is named; 0 is a number like any other."""
    assert told_once(started(reservation_id=0), "StartTransaction")["reservationId"] == 0


def test_a_start_without_register() -> None:
    """The schema demands a number where no meter ever told one."""
    assert told_once(started(register_wh=None), "StartTransaction")["meterStart"] == 0


def test_a_start_with_samples() -> None:
    """They follow at once, under the id that the answer to the first call brought."""
    samples = (sample(ReadingContext.TRANSACTION_BEGIN),)

    for csms_id, told_id in ((None, -1), (0, 0), (42, 42)):
        start, values = told(started(samples=samples, csms_id=csms_id))
        assert (start.action, values.action) == ("StartTransaction", "MeterValues")
        assert values.payload["transactionId"] == told_id
        assert values.payload["meterValue"][0]["sampledValue"][0]["context"] == "Transaction.Begin"


def test_a_start_is_answered() -> None:
    """The first call brings the CSMS's id and verdict, the second nothing."""
    start = started(samples=(sample(ReadingContext.TRANSACTION_BEGIN),))
    payload = {"transactionId": 0, "idTagInfo": {"status": "ConcurrentTx"}}

    assert answered(start, payload) == TransactionAnswer(
        csms_id=0, info=TokenInfo(AuthorizationStatus.CONCURRENT_TX)
    )
    assert answered(start, {}, step=1) == Acknowledged()


def test_an_update_with_samples() -> None:
    """Meter values that belong to the transaction."""
    report = updated(samples=(sample(ReadingContext.SAMPLE_PERIODIC),), csms_id=9)

    payload = told_once(report, "MeterValues")

    assert (payload["connectorId"], payload["transactionId"]) == (1, 9)
    assert payload["meterValue"][0]["sampledValue"][0]["context"] == "Sample.Periodic"
    assert answered(report, {}) == Acknowledged()


def test_an_update_without_samples() -> None:
    """1.6 has no words for it: nothing is sent."""
    assert told(updated(csms_id=9)) == []


def test_a_stop() -> None:
    """Without token, reason and data when there are none."""
    assert told_once(ended(), "StopTransaction") == {
        "meterStop": 2501,
        "timestamp": AT_TEXT,
        "transactionId": 7,
    }


def test_a_stop_with_all_that_belongs_to_it() -> None:
    """Whoever stopped it, why, and the data from begin to end."""
    samples = (sample(ReadingContext.TRANSACTION_BEGIN), sample(ReadingContext.TRANSACTION_END))
    report = ended(id_token=IdToken("FAMILY2"), stop_reason=StopReason.LOCAL, samples=samples)

    payload = told_once(report, "StopTransaction")

    assert (payload["idTag"], payload["reason"]) == ("FAMILY2", "Local")
    contexts = [element["sampledValue"][0]["context"] for element in payload["transactionData"]]
    assert contexts == ["Transaction.Begin", "Transaction.End"]


def test_a_stop_of_a_transaction_that_the_csms_never_confirmed() -> None:
    """It carries -1 ([E3.18])."""
    assert told_once(ended(csms_id=None), "StopTransaction")["transactionId"] == -1


@pytest.mark.parametrize("reason", list(StopReason))
def test_each_reason_has_a_word(reason: StopReason) -> None:
    """What 1.6 knows keeps its word; what it lacks is Other, an immediate reset a hard one."""
    spoken = {
        "DeAuthorized", "EmergencyStop", "EVDisconnected", "HardReset", "Local", "Other", "PowerLoss",
        "Reboot", "Remote", "SoftReset", "UnlockCommand",
    }  # fmt: skip
    expected = reason.value if reason.value in spoken else "Other"
    if reason is StopReason.IMMEDIATE_RESET:
        expected = "HardReset"

    assert told_once(ended(stop_reason=reason), "StopTransaction")["reason"] == expected


def test_a_stop_is_answered() -> None:
    """With a verdict for the cache, or with nothing."""
    assert answered(ended(), {}) == Acknowledged()
    assert answered(ended(), {"idTagInfo": {"status": "Blocked"}}) == TransactionAnswer(
        info=TokenInfo(AuthorizationStatus.BLOCKED)
    )


def test_a_token_too_long_for_1_6_is_cut_rather_than_losing_the_transaction() -> None:
    """Energy flowed: the CSMS has to hear of it even if the token was never asked about in 1.6."""
    long = IdToken("x" * 36)

    assert told_once(started(start_token=long), "StartTransaction")["idTag"] == "x" * 20
    assert told_once(ended(id_token=long), "StopTransaction")["idTag"] == "x" * 20
