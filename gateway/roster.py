"""The stations that run: made from the settings and the store, added, exchanged and retired while the others go on."""

from __future__ import annotations

import asyncio
import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog

from gateway.certificates import Desk, KeyRing
from gateway.commits import decoded_records
from gateway.csms.link import Link
from gateway.mqtt.topics import BRIDGE
from gateway.runner import Clock, Runner
from gateway.station.events import Retired, Stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.counters import Counters
    from gateway.logs import FrameLog
    from gateway.mqtt.outlet import Outlet
    from gateway.settings import Settings
    from gateway.station.model import StationConfig
    from gateway.store import Store
    from gateway.transfers import Courier

_log = structlog.get_logger("gateway")
_LINKS_PER_S = 500
"""At a start. All at once, thousands of stations would overrun their CSMS, and so many first words waiting at the
same time would cost memory that never comes back: 16 KiB for each station."""
OFF_TIMEOUT_S = 5.0
"""So long a device has to open its contactor before its topics are cleared."""


class Differences(NamedTuple):
    """What a new configuration makes of the stations that run."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    needs_restart: list[str]
    """Sections that hold for the whole process, and differ."""


def differences(old: Settings, new: Settings) -> Differences:
    """Compare two configurations; stations by their names."""
    before = {station.name: station for station in old.stations}
    after = {station.name: station for station in new.stations}
    sections = [name for name in type(new).model_fields if name not in {"stations", "defaults", "csms"}]
    lease = old.gateway.valid_s != new.gateway.valid_s
    return Differences(
        [name for name in after if name not in before],
        [name for name in after if name in before and (lease or after[name] != before[name])],
        [name for name in before if name not in after],
        [name for name in sections if getattr(old, name) != getattr(new, name)],
    )


class Roster:
    """All runners, by the name of their station."""

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store,
        outlet: Outlet,
        counters: Counters,
        frames: FrameLog,
        courier: Courier,
        failed: Callable[[BaseException], None],
    ) -> None:
        """`failed`: a link ended though nobody wanted it to."""
        self.runners: dict[str, Runner] = {}
        self._store = store
        self._outlet = outlet
        self._counters = counters
        self._frames = frames
        self._courier = courier
        self._failed = failed
        self._keys = settings.store.path.parent / "keys"
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="certificates")
        self._links: dict[str, asyncio.Task[None]] = {}

    # -------------------------------------------------------------- all of them

    def load(self, settings: Settings) -> None:
        """Take up every station as the store left it."""
        stored = dict(self._store.load_all())
        folded = {name.casefold(): records for name, records in stored.items()}
        for config in settings.station_configs():
            self._make(settings, config, folded.get(config.name.casefold(), {}))
        ours = {name.casefold() for name in self.runners}
        for name in stored:
            if name.casefold() not in ours and name != BRIDGE:
                _log.warning(
                    "A station is no longer configured; what it had to tell stays in the store.", station=name
                )

    def start(self) -> None:
        """Settle what the former runs left."""
        for runner in self.runners.values():
            runner.start()

    def connect(self) -> None:
        """Let all links come up, so many a second."""
        for number, name in enumerate(self.runners):
            self._link(name, number / _LINKS_PER_S)

    async def stop(self, timeout_s: float) -> None:
        """End all of them cleanly, or give up on those that do not."""
        links = list(self._links.values())
        self._links.clear()  # from here on they may end
        for runner in self.runners.values():
            runner.take(Stopping())
        stops = [asyncio.create_task(runner.stop()) for runner in self.runners.values()]
        if stops:
            await asyncio.wait(stops, timeout=timeout_s)
        everything = [*links, *stops]
        for task in everything:
            task.cancel()
        await asyncio.gather(*everything, return_exceptions=True)
        self._pool.shutdown(wait=False, cancel_futures=True)

    # -------------------------------------------------------------- one of them

    def add(self, settings: Settings, config: StationConfig, former: Runner | None = None) -> Runner:
        """Run a station that did not run before; `former` did until now, and was retired."""
        runner = self._make(settings, config, self._store.load(config.name))
        runner.start()
        if former is not None:
            runner.station.inherit(former.station)
        self._link(config.name, 0.0)
        return runner

    async def retire(self, name: str, *, switch_off: bool) -> Runner:
        """End a station and wait until all that it knew is on disk."""
        runner = self.runners[name]
        state = runner.station.state
        if switch_off:
            energized = any(connector.record.facts.energized for connector in state.by_n.values())
            runner.take(Retired())
            if energized:
                await asyncio.sleep(OFF_TIMEOUT_S)
        runner.take(Stopping())
        del self.runners[name]
        link = self._links.pop(name, None)
        await runner.stop()
        if link is not None:
            await asyncio.wait({link})
        await self._written(name)
        return runner

    async def _written(self, name: str) -> None:
        """What was submitted before is on disk once this is."""
        done = asyncio.Event()
        self._store.submit(name, [], lambda _error: done.set())
        await done.wait()

    def _make(
        self, settings: Settings, config: StationConfig, records: Mapping[str, Mapping[str, bytes]]
    ) -> Runner:
        link_config = settings.link_config(config.name)
        keys = KeyRing(self._keys / config.name)
        runner = self.runners[config.name] = Runner(
            config,
            link_config,
            decoded_records(config.name, records),
            store=self._store,
            outlet=self._outlet,
            counters=self._counters,
            frames=self._frames,
            clock=Clock(),
            certificates=Desk(keys, ca_file=link_config.ca_file, pool=self._pool),
            courier=self._courier,
            link=partial(Link, random=random.random),
        )
        return runner

    def _link(self, name: str, after_s: float) -> None:
        task = asyncio.create_task(_linked(self.runners[name], after_s), name=f"link of {name}")
        self._links[name] = task
        task.add_done_callback(lambda ended: self._link_ended(name, ended))

    def _link_ended(self, name: str, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._links.get(name) is not task:
            return
        self._failed(task.exception() or RuntimeError(f"The link of station {name} ended by itself."))


async def _linked(runner: Runner, after_s: float) -> None:
    await asyncio.sleep(after_s)
    await runner.run()
