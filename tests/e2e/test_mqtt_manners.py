"""Epoch, lease, will and session: what devices may rely on when the gateway, the broker or a device goes and comes."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from gateway.daemon import SecondGatewayError
from tests.support.broker import Broker
from tests.support.csms import Csms
from tests.support.gateway import RunningGateway, Site
from tests.support.gateway_process import GatewayProcess
from tests.support.mqtt_client import Received, TestClient

if TYPE_CHECKING:
    from pathlib import Path


def _index(messages: list[Received], topic: str, **fields: Any) -> int:
    return next(
        number
        for number, m in enumerate(messages)
        if m.topic == topic and m.payload and fields.items() <= m.json().items()
    )


async def test_a_broker_restart_brings_a_new_epoch_and_setpoints_before_online(tmp_path: Path) -> None:
    """Everything is said anew, setpoints first; a device that speaks up again is energized again."""
    async with Site(tmp_path, "2.0.1", station={"connectors": 2}) as site:
        await site.charge()
        (old,) = {m.json()["epoch"] for m in site.mqtt.received("ocpp/garage/1/setpoint")}
        site.broker.restart()
        await asyncio.wait_for(site.mqtt.disconnected.wait(), 5)
        async with TestClient(site.broker.port) as watcher:
            await watcher.subscribe("ocpp/#")
            online = await watcher.next("ocpp/bridge/state", where=lambda m: m.json()["state"] == "online")
            epoch = online.json()["epoch"]
            await watcher.next("ocpp/bridge/info")
            order = list(watcher.messages)
            await watcher.publish(
                "ocpp/garage/1/status", {"plugged": True, "energized": False, "charging": False, "errors": []}
            )
            await watcher.next("ocpp/garage/1/setpoint", where=lambda m: m.json()["energize"])

        assert epoch != old
        at = _index(order, "ocpp/bridge/state", state="online")
        assert _index(order, "ocpp/garage/1/setpoint", epoch=epoch, energize=False) < at
        assert _index(order, "ocpp/garage/2/setpoint", epoch=epoch, energize=False) < at


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_after_a_restart_nothing_is_energized_until_the_device_has_spoken(
    tmp_path: Path, version: str
) -> None:
    """Off with the new epoch, on again after a fresh status; the same transaction goes on without a gap."""
    async with Site(tmp_path, version) as site:
        started = await site.charge()
        number = len(site.mqtt.messages)
        await site.restart()
        off = await site.setpoint()
        silent = [m.json()["energize"] for m in site.mqtt.received("ocpp/garage/1/setpoint")[-1:]]
        await site.status(plugged=True, energized=True, charging=True, errors=[])
        on = await site.setpoint(energize=True)
        ended = await site.finish()

        states = [m.json()["state"] for m in site.mqtt.messages[number:] if m.topic == "ocpp/bridge/state"]
        assert "stopping" == next(state for state in states if state != "online")
        assert [False] == silent
        assert not off["energize"]
        assert off["epoch"] == on["epoch"]
        (record,) = site.csms.ledger.transactions()
        assert record.complete
        assert [] == record.missing_numbers()
        assert ended.transaction_id == started.transaction_id


async def test_the_will_says_offline_and_the_next_life_resumes(tmp_path: Path) -> None:
    """SIGKILL: `offline`; SIGTERM: `stopping`, exit code 0 within seconds."""
    with Broker(tmp_path) as broker:
        async with Csms() as csms, TestClient(broker.port) as watcher:
            await watcher.publish("ocpp/bridge/state", {"state": "stopping"}, retain=True)
            await watcher.subscribe("ocpp/bridge/state")
            configuration = {
                "mqtt": {"url": broker.url},
                "stations": [{"name": "garage", "identity": "CP1", "csms": csms.url}],
            }
            async with GatewayProcess(tmp_path, configuration) as process:
                online = await _state(watcher, "online")
                process.kill()
                offline = await _state(watcher, "offline")
                await process.exit_code()
                await process.start()
                again = await _state(watcher, "online")
                began = time.monotonic()
                code = await process.stop()
                took_s = time.monotonic() - began
                await _state(watcher, "stopping")

        assert online["instance"] == offline["instance"] == again["instance"]
        assert online["epoch"] != again["epoch"]
        assert 0 == code
        assert took_s < 4


async def test_a_second_gateway_on_the_prefix_refuses_to_start(tmp_path: Path) -> None:
    """Exit code 3 and a sentence; the first one goes on undisturbed, and energizes as before."""
    async with Site(tmp_path) as site:
        await site.charge()
        other = tmp_path / "other"
        other.mkdir()
        configuration = site.configuration()
        configuration["stations"][0]["identity"] = "CP2"
        process = GatewayProcess(other, configuration)
        await process.start()
        code = await process.exit_code(15)
        await site.finish()

        assert 3 == code
        assert "Another gateway" in process.log
        assert "mqtt.prefix" in process.log
        own = site.gateway.instance
        said = [m.json() for m in site.mqtt.received("ocpp/bridge/state")]
        assert {own} == {state["instance"] for state in said if state.get("instance")}


async def test_a_gateway_that_is_joined_by_another_one_keeps_its_place(tmp_path: Path) -> None:
    """Whoever was there first stays; the newcomer fails by itself, in the same process too."""
    async with Site(tmp_path) as site:
        other = tmp_path / "other"
        other.mkdir()
        configuration = site.configuration()
        configuration["stations"][0]["identity"] = "CP2"
        newcomer = RunningGateway(other, configuration)
        await newcomer.start()
        with pytest.raises(SecondGatewayError, match=site.gateway.instance):
            await newcomer.ended()
        await site.charge()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_card_that_waited_in_the_broker_acts_only_while_it_is_young(
    tmp_path: Path, protocol: str
) -> None:
    """Shown while the gateway is away: with a fresh timestamp it acts, with an old one or none it is late."""
    station = {
        "connectors": 3,
        "policy": {"gesture_max_age_s": 20},
        "variables": {
            "AuthCtrlr.OfflineTxForUnknownIdEnabled": True
        },  # the CSMS may be back later than the broker
    }
    async with Site(tmp_path, station=station, settings={"mqtt": {"protocol": protocol}}) as site:
        for n in (1, 2, 3):
            await site.plug(n)
        await site.view("garage/3/state", plugged=True)
        await site.running.stop()
        site.mqtt.forget()
        await site.card("FRESH", 1, timestamp=time.time() - 2)
        await site.card("STALE", 2, timestamp=time.time() - 60)
        await site.card("TIMELESS", 3)
        await site.running.start()
        stale, timeless = await site.event(2, "card", "late"), await site.event(3, "card", "late")
        await site.plug(1)
        await site.setpoint(1, energize=True)
        started = await site.cp.expect(
            "TransactionEvent", lambda call: call.payload["eventType"] == "Started", 10
        )

        assert "FRESH" == started.payload["idToken"]["idToken"]
        assert "STALE" not in str(stale)
        assert timeless["event_type"] == "late"
        asked = {c.payload["idToken"]["idToken"] for c in site.cp.calls if c.action == "Authorize"}
        assert asked <= {"FRESH"}


async def test_a_gesture_id_is_remembered_over_a_restart(tmp_path: Path) -> None:
    """A card delivered again after a restart does not stop what it started."""
    async with Site(tmp_path) as site:
        await site.meter(1.0)
        await site.plug()
        await site.card(id="once", timestamp=time.time())
        await site.setpoint(energize=True)
        await site.started()
        await site.restart()
        await site.status(plugged=True, energized=True, charging=True)
        await site.setpoint(energize=True)
        await site.card(id="once", timestamp=time.time())
        await site.cp.round_trip()
        await site.finish()
        (record,) = site.csms.ledger.transactions()
        assert record.complete


async def test_a_device_that_vanishes_is_faulted_after_its_grace_and_taken_up_on_return(
    tmp_path: Path,
) -> None:
    """Its will: off at once, Faulted after the grace; back again, the CSMS hears how things are, the charge goes on."""
    async with Site(tmp_path, "1.6", station={"policy": {"offline_grace_s": 1}}) as site:
        topic = "ocpp/garage/1/availability"
        device = TestClient(site.broker.port, will=(topic, "offline", 1, True))
        await device.connect()
        await device.publish(topic, "online", retain=True)
        started = await site.charge()
        site.mqtt.forget()
        await device.drop()
        await site.setpoint(energize=False)
        await site.view("garage/1/state", stale=True, online=False)
        gone = await site.event(1, "error", "device_vanished")
        await site.cp.expect("StatusNotification", lambda call: call.payload["status"] == "Faulted")
        await site.mqtt.publish(topic, "online", retain=True)
        await site.status(plugged=True, energized=True, charging=True, errors=[])
        await site.setpoint(energize=True)
        await site.cp.expect("StatusNotification", lambda call: call.payload["status"] == "Charging")
        ended = await site.finish()

        assert gone["since_s"] == 1
        assert started.transaction_id == ended.payload["transactionId"]


async def test_what_a_broker_keeps_of_what_went_is_cleared(tmp_path: Path) -> None:
    """A station, or a connector of it, that leaves the configuration leaves no retained setpoint or state behind."""
    async with Site(tmp_path, station={"connectors": 3}) as site:
        configuration = site.configuration()
        configuration["stations"][0]["connectors"] = 1
        await site.running.stop()
        site.running = RunningGateway(tmp_path, configuration)
        await site.running.start()
        await site.mqtt.next("ocpp/garage/3/setpoint", where=lambda m: not m.payload)
        await site.mqtt.next("ocpp/garage/2/setpoint", where=lambda m: not m.payload)
        await site.running.stop()
        fewer = await _kept(site.broker.port)
        configuration["stations"] = [{"name": "other", "identity": "CP9", "csms": site.csms.url}]
        site.running = RunningGateway(tmp_path, configuration)
        await site.running.start()
        await site.mqtt.next("ocpp/garage/1/setpoint", where=lambda m: not m.payload)
        await site.running.stop()

        assert {"0", "1"} == {topic.split("/")[2] for topic in fewer}
        assert set() == await _kept(site.broker.port)


async def _kept(port: int) -> set[str]:
    async with TestClient(port) as newcomer:
        await newcomer.subscribe("ocpp/garage/#", "end")
        await newcomer.publish("end")
        await newcomer.next("end")
        return {m.topic for m in newcomer.messages} - {"end"}


async def _state(watcher: TestClient, state: str) -> dict[str, Any]:
    found = await watcher.next(
        "ocpp/bridge/state", 10, where=lambda m: m.json()["state"] == state and "epoch" in m.json()
    )
    document: dict[str, Any] = found.json()
    return document
