"""What can be wrong with a CALL, and how each OCPP version spells it in a CALLERROR."""

import enum


class Fault(enum.Enum):
    """Neutral names; `spelled` gives the word for the wire."""

    NOT_IMPLEMENTED = "NotImplemented"
    """The action is not known."""
    NOT_SUPPORTED = "NotSupported"
    """The action is known, but this station does not do it."""
    INTERNAL = "InternalError"
    PROTOCOL = "ProtocolError"
    SECURITY = "SecurityError"
    FORMAT = "FormatViolation"
    """The payload is not built as the action wants it."""
    PROPERTY = "PropertyConstraintViolation"
    """A value is not allowed."""
    OCCURRENCE = "OccurrenceConstraintViolation"
    """A field is missing, or a list is too short or too long."""
    TYPE = "TypeConstraintViolation"
    GENERIC = "GenericError"
    MESSAGE_TYPE = "MessageTypeNotSupported"
    RPC_FRAMEWORK = "RpcFrameworkError"
    """Not even the message id can be read."""


def spelled(fault: Fault, version: str) -> str:
    """The error code of `version`; a code outside its list makes some backends retry for ever."""
    if version == "ocpp1.6":
        return _IN_1_6.get(fault, fault.value)
    return fault.value


# OCPP-J 1.6 §4.2.3, with the two misspellings that its errata declare permanent.
_IN_1_6 = {
    Fault.FORMAT: "FormationViolation",
    Fault.OCCURRENCE: "OccurenceConstraintViolation",
    Fault.MESSAGE_TYPE: "GenericError",
    Fault.RPC_FRAMEWORK: "FormationViolation",
}
