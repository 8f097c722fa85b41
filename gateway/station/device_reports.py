"""Buttons and alarms of a device: gestures that stop, reset, or warn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import gestures, grants, resets, security
from gateway.station.effects import Notify
from gateway.station.model import StopReason, TriggerReason

if TYPE_CHECKING:
    from gateway.station.events import DeviceReported
    from gateway.station.state import StationState
    from gateway.station.turn import Turn

_STOPS = {
    "stop_button": (StopReason.LOCAL, TriggerReason.STOP_AUTHORIZED),
    "ev_stop": (StopReason.STOPPED_BY_EV, TriggerReason.STOP_AUTHORIZED),
    "emergency_stop": (StopReason.EMERGENCY_STOP, TriggerReason.ABNORMAL_CONDITION),
    "power_failing": (StopReason.POWER_LOSS, TriggerReason.ABNORMAL_CONDITION),
}


def reported(state: StationState, turn: Turn, event: DeviceReported) -> None:
    """A report happens once; one that comes late stops nothing any more."""
    gesture = None if event.gesture_id is None else f"{event.n}/report/{event.gesture_id}"
    repeat = (event.n, f"report/{event.kind}")
    seen = gestures.seen(state, turn, gesture, event.at, backlog=event.backlog, repeat=repeat)
    if seen is gestures.Seen.REPEATED:
        return
    data: dict[str, object] = {"kind": event.kind, "info": event.info, "late": seen is gestures.Seen.LATE}
    turn.do(Notify(event.n, "error" if event.kind not in _STOPS else "command", "report", data))
    if event.kind == "tamper":
        security.record(state, turn, "TamperDetectionActivated", event.info or None)
        return
    if seen is gestures.Seen.LATE:
        return
    if event.kind == "local_reset":
        resets.local(state, turn)
    stop = _STOPS.get(event.kind)
    if stop is None:
        return
    for evse in [state.evse_of(event.n)] if event.n else list(state.evses.values()):
        if evse.grant is not None or (evse.transaction is not None and not evse.transaction.ending):
            grants.take_back(state, turn, evse, *stop)
            evse.stopped_itself = True
