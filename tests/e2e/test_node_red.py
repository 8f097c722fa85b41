"""The flows of config/node-red in a real Node-RED do what their comments say, against the gateway and a real broker."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import pytest

from tests.support.broker import Broker
from tests.support.gateway import CARD, Site
from tests.support.mqtt_client import TestClient
from tests.support.node_red import FLOWS, NodeRed, Sidebar, flow, house_broker, merged, why_not

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

NAMES = sorted(path.name for path in FLOWS.glob("*.json"))
ACCOUNTS = {"nodered": "red", "garage": "car", "home": "sweet"}
"""With the rights of mosquitto/acl; `home` is for the devices of the house. The tests are nobody, and may all."""
SOCKET = {"limiting": "on_off", "max_current_a": 16, "phases": 1}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Broker:
    """One port for all tests; each starts and stops it, so Node-RED reconnects for each."""
    return house_broker(tmp_path_factory.mktemp("mosquitto"), ACCOUNTS)


@pytest.fixture(scope="module")
def node_red(tmp_path_factory: pytest.TempPathFactory, broker: Broker) -> Iterator[NodeRed]:
    directory = tmp_path_factory.mktemp("node-red")
    with NodeRed(directory, accounts=ACCOUNTS, env={"OCPP_MQTT_URL": broker.url}) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_to_complain_about(node_red: NodeRed) -> Iterator[None]:
    """Whatever a flow does, Node-RED has neither an error nor a warning to log."""
    before = len(node_red.complaints)
    yield
    assert [] == node_red.complaints[before:]


@contextlib.asynccontextmanager
async def house(site: Site) -> AsyncIterator[TestClient]:
    """The relay, the meter and the rest of the house: hears what they are told."""
    async with TestClient(site.broker.port) as client:
        await client.subscribe("cmnd/#", "home/#")
        yield client


async def test_every_type_is_installed(node_red: NodeRed, broker: Broker) -> None:
    """All flows run beside each other in a Node-RED without one package more, and can be imported from its library."""
    with broker:
        async with node_red.flows(broker, *NAMES):
            core = [
                entry
                for entry in await node_red.ask("/nodes")
                if entry["module"] == "node-red" and entry["enabled"]
            ]
            running = await node_red.ask("/flows")
            library = await node_red.ask("/library/local/flows/ocpp/")
            stored = await node_red.ask("/library/local/flows/ocpp/monitor.json")

    everything = merged(*(flow(name) for name in NAMES))
    assert {node["type"] for node in everything} - {"tab"} <= {
        kind for entry in core for kind in entry["types"]
    }
    assert len(everything) == len(running["flows"])
    assert NAMES == sorted(entry["fn"] for entry in library)
    assert flow("monitor.json") == (json.loads(stored) if isinstance(stored, str) else stored)


async def test_the_monitor_shows_what_is_going_on(tmp_path: Path, node_red: NodeRed, broker: Broker) -> None:
    """A charge, an event, a fault, a connector that leaves, a gateway that goes: a page, JSON and the sidebar tell."""
    async with (
        Site(tmp_path, "1.6", broker=broker, station={"connectors": 2}) as site,
        node_red.sidebar() as sidebar,
        node_red.flows(broker, "monitor.json"),
    ):
        await site.charge(energy_wh=1500.0)
        await sidebar.next("what is new", topic="ocpp/garage/1/event/transaction")
        charging = await until(sidebar, "ocpp/garage/1/state", status="Charging")
        await until(sidebar, "ocpp/garage/1/transaction", active=True)
        await until(sidebar, "ocpp/garage/1/meter/state", energy_import_wh=1500.0)
        view = await node_red.ask("/ocpp/status")
        page = await node_red.ask("/ocpp", accept="text/html")
        await site.status(errors=["GroundFailure"])
        await until(sidebar, "ocpp/garage/1/state", status="Faulted")
        faulted = await node_red.ask("/ocpp", accept="text/html")
        site.change(connectors=1)
        await site.restart()
        for channel in ("state", "transaction", "meter/state"):
            await sidebar.next("what is new", topic=f"ocpp/garage/2/{channel}", payload=None)
        left = await node_red.ask("/ocpp/status")
        await site.running.stop()
        await until(sidebar, "ocpp/bridge/state", state="stopping")
        gone = await node_red.ask("/ocpp/status")

    assert charging["charging"] is True
    assert ("online", True) == (view["gateway"]["state"], view["stations"][0]["connected"])
    first, second = view["stations"][0]["connectors"]
    assert ("Charging", True, 1500, True) == tuple(
        first[k] for k in ("status", "plugged", "energy_import_wh", "active")
    )
    assert 2 == second["connector"]
    assert {"card", "transaction"} == {event["kind"] for event in view["events"]}
    assert CARD not in json.dumps(view)
    assert "Charging" in page
    assert "1500 Wh" in page
    assert 'class="Faulted">Faulted GroundFailure' in faulted
    assert [1] == [connector["connector"] for connector in left["stations"][0]["connectors"]]
    assert "stopping" == gone["gateway"]["state"]


async def until(sidebar: Sidebar, topic: str, **fields: Any) -> Any:
    """The next document on this topic, as the monitor shows it, whose keys have these values."""
    while True:
        said = (await sidebar.next("what is new", topic=topic))["payload"]
        if said is not None and fields.items() <= said.items():
            return said


async def test_cards_are_decided_by_a_function(tmp_path: Path, node_red: NodeRed, broker: Broker) -> None:
    """The operator is asked about unknown ones only; a group ends each other's; the sidebar shows verdicts."""
    station = {"policy": {"authorizer": "mqtt"}}
    family = {"status": "accepted", "group": "family"}
    cards = json.dumps({CARD: family, "0499887766": family, "04FFFFFF": "refused"})
    async with (
        Site(tmp_path, "1.6", broker=broker, station=station) as site,
        node_red.flows(broker, "card-authorization.json", CARDS=cards),
        node_red.sidebar() as sidebar,
    ):
        await site.unplug()
        for card, verdict in (
            ("04ffffff", "refused"),
            ("ACME", "accepted"),
            ("ACME", "cancelled"),
            (CARD.lower(), "accepted"),
        ):
            await site.card(card)
            await site.event(1, "card", verdict)
            shown = json.loads((await sidebar.next("cards"))["payload"])
            assert verdict == shown["event_type"]
        await site.plug()
        started = await site.started()
        await site.setpoint(energize=True)
        await site.card("0499887766")
        await site.setpoint(energize=False)

    assert ["ACME"] == [call.payload["idTag"] for call in site.cp.calls if call.action == "Authorize"]
    assert CARD.lower() == started.payload["idTag"]


async def test_the_operator_closes_a_relay_and_its_feedback_is_reported(
    tmp_path: Path, node_red: NodeRed, broker: Broker
) -> None:
    """Remote start, a charge, remote stop; a relay that goes away, and one that does not obey."""
    async with (
        Site(tmp_path, "1.6", broker=broker, station={"connector": SOCKET}) as site,
        house(site) as relay,
        node_red.flows(broker, "relay.json"),
    ):
        await obeys(relay, "OFF")
        await relay.publish("garage/plug", "ON")
        plugged = await site.view("garage/1/status", plugged=True)
        await site.cp.expect("StatusNotification", lambda call: call.payload["status"] == "Preparing")
        start = {"connectorId": 1, "idTag": CARD}
        accepted = await site.cp.call("RemoteStartTransaction", start)
        await obeys(relay, "ON")
        energized = await site.view("garage/1/status", energized=True)
        started = await site.started()
        stop = {"transactionId": started.transaction_id}
        stopped = await site.cp.call("RemoteStopTransaction", stop)
        await obeys(relay, "OFF")
        await site.view("garage/1/status", energized=False)
        ended = await site.ended()
        await relay.publish("tele/plug/LWT", "Offline", retain=True)
        away = await site.mqtt.next("ocpp/garage/1/availability/evse")
        await relay.publish("tele/plug/LWT", "Online", retain=True)
        back = await site.mqtt.next("ocpp/garage/1/availability/evse")
        site.mqtt.forget("ocpp/garage/1/status")
        await relay.publish("stat/plug/POWER", "ON")
        stuck = await site.view("garage/1/status", errors=["PowerSwitchFailure"])
        await obeys(relay, "OFF")
        well = await site.view("garage/1/status", errors=[], energized=False)

    assert {"status": "Accepted"} == accepted == stopped
    assert [False, True] == [plugged["energized"], stuck["energized"]]
    assert energized["revision"] > plugged["revision"]
    assert "Remote" == ended.payload["reason"]
    assert (b"offline", b"online") == (away.payload, back.payload)
    assert well["revision"] == stuck["revision"] > energized["revision"]


async def obeys(relay: TestClient, word: str) -> None:
    """The relay is told this and does it."""
    await relay.next("cmnd/plug/POWER", where=lambda m: m.payload == word.encode())
    await relay.publish("stat/plug/POWER", word)


async def test_a_relay_keeps_the_rules_of_a_device(node_red: NodeRed, broker: Broker) -> None:
    """No lease, another epoch, an older revision, a plug that came afterwards: each keeps it open."""
    lease = {"state": "online", "epoch": "e1", "interval_s": 30}
    on = {"energize": True, "epoch": "e1", "valid_s": 90}
    async with broker, TestClient(broker.port) as client:
        await client.subscribe("cmnd/#", "ocpp/garage/1/status")
        await client.publish("ocpp/garage/1/setpoint", on | {"revision": 5}, retain=True)
        await client.publish("ocpp/bridge/state", lease, retain=True)
        async with node_red.flows(broker, "relay.json"):
            await reported(client, revision=5)
            await client.publish("garage/plug", "ON")
            await reported(client, plugged=True)
            await client.publish("ocpp/bridge/state", lease | {"epoch": "e2"})
            await client.publish("ocpp/bridge/state", lease)
            await told(client, "OFF", "ON")
            await client.publish("ocpp/garage/1/setpoint", on | {"revision": 4, "energize": False})
            await client.publish("ocpp/garage/1/setpoint", "{broken")
            await told(client, "OFF")
            await client.publish("ocpp/garage/1/setpoint", on | {"revision": 6})
            await told(client, "ON")
            await client.publish("garage/plug", "OFF")
            await reported(client, plugged=False)
            await client.publish("garage/plug", "ON")
            await reported(client, plugged=True, revision=6)
            await client.publish("tele/plug/LWT", "Online")  # told again how it shall be
            await told(client, "OFF", "OFF")
            await client.publish("ocpp/bridge/state", lease)
            await client.publish("ocpp/garage/1/setpoint", on | {"revision": 7})
            await told(client, "ON")


async def reported(client: TestClient, **facts: Any) -> None:
    """The relay's status has these facts."""
    await client.next("ocpp/garage/1/status", where=lambda m: facts.items() <= m.json().items())
    client.forget("ocpp/garage/1/status")


async def told(relay: TestClient, *words: str) -> None:
    """The relay is told these, and nothing else before."""
    for word in words:
        assert word.encode() == (await relay.next("cmnd/plug/POWER")).payload


async def test_a_relay_opens_when_the_gateway_is_gone(
    tmp_path: Path, node_red: NodeRed, broker: Broker
) -> None:
    """Off when the lease has run out, on again with the gateway; a lost broker is survived. There is no plug sensor."""
    settings = {"gateway": {"heartbeat_interval_s": 1, "valid_s": 5}}
    station = {"connector": SOCKET | {"plug_sensor": False}}
    async with (
        Site(tmp_path, broker=broker, station=station, settings=settings) as site,
        house(site) as relay,
        node_red.flows(broker, "relay.json"),
    ):
        await obeys(relay, "OFF")
        await site.view("garage/1/state", energized=False)
        await site.card()
        await obeys(relay, "ON")
        await site.view("garage/1/state", energized=True)
        await site.running.stop()
        await obeys(relay, "OFF")
        await site.running.start()
        await obeys(relay, "ON")
        await site.view("garage/1/state", energized=True)

        begin = len(broker.log)
        broker.restart()
        await node_red.subscribed(broker, begin)
        async with TestClient(broker.port) as again:
            await again.subscribe("cmnd/#", "ocpp/#")
            await again.next("ocpp/garage/1/setpoint", where=lambda m: m.json()["energize"])
            await again.next("ocpp/garage/1/state", where=lambda m: m.json()["status"] == "Charging")
            again.forget("cmnd/#")
            await again.publish("ocpp/garage/1/request/stop")
            await obeys(again, "OFF")
            ended = await site.ended()
            available = await again.next("ocpp/garage/1/availability")

    assert "Ended" == ended.payload["eventType"]
    assert b"online" == available.payload


async def test_a_foreign_meter_is_read_and_asked(tmp_path: Path, node_red: NodeRed, broker: Broker) -> None:
    """kWh become Wh, what is stored or broken is left out; a charge begins and ends with a reading of that moment."""
    policy = {"begin_timeout_s": 20, "end_timeout_s": 20}
    async with Site(tmp_path, "1.6", broker=broker, station={"policy": policy}) as site, house(site) as meter:
        await meter.publish("tele/plug/SENSOR", {"ENERGY": {"Total": 1.0}}, retain=True)
        async with node_red.flows(broker, "meter-forwarding.json"):
            await site.view("garage/0/info", commands=["measure"])
            await site.plug()
            await site.card()
            begin = await measured(site, meter, 711.8)
            started = await site.started()
            await site.setpoint(energize=True)
            await site.status(energized=True, charging=True)
            energy = {"Total": 711.892, "Power": 734, "Voltage": "242", "Current": [1.32, 2.1], "Factor": "–"}
            await meter.publish("tele/plug/SENSOR", {"Time": "2024-11-12T23:01:05", "ENERGY": energy})
            reading = await site.view("garage/1/meter")
            await site.card()
            await site.setpoint(energize=False)
            await site.plug()
            end = await measured(site, meter, 712.3)
            ended = await site.ended()

    assert {
        "energy_import_wh": 711892, "power_w": 734, "voltage_v": 242, "current_a": [1.32, 2.1]
    } == reading  # fmt: skip
    assert (711800, 712300) == (started.payload["meterStart"], ended.payload["meterStop"])
    assert begin["ref"] != end["ref"]


async def measured(site: Site, meter: TestClient, total_kwh: float) -> dict[str, Any]:
    """The meter is asked and answers as a Tasmota does: what the gateway then gets."""
    asked = await meter.next("cmnd/plug/STATUS")
    assert b"10" == asked.payload
    command = await site.view("garage/1/command/measure")
    await meter.publish("stat/plug/STATUS10", {"StatusSNS": {"ENERGY": {"Total": total_kwh}}})
    return await site.view("garage/1/meter", ref=command["ref"])


async def test_a_charge_follows_the_sun(tmp_path: Path, node_red: NodeRed, broker: Broker) -> None:
    """Surplus and what the vehicle draws become amperes; too little pauses; a refusal is shown and tried again."""
    station = {"policy": {"meter_state_interval_s": 0}}
    async with (
        Site(tmp_path, broker=broker, station=station) as site,
        house(site) as home,
        node_red.sidebar() as sidebar,
    ):
        quick = {"CHANGE_EVERY_S": "0", "PAUSE_AFTER_S": "0", "RESUME_AFTER_S": "0", "TTL_S": "60"}
        await home.publish("home/grid/surplus_w", "9000", retain=True)
        async with node_red.flows(broker, "solar-surplus.json", **quick):
            await site.charge()
            await home.publish("home/grid/surplus_w", "2300")
            first = await site.view("garage/1/request/limit")
            await site.setpoint(energize=True, limit_a=9.0)
            await site.meter(1000.0, power_w=2300)
            await site.view("garage/1/meter/state", power_w=2300)
            await home.publish("home/grid/surplus_w", "-500")
            await site.setpoint(energize=True, limit_a=7.0)
            await home.publish("home/grid/surplus_w", "-2000")
            paused = await site.view("garage/1/request/limit", limit_a=0)
            await site.view("garage/1/response/limit", id=paused["id"], status="ok")
            await site.setpoint(energize=False)
            site.mqtt.forget()
            site.change(policy=station["policy"] | {"allow_requests": ["stop"]})
            await site.restart()
            await home.publish("home/grid/surplus_w", "4000")
            refused = await sidebar.next("refused")
            site.change(policy=station["policy"])
            await site.restart()
            await home.publish("home/grid/surplus_w", "4000")
            again = await site.view("garage/1/request/limit")
            await site.view("garage/1/response/limit", id=again["id"], status="ok")

    assert 1 == len(node_red.forgive("refuses the limit"))
    assert (9, 60) == (first["limit_a"], first["ttl_s"])
    assert "allow_requests" in refused["error"]


async def test_what_is_wrong_is_told_once_and_when_it_is_over(
    tmp_path: Path, node_red: NodeRed, broker: Broker
) -> None:
    """A fault, an operator out of reach, a gateway that was killed or left; not what is as it should be."""
    async with Site(tmp_path, broker=broker) as site, house(site) as home, node_red.sidebar() as sidebar:
        await site.unplug()
        await site.view("garage/1/state", stale=False)
        async with node_red.flows(broker, "fault-alert.json", PATIENCE_S="0"):
            await site.status(errors=[{"code": "GroundFailure"}])
            fault = (await home.next("home/alerts/ocpp")).json()
            shown = await sidebar.next("alerts", key="garage/1")
            await site.status(errors=[{"code": "GroundFailure"}], plugged=True)
            await site.status(errors=[])
            well = (await home.next("home/alerts/ocpp")).json()
            site.csms.refuse()
            site.csms.drop("CP1")
            link = (await home.next("home/alerts/ocpp")).json()
            site.csms.refuse(refusing=False)
            connected = (await home.next("home/alerts/ocpp")).json()
            await site.mqtt.publish("ocpp/bridge/state", {"state": "offline"}, retain=True)
            lost = (await home.next("home/alerts/ocpp")).json()
            found = (await home.next("home/alerts/ocpp")).json()

    assert ("garage/1", True, "garage 1: GroundFailure") == (fault["key"], fault["active"], fault["text"])
    assert fault == shown
    assert ("garage/1", False, fault["since"]) == (well["key"], well["active"], well["since"])
    assert ("garage/link", True) == (link["key"], link["active"])
    assert ("garage/link", False) == (connected["key"], connected["active"])
    assert ("gateway", True, "the gateway is offline") == (lost["key"], lost["active"], lost["text"])
    assert ("gateway", False) == (found["key"], found["active"])


async def test_faults_are_injected_and_their_effect_is_shown(
    tmp_path: Path, node_red: NodeRed, broker: Broker
) -> None:
    """By click and by HTTP; what the gateway answers and makes of it is shown, also a refusal and silence."""
    station = {"policy": {"allow_requests": ["fault", "clear_fault", "link"]}}
    async with (
        Site(tmp_path, broker=broker, station=station) as site,
        node_red.sidebar() as sidebar,
        node_red.flows(broker, "fault-injection.json", ANSWER_S="1"),
    ):
        await site.charge()
        await shows(sidebar, "garage/1: Charging")
        await node_red.press("warning: hot")
        await shows(sidebar, "garage/1: Charging, HighTemperature")
        await node_red.press("ground failure")
        await site.setpoint(energize=False)
        await site.ended()
        await shows(sidebar, "GroundFailure")
        await node_red.press("all well")
        await shows(sidebar, "clear_fault: ok")
        await node_red.press("operator unreachable")
        await shows(sidebar, "link: ok")
        await site.view("garage/0/state", connected=False)
        await node_red.press("operator reachable")
        await site.view("garage/0/state", connected=True)

        accepted = await node_red.ask("/ocpp/fault?code=WeakSignal", {})
        await shows(sidebar, "garage/1: Faulted, WeakSignal")
        cleared = await node_red.ask("/ocpp/fault/clear", {})
        site.change(policy={})
        await site.restart()
        with pytest.raises(HTTPError) as refused:
            await node_red.ask("/ocpp/fault?code=WeakSignal", {})
        with refused.value:
            assert "allow_requests" in json.loads(refused.value.read())["error"]
        await site.running.stop()
        with pytest.raises(HTTPError) as silent:
            await node_red.ask("/ocpp/fault/clear", {})
        silent.value.close()

    assert ["ok", "ok"] == [accepted["status"], cleared["status"]]
    assert (409, 504) == (refused.value.code, silent.value.code)


async def shows(sidebar: Sidebar, text: str) -> None:
    """A line with this comes up."""
    while text not in await sidebar.next("shown"):
        pass
