"""Devices that are there, away, or vanished: the OCPP session stays, the connector says so honestly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import grants, setpoints
from gateway.station.effects import Notify
from gateway.station.model import StopReason, TriggerReason

if TYPE_CHECKING:
    from gateway.station.events import DevicePresenceChanged
    from gateway.station.state import Connector, StationState
    from gateway.station.turn import Turn

SILENCE_S = 330.0
"""Devices say their whole status at least every 5 minutes; this is a bit more."""


def live(connector: Connector, turn: Turn) -> bool:
    """A live message came: the device is there. True when it had been away."""
    connector.last_live = turn.now.monotonic
    if connector.away_since is None or connector.offline_parts:
        return False
    connector.away_since = None
    returned = connector.vanished
    connector.vanished = False
    return returned


def changed(state: StationState, turn: Turn, event: DevicePresenceChanged) -> None:
    """`availability` of a whole connector, of a part of it, or (n 0) of all of them."""
    part = event.part or ""
    for connector in [state.by_n[event.n]] if event.n else list(state.by_n.values()):
        key = f"{event.n}/{part}" if event.n == 0 or part else ""
        was = connector.offline_parts
        connector.offline_parts = was - {key} if event.online else was | {key}
        essential = connector.offline_parts - {f"{n}/reader" for n in (0, connector.config.n)}
        if essential and connector.away_since is None:
            connector.away_since = turn.now.monotonic
            setpoints.off(state, turn, connector)
        elif not essential and connector.away_since is not None:
            connector.away_since = None
            connector.vanished = False
            connector.last_live = turn.now.monotonic


def settle(state: StationState, turn: Turn) -> None:
    """Who has been silent or away for too long has vanished; a transaction there ends after its policy time."""
    if not state.broker_up:
        return
    policy = state.config.policy
    now = turn.now.monotonic
    for connector in state.by_n.values():
        if connector.away_since is None and now - connector.last_live >= SILENCE_S:
            connector.away_since = now - policy.offline_grace_s
        if connector.away_since is None:
            continue
        if not connector.vanished and now - connector.away_since >= policy.offline_grace_s:
            connector.vanished = True
            connector.fresh = False
            turn.do(
                Notify(connector.config.n, "error", "device_vanished", {"since_s": policy.offline_grace_s})
            )
        evse = state.evse_of(connector.config.n)
        transaction = evse.transaction
        limit_s = policy.vanished_transaction_s
        overdue = limit_s > 0 and now - connector.away_since >= limit_s
        if (
            overdue
            and transaction is not None
            and transaction.n == connector.config.n
            and not transaction.ending
        ):
            transaction.authorized = False
            trigger = TriggerReason.ABNORMAL_CONDITION
            grants.take_back(state, turn, evse, StopReason.OTHER, trigger)
            transaction.given_up = True
    state.station_away = bool(state.by_n) and all(connector.vanished for connector in state.by_n.values())


def deadline(state: StationState) -> float | None:
    """When the next device has to be looked at, monotonic."""
    if not state.broker_up:
        return None
    policy = state.config.policy
    times = []
    for connector in state.by_n.values():
        if connector.away_since is None:
            times.append(connector.last_live + SILENCE_S)
        elif not connector.vanished:
            times.append(connector.away_since + policy.offline_grace_s)
        elif policy.vanished_transaction_s > 0:
            transaction = state.evse_of(connector.config.n).transaction
            if transaction is not None and transaction.n == connector.config.n and not transaction.ending:
                times.append(connector.away_since + policy.vanished_transaction_s)
    return min(times, default=None)
