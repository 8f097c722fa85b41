"""Diagnostics and logs: gathered from device and gateway, brought where the CSMS wants them (# 1.6 §6.1, N01)."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.station.transfer_work import FailedBecause, TransferFailed, Upload, Uploaded
from tests.station.rig import BOTH, Rig, text

WHERE = "https://user:secret@files.example/logs"
COMMANDS = ("measure", "upload_log")


def booted(version: str = "1.6", *, commands: tuple[str, ...] = ("measure",)) -> Rig:
    rig = Rig(version)
    rig.start()
    rig.announce(commands=commands)
    rig.connect()
    rig.forget()
    return rig


def get_log(rig: Rig, kind: str = "DiagnosticsLog", request_id: int = 3, **payload: Any) -> Any:
    return rig.asks("GetLog", logType=kind, requestId=request_id, log={"remoteLocation": WHERE}, **payload)


def upload_of(rig: Rig) -> Upload:
    [transfer] = rig.transfers
    assert isinstance(transfer.job, Upload)
    return transfer.job


def test_diagnostics_are_uploaded_under_the_name_that_was_told() -> None:
    """[TC_045_1]."""
    rig = booted()

    reply = rig.asks("GetDiagnostics", location=WHERE)

    assert reply == {"fileName": "BENCH_diagnostics_20260131T120000Z.zip"}
    job = upload_of(rig)
    assert (WHERE, reply["fileName"]) == (job.url, job.filename)
    rig.carried(Uploaded())
    assert [{"status": "Uploading"}, {"status": "Uploaded"}] == rig.payloads("DiagnosticsStatusNotification")
    assert ["GetDiagnostics: done", "Log Uploading", "Log Uploaded"] == rig.story()


@BOTH
def test_a_log_is_uploaded_and_every_status_names_its_request(version: str) -> None:
    """[TC_079], [TC_N_25], [TC_N_35]."""
    rig = booted(version)

    reply = get_log(rig, "SecurityLog")

    assert "Accepted" == reply["status"]
    assert ["StartupOfTheDevice"] == [entry.type for entry in upload_of(rig).security]
    rig.carried(Uploaded())
    assert [{"status": "Uploading", "requestId": 3}, {"status": "Uploaded", "requestId": 3}] == rig.payloads(
        "LogStatusNotification"
    )


def test_the_security_log_survives_a_restart() -> None:
    """# A04.FR.01; it has an end."""
    rig = booted()
    rig.restart()
    get_log(rig, "SecurityLog")
    assert ["StartupOfTheDevice", "StartupOfTheDevice"] == [entry.type for entry in upload_of(rig).security]


def test_only_what_was_asked_for_goes_along() -> None:
    """# 1.6 §6.1 startTime, stopTime."""
    rig = booted()
    rig.after(3600)
    log = {"remoteLocation": WHERE, "oldestTimestamp": text(rig.wall - 60)}
    rig.asks("GetLog", logType="SecurityLog", requestId=1, log=log)
    job = upload_of(rig)
    assert (rig.wall - 60, None, ()) == (job.oldest, job.latest, job.security)


@pytest.mark.parametrize(
    ("because", "status"),
    [
        ("bad_address", "BadMessage"),
        ("unsupported", "NotSupportedOperation"),
        ("denied", "PermissionDenied"),
        ("failed", "UploadFailure"),
    ],
)
@BOTH
def test_a_failure_has_its_word(version: str, because: FailedBecause, status: str) -> None:
    """# N01; plain 1.6 knows UploadFailed alone ([TC_045_2])."""
    rig = booted(version)
    get_log(rig, retries=0)
    rig.carried(TransferFailed(because, "no"))
    assert {"status": status, "requestId": 3} == rig.payloads("LogStatusNotification")[-1]


def test_plain_16_knows_one_failure() -> None:
    """[TC_045_2]."""
    rig = booted()
    rig.asks("GetDiagnostics", location=WHERE, retries=0)
    rig.carried(TransferFailed("denied", "no"))
    assert [{"status": "Uploading"}, {"status": "UploadFailed"}] == rig.payloads(
        "DiagnosticsStatusNotification"
    )


def test_an_upload_is_tried_again_as_often_as_asked() -> None:
    """# 1.6 §6.1 retries ([E3.50]), retryInterval."""
    rig = booted()
    rig.asks("GetDiagnostics", location=WHERE, retries=1, retryInterval=10)
    rig.carried(TransferFailed("failed", "no"))
    assert [] == rig.transfers
    rig.after(11)
    rig.carried(Uploaded())
    assert ["Log Uploading", "Log Uploaded"] == rig.story()[1:]


@BOTH
def test_a_new_request_ends_the_one_under_way(version: str) -> None:
    """# N01.FR.12, [TC_N_36]; 1.6 has no word for the status of the old one."""
    rig = booted(version)
    get_log(rig, request_id=1)

    assert "AcceptedCanceled" == get_log(rig, request_id=2)["status"]

    assert 1 == len(rig.transfers)
    rig.carried(Uploaded())
    ended = [] if version == "1.6" else [("AcceptedCanceled", 1)]
    told = [(call["status"], call["requestId"]) for call in rig.payloads("LogStatusNotification")]
    assert [("Uploading", 1), *ended, ("Uploading", 2), ("Uploaded", 2)] == told


def test_the_devices_log_goes_along() -> None:
    """In one or several parts."""
    rig = booted(commands=COMMANDS)
    rig.asks("GetDiagnostics", location=WHERE, startTime=text(rig.wall - 60))
    [command] = rig.commands("upload_log")
    assert {"oldest": rig.wall - 60, "latest": None} == command.arguments
    rig.device_log("one\n", last=False)
    assert [] == rig.transfers

    rig.device_log("two\n")

    assert "one\ntwo\n" == upload_of(rig).device_log


def test_a_device_that_says_nothing_holds_nobody_up() -> None:
    """The gateway's own log goes by itself."""
    rig = booted(commands=COMMANDS)
    rig.asks("GetDiagnostics", location=WHERE)
    rig.after(30)
    assert upload_of(rig).device_log is None


def test_a_device_that_refuses_holds_nobody_up() -> None:
    """Not even that long."""
    rig = booted(commands=COMMANDS)
    rig.asks("GetDiagnostics", location=WHERE)
    rig.result("rejected", name="upload_log")
    assert upload_of(rig).device_log is None


def test_the_devices_log_has_an_end() -> None:
    """A million characters; then it is uploaded as it is."""
    rig = booted(commands=COMMANDS)
    rig.asks("GetDiagnostics", location=WHERE)
    for _ in range(20):
        rig.device_log("x" * 60_000, last=False)
    assert 1 << 20 == len(upload_of(rig).device_log or "")


def test_what_nobody_asked_for_is_nobodys() -> None:
    """A device that talks by itself."""
    rig = booted(commands=COMMANDS)
    rig.device_log("hello")
    assert ([], []) == (rig.transfers, rig.story())


def test_a_restart_in_the_middle_is_told() -> None:
    """Nobody is left to wait."""
    rig = booted()
    get_log(rig)
    rig.transfers.clear()
    rig.restart()
    assert {"status": "UploadFailure", "requestId": 3} == rig.payloads("LogStatusNotification")[-1]


@pytest.mark.parametrize(
    ("version", "action", "message", "name"),
    [
        ("1.6", "TriggerMessage", "DiagnosticsStatusNotification", "DiagnosticsStatusNotification"),
        ("1.6", "ExtendedTriggerMessage", "LogStatusNotification", "LogStatusNotification"),
        ("2.0.1", "TriggerMessage", "LogStatusNotification", "LogStatusNotification"),
    ],
)
def test_a_trigger_is_answered(version: str, action: str, message: str, name: str) -> None:
    """[TC_054]: Idle while nothing is going on."""
    rig = booted(version)
    assert "Accepted" == rig.status_of(action, requestedMessage=message)
    assert [{"status": "Idle"}] == rig.payloads(name)
