"""The configuration as it is read again, with the stations that requests added while the gateway ran."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import structlog

from gateway.mqtt.topics import BRIDGE
from gateway.settings import Problem, Settings, SettingsError
from gateway.store import Write

if TYPE_CHECKING:
    from gateway.store import Store

Station: TypeAlias = dict[str, Any]
"""What a request said of a station; `gateway.station_template` says the rest."""
ReadAgain: TypeAlias = Callable[[Sequence[Mapping[str, Any]]], Settings]

_log = structlog.get_logger("gateway")
_COLLECTION = "added_station"


class Additions:
    """Stations that were taken in by requests; they outlive the gateway."""

    def __init__(self, store: Store, read_again: ReadAgain | None) -> None:
        """`read_again` reads the configuration with more stations below its own (SettingsError)."""
        self._store = store
        self._read_again = read_again
        self._known: dict[str, Station] = {}
        for name, body in sorted(store.load(BRIDGE).get(_COLLECTION, {}).items()):
            try:
                self._known[name] = msgspec.json.decode(body, type=Station)
            except msgspec.DecodeError as error:
                _log.error(
                    "What the store says of an added station is no JSON; add it again.",
                    station=name,
                    reason=str(error),
                )

    def at_start(self, settings: Settings) -> Settings:
        """The same with the stations that were added before, unless that cannot be used."""
        if not self._known or self._read_again is None:
            return settings
        try:
            return self._read_again(list(self._known.values()))
        except SettingsError as error:
            _log.error("The stations that were added by requests cannot be used.", reason=str(error))
            return settings

    async def read(self) -> Settings:
        """The configuration as it is now; SettingsError when it cannot be used."""
        return await self._read(self._known)

    async def add(self, station: Station, running: Settings) -> Settings:
        """The configuration with one more, which is kept; SettingsError, StoreError: nothing was changed."""
        name = str(station["name"])
        taken = {other.name.casefold() for other in running.stations}
        if name not in self._known and name.casefold() in taken:
            raise _refused("station_add", f"{name} is a station already")
        settings = await self._read(self._known | {name: station})
        await self._keep(name, station)
        return settings

    async def remove(self, name: str) -> Settings:
        """The configuration without one that was added; SettingsError, StoreError: nothing was changed."""
        if name not in self._known:
            raise _refused(
                "station_remove",
                f"{name} was not added by a request: it stands in the configuration, or nowhere",
            )
        settings = await self._read({other: said for other, said in self._known.items() if other != name})
        await self._keep(name, None)
        return settings

    async def _read(self, stations: dict[str, Station]) -> Settings:
        if self._read_again is None:
            raise _refused("the configuration", "was given without a file to read it from")
        return await asyncio.to_thread(self._read_again, list(stations.values()))

    async def _keep(self, name: str, station: Station | None) -> None:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: BaseException | None) -> None:
            if written.cancelled():
                return
            if error is None:
                written.set_result(None)
            else:
                written.set_exception(error)

        body = None if station is None else msgspec.json.encode(station)
        self._store.submit(BRIDGE, [Write(_COLLECTION, name, body)], done)
        await written
        if station is None:
            del self._known[name]
        else:
            self._known[name] = station


def _refused(what: str, why: str) -> SettingsError:
    return SettingsError(what, [Problem((), why)])
