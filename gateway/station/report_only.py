"""Stations whose device decides by itself: its sessions are told as they are, and nothing is promised in its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.station import availability, grants, metering
from gateway.station.model import StopReason, TriggerReason
from gateway.station.requests import (
    AvailabilityRequested,
    CacheClearRequested,
    ChargingProfileClearRequested,
    ChargingProfileGiven,
    CompositeScheduleRequested,
    LocalListGiven,
    LocalListVersionRequested,
    Refusal,
    RefusalCode,
    ReservationCancelRequested,
    ReserveRequested,
    ResetRequested,
    StartRequested,
    StatusReply,
    StopRequested,
    UnlockRequested,
)
from gateway.station.state import Grant

if TYPE_CHECKING:
    from gateway.station.effects import SetPointDocument
    from gateway.station.events import TokenPresented
    from gateway.station.model import IdToken
    from gateway.station.requests import Reply, Request
    from gateway.station.state import Connector, Evse, StationState
    from gateway.station.turn import Turn

WHY = "the device decides by itself, the gateway only reports"

_REJECTED = (
    AvailabilityRequested,
    CacheClearRequested,
    ReservationCancelRequested,
    ResetRequested,
    StartRequested,
    StopRequested,
)
_NOT_SUPPORTED = (
    ChargingProfileClearRequested,
    ChargingProfileGiven,
    CompositeScheduleRequested,
    LocalListGiven,
    LocalListVersionRequested,
    ReserveRequested,
)


def refused(request: Request) -> Reply | None:
    """The honest answer to what only an obedient device could do; None for all that needs none."""
    if isinstance(request, AvailabilityRequested) and request.operative:
        return StatusReply(status="Accepted")  # it is: nobody can have made it anything else
    if isinstance(request, _REJECTED):
        return StatusReply(status="Rejected", reason_code="UnsupportedRequest", info=WHY)
    if isinstance(request, UnlockRequested):
        return StatusReply(status="NotSupported", reason_code="UnsupportedRequest", info=WHY)
    if isinstance(request, _NOT_SUPPORTED):
        return Refusal(RefusalCode.NOT_SUPPORTED, WHY)
    return None


def card_shown(state: StationState, turn: Turn, event: TokenPresented) -> None:
    """The device judges a card; here it only says whose the next session is."""
    state.observed[event.n] = event.token, turn.now.monotonic


def settle(state: StationState, turn: Turn, evse: Evse) -> None:
    """A session begins when the device lets energy flow, and ends with its cable, its output or its idleness."""
    going = [connector for connector in evse.connectors if is_going(connector)]
    transaction = evse.transaction
    if not going:
        evse.stopped_itself = False
    idle_since, evse.idle_since = evse.idle_since, None
    if evse.grant is None:
        free = transaction is None or (transaction.cause is None and not transaction.ending)
        if going and free and going[0].fresh and not evse.stopped_itself:
            n = going[0].config.n
            token = _observed(state, turn, n) or state.config.policy.reported_token
            evse.grant = Grant(token, None, n, turn.now.monotonic, TriggerReason.AUTHORIZED)
            evse.trigger = evse.trigger or TriggerReason.AUTHORIZED
        return
    connector = availability.active_connector(evse)
    if going or connector.config.plug_sensor or not connector.fresh:
        return
    if connector.record.facts.energized is False:
        grants.take_back(state, turn, evse, StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED)
    elif idle_since is None:
        evse.idle_since = turn.now.monotonic
    elif turn.now.monotonic >= idle_since + state.config.policy.idle_end_s:
        grants.take_back(state, turn, evse, StopReason.STOPPED_BY_EV, TriggerReason.STOP_AUTHORIZED)
    else:
        evse.idle_since = idle_since


def deadline(state: StationState, evse: Evse) -> float | None:
    """When a session that draws nothing is over, monotonic."""
    return None if evse.idle_since is None else evse.idle_since + state.config.policy.idle_end_s


def is_going(connector: Connector) -> bool:
    """Whether the device has a session: current flows, or its contactor is closed for a vehicle."""
    facts = connector.record.facts
    if metering.draws(connector):
        return facts.energized is not False
    return bool(facts.energized and facts.plugged)


def mirrored(connector: Connector, wanted: SetPointDocument) -> SetPointDocument:
    """What the device does, in the place of what it is told: nothing is said to it."""
    return replace(wanted, energize=connector.record.facts.energized is not False)


def _observed(state: StationState, turn: Turn, n: int) -> IdToken | None:
    """The card shown there, or at the station's reader, that no session has had yet."""
    for place in (n, 0):
        seen = state.observed.pop(place, None)
        if seen is not None and turn.now.monotonic - seen[1] < state.variables.connection_timeout_s:
            return seen[0]
    return None
