"""What anyone who may asks over MQTT: the same ways as a card or the CSMS, with an answer each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import (
    authorization,
    commands,
    gestures,
    grants,
    operation,
    report_only,
    resets,
    vendor_messages,
)
from gateway.station.effects import HoldLink, Respond
from gateway.station.model import DeviceError, IdToken, StopReason, TriggerReason

if TYPE_CHECKING:
    from gateway.station.events import ActionRequested
    from gateway.station.state import Connector, StationState
    from gateway.station.turn import Turn


def requested(state: StationState, turn: Turn, event: ActionRequested) -> None:
    """Carry out a request, once, and answer it."""
    seen = gestures.seen(state, turn, _gesture_id(event), event.at, backlog=event.backlog)
    if seen is gestures.Seen.REPEATED:
        return
    error: str | None
    if seen is gestures.Seen.LATE:
        error = "late: the request is older than gesture_max_age_s, it was not carried out"
    elif event.action not in state.config.policy.allow_requests:
        allowed = ", ".join(sorted(state.config.policy.allow_requests))
        error = f"{event.action} is not allowed here; allow_requests names: {allowed}"
    elif state.config.report_only and event.action in _OBEYED_BY_DEVICES:
        error = report_only.WHY
    else:
        error = _carry_out(state, turn, event)
    if error is not _LATER:
        turn.do(Respond(event.reply_to, error is None, {}, error))


_LATER = "answered later"
_MOST_FAULTS = 10
_OBEYED_BY_DEVICES = frozenset({"start", "stop", "unlock", "limit", "operative", "reset"})


def _gesture_id(event: ActionRequested) -> str | None:
    return None if event.gesture_id is None else f"{event.n}/{event.action}/{event.gesture_id}"


def _carry_out(state: StationState, turn: Turn, event: ActionRequested) -> str | None:
    """The error, None when done, or _LATER when a device or the CSMS has to answer first."""
    match event.action:
        case "start":
            return _start(state, turn, event)
        case "stop":
            return _stop(state, turn, event.n, event.arguments.get("transaction"))
        case "unlock":
            return _unlock(state, turn, event)
        case "limit":
            return _limit(state, turn, event)
        case "operative":
            word = operation.of_connector(state, turn, event.n, operative=bool(event.arguments["operative"]))
            return None if word in {"Accepted", "Scheduled"} else word
        case "fault":
            return _fault(state, event)
        case "clear_fault":
            for connector in _connectors(state, event.n):
                connector.injected = ()
            return None
        case "reset":
            if state.reset is not None and not state.reset.waiting_for_idle:
                return "a reset is under way"
            resets.asked_locally(state, turn)
            return None
        case "link":
            turn.do(HoldLink(hold=not event.arguments["connected"]))
            return None
        case "data_transfer":
            return vendor_messages.ask(state, turn, event) or _LATER
        case _:
            return f"{event.action} is not an action of a station"


def _start(state: StationState, turn: Turn, event: ActionRequested) -> str | None:
    """Through normal authorization, as a card would."""
    n = event.n or (next(iter(state.by_n)) if len(state.by_n) == 1 else 0)
    if n == 0:
        return "name the connector: …/<n>/request/start"
    evse = state.evse_of(n)
    if evse.grant is not None or evse.question is not None:
        return "somebody else is charging, or about to"
    if evse.transaction is not None and (evse.transaction.authorized or evse.transaction.ending):
        return "a transaction is running"
    obstacle = grants.obstacle_to_start(state, evse, n)
    if obstacle is not None:
        return obstacle
    token = IdToken(str(event.arguments["id_token"]), str(event.arguments.get("type") or "ISO14443"))
    authorization.start_as_card(state, turn, evse, n, token)
    return None


def _stop(state: StationState, turn: Turn, n: int, wanted: object) -> str | None:
    """What runs there; with `wanted` only the transaction of that id."""
    evses = [state.evse_of(n)] if n else list(state.evses.values())
    running = [
        evse
        for evse in evses
        if evse.grant is not None or (evse.transaction is not None and not evse.transaction.ending)
    ]
    if wanted is not None:
        running = [evse for evse in running if evse.transaction is not None and evse.transaction.id == wanted]
    if not running:
        return (
            "no transaction is running" if wanted is None else f"the transaction {wanted} is not running here"
        )
    for evse in running:
        grants.take_back(state, turn, evse, StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED)
    return None


def _unlock(state: StationState, turn: Turn, event: ActionRequested) -> str | None:
    if event.n == 0:
        return "name the connector: …/<n>/request/unlock"
    evse = state.evse_of(event.n)
    if evse.transaction is not None and evse.transaction.authorized:
        return "a transaction is running: stop it first"
    word = commands.unlock(state, turn, event.n, respond_to=event.reply_to)
    return _LATER if word is None else word


def _limit(state: StationState, turn: Turn, event: ActionRequested) -> str | None:
    """A local ceiling beside the operator's; null clears it."""
    value = event.arguments.get("limit_a")
    ttl_s = event.arguments.get("ttl_s")
    for connector in _connectors(state, event.n):
        connector.record.limit_local_a = float(value) if isinstance(value, int | float) else None
        connector.record.limit_local_until = connector.limit_local_ends = None
        if isinstance(ttl_s, int | float) and connector.record.limit_local_a is not None:
            connector.record.limit_local_until = turn.now.wall + ttl_s
            connector.limit_local_ends = turn.now.monotonic + ttl_s
        state.save_connector(turn, connector)
    return None


def _fault(state: StationState, event: ActionRequested) -> str | None:
    """As if the device had the fault too; until clear_fault, or the end of the gateway."""
    given = event.arguments
    error = DeviceError(
        str(given["code"]), str(given.get("info") or ""), fault=given.get("fault") is not False
    )
    for connector in _connectors(state, event.n):
        others = [one for one in connector.injected if one.code != error.code]
        connector.injected = (*others, error)[-_MOST_FAULTS:]
    return None


def _connectors(state: StationState, n: int) -> list[Connector]:
    return [state.by_n[n]] if n else list(state.by_n.values())
