"""What the CSMS does by remote control: start, stop, unlock, trigger (# 1.6 §5.11, §5.12, §5.17, §5.18)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Hearing, Payload
from gateway.csms.v16.smart_charging import profile_of
from gateway.csms.v16.words import status_result
from gateway.station.model import IdToken
from gateway.station.requests import (
    Place,
    StartRequested,
    StopRequested,
    TriggerRequested,
    UnlockRequested,
)

_EXTENDED = {
    "FirmwareStatusNotification": "SignedFirmwareStatusNotification",
    "SignChargePointCertificate": "SignChargingStationCertificate",
}
"""What ExtendedTriggerMessage means by other words than the core's."""


def _start(payload: Payload) -> StartRequested:
    profile = payload.get("chargingProfile")
    return StartRequested(
        token=IdToken(payload["idTag"]),
        place=Place(n=payload.get("connectorId")),
        profile=None if profile is None else profile_of(profile),
    )


def _stop(payload: Payload) -> StopRequested:
    return StopRequested(csms_id=payload["transactionId"])


def _unlock(payload: Payload) -> UnlockRequested:
    return UnlockRequested(Place(n=payload["connectorId"]))


def _trigger(payload: Payload) -> TriggerRequested:
    return TriggerRequested(payload["requestedMessage"], Place(n=payload.get("connectorId")))


def _extended_trigger(payload: Payload) -> TriggerRequested:
    message: str = payload["requestedMessage"]
    return TriggerRequested(_EXTENDED.get(message, message), Place(n=payload.get("connectorId")))


_accepted_or_rejected = status_result({"Accepted": "Accepted"})
_triggered = status_result({"Accepted": "Accepted", "NotImplemented": "NotImplemented"})

BLOCK = Block(
    hears={
        "RemoteStartTransaction": Hearing(_start, _accepted_or_rejected),
        "RemoteStopTransaction": Hearing(_stop, _accepted_or_rejected),
        "UnlockConnector": Hearing(
            _unlock,
            status_result(
                # [TC_031]: 1.6 has no word for a connector that is not there.
                {"Unlocked": "Unlocked", "NotSupported": "NotSupported", "UnknownConnector": "NotSupported"},
                otherwise="UnlockFailed",
            ),
        ),
        "TriggerMessage": Hearing(_trigger, _triggered),
        "ExtendedTriggerMessage": Hearing(_extended_trigger, _triggered),
    }
)
