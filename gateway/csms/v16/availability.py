"""Connector status and operative state (# 1.6 §4.9, §5.2)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Call, Hearing, Payload, Telling, acknowledged, shortened
from gateway.csms.timestamps import format_time
from gateway.csms.v16.words import status_result
from gateway.station.reports import Status
from gateway.station.requests import AvailabilityRequested, Place
from gateway.station.status_reports import ERROR_CODES


def _calls(report: Status) -> list[Call]:
    listed = report.error_code in ERROR_CODES
    payload: Payload = {
        "connectorId": report.n,
        "errorCode": report.error_code if listed else "OtherError",
        "status": report.status.value,
        "timestamp": format_time(report.at),
    }
    vendor_error_code = report.vendor_error_code or ("" if listed else report.error_code)
    for field, text, limit in (
        ("info", report.info, 50),
        ("vendorId", report.vendor_id, 255),
        ("vendorErrorCode", vendor_error_code, 50),
    ):
        if text:
            payload[field] = shortened(text, limit)
    return [Call("StatusNotification", payload)]


def _change(payload: Payload) -> AvailabilityRequested:
    return AvailabilityRequested(Place(n=payload["connectorId"]), payload["type"] == "Operative")


BLOCK = Block(
    tells={Status: Telling(_calls, acknowledged)},
    hears={
        "ChangeAvailability": Hearing(
            _change, status_result({"Accepted": "Accepted", "Scheduled": "Scheduled"})
        )
    },
)
