"""Which samples a transaction tells, and when: of readings that devices sent, on the grid that OCPP asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import metering
from gateway.station import transaction_events as events
from gateway.station.model import ReadingContext, TriggerReason
from gateway.station.outbox import add
from gateway.station.records import EndedSampleRecord
from gateway.station.reports import MeterValues

if TYPE_CHECKING:
    from gateway.station.model import Moment, Sample
    from gateway.station.records import TransactionRecord
    from gateway.station.state import Connector, Evse, StationState
    from gateway.station.turn import Turn

MOST_ENDED_SAMPLES = 500
"""The Ended event carries no more; the middle ones are thinned, first and last stay (# E06.FR.13)."""
_PATIENCE_S = 5.0
_ALIGNED_AGE_S = 60.0

# ------------------------------------------------------------------ periodic


def begin(
    state: StationState, turn: Turn, evse: Evse, transaction: TransactionRecord, connector: Connector
) -> None:
    """Set the grid of a new transaction, and keep its first sample for the end."""
    evse.next_sample = evse.next_ended_sample = None
    evse.anchored = False
    evse.sampled_at = turn.now.monotonic
    _arm(state, turn, evse)
    first = metering.sample(
        state, connector, ended_measurands(state, transaction), ReadingContext.TRANSACTION_BEGIN, turn.now
    )
    if first is not None:
        _keep(state, turn, transaction, first)


def resume(state: StationState, turn: Turn, evse: Evse) -> None:
    """Set the grid anew after a restart."""
    evse.next_sample = evse.next_ended_sample = None
    evse.anchored = False
    evse.sampled_at = turn.now.monotonic
    _arm(state, turn, evse)


def _arm(state: StationState, turn: Turn, evse: Evse) -> None:
    now = turn.now.monotonic
    interval = _updated_interval(state)
    if interval > 0:
        evse.next_sample = now + interval
    ended = ended_interval(state, evse.transaction)
    if ended > 0:
        evse.next_ended_sample = now + ended


def _updated_interval(state: StationState) -> int:
    return state.variables.updated_interval_s if state.variables.sampled_enabled else 0


def reading_came(state: StationState, turn: Turn, evse: Evse, connector: Connector, at: float | None) -> None:
    """A reading of the transaction's connector: the sample that is due, or as good as due, is made of it.

    The reading nearest to the due time counts, so a device whose rate equals the interval gives one sample a slot.
    """
    now = turn.now.monotonic
    transaction = evse.transaction
    if transaction is None or transaction.ending or transaction.n != connector.config.n:
        return
    interval = _updated_interval(state)
    if interval > 0:
        if evse.next_sample is None:
            evse.next_sample = now + interval
        if now >= evse.next_sample - min(connector.meter_period, interval) / 2:
            _sample_now(state, turn, evse, transaction, connector, interval, at)
    ended = ended_interval(state, transaction)
    due = evse.next_ended_sample
    if ended > 0 and due is not None and now >= due - min(connector.meter_period, ended) / 2:
        evse.next_ended_sample = max(due + ended, now + ended / 2)
        measurands = ended_measurands(state, transaction)
        one = metering.sample(state, connector, measurands, ReadingContext.SAMPLE_PERIODIC, turn.now, at)
        if one is not None:
            _keep(state, turn, transaction, one)


def time_passed(state: StationState, turn: Turn, evse: Evse) -> None:
    """A sample is due and no reading came: tell the last one, if it was not told yet; invent nothing."""
    transaction = evse.transaction
    interval = _updated_interval(state)
    if transaction is None or transaction.ending or interval <= 0 or evse.next_sample is None:
        return
    now = turn.now.monotonic
    if now < evse.next_sample + _patience(interval):
        return
    connector = state.by_n[transaction.n]
    if connector.meter_at > evse.sampled_at:
        age = now - connector.meter_at
        _sample_now(state, turn, evse, transaction, connector, interval, turn.now.wall - age)
    else:
        evse.next_sample = max(evse.next_sample + interval, now)


def _patience(interval: int) -> float:
    return min(interval / 2, _PATIENCE_S)


def _sample_now(
    state: StationState,
    turn: Turn,
    evse: Evse,
    transaction: TransactionRecord,
    connector: Connector,
    interval: int,
    at: float | None,
) -> None:
    now = turn.now.monotonic
    following = (now if evse.next_sample is None else evse.next_sample) + interval
    if not evse.anchored or following <= now:
        evse.anchored = True
        following = now + interval
    evse.next_sample = following
    evse.sampled_at = now
    measurands = state.variables.updated_measurands
    one = metering.sample(state, connector, measurands, ReadingContext.SAMPLE_PERIODIC, turn.now, at)
    if one is None:
        return
    if connector.config.energy != "register":
        state.save_connector(turn, connector)
    events.emit(
        state, turn, evse, transaction, "Updated", TriggerReason.METER_VALUE_PERIODIC, at=at, samples=(one,)
    )


# ------------------------------------------------------------------ clock-aligned


def clock_aligned(state: StationState, turn: Turn) -> None:
    """Tell what is known at the moments of the clock's grid (# J01, 1.6 ClockAlignedDataInterval)."""
    variables = state.variables
    told_s = variables.aligned_interval_s if variables.aligned_enabled else 0
    kept_s = variables.aligned_ended_interval_s if variables.aligned_enabled else 0
    intervals = [interval for interval in (told_s, kept_s) if interval > 0]
    if not intervals:
        state.next_clock_at = None
        return
    wall = state.stamp(turn.now.wall)
    due = state.next_clock_at
    if due is not None and due <= wall <= due + _ALIGNED_AGE_S:  # else the clock jumped over it
        for evse in state.evses.values():
            at = due - state.record.clock_offset_s
            told, kept = metering.is_aligned(due, told_s), metering.is_aligned(due, kept_s)
            _aligned_of(state, turn, evse, at, told=told, kept=kept)
    if due is None or due <= wall or due > wall + min(intervals) + 1:
        state.next_clock_at = min(metering.next_aligned(wall, interval) for interval in intervals)


def _aligned_of(state: StationState, turn: Turn, evse: Evse, at: float, *, told: bool, kept: bool) -> None:
    variables = state.variables
    transaction = evse.transaction
    measurands = variables.aligned_measurands
    for connector in evse.connectors:
        in_use = transaction is not None and transaction.n == connector.config.n and not transaction.ending
        recent = max(_ALIGNED_AGE_S, 2 * connector.meter_period)
        if turn.now.monotonic - connector.meter_at > recent or not connector.meter_at:
            continue
        if transaction is not None and in_use and (told if transaction.fixed_points else kept):
            _keep_aligned(state, turn, transaction, connector, at)
        if not told:
            continue
        one = metering.sample(state, connector, measurands, ReadingContext.SAMPLE_CLOCK, turn.now, at)
        if transaction is not None and in_use:
            if one is not None and not variables.aligned_only_idle:
                clock = TriggerReason.METER_VALUE_CLOCK
                events.emit(state, turn, evse, transaction, "Updated", clock, at=at, samples=(one,))
        elif one is not None and not (variables.aligned_only_idle and transaction is not None):
            state.save_connector(turn, connector)  # the register that is told is not forgotten
            add(state, turn, MeterValues(connector.config.n, evse.id, (one,)))


def _keep_aligned(
    state: StationState, turn: Turn, transaction: TransactionRecord, connector: Connector, at: float
) -> None:
    variables = state.variables
    if transaction.fixed_points:
        measurands = variables.stop_aligned_measurands_16
    else:
        measurands = variables.aligned_ended_measurands
    one = metering.sample(state, connector, measurands, ReadingContext.SAMPLE_CLOCK, turn.now, at)
    if one is not None and one.values:
        _keep(state, turn, transaction, one)


# ------------------------------------------------------------------ for the end


def ended_measurands(state: StationState, transaction: TransactionRecord) -> tuple[str, ...]:
    """What the Ended event tells (# E06.FR.11; 1.6 StopTxnSampledData)."""
    variables = state.variables
    return variables.stop_sampled_measurands_16 if transaction.fixed_points else variables.ended_measurands


def ended_interval(state: StationState, transaction: TransactionRecord | None) -> int:
    """How often a sample is kept for the end; 0 = only the first and the last."""
    if transaction is None or not ended_measurands(state, transaction):
        return 0
    if transaction.fixed_points:
        return _updated_interval(state)
    return state.variables.ended_interval_s


def _keep(state: StationState, turn: Turn, transaction: TransactionRecord, one: Sample) -> None:
    if not one.values and one.signed is None:
        return
    kept = state.ended_samples.setdefault(transaction.id, {})
    number = transaction.ended_samples
    transaction.ended_samples += 1
    transaction.register_wh = metering.register_wh(state.by_n[transaction.n])
    kept[number] = one
    turn.save("ended_sample", f"{transaction.id}/{number:06}", EndedSampleRecord(transaction.id, number, one))
    state.save_transaction(turn, transaction)
    if len(kept) > MOST_ENDED_SAMPLES:
        for thinned in list(kept)[1:-1:2]:
            del kept[thinned]
            turn.save("ended_sample", f"{transaction.id}/{thinned:06}", None)


def ended_samples(
    state: StationState, turn: Turn, evse: Evse, transaction: TransactionRecord, last: Sample | None
) -> tuple[Sample, ...]:
    """All that was kept, and the last one; nothing of it is kept any longer."""
    evse.next_sample = evse.next_ended_sample = None
    samples = [*state.ended_samples.get(transaction.id, {}).values()]
    forget(state, turn, transaction)
    if last is not None and last.values:
        samples.append(last)
    return tuple(samples)


def forget(state: StationState, turn: Turn, transaction: TransactionRecord) -> None:
    """Keep nothing of what was measured so far."""
    for number in state.ended_samples.pop(transaction.id, {}):
        turn.save("ended_sample", f"{transaction.id}/{number:06}", None)


def deadline(state: StationState) -> float | None:
    """When a sample that is due has to be told from what is there, monotonic.

    Readings come by themselves: whether one is missing is looked at now and then, not at each due time.
    """
    missing_at = _missing_at(state)
    return None if missing_at is None else max(missing_at, state.samples_looked_at + _PATIENCE_S)


def look(state: StationState, now: Moment) -> None:
    """Look whether a reading is missing; if none is, not again for a while."""
    missing_at = _missing_at(state)
    looked_before = now.monotonic < state.samples_looked_at + _PATIENCE_S
    if missing_at is not None and now.monotonic < missing_at and not looked_before:
        state.samples_looked_at = now.monotonic


def _missing_at(state: StationState) -> float | None:
    """When the reading that is due first counts as missing, monotonic."""
    interval = _updated_interval(state)
    if interval <= 0:
        return None
    due = [
        evse.next_sample
        for evse in state.evses.values()
        if evse.next_sample is not None and evse.transaction is not None and not evse.transaction.ending
    ]
    return min(due) + _patience(interval) if due else None
