"""The judge of OCPP-J frames: what each version allows on the wire, in either direction, with no leniency."""

import functools
import json
from collections.abc import Container
from importlib import resources
from typing import Any, Literal

import jsonschema_rs
import msgspec

Payload = dict[str, Any]
Json = str | int | float | bool | None

CALL, CALLRESULT, CALLERROR = 2, 3, 4

MESSAGE_ID_LENGTH = 36
DESCRIPTION_LENGTH = 255

_SCHEMA_FOLDERS = {"ocpp1.6": "v16", "ocpp2.0.1": "v201", "ocpp2.1": "v21"}

_CODES_OF_2 = frozenset(
    {
        "FormatViolation",
        "GenericError",
        "InternalError",
        "MessageTypeNotSupported",
        "NotImplemented",
        "NotSupported",
        "OccurrenceConstraintViolation",
        "PropertyConstraintViolation",
        "ProtocolError",
        "RpcFrameworkError",
        "SecurityError",
        "TypeConstraintViolation",
    }
)
ERROR_CODES = {
    # OCPP-J 1.6 §4.2.3, with its spelling of "Occurence".
    "ocpp1.6": frozenset(
        {
            "FormationViolation",
            "GenericError",
            "InternalError",
            "NotImplemented",
            "NotSupported",
            "OccurenceConstraintViolation",
            "PropertyConstraintViolation",
            "ProtocolError",
            "SecurityError",
            "TypeConstraintViolation",
        }
    ),
    "ocpp2.0.1": _CODES_OF_2,
    "ocpp2.1": _CODES_OF_2,
}


class WireError(Exception):
    """A frame that OCPP-J does not allow; `code` is the CALLERROR code for it, as the version spells it."""

    def __init__(self, code: str, problem: str, message_id: Json = None) -> None:
        super().__init__(problem)
        self.code = code
        self.problem = problem
        self.message_id = message_id


class Message(msgspec.Struct, frozen=True):
    """One parsed frame: CALL and CALLRESULT have a `payload`, CALLERROR `code`, `description`, `details`."""

    kind: int
    message_id: Json
    action: str = ""
    payload: Payload = {}
    code: str = ""
    description: str = ""
    details: Payload = {}


def parse(text: str | bytes, version: str, outstanding: Container[str] = ()) -> Message:
    """The frame that a station sent, or WireError. Payloads are not judged: a result names no action.

    An answer may bear any id that is `outstanding` (as JSON text): it must echo what it was asked with.
    """
    formation = "FormationViolation" if version == "ocpp1.6" else "FormatViolation"
    if isinstance(text, bytes):
        raise WireError(formation, "a binary frame, OCPP-J has text frames only")
    try:
        frame = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise WireError(formation, f"not JSON: {error}") from error
    if not isinstance(frame, list) or not frame:
        raise WireError(formation, "not a JSON array with elements")
    kind = frame[0]
    message_id = frame[1] if len(frame) > 1 else None
    if type(kind) is not int or kind not in (CALL, CALLRESULT, CALLERROR):
        raise WireError("ProtocolError", f"message type {kind!r} is not one of 2, 3, 4", message_id)
    echoed = kind != CALL and json.dumps(message_id) in outstanding
    if not echoed and not (isinstance(message_id, str) and 0 < len(message_id) <= MESSAGE_ID_LENGTH):
        raise WireError(
            "ProtocolError",
            f"message id {message_id!r} is not a string of 1 to {MESSAGE_ID_LENGTH} characters",
            message_id,
        )
    elements = {CALL: 4, CALLRESULT: 3, CALLERROR: 5}[kind]
    if len(frame) != elements:
        raise WireError("ProtocolError", f"{len(frame)} elements instead of {elements}", message_id)
    if kind == CALL:
        return _call(message_id, frame[2], frame[3])
    if kind == CALLRESULT:
        return Message(kind, message_id, payload=_object(frame[2], "payload", message_id))
    return _call_error(message_id, frame[2], frame[3], frame[4], version)


def payload_problem(
    version: str, action: str, part: Literal["request", "response"], payload: object
) -> WireError | None:
    """What the `ocpp` package's schema, formats included, holds against a payload; None when it is valid."""
    validator = _validator(version, action, part)
    if validator is None:
        return WireError("NotImplemented", f"{action} {part} does not exist in {version}")
    for error in validator.iter_errors(payload):
        place = "/".join(str(step) for step in error.instance_path) or "payload"
        return WireError(_code_of(error.kind.name, version), f"{action} {part}: {place}: {error.message}")
    return None


def exists(version: str, action: str) -> bool:
    """Whether the version has a request of this name, whoever may send it."""
    return _validator(version, action, "request") is not None


def encode(frame: list[Any]) -> str:
    return json.dumps(frame, separators=(",", ":"), ensure_ascii=False)


def _call(message_id: Json, action: object, payload: object) -> Message:
    if not isinstance(action, str) or not action:
        raise WireError("ProtocolError", f"action {action!r} is not a name", message_id)
    return Message(CALL, message_id, action, _object(payload, "payload", message_id))


def _call_error(message_id: Json, code: Any, description: Any, details: Any, version: str) -> Message:
    if code not in ERROR_CODES[version]:
        raise WireError("ProtocolError", f"{code!r} is not a CALLERROR code of {version}", message_id)
    if not isinstance(description, str) or len(description) > DESCRIPTION_LENGTH:
        raise WireError(
            "ProtocolError",
            f"error description {description!r} is not a string of at most {DESCRIPTION_LENGTH} characters",
            message_id,
        )
    details = _object(details, "error details", message_id)
    return Message(CALLERROR, message_id, code=code, description=description, details=details)


def _object(value: object, what: str, message_id: Json) -> Payload:
    if not isinstance(value, dict):
        raise WireError("ProtocolError", f"{what} {value!r} is not an object", message_id)
    return value


def _code_of(rule: str, version: str) -> str:
    if rule in ("type", "maxLength", "minLength"):
        return "TypeConstraintViolation"
    if rule in ("enum", "format", "minimum", "maximum", "multipleOf"):
        return "PropertyConstraintViolation"
    if rule in ("required", "minItems", "maxItems"):
        return "OccurenceConstraintViolation" if version == "ocpp1.6" else "OccurrenceConstraintViolation"
    return "FormationViolation" if version == "ocpp1.6" else "FormatViolation"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


@functools.cache
def _validator(version: str, action: str, part: str) -> jsonschema_rs.Validator | None:
    suffix = {"request": "" if version == "ocpp1.6" else "Request", "response": "Response"}[part]
    folder = resources.files("ocpp").joinpath(_SCHEMA_FOLDERS[version], "schemas")
    # The name comes off the wire: it must be a plain word before it may become part of a path.
    if not action.isidentifier() or (version == "ocpp1.6" and action.endswith("Response")):
        return None
    file = folder.joinpath(f"{action}{suffix}.json")
    if not file.is_file():
        return None
    return jsonschema_rs.validator_for(
        json.loads(file.read_text(encoding="utf-8-sig")), validate_formats=True
    )
