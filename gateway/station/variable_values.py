"""What the text of a variable must look like, its normal form, and the value that it stands for."""

from __future__ import annotations

import re

from gateway.station.model import StationConfig
from gateway.station.variable_shapes import INTEGER_LIMIT, DataType, Definition, Mutability

MAX_TEXT = 1000
"""DeviceDataCtrlr.ConfigurationValueSize, the longest text that SetVariables can carry."""

Value = int | float | bool | str | tuple[str, ...]


class VariableError(ValueError):
    """A value that a variable cannot take, or a name that none has; the message is for the operator."""

    def __init__(self, reason_code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason_code = reason_code
        """2.x statusInfo.reasonCode."""


def allowed(definition: Definition, config: StationConfig) -> tuple[str, ...]:
    """The values list of this station."""
    values = definition.values
    return values(config) if callable(values) else values


def normal(definition: Definition, text: str, config: StationConfig) -> str:
    """The text in its one normal form; raises VariableError (# B05.FR.07 … FR.10)."""
    if len(text) > MAX_TEXT:
        raise VariableError("TooLargeElement", f"{name_of(definition)} may have {MAX_TEXT} characters.")
    match definition.type:
        case DataType.BOOLEAN:
            return _boolean(definition, text)
        case DataType.INTEGER | DataType.DECIMAL:
            return _number(definition, text)
        case DataType.OPTION_LIST:
            return _members(definition, (text.strip(),), config)[0]
        case DataType.MEMBER_LIST | DataType.SEQUENCE_LIST:
            members = tuple(member for part in text.split(",") if (member := part.strip()))
            if not members and not definition.may_be_empty:
                raise VariableError("InvalidValue", f"{name_of(definition)} must not be empty.")
            return ",".join(dict.fromkeys(_members(definition, members, config)))
        case DataType.STRING:
            return _string(definition, text)
        case DataType.DATE_TIME:
            if _DATE_TIME.fullmatch(text) is None:
                raise _refused(definition, text, "is no RFC 3339 time, such as 2026-01-31T23:59:59Z")
            return text


def parsed(definition: Definition, text: str) -> Value:
    """The value of a text in normal form."""
    match definition.type:
        case DataType.BOOLEAN:
            return text == "true"
        case DataType.INTEGER:
            return int(text)
        case DataType.DECIMAL:
            return float(text)
        case DataType.MEMBER_LIST | DataType.SEQUENCE_LIST:
            return tuple(text.split(",")) if text else ()
        case DataType.STRING | DataType.OPTION_LIST | DataType.DATE_TIME:
            return text


def name_of(definition: Definition) -> str:
    """`Component.Variable[Instance]`: its name in settings and in the store."""
    name = f"{definition.component}.{definition.variable}"
    return name if definition.instance is None else f"{name}[{definition.instance}]"


# ASCII digits, no plus, no leading zeros, at most six decimals (# 2.0.1 Part 2, primitive datatypes).
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]{1,6})?")
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


def _boolean(definition: Definition, text: str) -> str:
    word = text.strip().lower()
    if word not in ("true", "false"):
        raise _refused(definition, text, "is neither true nor false")
    return word


def _number(definition: Definition, text: str) -> str:
    whole = definition.type is DataType.INTEGER
    pattern = _INTEGER if whole else _DECIMAL
    if pattern.fullmatch(text) is None:
        raise _refused(definition, text, "is no whole number" if whole else "is no decimal number")
    value = float(text) if len(text) < 20 else float("inf") * (-1 if text[0] == "-" else 1)
    minimum = -INTEGER_LIMIT - 1 if definition.minimum is None else definition.minimum
    maximum = INTEGER_LIMIT if definition.maximum is None else definition.maximum
    unit = f" {definition.unit}" if definition.unit else ""
    if value < minimum:
        raise _refused(definition, text, f"is below {minimum}{unit}", "ValueTooLow")
    if value > maximum:
        raise _refused(definition, text, f"is above {maximum}{unit}", "ValueTooHigh")
    return text


def _members(definition: Definition, members: tuple[str, ...], config: StationConfig) -> tuple[str, ...]:
    values = allowed(definition, config)
    spelt = {value.casefold(): value for value in values + definition.quiet_values}
    found = []
    for member in members:
        value = spelt.get(member.casefold())
        if value is None:
            allowed_text = ", ".join(values)
            raise _refused(definition, member, f"is not among {allowed_text}")
        found.append(value)
    return tuple(found)


def _string(definition: Definition, text: str) -> str:
    if definition.minimum is not None and len(text) < definition.minimum:
        raise VariableError(
            "InvalidValue", f"{name_of(definition)} needs at least {definition.minimum} characters."
        )
    if definition.maximum is not None and len(text) > definition.maximum:
        raise VariableError(
            "TooLargeElement", f"{name_of(definition)} may have at most {definition.maximum} characters."
        )
    if definition.pattern is not None and re.fullmatch(definition.pattern, text) is None:
        raise _refused(definition, text, "has characters that are not allowed")
    return text


def _refused(
    definition: Definition, text: str, what: str, reason_code: str = "InvalidValue"
) -> VariableError:
    secret = definition.mutability is Mutability.WRITE_ONLY
    shown = "the value" if secret else repr(text if len(text) <= 40 else text[:40] + "…")
    return VariableError(reason_code, f"{name_of(definition)}: {shown} {what}."[:512])
