"""DataTransfer, both ways (# 1.6 §4.3, §5.6)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Call, Hearing, Payload, Telling, shortened
from gateway.station.reports import Answer, VendorAnswer, VendorMessage
from gateway.station.requests import VendorMessageReceived, VendorReply


def _calls(report: VendorMessage) -> list[Call]:
    payload: Payload = {"vendorId": shortened(report.vendor_id, 255)}
    if report.message_id is not None:
        payload["messageId"] = shortened(report.message_id, 50)
    if report.data is not None:
        payload["data"] = report.data
    return [Call("DataTransfer", payload)]


def _answer(_report: VendorMessage, _step: int, payload: Payload) -> Answer:
    return VendorAnswer(payload["status"], payload.get("data"))


def _received(payload: Payload) -> VendorMessageReceived:
    return VendorMessageReceived(payload["vendorId"], payload.get("messageId"), payload.get("data"))


def _result(_request: Payload, reply: VendorReply) -> Payload:
    result: Payload = {"status": reply.status}
    if reply.data is not None:
        result["data"] = reply.data
    return result


BLOCK = Block(
    tells={VendorMessage: Telling(_calls, _answer)}, hears={"DataTransfer": Hearing(_received, _result)}
)
