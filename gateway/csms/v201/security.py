"""Security events (# A04)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Call, Payload, Telling, acknowledged, shortened
from gateway.csms.timestamps import format_time
from gateway.station.reports import SecurityEvent


def _calls(report: SecurityEvent) -> list[Call]:
    payload: Payload = {"type": shortened(report.type, 50), "timestamp": format_time(report.at)}
    if report.info:
        payload["techInfo"] = shortened(report.info, 255)
    return [Call("SecurityEventNotification", payload)]


BLOCK = Block(tells={SecurityEvent: Telling(_calls, acknowledged)})
