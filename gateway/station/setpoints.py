"""What a connector shall do: energized only with authorization, fresh facts and a limit; off at once."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.station import availability, report_only
from gateway.station import charging_limits as limits
from gateway.station.effects import SetPoint, SetPointDocument
from gateway.station.metering import nominal_power_w
from gateway.station.model import TxPoint

if TYPE_CHECKING:
    from gateway.station.model import Moment
    from gateway.station.state import Connector, Evse, StationState
    from gateway.station.turn import Turn

OFFER_S = 10.0
"""So long a vehicle that has not charged yet may take to answer an offer, before it counts as suspending."""

_FLOWING_FIRST = frozenset({TxPoint.ENERGY_TRANSFER, TxPoint.DATA_SIGNED})
"""Start points that are only reached once energy may flow: no transaction is there before."""


# ------------------------------------------------------------------ limits


def limit_a(state: StationState, turn: Turn, connector: Connector) -> float:
    """The current per phase that the connector may offer now."""
    return _limits(state, turn, connector)[0]


def operator_limit_a(state: StationState, now: Moment, connector: Connector) -> float | None:
    """What the CSMS allows the connector now, per phase; None when it says nothing."""
    if not limits.has_profiles(state):
        return None
    allowed_a = limits.offer(state, connector, view(state, now)).limit_a
    return None if allowed_a == inf else limits.rounded_down(allowed_a)


def _limits(state: StationState, turn: Turn, connector: Connector) -> tuple[float, int]:
    """(Current per phase, phases) that the connector may offer now."""
    record = connector.record
    if connector.limit_local_ends is not None and turn.now.monotonic >= connector.limit_local_ends:
        record.limit_local_a = record.limit_local_until = connector.limit_local_ends = None
        state.save_connector(turn, connector)
    lowest_a, _ = limits.ceiling_a(connector, turn.now.monotonic)
    if not limits.has_profiles(state):
        return limits.rounded_down(lowest_a), limits.usable_phases(state, connector)
    made = limits.offer(state, connector, view(state, turn.now))
    return limits.rounded_down(min(lowest_a, made.limit_a)), made.phases


def can_meet(connector: Connector, limit: float) -> bool:
    """Whether the connector can charge within a limit."""
    return limit >= limits.least_a(connector.config)


def view(state: StationState, now: Moment) -> limits.View:
    """This instant; who is there first is served first from the station's maximum."""
    sharers: list[tuple[float, int, Connector]] = []
    if limits.has_station_maximum(state):
        for evse in state.evses.values():
            since = inf if evse.transaction is None else evse.transaction.started_at
            sharers += [
                (since, connector.config.n, connector)
                for connector in evse.connectors
                if _permitted(state, evse, connector)
            ]
    return limits.View(
        now, state.stamp(now.wall), sharers=tuple(connector for *_, connector in sorted(sharers))
    )


def connector_of(state: StationState, evse_id: int, n: int) -> Connector:
    """The connector that is named, or the one that its EVSE uses."""
    return state.by_n[n] if n else availability.active_connector(state.evses[evse_id])


# ------------------------------------------------------------------ what is said


def may_energize(state: StationState, evse: Evse, connector: Connector, limit: float) -> bool:
    """All that must be true before a contactor closes."""
    return _permitted(state, evse, connector) and can_meet(connector, limit)


def _permitted(state: StationState, evse: Evse, connector: Connector) -> bool:
    """All but the limit."""
    transaction = evse.transaction
    if transaction is not None:
        permitted = (
            transaction.authorized
            and not transaction.suspended
            and not transaction.ending
            and transaction.n == connector.config.n
        )
    else:
        points = state.start_points()
        permitted = evse.grant is not None and points <= _FLOWING_FIRST
        permitted = permitted and availability.active_connector(evse) is connector
    return (
        permitted
        and connector.fresh
        and connector.away_since is None
        and state.broker_up
        and availability.is_plugged(evse, connector)
        and not availability.is_faulted(connector)
        and (transaction is not None or availability.is_operative(state, evse, connector))
        and (state.reset is None or state.reset.waiting_for_idle)
    )


def settle(state: StationState, turn: Turn, evse: Evse, connector: Connector) -> None:
    """Publish the connector's setpoint when anything in it changed; an off needs no commit first."""
    old = connector.setpoint
    wanted = _wanted(state, turn, evse, connector)
    if state.config.report_only:
        connector.setpoint = report_only.mirrored(connector, wanted)
        return
    _await_draw(turn, evse, connector, offered=wanted.energize)
    if wanted == old:
        return
    if wanted.energize and limits.has_station_maximum(state):
        _make_room(state, turn, connector)
    connector.setpoint = replace(wanted, revision=state.next_number(turn))
    _note_switching(evse, old, connector.setpoint)
    turn.do(SetPoint(connector.config.n, connector.setpoint))


def _wanted(state: StationState, turn: Turn, evse: Evse, connector: Connector) -> SetPointDocument:
    """The setpoint as it should be, with the revision that it has."""
    limit, phases = _limits(state, turn, connector)
    transaction = evse.transaction
    here = transaction is not None and transaction.n == connector.config.n
    old = connector.setpoint
    return SetPointDocument(
        energize=may_energize(state, evse, connector, limit),
        limit_a=limit,
        limit_w=nominal_power_w(connector.config, limit, phases),
        phases=phases,
        lock=_lock(evse, connector),
        transaction=transaction.id if transaction is not None and here else None,
        operative=availability.is_operative(state, evse, connector),
        revision=0 if old is None else old.revision,
        epoch=state.epoch,
        valid_s=state.config.policy.setpoint_valid_s,
    )


def _make_room(state: StationState, turn: Turn, joining: Connector) -> None:
    """Before one is given more of the station's maximum, those that have to do with less are told."""
    for evse in state.evses.values():
        for connector in evse.connectors:
            old = connector.setpoint
            if connector is joining or old is None or not old.energize:
                continue
            wanted = _wanted(state, turn, evse, connector)
            if not wanted.energize or wanted.limit_a < old.limit_a:
                connector.setpoint = replace(wanted, revision=state.next_number(turn))
                _note_switching(evse, old, connector.setpoint)
                turn.do(SetPoint(connector.config.n, connector.setpoint))


def _await_draw(turn: Turn, evse: Evse, connector: Connector, *, offered: bool) -> None:
    """A vehicle takes a moment to answer an offer; meanwhile nobody suspends anything."""
    if not offered:
        connector.offered_at = None
        connector.awaited = False
        return
    if connector.offered_at is None:
        connector.offered_at = turn.now.monotonic
    drew = evse.transaction is not None and evse.transaction.drew
    connector.awaited = not drew and turn.now.monotonic < connector.offered_at + OFFER_S


def off(state: StationState, turn: Turn, connector: Connector) -> None:
    """Off now, before anything else is decided (law 4)."""
    old = connector.setpoint
    if old is not None and old.energize and not state.config.report_only:
        connector.setpoint = replace(old, energize=False, revision=state.next_number(turn))
        _note_switching(state.evse_of(connector.config.n), old, connector.setpoint)
        turn.do(SetPoint(connector.config.n, connector.setpoint))


def _note_switching(evse: Evse, old: SetPointDocument | None, new: SetPointDocument) -> None:
    """From an offer until the off is known to be obeyed the contactor may be closed, whatever was said last."""
    if new.energize:
        evse.opened_at = inf
    elif old is None or old.energize or old.epoch != new.epoch:
        evse.off_revision = new.revision


def _lock(evse: Evse, connector: Connector) -> bool:
    """Whether the plug shall be held: from authorization to the end, and while it is kept on purpose."""
    transaction = evse.transaction
    here = transaction is not None and transaction.n == connector.config.n and transaction.authorized
    if (
        connector.config.lock
        and here
        and transaction is not None
        and TxPoint.EV_CONNECTED in transaction.reached
    ):
        return True  # also while the EV side is unplugged (# E10.FR.05, [TC_005_3])
    if not connector.config.lock or not availability.is_plugged(evse, connector):
        return connector.config.lock and connector.record.keep_locked
    if transaction is not None and transaction.n == connector.config.n:
        return transaction.authorized or transaction.refused is not None
    return evse.grant is not None or connector.record.keep_locked
