"""Authorization as it is held: what stands in its way, and what happens when it is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import availability, reservations, status_reports, tokens
from gateway.station.model import AuthorizationStatus, IdToken, StopReason, TriggerReason
from gateway.station.records import GrantRecord
from gateway.station.state import Grant

if TYPE_CHECKING:
    from gateway.station.state import Evse, StationState
    from gateway.station.turn import Turn


def obstacle_to_start(state: StationState, evse: Evse, n: int) -> str | None:
    """Why nobody may start here now; None when somebody may."""
    connector = state.by_n[n]
    if not state.storing:
        return "the gateway's disk is full"
    if state.reset is not None and not state.reset.waiting_for_idle:
        return "the station is being reset"
    if state.firmware.phase == "installing":
        return "firmware is being installed"
    if availability.is_faulted(connector):
        return "faulted"
    if connector.vanished:
        return "the device does not answer"
    if not availability.is_operative(state, evse, connector):
        return "unavailable"
    return None


def is_kept_from(state: StationState, evse: Evse, token: IdToken, group: IdToken | None) -> bool:
    """Whether an EVSE is surely reserved for others, whatever the CSMS would say of the token's group."""
    claim = reservations.claim(state, evse, token, group or group_of(state, token))
    return not claim.allowed and not (claim.unsure and can_ask(state))


def take_back(
    state: StationState,
    turn: Turn,
    evse: Evse,
    reason: StopReason,
    trigger: TriggerReason,
    token: IdToken | None = None,
) -> None:
    """Authorization ends here; what follows for the transaction is settled afterwards."""
    grant = evse.grant
    if (
        grant is not None
        and grant.token == state.config.policy.free_charging_token
        and evse.transaction is None
    ):
        connector = state.by_n[grant.n]
        connector.record.ended_in_plug_session = bool(
            connector.plugged
        )  # else it would be given anew at once
        state.save_connector(turn, connector)
    evse.grant = None
    evse.beginning = None
    evse.trigger = trigger
    evse.stopped = (reason, trigger, token)
    transaction = evse.transaction
    if transaction is not None and not transaction.ending:
        transaction.authorized = False
        if transaction.cause is None:
            transaction.cause = reason
            transaction.cause_trigger = trigger
            transaction.stop_token = token
        state.save_transaction(turn, transaction)


def assign_station_grant(state: StationState, turn: Turn) -> None:
    """A token shown at the station's reader goes to the connector plugged next."""
    grant = state.station_grant
    if grant is None:
        return
    if turn.now.monotonic - grant.since >= state.variables.connection_timeout_s:
        state.station_grant = None
        tokens.say(state, turn, 0, grant.token, "timeout", None)
        return
    for evse in state.evses.values():
        free = evse.grant is None and evse.question is None
        plugged_now = evse.trigger is TriggerReason.CABLE_PLUGGED_IN
        if not plugged_now or not free or (evse.transaction is not None and evse.transaction.authorized):
            continue
        for connector in evse.connectors:
            here = availability.is_plugged(evse, connector) and not connector.record.ended_in_plug_session
            claim = reservations.claim(state, evse, grant.token, grant.group)
            if here and claim.allowed and obstacle_to_start(state, evse, connector.config.n) is None:
                evse.grant = Grant(
                    grant.token,
                    grant.group,
                    connector.config.n,
                    grant.since,
                    grant.trigger,
                    reservation_id=claim.reservation_id,
                )
                evse.trigger = evse.trigger or grant.trigger
                leave_reserved(state, turn, evse)
                state.station_grant = None
                return


def keep(state: StationState, turn: Turn) -> None:
    """Remember what was granted and has not begun: whoever showed a card need not do so again after a restart."""
    if not _same(state.station_grant, state.record.grant):
        state.record.grant = _record(state.station_grant, turn)
        state.save(turn)
    for evse in state.evses.values():
        grant = None if evse.transaction is not None else evse.grant
        if not _same(grant, evse.record.grant):
            evse.record.grant = _record(grant, turn)
            state.save_evse(turn, evse)


def restore(state: StationState, turn: Turn) -> None:
    """Take up what the former run had granted, for as long as it would have held (# EVConnectionTimeOut)."""
    state.station_grant = _restored(state, turn, 0, state.record.grant)
    for evse in state.evses.values():
        kept = evse.record.grant
        if evse.transaction is None and kept is not None and (kept.n == 0 or kept.n in state.by_n):
            evse.grant = _restored(state, turn, kept.n, kept)


def _same(grant: Grant | None, kept: GrantRecord | None) -> bool:
    """Whether the record says what holds; a grant's age is the same by its token, trigger and start request."""
    if grant is None or kept is None:
        return grant is None and kept is None
    return _identity(grant) == _identity(kept)


def _identity(grant: Grant | GrantRecord) -> tuple[object, ...]:
    return (
        grant.token,
        grant.group,
        grant.n,
        grant.trigger,
        grant.remote_start_id,
        grant.remote,
        grant.reservation_id,
        grant.profile,
    )


def _record(grant: Grant | None, turn: Turn) -> GrantRecord | None:
    if grant is None:
        return None
    since = turn.now.wall - (turn.now.monotonic - grant.since)
    return GrantRecord(
        grant.token,
        grant.group,
        grant.n,
        since,
        grant.trigger,
        grant.remote_start_id,
        grant.remote,
        grant.reservation_id,
        grant.profile,
    )


def _restored(state: StationState, turn: Turn, n: int, kept: GrantRecord | None) -> Grant | None:
    if kept is None:
        return None
    age_s = max(0.0, turn.now.wall - kept.since)
    if age_s >= state.variables.connection_timeout_s:
        tokens.say(state, turn, n, kept.token, "timeout", None)
        return None
    return Grant(
        kept.token,
        kept.group,
        kept.n,
        turn.now.monotonic - age_s,
        kept.trigger,
        kept.remote_start_id,
        kept.remote,
        kept.reservation_id,
        kept.profile,
    )


def group_of(state: StationState, token: IdToken) -> IdToken | None:
    """The group of an accepted token, as far as it is known here."""
    known = tokens.remembered(state, token)
    return known.group if known is not None and known.status is AuthorizationStatus.ACCEPTED else None


def can_ask(state: StationState) -> bool:
    return state.online and not state.variables.remote_authorization_disabled


def leave_reserved(state: StationState, turn: Turn, evse: Evse) -> None:
    """Reserved becomes Preparing by the token, before the transaction begins (# 1.6 §4.9 G2)."""
    if evse.reserved is not None:
        for connector in evse.connectors:
            status_reports.settle(state, turn, evse, connector)
