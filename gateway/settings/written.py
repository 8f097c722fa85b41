"""What a CSMS has written wins over the file; where they differ, and how, an operator wants to know."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import msgspec

from gateway.csms.v16.keys import KEYS, key_named
from gateway.settings.root import Settings
from gateway.station.model import StationConfig
from gateway.station.records import VariableRecord
from gateway.station.requests import VariableRef
from gateway.station.variable_definitions import DEFINITIONS
from gateway.station.variable_shapes import Mutability
from gateway.station.variable_values import name_of
from gateway.station.variables import Variables
from gateway.store import Store, Write
from gateway.store.database import read_all

_DEFINITIONS = {name_of(definition): definition for definition in DEFINITIONS}
_KEYS_OF_16 = {key.ref: key.name for key in KEYS}


def differences(settings: Settings) -> Iterator[str]:
    """A sentence for each variable whose stored value is not the configured one; none without a store.

    The store is only read, so that a gateway may run meanwhile. Raises StoreError.
    """
    if not settings.store.path.exists():
        return
    configs = {config.name.casefold(): config for config in settings.station_configs()}
    for station, stored in read_all(settings.store.path.resolve()):
        config = configs.get(station.casefold())
        if config is not None:
            for name, body in stored.get("variable", {}).items():
                written = msgspec.json.decode(body, type=VariableRecord).text
                if sentence := _difference(config, name, written):
                    yield sentence


def written(settings: Settings, station: str) -> list[str]:
    """The names of the variables that a CSMS has written at a station. Raises StoreError, LookupError."""
    names = {config.name.casefold() for config in settings.station_configs()}
    if settings.store.path.exists():
        for name, stored in read_all(settings.store.path.resolve()):
            names.add(name.casefold())
            if name.casefold() == station.casefold():
                return sorted(stored.get("variable", {}))
    if station.casefold() not in names:
        raise LookupError(f"there is no station {station!r}")
    return []


async def forget(settings: Settings, station: str, names: Sequence[str]) -> list[str]:
    """Let the configuration hold again; the names of what was forgotten, all of it when `names` is empty.

    `names`: as `written` gives them, or 1.6 keys. Raises StoreError, also while a gateway runs, and LookupError.
    """
    there = written(settings, station)
    folded = {name.casefold(): name for name in there}
    chosen = []
    for name in names:
        key = key_named(name)
        found = folded.get((name if key is None else key.setting).casefold())
        if found is None:
            raise LookupError(
                f"no CSMS has written {name!r} at {station}; written are: {', '.join(there) or 'none'}"
            )
        chosen.append(found)
    chosen = chosen or there
    store = Store.open(settings.store.path)
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(error: BaseException | None) -> None:
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    try:
        store.submit(station, [Write("variable", name, None) for name in chosen], done)
        await ended
    finally:
        await store.close()
    return chosen


def _difference(config: StationConfig, name: str, written: str) -> str | None:
    definition = _DEFINITIONS.get(name)
    if definition is None:
        return f"{config.name}: {name} is stored, but this version does not know it; it is ignored."
    ref = VariableRef(definition.component, definition.variable, definition.instance)
    shown = f"{name} (1.6: {_KEYS_OF_16[ref]})" if ref in _KEYS_OF_16 else name
    if definition.mutability is Mutability.WRITE_ONLY:
        return f"{config.name}: {shown} was written by the CSMS and holds instead of csms.password."
    configured = Variables(config, {}).get(ref).value
    if configured == written:
        return None
    return (
        f"{config.name}: {shown} is {written!r} as the CSMS wrote it; the configuration says {configured!r}."
    )
