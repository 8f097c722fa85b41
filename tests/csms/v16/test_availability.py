"""Status and availability in 1.6."""

import pytest

from gateway.station.model import AvailabilityState, ConnectorStatus
from gateway.station.reports import Acknowledged, Status
from gateway.station.requests import AvailabilityRequested, Place, StatusReply
from tests.csms.v16.wire import AT, AT_TEXT, answered, heard, replied, told_once


def status(word: ConnectorStatus, n: int = 1, error_code: str = "NoError", **texts: str) -> Status:
    return Status(n, n, 1, word, AvailabilityState.OCCUPIED, AT, error_code, **texts)


@pytest.mark.parametrize("word", list(ConnectorStatus))
def test_each_status_has_its_word(word: ConnectorStatus) -> None:
    """1.6 gets the finer of the two vocabularies, and nothing that is not known."""
    report = status(word)

    assert told_once(report, "StatusNotification") == {
        "connectorId": 1,
        "errorCode": "NoError",
        "status": word.value,
        "timestamp": AT_TEXT,
    }
    assert answered(report, {}) == Acknowledged()


def test_a_fault_with_all_that_is_known() -> None:
    """Texts are cut to what the schema allows."""
    report = status(
        ConnectorStatus.FAULTED,
        0,
        "GroundFailure",
        info="i" * 60,
        vendor_id="v" * 300,
        vendor_error_code="c" * 60,
    )

    payload = told_once(report, "StatusNotification")

    assert (payload["connectorId"], payload["errorCode"]) == (0, "GroundFailure")
    assert [len(payload[field]) for field in ("info", "vendorId", "vendorErrorCode")] == [50, 255, 50]


def test_an_error_that_1_6_does_not_list() -> None:
    """It is OtherError, and its own name is not lost."""
    payload = told_once(status(ConnectorStatus.FAULTED, error_code="RelayStuck"), "StatusNotification")

    assert (payload["errorCode"], payload["vendorErrorCode"]) == ("OtherError", "RelayStuck")


@pytest.mark.parametrize("n", [0, 2])
def test_change_availability(n: int) -> None:
    """Connector 0 is the station with all its connectors."""
    for word, operative in (("Operative", True), ("Inoperative", False)):
        request = heard("ChangeAvailability", {"connectorId": n, "type": word})
        assert request == AvailabilityRequested(Place(n=n), operative)


@pytest.mark.parametrize("word", ["Accepted", "Rejected", "Scheduled"])
def test_change_availability_is_answered(word: str) -> None:
    """The three words are the same in both versions."""
    payload = {"connectorId": 1, "type": "Operative"}

    assert replied("ChangeAvailability", payload, StatusReply(status=word)) == {"status": word}
