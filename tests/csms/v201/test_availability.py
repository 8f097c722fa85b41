"""Connector status and operative state in 2.0.1."""

from typing import Any

import pytest

from gateway.station.model import AvailabilityState, ConnectorStatus
from gateway.station.reports import Acknowledged, Status
from gateway.station.requests import AvailabilityRequested, Place, StatusReply
from tests.csms.v201.wire import AT, AT_TEXT, answered, heard, replied, told, told_once


@pytest.mark.parametrize("state", list(AvailabilityState))
def test_a_status_is_one_of_five(state: AvailabilityState) -> None:
    """# G01: errors go into NotifyEvent, not here."""
    report = Status(3, 2, 1, ConnectorStatus.FINISHING, state, AT + 0.25, error_code="OverVoltage", info="x")

    assert told_once(report, "StatusNotification") == {
        "timestamp": AT_TEXT.replace("Z", ".250Z"),
        "connectorStatus": state.value,
        "evseId": 2,
        "connectorId": 1,
    }
    assert answered(report, {}) == Acknowledged()


def test_the_station_has_no_status_of_its_own() -> None:
    """Only connectors are reported."""
    assert told(Status(0, 0, 0, ConnectorStatus.AVAILABLE, AvailabilityState.AVAILABLE, AT)) == []


@pytest.mark.parametrize(
    ("evse", "place"),
    [
        (None, Place()),
        ({"id": 0}, Place()),
        ({"id": 2}, Place(evse=2)),
        ({"id": 2, "connectorId": 1}, Place(evse=2, connector=1)),
        ({"id": 0, "connectorId": 1}, Place(evse=0, connector=1)),
    ],
)
def test_operative_state_of_station_evse_and_connector(evse: dict[str, int] | None, place: Place) -> None:
    """# G03, G04; EVSE 0 is what 1.6 backends call the station."""
    payload: dict[str, Any] = {"operationalStatus": "Inoperative"}
    if evse is not None:
        payload["evse"] = evse

    assert heard("ChangeAvailability", payload) == AvailabilityRequested(place, operative=False)


@pytest.mark.parametrize("status", ["Accepted", "Rejected", "Scheduled"])
def test_the_answer(status: str) -> None:
    """# [TC_G_11]: Scheduled while a transaction runs."""
    payload = {"operationalStatus": "Operative"}

    assert heard("ChangeAvailability", payload) == AvailabilityRequested(Place(), operative=True)
    assert replied("ChangeAvailability", payload, StatusReply(status=status)) == {"status": status}
