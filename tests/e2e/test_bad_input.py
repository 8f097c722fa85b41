"""Whatever anybody sends, it harms nobody else: a transaction that runs meanwhile is complete at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from tests.support.csms import CallError, RawAnswer
from tests.support.gateway import Site

if TYPE_CHECKING:
    from pathlib import Path

    from structlog.typing import EventDict

CHANNELS = (
    "garage/{n}/status", "garage/{n}/meter", "garage/{n}/availability", "garage/{n}/availability/meter",
    "garage/0/info", "garage/{n}/card", "garage/{n}/report", "garage/{n}/result",
    "garage/{n}/request/start", "garage/{n}/request/limit",
    "garage/{n}/request/operative", "garage/{n}/request/link", "garage/0/firmware", "garage/0/log",
    "bridge/request/health", "bridge/request/reload",
)  # fmt: skip
JUNK: tuple[bytes, ...] = (
    b"", b"{", b"[]", b"null", b"true", b"42", b'"x"', b"NaN", b"-Infinity", b"1e999", b"\x00\xff\xfe\x80", b"{}" * 3,
    b'{"a":' * 500, b"[" * 5000, b'{"plugged":"perhaps","errors":7,"timestamp":{}}', b'{"energy_import_wh":"NaN"}',
    b'{"energy_import_wh":1e400,"power_w":[],"current_a":[1,2,3,4],"signed":"x"}', b'{"id_token":5,"type":[]}',
    b'{"id":"","status":"perhaps"}', b'{"connectors":{"n":1},"commands":"x","contract":"two"}', b'{"limit_a":-5}',
    b'{"limit_a":1e308,"ttl_s":-1}', b'{"timestamp":99999999999999999999}', b'{"state":"perhaps"}', b"\xef\xbb\xbf{}",
    '{"kind":"💥","id":"' .encode() + b"9" * 2000 + b'"}', b"x" * 70_000,
)  # fmt: skip


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_junk_on_every_topic_disturbs_no_transaction(tmp_path: Path, version: str) -> None:
    """Binary, broken, wrong, huge and nested payloads at both connectors of a station, and beside it."""
    async with Site(tmp_path, version, station={"connectors": 2}) as site:
        await site.charge(1)
        with capture_logs() as lines:
            for channel in CHANNELS:
                # The free connector and the station take everything; the busy one all that is no valid fact.
                for junk in JUNK:
                    await site.mqtt.publish("ocpp/" + channel.format(n=2), junk, qos=0)
            for junk in (b"{", b"\xff\x00", b"[[[", b"x" * 70_000):
                for channel in ("status", "meter"):
                    await site.mqtt.publish(f"ocpp/garage/1/{channel}", junk, qos=0)
            await site.mqtt.publish("ocpp/bridge/request/health", {"id": "still there"})
            health = await site.view("bridge/response/health", id="still there", timeout=15)
        await site.finish(1)

        (record,) = [r for r in site.csms.ledger.transactions() if r.complete]
        assert (1000.0, 3000.0) == (record.meter_start_wh, record.meter_stop_wh)
        counters = health["data"]["counters"]
        assert counters["unreadable"] > 20
        assert counters["bad_fields"] > 5
        assert 0 == counters["quarantined"]
        assert not [line for line in lines if line["log_level"] in {"error", "critical"}]
        assert sum(_is_complaint(line) for line in lines) < 2 * len(CHANNELS)


async def test_a_device_that_is_always_wrong_is_told_of_once(tmp_path: Path) -> None:
    """One line in the log and one `bridge/event` for many bad messages; the counter has them all."""
    async with Site(tmp_path) as site:
        with capture_logs() as lines:
            for _ in range(50):
                await site.mqtt.publish("ocpp/garage/1/status", b"{broken")
            await site.plug()
            await site.view("garage/1/state", plugged=True)
        told = await site.complaint("message_refused", topic="ocpp/garage/1/status")

        assert 1 == sum(_is_complaint(line) for line in lines)
        assert 1 == len(site.mqtt.received("ocpp/bridge/event"))
        assert told["problems"]
        assert 50 == site.gateway.counters.problems["message_refused"]


async def test_strangers_are_named(tmp_path: Path) -> None:
    """Stations and connectors that do not exist: refused, counted, told with what there is."""
    async with Site(tmp_path) as site:
        await site.mqtt.publish("ocpp/cellar/1/status", {"plugged": True})
        stranger = await site.complaint("unknown_station")
        await site.mqtt.publish("ocpp/garage/7/status", {"plugged": True})
        nowhere = await site.complaint("unknown_topic")
        await site.mqtt.publish("ocpp/garage/01/status", {"plugged": True})
        await site.mqtt.publish("ocpp/garage/0/card", {"id_token": "04A2B3C4", "connector": 9})
        misplaced = await site.complaint("unknown_topic", topic="ocpp/garage/0/card")

        assert "garage" in stranger["problems"][0]
        assert "ocpp/garage/7/status" == nowhere["topic"]
        assert ["this station has no connector 9 for that"] == misplaced["problems"]
        assert 0 == site.gateway.counters.quarantined


async def test_a_flood_of_strange_topics_stays_quiet(tmp_path: Path) -> None:
    """A thousand different unknown stations are counted, not told one by one."""
    async with Site(tmp_path) as site:
        with capture_logs() as lines:
            for number in range(1000):
                await site.mqtt.publish(f"ocpp/s{number}/1/status", "{}", qos=0)
            await site.until(lambda: site.gateway.counters.problems["unknown_station"] >= 1000)
        assert sum(_is_complaint(line) for line in lines) <= 100


async def test_a_retained_gesture_is_no_gesture(tmp_path: Path) -> None:
    """A card, a report and a request that a broker keeps do nothing when the gateway subscribes."""
    async with Site(tmp_path) as site:
        await site.charge()
        for topic, payload in (
            ("card", "04A2B3C4"),
            ("report", "emergency_stop"),
            ("request/stop", ""),
        ):
            await site.running.stop()
            await site.mqtt.publish(f"ocpp/garage/1/{topic}", payload, retain=True)
            await site.running.start()
        await site.status(plugged=True, energized=True, charging=True)
        site.mqtt.forget()
        await site.view("garage/1/state", charging=True)
        assert not [c for c in site.cp.calls if c.payload.get("eventType") == "Ended"]


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_csms_that_talks_nonsense_gets_errors_and_the_transaction_goes_on(
    tmp_path: Path, version: str
) -> None:
    """Malformed frames are answered where they can be, ignored where they cannot, and never end the session."""
    async with Site(tmp_path, version) as site:
        await site.charge()
        with capture_logs() as lines:
            for text in (
                "", "{", "[]", "null", "42", "[2]", '[2,"a"]', '[2,"b","Reset"]', '[2,"c","Reset",[]]', '[9,"d",{}]',
                '[3,"nobody asked",{}]', '[4,"nobody asked","InternalError","",{}]', '[2,{},"Reset",{}]',
                '[2,"e","Reset",{"type":5}]', "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
            ):  # fmt: skip
                await site.cp.send_raw(text)
            await site.cp._send_text("[" * 5000)
        site.cp._raw_ids.clear()
        await site.cp.round_trip()
        await site.finish()

        assert 1 == site.cp.connections
        assert site.csms.ledger.transactions()[0].complete
        assert not [line for line in lines if line["log_level"] in {"error", "critical"}]
        site.csms.forgive()


async def test_answers_that_break_the_schema_stop_nothing(tmp_path: Path) -> None:
    """A nonsensical answer to Authorize or StatusNotification costs that question only."""
    async with Site(tmp_path, "1.6") as site:
        site.cp.answer_next("StatusNotification", RawAnswer('[3,"{id}",[1,2]]'))
        site.cp.answer_next(
            "Authorize", RawAnswer('[3,"{id}",{"idTagInfo":7}]'), CallError("InternalError", "oops")
        )
        await site.plug()
        await site.card()
        await site.view("garage/1/event/card")
        await site.card()
        await site.view("garage/1/event/card")
        await site.charge()
        await site.finish()
        assert site.csms.ledger.transactions()[-1].complete


def _is_complaint(line: EventDict) -> bool:
    return bool(line["event"] == "An MQTT message was refused.")
