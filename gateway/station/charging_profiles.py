"""What a charging profile says for each instant: validity, kind, recurrence, duration, periods; nothing else."""

from __future__ import annotations

from bisect import bisect_right
from enum import StrEnum
from math import inf
from typing import Literal

from msgspec import Struct

EARLY_S = 0.001
"""A step counts as reached so much early: sums of wall-clock seconds are not exact to the microsecond."""

RateUnit = Literal["A", "W"]
"""Amperes are per phase, watts are the sum over all phases (# 1.6 §7.8, 2.0.1 ChargingRateUnitEnumType)."""


class Purpose(StrEnum):
    """# 2.0.1 ChargingProfilePurposeEnumType, as far as a CSMS may give them."""

    STATION_MAX = "ChargingStationMaxProfile"
    """The sum over all EVSEs of the station; 1.6's ChargePointMaxProfile."""
    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"


class Period(Struct, frozen=True, array_like=True, gc=False):
    """One step of a schedule."""

    start_s: int
    """Since the schedule's start."""
    limit: float
    phases: int = 3
    """How many phases may be used."""


class ChargingSchedule(Struct, frozen=True, kw_only=True):
    """Periods, and when they begin."""

    unit: RateUnit
    periods: tuple[Period, ...]
    duration_s: int | None = None
    """None: the last period goes on."""
    start_at: float | None = None
    """Wall-clock seconds of the CSMS; None: see `_start`."""
    min_rate: float | None = None
    """What the vehicle would like to have at least; informative."""


class ChargingProfile(Struct, frozen=True, kw_only=True):
    """One profile as the CSMS gave it (# 1.6 §7.8, 2.0.1 ChargingProfileType)."""

    id: int
    stack_level: int
    purpose: Purpose
    kind: Literal["Absolute", "Recurring", "Relative"]
    schedule: ChargingSchedule
    recurrency: Literal["Daily", "Weekly"] | None = None
    valid_from: float | None = None
    """Wall-clock seconds of the CSMS, like `valid_to`."""
    valid_to: float | None = None
    transaction: str | None = None
    """Our own id (2.x)."""
    csms_id: int | None = None
    """The number that the CSMS gave the transaction (1.6)."""


class Slot(Struct, frozen=True, gc=False):
    """What a profile says at an instant."""

    period: Period | None
    """None: nothing."""
    until: float
    """It says the same until then; infinite when for good."""


_RECURRENCE_S = {"Daily": 86400.0, "Weekly": 604800.0}


def slot(profile: ChargingProfile, installed_at: float, at: float, begun: float | None) -> Slot:
    """What it says at an instant; all times are wall-clock seconds of the CSMS.

    `begun` is when its transaction began; None: there is none, and what is said is what holds if one began now.
    """
    if profile.valid_from is not None and at + EARLY_S < profile.valid_from:
        return Slot(None, profile.valid_from)
    valid_to = inf if profile.valid_to is None else profile.valid_to
    if at + EARLY_S >= valid_to:
        return Slot(None, inf)
    said = _scheduled(profile, _start(profile, installed_at, begun), at)
    return said if said.until <= valid_to else Slot(said.period, valid_to)


def end(profile: ChargingProfile, installed_at: float, begun: float | None) -> float:
    """When it has said its last; infinite when never."""
    valid_to = inf if profile.valid_to is None else profile.valid_to
    start, duration_s = _start(profile, installed_at, begun), profile.schedule.duration_s
    if start is None or duration_s is None or profile.kind == "Recurring":
        return valid_to
    return min(valid_to, start + duration_s)


def has_run_out(profile: ChargingProfile, installed_at: float, begun: float | None, at: float) -> bool:
    """Whether it has said its last; one that was over before it became valid never said anything."""
    over_at = end(profile, installed_at, begun)
    return over_at <= at + EARLY_S and (profile.valid_from is None or profile.valid_from < over_at)


def _start(profile: ChargingProfile, installed_at: float, begun: float | None) -> float | None:
    """When its schedule begins, the first time; None: with a transaction that has not begun.

    Where startSchedule is missing, an absolute schedule begins with the charging (# 1.6 §7.13), but not before it
    was given: backends that leave it out mean "from now".
    """
    whole_station = profile.purpose is Purpose.STATION_MAX
    if profile.kind == "Relative":
        return installed_at if whole_station else begun
    if profile.schedule.start_at is not None:
        return profile.schedule.start_at
    if whole_station or profile.kind == "Recurring":
        return installed_at
    return None if begun is None else max(begun, installed_at)


def _scheduled(profile: ChargingProfile, start: float | None, at: float) -> Slot:
    periods, duration_s = profile.schedule.periods, profile.schedule.duration_s
    if start is None:
        return Slot(periods[0], inf)
    elapsed = at + EARLY_S - start
    if elapsed < 0:
        return Slot(None, start)
    length = inf if duration_s is None else float(duration_s)
    again = inf
    if profile.kind == "Recurring" and profile.recurrency is not None:
        recurrence = _RECURRENCE_S[profile.recurrency]
        if length >= recurrence and len(periods) == 1:
            return Slot(periods[0], inf)
        start += elapsed // recurrence * recurrence
        elapsed %= recurrence
        again = start + recurrence
    if elapsed >= length:
        return Slot(None, again)
    number = bisect_right(periods, elapsed, key=_start_s)
    following = start + periods[number].start_s if number < len(periods) else inf
    return Slot(periods[number - 1], min(following, start + length, again))


def _start_s(period: Period) -> int:
    return period.start_s
