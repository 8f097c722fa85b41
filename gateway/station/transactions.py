"""Transactions: where they start and stop, what they tell, in which order, and why they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import (
    availability,
    grants,
    metering,
    refusals,
    report_only,
    reservations,
    sampling,
    setpoints,
    smart_charging,
    tokens,
    transaction_end,
)
from gateway.station import transaction_events as events
from gateway.station.effects import Notify
from gateway.station.model import ReadingContext, StopReason, TriggerReason, TxPoint
from gateway.station.records import TransactionRecord
from gateway.station.state import Beginning, Grant

if TYPE_CHECKING:
    from gateway.station.state import Connector, Evse, StationState
    from gateway.station.turn import Turn

# ------------------------------------------------------------------ points


def points(evse: Evse) -> set[TxPoint]:
    """The start and stop points that hold now (# E01, E06)."""
    connector = availability.active_connector(evse)
    transaction = evse.transaction
    held = set()
    plugged = availability.is_plugged(evse, connector)
    if transaction is not None and transaction.unplugged_at is not None and not plugged:
        plugged = True  # the EV side was unplugged, but the session is kept (# E10)
    authorized = evse.grant is not None
    if any(one.record.facts.bay_occupied for one in evse.connectors):
        held.add(TxPoint.PARKING_BAY_OCCUPANCY)
    if plugged:
        held.add(TxPoint.EV_CONNECTED)
    if authorized:
        held.add(TxPoint.AUTHORIZED)
    if plugged and authorized:
        held.add(TxPoint.POWER_PATH_CLOSED)
        if connector.signed is not None:
            held.add(TxPoint.DATA_SIGNED)
        setpoint = connector.setpoint
        if setpoint is not None and setpoint.energize and metering.draws(connector):
            held.add(TxPoint.ENERGY_TRANSFER)
    return held


def settle(state: StationState, turn: Turn, evse: Evse) -> None:
    """Look at all facts of an EVSE and do what follows for its transaction."""
    if state.config.report_only:
        report_only.settle(state, turn, evse)
    else:
        _time_out_grant(state, turn, evse)
        _grant_free_charging(state, turn, evse)
    held = points(evse)
    if evse.transaction is None:
        _forget_spent(state, turn, evse, held)
        _begin(state, turn, evse, held)
    transaction = evse.transaction
    if transaction is None:
        return
    if not transaction.ending:
        _notice_unplugging(state, turn, evse, transaction)
        if evse.grant is not None and not transaction.authorized:
            _authorize(state, turn, transaction, evse.grant)
            smart_charging.transaction_began(state, turn, evse)
            if state.epoch:
                setpoints.settle(state, turn, evse, availability.active_connector(evse))
        held = points(evse)
        if not held <= set(transaction.reached):
            transaction.reached = tuple(sorted(held | set(transaction.reached)))
            state.save_transaction(turn, transaction)
        _tell_changes(state, turn, evse, transaction, held)
        refusals.limit_energy(state, turn, evse, transaction)
        if transaction_end.must_end(transaction, held, state.by_n[transaction.n]):
            transaction_end.begin(state, turn, evse, transaction)
    if transaction.ending:
        transaction_end.finish(state, turn, evse, transaction, held)


# ------------------------------------------------------------------ starting


def _grant_free_charging(state: StationState, turn: Turn, evse: Evse) -> None:
    token = state.config.policy.free_charging_token
    transaction = evse.transaction
    if token is None or evse.grant is not None or (transaction is not None and transaction.cause is not None):
        return
    connector = availability.active_connector(evse)
    plugged = connector.record.facts.plugged if connector.config.plug_sensor else metering.draws(connector)
    if not plugged or not connector.fresh or connector.record.ended_in_plug_session:
        return
    if grants.is_kept_from(state, evse, token, None):
        return
    if grants.obstacle_to_start(state, evse, connector.config.n) is None:
        evse.grant = Grant(token, None, connector.config.n, turn.now.monotonic, TriggerReason.AUTHORIZED)
        evse.trigger = evse.trigger or TriggerReason.AUTHORIZED


def _time_out_grant(state: StationState, turn: Turn, evse: Evse) -> None:
    """A token without a plug loses its authorization after EVConnectionTimeOut (# E03.FR.05, 1.6 §4.1)."""
    grant = evse.grant
    if grant is None or not waits_for_plug(evse, grant):
        return
    if turn.now.monotonic - grant.since >= state.variables.connection_timeout_s:
        grants.take_back(state, turn, evse, StopReason.TIMEOUT, TriggerReason.EV_CONNECT_TIMEOUT)
        tokens.say(state, turn, grant.n, grant.token, "timeout", None)


def waits_for_plug(evse: Evse, grant: Grant) -> bool:
    """Whether a token was accepted but no vehicle is connected yet."""
    transaction = evse.transaction
    if transaction is not None and TxPoint.EV_CONNECTED in transaction.reached:
        used = next(c for c in evse.connectors if c.config.n == transaction.n)
        unplugged = not transaction.plugged and not availability.is_plugged(evse, used)
        return unplugged and used.config.fixed_cable and not transaction.fixed_points  # E10.FR.07
    connectors = [c for c in evse.connectors if grant.n in {0, c.config.n}] or evse.connectors
    return not any(availability.is_plugged(evse, connector) for connector in connectors)


def _forget_spent(state: StationState, turn: Turn, evse: Evse, held: set[TxPoint]) -> None:
    left = tuple(point for point in evse.record.spent if point in held)
    if left != evse.record.spent:
        evse.record.spent = left
        state.save_evse(turn, evse)


def _begin(state: StationState, turn: Turn, evse: Evse, held: set[TxPoint]) -> None:
    """Start in two phases: the point is reached, the begin register is measured, then it is told."""
    connector = availability.active_connector(evse)
    wanted = set(state.start_points() & held) - set(evse.record.spent)
    if not wanted and state.start_points() & set(evse.record.spent) and TxPoint.POWER_PATH_CLOSED in held:
        wanted = {TxPoint.POWER_PATH_CLOSED}  # authorized again in the same plug session: a new transaction
    obstacle = grants.obstacle_to_start(state, evse, connector.config.n)
    if evse.grant is None and evse.reserved is not None:
        obstacle = "reserved"
    if not wanted or obstacle is not None or not connector.fresh:
        evse.beginning = None
        return
    beginning = evse.beginning
    if beginning is None:
        beginning = evse.beginning = Beginning(
            min(wanted),
            turn.now.wall,
            turn.now.monotonic + state.config.policy.begin_timeout_s,
            connector.config.n,
        )
        if _needs_register(state, turn, connector):
            events.measure(state, turn, connector, ReadingContext.TRANSACTION_BEGIN)
    late = turn.now.monotonic >= beginning.deadline
    both = TxPoint.AUTHORIZED in held and TxPoint.EV_CONNECTED in held
    if both and _lock_missing(connector) and not state.config.report_only:
        if late:
            grants.take_back(state, turn, evse, StopReason.OTHER, TriggerReason.ABNORMAL_CONDITION)
            turn.do(Notify(connector.config.n, "error", "lock", {"info": "the plug was not locked in time"}))
        return  # [TC_024]
    if _needs_register(state, turn, connector) and not late:
        return
    evse.beginning = None
    _start(state, turn, evse, connector, beginning.point, held)


def _lock_missing(connector: Connector) -> bool:
    return connector.config.lock and connector.record.facts.locked is False


def _needs_register(state: StationState, turn: Turn, connector: Connector) -> bool:
    """Whether the register must be read anew: it may have moved, or was never read."""
    known = connector.meter.get("energy_import_wh") or connector.meter.get("power_w")
    if known is None:
        return True
    at_rest = connector.record.facts.energized is False
    return not at_rest and turn.now.monotonic - known[2] > state.config.policy.register_max_age_s


def _start(
    state: StationState, turn: Turn, evse: Evse, connector: Connector, point: TxPoint, held: set[TxPoint]
) -> None:
    flavor = state.rules
    version = flavor.version if flavor is not None else state.config.versions[0]
    register = metering.register_wh(connector)
    transaction = TransactionRecord(
        id=state.next_id(turn),
        evse=evse.id,
        n=connector.config.n,
        version=version,
        csms_url=state.config.csms_url,
        start_points=tuple(sorted(state.start_points())),
        stop_points=tuple(sorted(state.stop_points())),
        fixed_points=flavor is not None and flavor.stop_points is not None,
        started_at=turn.now.wall,
        reached=tuple(sorted(held)),
        plugged=TxPoint.EV_CONNECTED in held,
        bay_occupied=TxPoint.PARKING_BAY_OCCUPANCY in held,
        meter_start_wh=register,
        register_wh=register,
    )
    evse.transaction = transaction
    connector.record.ended_in_plug_session = False
    state.save_connector(turn, connector)
    evse.record.spent = ()
    state.save_evse(turn, evse)
    if evse.grant is not None:
        _authorize(state, turn, transaction, evse.grant)
        transaction.token_told = True
    smart_charging.transaction_began(state, turn, evse)
    if state.epoch:
        setpoints.settle(state, turn, evse, connector)  # what is offered is part of what is told
    transaction.charging_state = availability.charging_state(evse, connector)
    trigger = _start_trigger(evse, point)
    measurands = state.variables.started_measurands
    begin = metering.sample(state, connector, measurands, ReadingContext.TRANSACTION_BEGIN, turn.now)
    events.emit(
        state,
        turn,
        evse,
        transaction,
        "Started",
        trigger,
        charging_state=transaction.charging_state,
        samples=() if begin is None else (begin,),
        register_wh=register,
        id_token=transaction.token,
        start_token=transaction.token,
        remote_start_id=transaction.remote_start_id,
    )
    sampling.begin(state, turn, evse, transaction, connector)
    turn.do(Notify(connector.config.n, "transaction", "started", events.summary(state, transaction)))


def _start_trigger(evse: Evse, point: TxPoint) -> TriggerReason:
    match point:
        case TxPoint.PARKING_BAY_OCCUPANCY:
            return TriggerReason.EV_DETECTED
        case TxPoint.EV_CONNECTED:
            return TriggerReason.CABLE_PLUGGED_IN
        case TxPoint.DATA_SIGNED:
            return TriggerReason.SIGNED_DATA_RECEIVED
        case TxPoint.ENERGY_TRANSFER:
            return TriggerReason.CHARGING_STATE_CHANGED
        case TxPoint.AUTHORIZED | TxPoint.POWER_PATH_CLOSED:
            grant = evse.grant
            if grant is None:
                return TriggerReason.CABLE_PLUGGED_IN
            if grant.remote:
                return TriggerReason.REMOTE_START  # F01.FR.19, F02.FR.21
            if point is TxPoint.POWER_PATH_CLOSED and evse.trigger is TriggerReason.CABLE_PLUGGED_IN:
                return TriggerReason.CABLE_PLUGGED_IN
            return grant.trigger


def _authorize(state: StationState, turn: Turn, transaction: TransactionRecord, grant: Grant) -> None:
    transaction.token = grant.token
    transaction.group = grant.group
    transaction.authorized = True
    transaction.token_told = False
    transaction.remote = grant.remote
    transaction.remote_start_id = grant.remote_start_id
    transaction.reservation_id = grant.reservation_id
    reservations.consume(state, turn, grant.reservation_id)
    transaction.cause = transaction.cause_trigger = transaction.stop_token = None


# ------------------------------------------------------------------ running


def _notice_unplugging(state: StationState, turn: Turn, evse: Evse, transaction: TransactionRecord) -> None:
    """The EV side disconnect rules (# E09, E10; 1.6 §4, matrix of the two switches)."""
    connector = state.by_n[transaction.n]
    plugged = availability.is_plugged(evse, connector)
    if plugged and transaction.unplugged_at is not None:
        transaction.unplugged_at = None
        state.save_transaction(turn, transaction)
        return
    was = TxPoint.EV_CONNECTED in transaction.reached and transaction.plugged
    if plugged or not was or not connector.fresh or transaction.unplugged_at is not None:
        return
    if state.variables.stop_on_ev_side_disconnect:
        if not state.variables.unlock_on_ev_side_disconnect and connector.config.lock:
            connector.record.keep_locked = True  # [TC_005_2]
            state.save_connector(turn, connector)
        if evse.grant is not None:
            trigger = TriggerReason.EV_COMMUNICATION_LOST
            grants.take_back(state, turn, evse, StopReason.EV_DISCONNECTED, trigger)
        return
    if evse.grant is not None:
        evse.grant.since = turn.now.monotonic  # E10.FR.07: the time to plug in again runs from here
    if transaction.fixed_points:
        transaction.unplugged_at = turn.now.wall  # [TC_005_3]
        state.save_transaction(turn, transaction)


def _tell_changes(
    state: StationState, turn: Turn, evse: Evse, transaction: TransactionRecord, held: set[TxPoint]
) -> None:
    """One event for each thing that changed, the most specific trigger first."""
    connector = state.by_n[transaction.n]
    if connector is not availability.active_connector(evse) and not transaction.plugged:
        connector = availability.active_connector(evse)
        transaction.n = connector.config.n
        transaction.evse_told = False
        transaction.meter_start_wh = transaction.register_wh = metering.register_wh(connector)
        sampling.forget(state, turn, transaction)  # another meter: nothing of the first one belongs to it
    plugged = availability.is_plugged(evse, connector)
    if not connector.fresh:
        return
    if metering.draws(connector) or (metering.draws(connector) is None and connector.record.facts.energized):
        transaction.drew = True
    ends = transaction_end.must_end(transaction, held, connector)
    if evse.stopped is not None:
        _reason, trigger, token = evse.stopped
        if not ends and trigger is not TriggerReason.EV_COMMUNICATION_LOST:
            events.update(state, turn, evse, transaction, trigger, id_token=token or transaction.token)
    bay = TxPoint.PARKING_BAY_OCCUPANCY in held
    if bay != transaction.bay_occupied:
        transaction.bay_occupied = bay
        if not ends:
            trigger = TriggerReason.EV_DETECTED if bay else TriggerReason.EV_DEPARTED
            events.update(state, turn, evse, transaction, trigger)
    if plugged != transaction.plugged:
        transaction.plugged = plugged
        if not ends:
            trigger = TriggerReason.CABLE_PLUGGED_IN if plugged else TriggerReason.EV_COMMUNICATION_LOST
            events.update(state, turn, evse, transaction, trigger)
    if transaction.authorized and not transaction.token_told:
        transaction.token_told = True
        grant = evse.grant
        trigger = grant.trigger if grant is not None else TriggerReason.AUTHORIZED
        events.update(
            state,
            turn,
            evse,
            transaction,
            trigger,
            id_token=transaction.token,
            remote_start_id=transaction.remote_start_id,
        )
    if not ends and availability.charging_state(evse, connector) is not transaction.charging_state:
        events.update(state, turn, evse, transaction, TriggerReason.CHARGING_STATE_CHANGED)
