"""What the CSMS asks has its effect on MQTT, or an honest refusal; everything is answered, and in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.csms import CallError
from tests.support.gateway import CARD, Site

if TYPE_CHECKING:
    from pathlib import Path

VERSIONS = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


def start_request(version: str, n: int = 1, token: str = CARD) -> tuple[str, dict[str, Any]]:
    """The remote start of either version."""
    if version == "1.6":
        return "RemoteStartTransaction", {"connectorId": n, "idTag": token}
    return "RequestStartTransaction", {
        "remoteStartId": 7,
        "evseId": n,
        "idToken": {"idToken": token, "type": "Central"},
    }


async def asked(site: Site, action: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
    return await site.cp.call(action, payload or {})


@VERSIONS
async def test_a_charge_is_started_and_stopped_from_afar(tmp_path: Path, version: str) -> None:
    """Accepted, then energized, told, and ended with reason Remote."""
    async with Site(tmp_path, version) as site:
        await site.meter(100.0)
        await site.plug()
        await site.view("garage/1/state", plugged=True)
        reply = await asked(site, *start_request(version))
        await site.setpoint(energize=True)
        started = await site.started()
        await site.status(plugged=True, energized=True, charging=True)
        site.mqtt.forget()
        if version == "1.6":
            await site.view("garage/1/state", charging=True)
            stopped = await asked(site, "RemoteStopTransaction", {"transactionId": started.transaction_id})
        else:
            assert 7 == started.payload["transactionInfo"]["remoteStartId"]
            stopped = await asked(
                site, "RequestStopTransaction", {"transactionId": str(started.transaction_id)}
            )
        await site.setpoint(energize=False)
        await site.plug()
        ended = await site.ended()

        assert ("Accepted", "Accepted") == (reply["status"], stopped["status"])
        reason = (
            ended.payload["reason"] if version == "1.6" else ended.payload["transactionInfo"]["stoppedReason"]
        )
        assert "Remote" == reason


@VERSIONS
async def test_an_unlock_is_answered_by_what_the_device_did(tmp_path: Path, version: str) -> None:
    """Unlocked when the device says so, UnlockFailed when it fails or keeps silent."""
    place = {"connectorId": 1} if version == "1.6" else {"evseId": 1, "connectorId": 1}
    station = {"connector": {"lock": True}, "policy": {"command_timeout_s": 1}}
    async with Site(tmp_path, version, station=station) as site:
        await site.mqtt.publish("ocpp/garage/0/info", {"boot_id": "b", "commands": ["unlock"]}, retain=True)
        await site.unplug()
        await site.view("garage/1/state", plugged=False)
        replies = []
        command: dict[str, Any] = {}
        for status in ("accepted", "failed", None):
            request = asyncio.create_task(asked(site, "UnlockConnector", place))
            command = await site.view("garage/1/command/unlock")
            if status is not None:
                await site.mqtt.publish("ocpp/garage/1/result", {"id": command["id"], "status": status})
            replies.append((await request)["status"])
        silent = await site.view("garage/1/event/command", id=command["id"])
        await site.mqtt.publish("ocpp/garage/1/result", {"id": command["id"], "status": "accepted"})
        late = await site.view("garage/1/event/command", id=command["id"])

        assert ["Unlocked", "UnlockFailed", "UnlockFailed"] == replies
        assert ["failed", "accepted"] == [silent["event_type"], late["event_type"]]


@VERSIONS
async def test_a_reset_reaches_the_device_and_a_boot_follows(tmp_path: Path, version: str) -> None:
    """The reply goes out, the device is told, the station boots again and says why."""
    kind = "Hard" if version == "1.6" else "Immediate"
    async with Site(tmp_path, version, station={"policy": {"command_timeout_s": 2}}) as site:
        await site.mqtt.publish("ocpp/garage/0/info", {"boot_id": "b", "commands": ["reset"]}, retain=True)
        await site.mqtt.publish("ocpp/garage/0/availability", "online", retain=True)
        await site.unplug()
        await site.view("garage/1/state", plugged=False)
        request = asyncio.create_task(asked(site, "Reset", {"type": kind}))
        command = await site.view("garage/0/command/reset")
        await site.mqtt.publish("ocpp/garage/0/result", {"id": command["id"], "status": "accepted"})
        reply = await request
        await site.mqtt.publish("ocpp/garage/0/info", {"boot_id": "c", "commands": ["reset"]}, retain=True)
        await site.cp.connection(2)
        boot = await site.cp.expect("BootNotification", lambda call: call.connection == 2)

        assert "Accepted" == reply["status"]
        if version == "2.0.1":
            assert "RemoteReset" == boot.payload["reason"]


@VERSIONS
async def test_a_connector_is_taken_out_of_service_and_put_back(tmp_path: Path, version: str) -> None:
    """The device sees `operative`, the CSMS the status, and a card is refused meanwhile; it outlives a restart."""
    async with Site(tmp_path, version) as site:
        await site.unplug()

        def request(word: str) -> dict[str, Any]:
            if version == "1.6":
                return {"connectorId": 1, "type": word}
            return {"operationalStatus": word, "evse": {"id": 1}}

        out = await asked(site, "ChangeAvailability", request("Inoperative"))
        await site.setpoint(operative=False)
        await site.view("garage/1/state", status="Unavailable")
        await site.restart()
        await site.setpoint(operative=False)
        await site.unplug()
        await site.plug()
        await site.card()
        await site.event(1, "card", "refused")
        back = await asked(site, "ChangeAvailability", request("Operative"))
        await site.setpoint(operative=True)

        assert ("Accepted", "Accepted") == (out["status"], back["status"])
        assert [] == site.csms.ledger.transactions()


async def test_configuration_of_16_is_read_and_written(tmp_path: Path) -> None:
    """Known keys with their values, unknown ones by name; what is written holds over a restart."""
    async with Site(tmp_path, "1.6") as site:
        everything = await asked(site, "GetConfiguration")
        some = await asked(site, "GetConfiguration", {"key": ["HeartbeatInterval", "Nonsense"]})
        written = await asked(site, "ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "17"})
        wrong = await asked(
            site, "ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "often"}
        )
        fixed = await asked(site, "ChangeConfiguration", {"key": "NumberOfConnectors", "value": "5"})
        unknown = await asked(site, "ChangeConfiguration", {"key": "Nonsense", "value": "5"})
        await site.restart()
        kept = await asked(site, "GetConfiguration", {"key": ["MeterValueSampleInterval"]})

        assert len(everything["configurationKey"]) > 20
        assert "HeartbeatInterval" == some["configurationKey"][0]["key"]
        assert ["Nonsense"] == some["unknownKey"]
        assert ["Accepted", "Rejected", "Rejected", "NotSupported"] == [
            reply["status"] for reply in (written, wrong, fixed, unknown)
        ]
        assert "17" == kept["configurationKey"][0]["value"]


async def test_variables_of_201_are_read_written_and_reported(tmp_path: Path) -> None:
    """GetVariables, SetVariables and the pages of a base report, numbered to the last one."""
    interval = {"component": {"name": "SampledDataCtrlr"}, "variable": {"name": "TxUpdatedInterval"}}
    nonsense = {"component": {"name": "Nonsense"}, "variable": {"name": "X"}}
    async with Site(tmp_path) as site:
        written = await asked(
            site,
            "SetVariables",
            {
                "setVariableData": [
                    {**interval, "attributeValue": "17"},
                    {**nonsense, "attributeValue": "1"},
                ]
            },
        )
        read = await asked(site, "GetVariables", {"getVariableData": [interval, nonsense]})
        report = await asked(site, "GetBaseReport", {"requestId": 42, "reportBase": "FullInventory"})
        pages = [await site.cp.expect("NotifyReport")]
        while pages[-1].payload.get("tbc"):
            pages.append(await site.cp.expect("NotifyReport"))

        assert ["Accepted", "UnknownComponent"] == [
            result["attributeStatus"] for result in written["setVariableResult"]
        ]
        assert "17" == read["getVariableResult"][0]["attributeValue"]
        assert "UnknownComponent" == read["getVariableResult"][1]["attributeStatus"]
        assert "Accepted" == report["status"]
        assert list(range(len(pages))) == [page.payload["seqNo"] for page in pages]
        assert {42} == {page.payload["requestId"] for page in pages}
        assert sum(len(page.payload["reportData"]) for page in pages) > 40


@VERSIONS
async def test_messages_are_sent_when_they_are_triggered(tmp_path: Path, version: str) -> None:
    """The reply first, then what was asked for."""
    place = {"connectorId": 1} if version == "1.6" else {"evse": {"id": 1, "connectorId": 1}}
    async with Site(tmp_path, version) as site:
        await site.cp.round_trip()
        site.cp.forget()
        for message, where in (("Heartbeat", {}), ("StatusNotification", place), ("BootNotification", {})):
            reply = await asked(site, "TriggerMessage", {"requestedMessage": message, **where})
            if message == "BootNotification" and reply["status"] == "Rejected":
                continue  # F06.FR.17: not once it is accepted
            assert "Accepted" == reply["status"], message
            await site.cp.expect(message)


@VERSIONS
async def test_the_cache_is_cleared_and_vendors_are_strangers(tmp_path: Path, version: str) -> None:
    """ClearCache is accepted; DataTransfer says that nobody knows that vendor, and MQTT hears it."""
    async with Site(tmp_path, version) as site:
        cleared = await asked(site, "ClearCache")
        reply = await asked(
            site, "DataTransfer", {"vendorId": "com.example", "messageId": "hello", "data": "x"}
        )
        heard = await site.event(0, "message", "data_transfer")

        assert cleared["status"] in {"Accepted", "Rejected"}
        assert "UnknownVendorId" == reply["status"]
        assert ("com.example", "hello", "x") == (heard["vendor_id"], heard["message_id"], heard["data"])


async def test_a_transaction_has_a_status(tmp_path: Path) -> None:
    """GetTransactionStatus: ongoing while it runs, and nothing waits when all is told."""
    async with Site(tmp_path) as site:
        started = await site.charge()
        await site.cp.round_trip()
        number = str(started.transaction_id)
        running = await asked(site, "GetTransactionStatus", {"transactionId": number})
        await site.finish()
        await site.cp.round_trip()
        over = await asked(site, "GetTransactionStatus", {"transactionId": number})
        general = await asked(site, "GetTransactionStatus", {})

        assert running["ongoingIndicator"] is True
        assert over["ongoingIndicator"] is False
        assert "ongoingIndicator" not in general
        assert general["messagesInQueue"] is False


@VERSIONS
async def test_what_it_cannot_do_is_refused_by_name(tmp_path: Path, version: str) -> None:
    """What the hardware cannot do or is not there yet: NotSupported; a word that is no action: NotImplemented."""
    async with Site(tmp_path, version) as site:
        codes = []
        beyond: dict[str, tuple[str, dict[str, Any]]] = {
            "1.6": (
                "UpdateFirmware",
                {"location": "http://127.0.0.1/fw.bin", "retrieveDate": "2026-01-01T00:00:00Z"},
            ),
            "2.0.1": ("GetDisplayMessages", {"requestId": 1}),
        }
        asking = [beyond[version], ("MakeCoffee", {}), ("Authorize", {"idTag": "X"})]
        for action, payload in asking:
            with pytest.raises(CallError) as refused:
                await site.cp.call(action, payload, checked=False)
            codes.append(refused.value.code)
        with pytest.raises(CallError) as broken:
            await site.cp.call("TriggerMessage", {"requestedMessage": 5}, checked=False)
        await site.cp.round_trip()

        assert ["NotSupported", "NotImplemented"] == codes[:2]
        assert codes[2] in {"NotSupported", "NotImplemented"}
        assert "Violation" in broken.value.code


@VERSIONS
async def test_twenty_requests_at_once_are_all_answered_in_their_order(tmp_path: Path, version: str) -> None:
    """A CSMS that does not wait its turn loses nothing; even while a transaction runs."""
    async with Site(tmp_path, version) as site:
        await site.charge()
        site.cp.forget()
        answered: list[int] = []

        async def ask(number: int) -> None:
            action, payload = [
                ("ClearCache", {}),
                ("DataTransfer", {"vendorId": f"v{number}"}),
                ("TriggerMessage", {"requestedMessage": "Heartbeat"}),
            ][number % 3]
            await site.cp.call(action, payload, in_turn=False)
            answered.append(number)

        await asyncio.gather(*(ask(number) for number in range(20)))
        await site.finish()

        assert list(range(20)) == answered
        assert site.csms.ledger.transactions()[0].complete
