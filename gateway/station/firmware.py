"""Firmware updates: fetched and judged by the gateway, installed by the device, told truly (# 1.6 §5.19, L01, L02).

| phase | what is waited for | leads to |
|---|---|---|
| scheduled | the hour, or the pause between two attempts | downloading |
| downloading | the edge, which reads the whole file and measures it | checking, downloaded, ended |
| checking | the edge, which judges the signature | downloaded, ended |
| downloaded | the hour, and the end of all transactions | installing |
| installing | the device | ended |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import certificates, commands, outbox, security
from gateway.station.certificate_work import (
    MANUFACTURER_ROOT,
    CertificateWork,
    CheckSignature,
    ExamineSigner,
    SignatureFits,
    SignerFacts,
    Unusable,
)
from gateway.station.effects import Answer, Notify
from gateway.station.model import BootReason
from gateway.station.records import FirmwareRecord
from gateway.station.reports import FirmwareStatus
from gateway.station.requests import Refusal, RefusalCode, StatusReply
from gateway.station.transfer_work import CancelTransfer, Download, Downloaded, Transfer

if TYPE_CHECKING:
    from gateway.station.certificate_work import CertificateWorked
    from gateway.station.requests import Reply
    from gateway.station.state import StationState
    from gateway.station.transfer_work import (
        FirmwareGiven,
        FirmwareReported,
        TransferEnded,
        TransferFailed,
    )
    from gateway.station.turn import Turn

COMMAND = "update_firmware"
RETRIES = 3
RETRY_INTERVAL_S = 60
"""Where the CSMS leaves it to the station."""
EXAMINED_WITHIN_S = 15.0


# ------------------------------------------------------------------ asking


def given(state: StationState, turn: Turn, request: FirmwareGiven, ref: int) -> Reply | None:
    """Begin, or refuse honestly; None: the reply comes once the signer's certificate has been read."""
    update = state.firmware
    if COMMAND not in state.record.commands:
        return _refused(request, "NotSupported", "the device does not install firmware")
    if request.certificate is None and (request.must_be_signed or state.config.policy.signed_firmware_only):
        return _refused(request, "NotSupported", "only signed firmware is installed")  # 1.6 WP L01.FR.20
    if not state.storing:
        return _refused(request, "OutOfStorage", "the gateway's disk is full")
    if update.phase == "installing":
        return _refused(request, "UpdateInProgress", "an update is being installed")  # L01.FR.27
    if request.certificate is None:
        return _begin(state, turn, request)
    if update.examined is not None:
        return _refused(request, "UpdateInProgress", "another update is being examined")
    task = state.next_number(turn)
    update.examined = task, ref, request, turn.now.monotonic + EXAMINED_WITHIN_S
    roots = certificates.roots(state, MANUFACTURER_ROOT)
    turn.do(CertificateWork(task, ExamineSigner(request.certificate, roots)))
    return None


def _refused(request: FirmwareGiven, code: str, why: str) -> Reply:
    """The plain UpdateFirmware of 1.6 has no status to refuse with."""
    if request.request_id is None:
        kind = RefusalCode.NOT_SUPPORTED if code == "NotSupported" else RefusalCode.GENERIC
        return Refusal(kind, why)
    return StatusReply(status="Rejected", reason_code=code, info=why)


def _begin(state: StationState, turn: Turn, request: FirmwareGiven) -> StatusReply:
    update = state.firmware
    cancelled = update.phase != "ended"
    if update.transfer is not None:
        turn.do(CancelTransfer(update.transfer))
    update.transfer = update.check = update.retry_at = update.deadline = None
    update.record = FirmwareRecord(request, state.next_number(turn))
    _save(state, turn)
    if request.retrieve_at > state.wall_now:
        _tell(state, turn, "DownloadScheduled")
    return StatusReply(status="AcceptedCanceled" if cancelled else "Accepted")


def worked(state: StationState, turn: Turn, event: CertificateWorked) -> bool:
    """Whether the task was one of ours."""
    update = state.firmware
    if update.examined is not None and update.examined[0] == event.ref:
        (_, ref, request, _), update.examined = update.examined, None
        before = len(turn.effects)
        reply = _signer_read(state, turn, request, event)
        turn.effects.insert(before, Answer(ref, reply))
        return True
    if update.check == event.ref:
        update.check = None
        _signature_judged(state, turn, event)
        return True
    return False


def _signer_read(
    state: StationState, turn: Turn, request: FirmwareGiven, event: CertificateWorked
) -> StatusReply:
    """# L01.FR.22, L01.FR.02."""
    outcome, now = event.outcome, state.wall_now
    if isinstance(outcome, Unusable):
        why = outcome.why
    elif not isinstance(outcome, SignerFacts):
        why = "the certificate was not examined"
    elif not outcome.facts.not_before <= now <= outcome.facts.not_after:
        why = f"{outcome.facts.subject} is not valid now"
    elif not outcome.trusted:
        why = f"{outcome.facts.subject} is not signed by an installed ManufacturerRootCertificate"
    else:
        if state.firmware.phase == "installing":
            return StatusReply(status="Rejected", info="an update is being installed")
        return _begin(state, turn, request)
    security.record(state, turn, "InvalidFirmwareSigningCertificate", why)
    return StatusReply(status="InvalidCertificate", reason_code="InvalidCertificate", info=why)


# ------------------------------------------------------------------ fetching and judging


def transferred(state: StationState, turn: Turn, event: TransferEnded) -> bool:
    """Whether it was our download that has ended."""
    update = state.firmware
    if event.ref != update.transfer or update.record is None:
        return False
    update.transfer = None
    outcome = event.outcome
    if not isinstance(outcome, Downloaded):
        _not_fetched(state, turn, outcome)  # type: ignore[arg-type]  # a download is never Uploaded
        return True
    update.record.size, update.record.sha256 = outcome.size, outcome.sha256
    update.record.phase = "downloaded" if update.record.given.signature is None else "checking"
    _tell(state, turn, "Downloaded")
    return True


def _not_fetched(state: StationState, turn: Turn, outcome: TransferFailed) -> None:
    update = state.firmware
    record = update.record
    assert record is not None  # noqa: S101 - the caller looked
    record.attempts += 1
    retries = RETRIES if record.given.retries is None else record.given.retries
    in_vain = outcome.because in {"bad_address", "unsupported"} or record.attempts > retries
    if in_vain:
        _end(state, turn, "DownloadFailed", outcome.why)
        return
    interval_s = record.given.retry_interval_s
    update.retry_at = turn.now.monotonic + (RETRY_INTERVAL_S if interval_s is None else interval_s)
    record.phase = "scheduled"
    _save(state, turn)


def _signature_judged(state: StationState, turn: Turn, event: CertificateWorked) -> None:
    record = state.firmware.record
    if record is None or record.phase != "checking":
        return
    if isinstance(event.outcome, SignatureFits):
        record.phase = "downloaded"
        _tell(state, turn, "SignatureVerified")
        return
    why = event.outcome.why if isinstance(event.outcome, Unusable) else "the signature was not judged"
    security.record(state, turn, "InvalidFirmwareSignature", why)  # L01.FR.03
    _end(state, turn, "InvalidSignature", why)


# ------------------------------------------------------------------ installing


def _install(state: StationState, turn: Turn, record: FirmwareRecord) -> None:
    """The device fetches it from the same place; size and digest tell it whether it got the same file."""
    record.phase = "installing"
    record.version_before = state.record.firmware_version
    record.boot_before = state.record.device_boot_id
    _save(state, turn)
    arguments: dict[str, object] = {
        "url": record.given.location,
        "size": record.size,
        "sha256": record.sha256,
    }
    state.command_outcomes.pop(COMMAND, None)
    state.firmware.deadline = turn.now.monotonic + state.config.policy.firmware_timeout_s
    if commands.send(state, turn, 0, COMMAND, arguments) is None:
        _end(state, turn, "InstallationFailed", "the device is not there")


def _command_ended(state: StationState, turn: Turn, record: FirmwareRecord) -> None:
    outcome = state.command_outcomes.pop(COMMAND, None)
    if outcome is None or record.status == "Installing":
        return
    _, status, info = outcome
    if status == "accepted":
        _tell(state, turn, "Installing")
    else:
        _end(state, turn, "InstallationFailed", f"the device answered {status}{f', {info}' if info else ''}")


def reported(state: StationState, turn: Turn, event: FirmwareReported) -> None:
    """The device says how far it is; at no other time does it concern anybody."""
    record = state.firmware.record
    if record is None or record.phase != "installing":
        return
    if record.status != "Installing":
        _tell(state, turn, "Installing")
    if event.status == "failed":
        _end(state, turn, "InstallationFailed", event.info or "the device says that it failed")
    elif event.status == "installed":
        _installed(state, turn)
    else:
        _notify(turn, record, "Installing", event.info, event.progress)


def announced(state: StationState, turn: Turn) -> None:
    """The device has said who it is: after a boot with another version it has been installed."""
    record = state.firmware.record
    if record is None or record.phase != "installing":
        return
    now = state.record
    rebooted = now.device_boot_id != record.boot_before
    if rebooted and now.firmware_version is not None and now.firmware_version != record.version_before:
        if record.status != "Installing":
            _tell(state, turn, "Installing")
        _installed(state, turn)


def _installed(state: StationState, turn: Turn) -> None:
    """# L01.FR.08, L01.FR.28: the station boots, and says why."""
    version = state.record.firmware_version
    state.record.boot_reason = BootReason.FIRMWARE_UPDATE
    state.boot_needed = True
    state.save(turn)
    _end(state, turn, "Installed", f"version {version}" if version else "")
    security.record(state, turn, "FirmwareUpdated", f"version {version}" if version else None)


# ------------------------------------------------------------------ time


def settle(state: StationState, turn: Turn) -> None:
    """Go on as far as the hour and the facts allow."""
    update, now = state.firmware, turn.now.monotonic
    if update.examined is not None and now >= update.examined[3]:
        reply = StatusReply(status="Rejected", info="the certificate was not examined in time")
        turn.do(Answer(update.examined[1], reply))
        update.examined = None
    record = update.record
    if record is None:
        return
    due = update.retry_at is None or now >= update.retry_at
    if record.phase == "scheduled" and due and state.wall_now >= record.given.retrieve_at:
        record.phase, update.retry_at = "downloading", None
    if record.phase == "downloading" and update.transfer is None:
        update.transfer = state.next_number(turn)
        if record.status != "Downloading":
            _tell(state, turn, "Downloading")
        turn.do(Transfer(update.transfer, Download(url=record.given.location, resume=f"{record.number}")))
    if record.phase == "checking" and update.check is None:
        update.check = state.next_number(turn)
        check = CheckSignature(record.given.certificate or "", record.given.signature or "", record.sha256)
        turn.do(CertificateWork(update.check, check))
    if record.phase == "downloaded":
        _look_whether_to_install(state, turn, record)
    if record.phase == "installing":
        _look_after_device(state, turn, record)


def _look_whether_to_install(state: StationState, turn: Turn, record: FirmwareRecord) -> None:
    early = record.given.install_at is not None and state.wall_now < record.given.install_at
    busy = any(evse.transaction is not None for evse in state.evses.values())
    if (early or busy) and record.status != "InstallScheduled":
        _tell(state, turn, "InstallScheduled")
    if early:
        return
    if busy and not record.held:
        record.held = True
        _save(state, turn)
    if not busy:
        _install(state, turn, record)


def _look_after_device(state: StationState, turn: Turn, record: FirmwareRecord) -> None:
    update = state.firmware
    if update.deadline is None:  # the gateway was restarted meanwhile
        update.deadline = turn.now.monotonic + state.config.policy.firmware_timeout_s
    _command_ended(state, turn, record)
    if record.phase == "installing" and turn.now.monotonic >= update.deadline:
        _end(state, turn, "InstallationFailed", "the device did not say in time that it is done")


def deadline(state: StationState, now: float) -> float | None:
    """When `settle` has something to do, monotonic."""
    update, record = state.firmware, state.firmware.record
    times: list[float | None] = [None if update.examined is None else update.examined[3]]
    if record is not None:
        if record.phase == "scheduled":
            times.append(max(update.retry_at or now, now + record.given.retrieve_at - state.wall_now))
        elif record.phase == "downloaded" and record.given.install_at is not None:
            wait_s = record.given.install_at - state.wall_now
            times.append(now + wait_s if wait_s > 0 else None)
        elif record.phase == "installing":
            times.append(update.deadline)
    return min((time for time in times if time is not None), default=None)


# ------------------------------------------------------------------ telling


def present(state: StationState) -> FirmwareStatus:
    """What a trigger is answered with: the last status, Idle after Installed (# L01.FR.25, L01.FR.26)."""
    record = state.firmware.record
    over = record is None or record.status is None or record.status == "Installed"
    if record is None or over or (record.given.request_id is None and record.phase == "ended"):
        return FirmwareStatus("Idle")
    return FirmwareStatus(record.status or "Idle", record.given.request_id)


def _tell(state: StationState, turn: Turn, status: str, info: str = "") -> None:
    record = state.firmware.record
    assert record is not None  # noqa: S101 - somebody asked for it
    record.status = status
    _save(state, turn)
    _notify(turn, record, status, info)
    request_id = record.given.request_id
    if request_id is not None or not status.endswith("Scheduled"):  # the plain words of 1.6 know no plans
        outbox.add(state, turn, FirmwareStatus(status, request_id))


def _notify(
    turn: Turn, record: FirmwareRecord, status: str, info: str, progress: float | None = None
) -> None:
    data: dict[str, object] = {
        "status": status,
        "request_id": record.given.request_id,
        "progress": progress,
        "info": info,
    }
    turn.do(Notify(0, "message", "firmware", data))


def _end(state: StationState, turn: Turn, status: str, info: str) -> None:
    update = state.firmware
    assert update.record is not None  # noqa: S101 - somebody asked for it
    update.record.phase = "ended"
    update.transfer = update.check = update.retry_at = update.deadline = None
    _tell(state, turn, status, info)


def _save(state: StationState, turn: Turn) -> None:
    turn.save("firmware", "main", state.firmware.record)
