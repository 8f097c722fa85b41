"""A card, a cable and a meter on MQTT are a correct transaction at the CSMS; and everybody can watch it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.gateway import CARD, Site
from tests.support.mqtt_client import TestClient

if TYPE_CHECKING:
    from pathlib import Path

STATE_KEYS = {
    "status", "availability_state", "errors", "info", "plugged", "charging", "energized", "operative", "reservation",
    "limit_local_a", "limit_operator_a", "limit_device_a", "limit_a", "online", "stale",
}  # fmt: skip
STATION_KEYS = {
    "connected", "ocpp_version", "registration", "security_profile", "since", "last_received_at", "queued",
    "operative", "online", "status", "firmware_version", "last_error",
}  # fmt: skip
METER_KEYS = {
    "energy_import_wh", "energy_export_wh", "energy_session_wh", "power_w", "power_export_w", "current_a", "voltage_v",
    "power_factor", "reactive_var", "frequency_hz", "soc_percent", "temperature_c", "timestamp", "stale",
}  # fmt: skip
TRANSACTION_KEYS = {
    "active", "transaction", "csms_id", "id_token", "id_token_type", "started_at", "ended_at", "meter_start_wh",
    "meter_stop_wh", "energy_wh", "charging_state", "stop_reason",
}  # fmt: skip
SETPOINT_KEYS = {
    "energize", "limit_a", "limit_w", "phases", "lock", "transaction", "operative", "revision", "epoch", "valid_s",
}  # fmt: skip


@pytest.mark.parametrize(("mqtt_version", "protocol"), [(5, "5"), (4, "3.1.1")])
async def test_a_charge_becomes_a_transaction_of_ocpp_16(
    tmp_path: Path, mqtt_version: int, protocol: str
) -> None:
    """Authorize, StartTransaction and StopTransaction, with the registers that the meter told."""
    async with Site(
        tmp_path, "1.6", mqtt_version=mqtt_version, settings={"mqtt": {"protocol": protocol}}
    ) as site:
        started = await site.charge(energy_wh=1000.0)
        await site.meter(2500.0, power_w=7200.0)
        await site.view("garage/1/meter/state", power_w=7200.0)
        ended = await site.finish(energy_wh=3000.0)

        assert protocol == site.gateway.client.protocol
        await site.cp.expect("Authorize", lambda call: call.payload == {"idTag": CARD})
        assert (1, CARD, 1000) == (
            started.payload["connectorId"], started.payload["idTag"], started.payload["meterStart"]
        )  # fmt: skip
        assert (3000, started.transaction_id, CARD) == (
            ended.payload["meterStop"], ended.payload["transactionId"], ended.payload["idTag"]
        )  # fmt: skip
        assert "Local" == ended.payload.get("reason", "Local")
        statuses = [c.payload["status"] for c in site.cp.calls if c.action == "StatusNotification"]
        assert ["Available", "Available", "Preparing", "Charging"] == statuses[:4]
        assert [] == site.csms.ledger.anomalies()


async def test_a_charge_becomes_a_transaction_of_ocpp_201(tmp_path: Path) -> None:
    """Started, Updated and Ended with contiguous numbers, one id, and begin and end registers."""
    async with Site(tmp_path, "2.0.1") as site:
        started = await site.charge(energy_wh=1000.0)
        ended = await site.finish(energy_wh=3000.0)

        (record,) = site.csms.ledger.transactions("CP1")
        assert record.complete
        assert [] == record.missing_numbers()
        assert list(range(len(record.calls))) == [call.payload["seqNo"] for call in record.calls]
        assert {"id": 1, "connectorId": 1} == started.payload["evse"]
        assert {"idToken": CARD, "type": "ISO14443"} == started.payload["idToken"]
        assert (1000.0, 3000.0) == (record.meter_start_wh, record.meter_stop_wh)
        assert "Local" == ended.payload["transactionInfo"].get("stoppedReason", "Local")
        assert not any(call.payload.get("offline") for call in record.calls)


async def test_everybody_sees_every_key(tmp_path: Path) -> None:
    """Setpoint, states, reading and transaction have their full fixed shape before, during and after a charge."""
    async with Site(tmp_path, "1.6") as site:
        await site.charge(energy_wh=1000.0)
        running = await site.view("garage/1/transaction", active=True, csms_id=1)
        await site.meter(2000.0, power_w=7000.0, current_a=[10, 11, 12], voltage_v=230)
        reading = await site.view("garage/1/meter/state", power_w=7000.0)
        await site.finish(energy_wh=3000.0)
        done = await site.view("garage/1/transaction", active=False, meter_stop_wh=3000.0)

        for topic, keys in (
            ("0/state", STATION_KEYS),
            ("1/state", STATE_KEYS),
            ("1/meter/state", METER_KEYS),
            ("1/transaction", TRANSACTION_KEYS),
            ("1/setpoint", SETPOINT_KEYS),
        ):
            shapes = {frozenset(m.json()) for m in site.mqtt.received(f"ocpp/garage/{topic}")}
            assert {frozenset(keys)} == shapes, topic
        assert [10.0, 11.0, 12.0] == reading["current_a"]
        assert [230.0, 230.0, 230.0] == reading["voltage_v"]
        assert 1000.0 == reading["energy_session_wh"]
        assert CARD not in running["id_token"]
        assert (1000.0, 2000.0, "Local") == (done["meter_start_wh"], done["energy_wh"], done["stop_reason"])


async def test_what_is_a_state_is_retained_and_what_happened_is_not(tmp_path: Path) -> None:
    """A newcomer sees how things are, and no event of the past."""
    async with Site(tmp_path) as site:
        await site.charge()
        await site.finish()
        await site.event(1, "transaction", "ended")
        async with TestClient(site.broker.port) as newcomer:
            await newcomer.subscribe("ocpp/#")
            await newcomer.next("ocpp/garage/1/transaction", where=lambda m: not m.json()["active"])
            await newcomer.publish("ocpp/end-of-what-is-retained")
            await newcomer.next("ocpp/end-of-what-is-retained")

        retained = {m.topic.removeprefix("ocpp/") for m in newcomer.messages if m.retain}
        assert {
            "bridge/state", "bridge/info", "garage/0/state", "garage/1/state", "garage/1/meter/state",
            "garage/1/transaction", "garage/1/setpoint",
        } <= retained  # fmt: skip
        assert not any("/event/" in topic or "/command/" in topic for topic in retained)


async def test_the_reader_learns_what_became_of_a_card(tmp_path: Path) -> None:
    """`card_result` and `event/card` say accepted, refused and unknown; the token is masked."""
    async with Site(tmp_path, "1.6") as site:
        site.csms.tokens["BAD"] = {"status": "Blocked"}
        site.csms.tokens["WHO"] = {"status": "Invalid"}
        await site.mqtt.publish(
            "ocpp/garage/0/info", {"boot_id": "b1", "commands": ["card_result"]}, retain=True
        )
        await site.plug()
        await site.card("BAD", id="g1")
        refused = await site.view("garage/1/command/card_result", verdict="refused")
        await site.event(1, "card", "refused")
        await site.card("WHO", id="g2")
        await site.view("garage/1/command/card_result", verdict="unknown")
        await site.card(CARD, id="g3")
        await site.view("garage/1/command/card_result", verdict="accepted")
        accepted = await site.event(1, "card", "accepted")

        assert ("g1", "b1") == (refused["id"], refused["boot_id"])
        assert CARD not in str(accepted)
        assert not any(m.retain for m in site.mqtt.received("ocpp/garage/1/command/#"))


async def test_two_evses_charge_at_once(tmp_path: Path) -> None:
    """Each its own transaction, interleaved, under one session."""
    async with Site(tmp_path, "2.0.1", station={"connectors": 2}) as site:
        await site.charge(1, "CARD-A", 100.0)
        await site.charge(2, "CARD-B", 200.0)
        first = await site.finish(1, "CARD-A", 1100.0)
        second = await site.finish(2, "CARD-B", 2200.0)

        one, two = site.csms.ledger.transactions("CP1")
        assert one.complete
        assert two.complete
        assert one.transaction_id != two.transaction_id
        assert (100.0, 1100.0, 200.0, 2200.0) == (
            one.meter_start_wh, one.meter_stop_wh, two.meter_start_wh, two.meter_stop_wh
        )  # fmt: skip
        assert first.payload["transactionInfo"]["transactionId"] == one.transaction_id
        assert second.payload["transactionInfo"]["transactionId"] == two.transaction_id


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_reader_for_the_whole_station_finds_the_plugged_connector(
    tmp_path: Path, version: str
) -> None:
    """A card at 0 goes to the one plugged connector; shown again it stops its own transaction."""
    async with Site(tmp_path, version, station={"connectors": 2}) as site:
        await site.meter(10.0, 2)
        await site.plug(2)
        await site.view("garage/2/state", plugged=True)
        await site.card(n=0)
        await site.setpoint(2, energize=True)
        started = await site.started(2)
        await site.status(2, plugged=True, energized=True, charging=True)
        await site.card(n=0, id="again")
        await site.setpoint(2, energize=False)
        await site.plug(2)
        await site.ended()

        if version == "2.0.1":
            assert {"id": 2, "connectorId": 1} == started.payload["evse"]
        else:
            assert 2 == started.payload["connectorId"]
        assert not any(m.json()["energize"] for m in site.mqtt.received("ocpp/garage/1/setpoint"))


async def test_a_card_may_come_before_the_cable(tmp_path: Path) -> None:
    """Shown first, it waits for the cable; nothing is energized meanwhile."""
    async with Site(tmp_path, "1.6") as site:
        await site.meter(5.0)
        await site.unplug()
        await site.view("garage/1/state", plugged=False)
        await site.card()
        await site.event(1, "card", "accepted")
        before = [m.json()["energize"] for m in site.mqtt.received("ocpp/garage/1/setpoint")]
        await site.plug()
        await site.setpoint(energize=True)
        started = await site.started()

        assert not any(before)
        assert 5 == started.payload["meterStart"]


async def test_a_bare_token_and_free_charging_do(tmp_path: Path) -> None:
    """The least device: it says plugged, and a bare token; with free charging not even that."""
    async with Site(tmp_path, "2.0.1") as site:
        await site.plug()
        await site.mqtt.publish("ocpp/garage/1/card", CARD)
        await site.setpoint(energize=True)
        started = await site.started()
        assert CARD == started.payload["idToken"]["idToken"]


async def test_a_plugged_vehicle_is_enough_where_charging_is_free(tmp_path: Path) -> None:
    """The configured token starts the transaction without a card."""
    station = {"policy": {"free_charging": {"token": "FREE"}}}
    async with Site(tmp_path, "2.0.1", station=station) as site:
        await site.plug()
        await site.setpoint(energize=True)
        started = await site.started()
        assert {"idToken": "FREE", "type": "Central"} == started.payload["idToken"]


async def test_a_device_measures_begin_and_end_when_it_can(tmp_path: Path) -> None:
    """Asked by `measure`, its answer is the first and the last register."""
    async with Site(
        tmp_path, "2.0.1", station={"policy": {"begin_timeout_s": 5, "end_timeout_s": 5}}
    ) as site:
        await site.mqtt.publish("ocpp/garage/0/info", {"boot_id": "b", "commands": ["measure"]}, retain=True)
        await site.plug()
        await site.card()
        begin = await site.view("garage/1/command/measure", context="Transaction.Begin")
        await site.meter(4711.0, ref=begin["ref"])
        await site.started()
        await site.setpoint(energize=True)
        await site.status(plugged=True, energized=True, charging=True)
        await site.card(id="stop")
        end = await site.view("garage/1/command/measure", context="Transaction.End")
        await site.plug()
        await site.meter(4811.0, ref=end["ref"])
        await site.ended()

        (record,) = site.csms.ledger.transactions()
        assert (4711.0, 4811.0) == (record.meter_start_wh, record.meter_stop_wh)
