"""The soak itself: start everything, let it live, heal it, and judge."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

from tests.e2e.kill_site import Reader
from tests.e2e.kill_verdict import everything_told, left_behind
from tests.soak import verdict
from tests.soak.stations import Readers, Station, configuration
from tests.soak.trouble import Trouble
from tests.support.broker import Broker, free_port
from tests.support.csms import Csms
from tests.support.gateway_process import GatewayProcess
from tests.support.mqtt_client import TestClient

_BROKER_LINES = (
    # As mosquitto/mosquitto.conf advises for a site of this size: a broker that writes all that it keeps at each
    # change can do nothing else.
    "autosave_on_changes false",
    "autosave_interval 2",
    "max_queued_messages 100000",
    "max_inflight_messages 1000",
    "set_tcp_nodelay true",
)
_CONNECT_S = 120.0
_CALM_S = 180.0
_EXPECTED = ("The MQTT connection is gone.",)


class Soak:
    """One soak; `figures` and `complaints` are what came of it."""

    def __init__(
        self,
        directory: Path,
        *,
        stations: int,
        seconds: float,
        seed: int,
        pace: float,
        say: Callable[[str], None],
    ) -> None:
        """`pace` below 1: everything happens that much more often."""
        self.complaints: list[str] = []
        self.figures: dict[str, Any] = {"stations": stations, "seconds": seconds, "seed": seed}
        self._directory, self._seconds, self._pace, self._say = directory, seconds, pace, say
        self._chance = random.Random(seed)
        self._health_port = free_port()
        self._count = stations
        self._rss: list[float] = []

    async def run(self) -> None:
        """From the first boot to the verdict."""
        broker = Broker(self._directory, persistence=True, lines=_BROKER_LINES)
        async with AsyncExitStack() as stack:
            stack.enter_context(broker)
            self._csms = csms = await stack.enter_async_context(Csms())
            sections = configuration(broker.url, csms.url, self._count, self._health_port)
            self._gateway = await stack.enter_async_context(GatewayProcess(self._directory, sections))
            self._stations = [
                Station(each["name"], each["connectors"], broker.port, pace=self._pace)
                for each in sections["stations"]
            ]
            for station in self._stations:
                await csms.station(station.name, _CONNECT_S)
            edges = [asyncio.create_task(station.edge.run()) for station in self._stations]
            try:
                await self._calm(broker)
                tasks_before = await self._tasks()
                trouble = Trouble(csms, broker, self._stations, self._chance, self._pace)
                await self._live(trouble, broker, edges)
                await self._calm(broker)
                self._judge(trouble, tasks_before, await self._tasks())
            finally:
                for edge in edges:
                    edge.cancel()
                await asyncio.gather(*edges, return_exceptions=True)
            self.complaints += csms.forgive()

    # -------------------------------------------------------------- living

    async def _live(self, trouble: Trouble, broker: Broker, edges: list[asyncio.Task[None]]) -> None:
        async with Reader(broker.port) as reader:
            readers = Readers(reader)
            drivers = [
                asyncio.create_task(station.drive(readers, n, random.Random(self._chance.random())))
                for station in self._stations
                for n in station.truth
            ]
            befalling = [asyncio.create_task(part()) for part in trouble.parts]
            watching = asyncio.create_task(self._watch(trouble))
            everything = [*drivers, *befalling, watching]
            try:
                ended, _ = await asyncio.wait(
                    [*everything, *edges], timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED
                )
                for task in ended:
                    task.result()
                    raise RuntimeError(f"{task.get_coro()} ended before its time")
                self._say("everybody goes home")
                watching.cancel()
                for station in self._stations:
                    station.wind_up()
                await trouble.heal()
                await asyncio.wait_for(asyncio.gather(*drivers, *befalling), _CALM_S)
            finally:
                for task in everything:
                    task.cancel()
                await asyncio.gather(*everything, return_exceptions=True)
        for station in self._stations:
            cp = self._csms.identity(station.name)
            await cp.connection(timeout=_CALM_S)
            await cp.until(
                lambda station=station: everything_told(self._csms.ledger, station) or None,  # type: ignore[misc]
                _CALM_S,
                lambda station=station: f"complete account of {station.name}",  # type: ignore[misc]
            )
        await trouble.restore()

    async def _watch(self, trouble: Trouble) -> None:
        """A line a minute, and the gateway's memory."""
        began, each_s = time.monotonic(), max(0.5, 60.0 * min(1.0, self._seconds / 3600))
        while True:
            await asyncio.sleep(each_s)
            self._rss.append(_rss_mib(self._gateway.pid))
            links = sum(number for what, number in trouble.counted.items() if what.startswith("links"))
            self._say(
                f"{(time.monotonic() - began) / 60:5.1f} min  {self._rss[-1]:6.1f} MiB  "
                f"{len(self._csms.ledger.transactions()):5} transactions  {links:4} links lost  "
                f"{len(trouble.complaints)} complaints"
            )

    async def _calm(self, broker: Broker) -> None:
        """Every station is connected and accepted, and nothing waits to be told."""
        async with TestClient(broker.port) as watcher:
            await watcher.subscribe("ocpp/+/0/state")
            for station in self._stations:
                await watcher.next(
                    f"ocpp/{station.name}/0/state",
                    _CALM_S,
                    where=lambda m: _is_calm(m.json()),
                )
                await self._csms.identity(station.name).round_trip()

    async def _tasks(self) -> int:
        """Tasks of the gateway's event loop."""
        url = f"http://127.0.0.1:{self._health_port}/metrics"
        opener = build_opener(ProxyHandler({}))
        text = await asyncio.to_thread(lambda: opener.open(url, timeout=10).read().decode())
        [line] = [line for line in text.splitlines() if line.startswith("ocpp_gateway_asyncio_tasks ")]
        return int(float(line.split()[1]))

    # -------------------------------------------------------------- judging

    def _judge(self, trouble: Trouble, tasks_before: int, tasks_after: int) -> None:
        csms = self._csms
        records = csms.ledger.transactions()
        calls = [call for station in self._stations for call in csms.identity(station.name).calls]
        incomplete = sum(not record.complete for record in records)
        doubled = sum(bool(record.anomalies) for record in records)
        self.complaints += trouble.complaints
        for station in self._stations:
            self.complaints += verdict.complaints(station, csms, trouble.spoilt)
        if tasks_after > tasks_before:
            self.complaints.append(f"{tasks_before} tasks before, {tasks_after} after")
        self.complaints += verdict.of_memory(self._rss)
        left = left_behind(self._gateway.database)
        if left:
            self.complaints.append(f"left in the store: {dict(left)}")
        self.complaints += [line[:400] for line in self._gateway.logged("error", "critical")]
        connected = sum(csms.identity(station.name).connected for station in self._stations)
        if connected != self._count:
            self.complaints.append(f"{connected} sessions for {self._count} stations")
        quarter = max(1, len(self._rss) // 4)
        self.figures |= {
            "transactions": len(records),
            "incomplete": incomplete,
            "doubled": doubled,
            "repeated after a loss": sum(len(record.duplicates) for record in records),
            "calls": len(calls),
            "commands": sum(n for what, n in trouble.counted.items() if what.split()[0][0].isupper()),
            "happened": dict(sorted(trouble.counted.items())),
            "rss_mib": {
                "first": round(self._rss[0], 1) if self._rss else None,
                "second_quarter": round(sum(self._rss[quarter : 2 * quarter]) / quarter, 1)
                if self._rss
                else None,
                "last_quarter": round(sum(self._rss[-quarter:]) / quarter, 1) if self._rss else None,
                "last": round(self._rss[-1], 1) if self._rss else None,
            },
            "tasks": {"before": tasks_before, "after": tasks_after},
            "complaints": len(self.complaints),
        }


def _is_calm(state: dict[str, Any]) -> bool:
    return bool(state["connected"]) and state["registration"] == "Accepted" and state["queued"] == 0


def _rss_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"the process {pid} has no memory of its own")
