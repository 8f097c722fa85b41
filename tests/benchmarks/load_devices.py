"""Devices that charge and report at a given total rate, and people who swipe cards meanwhile.

    python -m tests.benchmarks.load_devices --broker-port P [--stations 50] [--rate 500] [--qos 0|1]
        [--charging 1] [--swipes-per-s 2] [--spare-connector 2] [--station-name bench{:04d}] [--prefix ocpp]
        [--seed 1] [--prepare] [--seconds 10]

With `--seconds` it runs once for that time (after preparing, with `--prepare`) and ends; without, it obeys
commands on stdin: `prepare`, `run SECONDS [SWIPES_PER_S]`, `quit` or end of input. stdout, JSON objects:

    {"event": "ready"}                        connected, setpoints and commands subscribed
    {"event": "prepared", "energized": 50, "connectors": 50, "seconds": 1.2}
    {"event": "ran", "published": 5000, "seconds": 10.0, "latest_ms": 1.3, "swipes": {"SWIPE00000001": 1234}}

`prepare` plugs a car into the first connectors (`--charging` of them) of each station, swipes a card there
(token `BENCH<number>`) and waits until a setpoint energizes it; the device then reports contactor and current,
as it does after every later setpoint. It answers `measure`. `run` publishes `meter` for all of them in turn, by
absolute deadlines: `latest_ms` says how late the worst one was. `swipes` gives `time.monotonic_ns()` just before
the PUBLISH of each card; every swipe has a token of its own, at a random moment, on the spare connector of
the next station. `--qos` is that of `meter`.
"""

import argparse
import asyncio
import itertools
import json
import random
import time
from datetime import UTC, datetime

from tests.benchmarks.console import commands, say
from tests.benchmarks.mqtt_edge import MqttEdge

POWER_W, CURRENT_A, VOLTAGE_V = 11040.0, 16.0, 230.0
PREPARING_AT_ONCE = 100
PREPARE_TIMEOUT_S = 120.0


class Device:
    """One connector that charges."""

    def __init__(self, name: str, connector: int, number: int) -> None:
        self.name = name
        self.connector = connector
        self.token = f"BENCH{number:04d}"
        self.energy_wh = 1000.0 * (number + 1)
        self.energized = asyncio.Event()

    def meter(self, seconds: float, ref: str | None = None) -> str:
        """The next reading, `seconds` of full power after the last one."""
        self.energy_wh += POWER_W * seconds / 3600
        reading = {
            "energy_import_wh": round(self.energy_wh, 1),
            "power_w": POWER_W,
            "current_a": [CURRENT_A] * 3,
            "voltage_v": [VOLTAGE_V] * 3,
        }
        return json.dumps(reading if ref is None else {**reading, "ref": ref})


class Fleet:
    """All devices over one connection; it takes its arguments as the command line gives them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._prefix: str = arguments.prefix
        self._random = random.Random(arguments.seed)
        places = [
            (arguments.station_name.format(number), connector)
            for connector in range(1, arguments.charging + 1)
            for number in range(arguments.stations)
        ]
        self._devices = {place: Device(*place, number) for number, place in enumerate(places)}
        # One after another: a second card while the first is being asked about would be refused as too soon.
        devices = list(self._devices.values())[: arguments.stations]
        self._swiped = itertools.cycle(self._random.sample(devices, len(devices)))
        self._edge = MqttEdge(f"bench-devices-{self._prefix}", self._told)
        self._swipes = 0

    async def connect(self) -> None:
        await self._edge.connect(self._arguments.broker_port)
        await self._edge.subscribe(f"{self._prefix}/+/+/setpoint", 1)
        await self._edge.subscribe(f"{self._prefix}/+/+/command/measure", 1)
        say("ready")

    async def close(self) -> None:
        await self._edge.close()

    async def prepare(self) -> None:
        """Bring every station into a transaction; TimeoutError names how many did not get there."""
        began = time.monotonic()
        gate = asyncio.Semaphore(PREPARING_AT_ONCE)
        try:
            async with asyncio.timeout(PREPARE_TIMEOUT_S):
                await asyncio.gather(*(self._start(device, gate) for device in self._devices.values()))
        except TimeoutError:
            say("error", problem=f"{self._waiting()} connectors were not energized in {PREPARE_TIMEOUT_S} s")
            raise
        say(
            "prepared",
            connectors=len(self._devices),
            energized=len(self._devices) - self._waiting(),
            seconds=round(time.monotonic() - began, 3),
        )

    async def run(self, seconds: float, swipes_per_s: float) -> None:
        """Publish at the asked rate for that time, then report."""
        devices = list(self._devices.values())
        rate: float = self._arguments.rate
        each_s = len(devices) / rate
        qos: int = self._arguments.qos
        swipes: dict[str, int] = {}
        latest_s = 0.0
        began = time.monotonic()
        next_swipe = self._next_swipe(began, swipes_per_s)
        count = round(seconds * rate)
        for number in range(count):
            due = began + number / rate
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            # The loop has to read PUBACKs and setpoints even when it is behind.
            elif number % 50 == 0:
                await asyncio.sleep(0)
            now = time.monotonic()
            latest_s = max(latest_s, now - due)
            device = devices[number % len(devices)]
            self._publish(device, "meter", device.meter(each_s), qos)
            while now >= next_swipe:
                self._swipe(swipes)
                next_swipe = self._next_swipe(next_swipe, swipes_per_s)
        say(
            "ran",
            published=count,
            seconds=round(time.monotonic() - began, 3),
            latest_ms=round(latest_s * 1e3, 2),
            swipes=swipes,
        )

    async def _start(self, device: Device, gate: asyncio.Semaphore) -> None:
        async with gate:
            info = {
                "contract": 1,
                "boot_id": "bench",
                "boot_reason": "power_up",
                "vendor": "Bench",
                "model": "Load",
                "connectors": [],
                "commands": ["measure"],
            }
            self._publish(device, "info", json.dumps(info), 1, connector=0, retain=True)
            self._publish(device, "availability", "online", 1, retain=True)
            self._publish(device, "meter", device.meter(0), 1)
            status = {"plugged": True, "ev_ready": True, "energized": False, "charging": False, "errors": []}
            self._publish(device, "status", json.dumps(status), 1)
            self._publish(device, "card", _card(device.token), 1)
            await device.energized.wait()

    def _waiting(self) -> int:
        return sum(not device.energized.is_set() for device in self._devices.values())

    def _swipe(self, swipes: dict[str, int]) -> None:
        self._swipes += 1
        token = f"SWIPE{self._swipes:08d}"
        connector: int = self._arguments.spare_connector
        device = next(self._swiped)
        card = _card(token)
        swipes[token] = time.monotonic_ns()
        self._publish(device, "card", card, 1, connector=connector)

    def _next_swipe(self, after: float, per_s: float) -> float:
        return after + self._random.expovariate(per_s) if per_s else float("inf")

    def _publish(
        self,
        device: Device,
        channel: str,
        payload: str,
        qos: int,
        *,
        connector: int | None = None,
        retain: bool = False,
    ) -> None:
        n = device.connector if connector is None else connector
        self._edge.publish(f"{self._prefix}/{device.name}/{n}/{channel}", payload, qos, retain=retain)

    def _told(self, topic: str, payload: bytes, _retained: bool) -> None:
        _prefix, name, connector, channel, *_ = topic.split("/")
        device = self._devices.get((name, int(connector)))
        if device is None:
            return
        # An empty setpoint is one that was cleared: off.
        told = json.loads(payload or b"{}")
        if channel == "command":
            self._publish(device, "meter", device.meter(0, told.get("ref")), 1)
            return
        energize = bool(told.get("energize"))
        status = {"energized": energize, "charging": energize, "revision": told.get("revision")}
        self._publish(device, "status", json.dumps(status), 1)
        if energize:
            device.energized.set()


def _card(token: str) -> str:
    return json.dumps(
        {
            "id_token": token,
            "type": "ISO14443",
            "id": f"bench-{token}-{time.time_ns()}",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
    )


async def _obey(arguments: argparse.Namespace) -> None:
    fleet = Fleet(arguments)
    await fleet.connect()
    if arguments.prepare:
        await fleet.prepare()
    if arguments.seconds is not None:
        await fleet.run(arguments.seconds, arguments.swipes_per_s)
    else:
        async for words in commands():
            match words:
                case ["prepare"]:
                    await fleet.prepare()
                case ["run", seconds]:
                    await fleet.run(float(seconds), arguments.swipes_per_s)
                case ["run", seconds, swipes_per_s]:
                    await fleet.run(float(seconds), float(swipes_per_s))
                case _:
                    known = "prepare, run SECONDS and quit"
                    say("error", problem=f"unknown command {' '.join(words)}; there are {known}")
    await fleet.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--broker-port", type=int, required=True)
    parser.add_argument("--stations", type=int, default=50)
    parser.add_argument("--charging", type=int, default=1, help="connectors of each station that charge")
    parser.add_argument("--station-name", default="bench{:04d}", help="numbered from 0")
    parser.add_argument("--prefix", default="ocpp")
    parser.add_argument(
        "--rate", type=float, default=500.0, help="meter messages per second, of all stations"
    )
    parser.add_argument("--qos", type=int, choices=(0, 1), default=0, help="of meter")
    parser.add_argument(
        "--swipes-per-s", type=float, default=0.0, help="cards on spare connectors, on average"
    )
    parser.add_argument("--spare-connector", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prepare", action="store_true", help="bring every station into a transaction first")
    parser.add_argument("--seconds", type=float, help="run once for so long, then end")
    asyncio.run(_obey(parser.parse_args()))


if __name__ == "__main__":
    main()
