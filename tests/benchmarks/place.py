"""Where a measurement takes place: a real broker, a CSMS that answers at once, and a gateway between them."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.processes import Child, Failed, child
from tests.support.broker import Broker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BROKER_LINES = ["set_tcp_nodelay true", "max_queued_messages 0", "max_inflight_messages 0"]
"""mosquitto's own limits are below this load."""
STATION_NAME = "bench{:04d}"
MEASURANDS = "Energy.Active.Import.Register,Power.Active.Import"
"""What the frames of both floors carry."""
_BOOT_TIMEOUT_S = 120.0
_LOOK_AGAIN_S = 0.1


class Place:
    """Broker and CSMS; gateways, floors and devices come and go."""

    def __init__(self, directory: Path, broker: Broker, csms: Child, csms_port: int) -> None:
        self._directory = directory
        self._gateways = 0
        self.broker = broker
        self.csms = csms
        self.csms_url = f"ws://127.0.0.1:{csms_port}/ocpp"

    async def stats(self) -> dict[str, Any]:
        """What the CSMS has counted since its last `reset`."""
        return await self.csms.ask("stats", "stats")

    @asynccontextmanager
    async def gateway(
        self, version: str, stations: int, *, connectors: int = 1, interval_s: int = 60
    ) -> AsyncIterator[Child]:
        """A gateway with an empty store, of stations that all have booted and told their statuses."""
        self._gateways += 1
        directory = self._directory / f"gateway{self._gateways}"
        directory.mkdir()
        file = directory / "gateway.yaml"
        file.write_text(json.dumps(self._configuration(directory, version, stations, connectors, interval_s)))
        log = directory / "gateway.log"
        await self.csms.tell("reset")
        try:
            with log.open("wb") as output:
                async with child("gateway", "run", str(file), output=output) as gateway:
                    # 1.6 has a status of the station as a whole beside those of the connectors.
                    statuses = stations * (connectors + (version == "1.6"))
                    await self._booted(stations, statuses)
                    yield gateway
        except Failed as error:
            error.add_note(f"the gateway's last words:\n{log.read_text(errors='replace')[-3000:]}")
            raise

    @asynccontextmanager
    async def devices(self, *, prefix: str, stations: int, charging: int, rate: int) -> AsyncIterator[Child]:
        """The load, connected; it charges on the first connectors and swipes on the next one."""
        arguments = {
            "broker-port": self.broker.port,
            "prefix": prefix,
            "stations": stations,
            "station-name": STATION_NAME,
            "charging": charging,
            "spare-connector": charging + 1,
            "rate": rate,
        }
        async with child("tests.benchmarks.load_devices", *_options(arguments)) as devices:
            await devices.event("ready")
            yield devices

    @asynccontextmanager
    async def floor(self, name: str, *, prefix: str, stations: int, messages: int) -> AsyncIterator[Child]:
        """A floor that listens."""
        arguments = {
            "broker-port": self.broker.port,
            "csms-url": self.csms_url,
            "prefix": prefix,
            "stations": stations,
            "station-name": STATION_NAME,
            "messages": messages,
        }
        async with child(f"tests.benchmarks.floor_{name}", *_options(arguments)) as floor:
            await floor.event("ready")
            yield floor

    def _configuration(
        self, directory: Path, version: str, stations: int, connectors: int, interval_s: int
    ) -> dict[str, Any]:
        return {
            "mqtt": {"url": self.broker.url},
            "store": {"path": str(directory / "gateway.db")},
            "log": {"level": "warning", "format": "json"},
            "defaults": {
                "csms": {"url": self.csms_url, "versions": [version]},
                "connectors": connectors,
                "variables": {
                    "SampledDataCtrlr.TxUpdatedInterval": interval_s,
                    "SampledDataCtrlr.TxUpdatedMeasurands": MEASURANDS,
                },
            },
            "stations": [{"name": STATION_NAME.format(number)} for number in range(stations)],
        }

    async def _booted(self, stations: int, statuses: int) -> None:
        """The CSMS is asked now and then, since it is another process."""
        deadline = time.monotonic() + _BOOT_TIMEOUT_S
        stats = await self.stats()
        while stats["booted"] < stations or stats["frames"].get("StatusNotification", 0) < statuses:
            if time.monotonic() > deadline:
                raise Failed(f"{stats['booted']} of {stations} stations booted: {stats['frames']}")
            await asyncio.sleep(_LOOK_AGAIN_S)
            stats = await self.stats()


@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    """A fresh one, gone afterwards."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        broker = stack.enter_context(Broker(directory, lines=BROKER_LINES))
        csms = await stack.enter_async_context(child("tests.benchmarks.load_csms"))
        yield Place(directory, broker, csms, (await csms.event("listening"))["port"])


def _options(arguments: dict[str, Any]) -> list[str]:
    return [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
