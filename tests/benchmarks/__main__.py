"""What the gateway costs, beside two floors, in one run; the last line is `BENCH {json}`.

    python -m tests.benchmarks [--quick] [--seconds 10] [--rounds 3] [--idle-stations 2000] [--only load|idle]

docs/benchmarks.md says what is measured and how to read it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.benchmarks.console import allow_many_sockets
from tests.benchmarks.place import place
from tests.benchmarks.processes import Failed

if TYPE_CHECKING:
    from tests.benchmarks.place import Place
    from tests.benchmarks.processes import Child

VERSIONS = ("1.6", "2.0.1")
RATE = 500
"""Meter messages per second, over all stations."""
SWIPES_PER_S = 20.0
CARRIED_LEAST = 0.99
"""Each message is a sample: with fewer frames something else was measured."""
_SETTLING_S = 3.0
_ON_ITS_WAY_S = 0.5
_FRAME = {"1.6": "MeterValues", "2.0.1": "TransactionEvent"}


class Layout(NamedTuple):
    """So many stations, each with so many connectors that charge; and one more, where cards are swiped."""

    stations: int
    charging: int

    @property
    def interval_s(self) -> int:
        """Between two readings of a connector, and between two samples: OCPP counts in whole seconds."""
        return self.stations * self.charging // RATE


LAYOUTS = (Layout(50, 10), Layout(1000, 1))


class Window(NamedTuple):
    """What one round of the gateway gave."""

    cpu_us: float
    """For each frame that was answered."""
    carried: float
    """Frames for each message that was published."""


class Goal(NamedTuple):
    """What a figure should be."""

    most: float
    unit: str

    def judged(self, figure: float) -> str:
        """For the table."""
        return f"goal {self.most:g} {self.unit}: {'met' if figure <= self.most else 'MISSED'}"


RATIO = Goal(1.5, "× raw")
P99 = Goal(50, "ms")
RESIDENT = Goal(40, "KiB")
BOOT = Goal(15, "s")


class Bench:
    """One run; it gathers rows for the table and facts for the last line."""

    def __init__(self, seconds: int, rounds: int) -> None:
        self._seconds = seconds
        self._rounds = rounds
        self._rows: list[tuple[str, str, str]] = []
        self.facts: dict[str, Any] = {"seconds": seconds, "rounds": rounds}

    def table(self) -> str:
        """What was measured, a line each."""
        widths = [max(len(row[column]) for row in self._rows) for column in (0, 1)]
        return "\n".join(f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c}".rstrip() for a, b, c in self._rows)

    # -------------------------------------------------------------- under load

    async def load(self, layout: Layout) -> None:
        """CPU time per message of the gateway and of the floors, in turns; then how soon a card is told."""
        raw: list[float] = []
        naive: list[float] = []
        told: dict[str, dict[str, Any]] = {}
        async with place() as here:
            for version in VERSIONS:
                told[version] = await self._version(here, layout, version, raw, naive)
        floor = median(raw)
        name = f"{layout.stations} stations"
        self._row(f"{name}, {RATE} messages/s: raw pipe", f"{floor:.0f} µs")
        self._row(f"{name}: naive bridge", f"{median(naive):.0f} µs", f"{median(naive) / floor:.2f} × raw")
        for version, facts in told.items():
            ratio = facts["cpu_us"] / floor
            facts["ratio"] = round(ratio, 2)
            remark = f"{ratio:.2f} × raw, {RATIO.judged(ratio)}"
            if facts["carried"] < CARRIED_LEAST:
                remark += f"; ONLY {facts['carried']:.1%} of the messages became frames"
            self._row(f"{name}: gateway, OCPP {version}", f"{facts['cpu_us']:.0f} µs", remark)
            remark = f"{P99.judged(facts['p99_ms'])}; median {facts['p50_ms']:.1f} ms, {facts['cards']} cards"
            if facts["cards_lost"]:
                remark += f", {facts['cards_lost']} of them LOST"
            self._row(f"{name}: card to Authorize, p99, OCPP {version}", f"{facts['p99_ms']:.1f} ms", remark)
        self.facts[name] = {"raw_us": round(floor, 1), "naive_us": round(median(naive), 1), **told}

    async def _version(
        self, here: Place, layout: Layout, version: str, raw: list[float], naive: list[float]
    ) -> dict[str, Any]:
        stations, charging = layout
        cpu_us: list[float] = []
        carried: list[float] = []
        async with (
            here.gateway(version, stations, connectors=charging + 1, interval_s=layout.interval_s) as gateway,
            here.devices(prefix="ocpp", stations=stations, charging=charging, rate=RATE) as devices,
        ):
            await devices.ask("prepare", "prepared", 150.0)
            for number in range(self._rounds):
                raw.append(await self._floor(here, layout, "raw_pipe"))
                if number == 0:
                    naive.append(await self._floor(here, layout, "naive_bridge"))
                window = await self._window(here, gateway, devices, layout, _FRAME[version])
                cpu_us.append(window.cpu_us)
                carried.append(window.carried)
                _progress(
                    f"{layout.stations} stations, OCPP {version}, round {number + 1}: {cpu_us[-1]:.0f} µs"
                )
            await here.csms.tell("reset")
            ran = await devices.ask(
                f"run {2 * self._seconds} {SWIPES_PER_S}", "ran", 2 * self._seconds + 60.0
            )
            await asyncio.sleep(_ON_ITS_WAY_S)
            authorized: dict[str, int] = (await here.stats())["authorize"]
        swipes: dict[str, int] = ran["swipes"]
        waits_ms = sorted(
            (authorized[token] - at) / 1e6 for token, at in swipes.items() if token in authorized
        )
        if not waits_ms:
            raise Failed(f"none of {len(swipes)} cards came to the CSMS")
        return {
            "cpu_us": round(median(cpu_us), 1),
            "carried": round(min(carried), 4),
            "p50_ms": round(median(waits_ms), 1),
            "p99_ms": round(waits_ms[len(waits_ms) * 99 // 100], 1),
            "cards": len(swipes),
            "cards_lost": len(swipes) - len(waits_ms),
        }

    async def _window(
        self, here: Place, gateway: Child, devices: Child, layout: Layout, action: str
    ) -> Window:
        """What happens while the devices publish without a pause: one would shift them against the samples."""
        warmup_s = 2 * layout.interval_s + 1
        await devices.tell(f"run {warmup_s + self._seconds + 1}")
        await asyncio.sleep(warmup_s)
        cpu_s, began = gateway.cpu_s(), time.monotonic()
        told = (await here.stats())["frames"].get(action, 0)
        await asyncio.sleep(self._seconds)
        cpu_s, seconds = gateway.cpu_s() - cpu_s, time.monotonic() - began
        frames = (await here.stats())["frames"].get(action, 0) - told
        await devices.event("ran")
        if not frames:
            raise Failed(f"the CSMS got no {action} while {RATE} messages a second were published")
        return Window(cpu_s / frames * 1e6, frames / (RATE * seconds))

    async def _floor(self, here: Place, layout: Layout, name: str) -> float:
        """CPU µs per message of a floor, from its own clock."""
        stations, charging = layout
        messages = RATE * self._seconds
        async with (
            here.floor(name, prefix="floor", stations=stations, messages=messages) as floor,
            here.devices(prefix="floor", stations=stations, charging=charging, rate=RATE) as devices,
        ):
            await devices.tell(f"run {self._seconds + 60}")
            measured = await floor.event("measured", self._seconds + 60.0)
        cpu_us = float(measured["cpu_us_per_message"])
        _progress(f"{layout.stations} stations, {name}: {cpu_us:.0f} µs")
        return cpu_us

    # -------------------------------------------------------------- at rest

    async def idle(self, stations: int) -> None:
        """Memory per idle station, and the time for all of them to connect and boot."""
        facts: dict[str, Any] = {"stations": stations}
        for version in VERSIONS:
            one_kib, _ = await self._started(version, 1)
            all_kib, boot_s = await self._started(version, stations)
            kib = (all_kib - one_kib) / (stations - 1)
            self._row(f"memory per idle station, OCPP {version}", f"{kib:.1f} KiB", RESIDENT.judged(kib))
            name = f"{stations} stations connect, boot and tell their status, OCPP {version}"
            self._row(name, f"{boot_s:.1f} s", BOOT.judged(boot_s))
            facts[version] = {"kib": round(kib, 1), "boot_s": round(boot_s, 1)}
        self.facts["idle"] = facts

    async def _started(self, version: str, stations: int) -> tuple[float, float]:
        """(resident KiB, seconds from the start of the process to the last status)."""
        async with place() as here:
            began_ns = time.monotonic_ns()
            async with here.gateway(version, stations) as gateway:
                boot_s = ((await here.stats())["last_status_ns"] - began_ns) / 1e9
                await asyncio.sleep(_SETTLING_S)
                resident_kib = gateway.resident_kib()
        _progress(f"{stations} idle stations, OCPP {version}: {boot_s:.1f} s, {resident_kib / 1024:.0f} MiB")
        return resident_kib, boot_s

    def _row(self, what: str, figure: str, remark: str = "") -> None:
        self._rows.append((what, figure, remark))


def _progress(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


async def run(options: argparse.Namespace) -> None:
    """Measure all that was asked for."""
    allow_many_sockets()
    bench = Bench(4, 1) if options.quick else Bench(options.seconds, options.rounds)
    if options.only != "idle":
        for layout in LAYOUTS:
            await bench.load(layout)
    if options.only != "load":
        await bench.idle(options.idle_stations)
    print(bench.table())
    print("BENCH", json.dumps(bench.facts, separators=(",", ":")))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one short round: a look, no measurement")
    parser.add_argument("--seconds", type=int, default=10, help="that each round measures")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle-stations", type=int, default=2000)
    parser.add_argument("--only", choices=("load", "idle"))
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
