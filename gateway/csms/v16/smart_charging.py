"""Charging profiles: SetChargingProfile, ClearChargingProfile, GetCompositeSchedule (# 1.6 §5.5, §5.7, §5.16, §7.8)."""

from __future__ import annotations

from gateway.csms.dialect import BadRequest, Block, Hearing, Payload
from gateway.csms.timestamps import format_time, parse_time
from gateway.csms.v16.words import status_result
from gateway.station.charging_profiles import ChargingProfile, ChargingSchedule, Period, Purpose
from gateway.station.requests import (
    ChargingProfileClearRequested,
    ChargingProfileGiven,
    CompositeScheduleReply,
    CompositeScheduleRequested,
    Place,
    RefusalCode,
)

_PURPOSES = {
    "ChargePointMaxProfile": Purpose.STATION_MAX,
    "TxDefaultProfile": Purpose.TX_DEFAULT,
    "TxProfile": Purpose.TX,
}
_ALL_PHASES = 3
"""What numberPhases means where it is absent (# 1.6 §7.14)."""


def profile_of(charging_profile: Payload) -> ChargingProfile:
    """Raises BadRequest; the transactionId stays the number that the CSMS gave."""
    return ChargingProfile(
        id=charging_profile["chargingProfileId"],
        stack_level=charging_profile["stackLevel"],
        purpose=_PURPOSES[charging_profile["chargingProfilePurpose"]],
        kind=charging_profile["chargingProfileKind"],
        schedule=_schedule_of(charging_profile["chargingSchedule"]),
        recurrency=charging_profile.get("recurrencyKind"),
        valid_from=_time(charging_profile, "validFrom"),
        valid_to=_time(charging_profile, "validTo"),
        csms_id=charging_profile.get("transactionId"),
    )


def _schedule_of(schedule: Payload) -> ChargingSchedule:
    return ChargingSchedule(
        unit=schedule["chargingRateUnit"],
        periods=tuple(
            Period(period["startPeriod"], float(period["limit"]), period.get("numberPhases", _ALL_PHASES))
            for period in schedule["chargingSchedulePeriod"]
        ),
        duration_s=schedule.get("duration"),
        start_at=_time(schedule, "startSchedule"),
        min_rate=schedule.get("minChargingRate"),
    )


def _time(payload: Payload, field: str) -> float | None:
    text = payload.get(field)
    if text is None:
        return None
    at = parse_time(text)
    if at is None:
        raise BadRequest(RefusalCode.PROPERTY, f"{field} is no time: {text!r}; use RFC 3339")
    return at


def _set(payload: Payload) -> ChargingProfileGiven:
    return ChargingProfileGiven(Place(n=payload["connectorId"]), profile_of(payload["csChargingProfiles"]))


def _clear(payload: Payload) -> ChargingProfileClearRequested:
    n, purpose = payload.get("connectorId"), payload.get("chargingProfilePurpose")
    return ChargingProfileClearRequested(
        profile_id=payload.get("id"),
        place=None if n is None else Place(n=n),
        purpose=None if purpose is None else _PURPOSES[purpose],
        stack_level=payload.get("stackLevel"),
    )


def _composite(payload: Payload) -> CompositeScheduleRequested:
    return CompositeScheduleRequested(
        Place(n=payload["connectorId"]), payload["duration"], payload.get("chargingRateUnit")
    )


def _composite_result(_request: Payload, reply: CompositeScheduleReply) -> Payload:
    """With scheduleStart and without startSchedule (# 1.6 errata 3.51, 3.57)."""
    if reply.status != "Accepted":
        return {"status": "Rejected"}
    return {
        "status": "Accepted",
        "connectorId": reply.n,
        "scheduleStart": format_time(reply.start_at),
        "chargingSchedule": {
            "duration": reply.duration_s,
            "chargingRateUnit": reply.unit,
            "chargingSchedulePeriod": [_period(period) for period in reply.periods],
        },
    }


def _period(period: Period) -> Payload:
    told: Payload = {"startPeriod": period.start_s, "limit": period.limit}
    return told if period.phases == _ALL_PHASES else {**told, "numberPhases": period.phases}


BLOCK = Block(
    hears={
        "SetChargingProfile": Hearing(_set, status_result({"Accepted": "Accepted"})),
        "ClearChargingProfile": Hearing(_clear, status_result({"Accepted": "Accepted"}, otherwise="Unknown")),
        "GetCompositeSchedule": Hearing(_composite, _composite_result),
    }
)
