"""What the gateway costs, beside two floors, in one run; the last line is `BENCH {json}`.

    python -m tests.benchmarks [--quick] [--seconds 10] [--rounds 3] [--idle-stations 2000]

Three processes besides mosquitto take part: the devices, the thing measured (the gateway, or a floor), the CSMS.
CPU time is that of the thing measured, all threads, read from /proc; rounds of the gateway and of the floors
alternate, and medians are compared, because machines are noisy.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.console import allow_many_sockets
from tests.support.broker import Broker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BROKER_LINES = ["set_tcp_nodelay true", "max_queued_messages 0", "max_inflight_messages 0"]
RATE = 500
GOALS = {"ratio": 1.5, "p99_ms": 50.0, "kib_per_station": 40.0, "boot_s": 15.0}
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") / 1024


class Child:
    """A process that speaks JSON lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def event(self, name: str, timeout_s: float = 120.0) -> dict[str, Any]:
        """The next event of that name; an `error` event, or the end of the process, is an error."""
        assert self._process.stdout is not None
        async with asyncio.timeout(timeout_s):
            while line := await self._process.stdout.readline():
                told = json.loads(line)
                if told.get("event") == name:
                    return dict(told)
                if told.get("event") == "error":
                    raise RuntimeError(told["problem"])
        msg = f"A benchmark process ended before it said {name!r}."
        raise RuntimeError(msg)

    async def tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        await self._process.stdin.drain()

    async def ask(self, command: str, answer: str, timeout_s: float = 120.0) -> dict[str, Any]:
        await self.tell(command)
        return await self.event(answer, timeout_s)

    def cpu_s(self) -> float:
        """CPU time so far, all threads, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_kib(self) -> float:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_KIB


@asynccontextmanager
async def child(*arguments: str, quiet: bool = False) -> AsyncIterator[Child]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL if quiet else asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL if quiet else None,
        limit=1 << 26,
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def configuration(
    folder: Path, broker: Broker, csms_port: int, *, stations: int, connectors: int, version: str, interval_s: int
) -> Path:
    """A gateway configuration for numbered stations."""
    document = {
        "mqtt": {"url": broker.url},
        "store": {"path": str(folder / "gateway.db")},
        "log": {"level": "error"},
        "defaults": {
            "csms": {"url": f"ws://127.0.0.1:{csms_port}/ocpp", "versions": [version], "security_profile": 0},
            "evses": [{"connectors": [{}]} for _ in range(connectors)],
            "variables": {"SampledDataCtrlr.TxUpdatedInterval": str(interval_s)},
        },
        "stations": [{"name": f"bench{number:04d}"} for number in range(stations)],
    }
    path = folder / "gateway.json.yaml"
    path.write_text(json.dumps(document))
    return path


class Bench:
    """One run: it collects rows for the table and facts for the last line."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.rows: list[tuple[str, str, str]] = []
        self.facts: dict[str, Any] = {}

    # -------------------------------------------------------------- the gateway under load

    async def gateway_round(self, *, stations: int, charging: int, version: str) -> dict[str, float]:
        """CPU per meter message that became an answered frame, and the latency of cards meanwhile."""
        seconds = self.options.seconds
        interval_s = max(1, round(stations * charging / RATE))
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            broker = stack.enter_context(Broker(folder, lines=BROKER_LINES))
            csms = await stack.enter_async_context(child("tests.benchmarks.load_csms"))
            port = (await csms.event("listening"))["port"]
            config = configuration(
                folder,
                broker,
                port,
                stations=stations,
                connectors=charging + 1,
                version=version,
                interval_s=interval_s,
            )
            gateway = await stack.enter_async_context(child("gateway", "run", str(config), quiet=True))
            await self._booted(csms, stations)
            devices = await stack.enter_async_context(
                child(
                    "tests.benchmarks.load_devices",
                    *("--broker-port", str(broker.port), "--stations", str(stations)),
                    *("--charging", str(charging), "--rate", str(RATE), "--swipes-per-s", "5"),
                    *("--spare-connector", str(charging + 1)),
                )
            )
            await devices.event("ready")
            await devices.ask("prepare", "prepared", 180.0)
            await devices.ask(f"run {max(3, 2 * interval_s)}", "ran", 60.0)  # the warm-up aligns the grids
            await csms.tell("reset")
            before = gateway.cpu_s()
            ran = await devices.ask(f"run {seconds}", "ran", seconds + 60.0)
            spent = gateway.cpu_s() - before
            stats = await csms.ask("stats", "stats", 10.0)
        carried = stats["frames"].get("MeterValues" if version == "1.6" else "TransactionEvent", 0)
        waits = sorted(
            (stats["authorize"][token] - at) / 1e6 for token, at in ran["swipes"].items() if token in stats["authorize"]
        )
        return {
            "cpu_us": spent / ran["published"] * 1e6,
            "carried": carried / ran["published"],
            "p99_ms": waits[min(len(waits) - 1, int(len(waits) * 0.99))] if waits else float("nan"),
            "swipes": len(waits),
            "late_ms": ran["latest_ms"],
        }

    async def _booted(self, csms: Child, stations: int) -> dict[str, Any]:
        """Wait until every station has booted; the CSMS is asked now and then, since it is another process."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            stats = await csms.ask("stats", "stats", 30.0)
            if stats["booted"] >= stations:
                return stats
            await asyncio.sleep(0.1)
        msg = f"{stats['booted']} of {stations} stations booted within 120 s."
        raise RuntimeError(msg)

    # -------------------------------------------------------------- the floors

    async def floor_round(self, floor: str, *, stations: int, charging: int) -> float:
        messages = RATE * self.options.seconds
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            broker = stack.enter_context(Broker(folder, lines=BROKER_LINES))
            csms = await stack.enter_async_context(child("tests.benchmarks.load_csms"))
            port = (await csms.event("listening"))["port"]
            pipe = await stack.enter_async_context(
                child(
                    f"tests.benchmarks.{floor}",
                    *("--broker-port", str(broker.port), "--csms-url", f"ws://127.0.0.1:{port}/ocpp"),
                    *("--stations", str(stations), "--warmup", str(RATE), "--messages", str(messages)),
                )
            )
            await pipe.event("ready")
            devices = await stack.enter_async_context(
                child(
                    "tests.benchmarks.load_devices",
                    *("--broker-port", str(broker.port), "--stations", str(stations)),
                    *("--charging", str(charging), "--rate", str(RATE)),
                )
            )
            await devices.event("ready")
            running = asyncio.create_task(devices.ask(f"run {self.options.seconds + 4}", "ran", 120.0))
            measured = await pipe.event("measured", 120.0)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return float(measured["cpu_us_per_message"])

    async def load(self, name: str, *, stations: int, charging: int) -> None:
        gateway: dict[str, list[dict[str, float]]] = {"1.6": [], "2.0.1": []}
        raw: list[float] = []
        naive: list[float] = []
        for number in range(self.options.rounds):
            raw.append(await self.floor_round("floor_raw_pipe", stations=stations, charging=charging))
            for version, rounds in gateway.items():
                rounds.append(await self.gateway_round(stations=stations, charging=charging, version=version))
            if number == 0:
                naive.append(await self.floor_round("floor_naive_bridge", stations=stations, charging=charging))
            print(f"  round {number + 1} of {self.options.rounds}: {name}", file=sys.stderr, flush=True)
        floor = statistics.median(raw)
        self._row(f"{name}: raw pipe", f"{floor:.0f} µs", "")
        self._row(f"{name}: naive bridge", f"{statistics.median(naive):.0f} µs", "")
        self.facts[name] = {"raw_us": floor, "naive_us": statistics.median(naive)}
        for version, rounds in gateway.items():
            cpu = statistics.median(each["cpu_us"] for each in rounds)
            carried = min(each["carried"] for each in rounds)
            p99 = statistics.median(each["p99_ms"] for each in rounds)
            swipes = sum(int(each["swipes"]) for each in rounds)
            self._row(f"{name}: gateway, OCPP {version}", f"{cpu:.0f} µs", f"{cpu / floor:.2f} × raw (goal 1.5)")
            self._row(f"{name}: card → Authorize, p99", f"{p99:.1f} ms", f"{swipes} cards (goal 50 ms)")
            self._row(f"{name}: readings that became frames", f"{carried:.1%}", "")
            self.facts[name][version] = {
                "cpu_us": round(cpu, 1),
                "ratio": round(cpu / floor, 3),
                "p99_ms": round(p99, 2),
                "carried": round(carried, 4),
            }

    # -------------------------------------------------------------- memory and start

    async def idle(self, stations: int) -> None:
        """Memory per idle station, and the time to connect and boot them all."""
        empty_kib, _ = await self._resident(1)
        full_kib, boot_s = await self._resident(stations)
        each = (full_kib - empty_kib) / (stations - 1)
        self._row(f"memory per idle station, {stations} of them", f"{each:.1f} KiB", "goal 40 KiB")
        self._row(f"{stations} stations connect and boot", f"{boot_s:.1f} s", "goal 15 s, from the process's start")
        self.facts["idle"] = {"stations": stations, "kib_per_station": round(each, 1), "boot_s": round(boot_s, 2)}

    async def _resident(self, stations: int) -> tuple[float, float]:
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            broker = stack.enter_context(Broker(folder, lines=BROKER_LINES))
            csms = await stack.enter_async_context(child("tests.benchmarks.load_csms"))
            port = (await csms.event("listening"))["port"]
            config = configuration(
                folder, broker, port, stations=stations, connectors=1, version="1.6", interval_s=60
            )
            began = time.monotonic_ns()
            gateway = await stack.enter_async_context(child("gateway", "run", str(config), quiet=True))
            stats = await self._booted(csms, stations)
            statuses = 2 * stations
            while stats["frames"].get("StatusNotification", 0) < statuses:
                await asyncio.sleep(0.1)
                stats = await csms.ask("stats", "stats", 30.0)
            return gateway.resident_kib(), (stats["last_first_boot_ns"] - began) / 1e9

    # -------------------------------------------------------------- the table

    def _row(self, what: str, value: str, remark: str) -> None:
        self.rows.append((what, value, remark))

    def table(self) -> str:
        width = max(len(row[0]) for row in self.rows)
        return "\n".join(f"{what:<{width}}  {value:>10}  {remark}" for what, value, remark in self.rows)


async def run(options: argparse.Namespace) -> None:
    allow_many_sockets()
    bench = Bench(options)
    await bench.load("50 stations", stations=50, charging=10)
    await bench.load("1000 stations", stations=1000, charging=1)
    await bench.idle(options.idle_stations)
    print(bench.table())
    print("BENCH " + json.dumps(bench.facts, separators=(",", ":")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10, help="how long each round measures")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle-stations", type=int, default=2000)
    parser.add_argument("--quick", action="store_true", help="one short round: a look, not a measurement")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.rounds = 5, 1
    asyncio.run(run(options))


if __name__ == "__main__":
    main()
