"""An operator names a variable as 1.6 or as 2.0.1 does; inside it has one name, and a value that fits."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator

from gateway.csms.v16.keys import KEYS, key_named
from gateway.settings.words import Finding
from gateway.station.model import StationConfig
from gateway.station.variable_definitions import DEFINITIONS, HIDDEN
from gateway.station.variable_shapes import Definition, Mutability
from gateway.station.variable_values import VariableError, name_of, normal


def _as_text(value: Any) -> Any:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return f"{value}"
        case list():
            return ",".join(str(_as_text(item)) for item in value)
        case _:
            return value


VariableText = Annotated[str, BeforeValidator(_as_text)]


class Named(NamedTuple):
    """What a name in the configuration stands for."""

    definition: Definition
    text: str
    """The value in the variable's own words."""


class UnknownVariable(ValueError):
    """No variable has this name, or it is not for the configuration; the sentence says what to do."""


def named(name: str, text: str) -> Named:
    """The variable behind a name, and the value in its words. Raises UnknownVariable, VariableError."""
    plain = re.sub(r"\s", "", name)
    if "." in plain:
        definition = _BY_NAME.get(plain.casefold())
        value: str | None = text
    else:
        key = key_named(plain)
        if key is None:
            raise UnknownVariable(
                f"is no configuration key of 1.6 and no Component.Variable{_similar(plain)}"
            )
        ref = key.ref
        definition = _BY_KEY.get((ref.component, ref.variable, ref.instance))
        value = key.given(text)
    if definition is None or definition.place != "station":
        raise UnknownVariable(f"is no variable of the station{_similar(plain)}")
    if definition.mutability is Mutability.WRITE_ONLY:
        raise UnknownVariable("is a secret and has its own place: csms.password or csms.password_file")
    if (
        definition.live
        or definition.constant
        or (definition.mutability is Mutability.READ_ONLY and callable(definition.default))
    ):
        raise UnknownVariable("follows from other settings and cannot be given here")
    if value is None:
        raise VariableError("InvalidValue", f"{text!r} is no such value as {name} takes")
    return Named(definition, value)


@lru_cache(maxsize=1024)
def canonical(name: str) -> str:
    """One spelling for all names of a variable; of what is none, its own."""
    plain = re.sub(r"\s", "", name)
    key = None if "." in plain else key_named(plain)
    definition = (
        _BY_NAME.get(plain.casefold())
        if key is None
        else _BY_KEY.get((key.ref.component, key.ref.variable, key.ref.instance))
    )
    return plain.casefold() if definition is None else name_of(definition)


def findings_in(variables: Mapping[str, str], config: StationConfig) -> Iterator[Finding]:
    """Everything that is wrong with a station's initial values."""
    seen: dict[str, str] = {}
    for name, text in variables.items():
        try:
            definition, value = named(name, text)
            normal(definition, value, config)
        except (UnknownVariable, VariableError) as error:
            yield Finding(("variables", name), str(error).rstrip("."), hidden=True)
            continue
        other = seen.setdefault(name_of(definition), name)
        if other != name:
            yield Finding(("variables", name), f"is the same as {other}; give one of them", hidden=True)


def texts(variables: Mapping[str, str]) -> dict[str, str]:
    """The initial values by their one name; for values without findings."""
    found = {}
    for name, text in variables.items():
        definition, value = named(name, text)
        found[name_of(definition)] = value
    return found


_BY_NAME = {name_of(definition).casefold(): definition for definition in DEFINITIONS}
_BY_KEY = {definition.key: definition for definition in DEFINITIONS}
_SHOWN = {
    **{key.name.casefold(): key.name for key in KEYS},
    **{
        name_of(d).casefold(): name_of(d)
        for d in DEFINITIONS
        if d.component != HIDDEN and d.place == "station"
    },
    # Who remembers only the last part is led to the whole name.
    **{
        d.variable.casefold(): name_of(d)
        for d in DEFINITIONS
        if d.component != HIDDEN and d.place == "station"
    },
}


@lru_cache(maxsize=256)
def _similar(name: str) -> str:
    close = difflib.get_close_matches(name.casefold(), _SHOWN, n=1, cutoff=0.6)
    return f"; did you mean {_SHOWN[close[0]]}?" if close else ""
