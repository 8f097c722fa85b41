"""Diagnostics and logs: gathered from device and gateway, brought where the CSMS wants them (# 1.6 §6.1, N01)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.station import commands, outbox
from gateway.station.effects import Notify
from gateway.station.records import LogUploadRecord
from gateway.station.reports import LogStatus
from gateway.station.transfer_work import (
    CancelTransfer,
    LogReply,
    Transfer,
    TransferFailed,
    Upload,
)
from gateway.station.transfers import LogUpload

if TYPE_CHECKING:
    from msgspec import Struct

    from gateway.station.state import StationState
    from gateway.station.transfer_work import LogReported, LogRequested, SecurityLogEntry, TransferEnded
    from gateway.station.turn import Turn

COMMAND = "upload_log"
RETRIES = 3
RETRY_INTERVAL_S = 60
"""Where the CSMS leaves it to the station."""
DEVICE_LOG_MAX = 1 << 20
"""Characters; what a device says beyond it is left out."""

_STATUSES = {
    "bad_address": "BadMessage",
    "unsupported": "NotSupportedOperation",
    "denied": "PermissionDenied",
    "failed": "UploadFailure",
}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


def requested(state: StationState, turn: Turn, request: LogRequested) -> LogReply:
    """A new request ends the one under way (# N01.FR.12)."""
    upload = state.log_upload
    if request.kind == "SecurityLog" and not state.security_log:
        return LogReply("Rejected")
    cancelled = upload.request is not None
    if cancelled:
        if upload.transfer is not None:
            turn.do(CancelTransfer(upload.transfer))
        _end(state, turn, "AcceptedCanceled", "")
    state.log_upload = upload = LogUpload()
    upload.request, upload.filename = request, _filename(state, request)
    turn.save("log_upload", "main", LogUploadRecord(request.request_id))
    _tell(state, turn, request.request_id, "Uploading", upload.filename)
    if request.kind == "DiagnosticsLog" and COMMAND in state.record.commands:
        arguments: dict[str, object] = {
            "oldest": _host_time(state, request.oldest),
            "latest": _host_time(state, request.latest),
        }
        state.command_outcomes.pop(COMMAND, None)
        if commands.send(state, turn, 0, COMMAND, arguments) is not None:
            upload.gather_until = turn.now.monotonic + state.config.policy.command_timeout_s
    return LogReply("AcceptedCanceled" if cancelled else "Accepted", upload.filename)


def _filename(state: StationState, request: LogRequested) -> str:
    name = _NOT_IN_NAMES.sub("_", state.config.identity)[:48]
    kind = "diagnostics" if request.kind == "DiagnosticsLog" else "security"
    return f"{name}_{kind}_{datetime.fromtimestamp(state.wall_now, UTC):%Y%m%dT%H%M%SZ}.zip"


def _host_time(state: StationState, at: float | None) -> float | None:
    return None if at is None else at - state.record.clock_offset_s


def reported(state: StationState, turn: Turn, event: LogReported) -> None:
    """A part of the device's log; what nobody asked for is nobody's."""
    upload = state.log_upload
    if upload.request is None or upload.gather_until is None:
        return
    room = DEVICE_LOG_MAX - upload.size
    if room > 0 and event.text:
        upload.parts.append(event.text[:room])
        upload.size += len(upload.parts[-1])
    upload.gather_until = turn.now.monotonic + state.config.policy.command_timeout_s
    if event.last or len(event.text) > room:
        upload.gather_until = None


def transferred(state: StationState, turn: Turn, event: TransferEnded) -> bool:
    """Whether it was our upload that has ended."""
    upload = state.log_upload
    if upload.request is None or event.ref != upload.transfer:
        return False
    upload.transfer = None
    if not isinstance(event.outcome, TransferFailed):
        _end(state, turn, "Uploaded", upload.filename)
        return True
    upload.attempts += 1
    retries = RETRIES if upload.request.retries is None else upload.request.retries
    if event.outcome.because in {"bad_address", "unsupported"} or upload.attempts > retries:
        _end(state, turn, _STATUSES[event.outcome.because], event.outcome.why)
        return True
    interval_s = upload.request.retry_interval_s
    upload.retry_at = turn.now.monotonic + (RETRY_INTERVAL_S if interval_s is None else interval_s)
    return True


def restarted(state: StationState, turn: Turn, left: Struct | None) -> None:
    """What the former run was uploading is lost with what it remembered: say so."""
    if isinstance(left, LogUploadRecord):
        turn.save("log_upload", "main", None)
        _tell(state, turn, left.request_id, "UploadFailure", "the gateway was restarted")


def settle(state: StationState, turn: Turn) -> None:
    """Begin the transfer once the device has said all, or had its time; and again after a pause."""
    upload, now = state.log_upload, turn.now.monotonic
    if upload.request is None or upload.transfer is not None:
        return
    outcome = state.command_outcomes.pop(COMMAND, None)
    refused = outcome is not None and outcome[1] not in {"accepted", "in_progress"} and not upload.parts
    if upload.gather_until is not None and (refused or now >= upload.gather_until):
        upload.gather_until = None
    if upload.gather_until is not None or (upload.retry_at is not None and now < upload.retry_at):
        return
    upload.retry_at = None
    upload.transfer = state.next_number(turn)
    job = Upload(
        url=upload.request.location,
        filename=upload.filename,
        kind=upload.request.kind,
        oldest=_host_time(state, upload.request.oldest),
        latest=_host_time(state, upload.request.latest),
        security=_security_entries(state, upload.request),
        device_log="".join(upload.parts) if upload.parts else None,
    )
    turn.do(Transfer(upload.transfer, job))


def _security_entries(state: StationState, request: LogRequested) -> tuple[SecurityLogEntry, ...]:
    oldest = float("-inf") if request.oldest is None else request.oldest
    latest = float("inf") if request.latest is None else request.latest
    return tuple(entry for entry in state.security_log.values() if oldest <= entry.at <= latest)


def deadline(state: StationState) -> float | None:
    """When `settle` has something to do, monotonic."""
    upload = state.log_upload
    if upload.request is None or upload.transfer is not None:
        return None
    return upload.retry_at if upload.gather_until is None else upload.gather_until


def present(state: StationState) -> LogStatus:
    """What a trigger is answered with (# N01.FR.08, 1.6 [TC_054])."""
    request = state.log_upload.request
    return LogStatus("Idle") if request is None else LogStatus("Uploading", request.request_id)


def _end(state: StationState, turn: Turn, status: str, info: str) -> None:
    request = state.log_upload.request
    assert request is not None  # noqa: S101 - somebody asked for it
    state.log_upload = LogUpload()
    turn.save("log_upload", "main", None)
    _tell(state, turn, request.request_id, status, info)


def _tell(state: StationState, turn: Turn, request_id: int | None, status: str, info: str) -> None:
    data: dict[str, object] = {"status": status, "request_id": request_id, "info": info}
    turn.do(Notify(0, "message", "log", data))
    outbox.add(state, turn, LogStatus(status, request_id))
