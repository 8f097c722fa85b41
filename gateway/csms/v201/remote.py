"""What the CSMS does by remote control: start, stop, unlock, trigger (# F01, F02, F03, F05, F06)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Hearing, Payload
from gateway.csms.v201.authorization import token_of
from gateway.csms.v201.words import place_of, status_result
from gateway.station.requests import (
    Place,
    StartRequested,
    StatusReply,
    StopRequested,
    TriggerRequested,
    UnlockRequested,
)


def _start(payload: Payload) -> StartRequested:
    group = payload.get("groupIdToken")
    return StartRequested(
        token=token_of(payload["idToken"]),
        place=Place(evse=payload.get("evseId")),
        remote_start_id=payload["remoteStartId"],
        group=None if group is None else token_of(group),
    )  # F01: a chargingProfile is ignored where there is no smart charging


_accepted_or_rejected = status_result("Accepted")


def _start_result(request: Payload, reply: StatusReply) -> Payload:
    result = _accepted_or_rejected(request, reply)
    if reply.transaction is not None and result["status"] == "Accepted":
        result["transactionId"] = reply.transaction  # F01.FR.13
    return result


def _stop(payload: Payload) -> StopRequested:
    return StopRequested(transaction=payload["transactionId"])


def _unlock(payload: Payload) -> UnlockRequested:
    return UnlockRequested(Place(evse=payload["evseId"], connector=payload["connectorId"]))


def _trigger(payload: Payload) -> TriggerRequested:
    return TriggerRequested(payload["requestedMessage"], place_of(payload.get("evse")))


BLOCK = Block(
    hears={
        "RequestStartTransaction": Hearing(_start, _start_result),
        "RequestStopTransaction": Hearing(_stop, _accepted_or_rejected),
        "UnlockConnector": Hearing(
            _unlock,
            status_result(
                "Unlocked", "OngoingAuthorizedTransaction", "UnknownConnector", otherwise="UnlockFailed"
            ),
        ),
        "TriggerMessage": Hearing(_trigger, status_result("Accepted", "NotImplemented")),
    }
)
