"""First the disk, then the broker's acknowledgement and the frame; only an off waits for nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from gateway.simulator.car import Car
from gateway.simulator.events import Plugged
from tests.e2e.kill_site import Device
from tests.support.broker import Broker
from tests.support.csms import Call, Csms
from tests.support.gateway_process import GatewayProcess
from tests.support.mqtt_client import TestClient

_PUBLISH, _PUBACK = 3, 4
_STATIONS = {"old": "1.6", "new": "2.0.1"}
_REPORTS = ("StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent")


class Proxy:
    """Lies between gateway and broker, and tells of each card whose PUBLISH the gateway acknowledges.

    `acknowledged` is called with the gesture's id before the PUBACK goes on to the broker.
    """

    def __init__(self, broker_port: int, acknowledged: Callable[[str], None]) -> None:
        self.port = 0
        self._broker_port, self._acknowledged = broker_port, acknowledged
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._attend, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_broker, to_broker = await asyncio.open_connection("127.0.0.1", self._broker_port)
        cards: dict[bytes, str] = {}

        def published(first: int, body: bytes) -> None:
            length = int.from_bytes(body[:2], "big")
            if first >> 1 & 3 and body[2 : 2 + length].endswith(b"/card"):
                properties = body[4 + length]  # MQTT 5; fewer than 128 bytes of them
                payload = json.loads(body[5 + length + properties :])
                cards[body[2 + length : 4 + length]] = payload["id"]

        def acknowledged(_first: int, body: bytes) -> None:
            gesture = cards.pop(body[:2], None)
            if gesture is not None:
                self._acknowledged(gesture)

        pumps = [
            asyncio.create_task(_pump(from_broker, writer, _PUBLISH, published)),
            asyncio.create_task(_pump(reader, to_broker, _PUBACK, acknowledged)),
        ]
        self._tasks.update(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, to_broker):
            end.close()
            with contextlib.suppress(OSError):
                await end.wait_closed()


async def _pump(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, kind: int, seen: Callable[[int, bytes], None]
) -> None:
    """Carry MQTT packets one by one; those of one kind are shown before they go on."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            header = await source.readexactly(1)
            length, shift = 0, 0
            while True:
                header += await source.readexactly(1)
                length |= (header[-1] & 127) << shift
                shift += 7
                if header[-1] < 128:
                    break
            body = await source.readexactly(length)
            if header[0] >> 4 == kind:
                seen(header[0], body)
            target.write(header + body)
            await target.drain()


class Witness:
    """Looks into the gateway's file, as another process, in the very moment that something is said.

    In WAL mode a commit can be seen by others only after its fsync, which synchronous=FULL demands.
    """

    def __init__(self, database: Path) -> None:
        self.acknowledged: list[str] = []
        self.frames: list[str] = []
        self.complaints: list[str] = []
        self.changed = asyncio.Event()
        self._database = database

    def puback(self, gesture: str) -> None:
        self.acknowledged.append(gesture)
        if not self.remembers(gesture):
            self.complaints.append(f"the PUBLISH of {gesture} was acknowledged before the disk had it")
        self.changed.set()

    def called(self, call: Call) -> None:
        self.frames.append(call.action)
        waiting = [body for (body,) in self._rows("SELECT body FROM outbox")]
        if not any(_told_by(body, call) for body in waiting):
            self.complaints.append(f"{call.action} was said before the disk had it: {call.payload}")

    def asked(self, call: Call) -> None:
        """Tokens are the ids of their gestures here."""
        self.frames.append(call.action)
        token = call.payload["idTag"] if call.version == "ocpp1.6" else call.payload["idToken"]["idToken"]
        if not self.remembers(token):
            self.complaints.append(f"Authorize of {token} was said before the disk had its gesture")

    def remembers(self, gesture: str) -> bool:
        return bool(self._rows("SELECT 1 FROM record WHERE kind = 'gesture' AND key = ?", gesture))

    async def until_acknowledged(self, gesture: str) -> None:
        async with asyncio.timeout(5):
            while gesture not in self.acknowledged:
                self.changed.clear()
                await self.changed.wait()

    def _rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()


def _told_by(body: bytes, call: Call) -> bool:
    """Whether a waiting row is what this CALL says."""
    row = json.loads(body)
    report = row["report"]
    if call.action == "TransactionEvent":
        told = call.payload["transactionInfo"]["transactionId"], call.payload["seqNo"]
        return (report.get("transaction"), report.get("seq")) == told
    wanted = {"StartTransaction": {"Started"}, "StopTransaction": {"Ended"}}.get(
        call.action, {"Started", "Updated"}
    )
    return report.get("type") in wanted


class Scene:
    """A gateway behind the proxy, one device of each version, and a reader that lets go of its cards."""

    def __init__(self, gateway: GatewayProcess, csms: Csms, witness: Witness, broker: Broker) -> None:
        self.gateway, self.csms, self.witness, self.broker = gateway, csms, witness, broker
        self.devices = {name: Device(name, 1, broker.port, lambda _moment: None) for name in _STATIONS}
        self.reader = TestClient(broker.port)

    def plug(self, name: str) -> None:
        self.devices[name].edge.feed(Plugged(1, Car(battery_kwh=10_000.0, ramp_a_per_s=50.0)))

    async def show(self, name: str, token: str | None = None) -> str:
        """Hold a card to the reader; its gesture's id, which is also its token unless one is given."""
        gesture = uuid.uuid4().hex[:20]
        card = {"id_token": token or gesture, "id": gesture, "timestamp": time.time()}
        await self.reader.publish(f"ocpp/{name}/1/card", card)
        return gesture

    async def heard(self, device: Device) -> None:
        """The next heartbeat has come."""
        beats = len(device.heartbeats)
        assert await device.edge.until(lambda: len(device.heartbeats) > beats, 10)

    async def energized(self, name: str, *, on: bool) -> None:
        device = self.devices[name]
        connector = device.charger.connector(1)
        assert await device.edge.until(lambda: connector.energized is on, 10), f"{name} is not {on=}"

    async def idle(self, name: str) -> None:
        """The gateway has said that no transaction runs any more."""
        device = self.devices[name]
        connector = device.charger.connector(1)
        assert await device.edge.until(
            lambda: connector.setpoint is not None and connector.setpoint.transaction is None, 10
        )


@asynccontextmanager
async def _scene(directory: Path) -> AsyncIterator[Scene]:
    with Broker(directory) as broker:
        async with Csms() as csms:
            witness = Witness(directory / "gateway.db")
            csms.answers["Authorize"] = witness.asked
            for action in _REPORTS:
                csms.answers[action] = witness.called
            async with Proxy(broker.port, witness.puback).running() as proxy:
                configuration = {
                    "mqtt": {"url": f"mqtt://127.0.0.1:{proxy.port}"},
                    "gateway": {"heartbeat_interval_s": 1, "valid_s": 5},
                    "defaults": {
                        "csms": {"url": csms.url},
                        "variables": {"SampledDataCtrlr.TxUpdatedInterval": 1},
                    },
                    "stations": [
                        {"name": name, "csms": {"versions": [version]}} for name, version in _STATIONS.items()
                    ],
                }
                async with GatewayProcess(directory, configuration) as gateway:
                    scene = Scene(gateway, csms, witness, broker)
                    edges = [asyncio.create_task(device.edge.run()) for device in scene.devices.values()]
                    try:
                        async with scene.reader:
                            for name, device in scene.devices.items():
                                await (await csms.station(name, timeout=15)).expect("BootNotification")
                                await scene.heard(device)
                            yield scene
                    finally:
                        for edge in edges:
                            edge.cancel()
                        await asyncio.gather(*edges, return_exceptions=True)


async def test_the_disk_has_each_card_before_it_is_acknowledged_or_told(tmp_path: Path) -> None:
    """Twenty times in both versions: gesture and report are in the file when PUBACK and frame are seen."""
    async with _scene(tmp_path) as scene:
        shown = []

        async def charge(name: str) -> None:
            scene.plug(name)
            for _ in range(20):
                start = await scene.show(name)
                await scene.energized(name, on=True)
                stop = await scene.show(name, token=start)
                await scene.energized(name, on=False)
                await scene.idle(name)
                for gesture in (start, stop):
                    await scene.witness.until_acknowledged(gesture)
                    shown.append(gesture)

        await asyncio.gather(*(charge(name) for name in _STATIONS))
        for name in _STATIONS:
            await _told(scene.csms, name, 20)

        assert [] == scene.witness.complaints
        assert sorted(shown) == sorted(scene.witness.acknowledged)
        assert {"Authorize", *_REPORTS} == set(scene.witness.frames)


async def test_off_is_faster_than_a_disk_that_hangs_and_nothing_else_is(tmp_path: Path) -> None:
    """While nobody can commit, a card stops the current; its PUBACK, its report and new cards wait."""
    async with _scene(tmp_path) as scene:
        for name in _STATIONS:
            scene.plug(name)
        running = await scene.show("new")
        await scene.energized("new", on=True)
        await scene.witness.until_acknowledged(running)
        device = scene.devices["new"]

        with _held(scene.gateway.database):
            stopping, waiting = await scene.show("new", token=running), await scene.show("old")
            said = len(scene.witness.frames)
            await scene.energized("new", on=False)
            await scene.heard(device)  # a whole beat: the gateway lives, and would have had its time

            assert not {stopping, waiting} & set(scene.witness.acknowledged)
            assert [] == scene.witness.frames[said:]
            assert not scene.devices["old"].charger.connector(1).energized

        for gesture in (stopping, waiting):
            await scene.witness.until_acknowledged(gesture)
        await scene.energized("old", on=True)
        await _told(scene.csms, "new", 1)
        assert [] == scene.witness.complaints


async def _told(csms: Csms, name: str, number: int) -> None:
    """Wait until the CSMS has so many whole transactions."""
    await csms.identity(name).until(
        lambda: sum(record.complete for record in csms.ledger.transactions(name)) == number or None, 10
    )


@contextlib.contextmanager
def _held(database: Path) -> Iterator[None]:
    """Somebody else holds the file's write lock: each commit hangs as on a disk that does not answer."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
