"""Firmware and diagnostics, in the plain words of 1.6 and in those of the security whitepaper (# L01, N01)."""

from __future__ import annotations

from gateway.csms.carrying import firmware_of, log_of, time_of, whole
from gateway.csms.dialect import Block, Call, Hearing, Payload, Telling, acknowledged, shortened
from gateway.csms.v16.words import status_result
from gateway.station.reports import FirmwareStatus, LogStatus
from gateway.station.requests import StatusReply
from gateway.station.transfer_work import FirmwareGiven, LogReply, LogRequested

_FIRMWARE = {
    "DownloadPaused": "Downloading",
    "DownloadScheduled": "Idle",
    "InstallRebooting": "Installing",
    "InstallScheduled": "Downloaded",
    "InstallVerificationFailed": "InstallationFailed",
    "InvalidSignature": "InstallationFailed",
    "SignatureVerified": "Downloaded",
}
"""What the plain FirmwareStatusNotification calls otherwise."""
_DIAGNOSTICS = {"Idle": "Idle", "Uploading": "Uploading", "Uploaded": "Uploaded"}


def _firmware_calls(report: FirmwareStatus) -> list[Call]:
    payload: Payload = {"status": report.status}
    if report.request_id is not None:
        payload["requestId"] = report.request_id
    if report.signed or report.request_id is not None:
        return [Call("SignedFirmwareStatusNotification", payload)]
    return [Call("FirmwareStatusNotification", {"status": _FIRMWARE.get(report.status, report.status)})]


def _log_calls(report: LogStatus) -> list[Call]:
    if report.status == "AcceptedCanceled":
        return []  # 1.6 has no word for the one that was ended
    if report.log or report.request_id is not None:
        payload: Payload = {"status": report.status}
        if report.request_id is not None:
            payload["requestId"] = report.request_id
        return [Call("LogStatusNotification", payload)]
    return [
        Call("DiagnosticsStatusNotification", {"status": _DIAGNOSTICS.get(report.status, "UploadFailed")})
    ]


def _update(payload: Payload) -> FirmwareGiven:
    return FirmwareGiven(
        location=payload["location"],
        retrieve_at=time_of(payload, "retrieveDate") or 0.0,
        retries=whole(payload, "retries"),
        retry_interval_s=whole(payload, "retryInterval"),
    )


def _update_result(_request: Payload, _reply: StatusReply) -> Payload:
    return {}


def _signed_update(payload: Payload) -> FirmwareGiven:
    return firmware_of(payload, must_be_signed=True)


def _diagnostics(payload: Payload) -> LogRequested:
    return LogRequested(
        kind="DiagnosticsLog",
        location=payload["location"],
        oldest=time_of(payload, "startTime"),
        latest=time_of(payload, "stopTime"),
        retries=whole(payload, "retries"),
        retry_interval_s=whole(payload, "retryInterval"),
    )


def _diagnostics_result(_request: Payload, reply: LogReply) -> Payload:
    return {} if reply.filename is None else {"fileName": shortened(reply.filename, 255)}


def _log_result(_request: Payload, reply: LogReply) -> Payload:
    return {"status": reply.status, **_named(reply)}


def _named(reply: LogReply) -> Payload:
    return {} if reply.filename is None else {"filename": shortened(reply.filename, 255)}


_UPDATE_STATUSES = ("Accepted", "AcceptedCanceled", "InvalidCertificate", "RevokedCertificate")

BLOCK = Block(
    tells={
        FirmwareStatus: Telling(_firmware_calls, acknowledged),
        LogStatus: Telling(_log_calls, acknowledged),
    },
    hears={
        "UpdateFirmware": Hearing(_update, _update_result),
        "SignedUpdateFirmware": Hearing(
            _signed_update, status_result({word: word for word in _UPDATE_STATUSES})
        ),
        "GetDiagnostics": Hearing(_diagnostics, _diagnostics_result),
        "GetLog": Hearing(log_of, _log_result),
    },
)
