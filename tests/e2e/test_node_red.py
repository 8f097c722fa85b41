"""The flows of config/node-red in a real Node-RED, with a real broker and the running gateway: both ways."""

from __future__ import annotations

import json
import re
import urllib.error
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.support.gateway import CARD, Site
from tests.support.mqtt_client import TestClient
from tests.support.node_red import FLOWS, NodeRed, flow, why_not

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAMES = sorted(file.stem for file in FLOWS.glob("*.json"))
CORE = {
    "tab", "comment", "mqtt-broker", "mqtt in", "mqtt out", "function", "debug", "inject", "http in",
    "http response", "template", "switch", "change", "json", "link in", "link out",
}  # fmt: skip

needs_node_red = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def red(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NodeRed]:
    """One for all tests of this module: its start takes seconds."""
    async with NodeRed(tmp_path_factory.mktemp("red")) as running:
        yield running


# ------------------------------------------------------------------ the files


@pytest.mark.parametrize("name", NAMES)
def test_a_flow_can_be_imported(name: str) -> None:
    """Core nodes only, wires and brokers that exist, a comment that says what it does, nothing secret in it."""
    nodes: list[dict[str, Any]] = json.loads((FLOWS / f"{name}.json").read_text())
    ids = {node["id"] for node in nodes}
    tab = nodes[0]

    assert len(ids) == len(nodes)
    assert {node["type"] for node in nodes} <= CORE
    assert "tab" == tab["type"]
    assert {"MQTT_HOST", "MQTT_PORT"} <= {row["name"] for row in tab["env"]}
    assert all(node["z"] == tab["id"] for node in nodes[1:])
    assert {wired for node in nodes for port in node.get("wires", []) for wired in port} <= ids
    assert {node["broker"] for node in nodes if node["type"].startswith("mqtt ")} <= ids
    (comment,) = [node for node in nodes if node["type"] == "comment"]
    assert len(comment["info"]) > 80
    assert not any("credentials" in node for node in nodes)


@pytest.mark.parametrize("name", NAMES)
def test_only_facts_are_retained(name: str) -> None:
    """A request or a command that a broker keeps would be carried out again and again."""
    nodes: list[dict[str, Any]] = json.loads((FLOWS / f"{name}.json").read_text())
    kept = [node["name"] for node in nodes if node["type"] == "mqtt out" and node["retain"] != "false"]

    assert kept in ([], ["info"])


def test_no_two_flows_have_an_id_in_common() -> None:
    """So that all of them can be imported."""
    ids = [node["id"] for name in NAMES for node in json.loads((FLOWS / f"{name}.json").read_text())]

    assert len(ids) == len(set(ids))


# ------------------------------------------------------------------ what they do


@needs_node_red
@one_loop
async def test_the_monitor_shows_a_charge(red: NodeRed, tmp_path: Any) -> None:
    """As JSON and as a page, also what was there before it."""
    async with Site(tmp_path, "1.6") as site:
        await site.charge(energy_wh=1000.0)
        await red.deploy(flow("monitor", MQTT_PORT=site.broker.port))
        await site.mqtt.subscribe("ocpp/#")
        await site.meter(1500.0, power_w=7360.0)
        await site.view("garage/1/meter/state", power_w=7360.0)
        shown = await _until(red, lambda told: told["garage"]["1"]["meter_state"]["power_w"] == 7360)
        page = await red.request("GET", "/ocpp", None, {})

        assert "Charging" == shown["garage"]["1"]["state"]["status"]
        assert shown["garage"]["1"]["transaction"]["active"]
        assert re.search(r"<td>garage<td>1<td>Charging<td><td>7360<td>\d+<td>ocpp1\.6", page)


async def _until(red: NodeRed, holds: Any) -> Any:
    """Ask until it is so: the page is asked by people too, nobody is told of it."""
    told = None
    for _ in range(200):
        told = await red.get("/ocpp/status")
        try:
            if holds(told):
                return told
        except KeyError:
            continue
    raise AssertionError(told)


@needs_node_red
@one_loop
async def test_cards_are_authorized_by_a_flow(red: NodeRed, tmp_path: Any) -> None:
    """Accepted, of one group; refused; and what it does not know goes to the CSMS."""
    station = {"policy": {"authorizer": "mqtt"}}
    async with Site(tmp_path, "1.6", station=station) as site:
        cards = json.dumps({CARD: "family", "0499887766": "family", "DEADBEEF": False})
        await red.deploy(flow("card-authorization", MQTT_PORT=site.broker.port, CARDS=cards))
        await site.plug()
        await site.card("DEADBEEF")
        await site.event(1, "card", "refused")
        assert not [call for call in site.cp.calls if call.action == "Authorize"]
        await site.card("11223344")
        await site.event(1, "card", "accepted")
        assert ["11223344"] == [c.payload["idTag"] for c in site.cp.calls if c.action == "Authorize"]
        await site.card("11223344")
        await site.unplug()
        await site.view("garage/1/state", status="Available")

        await site.plug()
        await site.card(CARD.lower())
        await site.started()
        await site.status(plugged=True, energized=True, charging=True)
        await site.card("0499887766")
        await site.setpoint(energize=False)
        assert 1 == len([call for call in site.cp.calls if call.action == "Authorize"])


@needs_node_red
@one_loop
async def test_a_remote_start_reaches_a_relay_and_its_state_comes_back(red: NodeRed, tmp_path: Any) -> None:
    """On while the gateway lives, off when it is stopped or silent; switched by hand, it is told again."""
    station = {"connector": {"plug_sensor": False}, "policy": {"begin_timeout_s": 0.2, "end_timeout_s": 0.2}}
    async with Site(tmp_path, "1.6", station=station) as site, TestClient(site.broker.port) as relay:
        await relay.subscribe("relay/set")
        await red.deploy(flow("relay", MQTT_PORT=site.broker.port))

        async def told(word: bytes) -> None:
            message = await relay.next("relay/set", where=lambda m: m.payload == word)
            assert not message.retain
            await relay.publish("relay/state", word, retain=True)

        await told(b"off")
        await site.view("garage/1/state", status="Available", energized=False)
        start = {"connectorId": 1, "idTag": CARD}
        assert {"status": "Accepted"} == await site.cp.call("RemoteStartTransaction", start)
        await told(b"on")
        started = await site.started()
        await site.view("garage/1/state", energized=True)
        await relay.publish("relay/state", "off", retain=True)
        await told(b"on")

        assert {"status": "Accepted"} == await site.cp.call(
            "RemoteStopTransaction", {"transactionId": started.transaction_id}
        )
        await told(b"off")
        await site.ended()

        assert {"status": "Accepted"} == await site.cp.call("RemoteStartTransaction", start)
        await told(b"on")
        await site.running.stop()  # valid_s later nobody may energize any more
        await told(b"off")


@needs_node_red
@one_loop
async def test_a_foreign_meter_is_forwarded(red: NodeRed, tmp_path: Any) -> None:
    """kWh become Wh and kW become W, once; a transaction ends with the reading that is asked for."""
    station = {"policy": {"end_timeout_s": 5}}
    async with Site(tmp_path, "1.6", station=station) as site, TestClient(site.broker.port) as meter:
        await red.deploy(flow("meter-forwarding", MQTT_PORT=site.broker.port))
        await site.view("garage/0/info", vendor="Node-RED")
        reading = {"kwh": 1234.567, "kw": 7.2, "v": [230, 231, 229], "a": [10, 10.5, 10]}
        await meter.publish("meter/garage", reading)
        shown = await site.view("garage/1/meter/state", power_w=7200.0)
        await site.plug()
        await site.card()
        started = await site.started()
        await site.status(plugged=True, energized=True, charging=True)
        await site.view("garage/1/state", charging=True)
        await site.ask("stop")
        await site.setpoint(energize=False)
        await site.status(plugged=True, energized=False, charging=False)
        asked = await site.view("garage/1/command/measure")
        await site.view("garage/1/meter", ref=asked["ref"])
        ended = await site.ended()

        assert (1234567.0, [10.0, 10.5, 10.0]) == (shown["energy_import_wh"], shown["current_a"])
        assert (1234567, 1234567) == (started.payload["meterStart"], ended.payload["meterStop"])


@needs_node_red
@one_loop
async def test_the_surplus_is_what_the_car_gets(red: NodeRed, tmp_path: Any) -> None:
    """What it draws is part of the surplus; without any it pauses."""
    async with Site(tmp_path) as site, TestClient(site.broker.port) as grid:
        await red.deploy(flow("solar-surplus", MQTT_PORT=site.broker.port, EVERY_S=0))
        await site.charge()
        await site.meter(1100.0, power_w=0.0)
        await site.view("garage/1/meter/state", power_w=0.0)
        await grid.publish("grid/power", "-6900")
        await site.setpoint(limit_a=10.0, energize=True)
        await site.meter(1200.0, power_w=6900.0)
        await site.view("garage/1/meter/state", power_w=6900.0)
        await grid.publish("grid/power", "690")
        await site.setpoint(limit_a=9.0)
        await grid.publish("grid/power", "9000")
        await site.setpoint(energize=False)
        answer = await site.view("garage/1/response/limit")

        assert "ok" == answer["status"]


@needs_node_red
@one_loop
async def test_a_fault_is_told_once_and_so_is_its_end(red: NodeRed, tmp_path: Any) -> None:
    """What is well from the beginning is no news."""
    async with Site(tmp_path) as site, TestClient(site.broker.port) as phone:
        await phone.subscribe("alerts/#")
        await site.unplug()
        await red.deploy(flow("fault-alert", MQTT_PORT=site.broker.port, GRACE_S=1))
        await site.status(errors=[{"code": "GroundFailure"}])
        wrong = (await phone.next("alerts/charging")).json()
        await site.status(errors=[])
        well = (await phone.next("alerts/charging")).json()
        site.csms.stop_listening()
        site.cp.drop()
        alone = (await phone.next("alerts/charging")).json()

        assert {"station": "garage", "connector": 1, "text": "GroundFailure"} == wrong
        assert {"station": "garage", "connector": 1, "text": "well again"} == well
        assert {"station": "garage", "connector": 0, "text": "no connection to the operator"} == alone
        assert 3 == len(phone.received("alerts/#"))
        await site.csms.resume()


@needs_node_red
@one_loop
async def test_faults_are_injected_and_taken_back(red: NodeRed, tmp_path: Any) -> None:
    """The gateway's answer is the answer of the HTTP request, also when it refuses."""
    station = {"policy": {"allow_requests": ["fault", "clear_fault"]}}
    async with Site(tmp_path, "1.6", station=station) as site:
        await site.unplug()
        await red.deploy(flow("fault-injection", MQTT_PORT=site.broker.port))
        answer = json.loads(await red.request("POST", "/ocpp/fault?code=GroundFailure", None, {}))
        await site.cp.expect("StatusNotification", lambda call: call.payload["errorCode"] == "GroundFailure")
        await site.view("garage/1/state", status="Faulted")
        await red.request("POST", "/ocpp/fault/clear", None, {})
        await site.view("garage/1/state", status="Available")
        await red.deploy(flow("fault-injection", MQTT_PORT=site.broker.port, CONNECTOR=7))
        with pytest.raises(urllib.error.HTTPError) as refused:
            await red.request("POST", "/ocpp/fault?code=GroundFailure", None, {})

        assert "ok" == answer["status"]
        assert 409 == refused.value.code
        assert "no connector 7" in json.loads(refused.value.read())["error"]
