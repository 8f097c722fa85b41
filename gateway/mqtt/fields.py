"""Reads an untidy JSON object by a payload type: each field stands or falls alone, and says why it fell."""

from __future__ import annotations

import math
import re
from json import loads
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import Struct

PROBLEMS_MAX = 5
PAYLOAD_MAX_BYTES = 65536

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no JSON, or not of the type."""

_BARE_WORD = re.compile(rb"(?<=[:,\[\s])[-+]?(nan|inf(?:inity)?)(?=\s*[,\]}])", re.IGNORECASE)
"""What printf makes of a number that is none."""
_NOT_KNOWN = frozenset(("", "nan", "null", "none"))
_SHOWN_CHARACTERS = 40


class NotJsonError(ValueError):
    """The payload is no JSON at all; the text says what it is, without quoting it."""


class Reading(Struct):
    """What could be read of one object."""

    values: dict[str, Any]
    problems: list[str]
    unknown_keys: int = 0


class Fields:
    """The fields of one payload type, ready to read objects by."""

    def __init__(
        self, payload_type: type[Struct], *, secret: tuple[str, ...] = (), lower: tuple[str, ...] = ()
    ) -> None:
        """`secret`: never quoted in a problem. `lower`: words whose case does not count."""
        self._fields = {
            field.name: _Field(field.name, field.type, field.name in secret, field.name in lower)
            for field in msgspec.structs.fields(payload_type)
        }
        self._required = tuple(field.name for field in msgspec.structs.fields(payload_type) if field.required)

    def read(self, document: dict[str, Any], *, gaps: bool = True) -> Reading:
        """Read what can be read. `gaps`: NaN and empty text mean "not known"; otherwise they are refused."""
        reading = Reading({}, [])
        for key, value in document.items():
            field = self._fields.get(key)
            if field is None:
                reading.unknown_keys += 1
            else:
                field.read_into(reading, value, gaps=gaps)
        return reading

    def missing(self, reading: Reading) -> list[str]:
        """Return a sentence for each required field that is neither there nor refused already."""
        return [
            f"{name} is missing: expected {self._fields[name].expected}"
            for name in self._required
            if name not in reading.values and not any(p.startswith(name + " ") for p in reading.problems)
        ]


class _Field:
    """How one field is read."""

    def __init__(self, name: str, kind: Any, secret: bool, lower: bool) -> None:
        self.name = name
        self.secret = secret
        self._type = kind
        self._lower = lower
        schema = msgspec.json.schema(kind)
        types = _schema_types(schema)
        self._number = bool(types & {"number", "integer"}) and "string" not in types
        self._text = "string" in types and not types & {"number", "integer", "boolean", "array", "object"}
        self._upper = name == "control_pilot"
        self._entry = _entry_type(kind)
        self.expected = _words(schema)

    def read_into(self, reading: Reading, value: Any, *, gaps: bool) -> None:
        if self._entry is not None and isinstance(value, list):
            reading.values[self.name] = self._entries(reading, value)
            return
        if self._number:
            tidy = _tidy_number(value, gaps=gaps)
        elif self._text and isinstance(value, int | float) and not isinstance(value, bool):
            tidy = str(value)
        elif isinstance(value, str):
            tidy = value.strip()
            tidy = tidy.lower() if self._lower else tidy.upper() if self._upper else tidy
        else:
            tidy = value
        try:
            read = msgspec.convert(tidy, self._type, strict=False)
        except msgspec.ValidationError:
            self._refuse(reading, value)
            return
        if _is_infinite(read):
            self._refuse(reading, value)
            return
        reading.values[self.name] = read

    def _entries(self, reading: Reading, entries: list[Any]) -> list[Any]:
        good = []
        for entry in entries[:100]:
            try:
                good.append(msgspec.convert(entry, self._entry, strict=False))
            except msgspec.ValidationError as error:
                # What is worst about an entry, a fault's code, must not get lost through the rest of it.
                code = entry.get("code") if isinstance(entry, dict) else None
                kept = isinstance(code, str) and code != ""
                if kept:
                    good.append(msgspec.convert({"code": str(code)[:64]}, self._entry))
                outcome = "only its code is taken" if kept else "it is left out"
                reading.problems.append(f"{self.name} has an entry {_shown(entry)}: {error}; {outcome}")
        return good

    def _refuse(self, reading: Reading, value: Any) -> None:
        shown = "" if self.secret else f" {_shown(value)}"
        reading.problems.append(f"{self.name}{shown} is refused: expected {self.expected}")


def json_of(payload: bytes) -> Any:
    """Return the JSON value of a payload, bare nan and inf allowed; raise NotJsonError."""
    if len(payload) > PAYLOAD_MAX_BYTES:
        raise NotJsonError(f"{len(payload)} bytes are more than the {PAYLOAD_MAX_BYTES} allowed")
    try:
        return msgspec.json.decode(payload)
    except UNREADABLE as error:
        try:
            return loads(_BARE_WORD.sub(_as_json, payload))
        except (ValueError, RecursionError):
            raise NotJsonError(f"no JSON ({error})") from None


def _as_json(word: re.Match[bytes]) -> bytes:
    """Not known is null; infinite stays so, to be refused."""
    return b"null" if word[1].lower() == b"nan" else b"1e999"


def shortened(problems: list[str]) -> tuple[str, ...]:
    """The first few problems; a broken device must not fill the log."""
    if len(problems) <= PROBLEMS_MAX:
        return tuple(problems)
    return (*problems[:PROBLEMS_MAX], f"and {len(problems) - PROBLEMS_MAX} more")


def _tidy_number(value: Any, *, gaps: bool) -> Any:
    if isinstance(value, str):
        text = value.strip()
        return None if gaps and text.lower() in _NOT_KNOWN else text
    if isinstance(value, float) and math.isnan(value):
        return None if gaps else "nan"
    if isinstance(value, list):
        return [_tidy_number(item, gaps=gaps) for item in value]
    return value


def _is_infinite(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    return isinstance(value, tuple) and any(isinstance(v, float) and not math.isfinite(v) for v in value)


def _shown(value: Any) -> str:
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _entry_type(kind: Any) -> Any:
    """The entry's type where `kind` is a list of entries, each of which stands alone."""
    if get_origin(kind) is Annotated:
        return _entry_type(get_args(kind)[0])
    if get_origin(kind) is list:
        return get_args(kind)[0]
    for member in get_args(kind):
        if get_origin(member) is list:
            return get_args(member)[0]
    return None


def _schema_types(schema: dict[str, Any]) -> set[str]:
    if "anyOf" in schema:
        return set().union(*map(_schema_types, schema["anyOf"]))
    if "enum" in schema:
        return {"string"}
    return {schema.get("type", "object")}


def _words(schema: dict[str, Any]) -> str:
    """Say in words what a schema allows."""
    if "anyOf" in schema:
        words = list(dict.fromkeys(_words(option) for option in schema["anyOf"]))
        return " or ".join(words)
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    match schema.get("type"):
        case "number" | "integer" as kind:
            return ("a whole number" if kind == "integer" else "a number") + _bounds(schema)
        case "boolean":
            return "true or false"
        case "string":
            return f"text of at most {schema['maxLength']} characters" if "maxLength" in schema else "text"
        case "array":
            return f"a list of at most {schema['maxItems']}" if "maxItems" in schema else "a list"
        case "null":
            return "null"
        case _:
            return "an object"


def _bounds(schema: dict[str, Any]) -> str:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    return f" not below {low:g}" if low is not None else ""
