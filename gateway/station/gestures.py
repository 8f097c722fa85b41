"""A gesture happens once: its id is remembered durably for a day, and one that comes late does nothing."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from gateway.station.records import GestureRecord

if TYPE_CHECKING:
    from gateway.station.state import StationState
    from gateway.station.turn import Turn

MOST = 5000
"""More ids than this are not remembered at once; the oldest go."""


class Seen(Enum):
    """What a gesture turns out to be."""

    NEW = "new"
    REPEATED = "repeated"
    LATE = "late"


def seen(
    state: StationState,
    turn: Turn,
    gesture_id: str | None,
    at: float | None,
    *,
    backlog: bool,
    repeat: tuple[int, str] | None = None,
) -> Seen:
    """Judge a gesture, and remember it.

    `repeat` names the same gesture at the same place, for those without an id (one within card_debounce_s counts).
    A gesture without a time out of the broker's backlog is as old as it could be: late.
    """
    policy = state.config.policy
    now = turn.now
    if gesture_id is not None:
        if gesture_id in state.gestures:
            return Seen.REPEATED
        record = GestureRecord(now.wall)
        state.gestures[gesture_id] = record
        turn.save("gesture", gesture_id, record)
        _forget_old(state, turn)
    elif repeat is not None:
        last = state.debounce.get(repeat)
        state.debounce[repeat] = now.monotonic
        if last is not None and now.monotonic - last < policy.card_debounce_s:
            return Seen.REPEATED
        for key in [
            key for key, then in state.debounce.items() if now.monotonic - then >= policy.card_debounce_s
        ]:
            del state.debounce[key]
        state.debounce[repeat] = now.monotonic
    if at is None:
        return Seen.LATE if backlog else Seen.NEW
    return Seen.LATE if now.wall - at > policy.gesture_max_age_s else Seen.NEW


def _forget_old(state: StationState, turn: Turn) -> None:
    """Ids are in order of time, so the old ones are the first."""
    oldest = turn.now.wall - state.config.policy.gesture_memory_s
    while state.gestures:
        first = next(iter(state.gestures))
        if len(state.gestures) <= MOST and state.gestures[first].at >= oldest:
            return
        del state.gestures[first]
        turn.save("gesture", first, None)
