"""Another configuration while the gateway runs: stations come, change and go, and the others do not notice."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import structlog

from gateway.mqtt.topics import BRIDGE
from gateway.store import Store, Write
from tests.support.broker import Broker
from tests.support.csms import Csms
from tests.support.gateway import CARD, Site
from tests.support.gateway_process import GatewayProcess
from tests.support.mqtt_client import TestClient

if TYPE_CHECKING:
    from pathlib import Path

ALLOWED = {"gateway": {"allow_requests": ["health", "reload"]}}


def with_stations(site: Site, *more: dict[str, Any]) -> dict[str, Any]:
    """The settings of the site, with more stations."""
    document = site.configuration()
    first = document["stations"][0]
    others = [{"csms": first["csms"], "policy": first["policy"], **one} for one in more]
    return document | {"stations": [first, *others]}


async def reload(site: Site) -> dict[str, Any]:
    await site.mqtt.publish("ocpp/bridge/request/reload", {"id": "r"})
    return await site.view("bridge/response/reload", id="r")


async def test_stations_come_and_go_beside_a_running_transaction(tmp_path: Path) -> None:
    """The one that runs is not touched: no frame, no setpoint, no new connection."""
    async with Site(tmp_path, "1.6", settings=ALLOWED) as site:
        await site.charge()
        site.cp.forget()
        site.mqtt.forget()
        site.running.write(with_stations(site, {"name": "yard", "identity": "CP2"}))
        added = await reload(site)
        await site.csms.identity("CP2").until(
            lambda: True if site.csms.identity("CP2").registration == "Accepted" else None
        )
        await site.view("yard/0/state", registration="Accepted")
        assert ["garage", "yard"] == (await site.view("bridge/info"))["stations"]

        await site.mqtt.publish("ocpp/yard/1/status", {"plugged": True, "energized": False})
        await site.mqtt.publish("ocpp/yard/1/card", {"id_token": CARD, "id": "y1"})
        await site.view("yard/1/setpoint", energize=True)
        await site.mqtt.publish("ocpp/yard/1/status", {"energized": True, "charging": True})
        await site.view("yard/1/state", status="Charging")
        site.running.write(site.configuration())
        site.mqtt.forget()
        removed = await reload(site)
        await site.view("yard/1/setpoint", energize=False)
        for topic in ("setpoint", "state", "transaction", "meter/state"):
            await site.mqtt.next(f"ocpp/yard/1/{topic}", where=lambda m: not m.payload)
        assert ["garage"] == (await site.view("bridge/info"))["stations"]

        assert ("ok", "added yard") == (added["status"], added["data"]["result"])
        assert "removed yard" == removed["data"]["result"]
        assert 1 == site.cp.connections
        assert [] == site.mqtt.received("ocpp/garage/1/setpoint")[3:]
        await site.finish()
        (record,) = site.csms.ledger.transactions("CP1")
        assert record.complete


async def test_a_station_that_changes_goes_on_with_its_transaction(tmp_path: Path) -> None:
    """Its policy is another, its link new; what is known of its device is still true, so nothing is switched off."""
    async with Site(tmp_path, "1.6", settings=ALLOWED) as site:
        await site.charge()
        site.mqtt.forget()
        site.change(policy={"clear_token_in_state": True})
        answer = await reload(site)
        await site.cp.connection(2)
        await site.view("garage/1/transaction", active=True, id_token=CARD)
        said = await site.setpoint()
        await site.finish()

        assert "changed garage" == answer["data"]["result"]
        assert said["energize"]
        (record,) = site.csms.ledger.transactions("CP1")
        assert record.complete


async def test_a_configuration_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    """The answer says what is wrong; what needs a restart is named, and left as it is."""
    async with Site(tmp_path, "1.6", settings=ALLOWED) as site:
        broken = site.configuration()
        broken["stations"][0]["conectors"] = 2
        site.running.write(broken)
        refused = await reload(site)
        site.running.write(site.configuration() | {"health": {"host": "::1"}})
        later = await reload(site)
        nothing = await reload(site)

        assert "error" == refused["status"]
        assert "conectors" in refused["error"]
        assert "what needs a restart of the gateway: health" == later["data"]["result"]
        assert later["data"] == nothing["data"]
        assert 1 == site.cp.connections


async def test_a_foreign_device_comes_with_its_station(tmp_path: Path) -> None:
    """Its topics are listened to from then on, and what the broker keeps of it counts."""
    plug = {"profile": "zigbee2mqtt-plug", "base": "zigbee2mqtt/plug"}
    async with Site(tmp_path, "1.6", settings=ALLOWED) as site, TestClient(site.broker.port) as device:
        await device.publish("zigbee2mqtt/plug/availability", {"state": "online"}, retain=True)
        await device.publish("zigbee2mqtt/plug", {"state": "OFF", "power": 0, "energy": 1.92}, retain=True)
        yard = {"name": "yard", "identity": "CP2", "connectors": [{"device": plug}]}
        site.running.write(with_stations(site, yard))
        await reload(site)
        shown = await site.view("yard/1/state", status="Available", energized=False)
        await site.view("yard/1/meter/state", energy_import_wh=1920.0)

        assert shown["online"]


async def test_reload_is_not_allowed_by_default(tmp_path: Path) -> None:
    """Whoever may write to the broker may not change the gateway."""
    async with Site(tmp_path) as site:
        answer = await reload(site)

        assert "error" == answer["status"]
        assert "allow_requests" in answer["error"]


TAKES_IN = {
    "gateway": {"allow_requests": ["health", "candidates", "station_add", "station_remove"]},
}


async def ask(site: Site, action: str, payload: object = "") -> dict[str, Any]:
    document = {"name": payload} if payload else {}
    await site.mqtt.publish(f"ocpp/bridge/request/{action}", {"id": action, **document})
    return await site.view(f"bridge/response/{action}", id=action)


async def test_a_device_that_introduces_itself_is_taken_in(tmp_path: Path) -> None:
    """It is listed, becomes a station by the template, outlives a restart, and can be taken back."""
    async with Site(tmp_path, "1.6", settings=TAKES_IN) as site:
        template = {"csms": site.configuration()["stations"][0]["csms"], "vendor": "ACME"}
        document = site.configuration()
        document["gateway"] |= {"station_template": template}
        site.running.write(document)
        await site.restart()
        info = {"contract": 1, "vendor": "Box Inc.", "serial": "7", "connectors": [{"n": 1}, {"n": 2}]}
        await site.mqtt.publish("ocpp/yard/0/info", info, retain=True)
        await site.complaint("unknown_station")
        listed = (await ask(site, "candidates"))["data"]["candidates"]
        answer = await ask(site, "station_add", "yard")
        boot = await (await site.csms.station("yard")).expect("BootNotification")
        await site.view("yard/2/state")
        again = await ask(site, "candidates")
        await site.restart()
        assert ["garage", "yard"] == (await site.view("bridge/info"))["stations"]
        removed = await ask(site, "station_remove", "yard")
        not_ours = await ask(site, "station_remove", "garage")

        (one,) = listed
        assert ("yard", "Box Inc.", "7", 2) == (one["name"], one["vendor"], one["serial"], one["connectors"])
        assert "added yard" == answer["data"]["result"]
        assert "ACME" == boot.payload["chargePointVendor"]
        assert [] == again["data"]["candidates"]
        assert "removed yard" == removed["data"]["result"]
        assert "was not added by a request" in not_ours["error"]


async def test_an_end_in_the_middle_of_a_reload_is_clean(tmp_path: Path) -> None:
    """Nobody goes on changing stations of a gateway that is gone; the transaction stays for its next start."""
    async with Site(tmp_path, "1.6", settings=ALLOWED) as site:
        await site.charge()
        document = site.configuration()
        document["stations"][0]["name"] = "yard"
        site.running.write(document)
        site.mqtt.forget()
        await site.mqtt.publish("ocpp/bridge/request/reload", {"id": "r"})
        await site.setpoint(energize=False)
        await site.running.stop()

        assert [] == [task for task in asyncio.all_tasks() if task.get_name() == "reload"]


async def test_two_at_once_are_both_taken_in(tmp_path: Path) -> None:
    """The second is not judged before the first is kept."""
    async with Site(tmp_path, "1.6", settings=TAKES_IN) as site:
        document = site.configuration()
        document["gateway"] |= {"station_template": {"csms": document["stations"][0]["csms"]}}
        site.running.write(document)
        await site.restart()
        for name in ("east", "west"):
            await site.mqtt.publish("ocpp/bridge/request/station_add", {"id": name, "name": name})
        answers = [await site.view("bridge/response/station_add", id=name) for name in ("east", "west")]
        await (await site.csms.station("west")).expect("BootNotification")

        assert ["added east", "added west"] == [answer["data"]["result"] for answer in answers]
        assert await site.view("bridge/info", stations=["east", "garage", "west"])


async def test_an_added_station_that_the_store_spoilt_disturbs_no_other(tmp_path: Path) -> None:
    """The log names it and says what to do."""
    async with Site(tmp_path, "1.6", settings=TAKES_IN) as site:
        await site.running.stop()
        store = Store.open(site.running.database)
        store.submit(BRIDGE, [Write("added_station", "yard", b"\x00")], lambda _error: None)
        await store.close()
        site.mqtt.forget()
        with structlog.testing.capture_logs() as logs:
            await site.running.start()
            info = await site.view("bridge/info")

        (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
        assert "yard" == entry["station"]
        assert "add it again" in entry["event"]
        assert ["garage"] == info["stations"]


async def test_who_cannot_be_a_station_is_not_taken_in(tmp_path: Path) -> None:
    """The answer says why, and nothing is kept of it."""
    async with Site(tmp_path, "1.6", settings=TAKES_IN) as site:
        taken = await ask(site, "station_add", "garage")
        same = await ask(site, "station_add", "GARAGE")
        odd = await ask(site, "station_add", "not a name")
        without = await ask(site, "station_add", "yard")
        await site.restart()

        assert ["error"] * 4 == [answer["status"] for answer in (taken, same, odd, without)]
        assert "not a name" in odd["error"]
        assert "csms" in without["error"]
        assert ["garage"] == (await site.view("bridge/info"))["stations"]


async def test_sighup_reads_the_configuration_again(tmp_path: Path) -> None:
    """As every daemon does; a mistake is logged, and the process goes on."""
    async with Broker(tmp_path) as broker, Csms(versions=["ocpp1.6"]) as csms:
        station = {"name": "garage", "csms": {"url": csms.url, "versions": ["1.6"]}}
        document: dict[str, Any] = {"mqtt": {"url": broker.url}, "stations": [station]}
        gateway = GatewayProcess(tmp_path, document)
        async with gateway, TestClient(broker.port) as client:
            await csms.station("garage")
            await client.subscribe("ocpp/bridge/info")
            await client.next("ocpp/bridge/info")
            gateway.write(document | {"stations": [station, {**station, "name": "yard"}]})
            gateway.signal(signal.SIGHUP)
            await csms.station("yard")
            gateway.write(document | {"stations": []})
            gateway.signal(signal.SIGHUP)
            gateway.write(document)
            gateway.signal(signal.SIGHUP)
            await client.next("ocpp/bridge/info", where=lambda m: m.json()["stations"] == ["garage"])

            assert gateway.running
