"""Status from facts: what a connector is, what of that is told, and along which path."""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING

from gateway.station import metering
from gateway.station.model import (
    AvailabilityState,
    ChargingState,
    ConnectorStatus,
    DeviceError,
    TxPoint,
)

if TYPE_CHECKING:
    from gateway.station.state import Connector, Evse, StationState

_S = ConnectorStatus

ALLOWED: dict[ConnectorStatus, tuple[ConnectorStatus, ...]] = {
    _S.AVAILABLE: (
        _S.PREPARING,
        _S.CHARGING,
        _S.SUSPENDED_EV,
        _S.SUSPENDED_EVSE,
        _S.RESERVED,
        _S.UNAVAILABLE,
        _S.FAULTED,
    ),
    _S.PREPARING: (_S.AVAILABLE, _S.CHARGING, _S.SUSPENDED_EV, _S.SUSPENDED_EVSE, _S.FINISHING, _S.FAULTED),
    _S.CHARGING: (
        _S.AVAILABLE,
        _S.SUSPENDED_EV,
        _S.SUSPENDED_EVSE,
        _S.FINISHING,
        _S.UNAVAILABLE,
        _S.FAULTED,
    ),
    _S.SUSPENDED_EV: (
        _S.AVAILABLE,
        _S.CHARGING,
        _S.SUSPENDED_EVSE,
        _S.FINISHING,
        _S.UNAVAILABLE,
        _S.FAULTED,
    ),
    _S.SUSPENDED_EVSE: (
        _S.AVAILABLE,
        _S.CHARGING,
        _S.SUSPENDED_EV,
        _S.FINISHING,
        _S.UNAVAILABLE,
        _S.FAULTED,
    ),
    _S.FINISHING: (_S.AVAILABLE, _S.PREPARING, _S.UNAVAILABLE, _S.FAULTED),
    _S.RESERVED: (_S.AVAILABLE, _S.PREPARING, _S.UNAVAILABLE, _S.FAULTED),
    _S.UNAVAILABLE: (
        _S.AVAILABLE,
        _S.PREPARING,
        _S.CHARGING,
        _S.SUSPENDED_EV,
        _S.SUSPENDED_EVSE,
        _S.FAULTED,
    ),
    _S.FAULTED: (
        _S.AVAILABLE,
        _S.PREPARING,
        _S.CHARGING,
        _S.SUSPENDED_EV,
        _S.SUSPENDED_EVSE,
        _S.FINISHING,
        _S.RESERVED,
        _S.UNAVAILABLE,
    ),
}
"""From → to, preferred detours first (# 1.6 §4.9, table of transitions)."""

_NO_DETOUR = frozenset({_S.FAULTED, _S.UNAVAILABLE, _S.RESERVED})
"""States that would be a lie on the way to another one."""


@lru_cache(maxsize=128)
def path(start: ConnectorStatus | None, goal: ConnectorStatus) -> tuple[ConnectorStatus, ...]:
    """The states to tell, one after the other, to come from one status to another; goal included."""
    if start is None or start == goal:
        return (goal,)
    reached: dict[ConnectorStatus, ConnectorStatus | None] = {start: None}
    waiting = deque([start])
    while waiting:
        here = waiting.popleft()
        if here is goal:
            break
        for following in ALLOWED[here]:
            if following not in reached and (following is goal or following not in _NO_DETOUR):
                reached[following] = here
                waiting.append(following)
    steps = [goal]
    while (before := reached[steps[-1]]) is not None:
        steps.append(before)
    return tuple(reversed(steps[:-1]))


# ------------------------------------------------------------------ what it is


def faults(connector: Connector) -> tuple[DeviceError, ...]:
    """Everything wrong with a connector, the gravest first."""
    facts = connector.record.facts
    errors = list(told_errors(connector))
    if facts.lock_failed:
        errors.insert(0, DeviceError("ConnectorLockFailure", "the lock of the plug failed"))
    errors.sort(key=lambda error: not error.fault)
    return tuple(errors)


def told_errors(connector: Connector) -> tuple[DeviceError, ...]:
    """What the device says is wrong with it, and what somebody has put beside that."""
    return (*(connector.record.facts.errors or ()), *connector.injected)


def is_faulted(connector: Connector) -> bool:
    """Whether anything forbids charging."""
    facts = connector.record.facts
    return bool(facts.lock_failed) or any(error.fault for error in told_errors(connector))


def is_operative(state: StationState, evse: Evse, connector: Connector) -> bool:
    """Whether station, EVSE and connector may all be used (# G03, G04).

    What is scheduled holds back everything that has no transaction of its own.
    """
    record, own = state.record, connector.record
    if evse.transaction is None and (
        record.operative_scheduled is False
        or evse.record.operative_scheduled is False
        or state.firmware.holds
    ):
        return False
    return (
        record.operative and evse.record.operative and own.operative and own.operative_scheduled is not False
    )


def is_plugged(evse: Evse, connector: Connector) -> bool:
    """Whether a vehicle is connected; without a plug sensor it is taken to be while someone charges."""
    if connector.config.plug_sensor:
        return bool(connector.record.facts.plugged)
    if connector.record.facts.plugged is not None:
        return connector.record.facts.plugged
    transaction = evse.transaction
    if transaction is not None and transaction.n == connector.config.n and transaction.authorized:
        return True
    return evse.grant is not None and evse.grant.n in {0, connector.config.n}


def keeps_cable(connector: Connector) -> bool:
    """Whether a detachable cable is left in the socket, with no vehicle at its other end (# [TC_005_1])."""
    facts = connector.record.facts
    return not connector.config.fixed_cable and not facts.plugged and facts.cable == "socket"


def active_connector(evse: Evse) -> Connector:
    """The connector that the EVSE uses, or would use."""
    transaction, grant = evse.transaction, evse.grant
    wanted = 0 if grant is None else grant.n
    if transaction is not None and (transaction.plugged or transaction.ending or wanted):
        wanted = transaction.n  # else it uses the connector that is plugged first (# E01.FR.16)
    plugged = [connector for connector in evse.connectors if is_plugged(evse, connector)]
    for connector in (*plugged, *evse.connectors):
        if connector.config.n == wanted:
            return connector
    return plugged[0] if plugged else evse.connectors[0]


def fine_status(state: StationState, evse: Evse, connector: Connector) -> ConnectorStatus:
    """A connector's status in the words of 1.6, from all facts (# 1.6 §4.9)."""
    if is_faulted(connector):
        return _S.FAULTED
    if connector.vanished:
        return _S.FAULTED if state.config.policy.vanished == "faulted" else _S.UNAVAILABLE
    transaction = evse.transaction
    if transaction is not None and transaction.n == connector.config.n and not transaction.ending:
        return _in_transaction(evse, connector)
    if not is_operative(state, evse, connector):
        return _S.UNAVAILABLE
    if evse.reserved is not None and evse.grant is None and transaction is None:
        return _S.RESERVED  # whoever else plugs in, until the token is shown (# 1.6 §4.9 G2, G01.FR.09)
    plugged = is_plugged(evse, connector)
    ended = connector.record.ended_in_plug_session or transaction is not None
    if ended and evse.grant is None and (plugged or keeps_cable(connector)):
        return _S.FINISHING
    granted = evse.grant is not None and evse.grant.n in {0, connector.config.n}
    if plugged or granted:
        return _S.PREPARING
    return _S.AVAILABLE


def charging_state(evse: Evse, connector: Connector) -> ChargingState:
    """What the EVSE's transaction is doing (# E02.FR.13)."""
    transaction = evse.transaction
    if not is_plugged(evse, connector):
        return ChargingState.IDLE
    if transaction is None or not transaction.authorized:
        return ChargingState.EV_CONNECTED
    setpoint = connector.setpoint
    if setpoint is None or not setpoint.energize:
        withheld = transaction.drew or transaction.suspended or (setpoint is not None and connector.fresh)
        return ChargingState.SUSPENDED_EVSE if withheld else ChargingState.EV_CONNECTED
    drawing = metering.draws(connector)
    facts = connector.record.facts
    if drawing or (drawing is None and facts.energized is not False and facts.ev_ready is not False):
        return ChargingState.CHARGING
    if connector.awaited:
        return ChargingState.EV_CONNECTED
    if facts.energized is False and facts.ev_ready is not False:
        return ChargingState.SUSPENDED_EVSE
    return ChargingState.SUSPENDED_EV


def _in_transaction(evse: Evse, connector: Connector) -> ConnectorStatus:
    """The same in the words of 1.6: the finer ones before and after."""
    transaction = evse.transaction
    match charging_state(evse, connector):
        case ChargingState.CHARGING:
            return _S.CHARGING
        case ChargingState.SUSPENDED_EV:
            return _S.SUSPENDED_EV
        case ChargingState.SUSPENDED_EVSE:
            return _S.SUSPENDED_EVSE
        case ChargingState.IDLE:
            return _S.SUSPENDED_EV if transaction is not None and transaction.drew else _S.PREPARING
        case ChargingState.EV_CONNECTED:
            ended = transaction is not None and transaction.cause is not None
            return _S.FINISHING if ended else _S.PREPARING


def availability_state(evse: Evse, connector: Connector, fine: ConnectorStatus) -> AvailabilityState:
    """The same facts in the words of 2.x (# G01)."""
    match fine:
        case ConnectorStatus.FAULTED:
            return AvailabilityState.FAULTED
        case ConnectorStatus.UNAVAILABLE:
            return AvailabilityState.UNAVAILABLE
        case ConnectorStatus.RESERVED:
            return AvailabilityState.RESERVED
        case _:
            occupied = is_plugged(evse, connector) and connector.config.plug_sensor
            in_use = evse.transaction is not None and evse.transaction.n == connector.config.n
            if occupied or (in_use and not connector.config.plug_sensor):
                return AvailabilityState.OCCUPIED
            if TxPoint.PARKING_BAY_OCCUPANCY in _start_points(evse) and connector.record.facts.bay_occupied:
                return AvailabilityState.OCCUPIED
            return AvailabilityState.AVAILABLE


def _start_points(evse: Evse) -> tuple[TxPoint, ...]:
    return evse.transaction.start_points if evse.transaction is not None else ()


def station_status(state: StationState) -> ConnectorStatus:
    """The station as a whole: connector 0 of 1.6."""
    if state.station_away:
        return _S.FAULTED if state.config.policy.vanished == "faulted" else _S.UNAVAILABLE
    return _S.AVAILABLE if state.record.operative else _S.UNAVAILABLE
