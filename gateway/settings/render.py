"""The configuration as it is in force, written as a configuration file: complete, and without a secret."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr

from gateway.settings.csms import Csms
from gateway.settings.root import Settings
from gateway.settings.stations import Station
from gateway.settings.words import SHOWN_VERSIONS

MASK = "***"


def effective(settings: Settings) -> str:
    """YAML: what was left out has its default, what follows from other settings is written out."""
    told = {name: _plain(getattr(settings, name)) for name in ("mqtt", "store", "log", "health", "gateway")}
    stations = [_station(station) for station in settings.stations]
    if len(stations) > 1:
        told["defaults"] = _shared(stations)
    told["stations"] = stations
    return yaml.dump(told, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _shared(stations: list[dict[str, Any]]) -> dict[str, Any]:
    """What all stations say alike, taken out of them."""
    first = stations[0]
    alike = {key: value for key, value in first.items() if all(other.get(key) == value for other in stations)}
    for key in alike:
        for station in stations:
            del station[key]
    return alike


def _station(station: Station) -> dict[str, Any]:
    core = station.to_core(90)
    told = {"name": station.name, "identity": core.identity, **_plain(station)}
    csms = told["csms"] | {
        "security_profile": core.security_profile,
        "password_encoding": station.csms.encoding(),
    }
    unused = {"endpoint"} if station.csms.secret() is not None else {"endpoint", "password_encoding"}
    told["csms"] = {name: csms[name] for name in Csms.model_fields if name in csms and name not in unused}
    told.pop("connector", None)
    if not station.device:
        told.pop("device")
    if station.evses is None and station.connectors is None:
        told["connectors"] = [{}]
    numbered = iter(core.connectors)
    for group in [told] if station.evses is None else told["evses"]:
        group["connectors"] = [
            _Line(_plain_connector(next(numbered)) | {key: one[key] for key in ("device",) if one.get(key)})
            for one in group["connectors"]
        ]
    last = {key: told.pop(key) for key in ("policy", "variables") if key in told}
    told |= last | {"variables": dict(core.variables)}
    return told


def _plain_connector(config: Any) -> dict[str, Any]:
    names = (name for name in config.__struct_fields__ if name not in ("n", "evse", "connector"))
    return {name: _plain(getattr(config, name)) for name in names}


def _plain(value: Any) -> Any:
    match value:
        case BaseModel():
            fields = {name: getattr(value, name) for name in type(value).model_fields}
            return {name: _plain(field) for name, field in fields.items() if field is not None}
        case SecretStr():
            return MASK
        case frozenset():
            return sorted(map(str, value))
        case tuple() | list():
            return [
                SHOWN_VERSIONS.get(item, _plain(item)) if isinstance(item, str) else _plain(item)
                for item in value
            ]
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case StrEnum() | Path():
            return str(value)
        case float() if value.is_integer():
            return int(value)
        case _:
            return SHOWN_VERSIONS.get(value, value) if isinstance(value, str) else value


class _Line(dict[str, Any]):
    """A mapping that is written on one line."""


class _Dumper(yaml.SafeDumper):
    """Lists are indented, aliases are written out."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)


_Dumper.add_representer(
    _Line,
    lambda dumper, line: dumper.represent_mapping("tag:yaml.org,2002:map", line.items(), flow_style=True),
)
