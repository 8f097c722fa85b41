"""What a connector shall do: energized only with authorization, fresh facts and a limit; off at once."""

from __future__ import annotations

from math import floor, inf
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.station import availability
from gateway.station.effects import SetPoint, SetPointDocument
from gateway.station.metering import nominal_power_w
from gateway.station.model import TxPoint

if TYPE_CHECKING:
    from gateway.station.state import Connector, Evse, StationState
    from gateway.station.turn import Turn

OFFER_S = 10.0
"""So long a vehicle that has not charged yet may take to answer an offer, before it counts as suspending."""

_NOISE = 1e-6
"""16.1 × 10 is 160.99999999999997 in binary, and means 16.1."""

_FLOWING_FIRST = frozenset({TxPoint.ENERGY_TRANSFER, TxPoint.DATA_SIGNED})
"""Start points that are only reached once energy may flow: no transaction is there before."""


def limit_a(state: StationState, turn: Turn, connector: Connector) -> float:
    """The current per phase that the connector may offer now."""
    record = connector.record
    limits = [connector.config.max_current_a]
    if record.facts.cable_limit_a is not None:
        limits.append(record.facts.cable_limit_a)
    if record.limit_local_a is not None:
        if connector.limit_local_ends is not None and turn.now.monotonic >= connector.limit_local_ends:
            record.limit_local_a = record.limit_local_until = connector.limit_local_ends = None
            state.save_connector(turn, connector)
        else:
            limits.append(record.limit_local_a)
    return floor(max(min(limits), 0.0) * 10 + _NOISE) / 10  # never above what was allowed


def can_meet(connector: Connector, limit: float) -> bool:
    """Whether the connector can charge within a limit; a switch cannot charge with less than its draw."""
    config = connector.config
    least = config.max_current_a if config.limiting == "on_off" else config.min_current_a
    return limit >= least


def may_energize(state: StationState, evse: Evse, connector: Connector, limit: float) -> bool:
    """All that must be true before a contactor closes."""
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
        and can_meet(connector, limit)
    )


def settle(state: StationState, turn: Turn, evse: Evse, connector: Connector) -> None:
    """Publish the connector's setpoint when anything in it changed; an off needs no commit first."""
    limit = limit_a(state, turn, connector)
    transaction = evse.transaction
    here = transaction is not None and transaction.n == connector.config.n
    phases = connector.record.facts.phases or connector.config.phases
    old = connector.setpoint
    wanted = SetPointDocument(
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
    _await_draw(turn, evse, connector, offered=wanted.energize)
    if wanted == old:
        return
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
    if old is not None and old.energize:
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
