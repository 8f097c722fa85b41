"""Every payload is judged by the official JSON schema: strictly what we send, leniently what we receive."""

import functools
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Self

import jsonschema_rs
import msgspec

from gateway.csms.faults import Fault

Payload = dict[str, Any]


class SchemaViolation(msgspec.Struct, frozen=True):
    """The first thing wrong with a payload: where and what, but never the value, which may be a password."""

    code: Fault
    path: str
    """As a JSON pointer; empty for the payload as a whole."""
    message: str

    def __str__(self) -> str:
        return f"{self.path or 'the payload'}: {self.message}"


class Schemas:
    """The schemas of one OCPP version, each compiled when it is first needed; share them by `Schemas.of`."""

    __slots__ = ("_folder", "_known", "_lenient", "_plain", "_requests", "_responses", "_version")

    @classmethod
    @functools.cache
    def of(cls, version: str) -> Self:
        """`ocpp1.6`, `ocpp2.0.1` or `ocpp2.1`; once per process. Any other version is a ValueError."""
        return cls(version)

    def __init__(self, version: str) -> None:
        folder = _FOLDERS.get(version)
        if folder is None:
            msg = f"There are no schemas for {version!r}; there are some for {', '.join(_FOLDERS)}."
            raise ValueError(msg)
        self._version = version
        self._folder: Traversable = resources.files("ocpp") / folder / "schemas"
        names = {entry.name.removesuffix(".json") for entry in self._folder.iterdir()}
        self._known: dict[str, str] = {}
        for name in names:
            if not name.endswith("Response"):
                self._known[name.removesuffix("Request")] = name
        self._requests: dict[str, jsonschema_rs.Validator] = {}
        self._responses: dict[str, jsonschema_rs.Validator] = {}
        self._plain: dict[str, dict[str, Any]] = {}
        self._lenient: dict[str, jsonschema_rs.Validator] = {}

    def knows(self, action: str) -> bool:
        return action in self._known

    def request_error(self, action: str, payload: Payload) -> SchemaViolation | None:
        """What is wrong with a request that we are about to send; None when it is right."""
        return _violation(self._request(action), payload)

    def response_error(self, action: str, payload: Payload) -> SchemaViolation | None:
        """What is wrong with a response that we are about to send; None when it is right."""
        return _violation(self._response(action), payload)

    def lenient_request(
        self, action: str, payload: Payload
    ) -> tuple[Payload, tuple[str, ...], SchemaViolation | None]:
        """The request as it was meant, what was tolerated for that, and what is wrong nevertheless.

        A payload that is right comes back as the same object, at the price of one validation.
        """
        if _is_valid(self._request(action), payload):
            return payload, (), None
        # 2.0.1 Part 4 FR.03: an invalid request is refused, and a value too long is invalid.
        return self._tolerated(self._known[action], payload, keep_lengths=self._version != "ocpp1.6")

    def lenient_response(
        self, action: str, payload: Payload
    ) -> tuple[Payload, tuple[str, ...], SchemaViolation | None]:
        """As `lenient_request`; here, values that are too long are tolerated in every version."""
        if _is_valid(self._response(action), payload):
            return payload, (), None
        return self._tolerated(f"{action}Response", payload, keep_lengths=False)

    def _request(self, action: str) -> jsonschema_rs.Validator:
        validator = self._requests.get(action)
        if validator is None:
            validator = self._requests[action] = _compiled(self._schema(self._known[action]))
        return validator

    def _response(self, action: str) -> jsonschema_rs.Validator:
        validator = self._responses.get(action)
        if validator is None:
            validator = self._responses[action] = _compiled(self._schema(f"{action}Response"))
        return validator

    def _schema(self, name: str) -> dict[str, Any]:
        text = (self._folder / f"{name}.json").read_text(encoding="utf-8-sig")
        schema: dict[str, Any] = msgspec.json.decode(text)
        return schema

    def _tolerated(
        self, name: str, payload: Payload, *, keep_lengths: bool
    ) -> tuple[Payload, tuple[str, ...], SchemaViolation | None]:
        schema = self._plain.get(name)
        if schema is None:
            schema = self._plain[name] = self._schema(name)
            self._lenient[name] = _compiled(_relaxed(schema, keep_lengths=keep_lengths))
        notes: list[str] = []
        meant = _meant(payload, schema, schema.get("definitions", {}), "", notes)
        return meant, tuple(notes), _violation(self._lenient[name], meant)


_FOLDERS = {"ocpp1.6": "v16", "ocpp2.0.1": "v201", "ocpp2.1": "v21"}

_CODES = {
    "type": Fault.TYPE,
    "required": Fault.OCCURRENCE,
    "minItems": Fault.OCCURRENCE,
    "maxItems": Fault.OCCURRENCE,
    "additionalItems": Fault.OCCURRENCE,
    "additionalProperties": Fault.FORMAT,
}

# More is not written down: a peer that sends a thousand unknown fields must not fill the log.
_MOST_NOTES = 8


def _compiled(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    # Draft 4 for all: there `1.0` is no integer, in draft 6 it is; the schemas use nothing newer.
    return jsonschema_rs.Draft4Validator(schema, mask="the value")


def _is_valid(validator: jsonschema_rs.Validator, payload: Payload) -> bool:
    try:
        return validator.is_valid(payload)
    except ValueError:
        # Nested deeper than the validator goes, or a value that JSON does not have.
        return False


def _violation(validator: jsonschema_rs.Validator, payload: Payload) -> SchemaViolation | None:
    if _is_valid(validator, payload):
        return None
    try:
        first = next(iter(validator.iter_errors(payload)))
    except ValueError as error:
        return SchemaViolation(Fault.TYPE, "", str(error))
    path = "".join(f"/{part}" for part in first.instance_path)
    code = _CODES.get(first.kind.name, Fault.PROPERTY)
    if code is Fault.TYPE and not path:
        code = Fault.FORMAT
    return SchemaViolation(code, path, first.message)


def _relaxed(schema: Any, *, keep_lengths: bool) -> Any:
    """The same schema without what the parser judges better: date-times, rounding noise, and lengths."""
    if isinstance(schema, list):
        return [_relaxed(item, keep_lengths=keep_lengths) for item in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = {"format", "multipleOf"} if keep_lengths else {"format", "multipleOf", "maxLength"}
    return {
        # A field may itself be called `format`: only a keyword has a plain value.
        key: _relaxed(value, keep_lengths=keep_lengths)
        for key, value in schema.items()
        if key not in dropped or isinstance(value, dict)
    }


def _meant(
    value: Any, schema: dict[str, Any], definitions: dict[str, Any], path: str, notes: list[str]
) -> Any:
    """`value` as its sender meant it; what was changed is added to `notes`."""
    reference = schema.get("$ref")
    if reference is not None:
        schema = definitions[reference.rpartition("/")[2]]
    kind = schema.get("type")
    meant = value
    if kind == "object":
        if isinstance(value, dict):
            return _meant_object(value, schema, definitions, path, notes)
    elif kind == "array":
        if isinstance(value, list):
            items = schema["items"]
            return [_meant(item, items, definitions, f"{path}/{n}", notes) for n, item in enumerate(value)]
    elif kind == "integer":
        meant = _meant_integer(value)
    elif kind == "number":
        meant = _meant_number(value, schema)
    elif "enum" in schema and isinstance(value, str) and value not in schema["enum"]:
        folded = value.casefold()
        meant = next((word for word in schema["enum"] if word.casefold() == folded), value)
    if meant is not value:
        _note(notes, path, "was rewritten")
    return meant


def _meant_object(
    value: Payload, schema: dict[str, Any], definitions: dict[str, Any], path: str, notes: list[str]
) -> Payload:
    fields = schema.get("properties", {})
    is_closed = schema.get("additionalProperties") is False
    meant: Payload = {}
    for name, item in value.items():
        field = fields.get(name)
        if field is None and is_closed:
            _note(notes, f"{path}/{name[:50]}", "is unknown and was dropped")
        elif item is None:
            _note(notes, f"{path}/{name[:50]}", "was null and counts as absent")
        elif field is None:
            meant[name] = item
        else:
            meant[name] = _meant(item, field, definitions, f"{path}/{name}", notes)
    return meant


def _meant_integer(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        number = _number(value)
        if number is not None and number.is_integer():
            # Digits are read as such: a float would round ids beyond 2^53.
            return int(value) if value.strip().lstrip("+-").isdecimal() else int(number)
    return value


def _meant_number(value: Any, schema: dict[str, Any]) -> Any:
    number = _number(value) if isinstance(value, str) else value
    if number is None:
        return value
    if "multipleOf" in schema and isinstance(number, float):
        # 1.6 has one decimal only, and 22.100000001 is 22.1 with noise.
        return rounded if (rounded := round(number, 1)) != number else number
    return number


def _number(text: str) -> float | None:
    if len(text) > 25 or "_" in text:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def _note(notes: list[str], path: str, what: str) -> None:
    if len(notes) < _MOST_NOTES:
        notes.append(f"{path} {what}")
