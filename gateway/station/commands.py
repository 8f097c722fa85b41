"""Commands to devices, and what waits for their results: an honest answer before anybody gives up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gateway.station import availability
from gateway.station.effects import Answer, Command, Notify, Respond
from gateway.station.requests import StatusReply, VendorReply
from gateway.station.state import PendingCommand

if TYPE_CHECKING:
    from gateway.station.events import CommandAnswered
    from gateway.station.requests import Reply
    from gateway.station.state import Connector, StationState
    from gateway.station.turn import Turn

_AWAITED_BY_BLOCKS = frozenset({"update_firmware", "upload_log"})
MOST = 64
"""More commands than this do not wait at once; a further one fails at once."""


def send(
    state: StationState,
    turn: Turn,
    n: int,
    purpose: str,
    arguments: dict[str, object],
    *,
    reply_ref: int | None = None,
    respond_to: int | None = None,
    retries: int = 0,
) -> str | None:
    """Send a command and wait for its result; its id, None when nobody is there to do it."""
    away = all(connector.away_since is not None for connector in _reached(state, n))
    if not state.broker_up or away or len(state.commands) >= MOST:
        return None
    ttl_s = state.config.policy.command_timeout_s
    command = PendingCommand(
        state.next_id(turn),
        n,
        purpose,
        turn.now.monotonic + ttl_s,
        reply_ref=reply_ref,
        respond_to=respond_to,
        arguments=arguments,
        retries=retries,
        boot_id=state.record.device_boot_id,
    )
    state.commands[command.id] = command
    turn.do(Command(n, purpose, command.id, round(ttl_s), arguments, command.boot_id))
    return command.id


def _reached(state: StationState, n: int) -> list[Connector]:
    return [state.by_n[n]] if n else list(state.by_n.values())


def answered(state: StationState, turn: Turn, event: CommandAnswered) -> None:
    """A result came; `in_progress` only says that it is being done, a late one is reported as what it is."""
    command = state.commands.get(event.command_id)
    name = "" if command is None else command.purpose
    turn.do(
        Notify(
            event.n, "command", event.status, {"id": event.command_id, "command": name, "info": event.info}
        )
    )
    if command is None or event.status == "in_progress":
        return
    del state.commands[event.command_id]
    _finish(state, turn, command, event.status, event.info, event.data)


def time_out(state: StationState, turn: Turn) -> None:
    """The device did not answer in time: refuse honestly."""
    now = turn.now.monotonic
    for command in [command for command in state.commands.values() if now >= command.deadline]:
        del state.commands[command.id]
        info = "the device did not answer in time"
        data: dict[str, object] = {"id": command.id, "command": command.purpose, "info": info}
        turn.do(Notify(command.n, "command", "failed", data))
        _finish(state, turn, command, "failed", info)


def _finish(
    state: StationState,
    turn: Turn,
    command: PendingCommand,
    status: str,
    info: str,
    data: str | None = None,
) -> None:
    done = status == "accepted"
    if command.purpose in _AWAITED_BY_BLOCKS:
        state.command_outcomes[command.purpose] = command.id, status, info
    if command.purpose == "reset" and not done:
        _reset_again(state, turn, command, status)
    if command.purpose == "unlock" and done:
        connector = state.by_n[command.n]
        if connector.record.keep_locked:
            connector.record.keep_locked = False
            state.save_connector(turn, connector)
    if command.reply_ref is not None:
        turn.do(Answer(command.reply_ref, _reply(command, status, info, data)))
    if command.respond_to is not None:
        error = None if done else f"{command.purpose}: {status}{f', {info}' if info else ''}"
        turn.do(Respond(command.respond_to, done, {}, error))


def _reset_again(state: StationState, turn: Turn, command: PendingCommand, status: str) -> None:
    """Try again, unless the device has booted since: then it did what was asked of it (# 1.6 ResetRetries)."""
    booted = command.boot_id is None or command.boot_id != state.record.device_boot_id
    if command.retries > 0 and not booted and status != "not_supported":
        send(state, turn, command.n, command.purpose, command.arguments, retries=command.retries - 1)


def _reply(command: PendingCommand, status: str, info: str, data: str | None = None) -> Reply:
    """What the CSMS is told of a command's result."""
    if command.purpose == "data":
        word: Literal["Accepted", "Rejected"] = "Accepted" if status == "accepted" else "Rejected"
        return VendorReply(word, data)
    unlocked = {"accepted": "Unlocked", "not_supported": "NotSupported"}.get(status, "UnlockFailed")
    return StatusReply(status=unlocked, info=info or None)


def refuse_csms(state: StationState, turn: Turn) -> None:
    """The session is about to end: who waits for a reply gets an honest one before."""
    for command in state.commands.values():
        if command.reply_ref is not None:
            turn.do(Answer(command.reply_ref, _reply(command, "failed", "the station is reset")))
    lost_csms(state)


def lost_csms(state: StationState) -> None:
    """Nobody waits for these replies any more."""
    for command in state.commands.values():
        command.reply_ref = None


def unlock(
    state: StationState, turn: Turn, n: int, *, reply_ref: int | None = None, respond_to: int | None = None
) -> str | None:
    """Have a plug unlocked; a status word at once where no hardware is needed to know it (# F05, 1.6 §5.18)."""
    connector = state.by_n[n]
    if not connector.config.lock:
        return "NotSupported"  # [TC_017_2], [TC_018_2], [TC_031]
    if availability.is_faulted(connector) and connector.away_since is not None:
        return "UnlockFailed"
    if not send(state, turn, n, "unlock", {}, reply_ref=reply_ref, respond_to=respond_to):
        return "UnlockFailed"
    return None
