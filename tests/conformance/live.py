"""The same charging station for real: the gateway's process, mosquitto, WebSockets; time goes by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from typing import TYPE_CHECKING, Any, Self

from tests.conformance.bench import configuration
from tests.conformance.charging_station import INTERVAL_S, ChargingStation
from tests.conformance.device import Device
from tests.conformance.said import Payload, read_time
from tests.support.broker import Broker
from tests.support.csms import Csms
from tests.support.csms_answers import CallError
from tests.support.gateway_process import GatewayProcess
from tests.support.mqtt_client import Received, TestClient

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from tests.support.csms_answers import Backend, Rule
    from tests.support.csms_record import Frame
    from tests.support.csms_station import Station

_PATIENCE_S = 20.0
_ROUNDS = 3
"""Round trips through both edges after which nothing more follows: fact, setpoint, the device's answer, report."""


class Live(ChargingStation):
    """`async with Live(tmp_path) as cs:`; the arguments are those of Bench."""

    def __init__(
        self,
        directory: Path,
        *,
        connectors: int = 1,
        lock: bool = True,
        connector: Mapping[str, Any] | None = None,
        station: Mapping[str, Any] | None = None,
        keys: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        self.connectors = connectors
        self.broker = Broker(directory)
        self.broker.config_file.write_text("set_tcp_nodelay true\n" + self.broker.config_file.read_text())
        self.csms = Csms(["ocpp1.6"])
        self.csms.backend.boot_interval_s = INTERVAL_S
        self.csms.ledger.next_transaction_id = 77
        self.device = Device(connectors, lock=lock, publish=self._device_publishes)
        self._directory = directory
        self._settings = (connectors, lock, connector, station, keys)
        self._stack = contextlib.AsyncExitStack()
        self._unsent: list[tuple[str, dict[str, Any], bool]] = []
        self._heard = 0
        self._asking: asyncio.Task[None] | None = None

    @property
    def cp(self) -> Station:
        """The charge point as the CSMS sees it."""
        return self.csms.identity("CP1")

    # -------------------------------------------------------------- the house

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.broker)
        await self._stack.enter_async_context(self.csms)
        self.mqtt = await self._stack.enter_async_context(TestClient(self.broker.port))
        wire = self.mqtt.paho.socket()
        assert isinstance(wire, socket.socket)
        wire.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # as for the broker: else each round trip takes 80 ms
        # So that the gateway need not listen long for another one: the last one has left.
        await self.mqtt.publish("ocpp/bridge/state", {"state": "stopping"}, retain=True)
        await self.mqtt.subscribe("ocpp/garage/+/setpoint", "ocpp/garage/+/command/+", "ocpp/bridge/#")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def start(self) -> None:
        sections = configuration(self.csms.url, *self._settings)
        sections["mqtt"] = {"url": self.broker.url}
        self.process = await self._stack.enter_async_context(GatewayProcess(self._directory, sections))
        await self.mqtt.next("ocpp/bridge/state", where=lambda m: m.json()["state"] == "online")
        self.device.boot()
        await self.cp.until(lambda: True if self.cp.registration is not None else None)
        await self.settle()

    # -------------------------------------------------------------- the device

    def _device_publishes(self, topic: str, payload: dict[str, Any], retain: bool) -> None:
        self._unsent.append((topic, payload, retain))

    async def _mqtt_round_trip(self) -> None:
        """Say what the device has to say, and hear all that the gateway has said because of it."""
        unsent, self._unsent = self._unsent, []
        for topic, payload, retain in unsent:
            await self.mqtt.publish(topic, payload, retain=retain)
        await self.mqtt.publish("ocpp/bridge/request/health")
        await self.mqtt.next("ocpp/bridge/response/health")
        self._hear()

    def _hear(self) -> None:
        heard = self.mqtt.messages[self._heard :]
        self._heard = len(self.mqtt.messages)
        for message in heard:
            self._hear_one(message)

    def _hear_one(self, message: Received) -> None:
        if not message.retain:
            self.device.hear(message.topic, message.payload)

    # -------------------------------------------------------------- ChargingStation

    @property
    def frames(self) -> Sequence[Frame]:
        return [frame for frame in self.cp.frames if not _is_ours(frame.text)]

    @property
    def backend(self) -> Backend:
        return self.csms.backend

    @property
    def answers(self) -> dict[str, Rule]:
        return self.csms.answers

    def answer_next(self, action: str, *rules: Rule) -> None:
        self.cp.answer_next(action, *rules)

    async def settle(self) -> None:
        """Quiet is what stays quiet over some round trips through both edges."""
        quiet = 0
        while quiet < _ROUNDS:
            before = len(self.frames), len(self.device.commands), len(self._unsent)
            await self._mqtt_round_trip()
            if self.cp.connected and self.cp.registration != "Rejected" and not self._asks():
                await self.cp.call("GetConfiguration", {"key": ["HeartbeatInterval"]}, message_id=_OUR_ID)
            same = before == (len(self.frames), len(self.device.commands), len(self._unsent))
            quiet = quiet + 1 if same else 0

    def _asks(self) -> bool:
        return self._asking is not None and not self._asking.done()

    async def wait(self) -> bool:
        known = len(self.frames)
        ends = time.monotonic() + _PATIENCE_S
        while len(self.frames) == known:
            if time.monotonic() > ends:
                return False
            await self._mqtt_round_trip()
        return True

    async def send(self, action: str, /, **payload: Any) -> None:
        self._asking = asyncio.create_task(self._ask(action, payload))
        await self.settle()

    async def _ask(self, action: str, payload: Payload) -> None:
        with contextlib.suppress(CallError):  # it stands among the frames, where the test looks for it
            await self.cp.call(action, payload)

    async def after(self, seconds: float) -> None:
        raise NotImplementedError(f"nobody waits {seconds} s for real: this case is one for the bench")

    def is_now(self, text: str) -> bool:
        return abs(read_time(text) - time.time()) <= _PATIENCE_S

    def violations(self) -> list[str]:
        return [*self.csms.violations, *self.process.logged("error", "critical")]


_OUR_ID = "between us"
"""Of round trips, which are no part of a case."""


def _is_ours(text: str | bytes) -> bool:
    frame = json.loads(text)
    return bool(frame[1] == _OUR_ID)
