"""Transaction events as StartTransaction, MeterValues and StopTransaction (# 1.6 §4.8, §4.10)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Call, Payload, Telling
from gateway.csms.timestamps import format_time
from gateway.csms.v16.authorization import id_tag, token_info
from gateway.csms.v16.metering import meter_values
from gateway.station.model import StopReason
from gateway.station.reports import Acknowledged, Answer, TransactionAnswer, TransactionEvent

NEVER_TOLD = -1
"""The transactionId when StartTransaction was never answered ([E3.18]); 0 and negatives are real ids too."""

_REASONS = {
    **{
        reason: reason.value
        for reason in (
            StopReason.DE_AUTHORIZED,
            StopReason.EMERGENCY_STOP,
            StopReason.EV_DISCONNECTED,
            StopReason.HARD_RESET,
            StopReason.LOCAL,
            StopReason.OTHER,
            StopReason.POWER_LOSS,
            StopReason.REBOOT,
            StopReason.REMOTE,
            StopReason.SOFT_RESET,
            StopReason.UNLOCK_COMMAND,
        )
    },
    StopReason.IMMEDIATE_RESET: "HardReset",
}


def _calls(event: TransactionEvent) -> list[Call]:
    match event.type:
        case "Updated":
            return _sampled(event)
        case "Started":
            # Many backends compute a session's energy from its first MeterValues: it follows at once.
            return [_start(event), *_sampled(event)]
        case "Ended":
            return [_stop(event)]


def _answer(event: TransactionEvent, step: int, payload: Payload) -> Answer:
    if event.type == "Started" and step == 0:
        return TransactionAnswer(csms_id=int(payload["transactionId"]), info=token_info(payload["idTagInfo"]))
    if event.type == "Ended" and (info := payload.get("idTagInfo")):
        return TransactionAnswer(info=token_info(info))
    return Acknowledged()


def _start(event: TransactionEvent) -> Call:
    token = event.start_token or event.id_token
    payload: Payload = {
        "connectorId": event.n,
        "idTag": "" if token is None else id_tag(token),
        "meterStart": _whole_wh(event.register_wh),
        "timestamp": format_time(event.at),
    }
    if event.reservation_id is not None:
        payload["reservationId"] = event.reservation_id
    return Call("StartTransaction", payload)


def _sampled(event: TransactionEvent) -> list[Call]:
    elements = meter_values(event.samples)
    if not elements:
        return []
    payload = {"connectorId": event.n, "transactionId": _transaction_id(event), "meterValue": elements}
    return [Call("MeterValues", payload)]


def _stop(event: TransactionEvent) -> Call:
    payload: Payload = {
        "meterStop": _whole_wh(event.register_wh),
        "timestamp": format_time(event.at),
        "transactionId": _transaction_id(event),
    }
    if event.id_token is not None:
        payload["idTag"] = id_tag(event.id_token)
    if event.stop_reason is not None:
        payload["reason"] = _REASONS.get(event.stop_reason, "Other")
    if elements := meter_values(event.samples):
        payload["transactionData"] = elements
    return Call("StopTransaction", payload)


def _transaction_id(event: TransactionEvent) -> int:
    return NEVER_TOLD if event.csms_id is None else event.csms_id


def _whole_wh(register_wh: float | None) -> int:
    # The schema demands a number even where no meter ever told one.
    return 0 if register_wh is None else round(register_wh)


BLOCK = Block(tells={TransactionEvent: Telling(_calls, _answer)})
