"""Transaction events, one message each, and what became of a transaction (# E01 … E14)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Call, Hearing, Payload, Telling
from gateway.csms.timestamps import format_time
from gateway.csms.v201.authorization import id_token_type, token_info
from gateway.csms.v201.metering import meter_values
from gateway.station.model import StopReason
from gateway.station.reports import Answer, TransactionAnswer, TransactionEvent
from gateway.station.requests import TransactionStatusReply, TransactionStatusRequested

_WORDS_OF_16 = {
    StopReason.HARD_RESET: "ImmediateReset",
    StopReason.SOFT_RESET: "Reboot",
    StopReason.UNLOCK_COMMAND: "Other",
}


def _calls(event: TransactionEvent) -> list[Call]:
    info: Payload = {"transactionId": event.transaction}
    if event.charging_state is not None:
        info["chargingState"] = event.charging_state.value
    reason = event.stop_reason
    if event.type == "Ended" and reason is not None and reason is not StopReason.LOCAL:  # E06.FR.08
        info["stoppedReason"] = _WORDS_OF_16.get(reason, reason.value)
    if event.remote_start_id is not None:
        info["remoteStartId"] = event.remote_start_id
    payload: Payload = {
        "eventType": event.type,
        "timestamp": format_time(event.at),
        "triggerReason": event.trigger.value,
        "seqNo": event.seq,
        "transactionInfo": info,
    }
    if event.offline:
        payload["offline"] = True
    if event.phases_used is not None:
        payload["numberOfPhasesUsed"] = event.phases_used
    if event.cable_limit_a is not None:
        payload["cableMaxCurrent"] = int(event.cable_limit_a)
    if event.reservation_id is not None:
        payload["reservationId"] = event.reservation_id
    if event.tell_evse:
        payload["evse"] = {"id": event.evse, "connectorId": event.connector}
    if event.id_token is not None:
        payload["idToken"] = id_token_type(event.id_token)
    if event.samples and (elements := meter_values(event.samples)):
        payload["meterValue"] = elements
    return [Call("TransactionEvent", payload)]


def _answer(_event: TransactionEvent, _step: int, payload: Payload) -> Answer:
    info = payload.get("idTokenInfo")
    message = payload.get("updatedPersonalMessage")
    return TransactionAnswer(
        info=None if info is None else token_info(info),
        total_cost=payload.get("totalCost"),
        message=None if message is None else message["content"],
    )


def _status(payload: Payload) -> TransactionStatusRequested:
    return TransactionStatusRequested(payload.get("transactionId"))


def _status_result(payload: Payload, reply: TransactionStatusReply) -> Payload:
    result: Payload = {"messagesInQueue": reply.messages_in_queue}
    if reply.ongoing is not None and "transactionId" in payload:  # E14.FR.06
        result["ongoingIndicator"] = reply.ongoing
    return result


BLOCK = Block(
    tells={TransactionEvent: Telling(_calls, _answer)},
    hears={"GetTransactionStatus": Hearing(_status, _status_result)},
)
