"""What a charge point said, as the CSMS has it, and what a test expects of it: exactly these fields, and no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

Payload = dict[str, Any]


class Said(msgspec.Struct, frozen=True):
    """One frame of the charge point."""

    kind: str
    """`call`, `reply` or `refusal`."""
    action: str
    """Of an answer: what was asked."""
    payload: Payload
    """Of a refusal: `{"code": …}`."""

    def __str__(self) -> str:
        return f"{self.kind} {self.action} {json.dumps(self.payload)}"


class _Now:
    def __repr__(self) -> str:
        return "now"


NOW = _Now()
"""As the value of a timestamp: this moment."""


class Either(msgspec.Struct, frozen=True):
    """Any of these values."""

    values: tuple[Any, ...]

    def __call__(self, value: object) -> bool:
        return value in self.values


def any_of(*values: object) -> Either:
    """A field that may have any of these values."""
    return Either(values)


class Expected(msgspec.Struct, frozen=True):
    """One frame as it must be; a field's value is what it must equal, or a function that judges it."""

    kind: str
    action: str
    fields: Payload
    optional: bool = False

    def differences(self, said: Said, *, is_now: Callable[[str], bool]) -> list[str]:
        """What is not as expected; `is_now` judges a timestamp that the test does not name."""
        if (said.kind, said.action) != (self.kind, self.action):
            return [f"it is a {said.kind} {said.action}"]
        wanted: Payload = self.fields
        if said.kind == "call":
            wanted = {**_SELF_EVIDENT.get(said.action, {}), **wanted}
            if "timestamp" in said.payload and "timestamp" not in wanted:
                wanted = {**wanted, "timestamp": NOW}
        found = [
            f"{key} is missing" for key in wanted.keys() - said.payload.keys() if wanted[key] is not None
        ]
        for key, value in said.payload.items():
            if key not in wanted:
                found.append(f"{key} = {value!r} was not expected")
            elif not _fits(wanted[key], value, is_now):
                found.append(f"{key} is {value!r}, not {_shown(wanted[key])}")
        return found

    def __str__(self) -> str:
        fields = ", ".join(f"{key}={_shown(value)}" for key, value in self.fields.items())
        return f"{self.kind} {self.action}({fields})"


_SELF_EVIDENT: dict[str, Payload] = {"StatusNotification": {"connectorId": 1, "errorCode": "NoError"}}
"""What a test need not write."""


def call(action: str, /, **fields: Any) -> Expected:
    """A CALL of the charge point."""
    return Expected("call", action, fields)


def perhaps(action: str, /, **fields: Any) -> Expected:
    """A CALL that a case calls optional."""
    return Expected("call", action, fields, optional=True)


def reply(action: str, /, **fields: Any) -> Expected:
    """A CALLRESULT to what the CSMS asked."""
    return Expected("reply", action, fields)


def refusal(action: str, code: str) -> Expected:
    """A CALLERROR to what the CSMS asked."""
    return Expected("refusal", action, {"code": code})


def read_time(text: str) -> float:
    """Seconds since 1970; ValueError when it has no zone, as no correct station writes it."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return moment.timestamp()


def readings(context: str, wh: float, at: Any = None, **others: Any) -> list[Payload]:
    """`meterValue` of one moment, this one unless `at` says which: the import register, then `others` by measurand.

    Measurands are written with `_` for `.`; a value is `(text, unit)`, or a list of whole sampledValues.
    """
    common = {"context": context, "location": "Outlet"}
    register = {"value": f"{wh:g}", **common, "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    sampled = [register]
    for name, told in others.items():
        measurand = name.replace("_", ".")
        if isinstance(told, list):
            sampled += [{**common, "measurand": measurand, **each} for each in told]
        else:
            sampled.append({"value": told[0], **common, "measurand": measurand, "unit": told[1]})
    return [{"timestamp": NOW if at is None else at, "sampledValue": sampled}]


def _fits(wanted: Any, value: Any, is_now: Callable[[str], bool]) -> bool:
    if wanted is NOW:
        return is_now(value)
    if callable(wanted):
        return bool(wanted(value))
    if isinstance(wanted, dict):
        return (
            isinstance(value, dict)
            and wanted.keys() == value.keys()
            and all(_fits(each, value[key], is_now) for key, each in wanted.items())
        )
    if isinstance(wanted, list):
        return (
            isinstance(value, list)
            and len(wanted) == len(value)
            and all(_fits(each, other, is_now) for each, other in zip(wanted, value, strict=True))
        )
    return bool(wanted == value and type(wanted) is type(value))


def _shown(wanted: Any) -> str:
    if isinstance(wanted, Either):
        return " or ".join(map(repr, wanted.values))
    if wanted is NOW:
        return "now"
    return getattr(wanted, "__name__", "as the test wants it") if callable(wanted) else repr(wanted)
