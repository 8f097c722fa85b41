"""Connector status and operative state (# G01, G03, G04)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Call, Hearing, Payload, Telling, acknowledged
from gateway.csms.timestamps import format_time
from gateway.csms.v201.words import place_of, status_result
from gateway.station.reports import Status
from gateway.station.requests import AvailabilityRequested, Place


def _calls(report: Status) -> list[Call]:
    if report.connector == 0 or report.evse == 0:
        return []  # Only connectors have a status of their own here.
    return [
        Call(
            "StatusNotification",
            {
                "timestamp": format_time(report.at),
                "connectorStatus": report.availability_state.value,
                "evseId": report.evse,
                "connectorId": report.connector,
            },
        )
    ]


def _change(payload: Payload) -> AvailabilityRequested:
    place = place_of(payload.get("evse"))
    if place.evse == 0 and place.connector in (None, 0):
        place = Place()  # As 1.6 says it: EVSEs count from 1.
    return AvailabilityRequested(place, payload["operationalStatus"] == "Operative")


BLOCK = Block(
    tells={Status: Telling(_calls, acknowledged)},
    hears={"ChangeAvailability": Hearing(_change, status_result("Accepted", "Scheduled"))},
)
