"""The tests' strict backend is itself right: it lets correct stations pass and sees every kind of fault."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.support.csms import CallError, Csms, DelayedAnswer, RawAnswer, Silence

BOOT_16 = {"chargePointVendor": "V", "chargePointModel": "M"}
BOOT_201 = {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}
AT = "2025-01-01T00:00:00Z"


class Talker:
    """The smallest charging station: one socket, one CALL at a time, no judgement."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.number = 0

    async def ask(self, action: str, payload: dict[str, Any], message_id: str | None = None) -> list[Any]:
        await self.tell(action, payload, message_id)
        return await self.hear()

    async def tell(self, action: str, payload: dict[str, Any], message_id: str | None = None) -> None:
        self.number += 1
        frame = [2, message_id or f"{id(self)}-{self.number}", action, payload]
        await self.socket.send(json.dumps(frame))

    async def hear(self) -> list[Any]:
        async with asyncio.timeout(5):
            frame: list[Any] = json.loads(await self.socket.recv())
            return frame

    async def boot(self) -> None:
        version = self.socket.subprotocol
        await self.ask("BootNotification", BOOT_16 if version == "ocpp1.6" else BOOT_201)


@asynccontextmanager
async def station(
    csms: Csms, *versions: str, identity: str = "CP1", booted: bool = True, **headers: str
) -> AsyncIterator[Talker]:
    offered = [Subprotocol(version) for version in versions or ("ocpp1.6",)]
    async with connect(f"{csms.url}/{identity}", subprotocols=offered, additional_headers=headers) as socket:
        talker = Talker(socket)
        if booted:
            await talker.boot()
        yield talker


def start(timestamp: str = AT, token: str = "TAG") -> dict[str, Any]:
    return {"connectorId": 1, "idTag": token, "meterStart": 100, "timestamp": timestamp}


def event(kind: str, number: int, **fields: Any) -> dict[str, Any]:
    return {
        "eventType": kind,
        "timestamp": AT,
        "triggerReason": "Authorized",
        "seqNo": number,
        "transactionInfo": {"transactionId": "T1"},
        **fields,
    }


async def test_the_version_that_the_station_prefers_is_agreed() -> None:
    """Of several common subprotocols the first one offered wins."""
    async with Csms() as csms, station(csms, "ocpp1.6", "ocpp2.0.1") as talker:
        seen = await csms.station("CP1")

        assert talker.socket.subprotocol == seen.version == "ocpp1.6"


async def test_without_a_common_version_the_handshake_is_completed_and_closed() -> None:
    """OCPP-J 1.6 §3.3: the answer has no subprotocol, and the socket is closed at once."""
    async with Csms(("ocpp2.0.1",)) as csms, station(csms, booted=False) as talker:
        with pytest.raises(ConnectionClosed):
            await talker.hear()

        assert talker.socket.subprotocol is None


async def test_a_server_that_names_no_version_speaks_one_all_the_same() -> None:
    """The quirk of proxies that swallow the subprotocol header can be played."""
    async with Csms(unnamed_version="ocpp1.6") as csms, station(csms, booted=False) as talker:
        answer = await talker.ask("BootNotification", BOOT_16)

        assert talker.socket.subprotocol is None
        assert answer[2]["status"] == "Accepted"


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1", "ocpp2.1"])
async def test_a_correct_boot_is_accepted_in_every_version(version: str) -> None:
    """The default answer is valid, Accepted, with an interval of 300 s."""
    async with Csms((version,)) as csms, station(csms, version, booted=False) as talker:
        seen = await csms.station("CP1")
        answer = await talker.ask("BootNotification", BOOT_16 if version == "ocpp1.6" else BOOT_201)
        boot = await seen.expect("BootNotification")

        assert (answer[2]["status"], answer[2]["interval"]) == ("Accepted", 300)
        assert boot.answer == answer[2]
        assert seen.registration == "Accepted"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "not JSON"),
        ('[2,"1","Heartbeat"]', "3 elements instead of 4"),
        ('[2,17,"Heartbeat",{}]', "message id 17"),
        ('[2,"","Heartbeat",{}]', "message id ''"),
        (f'[2,"{"x" * 37}","Heartbeat",{{}}]', "not a string of 1 to 36"),
        ('[2,"1","Heartbeat",null]', "payload None is not an object"),
        ('[2,"1","Heartbeat",{"foo":1}]', "foo"),
        ('[2,"1","Reset",{"type":"Soft"}]', "no station may send Reset"),
        ('[2,"1","TransactionEvent",{}]', "no station may send TransactionEvent"),
        ('[2,"1","Authorize",{"idTag":"123456789012345678901"}]', "longer than 20"),
        ('[2,"1","StatusNotification",{"connectorId":1,"status":"Busy","errorCode":"NoError"}]', "Busy"),
        ('[3,"nobody asked",{}]', "does not wait for an answer"),
        ('[4,"1","FormatViolation","",{}]', "not a CALLERROR code of ocpp1.6"),
        ('[7,"1",{}]', "message type 7"),
    ],
)
async def test_a_wrong_frame_is_seen_and_does_not_stop_the_conversation(text: str, fault: str) -> None:
    """Each fault is recorded with its place; the next correct CALL is answered."""
    async with Csms() as csms, station(csms) as talker:
        await talker.socket.send(text)
        await talker.tell("Heartbeat", {}, "after")
        answers = [await talker.hear()]
        while answers[-1][1] != "after":
            answers.append(await talker.hear())

        violations = csms.forgive()
        assert len(violations) == 1
        assert fault in violations[0]
        assert answers[-1][0] == 3


async def test_the_end_fails_the_test_that_saw_a_violation() -> None:
    """Nobody has to look at the list of violations."""

    async def play() -> None:
        async with Csms() as csms, station(csms) as talker:
            await talker.socket.send("nonsense")
            await talker.ask("Heartbeat", {})

    with pytest.raises(AssertionError, match="not JSON"):
        await play()


async def test_a_second_call_before_the_answer_is_a_violation() -> None:
    """One outstanding CALL per station."""
    async with Csms() as csms, station(csms) as talker:
        csms.answers["Heartbeat"] = Silence()
        await talker.tell("Heartbeat", {})
        await talker.ask("Authorize", {"idTag": "TAG"})

        assert "while Heartbeat" in csms.forgive()[0]


async def test_a_call_after_the_message_timeout_is_none() -> None:
    """A station that gave up on an answer may go on."""
    async with Csms(message_timeout_s=0.0) as csms, station(csms) as talker:
        csms.answers["Heartbeat"] = Silence()
        await talker.tell("Heartbeat", {})
        await talker.ask("Authorize", {"idTag": "TAG"})

        assert csms.violations == []


async def test_a_message_id_serves_one_message_only_even_over_connections() -> None:
    """The same id may come again with the same message, never with another one."""
    async with Csms() as csms:
        async with station(csms) as talker:
            await talker.ask("Heartbeat", {}, "id-1")
        await csms.identity("CP1").disconnected()
        async with station(csms, booted=False) as talker:
            await talker.ask("Heartbeat", {}, "id-1")
            assert csms.violations == []
            await talker.ask("Authorize", {"idTag": "TAG"}, "id-1")

        assert "was used before" in csms.forgive()[0]


async def test_nothing_but_a_boot_may_come_before_acceptance() -> None:
    """B01.FR.01, and only what was triggered while Pending."""
    async with Csms() as csms, station(csms, booted=False) as talker:
        csms.backend.boot_status = "Pending"
        await talker.boot()
        seen = await csms.station("CP1")
        asked = asyncio.create_task(seen.call("TriggerMessage", {"requestedMessage": "Heartbeat"}))
        message_id = (await talker.hear())[1]
        await talker.socket.send(json.dumps([3, message_id, {"status": "Accepted"}]))
        await asked
        await talker.ask("Heartbeat", {})
        assert csms.violations == []
        await talker.ask("Authorize", {"idTag": "TAG"})

        assert "while its registration is Pending" in csms.forgive()[0]


async def test_a_second_socket_of_one_identity_is_a_violation() -> None:
    """The older socket is closed, as most backends do, and the fault recorded."""
    async with Csms() as csms, station(csms) as first, station(csms, booted=False) as second:
        await second.ask("Heartbeat", {})
        with pytest.raises(ConnectionClosed):
            await first.hear()

        assert "second socket" in csms.forgive()[0]


async def test_basic_auth_is_compared_as_bytes() -> None:
    """1.6 keys need not be text; a wrong one gets 401, an unknown identity 404."""
    key = bytes(range(200, 220))
    good = "Basic " + base64.b64encode(b"CP1:" + key).decode()
    bad = "Basic " + base64.b64encode(b"CP1:guess").decode()
    async with Csms(passwords={"CP1": key}) as csms:
        async with station(csms, Authorization=good):
            assert csms.identity("CP1").connected
        for identity, header in (("CP1", bad), ("CP2", good)):
            with pytest.raises(InvalidStatus):
                async with station(csms, identity=identity, Authorization=header):
                    pass

        assert [attempt.status for attempt in await csms.attempts(3)] == [101, 401, 404]


async def test_the_backend_can_refuse_drop_and_go_away() -> None:
    """Every way of losing a backend can be played, and it comes back on the same port."""
    async with Csms() as csms:
        async with station(csms) as talker:
            csms.stop_listening()
            with pytest.raises(OSError, match=r"[Cc]onnect"):
                async with station(csms, identity="CP2"):
                    pass
            await talker.ask("Heartbeat", {})
            csms.drop("CP1")
            with pytest.raises(ConnectionClosed):
                await talker.hear()
        await csms.identity("CP1").disconnected()
        await csms.resume()
        csms.refuse(status=429)
        with pytest.raises(InvalidStatus, match="429"):
            async with station(csms):
                pass
        csms.refuse(False)
        async with station(csms):
            await csms.identity("CP1").connection(2)

            assert csms.identity("CP1").close_code == 1006


async def test_a_frozen_peer_hears_no_ping_and_may_be_left_for_a_new_socket() -> None:
    """A dead peer keeps its TCP connection and answers nothing; pings of a live one are counted."""
    async with Csms() as csms, station(csms) as talker:
        seen = await csms.station("CP1")
        await (await talker.socket.ping())
        await seen.ping(1)
        seen.freeze()
        pong = await talker.socket.ping()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(pong), 0.05)
        async with station(csms, booted=False) as again:
            await again.ask("Heartbeat", {})

        assert csms.violations == []


async def test_answers_can_be_set_delayed_withheld_and_spoilt() -> None:
    """One-time answers go before standing ones, those of a station before those of the backend."""
    async with Csms() as csms, station(csms) as talker:
        seen = await csms.station("CP1")
        gate = asyncio.Event()
        csms.answers["Heartbeat"] = CallError("InternalError", "down")
        seen.answers["Heartbeat"] = lambda call: {"currentTime": AT} if call.payload == {} else None
        seen.answer_next("Heartbeat", RawAnswer('[3,"{id}",null]'), DelayedAnswer(gate))
        csms.tokens["BAD"] = {"status": "Blocked"}

        assert (await talker.ask("Heartbeat", {}, "a")) == [3, "a", None]
        await talker.tell("Heartbeat", {}, "b")
        await seen.until(lambda: len(seen.calls) == 3 or None)
        gate.set()
        assert "currentTime" in (await talker.hear())[2]
        assert (await talker.ask("Heartbeat", {}, "c"))[2] == {"currentTime": AT}
        del seen.answers["Heartbeat"]
        assert (await talker.ask("Heartbeat", {}, "d")) == [4, "d", "InternalError", "down", {}]
        assert (await talker.ask("Authorize", {"idTag": "bad"}))[2] == {"idTagInfo": {"status": "Blocked"}}


async def test_an_invalid_answer_of_the_test_itself_is_found() -> None:
    """A test that plays a strict backend cannot break the protocol by mistake."""
    async with Csms() as csms, station(csms) as talker:
        csms.answers["Heartbeat"] = {"now": AT}
        answer = await talker.ask("Heartbeat", {})

        assert answer[2] == "InternalError"
        assert "the test's own answer" in csms.forgive()[0]


async def test_a_call_returns_the_answer_or_raises_the_error() -> None:
    """CSMS-initiated CALLs are paired by id, checked, and one at a time."""
    async with Csms() as csms, station(csms) as talker:
        seen = await csms.station("CP1")
        first = asyncio.create_task(seen.call("ClearCache"))
        second = asyncio.create_task(seen.call("UnlockConnector", {"connectorId": 1}))
        frame = await talker.hear()
        assert frame[2:] == ["ClearCache", {}]
        await talker.socket.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
        frame = await talker.hear()
        await talker.socket.send(json.dumps([4, frame[1], "NotSupported", "no lock", {}]))

        assert await first == {"status": "Accepted"}
        with pytest.raises(CallError, match="no lock"):
            await second
        with pytest.raises(AssertionError, match="the test itself"):
            await seen.call("Reset", {"type": "Gentle"})


async def test_an_answer_must_fit_the_schema_of_what_was_asked() -> None:
    """A CALLRESULT is judged by the action of its CALL."""
    async with Csms() as csms, station(csms) as talker:
        asked = asyncio.create_task((await csms.station("CP1")).call("ClearCache"))
        frame = await talker.hear()
        await talker.socket.send(json.dumps([3, frame[1], {"status": "Maybe"}]))

        with pytest.raises(AssertionError, match="Maybe"):
            await asked
        assert len(csms.forgive()) == 1


async def test_ids_that_are_no_strings_are_echoed_as_they_came() -> None:
    """Real backends send numbers; the answer must bear the number."""
    async with Csms() as csms, station(csms) as talker:
        asked = asyncio.create_task((await csms.station("CP1")).call("ClearCache", message_id=17))
        frame = await talker.hear()
        await talker.socket.send(json.dumps([3, frame[1], {"status": "Accepted"}]))

        assert frame[1] == 17
        assert await asked == {"status": "Accepted"}


async def test_raw_text_may_be_answered_under_any_id() -> None:
    """What no backend should send can be sent and the answer read; nothing is held against the station."""
    async with Csms() as csms, station(csms) as talker:
        asked = asyncio.create_task((await csms.station("CP1")).exchange_raw('[2,"a"'))
        assert await talker.socket.recv() == '[2,"a"'
        await talker.socket.send(json.dumps([4, "-1", "FormationViolation", "", {}]))

        assert (await asked)[2] == "FormationViolation"
        assert csms.violations == []


async def test_expectations_are_met_in_order_and_say_what_came_instead() -> None:
    """What `where` passes over is gone; `expect_each` takes any order; nothing_more finds what is left."""
    async with Csms() as csms, station(csms) as talker:
        seen = await csms.station("CP1")
        for connector in (2, 1, 3):
            await talker.ask(
                "StatusNotification",
                {"connectorId": connector, "status": "Available", "errorCode": "NoError"},
            )
        one, two = await seen.expect_each(
            "StatusNotification",
            lambda c: c.payload["connectorId"] == 1,
            lambda c: c.payload["connectorId"] == 2,
        )
        assert (one.payload["connectorId"], two.payload["connectorId"]) == (1, 2)
        with pytest.raises(AssertionError, match="1 StatusNotification"):
            await seen.expect("StatusNotification", lambda c: c.payload["connectorId"] == 2, timeout=0.05)

        check = asyncio.create_task(seen.nothing_more("StatusNotification"))
        frame = await talker.hear()
        await talker.socket.send(json.dumps([3, frame[1], {"configurationKey": []}]))
        with pytest.raises(AssertionError, match="more than was expected"):
            await check
        seen.forget()
        check = asyncio.create_task(seen.nothing_more())
        frame = await talker.hear()
        await talker.socket.send(json.dumps([3, frame[1], {"configurationKey": []}]))
        await check


async def test_a_resent_start_keeps_its_transaction_id() -> None:
    """1.6: the same natural key is the same transaction, a different one a new transaction."""
    async with Csms() as csms, station(csms) as talker:
        first = (await talker.ask("StartTransaction", start()))[2]["transactionId"]
        again = (await talker.ask("StartTransaction", start()))[2]["transactionId"]
        other = (await talker.ask("StartTransaction", start("2025-01-01T00:00:01Z")))[2]["transactionId"]
        values = [{"timestamp": AT, "sampledValue": [{"value": "150"}]}]
        stop = {"transactionId": first, "meterStop": 200, "timestamp": AT}
        await talker.ask("MeterValues", {"connectorId": 1, "transactionId": first, "meterValue": values})
        await talker.ask("StopTransaction", stop)
        await talker.ask("StopTransaction", stop)

        record, second = csms.ledger.transactions("CP1")
        assert first == again != other == second.transaction_id
        assert [call.action for call in record.duplicates] == ["StartTransaction", "StopTransaction"]
        assert (record.meter_start_wh, record.meter_stop_wh) == (100, 200)
        assert [sample.value for sample in record.samples()] == [150.0]
        assert record.complete
        assert not second.complete
        await talker.ask("StopTransaction", {**stop, "meterStop": 201})
        assert "second, different StopTransaction" in csms.ledger.anomalies()[0]


async def test_events_are_told_apart_by_sequence_number() -> None:
    """2.0.1: the same number is a duplicate if it says the same, else an anomaly; gaps are found."""
    end = [
        {
            "timestamp": AT,
            "sampledValue": [
                {"value": 1.5, "context": "Transaction.End", "unitOfMeasure": {"unit": "Wh", "multiplier": 3}}
            ],
        }
    ]
    async with Csms() as csms, station(csms, "ocpp2.0.1") as talker:
        token = {"idToken": "TAG", "type": "ISO14443"}
        answer = await talker.ask("TransactionEvent", event("Started", 0, idToken=token))
        await talker.ask("TransactionEvent", event("Updated", 1))
        await talker.ask("TransactionEvent", event("Updated", 1, offline=True))
        await talker.ask("TransactionEvent", event("Ended", 3, meterValue=end))

        (record,) = csms.ledger.transactions("CP1")
        assert answer[2] == {"idTokenInfo": {"status": "Accepted"}}
        assert len(record.duplicates) == 1
        assert record.missing_numbers() == [2]
        assert record.meter_stop_wh == 1500
        assert record.complete
        await talker.ask("TransactionEvent", event("Updated", 0))
        assert "seqNo 0 used twice" in csms.ledger.anomalies()[0]
