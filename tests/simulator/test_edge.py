"""The simulated device on a real broker, against a scripted gateway."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.simulator.car import Car
from gateway.simulator.charger import Charger
from gateway.simulator.connector import Options
from gateway.simulator.events import CardPresented, Plugged
from gateway.simulator.mqtt_edge import Broker as BrokerAddress
from gateway.simulator.mqtt_edge import MqttEdge, load_state
from gateway.simulator.play import FAILED, PLAYED, PlayOptions, play
from tests.support.broker import Broker
from tests.support.mqtt_client import TestClient


class ScriptedGateway:
    """Says what a gateway would: a heartbeat, and on each card the opposite of the last setpoint."""

    def __init__(self, client: TestClient, *, epoch: str = "e1", verdict: str = "accepted") -> None:
        self.client, self.epoch, self.verdict = client, epoch, verdict
        self.revision, self.on = 0, False

    async def beat(self) -> None:
        beat = {"state": "online", "epoch": self.epoch, "interval_s": 30}
        await self.client.publish("ocpp/bridge/state", beat, retain=True)

    async def set(self, energize: bool, n: int = 1, valid_s: float = 90.0) -> None:
        self.revision += 1
        self.on = energize
        await self.client.publish(
            f"ocpp/simulated/{n}/setpoint",
            {
                "energize": energize,
                "limit_a": 16.0 if energize else 0.0,
                "limit_w": None,
                "phases": 3,
                "lock": energize,
                "transaction": "t" if energize else None,
                "operative": True,
                "revision": self.revision,
                "epoch": self.epoch,
                "valid_s": valid_s,
            },
            retain=True,
        )

    async def serve(self) -> None:
        await self.client.next("ocpp/simulated/0/availability")
        await self.set(False)
        await self.beat()
        while True:
            await self.client.next("ocpp/simulated/1/card", timeout=30)
            result = {"id": "v", "ttl_s": 10, "verdict": self.verdict}
            await self.client.publish("ocpp/simulated/1/command/card_result", result)
            if self.verdict == "accepted":
                await self.set(not self.on)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as running:
        yield running


@contextlib.asynccontextmanager
async def serving(gateway: ScriptedGateway) -> AsyncIterator[None]:
    task = asyncio.create_task(gateway.serve())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def device(port: int, state_file: Path | None = None) -> AsyncIterator[MqttEdge]:
    ids = (f"id-{n}" for n in range(1000))
    state = load_state(state_file) if state_file else None
    charger = Charger(Options(meter_interval_s=0.2), ids.__next__, state)
    edge = MqttEdge(charger, BrokerAddress.at(f"mqtt://127.0.0.1:{port}"), state_file=state_file)
    task = asyncio.create_task(edge.run())
    try:
        assert await edge.until(lambda: charger.connected, 5)
        yield edge
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def options(broker: Broker, **more: Any) -> PlayOptions:
    settings: dict[str, Any] = {
        "url": broker.url,
        "charge_s": 0.6,
        "meter_interval_s": 0.2,
        "linger_s": 0.1,
        "answer_timeout_s": 5.0,
        "car": Car(ramp_a_per_s=100.0),
    }
    return PlayOptions(**(settings | more))


@pytest.mark.parametrize("order", ["plug_first", "card_first"])
@pytest.mark.parametrize("stop_by", ["card", "unplug"])
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_visit_is_played(broker: Broker, order: str, stop_by: str, protocol: str) -> None:
    """A card energizes, the second card or the unplugging ends it, and the register has risen."""
    lines: list[str] = []
    async with TestClient(broker.port) as client:
        await client.subscribe("ocpp/#")
        gateway = ScriptedGateway(client)
        played = asyncio.create_task(
            play(options(broker, order=order, stop_by=stop_by, protocol=protocol), lines.append)
        )
        async with serving(gateway):
            if stop_by == "unplug":
                await client.next("ocpp/simulated/1/status", where=lambda m: m.json()["energized"])
                client.forget("ocpp/simulated/1/status")
                await client.next("ocpp/simulated/1/status", where=lambda m: not m.json()["plugged"])
                await gateway.set(False)
            code = await played

        assert code == PLAYED, "\n".join(lines)
        # The last word of the device: everything before it has arrived as well.
        await client.next("ocpp/simulated/0/availability", where=lambda m: m.json()["state"] == "offline")
        registers = [m.json()["energy_import_wh"] for m in client.received("ocpp/simulated/1/meter")]
        assert registers == sorted(registers)
        assert registers[-1] > 0
        last = client.received("ocpp/simulated/1/status")[-1].json()
        assert (False, False, "A") == (last["energized"], last["plugged"], last["control_pilot"])
        assert not any("04A2B3C4" in line for line in lines)


@pytest.mark.parametrize(
    ("verdict", "more", "words"),
    [
        ("refused", {}, "answered with 'refused'"),
        ("accepted", {"energy_wh": 5000.0}, "give it more time"),
    ],
)
async def test_a_play_that_goes_otherwise_fails_with_the_reason(
    broker: Broker, verdict: str, more: dict[str, Any], words: str
) -> None:
    """The exit code is not zero, and the last line says why."""
    lines: list[str] = []
    async with TestClient(broker.port) as client:
        await client.subscribe("ocpp/#")
        async with serving(ScriptedGateway(client, verdict=verdict)):
            code = await play(options(broker, **more), lines.append)

    assert code == FAILED
    assert any(words in line for line in lines), lines


async def test_without_a_gateway_the_play_says_so(broker: Broker) -> None:
    """Nobody answers the card."""
    lines: list[str] = []

    code = await play(options(broker, answer_timeout_s=0.5), lines.append)

    assert code == FAILED
    assert "no setpoint came" in next(line for line in lines if line.startswith("failed"))


async def test_a_full_battery_ends_the_charge_by_speed(broker: Broker) -> None:
    """With a speed of 3600 a second brings an hour's energy."""
    lines: list[str] = []
    async with TestClient(broker.port) as client:
        await client.subscribe("ocpp/#")
        async with serving(ScriptedGateway(client)):
            car = Car(battery_kwh=5.0, soc_percent=70.0, ramp_a_per_s=1000.0)
            code = await play(
                options(broker, car=car, charge_s=10.0, until_soc_percent=100.0, speed=3600.0), lines.append
            )

    assert code == PLAYED, lines
    assert "charged 1500 Wh" in lines


async def test_tls_and_password(tmp_path: Path) -> None:
    """The device verifies the broker and is let in by name; a wrong password is named as the reason."""
    lines: list[str] = []
    with Broker(tmp_path, tls=True, users={"device": "right"}) as broker:
        more: dict[str, Any] = {"ca_file": str(broker.ca_file), "user": "device", "answer_timeout_s": 0.5}

        assert await play(options(broker, password="wrong", **more), lines.append) == FAILED
        assert "Not authorized" in next(line for line in lines if line.startswith("failed"))
        assert await play(options(broker, password="right", **more), lines.append) == FAILED
        assert any("no setpoint came" in line for line in lines)


async def test_websockets(tmp_path: Path) -> None:
    """The same over WebSocket."""
    with Broker(tmp_path, websockets=True) as broker:
        lines: list[str] = []
        async with TestClient(broker.port) as client:
            await client.subscribe("ocpp/#")
            async with serving(ScriptedGateway(client)):
                assert await play(options(broker, url=broker.websocket_url), lines.append) == PLAYED, lines


async def test_the_broker_goes_and_comes(broker: Broker) -> None:
    """The charge is held meanwhile; on return everything is said anew."""
    async with device(broker.port) as edge:
        connector = edge.charger.connector(1)
        async with TestClient(broker.port) as client:
            gateway = ScriptedGateway(client)
            edge.feed(Plugged(1, Car()))
            await gateway.set(True)
            await gateway.beat()
            assert await edge.until(lambda: connector.energized, 5)
        broker.kill()
        assert await edge.until(lambda: not edge.charger.connected, 5)
        assert connector.energized
        edge.feed(CardPresented(1, "04A2B3C4"))
        broker.start()
        async with TestClient(broker.port) as client:
            await client.subscribe("ocpp/#")
            assert (await client.next("ocpp/simulated/0/availability")).json()["state"] == "online"
            status = (await client.next("ocpp/simulated/1/status")).json()
            assert status["plugged"]
            assert status["energized"]
            assert client.received("ocpp/simulated/1/card") == []


async def test_connection_loss_ends_in_off(broker: Broker) -> None:
    """Without the broker the lease runs out and the contactor opens by itself."""
    async with device(broker.port) as edge, TestClient(broker.port) as client:
        connector = edge.charger.connector(1)
        gateway = ScriptedGateway(client)
        edge.feed(Plugged(1, Car()))
        await gateway.set(True, valid_s=0.8)
        await gateway.beat()
        assert await edge.until(lambda: connector.energized, 5)

        broker.kill()
        assert await edge.until(lambda: not edge.charger.connected, 5)
        assert await edge.until(lambda: not connector.energized, 2)


async def test_the_will_tells_of_a_broken_connection(broker: Broker) -> None:
    """Cancelled without a goodbye, the broker says offline."""
    async with TestClient(broker.port) as client:
        await client.subscribe("ocpp/simulated/0/availability")
        async with device(broker.port):
            assert (await client.next()).json()["state"] == "online"
        assert (await client.next()).json()["state"] == "offline"


async def test_reset_gives_a_new_boot_id_and_keeps_the_register(broker: Broker) -> None:
    """The result comes first; then the device is gone, and back with another life and nothing energized."""
    async with TestClient(broker.port) as client, device(broker.port) as edge:
        await client.subscribe("ocpp/#")
        gateway = ScriptedGateway(client)
        first = (await client.next("ocpp/simulated/0/info")).json()["boot_id"]
        edge.feed(Plugged(1, Car()))
        await gateway.set(True)
        await gateway.beat()
        await client.next("ocpp/simulated/1/status", where=lambda m: m.json()["charging"])
        before_wh = edge.charger.connector(1).register_wh
        await client.publish("ocpp/simulated/0/command/reset", {"id": "r", "ttl_s": 30, "boot_id": first})

        result = (await client.next("ocpp/simulated/0/result")).json()
        info = (await client.next("ocpp/simulated/0/info", where=lambda m: not m.retain)).json()

        assert result["status"] == "accepted"
        assert info["boot_id"] != first
        assert info["boot_reason"] == "remote_reset"
        assert await edge.until(lambda: edge.charger.connector(1).setpoint is not None, 5)
        assert not edge.charger.connector(1).energized
        assert edge.charger.connector(1).register_wh >= before_wh
        await gateway.beat()
        assert await edge.until(lambda: edge.charger.connector(1).energized, 5)


async def test_the_state_file_keeps_register_and_car(broker: Broker, tmp_path: Path) -> None:
    """A second life begins where the first was killed, with its contactor open."""
    file = tmp_path / "state.json"
    async with TestClient(broker.port) as client:
        gateway = ScriptedGateway(client)
        async with device(broker.port, state_file=file) as edge:
            edge.feed(Plugged(1, Car(ramp_a_per_s=100.0)))
            await gateway.set(True)
            await gateway.beat()
            assert await edge.until(lambda: edge.charger.connector(1).register_wh > 0.5, 5)
        kept_wh = json.loads(file.read_text())["connectors"][0]["register_wh"]
        async with device(broker.port, state_file=file) as edge:
            connector = edge.charger.connector(1)
            assert connector.register_wh == kept_wh > 0
            assert connector.car is not None
            assert await edge.until(lambda: connector.setpoint is not None, 5)
            assert not connector.energized


def test_an_unreadable_state_file_is_refused(tmp_path: Path) -> None:
    """Registers are not reset in silence."""
    file = tmp_path / "state.json"
    file.write_text("{")

    with pytest.raises(ValueError, match="unreadable"):
        load_state(file)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BrokerAddress.at("http://u:secret@h"), "No broker URL"),
        (lambda: BrokerAddress.at("localhost:1883"), "No broker URL"),
        (lambda: BrokerAddress.at("mqtt://h", protocol="4"), "choose 5 or 3.1.1"),
    ],
)
def test_a_wrong_broker_is_refused(make: Callable[[], BrokerAddress], words: str) -> None:
    """The sentence names what is allowed, and no password."""
    with pytest.raises(ValueError, match=words) as error:
        make()

    assert "secret" not in str(error.value)


async def test_a_defect_ends_the_edge(broker: Broker, tmp_path: Path) -> None:
    """A state file that cannot be written is not swallowed: the owner sees the task end."""
    charger = Charger(Options(), iter("ab").__next__)
    edge = MqttEdge(
        charger, BrokerAddress.at(broker.url), state_file=tmp_path / "no such directory" / "state.json"
    )

    with pytest.raises(FileNotFoundError):
        await asyncio.wait_for(edge.run(), 5)
