"""Whoever asks on MQTT gets what was done, or a sentence that says why not; once, and at the right place."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tests.support.gateway import CARD, Site
from tests.support.mqtt_client import TestClient

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_charge_is_started_and_stopped_by_requests(tmp_path: Path) -> None:
    """`start` goes through normal authorization, `stop` ends what runs; both say what became of it."""
    async with Site(tmp_path, "1.6") as site:
        site.csms.tokens["BAD"] = {"status": "Blocked"}
        nothing = await site.ask("stop")
        await site.plug()
        asked = await site.ask("start", {"id_token": "BAD", "id": "s1"})
        await site.event(1, "card", "refused")
        started = await site.ask("start", CARD)
        await site.setpoint(energize=True)
        await site.started()
        twice = await site.ask("start", CARD)
        await site.status(plugged=True, energized=True, charging=True)
        await site.view("garage/1/state", charging=True)
        site.mqtt.forget()
        stopped = await site.ask("stop", {"id": "s2"})
        await site.setpoint(energize=False)
        await site.plug()
        ended = await site.ended()

        assert ("error", "no transaction is running") == (nothing["status"], nothing["error"])
        assert "s1" == asked["id"]
        assert ("ok", None, {}) == (started["status"], started["error"], started["data"])
        assert "error" == twice["status"]
        assert ("s2", "ok") == (stopped["id"], stopped["status"])
        assert "Local" == ended.payload.get("reason", "Local")


async def test_a_local_limit_holds_until_it_is_cleared(tmp_path: Path) -> None:
    """A number, an object with a time to live, null; below the minimum the contactor opens."""
    async with Site(tmp_path) as site:
        await site.charge()
        site.mqtt.forget()
        assert "ok" == (await site.ask("limit", "8"))["status"]
        await site.setpoint(limit_a=8.0, energize=True)
        await site.view("garage/1/state", limit_local_a=8.0, limit_a=8.0)
        await site.ask("limit", "3")
        await site.setpoint(energize=False)
        await site.ask("limit", "null")
        await site.setpoint(limit_a=32.0, energize=True)
        await site.ask("limit", {"limit_a": 10, "ttl_s": 1})
        await site.setpoint(limit_a=10.0)
        await site.setpoint(limit_a=32.0)
        refused = await site.ask("limit", '{"limit_a": "much"}')
        assert ("error", True) == (refused["status"], "limit_a" in refused["error"])


async def test_operative_unlock_link_and_health_are_answered(tmp_path: Path) -> None:
    """Each has its effect, or its refusal; `link` only where the settings allow it."""
    station = {
        "connector": {"lock": True},
        "policy": {"allow_requests": ["operative", "unlock", "link", "health"], "command_timeout_s": 1},
    }
    async with Site(tmp_path, station=station) as site:
        await site.mqtt.publish("ocpp/garage/0/info", {"boot_id": "b", "commands": ["unlock"]}, retain=True)
        await site.unplug()
        await site.view("garage/1/state", plugged=False)
        out = await site.ask("operative", "false")
        await site.setpoint(operative=False)
        back = await site.ask("operative", {"operative": True})
        await site.setpoint(operative=True)
        await site.mqtt.publish("ocpp/garage/1/request/unlock")
        await site.answer_commands("unlock")
        unlocked = await site.view("garage/1/response/unlock")
        silent = await site.ask("unlock")
        down = await site.ask("link", "false", n=0)
        await site.cp.disconnected()
        await site.view("garage/0/state", connected=False)
        up = await site.ask("link", "true", n=0)
        await site.cp.connection(2)
        forbidden = await site.ask("start", CARD)
        await site.mqtt.publish("ocpp/bridge/request/health", {"id": "h"})
        health = await site.view("bridge/response/health")

        assert ["ok"] * 5 == [reply["status"] for reply in (out, back, unlocked, down, up)]
        assert "error" == silent["status"]
        assert "allow_requests" in forbidden["error"]
        assert ("h", "ok", 1) == (health["id"], health["status"], health["data"]["stations"])


async def test_an_mqtt_5_requester_is_answered_where_it_wants_if_it_may(tmp_path: Path) -> None:
    """Correlation data come back; a response topic counts below the allowed prefixes only."""
    settings = {"mqtt": {"reply_prefixes": ["nodered/replies"]}}
    async with Site(tmp_path, settings=settings) as site, TestClient(site.broker.port) as asker:
        await asker.subscribe("nodered/#", "ocpp/garage/1/response/#", "evil/#")
        answers = []
        for topic in (
            "nodered/replies/7",
            "ocpp/garage/1/response/mine",
            "evil/topic",
            "ocpp/garage/1/setpoint",
        ):
            await asker.publish(
                "ocpp/garage/1/request/stop",
                properties={"ResponseTopic": topic, "CorrelationData": b"\x00\xff7"},
            )
            answers.append(await asker.next())

        assert [
            "nodered/replies/7",
            "ocpp/garage/1/response/mine",
            "ocpp/garage/1/response/stop",
            "ocpp/garage/1/response/stop",
        ] == [answer.topic for answer in answers]
        assert {b"\x00\xff7"} == {answer.properties["CorrelationData"] for answer in answers}
        assert not any(answer.retain for answer in answers)


async def test_a_request_happens_once_and_never_late(tmp_path: Path) -> None:
    """The same id is not carried out again; an old timestamp, or a retained request, does nothing."""
    async with Site(tmp_path) as site:
        await site.ask("limit", {"limit_a": 8, "id": "same"})
        await site.view("garage/1/state", limit_local_a=8.0)
        await site.mqtt.publish("ocpp/garage/1/request/limit", {"limit_a": 9, "id": "same"})
        late = await site.ask("limit", {"limit_a": 10, "id": "late", "timestamp": time.time() - 100})
        await site.running.stop()
        await site.mqtt.publish("ocpp/garage/1/request/limit", {"limit_a": 11, "id": "held up"}, retain=True)
        site.mqtt.forget()
        await site.running.start()
        held_up = await site.view("garage/1/response/limit", id="held up")
        state = await site.view("garage/1/state")

        assert "error" == late["status"]
        assert "late" in late["error"]
        assert "late" in held_up["error"]
        assert 8.0 == state["limit_local_a"]


async def test_what_is_no_request_is_refused_with_a_sentence(tmp_path: Path) -> None:
    """Unknown actions, unreadable payloads, connectors that do not exist: an answer each time."""
    async with Site(tmp_path) as site:
        unknown = await site.ask("explode")
        unreadable = await site.ask("start", "{broken")
        nowhere = await site.ask("stop", n=9)
        assert ["error"] * 3 == [reply["status"] for reply in (unknown, unreadable, nowhere)]
        assert "explode" in unknown["error"]
        assert "9" in nowhere["error"]


async def test_a_vendors_messages_go_both_ways(tmp_path: Path) -> None:
    """From MQTT to the CSMS and back; from the CSMS to a device that answers, and for another vendor a refusal."""
    policy = {"allow_requests": ["data_transfer"], "vendors": {"com.acme": ["SetText"]}}
    async with Site(tmp_path, "1.6", station={"policy": policy}) as site:
        site.cp.answer_next("DataTransfer", {"status": "Accepted", "data": "3.20"})
        message = {"vendor_id": "com.acme", "message_id": "Price", "data": "now"}
        response = await site.ask("data_transfer", message, n=0)
        refused = await site.ask("data_transfer", {"message_id": "Price"}, n=0)
        await site.unplug()
        await site.view("garage/1/state", plugged=False)
        asked = {"vendorId": "com.acme", "messageId": "SetText", "data": "Hi"}
        call = asyncio.create_task(site.cp.call("DataTransfer", asked))
        command = await site.view("garage/0/command/data")
        result = {"id": command["id"], "status": "accepted", "data": "shown"}
        await site.mqtt.publish("ocpp/garage/0/result", result)
        reply = await call
        unknown = await site.cp.call("DataTransfer", {"vendorId": "org.other"})
        told = await site.view("garage/0/event/message", event_type="data_transfer")

        assert ("ok", {"status": "Accepted", "data": "3.20"}) == (response["status"], response["data"])
        assert ("error", True) == (refused["status"], "vendor_id" in refused["error"])
        assert ("com.acme", "SetText", "Hi") == tuple(command[k] for k in ("vendor_id", "message_id", "data"))
        assert {"status": "Accepted", "data": "shown"} == reply
        assert {"status": "UnknownVendorId"} == unknown
        assert "com.acme" == told["vendor_id"]


async def test_a_flow_decides_about_a_card(tmp_path: Path) -> None:
    """It gets the card in clear, and its answer counts: the CSMS is told, not asked."""
    async with Site(tmp_path, "1.6", station={"policy": {"authorizer": "mqtt"}}) as site:
        await site.plug()
        await site.card()
        asked = await site.view("garage/1/authorize/request")
        await site.mqtt.publish("ocpp/garage/1/authorize/response", {"id": asked["id"], "status": "accepted"})
        await site.event(1, "card", "accepted")
        await site.setpoint(energize=True)
        started = await site.started()

        assert (CARD, 1, 5.0) == (asked["id_token"], asked["connector"], asked["ttl_s"])
        assert CARD == started.payload["idTag"]
        assert not [call for call in site.cp.calls if call.action == "Authorize"]


async def test_a_station_that_only_reports_is_told_nothing(tmp_path: Path) -> None:
    """What it was told before is taken back; what it does is told to the CSMS."""
    async with Site(tmp_path, "1.6") as site:
        await site.setpoint(energize=False)
        site.change(mode="report_only")
        await site.restart()
        async with TestClient(site.broker.port) as late:
            await late.subscribe("ocpp/garage/1/setpoint", "ocpp/garage/1/state")
            await late.next("ocpp/garage/1/state")
            await site.meter(1000.0)
            await site.status(plugged=True, energized=True, charging=True)
            started = await site.started()
            refused = await site.ask("stop")

            assert [] == late.received("ocpp/garage/1/setpoint")
        assert "REPORTED" == started.payload["idTag"]
        assert "only reports" in refused["error"]
