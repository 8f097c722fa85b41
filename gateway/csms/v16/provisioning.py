"""Boot, heartbeat and reset (# 1.6 §4.2, §4.6, §5.14)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Call, Hearing, Payload, Telling, shortened
from gateway.csms.timestamps import parse_time
from gateway.csms.v16.words import status_result
from gateway.station.model import RegistrationStatus
from gateway.station.reports import Answer, Boot, BootAnswer, Heartbeat, HeartbeatAnswer
from gateway.station.requests import ResetRequested


def _boot_calls(report: Boot) -> list[Call]:
    payload: Payload = {
        "chargePointVendor": shortened(report.vendor, 20),
        "chargePointModel": shortened(report.model, 20),
    }
    for field, text, limit in (
        ("chargePointSerialNumber", report.serial, 25),
        ("firmwareVersion", report.firmware_version, 50),
        ("iccid", report.iccid, 20),
        ("imsi", report.imsi, 20),
    ):
        if text:
            payload[field] = shortened(text, limit)
    return [Call("BootNotification", payload)]


def _boot_answer(_report: Boot, _step: int, payload: Payload) -> Answer:
    return BootAnswer(
        status=RegistrationStatus(payload["status"]),
        interval_s=max(0, int(payload["interval"])),
        csms_time=parse_time(payload["currentTime"]),
    )


def _heartbeat_calls(_report: Heartbeat) -> list[Call]:
    return [Call("Heartbeat", {})]


def _heartbeat_answer(_report: Heartbeat, _step: int, payload: Payload) -> Answer:
    return HeartbeatAnswer(parse_time(payload["currentTime"]))


def _reset(payload: Payload) -> ResetRequested:
    return ResetRequested("hard" if payload["type"] == "Hard" else "soft")


BLOCK = Block(
    tells={
        Boot: Telling(_boot_calls, _boot_answer),
        Heartbeat: Telling(_heartbeat_calls, _heartbeat_answer),
    },
    hears={"Reset": Hearing(_reset, status_result({"Accepted": "Accepted", "Scheduled": "Accepted"}))},
)
