"""Tables of docs/configuration.md, made from the settings: `python -m gateway.settings.reference FILE`."""

from __future__ import annotations

import json
import re
import sys
import types
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway.settings.connectors import Connector, Evse
from gateway.settings.csms import Csms
from gateway.settings.devices import Device
from gateway.settings.general import Gateway, HealthPort, HomeAssistant, Log, Mqtt, Store
from gateway.settings.policy import FixedToken, Policy
from gateway.settings.root import Settings
from gateway.settings.stations import Station
from gateway.settings.words import SHOWN_VERSIONS

SECTIONS: dict[str, type[BaseModel]] = {
    "top level": Settings,
    "mqtt": Mqtt,
    "store": Store,
    "log": Log,
    "health": HealthPort,
    "gateway": Gateway,
    "home_assistant": HomeAssistant,
    "stations": Station,
    "csms": Csms,
    "connectors": Connector,
    "evses": Evse,
    "devices": Device,
    "policy": Policy,
    "fixed_token": FixedToken,
}
"""Name in the document's markers → what its table shows."""

_MARKED = re.compile(r"(<!-- table: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(document: str) -> str:
    """The document with each `<!-- table: NAME --> … <!-- end -->` filled; KeyError for a wrong name."""
    return _MARKED.sub(lambda found: f"{found[1]}{table(SECTIONS[found[2]])}\n{found[3]}", document)


def table(section: type[BaseModel]) -> str:
    """A table of a section's keys, in Markdown."""
    rows = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in sorted(section.model_fields.items(), key=_name_first):
        meaning = f"**{field.title}.** {field.description or ''}".strip()
        if field.examples:
            meaning += " E.g. " + ", ".join(f"`{_plain(example)}`" for example in field.examples) + "."
        rows.append(f"| `{name}` | {_shape(field)} | {_default(field)} | {meaning.replace('|', '∣')} |")
    return "\n".join(rows)


def _name_first(named: tuple[str, FieldInfo]) -> int:
    return 0 if named[0] in ("name", "identity") else 1


def _shape(field: FieldInfo) -> str:
    limits = {type(limit): limit for limit in field.metadata}
    shape = " or ".join(_words(field.annotation))
    least = limits.get(annotated_types.Ge) or limits.get(annotated_types.Gt)
    most = limits.get(annotated_types.Le)
    match least, most:
        case annotated_types.Ge(ge=low), annotated_types.Le(le=high):
            return f"{shape}, {low} to {high}"
        case annotated_types.Ge(ge=low), None:
            return f"{shape}, at least {low}"
        case annotated_types.Gt(gt=low), annotated_types.Le(le=high):
            return f"{shape} above {low}, at most {high}"
        case _:
            return shape


def _words(annotation: Any) -> Iterator[str]:
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *metadata = get_args(annotation)
        limits = [item for item in metadata if isinstance(item, FieldInfo)]
        shapes = list(_words(base))
        for limit in limits:
            for bound in limit.metadata:
                if isinstance(bound, annotated_types.Le) and shapes == ["whole number"]:
                    shapes = [f"1 to {bound.le}"]
        yield from shapes
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _words(member)
    elif origin is Literal:
        yield ", ".join(f"`{SHOWN_VERSIONS.get(str(word), word)}`" for word in get_args(annotation))
    elif origin in (list, tuple, frozenset):
        inner = get_args(annotation)[0]
        section = _section(inner)
        yield f"list of [{section}](#{section})" if section else f"list of {' or '.join(_words(inner))}"
    elif origin is dict:
        inner = get_args(annotation)[1]
        section = _section(inner)
        yield f"names and [{section}](#{section})" if section else "names and values"
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        yield ", ".join(f"`{word.value}`" for word in annotation)
    elif section := _section(annotation):
        yield f"[{section}](#{section})"
    elif annotation is not type(None):
        yield _NAMES[annotation]


_NAMES: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true`, `false`",
    Path: "file",
    SecretStr: "secret text",
}


def _section(annotation: Any) -> str | None:
    if get_origin(annotation) is Annotated:
        return _section(get_args(annotation)[0])
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return None
    named = {section: name for name, section in SECTIONS.items()}
    # `defaults` takes what a station takes.
    return named.get(annotation, "stations")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None or default is PydanticUndefined or isinstance(default, BaseModel):
        return ""
    if isinstance(default, tuple) and default and isinstance(default[0], BaseModel):
        return f"{len(default)}"
    return f"`{_plain(default)}`"


def _plain(value: Any) -> str:
    match value:
        case bool() | dict():
            return json.dumps(value)
        case float():
            return f"{value:g}" if value < 1e5 else f"{value:.0f}"
        case frozenset():
            return f"[{', '.join(sorted(map(str, value)))}]"
        case tuple() | list():
            return f"[{', '.join(SHOWN_VERSIONS.get(str(item), str(item)) for item in value)}]"
        case _:
            return str(value)


def main() -> None:
    """Fill the tables of the document named on the command line."""
    file = Path(sys.argv[1])
    file.write_text(with_tables(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
