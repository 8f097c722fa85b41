"""An authorizer on MQTT: somebody's flow is asked about a card first, within a short time; then the CSMS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station.effects import AskFlow
from gateway.station.model import AuthorizationStatus, IdToken, TokenInfo
from gateway.station.state import Question

if TYPE_CHECKING:
    from gateway.station.events import FlowAnswered
    from gateway.station.state import StationState
    from gateway.station.turn import Turn

_STATUSES = {"accepted": AuthorizationStatus.ACCEPTED, "refused": AuthorizationStatus.BLOCKED}


def is_asked(state: StationState, token: IdToken) -> bool:
    """Whether a flow decides about this token; a code that a person types in is shown to nobody."""
    return state.config.policy.authorizer == "mqtt" and state.broker_up and token.type != "KeyCode"


def ask(
    state: StationState, turn: Turn, token: IdToken, n: int, gesture: str | None, *, to_stop: bool = False
) -> Question:
    """Ask on `…/<n>/authorize/request`; `to_stop` only whether it is of the running transaction's group."""
    ref = state.next_number(turn)
    timeout_s = state.config.policy.authorizer_timeout_s
    turn.do(AskFlow(n, str(ref), token, timeout_s))
    question = Question(ref, token, n, to_stop, gesture=gesture)
    question.flow_until = turn.now.monotonic + timeout_s
    return question


def questions(state: StationState) -> list[Question]:
    """What flows have not answered yet."""
    asked = [state.station_question, *(evse.question for evse in state.evses.values())]
    return [question for question in asked if question is not None and question.flow_until is not None]


def verdict(event: FlowAnswered) -> TokenInfo | None:
    """What the flow has decided; None: that it does not know."""
    status = _STATUSES.get(event.status)
    if status is None:
        return None
    group = IdToken(event.group, "Central") if event.group else None
    return TokenInfo(status, group, message=event.info or None)


def deadline(state: StationState) -> float | None:
    """When the next question goes to the CSMS instead, monotonic."""
    return min((q.flow_until for q in questions(state) if q.flow_until is not None), default=None)
