"""Charging profiles: the CSMS gives, clears and looks at them; they end with their transaction, or stay for good."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, inf
from typing import TYPE_CHECKING

from gateway.station import charging_limits as limits
from gateway.station import setpoints
from gateway.station.charging_profiles import EARLY_S, Period, Purpose, end
from gateway.station.records import ChargingProfileRecord
from gateway.station.requests import CompositeScheduleReply, Refusal, RefusalCode, StatusReply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.station.charging_profiles import ChargingProfile, RateUnit
    from gateway.station.model import Moment
    from gateway.station.requests import (
        ChargingProfileClearRequested,
        ChargingProfileGiven,
        CompositeScheduleRequested,
        Place,
        Reply,
    )
    from gateway.station.state import Evse, StationState
    from gateway.station.turn import Turn

_MOST_STEPS = 1000
"""A composite schedule looks at no more; where it ends is said by its duration."""
_JUMP_S = 2.0
"""A clock that goes back by more has been set."""


# ------------------------------------------------------------------ given


def given(state: StationState, turn: Turn, request: ChargingProfileGiven) -> Reply:
    """# 1.6 §5.16, K01."""
    profile = request.profile
    target = _target(state, request.place)
    if target is None:
        if state.flavor is not None and state.flavor.unknown_connector_is_error:  # 1.6 errata 3.38
            place = request.place.n if request.place.n is not None else request.place.evse
            return Refusal(RefusalCode.PROPERTY, f"there is no connector {place}")
        return StatusReply(status="Rejected", reason_code="UnknownEvse")
    evse_id, n = target
    refused = _refused(state, profile, replaced=_slot_of(state, profile, evse_id, n))
    if refused is not None:
        return refused
    transaction_id = None
    if profile.purpose is Purpose.STATION_MAX and evse_id:
        return _rejected("InvalidValue", "the station's maximum belongs to connector 0")
    if profile.purpose is Purpose.TX:
        evse = state.evses.get(evse_id)
        transaction = None if evse is None else evse.transaction
        if transaction is None or transaction.ending or n not in {0, transaction.n}:
            return _rejected("TxNotFound", "no transaction is running there")  # [TC_058_1]
        if profile.transaction not in {None, transaction.id} or profile.csms_id not in {
            None,
            transaction.csms_id,
        }:
            return _rejected("TxNotFound", "another transaction is running there")  # [TC_058_2]
        transaction_id = transaction.id
    _install(
        state, turn, ChargingProfileRecord(profile, evse_id, n, transaction_id, installed_at=state.wall_now)
    )
    return StatusReply(status="Accepted")


def start_refused(state: StationState, profile: ChargingProfile) -> StatusReply | None:
    """Why a profile cannot go with a remote start; None when it can (# 1.6 §5.11, F01.FR.08)."""
    if profile.purpose is not Purpose.TX:
        return _rejected("InvalidProfile", "only a TxProfile can go with a start")  # [TC_060]
    if profile.transaction is not None or profile.csms_id is not None:
        return _rejected("InvalidProfile", "the transaction that starts has no number yet")
    return _refused(state, profile, replaced=set())


def _rejected(reason_code: str, info: str) -> StatusReply:
    return StatusReply(status="Rejected", reason_code=reason_code, info=info)


def _target(state: StationState, place: Place) -> tuple[int, int] | None:
    """(EVSE, connector over the station) that is meant, 0 for all; None when there is no such place."""
    if place.n is not None:
        if place.n == 0:
            return (0, 0)
        return (state.by_n[place.n].config.evse, place.n) if place.n in state.by_n else None
    if not place.evse:
        return (0, 0)
    return (place.evse, 0) if place.evse in state.evses else None


def _refused(state: StationState, profile: ChargingProfile, replaced: set[int]) -> StatusReply | None:
    """What no station could obey, or this one cannot keep (# 1.6 §3.13, errata 3.38, K01)."""
    variables, schedule = state.variables, profile.schedule
    periods = schedule.periods
    starts = [period.start_s for period in periods]
    if not 0 <= profile.stack_level <= variables.profile_stack_level:
        return _rejected("InvalidValue", f"stackLevel goes from 0 to {variables.profile_stack_level}")
    if schedule.unit not in variables.rate_units:
        return _rejected("UnsupportedRateUnit", f"limits are given in {' or '.join(variables.rate_units)}")
    if not 1 <= len(periods) <= variables.schedule_periods:
        return _rejected("TooManyElements", f"a schedule has 1 to {variables.schedule_periods} periods")
    if starts[0] != 0:
        return _rejected("InvalidSchedule", "the first startPeriod must be 0")
    if any(later <= earlier for earlier, later in pairwise(starts)):
        return _rejected("InvalidSchedule", "each startPeriod must be above the one before")
    if any(period.limit < 0 for period in periods):
        return _rejected("InvalidSchedule", "a limit cannot be negative")
    if any(not 1 <= period.phases <= 3 for period in periods):
        return _rejected("InvalidSchedule", "numberPhases goes from 1 to 3")
    if schedule.duration_s is not None and schedule.duration_s <= 0:
        return _rejected("InvalidSchedule", "a duration must be above 0")
    if profile.kind == "Recurring" and profile.recurrency is None:
        return _rejected("InvalidProfile", "what recurs needs a recurrencyKind")
    if None not in {profile.valid_from, profile.valid_to} and (profile.valid_to or 0) <= (
        profile.valid_from or 0
    ):
        return _rejected("InvalidProfile", "validTo must be after validFrom")
    if not state.storing:
        return _rejected("OutOfStorage", "the gateway's disk is full")
    kept = [record for id_, record in state.charging.installed.items() if id_ not in replaced | {profile.id}]
    if sum(not _has_run_out(state, record) for record in kept) >= variables.profiles_installed:
        return _rejected("TooManyElements", f"{variables.profiles_installed} profiles are the most")
    return None


def _has_run_out(state: StationState, record: ChargingProfileRecord) -> bool:
    """Whether it will never say anything again; one that depends on a transaction ends with that."""
    return record.transaction is None and end(record.profile, record.installed_at, None) <= state.wall_now


def _slot_of(state: StationState, profile: ChargingProfile, evse_id: int, n: int) -> set[int]:
    """Ids of what has the same stack level and purpose at the same place."""
    return {
        record.profile.id
        for record in state.charging.installed.values()
        if (record.profile.stack_level, record.profile.purpose, record.evse, record.n)
        == (profile.stack_level, profile.purpose, evse_id, n)
    }


def _install(state: StationState, turn: Turn, record: ChargingProfileRecord) -> None:
    """It replaces what has its id, wherever that is, or its slot; what has run out makes room when room is needed."""
    charging, profile = state.charging, record.profile
    _forget(state, turn, _slot_of(state, profile, record.evse, record.n))
    if len(charging.installed) >= state.variables.profiles_installed:
        run_out = [kept for kept in charging.installed.values() if _has_run_out(state, kept)]
        _forget(state, turn, [kept.profile.id for kept in run_out])
    charging.installed[profile.id] = record
    charging.rank()
    turn.save("charging_profile", str(profile.id), record)


def _forget(state: StationState, turn: Turn, ids: Iterable[int]) -> None:
    for profile_id in ids:
        del state.charging.installed[profile_id]
        turn.save("charging_profile", str(profile_id), None)
    state.charging.rank()


def cleared(state: StationState, turn: Turn, request: ChargingProfileClearRequested) -> StatusReply:
    """By id alone, or by all the filters that are there (# 1.6 §5.5, errata 3.25, K10)."""
    if request.profile_id is not None:
        ids = [request.profile_id] if request.profile_id in state.charging.installed else []
    else:
        target = None if request.place is None else _target(state, request.place)
        if request.place is not None and target is None:
            return StatusReply(status="Unknown")
        ids = [
            record.profile.id
            for record in state.charging.installed.values()
            if target in {None, (record.evse, record.n)}
            and request.purpose in {None, record.profile.purpose}
            and request.stack_level in {None, record.profile.stack_level}
        ]
    _forget(state, turn, ids)
    return StatusReply(status="Accepted" if ids else "Unknown")


# ------------------------------------------------------------------ with transactions


def transaction_began(state: StationState, turn: Turn, evse: Evse) -> None:
    """What a schedule relative to it counts from, and the profile that came with its remote start."""
    transaction, grant = evse.transaction, evse.grant
    if transaction is None:
        return
    state.charging.begun.setdefault(transaction.id, turn.now.monotonic)
    if grant is not None and grant.profile is not None:
        record = ChargingProfileRecord(
            grant.profile, evse.id, transaction.n, transaction.id, installed_at=state.wall_now
        )
        grant.profile = None
        _install(state, turn, record)


def settle(state: StationState, turn: Turn) -> None:
    """A TxProfile is over with its transaction (# 1.6 §3.13.2, K02)."""
    charging = state.charging
    if not charging.begun and not charging.installed:
        return
    running = {evse.transaction.id for evse in state.evses.values() if evse.transaction is not None}
    for transaction_id in charging.begun.keys() - running:
        del charging.begun[transaction_id]
    over = [
        record.profile.id
        for record in charging.installed.values()
        if record.transaction is not None and record.transaction not in running
    ]
    if over:
        _forget(state, turn, over)


def look_ahead(state: StationState, now: Moment) -> None:
    """Find out when a limit next changes, as everything is now."""
    charging = state.charging
    charging.looked_at, charging.changes_at = -inf, inf
    if limits.has_profiles(state):
        charging.looked_at = state.wall_now
        charging.changes_at = limits.next_change(state, setpoints.view(state, now))


def deadline(state: StationState, now: Moment) -> float | None:
    """When that is, monotonic."""
    changes_at = state.charging.changes_at
    return None if changes_at == inf else now.monotonic + changes_at - state.wall_now


def clock_was_set(state: StationState) -> bool:
    """Whether the clock has jumped over the next change, or back before the last look."""
    charging = state.charging
    return not charging.looked_at - _JUMP_S <= state.wall_now < charging.changes_at + _JUMP_S


# ------------------------------------------------------------------ looked at


def composite(state: StationState, turn: Turn, request: CompositeScheduleRequested) -> CompositeScheduleReply:
    """What may be drawn from now on, all profiles and the site's own limits together (# 1.6 §5.7, K08)."""
    units = state.variables.rate_units
    unit: RateUnit = request.unit or ("A" if "A" in units else "W")
    target = _target(state, request.place)
    if target is None or unit not in units or request.duration_s <= 0:
        return CompositeScheduleReply(status="Rejected")
    start = state.wall_now
    steps: list[Period] = []
    at, second = start, 0
    for _ in range(_MOST_STEPS):
        limit, phases, until = _expected(state, turn.now, target, unit, at)
        step = Period(second, limits.rounded_down(limit), phases)
        if steps and steps[-1].start_s == second:
            steps.pop()
        if not steps or (steps[-1].limit, steps[-1].phases) != (step.limit, step.phases):
            steps.append(step)
        at = until
        second = request.duration_s if at == inf else max(ceil(at - start - EARLY_S), 0)
        if second >= request.duration_s:
            break
    return CompositeScheduleReply(
        status="Accepted",
        evse=target[0],
        n=target[1],
        start_at=start,
        duration_s=min(second, request.duration_s),
        unit=unit,
        periods=tuple(steps),
    )


def _expected(
    state: StationState, now: Moment, target: tuple[int, int], unit: RateUnit, at: float
) -> tuple[float, int, float]:
    """(Limit in the unit, phases, until when)."""
    view = setpoints.view(state, now)._replace(at=at, assumed=state.wall_now)
    evse_id, n = target
    if evse_id == 0:
        return limits.whole_station(state, view, unit)
    return limits.one_connector(state, setpoints.connector_of(state, evse_id, n), view, unit)
