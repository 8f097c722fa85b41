"""Operative or not: of the station, an EVSE, a connector; at once, or when the transaction has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station.requests import StatusReply

if TYPE_CHECKING:
    from gateway.station.records import ConnectorRecord, EvseRecord, StationRecord
    from gateway.station.requests import AvailabilityRequested
    from gateway.station.state import Evse, StationState
    from gateway.station.turn import Turn


def requested(state: StationState, turn: Turn, request: AvailabilityRequested) -> StatusReply:
    """# 1.6 §5.2, G03, G04: persistent; Scheduled while a transaction runs there."""
    place = request.place
    if place.n is not None:
        if place.n == 0:
            return _station(state, turn, operative=request.operative, spread=True)
        if place.n not in state.by_n:
            return StatusReply(status="Rejected", reason_code="UnknownConnectorId")  # [E3]
        return _connector(state, turn, place.n, operative=request.operative)
    if place.evse is None or place.evse == 0:
        return _station(state, turn, operative=request.operative, spread=False)
    evse = state.evses.get(place.evse)
    if evse is None:
        return StatusReply(status="Rejected", reason_code="UnknownEvse")
    if place.connector is None:
        return _evse(state, turn, evse, operative=request.operative)
    for connector in evse.connectors:
        if connector.config.connector == place.connector:
            return _connector(state, turn, connector.config.n, operative=request.operative)
    return StatusReply(status="Rejected", reason_code="UnknownConnectorId")


def of_connector(state: StationState, turn: Turn, n: int, *, operative: bool) -> str:
    """The same, asked from elsewhere; Accepted or Scheduled."""
    if n == 0:
        return _station(state, turn, operative=operative, spread=False).status
    return _connector(state, turn, n, operative=operative).status


def settle(state: StationState, turn: Turn) -> bool:
    """What was scheduled happens once no transaction is in the way; True when something did."""
    busy = [evse for evse in state.evses.values() if evse.transaction is not None]
    happened = not busy and _apply(state.record)
    if happened:
        state.save(turn)
    for evse in state.evses.values():
        if evse.transaction is not None:
            continue
        if _apply(evse.record):
            happened = True
            state.save_evse(turn, evse)
        for connector in evse.connectors:
            if _apply(connector.record):
                happened = True
                state.save_connector(turn, connector)
    return happened


def _apply(record: StationRecord | EvseRecord | ConnectorRecord) -> bool:
    if record.operative_scheduled is None:
        return False
    record.operative = record.operative_scheduled
    record.operative_scheduled = None
    return True


def _set(record: StationRecord | EvseRecord | ConnectorRecord, *, operative: bool, busy: bool) -> bool:
    """Change now, or schedule it; True when scheduled."""
    if operative or not busy:
        record.operative = operative
        record.operative_scheduled = None
        return False
    if not record.operative:
        return False
    record.operative_scheduled = False
    return True


def _station(state: StationState, turn: Turn, *, operative: bool, spread: bool) -> StatusReply:
    """The station; in 1.6 (`spread`) connector 0 means the station and all its connectors."""
    busy = any(evse.transaction is not None for evse in state.evses.values())
    scheduled = _set(state.record, operative=operative, busy=busy and not spread)
    state.save(turn)
    if spread:
        for connector in state.by_n.values():
            in_use = state.evse_of(connector.config.n).transaction is not None
            scheduled |= _set(connector.record, operative=operative, busy=in_use)
            state.save_connector(turn, connector)
    return StatusReply(status="Scheduled" if scheduled else "Accepted")


def _evse(state: StationState, turn: Turn, evse: Evse, *, operative: bool) -> StatusReply:
    scheduled = _set(evse.record, operative=operative, busy=evse.transaction is not None)
    state.save_evse(turn, evse)
    return StatusReply(status="Scheduled" if scheduled else "Accepted")


def _connector(state: StationState, turn: Turn, n: int, *, operative: bool) -> StatusReply:
    connector = state.by_n[n]
    transaction = state.evse_of(n).transaction
    busy = transaction is not None and transaction.n == n
    scheduled = _set(connector.record, operative=operative, busy=busy)
    state.save_connector(turn, connector)
    return StatusReply(status="Scheduled" if scheduled else "Accepted")
