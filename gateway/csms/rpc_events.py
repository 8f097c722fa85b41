"""What OCPP-J has to tell its station: facts, in the past tense, one per frame or deadline."""

from typing import Any

import msgspec

from gateway.csms.frames import MessageId
from gateway.csms.schemas import Payload, SchemaViolation


class CallReceived(msgspec.Struct, frozen=True, gc=False):
    """The CSMS asks: `reply` or `reply_error` under its `message_id`, before `reply_timeout_s` is over."""

    message_id: MessageId
    action: str
    payload: Payload
    tolerated: tuple[str, ...] = ()
    """What was not quite right in the payload and has been put right."""


class SendReceived(msgspec.Struct, frozen=True, gc=False):
    """2.1: a message that wants no answer."""

    action: str
    payload: Payload
    tolerated: tuple[str, ...] = ()


class CallAnswered(msgspec.Struct, frozen=True, gc=False):
    ref: object
    action: str
    payload: Payload
    tolerated: tuple[str, ...] = ()


class CallFailed(msgspec.Struct, frozen=True, gc=False):
    """The CSMS answered with an error, or (`local`) with a result that cannot be understood."""

    ref: object
    action: str
    code: str
    """Any text when it comes from the CSMS; one of the version's codes when `local`."""
    description: str
    details: dict[str, Any]
    local: bool = False


class CallTimedOut(msgspec.Struct, frozen=True, gc=False):
    ref: object
    action: str


class CallLost(msgspec.Struct, frozen=True, gc=False):
    """The connection went before the answer came."""

    ref: object
    action: str
    was_sent: bool
    """False: it was still waiting for its turn."""


class LateAnswer(msgspec.Struct, frozen=True, gc=False):
    """An answer after its time-out: too late to count."""

    ref: object
    action: str


class ResultRefused(msgspec.Struct, frozen=True, gc=False):
    """2.1 CALLRESULTERROR: the CSMS did not understand our response."""

    message_id: MessageId
    code: str
    description: str
    details: dict[str, Any]


class ReplyInvalid(msgspec.Struct, frozen=True, gc=False):
    """A reply of ours did not fit its schema, or never came: the CSMS was told InternalError instead."""

    message_id: MessageId
    action: str
    reason: str


class CallRefused(msgspec.Struct, frozen=True, gc=False):
    """A CALL that was answered with a CALLERROR at once; nothing else needs doing."""

    message_id: MessageId
    action: str
    code: str
    description: str


class FrameIgnored(msgspec.Struct, frozen=True, gc=False):
    reason: str


RpcEvent = (
    CallReceived
    | SendReceived
    | CallAnswered
    | CallFailed
    | CallTimedOut
    | CallLost
    | LateAnswer
    | ResultRefused
    | ReplyInvalid
    | CallRefused
    | FrameIgnored
)


class RequestInvalid(Exception):
    """A request of ours does not fit its schema; nothing was sent."""

    def __init__(self, action: str, violation: SchemaViolation) -> None:
        super().__init__(f"{action} was not sent, since it is not valid: {violation}")
        self.action = action
        self.violation = violation


class QueueFull(Exception):
    """More calls wait than `queue_limit` allows; nothing was sent."""

    def __init__(self, action: str, limit: int) -> None:
        super().__init__(f"{action} was not sent, since {limit} calls are waiting for the CSMS already")
        self.action = action
        self.limit = limit
