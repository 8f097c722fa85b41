"""Charging profiles in 1.6."""

from typing import Any

import pytest

from gateway.csms.dialect import BadRequest
from gateway.csms.v16.smart_charging import profile_of
from gateway.station.charging_profiles import ChargingProfile, ChargingSchedule, Period, Purpose
from gateway.station.requests import (
    ChargingProfileClearRequested,
    ChargingProfileGiven,
    CompositeScheduleReply,
    CompositeScheduleRequested,
    Place,
    RefusalCode,
    StatusReply,
)
from tests.csms.v16.wire import AT, AT_TEXT, SCHEMAS, heard, replied

LEAST: dict[str, Any] = {
    "chargingProfileId": 4,
    "stackLevel": 0,
    "chargingProfilePurpose": "ChargePointMaxProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 8}]},
}
FULL: dict[str, Any] = {
    "chargingProfileId": 4,
    "transactionId": 12,
    "stackLevel": 1,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Recurring",
    "recurrencyKind": "Daily",
    "validFrom": AT_TEXT,
    "validTo": "2026-02-01T12:00:00Z",
    "chargingSchedule": {
        "chargingRateUnit": "W",
        "startSchedule": "2026-01-31T12:00:00+01:00",
        "duration": 3600,
        "minChargingRate": 6.5,
        "chargingSchedulePeriod": [
            {"startPeriod": 0, "limit": 3680.0, "numberPhases": 1},
            {"startPeriod": 60, "limit": 11040.5},
        ],
    },
}


def test_a_profile_with_everything() -> None:
    """Nothing of it is lost; a transactionId stays the CSMS's number; three phases where none are named."""
    assert heard(
        "SetChargingProfile", {"connectorId": 2, "csChargingProfiles": FULL}
    ) == ChargingProfileGiven(
        Place(n=2),
        ChargingProfile(
            id=4,
            stack_level=1,
            purpose=Purpose.TX,
            kind="Recurring",
            recurrency="Daily",
            valid_from=AT,
            valid_to=AT + 86400,
            csms_id=12,
            schedule=ChargingSchedule(
                unit="W",
                start_at=AT - 3600,
                duration_s=3600,
                min_rate=6.5,
                periods=(Period(0, 3680.0, 1), Period(60, 11040.5, 3)),
            ),
        ),
    )


def test_a_profile_with_the_least() -> None:
    """The station's purpose is spelt otherwise in 2.x."""
    assert profile_of(LEAST) == ChargingProfile(
        id=4,
        stack_level=0,
        purpose=Purpose.STATION_MAX,
        kind="Absolute",
        schedule=ChargingSchedule(unit="A", periods=(Period(0, 8.0),)),
    )


@pytest.mark.parametrize("field", ["validFrom", "validTo", "startSchedule"])
def test_a_time_that_is_none_is_refused(field: str) -> None:
    """The sentence names the field and the value."""
    given = {**LEAST, "chargingSchedule": {**LEAST["chargingSchedule"]}}
    (given["chargingSchedule"] if field == "startSchedule" else given)[field] = "tomorrow"

    with pytest.raises(BadRequest, match=f"{field} is no time: 'tomorrow'") as refused:
        profile_of(given)

    assert refused.value.code is RefusalCode.PROPERTY


def test_noise_in_a_limit_is_tolerated() -> None:
    """22.100000001 means 22.1."""
    given = {**LEAST, "chargingSchedule": {**LEAST["chargingSchedule"]}}
    given["chargingSchedule"]["chargingSchedulePeriod"] = [{"startPeriod": 0, "limit": 22.100000001}]

    meant, _, error = SCHEMAS.lenient_request(
        "SetChargingProfile", {"connectorId": 0, "csChargingProfiles": given}
    )

    assert error is None
    assert profile_of(meant["csChargingProfiles"]).schedule.periods == (Period(0, 22.1),)


@pytest.mark.parametrize(
    ("status", "word"), [("Accepted", "Accepted"), ("Rejected", "Rejected"), ("Unknown", "Rejected")]
)
def test_a_profile_is_answered(status: str, word: str) -> None:
    """In the words of 1.6."""
    assert replied("SetChargingProfile", {}, StatusReply(status=status)) == {"status": word}


@pytest.mark.parametrize(
    ("payload", "request_"),
    [
        ({}, ChargingProfileClearRequested()),
        ({"id": 0}, ChargingProfileClearRequested(profile_id=0)),
        (
            {"connectorId": 0, "chargingProfilePurpose": "ChargePointMaxProfile", "stackLevel": 0},
            ChargingProfileClearRequested(place=Place(n=0), purpose=Purpose.STATION_MAX, stack_level=0),
        ),
    ],
)
def test_profiles_are_cleared(payload: dict[str, Any], request_: ChargingProfileClearRequested) -> None:
    """0 is a filter like any other."""
    assert heard("ClearChargingProfile", payload) == request_


@pytest.mark.parametrize("word", ["Accepted", "Unknown"])
def test_clearing_is_answered(word: str) -> None:
    """There are two words."""
    assert replied("ClearChargingProfile", {}, StatusReply(status=word)) == {"status": word}


def test_a_composite_schedule_is_asked_for() -> None:
    """With a unit or without."""
    asked = {"connectorId": 0, "duration": 60}

    assert heard("GetCompositeSchedule", asked) == CompositeScheduleRequested(Place(n=0), 60)
    assert heard("GetCompositeSchedule", {**asked, "chargingRateUnit": "W"}) == CompositeScheduleRequested(
        Place(n=0), 60, "W"
    )


def test_a_composite_schedule_is_answered() -> None:
    """With scheduleStart, without startSchedule (# [E3.51], [E3.57]); phases where they are not three."""
    reply = CompositeScheduleReply(
        status="Accepted",
        evse=2,
        n=3,
        start_at=AT + 0.25,
        duration_s=60,
        unit="A",
        periods=(Period(0, 10.1), Period(30, 6.0, 1)),
    )

    assert replied("GetCompositeSchedule", {}, reply) == {
        "status": "Accepted",
        "connectorId": 3,
        "scheduleStart": "2026-01-31T12:00:00.250Z",
        "chargingSchedule": {
            "duration": 60,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 10.1},
                {"startPeriod": 30, "limit": 6.0, "numberPhases": 1},
            ],
        },
    }


def test_a_composite_schedule_is_refused() -> None:
    """There is nothing to tell then."""
    assert replied("GetCompositeSchedule", {}, CompositeScheduleReply(status="Rejected")) == {
        "status": "Rejected"
    }
