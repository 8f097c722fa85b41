"""How a transaction ends: off, then the end register, then Ended with the first cause."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from gateway.station import availability, metering, sampling, setpoints
from gateway.station import transaction_events as events
from gateway.station.effects import Notify
from gateway.station.model import ChargingState, ReadingContext, StopReason, TriggerReason, TxPoint

if TYPE_CHECKING:
    from gateway.station.records import TransactionRecord
    from gateway.station.state import Connector, Evse, StationState
    from gateway.station.turn import Turn

_FATAL = {
    "GroundFailure": StopReason.GROUND_FAULT,
    "OverCurrentFailure": StopReason.OVERCURRENT_FAULT,
}
"""Faults that end a transaction; others withhold energy until they are gone."""


def must_end(transaction: TransactionRecord, held: set[TxPoint], connector: Connector) -> bool:
    """A stop point that was reached is left (# E06), or a fault forbids to go on."""
    if any(error.fault and error.code in _FATAL for error in availability.told_errors(connector)):
        return True
    if transaction.cause in _ALWAYS_END or transaction.given_up:
        return True
    if (
        transaction.cause is not None
        and not transaction.authorized
        and not held & set(transaction.stop_points)
    ):
        return True  # E03.FR.05: nothing that holds could be left any more
    left = {point for point in transaction.stop_points if point in transaction.reached and point not in held}
    if TxPoint.EV_CONNECTED in left and not connector.fresh:
        left.discard(TxPoint.EV_CONNECTED)
        left.discard(TxPoint.POWER_PATH_CLOSED)
    if (
        TxPoint.ENERGY_TRANSFER in left
        and transaction.authorized
        and transaction.charging_state == ChargingState.EV_CONNECTED
    ):
        left.discard(TxPoint.ENERGY_TRANSFER)
    return bool(left)


_ALWAYS_END = frozenset(
    {
        StopReason.EMERGENCY_STOP,
        StopReason.POWER_LOSS,
        StopReason.IMMEDIATE_RESET,
        StopReason.HARD_RESET,
        StopReason.SOFT_RESET,
        StopReason.REBOOT,
        StopReason.GROUND_FAULT,
        StopReason.OVERCURRENT_FAULT,
    }
)
"""Causes that end a transaction whatever its stop points are."""


def begin(state: StationState, turn: Turn, evse: Evse, transaction: TransactionRecord) -> None:
    """Off first, then the end register is measured, then Ended is told."""
    connector = state.by_n[transaction.n]
    setpoints.off(state, turn, connector)
    plugged = availability.is_plugged(evse, connector)
    fatal = [error for error in availability.told_errors(connector) if error.fault and error.code in _FATAL]
    if transaction.cause is None:
        if fatal:
            transaction.cause, transaction.cause_trigger = (
                _FATAL[fatal[0].code],
                TriggerReason.ABNORMAL_CONDITION,
            )
        elif not plugged:
            transaction.cause = StopReason.EV_DISCONNECTED
            transaction.cause_trigger = _leaving(transaction, plugged=plugged)
        elif TxPoint.ENERGY_TRANSFER in transaction.stop_points:
            transaction.cause = StopReason.STOPPED_BY_EV
            transaction.cause_trigger = TriggerReason.CHARGING_STATE_CHANGED
        else:
            transaction.cause, transaction.cause_trigger = StopReason.OTHER, TriggerReason.EV_DEPARTED
    elif evse.stopped is None and transaction.cause not in _ALWAYS_END and not transaction.given_up:
        # The cause was told when authorization ended; this is what ends the transaction (# E06, F03.FR.03).
        transaction.cause_trigger = _leaving(transaction, plugged=plugged)
        transaction.stop_token = None  # told already (# E07.FR.02)
    transaction.ending = True
    transaction.ended_at = turn.now.wall
    transaction.authorized = False
    evse.grant = None
    evse.beginning = None
    evse.ending_since = turn.now.monotonic
    state.save_transaction(turn, transaction)
    _ask_register(state, turn, evse, connector)


def _leaving(transaction: TransactionRecord, *, plugged: bool) -> TriggerReason:
    """Whether the cable or the vehicle left last: the stop points tell (# E06)."""
    by_cable = {TxPoint.EV_CONNECTED, TxPoint.POWER_PATH_CLOSED} & set(transaction.stop_points)
    return TriggerReason.EV_COMMUNICATION_LOST if by_cable and not plugged else TriggerReason.EV_DEPARTED


def deadline(state: StationState, evse: Evse, transaction: TransactionRecord) -> float:
    """When the end register is no longer waited for, monotonic: later while the device cannot be heard."""
    policy = state.config.policy
    connector = state.by_n[transaction.n]
    heard = state.broker_up and connector.fresh and connector.away_since is None
    patience_s = policy.end_timeout_s if heard else max(policy.end_timeout_s, policy.offline_grace_s)
    return evse.ending_since + patience_s


def note_contactor(turn: Turn, evse: Evse, connector: Connector, *, was_closed: bool) -> bool:
    """A device says live whether its contactor is closed: it counts as open once it cannot be about to close.

    True when it is newly known to be open.
    """
    facts, setpoint = connector.record.facts, connector.setpoint
    if facts.energized is not False:
        return False
    obeys = facts.revision is None or facts.revision >= evse.off_revision
    off = setpoint is not None and not setpoint.energize and obeys
    if not was_closed and (evse.opened_at != inf or not (off or facts.plugged is False)):
        return False
    evse.opened_at = turn.now.monotonic
    return True


def heard_again(state: StationState, turn: Turn, evse: Evse, connector: Connector) -> None:
    """The device says how it is, after a silence: what it was asked for may be lost, so it is asked anew."""
    transaction = evse.transaction
    if transaction is None or not transaction.ending or transaction.n != connector.config.n:
        return
    evse.ending_since = turn.now.monotonic
    _ask_register(state, turn, evse, connector)


def _ask_register(state: StationState, turn: Turn, evse: Evse, connector: Connector) -> None:
    """Only once this connection's setpoints are said: what was measured before the off is no end register."""
    if state.broker_up and not _end_register_known(evse, connector):
        events.measure(state, turn, connector, ReadingContext.TRANSACTION_END)


def _end_register_known(evse: Evse, connector: Connector) -> bool:
    """Whether a reading was taken after the current had stopped."""
    energized = connector.record.facts.energized
    last = connector.meter.get("energy_import_wh") or connector.meter.get("power_w")
    if last is None:
        return False
    if evse.measured:
        return True
    if energized is False:
        return evse.opened_at is None or last[2] >= evse.opened_at
    return energized is None and last[2] > evse.ending_since and not metering.draws(connector)


def finish(
    state: StationState, turn: Turn, evse: Evse, transaction: TransactionRecord, held: set[TxPoint]
) -> None:
    connector = state.by_n[transaction.n]
    if turn.now.monotonic < deadline(state, evse, transaction) and not _end_register_known(evse, connector):
        return
    register = metering.register_wh(connector)
    if register is None:
        register = transaction.register_wh
    transaction.meter_stop_wh = register
    transaction.register_wh = register
    last = metering.sample(
        state,
        connector,
        sampling.ended_measurands(state, transaction),
        ReadingContext.TRANSACTION_END,
        turn.now,
    )
    samples = sampling.ended_samples(state, turn, evse, transaction, last)
    cause = transaction.cause or StopReason.OTHER
    trigger = transaction.cause_trigger or TriggerReason.ABNORMAL_CONDITION
    doing = ChargingState.EV_CONNECTED if availability.is_plugged(evse, connector) else ChargingState.IDLE
    changed = doing is not transaction.charging_state
    transaction.charging_state = doing
    transaction.ended = True
    evse.transaction = None
    state.ended[transaction.id] = transaction
    events.emit(
        state,
        turn,
        evse,
        transaction,
        "Ended",
        trigger,
        at=transaction.ended_at,
        charging_state=doing if changed else None,
        id_token=transaction.stop_token,
        stop_reason=cause,
        samples=samples,
        register_wh=register,
    )
    evse.measured = False
    connector.signed = None
    evse.record.spent = tuple(sorted(set(transaction.reached) & held))
    state.save_evse(turn, evse)
    if availability.is_plugged(evse, connector) or availability.keeps_cable(connector):
        connector.record.ended_in_plug_session = True
    state.save_connector(turn, connector)
    turn.do(Notify(connector.config.n, "transaction", "ended", events.summary(state, transaction)))
