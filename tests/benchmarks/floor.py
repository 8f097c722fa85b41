"""What both floors share: stations on websockets, `meter` messages from MQTT, CPU time between two counts."""

import argparse
import asyncio
import gc
import time
from collections.abc import Awaitable, Callable

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.benchmarks.console import allow_many_sockets, resident_kib, say
from tests.benchmarks.mqtt_edge import MqttEdge

CONNECTING_AT_ONCE = 100

Carry = Callable[[bytes], Awaitable[None]]
"""Brings one `meter` payload to the backend and returns when it is answered."""


class Measure:
    """CPU time of this process from the end of the warm-up to the last message, both counted by answers."""

    def __init__(self, warmup: int, messages: int) -> None:
        self._warmup, self._last = warmup, warmup + messages
        self._answered = 0
        self._cpu_s = self._wall_s = 0.0
        self._messages = messages
        self.done = asyncio.Event()

    def answered(self) -> None:
        self._answered += 1
        if self._answered == self._warmup:
            self._cpu_s, self._wall_s = time.process_time(), time.monotonic()
        elif self._answered == self._last:
            self._cpu_s, self._wall_s = time.process_time() - self._cpu_s, time.monotonic() - self._wall_s
            self.done.set()

    def report(self) -> dict[str, float]:
        return {
            "cpu_us_per_message": round(self._cpu_s / self._messages * 1e6, 1),
            "messages": self._messages,
            "seconds": round(self._wall_s, 3),
            "messages_per_s": round(self._messages / self._wall_s, 1),
        }


def run(name: str, description: str | None, carrier: Callable[[str, ClientConnection], Carry]) -> None:
    """The command line of a floor; `carrier(identity, socket)` makes each station's way to the backend."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--broker-port", type=int, required=True)
    parser.add_argument(
        "--csms-url", required=True, help="ws://127.0.0.1:PORT/ocpp; the identity is appended"
    )
    parser.add_argument("--stations", type=int, default=50)
    parser.add_argument("--station-name", default="bench{:04d}", help="numbered from 0")
    parser.add_argument("--prefix", default="ocpp")
    parser.add_argument("--qos", type=int, choices=(0, 1), default=0)
    parser.add_argument("--protocol", choices=("5", "3.1.1"), default="5", help="of MQTT")
    parser.add_argument("--warmup", type=int, default=500, help="messages before the clock runs, at least 1")
    parser.add_argument("--messages", type=int, default=5000, help="messages measured; 0: only memory")
    parser.add_argument("--timeout-s", type=float, default=120.0)
    arguments = parser.parse_args()
    allow_many_sockets()
    asyncio.run(_carry_all(name, arguments, carrier))


async def _carry_all(
    name: str, arguments: argparse.Namespace, carrier: Callable[[str, ClientConnection], Carry]
) -> None:
    gc.collect()
    empty_kib = resident_kib()
    began = time.monotonic()
    identities = [arguments.station_name.format(number) for number in range(arguments.stations)]
    gate = asyncio.Semaphore(CONNECTING_AT_ONCE)
    sockets = await asyncio.gather(*(_connect(arguments.csms_url, identity, gate) for identity in identities))
    measure = Measure(max(1, arguments.warmup), arguments.messages)
    queues: dict[str, asyncio.Queue[bytes]] = {identity: asyncio.Queue() for identity in identities}

    def arrived(topic: str, payload: bytes, _retained: bool) -> None:
        queues[topic.split("/")[1]].put_nowait(payload)

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_station(queues[identity], carrier(identity, socket), measure))
            for identity, socket in zip(identities, sockets, strict=True)
        ]
        edge = MqttEdge(f"floor-{name}", arrived, protocol=arguments.protocol)
        await edge.connect(arguments.broker_port)
        await edge.subscribe(f"{arguments.prefix}/+/+/meter", arguments.qos)
        gc.collect()
        kib = (resident_kib() - empty_kib) / arguments.stations
        say(
            "ready",
            floor=name,
            connect_s=round(time.monotonic() - began, 3),
            resident_kib_per_station=round(kib, 1),
        )
        if arguments.messages:
            async with asyncio.timeout(arguments.timeout_s):
                await measure.done.wait()
            say("measured", floor=name, mqtt=arguments.protocol, qos=arguments.qos, **measure.report())
        await edge.close()
        for task in tasks:
            task.cancel()
    await asyncio.gather(*(socket.close() for socket in sockets))


async def _connect(url: str, identity: str, gate: asyncio.Semaphore) -> ClientConnection:
    async with gate:
        return await connect(
            f"{url}/{identity}",
            subprotocols=[Subprotocol("ocpp1.6")],
            compression=None,
            ping_interval=None,
            open_timeout=60,
        )


async def _station(queue: asyncio.Queue[bytes], carry: Carry, measure: Measure) -> None:
    while True:
        await carry(await queue.get())
        measure.answered()
