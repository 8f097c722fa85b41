"""What everyone may see of a station: published when it changes, never more often than it should."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.station import availability, metering, setpoints, tokens
from gateway.station.effects import ConnectorView, Publish, StationView, TransactionView

if TYPE_CHECKING:
    from gateway.station.records import TransactionRecord
    from gateway.station.requests import VariableRef
    from gateway.station.state import Connector, Evse, StationState
    from gateway.station.turn import Turn

ENERGY_EVERY = 6
"""A transaction's energy is published once for so many meter/state."""


def settle(state: StationState, turn: Turn) -> None:
    """Publish the views that changed."""
    _show_station(state, turn)
    for evse in state.evses.values():
        for connector in evse.connectors:
            view = _connector(state, turn, evse, connector)
            if view != connector.view:
                connector.view = view
                turn.do(Publish(connector.config.n, "state", view))
        show_transaction(state, turn, evse)


def _show_station(state: StationState, turn: Turn) -> None:
    """The station; while a backlog drains, its length at most every `meter_state_interval_s`."""
    view = _station(state)
    shown = state.view
    if shown is not None:
        view = replace(view, last_received_at=shown.last_received_at)
        if view == shown:
            return
        only_queue = view.queued > 0 and shown.queued > 0 and replace(view, queued=shown.queued) == shown
        if only_queue and turn.now.monotonic < state.shown_at + state.config.policy.meter_state_interval_s:
            return
    state.shown_at = turn.now.monotonic
    state.view = replace(view, last_received_at=state.last_received_at)
    turn.do(Publish(0, "state", state.view))


def show_all(state: StationState, turn: Turn) -> None:
    """Publish everything anew: the broker may have lost it."""
    for connector in state.by_n.values():
        connector.setpoint = None
    show_again(state, turn)


def show_again(state: StationState, turn: Turn) -> None:
    """The same of what everybody may see; devices are told nothing anew."""
    state.view = None
    for evse in state.evses.values():
        evse.shown = None
        for connector in evse.connectors:
            connector.view = connector.meter_view = None
            metering.show(state, turn, evse, connector, stale=connector.vanished, force=True)


def show_transaction(state: StationState, turn: Turn, evse: Evse) -> None:
    """The running transaction, else the last one; its energy far less often than meter/state tells it."""
    transaction = evse.transaction
    if transaction is None and evse.shown is not None and not evse.shown.active:
        ended = state.ended.get(evse.shown.transaction or "")
        if ended is None or ended.csms_id == evse.shown.csms_id:
            return
        transaction = ended
    elif transaction is None and evse.shown is not None and evse.shown.transaction is not None:
        transaction = state.ended.get(evse.shown.transaction)
    view = _transaction(state, evse, transaction)
    shown = evse.shown
    if view == shown:
        return
    only_energy = (
        shown is not None
        and view.active
        and shown.transaction == view.transaction
        and (shown.charging_state, shown.csms_id, shown.id_token)
        == (view.charging_state, view.csms_id, view.id_token)
    )
    wait_s = ENERGY_EVERY * state.config.policy.meter_state_interval_s
    if only_energy and turn.now.monotonic < evse.shown_at + wait_s:
        return
    evse.shown = view
    evse.shown_at = turn.now.monotonic
    n = evse.connectors[0].config.n if transaction is None else transaction.n
    turn.do(Publish(n, "transaction", view))


def _transaction(state: StationState, evse: Evse, transaction: TransactionRecord | None) -> TransactionView:
    if transaction is None:
        return TransactionView(
            active=False,
            transaction=None,
            csms_id=None,
            id_token=None,
            id_token_type=None,
            started_at=None,
            ended_at=None,
            meter_start_wh=None,
            meter_stop_wh=None,
            energy_wh=None,
            charging_state=None,
            stop_reason=None,
        )
    start, stop = transaction.meter_start_wh, transaction.meter_stop_wh
    latest = stop if stop is not None else metering.register_wh(state.by_n[transaction.n])
    token = transaction.token
    return TransactionView(
        active=evse.transaction is transaction,
        transaction=transaction.id,
        csms_id=transaction.csms_id,
        id_token=None if token is None else tokens.shown(state, token),
        id_token_type=None if token is None else token.type,
        started_at=transaction.started_at,
        ended_at=transaction.ended_at,
        meter_start_wh=start,
        meter_stop_wh=stop,
        energy_wh=None if start is None or latest is None else round(latest - start, 3),
        charging_state=None if transaction.charging_state is None else str(transaction.charging_state),
        stop_reason=None if transaction.cause is None else str(transaction.cause),
    )


def _connector(state: StationState, turn: Turn, evse: Evse, connector: Connector) -> ConnectorView:
    fine = availability.fine_status(state, evse, connector)
    facts = connector.record.facts
    limit_a = setpoints.limit_a(state, turn, connector)  # first: it forgets a local limit that has lapsed
    return ConnectorView(
        status=str(fine),
        availability_state=str(availability.availability_state(evse, connector, fine)),
        errors=tuple(error.code for error in availability.faults(connector)),
        info=facts.info or "",
        plugged=facts.plugged,
        charging=metering.draws(connector),
        energized=facts.energized,
        operative=availability.is_operative(state, evse, connector),
        reservation=None if evse.reserved is None else evse.reserved.id,
        limit_local_a=connector.record.limit_local_a,
        limit_operator_a=setpoints.operator_limit_a(state, turn.now, connector),
        limit_device_a=facts.limit_a,
        limit_a=limit_a,
        online=connector.away_since is None,
        stale=not connector.fresh or connector.vanished,
    )


def _station(state: StationState) -> StationView:
    return StationView(
        connected=state.linked,
        ocpp_version=state.record.version,
        registration=None if state.registration is None else str(state.registration),
        security_profile=_security_profile(state),
        since=state.linked_since,
        last_received_at=state.last_received_at,
        queued=state.outbox.waiting,
        operative=state.record.operative,
        online=not state.station_away,
        status=str(availability.station_status(state)),
        firmware_version=state.config.firmware_version or state.record.firmware_version,
        last_error=state.last_error,
    )


def _security_profile(state: StationState) -> int:
    """Of the link, or of the next attempt."""
    told = state.identity.told
    return state.config.security_profile if told is None else told.profile


def variable_text(state: StationState, ref: VariableRef) -> str | None:
    """Texts of variables that are computed at the moment they are read (# 2.0.1 appendix 3)."""
    match ref.variable:
        case "AvailabilityState":
            return _availability_text(state, ref)
        case "DateTime":
            return rfc3339(state.wall_now)
        case "Entries" if ref.component == "LocalAuthListCtrlr":
            return str(len(state.local_list))
        case "SecurityProfile":
            return str(_security_profile(state))
        case "CertificateEntries":
            return str(len(state.certificates.installed))
        case "Power" if ref.evse is not None:
            return _power_text(state, ref.evse)
        case _:
            return None


def _availability_text(state: StationState, ref: VariableRef) -> str | None:
    if ref.evse is None:
        return str(availability.station_status(state))
    evse = state.evses.get(ref.evse)
    if evse is None:
        return None
    states = [
        str(
            availability.availability_state(evse, connector, availability.fine_status(state, evse, connector))
        )
        for connector in evse.connectors
        if ref.connector in {None, connector.config.connector}
    ]
    gravest = ("Occupied", "Faulted", "Reserved", "Available", "Unavailable")
    return min(states, key=gravest.index, default=None)


def _power_text(state: StationState, evse_id: int) -> str | None:
    known = [
        reading[0]
        for connector in state.evses[evse_id].connectors
        if (reading := connector.meter.get("power_w")) is not None and isinstance(reading[0], int | float)
    ]
    return f"{sum(known):.1f}" if known else None


def rfc3339(wall: float) -> str:
    """UTC, milliseconds, Z."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
