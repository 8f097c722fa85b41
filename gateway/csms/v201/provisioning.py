"""Boot, heartbeat and reset (# B01, G02, B11, B12)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Call, Hearing, Payload, Telling, shortened
from gateway.csms.timestamps import parse_time
from gateway.csms.v201.words import status_result
from gateway.station.model import RegistrationStatus
from gateway.station.reports import Answer, Boot, BootAnswer, Heartbeat, HeartbeatAnswer
from gateway.station.requests import ResetRequested


def _boot_calls(report: Boot) -> list[Call]:
    station: Payload = {"model": shortened(report.model, 20), "vendorName": shortened(report.vendor, 50)}
    _fill(station, "serialNumber", report.serial, 25)
    _fill(station, "firmwareVersion", report.firmware_version, 50)
    modem: Payload = {}
    _fill(modem, "iccid", report.iccid, 20)
    _fill(modem, "imsi", report.imsi, 20)
    if modem:
        station["modem"] = modem
    return [Call("BootNotification", {"chargingStation": station, "reason": report.reason.value})]


def _fill(payload: Payload, field: str, text: str | None, limit: int) -> None:
    if text:
        payload[field] = shortened(text, limit)


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
    return ResetRequested("immediate" if payload["type"] == "Immediate" else "on_idle", payload.get("evseId"))


BLOCK = Block(
    tells={
        Boot: Telling(_boot_calls, _boot_answer),
        Heartbeat: Telling(_heartbeat_calls, _heartbeat_answer),
    },
    hears={"Reset": Hearing(_reset, status_result("Accepted", "Scheduled"))},
)
