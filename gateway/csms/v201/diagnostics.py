"""Facts of the device model that are told when they change (# N07, N08)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Call, Payload, Telling, acknowledged, shortened
from gateway.csms.timestamps import format_time
from gateway.csms.v201.words import component_type, variable_type
from gateway.station.reports import Notification


def _calls(report: Notification) -> list[Call]:
    at = format_time(report.at)
    event: Payload = {
        "eventId": report.event_id,
        "timestamp": at,
        "trigger": report.trigger,
        "actualValue": shortened(report.value, 2500),
        "component": component_type(report.component, None, report.evse, report.connector),
        "variable": variable_type(report.variable),
        "eventNotificationType": "HardWiredNotification",  # no monitor of the CSMS asked for it
    }
    if report.cleared:
        event["cleared"] = True
    if report.tech_info:
        event["techInfo"] = shortened(report.tech_info, 500)
    if report.transaction is not None:
        event["transactionId"] = report.transaction
    return [Call("NotifyEvent", {"generatedAt": at, "seqNo": report.seq, "tbc": False, "eventData": [event]})]


BLOCK = Block(tells={Notification: Telling(_calls, acknowledged)})
