"""Charging profiles of 1.6 in the shape of 2.x (# 1.6 §7.8, 2.0.1 ChargingProfileType)."""

from __future__ import annotations

from gateway.csms.dialect import Payload

_PURPOSES = {"ChargePointMaxProfile": "ChargingStationMaxProfile"}
_SAME = (
    "stackLevel",
    "chargingProfileKind",
    "recurrencyKind",
    "validFrom",
    "validTo",
    "transactionId",
)


def profile_of(charging_profile: Payload) -> dict[str, object]:
    """The schedule gets the profile's id; a transactionId stays the number that the CSMS gave."""
    number = charging_profile["chargingProfileId"]
    purpose = charging_profile["chargingProfilePurpose"]
    profile: dict[str, object] = {
        "id": number,
        "chargingProfilePurpose": _PURPOSES.get(purpose, purpose),
        "chargingSchedule": [{"id": number, **charging_profile["chargingSchedule"]}],
    }
    for field in _SAME:
        if field in charging_profile:
            profile[field] = charging_profile[field]
    return profile
