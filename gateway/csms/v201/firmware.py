"""Firmware updates and logs (# L01, L02, N01)."""

from __future__ import annotations

from gateway.csms.carrying import firmware_of, log_of
from gateway.csms.dialect import Block, Call, Hearing, Payload, Telling, acknowledged, shortened
from gateway.csms.v201.words import status_result
from gateway.station.reports import FirmwareStatus, LogStatus
from gateway.station.transfer_work import FirmwareGiven, LogReply


def _calls_of(action: str, status: str, request_id: int | None) -> list[Call]:
    payload: Payload = {"status": status}
    if request_id is not None:
        payload["requestId"] = request_id  # L01.FR.20, N01.FR.13: always but for Idle
    return [Call(action, payload)]


def _firmware_calls(report: FirmwareStatus) -> list[Call]:
    return _calls_of("FirmwareStatusNotification", report.status, report.request_id)


def _log_calls(report: LogStatus) -> list[Call]:
    return _calls_of("LogStatusNotification", report.status, report.request_id)


def _update(payload: Payload) -> FirmwareGiven:
    return firmware_of(payload, must_be_signed=False)


def _log_result(_request: Payload, reply: LogReply) -> Payload:
    result: Payload = {"status": reply.status}
    if reply.filename is not None:
        result["filename"] = shortened(reply.filename, 255)
    return result


BLOCK = Block(
    tells={
        FirmwareStatus: Telling(_firmware_calls, acknowledged),
        LogStatus: Telling(_log_calls, acknowledged),
    },
    hears={
        "UpdateFirmware": Hearing(
            _update, status_result("Accepted", "AcceptedCanceled", "InvalidCertificate", "RevokedCertificate")
        ),
        "GetLog": Hearing(log_of, _log_result),
    },
)
