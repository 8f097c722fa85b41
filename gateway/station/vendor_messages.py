"""DataTransfer: whoever may asks the CSMS and gets its answer; what it sends goes to a device that knows the vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import commands
from gateway.station.effects import Ask, Notify, Respond
from gateway.station.reports import Failed, VendorAnswer, VendorMessage
from gateway.station.requests import VendorReply

if TYPE_CHECKING:
    from gateway.station.events import ActionRequested
    from gateway.station.reports import Answer
    from gateway.station.requests import VendorMessageReceived
    from gateway.station.state import StationState
    from gateway.station.turn import Turn

MOST = 32
"""More questions of this kind do not wait at once; a further one is refused at once."""


def ask(state: StationState, turn: Turn, event: ActionRequested) -> str | None:
    """Ask now or never (# 1.6 §4.3, P02): the error, None when the answer of the CSMS will be the response."""
    if not state.online:
        return "there is no session with the CSMS"
    if len(state.vendor_asked) >= MOST:
        return f"{MOST} messages wait for the CSMS already"
    arguments = event.arguments
    message_id, data = arguments.get("message_id"), arguments.get("data")
    report = VendorMessage(
        str(arguments["vendor_id"]),
        None if message_id is None else str(message_id),
        None if data is None else str(data),
    )
    ref = state.next_number(turn)
    state.vendor_asked[ref] = event.reply_to
    turn.do(Ask(ref, report, urgent=True))
    return None


def answered(state: StationState, turn: Turn, ref: int, answer: Answer) -> bool:
    """The CSMS has answered, or will not; False when the question was not one of these."""
    reply_to = state.vendor_asked.pop(ref, None)
    if reply_to is None:
        return False
    if isinstance(answer, VendorAnswer):
        turn.do(Respond(reply_to, ok=True, data={"status": answer.status, "data": answer.data}))
    else:
        why = f"{answer.kind} {answer.code} {answer.detail}".strip() if isinstance(answer, Failed) else ""
        turn.do(Respond(reply_to, ok=False, data={}, error=f"the CSMS did not answer: {why}"))
    return True


def link_lost(state: StationState, turn: Turn) -> None:
    """No answer will come: whoever waits is told."""
    for reply_to in state.vendor_asked.values():
        turn.do(Respond(reply_to, ok=False, data={}, error="the session with the CSMS was lost"))
    state.vendor_asked.clear()


def received(state: StationState, turn: Turn, request: VendorMessageReceived, ref: int) -> VendorReply | None:
    """Everybody may see it; None when a device has it now and its result will be the reply (# [TC_062])."""
    arguments: dict[str, object] = {
        "vendor_id": request.vendor_id,
        "message_id": request.message_id,
        "data": request.data,
    }
    turn.do(Notify(0, "message", "data_transfer", dict(arguments)))
    known = dict(state.config.policy.vendors).get(request.vendor_id)
    if known is None:
        return VendorReply("UnknownVendorId")
    if known and request.message_id not in known:
        return VendorReply("UnknownMessageId")
    if commands.send(state, turn, 0, "data", arguments, reply_ref=ref):
        return None
    return VendorReply("Rejected")
