"""Devices that never heard of the gateway's contract: a whole transaction over their own topics."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.support.broker import Broker
from tests.support.csms import Csms
from tests.support.gateway import CARD, Site
from tests.support.gateway_process import GatewayProcess
from tests.support.mqtt_client import TestClient

BASE = "openevse-7b2c"
ANNOUNCE = "openevse/announce/7b2c"
HERE = {
    "state": "connected",
    "id": "c44f330dxxad",
    "name": BASE,
    "mqtt": BASE,
    "http": "http://192.168.1.43/",
}
GONE = json.dumps({"state": "disconnected", "id": "c44f330dxxad", "name": BASE})


class OpenEvse:
    """An OpenEVSE that retains what it says, as its users are advised."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    async def say(self, **values: Any) -> None:
        for key, value in values.items():
            await self.client.publish(f"{BASE}/{key}", str(value), retain=True)

    async def claimed(self, state: str) -> dict[str, Any]:
        """The next claim to be in this state; none of them is retained."""
        message = await self.client.next(f"{BASE}/claim/set", where=lambda m: m.json()["state"] == state)
        assert not message.retain
        await self.say(status=state)
        document: dict[str, Any] = message.json()
        return document


@contextlib.asynccontextmanager
async def openevse(broker: Broker) -> AsyncIterator[OpenEvse]:
    async with TestClient(broker.port, will=(ANNOUNCE, GONE, 1, True)) as client:
        await client.subscribe(f"{BASE}/#")
        device = OpenEvse(client)
        await client.publish(ANNOUNCE, HERE, retain=True)
        await device.say(
            status="active", state=1, vehicle=0, amp=0, power=0, voltage=232, total_energy="1234.5"
        )
        yield device


def configuration(broker: Broker, csms: Csms) -> dict[str, Any]:
    connector = {"device": {"profile": "openevse", "base": BASE}}
    return {
        "mqtt": {"url": broker.url},
        "stations": [
            {
                "name": "garage",
                "identity": "CP1",
                "csms": {"url": csms.url, "versions": ["1.6"]},
                "connectors": [connector],
                "policy": {"begin_timeout_s": 0.5, "end_timeout_s": 0.5},
            }
        ],
    }


async def test_an_openevse_charges_under_ocpp(tmp_path: Path) -> None:
    """The gateway's process, mosquitto, a strict CSMS and the device's own topics, from plug to unplug."""
    async with Broker(tmp_path) as broker, Csms(versions=["ocpp1.6"]) as csms, openevse(broker) as device:
        gateway = GatewayProcess(tmp_path, configuration(broker, csms))
        async with gateway:
            cp = await csms.station("CP1")
            await device.claimed("disabled")
            await cp.expect(
                "StatusNotification",
                lambda c: c.payload["status"] == "Available" and c.payload["connectorId"] == 1,
            )

            await device.say(vehicle=1, state=254)
            await cp.expect("StatusNotification", lambda c: c.payload["status"] == "Preparing")
            start = {"connectorId": 1, "idTag": CARD}
            assert {"status": "Accepted"} == await cp.call("RemoteStartTransaction", start)
            assert 32 == (await device.claimed("active"))["charge_current"]
            await device.say(state=3, amp=15870, power=3650, pilot=32)
            started = await cp.expect("StartTransaction")
            await cp.expect("StatusNotification", lambda c: c.payload["status"] == "Charging")

            limit = {
                "chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxProfile",
                "chargingProfileKind": "Relative", "transactionId": started.transaction_id,
                "chargingSchedule": {
                    "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]
                },
            }  # fmt: skip
            asked = {"connectorId": 1, "csChargingProfiles": limit}
            assert {"status": "Accepted"} == await cp.call("SetChargingProfile", asked)
            assert 10 == (await device.claimed("active"))["charge_current"]

            await device.say(total_energy="1237.25")
            assert {"status": "Accepted"} == await cp.call(
                "RemoteStopTransaction", {"transactionId": started.transaction_id}
            )
            await device.claimed("disabled")
            await device.say(state=254, amp=0, power=0, total_energy="1237.5")
            ended = await cp.expect("StopTransaction")
            await device.say(vehicle=0, state=1)
            await cp.expect("StatusNotification", lambda c: c.payload["status"] == "Available")

            assert 1_234_500 == started.payload["meterStart"]
            assert 1_237_500 == ended.payload["meterStop"]
            assert "Remote" == ended.payload["reason"]
            assert [] == csms.ledger.anomalies()
            assert [] == gateway.logged("error", "critical")


async def test_a_restarted_gateway_believes_what_the_device_retains_and_not_what_it_remembers(
    tmp_path: Path,
) -> None:
    """The vehicle left while the gateway was away: the stored copies say so, once the device is known to live."""
    async with Broker(tmp_path) as broker, Csms(versions=["ocpp1.6"]) as csms, openevse(broker) as device:
        gateway = GatewayProcess(tmp_path, configuration(broker, csms))
        async with gateway:
            cp = await csms.station("CP1")
            await device.claimed("disabled")
            await device.say(vehicle=1, state=2)
            await cp.expect("StatusNotification", lambda c: c.payload["status"] == "Preparing")
        await device.say(vehicle=0, state=1)
        async with gateway:
            await device.claimed("disabled")
            await cp.expect(
                "StatusNotification",
                lambda c: c.payload["status"] == "Available" and c.payload["connectorId"] == 1,
            )

            await device.client.publish(ANNOUNCE, GONE, retain=True)
            await device.client.publish(ANNOUNCE, HERE, retain=True)
            await device.claimed("disabled")


SHELLY = {"device": {"profile": "shelly-gen2-switch", "base": "shellyplugsg3-1"}}


async def test_a_smart_plug_charges_what_draws_power(tmp_path: Path) -> None:
    """Asked for its state, switched with a timer of its own, measured at both ends, switched off."""
    station = {"connectors": [SHELLY], "policy": {"end_timeout_s": 5}}
    async with Site(tmp_path, "2.0.1", station=station) as site:
        plug = TestClient(site.broker.port, will=("shellyplugsg3-1/online", "false", 1, True))
        async with plug:
            await plug.subscribe("shellyplugsg3-1/rpc")
            await plug.publish("shellyplugsg3-1/online", "true", retain=True)

            async def asked(method: str) -> dict[str, Any]:
                message = await plug.next("shellyplugsg3-1/rpc", where=lambda m: m.json()["method"] == method)
                params: dict[str, Any] = message.json()["params"]
                return params

            async def answer(**status: Any) -> None:
                result = {"id": 0, "voltage": 230.0, **status}
                await plug.publish("shellyplugsg3-1/ocpp/rpc", {"id": 3, "src": "shelly", "result": result})

            await asked("Switch.GetStatus")
            await answer(output=False, apower=0.0, current=0.0, aenergy={"total": 1000.0})
            await site.view("garage/1/state", status="Available", online=True, energized=False)

            await site.card()
            on = await plug.next("shellyplugsg3-1/rpc", where=lambda m: b'"on":true' in m.payload)
            assert {"id": 0, "on": True, "toggle_after": 180} == on.json()["params"]
            notify = {"output": True, "id": 0, "source": "MQTT"}
            await plug.publish(
                "shellyplugsg3-1/events/rpc", {"method": "NotifyStatus", "params": {"switch:0": notify}}
            )
            await answer(output=True, apower=2300.0, current=10.0, aenergy={"total": 1000.0})
            started = await site.started()
            await site.view("garage/1/state", status="Charging")

            plug.forget()
            await site.card()
            assert {"id": 0, "on": False} == await asked("Switch.Set")
            await answer(output=False, apower=0.0, current=0.0, aenergy={"total": 1530.5})
            ended = await site.ended()
            await plug.drop()
            await site.view("garage/1/state", online=False)

        (record,) = site.csms.ledger.transactions("CP1")
        assert record.complete
        assert (1000.0, 1530.5) == (record.meter_start_wh, record.meter_stop_wh)
        assert (
            started.payload["transactionInfo"]["transactionId"]
            == ended.payload["transactionInfo"]["transactionId"]
        )


async def test_its_own_card_starts_a_go_e(tmp_path: Path) -> None:
    """A charger without a last will, whose state the broker keeps: card, start, limit, meter, stop."""
    base = "go-eCharger/000001"
    station = {"connectors": [{"device": {"profile": "go-e", "base": base}}], "policy": {"end_timeout_s": 5}}
    async with Site(tmp_path, "1.6", station=station) as site, TestClient(site.broker.port) as goe:
        await goe.subscribe(f"{base}/+/set")

        async def say(**keys: object) -> None:
            for key, value in keys.items():
                await goe.publish(f"{base}/{key}", json.dumps(value), retain=key != "rbt")

        async def told(key: str) -> object:
            message = await goe.next(f"{base}/{key}/set")
            assert not message.retain
            return message.json()

        await say(car=1, err=0, alw=False, lri=None, eto=333661, rbt=498429772)
        assert 1 == await told("frc")
        await site.view("garage/1/state", status="Available", online=True)
        await say(car=3)
        await site.view("garage/1/state", status="Preparing")

        await say(lri="04A2B3C4D5E6F7")
        assert 32 == await told("amp")
        assert 2 == await told("frc")
        await say(alw=True, acu=16, car=2, nrg=[230, 230, 230, 0, 16, 16, 16, 0, 0, 0, 0, 11040])
        started = await site.started()
        await site.view("garage/1/state", status="Charging", limit_device_a=16.0)

        assert "ok" == (await site.ask("limit", "9.7"))["status"]
        assert 9 == await told("amp")
        assert 2 == await told("frc")
        # A charger that connects anew says all its keys again, the last card too: nobody showed it.
        await say(lri="04A2B3C4D5E6F7", alw=True, car=2, eto=334000, acu=9)
        await site.view("garage/1/state", status="Charging", limit_device_a=9.0)
        assert [] == [m for m in goe.received(f"{base}/frc/set") if m.json() == 1][1:]

        assert "ok" == (await site.ask("stop"))["status"]
        assert 1 == await told("frc")
        await say(alw=False, car=4, eto=335000.5, nrg=[230, 230, 230, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        ended = await site.ended()

        assert "04A2B3C4D5E6F7" == started.payload["idTag"]
        assert (333661, 335000) == (started.payload["meterStart"], ended.payload["meterStop"])


async def test_a_card_at_a_tasmota_reader_switches_a_zigbee_plug(tmp_path: Path) -> None:
    """Two devices of two makers are one connector: card, start, readings, the same card, stop."""
    base = "zigbee2mqtt/garage/plug"
    devices = [
        {"profile": "zigbee2mqtt-plug", "base": base, "parameters": {"on_time": "180"}},
        {"profile": "tasmota-rfid", "base": "rfid-garage"},
    ]
    policy = {"end_timeout_s": 5, "card_debounce_s": 0}
    station = {"connectors": [{"device": devices}], "policy": policy}
    async with Site(tmp_path, "2.0.1", station=station) as site, TestClient(site.broker.port) as z2m:
        await z2m.subscribe(f"{base}/+")

        async def told(name: str) -> dict[str, Any]:
            message = await z2m.next(f"{base}/{name}")
            assert not message.retain
            document: dict[str, Any] = message.json()
            return document

        async def card() -> None:
            rc522 = {"UID": "BA839D07", "Data": "", "Type": "MIFARE 1KB"}
            await z2m.publish("tele/rfid-garage/SENSOR", {"Time": "2021-01-23T13:10:50", "RC522": rc522})

        await z2m.publish("zigbee2mqtt/bridge/state", {"state": "online"}, retain=True)
        await z2m.publish(f"{base}/availability", {"state": "online"}, retain=True)
        assert {"state": ""} == await told("get")
        await z2m.publish(base, {"state": "OFF", "power": 0, "current": 0, "energy": 1.92, "voltage": 233})
        await z2m.publish("tele/rfid-garage/LWT", "Online", retain=True)
        await site.view("garage/1/state", status="Available", online=True, energized=False)

        z2m.forget()
        await card()
        assert {"state": "ON", "on_time": 180} == await told("set")
        await z2m.publish(base, {"state": "ON", "power": 2300, "current": 10, "energy": 1.92, "voltage": 230})
        started = await site.started()
        await site.view("garage/1/state", status="Charging")
        await z2m.publish(base, {"state": "ON", "power": 2310, "current": 10, "energy": 2.42, "voltage": 230})
        await site.view("garage/1/meter/state", energy_import_wh=2420.0)

        z2m.forget()
        await card()
        assert {"state": "OFF"} == await told("set")
        await z2m.publish(base, {"state": "OFF", "power": 0, "current": 0, "energy": 2.43, "voltage": 233})
        ended = await site.ended()

        (record,) = site.csms.ledger.transactions("CP1")
        assert record.complete
        assert (1920.0, 2430.0) == (record.meter_start_wh, record.meter_stop_wh)
        assert "BA839D07" == started.payload["idToken"]["idToken"]
        assert "StopAuthorized" == ended.payload["triggerReason"]


async def test_a_station_that_only_reports_leaves_a_foreign_device_alone(tmp_path: Path) -> None:
    """A Zigbee plug that somebody else switches: its session is told, and nothing is said to it."""
    base = "zigbee2mqtt/garage/plug"
    station = {
        "mode": "report_only",
        "connectors": [{"device": {"profile": "zigbee2mqtt-plug", "base": base}}],
        "policy": {"reported_token": {"token": "PLUG"}},
    }
    async with Site(tmp_path, "1.6", station=station) as site, TestClient(site.broker.port) as plug:
        await plug.subscribe(f"{base}/set")
        await plug.publish(f"{base}/availability", {"state": "online"}, retain=True)
        await plug.publish(base, {"state": "ON", "power": 0, "energy": 1.92})
        await site.view("garage/1/state", status="Available", energized=True)
        await plug.publish(base, {"state": "ON", "power": 2300, "energy": 1.92})
        started = await site.started()
        await plug.publish(base, {"state": "OFF", "power": 0, "energy": 2.5})
        ended = await site.ended()

        assert ("PLUG", 1920) == (started.payload["idTag"], started.payload["meterStart"])
        assert 2500 == ended.payload["meterStop"]
        assert [] == plug.received(f"{base}/set")


async def test_what_no_device_says_any_more_is_not_listened_to(tmp_path: Path) -> None:
    """A device that left the configuration is no complaint: the broker's session forgets its topics."""
    async with Broker(tmp_path) as broker, Csms(versions=["ocpp1.6"]) as csms, openevse(broker) as device:
        async with GatewayProcess(tmp_path, configuration(broker, csms)):
            await csms.station("CP1")
            await device.claimed("disabled")
        without = configuration(broker, csms)
        del without["stations"][0]["connectors"]
        async with GatewayProcess(tmp_path, without) as gateway, TestClient(broker.port) as listener:
            await listener.subscribe("ocpp/#")
            await listener.next("ocpp/bridge/state", where=lambda m: m.json()["state"] == "online")
            await device.say(state=2)  # the broker's session still knows the topic; it is dropped after this
            await listener.publish("ocpp/bridge/request/health")
            before = (await listener.next("ocpp/bridge/response/health")).json()["data"]["counters"]
            await device.say(state=2)
            await listener.publish("ocpp/bridge/request/health")
            after = (await listener.next("ocpp/bridge/response/health")).json()["data"]["counters"]

            assert "unknown_topic" not in after
            assert before["mqtt_received"] + 1 == after["mqtt_received"]  # the second request for health
            assert [] == gateway.logged("error", "critical")
