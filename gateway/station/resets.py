"""Resets: transactions end first, the reply goes out, the session closes, and the station boots anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import commands, grants, registration
from gateway.station.effects import CloseLink
from gateway.station.model import BootReason, StopReason, TriggerReason
from gateway.station.requests import StatusReply
from gateway.station.state import PendingReset

if TYPE_CHECKING:
    from gateway.station.requests import ResetRequested
    from gateway.station.state import StationState
    from gateway.station.turn import Turn

GRACE_S = 20.0
"""How long a reset waits for end registers and for what is still to be told."""


def requested(state: StationState, turn: Turn, request: ResetRequested) -> StatusReply:
    """# 1.6 §5.14, B11, B12."""
    if request.evse is not None:
        return StatusReply(status="Rejected", reason_code="UnsupportedRequest")  # EVSE.AllowReset is absent
    if state.reset is not None and not state.reset.waiting_for_idle:
        return StatusReply(status="Rejected", info="a reset is under way")
    immediate = request.kind != "on_idle"
    busy = any(evse.transaction is not None for evse in state.evses.values())
    if request.kind == "on_idle" and busy:
        state.reset = PendingReset(
            hard=False, reason=BootReason.SCHEDULED_RESET, evse=None, waiting_for_idle=True, deadline=None
        )
        return StatusReply(status="Scheduled")
    reason = BootReason.REMOTE_RESET if immediate else BootReason.SCHEDULED_RESET
    _start(state, turn, hard=request.kind in {"hard", "immediate"}, reason=reason)
    return StatusReply(status="Accepted")


def local(state: StationState, turn: Turn) -> None:
    """Somebody reset the station at its own button."""
    if state.reset is None:
        _start(state, turn, hard=True, reason=BootReason.LOCAL_RESET)


def asked_locally(state: StationState, turn: Turn) -> None:
    """Somebody asked for it on MQTT: the device is booted too."""
    state.reset = None  # one that waited for the end of transactions is overtaken
    _start(state, turn, hard=True, reason=BootReason.LOCAL_RESET)


def _start(state: StationState, turn: Turn, *, hard: bool, reason: BootReason) -> PendingReset:
    reset = state.reset = PendingReset(
        hard=hard,
        reason=reason,
        evse=None,
        waiting_for_idle=False,
        deadline=turn.now.monotonic + GRACE_S,
    )
    hard_reason, soft_reason = (
        (StopReason.IMMEDIATE_RESET, StopReason.REBOOT) if state.rules is None else state.rules.reset_reasons
    )
    cause = hard_reason if hard else soft_reason
    if reason is BootReason.LOCAL_RESET:
        cause = StopReason.REBOOT
    for evse in state.evses.values():
        evse.question = None
        if evse.transaction is not None or evse.grant is not None:
            grants.take_back(state, turn, evse, cause, TriggerReason.RESET_COMMAND)
    state.station_grant = state.station_question = None
    return reset


def settle(state: StationState, turn: Turn) -> None:
    """Go on with a reset as far as the facts allow."""
    reset = state.reset
    if reset is None:
        return
    busy = any(evse.transaction is not None for evse in state.evses.values())
    if reset.waiting_for_idle:
        if busy:
            return
        reset = _start(state, turn, hard=False, reason=BootReason(reset.reason))
    late = reset.deadline is not None and turn.now.monotonic >= reset.deadline
    if busy and not late:
        return
    if state.online and state.outbox.transactions.rows and not late:
        return  # B12.FR.03: what happened is told first, as long as it is answered
    _finish(state, turn, reset)


def _finish(state: StationState, turn: Turn, reset: PendingReset) -> None:
    state.reset = None
    state.record.boot_reason = reset.reason
    state.accepted = False
    state.registration = None
    state.boot_needed = True
    state.boot_retry_at = None
    state.heartbeat_at = None
    state.save(turn)
    commands.refuse_csms(state, turn)
    if "reset" in state.record.commands:
        arguments: dict[str, object] = {"type": "hard" if reset.hard else "soft"}
        commands.send(state, turn, 0, "reset", arguments, retries=state.variables.reset_retries)
    if state.linked:
        turn.do(CloseLink("reset"))
        registration.link_lost(state, turn)
