"""The whole gateway inside the test's own event loop, with its own store, a real broker and a real CSMS around it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from typing import TYPE_CHECKING, Any, Self

from gateway.daemon import Gateway
from gateway.settings import Settings, load
from gateway.store import Store
from tests.support.broker import Broker
from tests.support.csms import Csms
from tests.support.mqtt_client import Received, TestClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from tests.support.csms import Call, Station

CARD = "04A2B3C4"
QUICK: dict[str, Any] = {"begin_timeout_s": 0.05, "end_timeout_s": 0.05, "meter_state_interval_s": 0}
"""Policy of tests whose devices have no meter that could be asked."""


class RunningGateway:
    """`async with RunningGateway(tmp_path, {"mqtt": …, "stations": […]}) as running:`; `restart()` keeps the store."""

    def __init__(self, directory: Path, configuration: Mapping[str, Any]) -> None:
        self.file = directory / "gateway.yaml"
        self.database = directory / "gateway.db"
        self.write(configuration)
        self._gateway: Gateway | None = None
        self._task: asyncio.Task[None] | None = None

    def write(self, configuration: Mapping[str, Any]) -> None:
        """What the next start will find in the file."""
        complete = {"store": {"path": str(self.database)}} | dict(configuration)
        self.file.write_text(json.dumps(complete))  # JSON is YAML

    @property
    def gateway(self) -> Gateway:
        """The one that runs."""
        if self._gateway is None:
            raise RuntimeError("the gateway is not running")
        return self._gateway

    async def start(self) -> None:
        """Open the store and let it run."""

        def read_again(added: Sequence[Mapping[str, Any]]) -> Settings:
            return load(self.file, {}, added)

        self._gateway = Gateway(load(self.file, {}), Store.open(self.database), read_again=read_again)
        self._task = asyncio.create_task(self._gateway.run(), name="gateway")

    async def stop(self) -> None:
        """Let it end cleanly; raises what made it fail."""
        if self._gateway is not None and self._task is not None:
            self._gateway.stop()
            try:
                await self._task
            finally:
                self._gateway = self._task = None

    async def ended(self, timeout: float = 20.0) -> None:
        """Wait until it ends by itself; raises what made it fail."""
        if self._task is None:
            raise RuntimeError("the gateway is not running")
        task, self._gateway, self._task = self._task, None, None
        await asyncio.wait_for(task, timeout)

    async def restart(self) -> None:
        """Stop cleanly, and start with the same file and the same store."""
        await self.stop()
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(Exception) if error is not None else contextlib.nullcontext():
            await self.stop()


class Site:
    """A broker, a CSMS, a gateway with the station `garage` (identity CP1), and one MQTT client for all roles.

    `mqtt` hears everything below `ocpp/`. `station` overrides keys of the station's settings, `settings` the
    top-level ones (of `mqtt` and `gateway` key by key). `connects=False`: do not wait until the CSMS has accepted it.
    """

    def __init__(
        self,
        directory: Path,
        version: str = "2.0.1",
        *,
        station: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        broker: Broker | None = None,
        csms: Csms | None = None,
        mqtt_version: int = 5,
        connects: bool = True,
    ) -> None:
        self.directory = directory
        self.version = version
        self.broker = broker or Broker(directory)
        self.csms = csms or Csms()
        self._mqtt_version = mqtt_version
        self._connects = connects
        self._station = dict(station or {})
        self._settings = dict(settings or {})
        self._stack = contextlib.AsyncExitStack()
        self._gestures = itertools.count(1)
        self.mqtt = TestClient(self.broker.port, protocol=mqtt_version)

    @property
    def cp(self) -> Station:
        """The station as the CSMS sees it."""
        return self.csms.identity("CP1")

    @property
    def gateway(self) -> Gateway:
        return self.running.gateway

    def configuration(self) -> dict[str, Any]:
        """What the settings file holds."""
        station: dict[str, Any] = {
            "name": "garage",
            "identity": "CP1",
            "csms": {},
            **self._station,
        }
        station["csms"] = {"url": self.csms.url, "versions": [self.version], **station["csms"]}
        station["policy"] = QUICK | station.get("policy", {})
        sections: dict[str, Any] = {
            "mqtt": {"url": self.broker.url},
            "gateway": {"heartbeat_interval_s": 2, "valid_s": 5},
            "stations": [station],
        }
        for name, section in self._settings.items():
            sections[name] = sections[name] | section if name in ("mqtt", "gateway") else section
        return sections

    async def __aenter__(self) -> Self:
        try:
            await self._stack.enter_async_context(self.broker)
            await self._stack.enter_async_context(self.csms)
            self.mqtt = await self._stack.enter_async_context(
                TestClient(self.broker.port, protocol=self._mqtt_version)
            )
            # So that the gateway need not listen long for another one: the last one has left.
            await self.mqtt.publish("ocpp/bridge/state", {"state": "stopping"}, retain=True)
            await self.mqtt.subscribe("ocpp/#")
            self.running = await self._stack.enter_async_context(
                RunningGateway(self.directory, self.configuration())
            )
            await self.online()
            if self._connects:
                await self.booted()
        except BaseException as error:
            await self._stack.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            last = "\n".join(f"  {m.topic} {m.payload[:300]!r}" for m in self.mqtt.messages[-25:])
            error.add_note(f"last on MQTT:\n{last}")
            calls = "\n".join(f"  {c.action} {str(c.payload)[:300]}" for c in self.cp.calls[-15:])
            error.add_note(f"last at the CSMS:\n{calls}")
        await self._stack.__aexit__(kind, error, trace)

    def change(self, **station: Any) -> None:
        """Change keys of the station in the settings file; nobody has read it yet."""
        self._station |= station
        self.running.write(self.configuration())

    async def restart(self) -> None:
        """Stop the gateway cleanly, start it again on the same store, and wait until it is back on both sides."""
        connections = self.cp.connections
        self.mqtt.forget()
        await self.running.restart()
        await self.online()
        if self._connects:
            await self.cp.connection(connections + 1)
            await self.view("garage/0/state", connected=True, registration="Accepted")

    # ------------------------------------------------------------------ waiting

    async def online(self) -> Received:
        """The gateway has said `online`, after all its setpoints."""
        return await self.mqtt.next("ocpp/bridge/state", where=lambda m: m.json()["state"] == "online")

    async def booted(self) -> None:
        """The CSMS has accepted the station, and a round trip was made."""
        await self.cp.until(lambda: True if self.cp.registration == "Accepted" else None)
        await self.view("garage/0/state", registration="Accepted")

    async def view(self, topic: str, /, timeout: float = 20.0, **fields: Any) -> dict[str, Any]:
        """The next document on `ocpp/<topic>` whose keys have these values."""
        found = await self.mqtt.next(
            f"ocpp/{topic}",
            timeout,
            where=lambda m: bool(m.payload) and _agrees(m.json(), fields),
        )
        document: dict[str, Any] = found.json()
        return document

    async def setpoint(self, n: int = 1, timeout: float = 20.0, **fields: Any) -> dict[str, Any]:
        return await self.view(f"garage/{n}/setpoint", timeout, **fields)

    async def event(self, n: int, kind: str, event_type: str) -> dict[str, Any]:
        return await self.view(f"garage/{n}/event/{kind}", event_type=event_type)

    async def complaint(self, event_type: str, /, **fields: Any) -> dict[str, Any]:
        return await self.view("bridge/event", event_type=event_type, **fields)

    # ------------------------------------------------------------------ what devices and people do

    async def status(self, n: int = 1, **facts: Any) -> None:
        await self.mqtt.publish(f"ocpp/garage/{n}/status", facts)

    async def meter(self, energy_wh: float, n: int = 1, **values: Any) -> None:
        await self.mqtt.publish(f"ocpp/garage/{n}/meter", {"energy_import_wh": energy_wh, **values})

    async def card(self, token: str = CARD, n: int = 1, **more: Any) -> None:
        gesture = {"id": f"g{next(self._gestures)}", "id_token": token}
        await self.mqtt.publish(f"ocpp/garage/{n}/card", gesture | more)

    async def ask(
        self, action: str, payload: Any = None, n: int = 1, timeout: float = 20.0
    ) -> dict[str, Any]:
        """Make a request over MQTT; the answer to it."""
        self.mqtt.forget(f"ocpp/garage/{n}/response/{action}")
        body = payload if payload is None or isinstance(payload, str | dict) else json.dumps(payload)
        await self.mqtt.publish(f"ocpp/garage/{n}/request/{action}", body)
        return await self.view(f"garage/{n}/response/{action}", timeout)

    async def answer_commands(self, name: str, n: int = 1, status: str = "accepted") -> dict[str, Any]:
        """Wait for a command and answer it."""
        command = await self.view(f"garage/{n}/command/{name}")
        await self.mqtt.publish(f"ocpp/garage/{n}/result", {"id": command["id"], "status": status})
        return command

    async def plug(self, n: int = 1) -> None:
        await self.status(n, plugged=True, energized=False, charging=False, errors=[])

    async def unplug(self, n: int = 1) -> None:
        await self.status(n, plugged=False, energized=False, charging=False)

    async def charge(self, n: int = 1, token: str = CARD, energy_wh: float = 1000.0) -> Call:
        """Plug, show a card, energize: the CALL that started the transaction at the CSMS."""
        await self.meter(energy_wh, n)
        await self.plug(n)
        await self.card(token, n)
        await self.setpoint(n, energize=True)
        started = await self.started(n)
        await self.status(n, plugged=True, energized=True, charging=True)
        await self.view(f"garage/{n}/state", charging=True)
        return started

    async def started(self, n: int = 1) -> Call:
        """The CALL that tells the start of a transaction at a connector."""
        if self.version == "1.6":
            return await self.cp.expect("StartTransaction", lambda call: call.payload["connectorId"] == n)
        return await self.cp.expect("TransactionEvent", lambda call: call.payload["eventType"] == "Started")

    async def ended(self) -> Call:
        """The CALL that tells the end of a transaction."""
        if self.version == "1.6":
            return await self.cp.expect("StopTransaction")
        return await self.cp.expect("TransactionEvent", lambda call: call.payload["eventType"] == "Ended")

    async def finish(self, n: int = 1, token: str = CARD, energy_wh: float = 3000.0) -> Call:
        """End the transaction by its card, and unplug: the CALL that told its end."""
        await self.meter(energy_wh, n)
        self.mqtt.forget(f"ocpp/garage/{n}/setpoint")
        await self.card(token, n)
        await self.setpoint(n, energize=False)
        await self.plug(n)
        ended = await self.ended()
        await self.unplug(n)
        return ended

    async def until(self, holds: Callable[[], bool], timeout: float = 20.0) -> None:
        """Look again whenever a message has come, until it holds."""
        async with asyncio.timeout(timeout):
            while not holds():
                await self.mqtt.publish("ocpp/bridge/request/health")
                await self.mqtt.next("ocpp/bridge/response/health")


def _agrees(document: dict[str, Any], fields: Mapping[str, Any]) -> bool:
    return all(key in document and document[key] == value for key, value in fields.items())
