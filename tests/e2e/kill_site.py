"""Chargers, cards and drivers that keep a log of the truth, whatever becomes of gateway, broker and backend."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
import uuid
from collections.abc import Callable
from typing import Any, Protocol, Self

from msgspec import Struct

from gateway.simulator.car import Car
from gateway.simulator.charger import Charger, ChargerState
from gateway.simulator.connector import ConnectorState, Options
from gateway.simulator.contract import Instant, Message
from gateway.simulator.events import Connected, Disconnected, Event, Plugged, Received, Unplugged
from gateway.simulator.mqtt_edge import Broker, MqttEdge
from tests.support.mqtt_client import TestClient

METER_INTERVAL_S = 0.4
SPEED = 60.0
"""Energy flows this much faster than power says, so that no rounding hides a loss."""
FIRST_REGISTER_WH = 1000.0
_RETRY_S = 0.2
_PATIENCE_S = 4.0


class Gesture(Struct, eq=False):
    """A card held to a reader."""

    id: str
    token: str
    n: int
    stops: bool
    """Whether it was meant to stop."""
    plugged: bool
    at: float
    acknowledged_at: float | None = None
    verdict: str | None = None
    answered_at: float | None = None
    unplugged_at: float = float("inf")
    """When the car that was there went away."""


class Span(Struct, eq=False):
    """One time that a contactor was closed; wall time and register at both ends."""

    began_at: float
    began_wh: float
    transaction: str | None
    ended_at: float = float("inf")
    ended_wh: float = float("inf")


class Truth(Struct, eq=False):
    """What really happened at one connector."""

    spans: list[Span] = []
    readings: list[tuple[float, float]] = []
    """(wall time, register) of each meter message that was handed to the broker."""
    permitted: list[str] = []
    """Transactions that a setpoint named while it said energize, in order."""
    gestures: list[Gesture] = []


class RecordingCharger(Charger):
    """A simulated charger that notes when its contactors move, and when it was connected."""

    def __init__(self, options: Options, happened: Callable[[str], None]) -> None:
        ids = (uuid.uuid4().hex[:16] for _ in iter(int, 1))
        state = ChargerState(
            [ConnectorState(FIRST_REGISTER_WH * n) for n in range(1, options.connectors + 1)]
        )
        self.truth = {n: Truth() for n in range(1, options.connectors + 1)}
        self.connections: list[tuple[float, bool]] = []
        """(wall time, whether it came or went)."""
        self._happened = happened
        super().__init__(options, lambda: next(ids), state)

    def handle(self, event: Event, now: Instant) -> list[Message]:
        if isinstance(event, Connected | Disconnected):
            self.connections.append((now.wall_s, isinstance(event, Connected)))
        said = super().handle(event, now)
        for each in self.connectors:
            truth = self.truth[each.n]
            setpoint = each.setpoint
            named = setpoint.transaction if setpoint is not None and setpoint.energize else None
            if named is not None and named not in truth.permitted:
                truth.permitted.append(named)
            closed = bool(truth.spans) and truth.spans[-1].ended_at == float("inf")
            if each.energized and not closed:
                truth.spans.append(Span(now.wall_s, each.register_wh, named))
                self._happened("contactor")
            elif closed and not each.energized:
                truth.spans[-1].ended_at, truth.spans[-1].ended_wh = now.wall_s, each.register_wh
                self._happened("contactor")
        return said


class Device:
    """One station's charger on the broker, and a card reader of its own at each connector."""

    pause_s = (0.0, 0.8)
    """Between two cars."""
    charging_s = (0.3, 4.0)

    def __init__(
        self,
        name: str,
        connectors: int,
        port: int,
        happened: Callable[[str], None],
        *,
        meter_interval_s: float = METER_INTERVAL_S,
    ) -> None:
        self.name = name
        options = Options(
            station=name,
            connectors=connectors,
            meter_interval_s=meter_interval_s,
            speed=SPEED,
            report_soc=False,
        )
        self.charger = RecordingCharger(options, happened)
        self.edge = MqttEdge(
            self.charger,
            Broker(host="127.0.0.1", port=port, client_id=f"charger-{name}"),
            heard=self._heard,
            said=self._said,
        )
        self.heartbeats: list[tuple[float, str]] = []
        """(wall time, epoch) of each live heartbeat."""
        self.over = False
        """No new charging session begins; running ones come to their end."""
        self._port = port
        self._happened = happened
        self._gestures: dict[str, Gesture] = {}

    @property
    def truth(self) -> dict[int, Truth]:
        return self.charger.truth

    def wind_up(self) -> None:
        """Everybody goes home."""
        self.over = True
        self.edge._wake()

    async def use(self, n: int, chance: random.Random, blocked: tuple[str, ...] = ()) -> None:
        """Session after session at one connector until `over`; `blocked` cards are tried now and then."""
        number = 0
        async with contextlib.AsyncExitStack() as readers:
            reader = await readers.enter_async_context(Reader(self._port))
            while not self.over:
                number += 1
                await self._pause(chance.uniform(*self.pause_s))
                if blocked and chance.random() < 0.3:
                    await self._charge(reader, n, chance.choice(blocked), chance)
                await self._charge(reader, n, self._token(n, number), chance)

    def _token(self, n: int, number: int) -> str:
        """The card of the driver of a car."""
        return f"{self.name}-{n}-{number}"

    async def _charge(self, reader: Holds, n: int, token: str, chance: random.Random) -> None:
        connector = self.charger.connector(n)
        car = Car(battery_kwh=10_000.0, max_current_a=32.0, ramp_a_per_s=50.0)
        first = chance.random() < 0.6
        if first:
            self.edge.feed(Plugged(n, car))
            await self._pause(chance.uniform(0.0, 0.3))
        for _ in range(8):
            gesture = await self._present(reader, n, token, stops=False)
            if connector.car is None:
                await self._pause(chance.uniform(0.0, 0.4))
                self.edge.feed(Plugged(n, car))
            await self._outcome(n, gesture)
            if connector.energized or self.over or gesture.verdict in {"refused", "unknown"}:
                break
        if connector.energized:
            await self._pause(chance.uniform(*self.charging_s))
            if chance.random() < 0.6:
                stop = await self._present(reader, n, token, stops=True)
                await self.edge.until(lambda: stop.verdict is not None, _PATIENCE_S)
                await self._pause(chance.uniform(0.0, 0.5))
        for gesture in self.truth[n].gestures:
            gesture.unplugged_at = min(gesture.unplugged_at, time.time())
        self.edge.feed(Unplugged(n))
        last = self.truth[n].gestures[-1]  # at the end of the day it may be on its way still
        await self.edge.until(lambda: last.verdict is not None, _PATIENCE_S)
        await self.edge.until(
            lambda: connector.setpoint is None or connector.setpoint.transaction is None, 2.0
        )

    async def _outcome(self, n: int, gesture: Gesture) -> None:
        """Wait until the contactor closes, or it is clear that it will not; for so long as people wait."""
        connector = self.charger.connector(n)
        await self.edge.until(
            lambda: connector.energized or gesture.verdict not in {None, "accepted"} or self.over, _PATIENCE_S
        )

    async def _present(self, reader: Holds, n: int, token: str, *, stops: bool) -> Gesture:
        plugged = self.charger.connector(n).car is not None
        gesture = Gesture(uuid.uuid4().hex[:16], token, n, stops, plugged, time.time())
        self._gestures[gesture.id] = gesture
        self.truth[n].gestures.append(gesture)
        card = {"id_token": token, "type": "ISO14443", "id": gesture.id, "timestamp": gesture.at}
        await reader.publish(f"ocpp/{self.name}/{n}/card", card)
        gesture.acknowledged_at = time.time()
        self._happened("card")
        return gesture

    async def _pause(self, seconds: float) -> None:
        """People take their time; nobody waits for anything here but the end of the day."""
        await self.edge.until(lambda: self.over, seconds)

    def _heard(self, message: Received) -> None:
        if message.topic == "ocpp/bridge/state":
            heartbeat = json.loads(message.payload)
            if heartbeat["state"] == "online" and not message.retain:
                self.heartbeats.append((time.time(), heartbeat["epoch"]))
        elif message.topic.endswith("/command/card_result"):
            result = json.loads(message.payload)
            gesture = self._gestures.get(result["id"])
            if gesture is not None:
                gesture.verdict, gesture.answered_at = result["verdict"], time.time()

    def _said(self, message: Message) -> None:
        parts = message.topic.split("/")
        if parts[-1] == "meter":
            reading = json.loads(message.payload)
            self.truth[int(parts[-2])].readings.append((time.time(), reading["energy_import_wh"]))


class Holds(Protocol):
    """Whatever holds on to a gesture until it has arrived."""

    async def publish(self, topic: str, payload: dict[str, Any]) -> None: ...


class Reader:
    """Holds on to a gesture until the broker has acknowledged it: same payload, so the same id."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._client: TestClient | None = None

    async def publish(self, topic: str, payload: dict[str, Any]) -> None:
        while True:
            try:
                if self._client is None or not self._client.paho.is_connected():
                    await self._reconnect()
                assert self._client is not None
                await self._client.publish(topic, payload)
            except OSError:
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def _reconnect(self) -> None:
        await self._leave()
        client = TestClient(self._port)
        await client.connect()
        self._client = client

    async def _leave(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.drop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._leave()
