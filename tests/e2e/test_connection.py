"""The line to the CSMS: which version is spoken, who is let in, and what happens while nobody is there."""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.certificates import Authority
from tests.support.csms import Csms, Silence
from tests.support.gateway import Site

if TYPE_CHECKING:
    from pathlib import Path

BOTH = ["2.0.1", "1.6"]
QUICKLY: dict[str, Any] = {
    "OCPPCommCtrlr.RetryBackOffWaitMinimum": 1,
    "OCPPCommCtrlr.RetryBackOffRandomRange": 0,
}


def basic(identity: str, password: bytes) -> str:
    return "Basic " + base64.b64encode(identity.encode() + b":" + password).decode()


async def test_the_csms_chooses_among_the_versions_that_are_offered(tmp_path: Path) -> None:
    """Both are offered, 2.0.1 first; a CSMS that knows only 1.6 gets a 1.6 transaction."""
    csms = Csms(versions=["ocpp1.6"])
    async with Site(tmp_path, "1.6", csms=csms, station={"csms": {"versions": BOTH}}) as site:
        await site.charge()
        await site.finish()

        offered = csms.handshakes[-1].headers["Sec-WebSocket-Protocol"]
        assert ["ocpp2.0.1", "ocpp1.6"] == [version.strip() for version in offered.split(",")]
        assert "ocpp1.6" == site.cp.version
        assert csms.ledger.transactions()[0].complete


async def test_while_reports_of_a_transaction_wait_only_its_version_is_offered(tmp_path: Path) -> None:
    """The CSMS learns 2.0.1 in the middle of a 1.6 transaction: it is finished in 1.6 first."""
    csms = Csms(versions=["ocpp1.6"])
    station = {"csms": {"versions": BOTH}, "variables": QUICKLY}
    async with Site(tmp_path, "1.6", csms=csms, station=station) as site:
        await site.charge()
        csms.versions = ["ocpp2.0.1", "ocpp1.6"]
        csms.stop_listening()
        csms.drop("CP1")
        await site.view("garage/0/state", connected=False)
        await site.meter(3000.0)
        await site.card()
        await site.plug()
        await site.event(1, "transaction", "ended")
        await csms.resume()
        ended = await site.ended()
        second = csms.handshakes[-1].headers["Sec-WebSocket-Protocol"]
        csms.drop("CP1")
        await site.cp.connection(3)

        assert "ocpp1.6" == second
        assert 3000 == ended.payload["meterStop"]
        assert "ocpp2.0.1, ocpp1.6" == csms.handshakes[-1].headers["Sec-WebSocket-Protocol"]
        assert "ocpp2.0.1" == site.cp.version


async def test_a_key_of_16_is_sent_as_bytes_and_may_be_changed(tmp_path: Path) -> None:
    """Hex in the settings and in AuthorizationKey, bytes on the wire; the new one is used at once, and kept."""
    old, new = bytes(range(20)), bytes(range(100, 120))
    csms = Csms(passwords={"CP1": old})
    station = {"csms": {"versions": ["1.6"], "password": old.hex()}, "variables": QUICKLY}
    async with Site(tmp_path, "1.6", csms=csms, station=station) as site:
        assert basic("CP1", old) == csms.handshakes[-1].headers["Authorization"]
        csms.passwords = {"CP1": new}
        reply = await site.cp.call("ChangeConfiguration", {"key": "AuthorizationKey", "value": new.hex()})
        await site.cp.connection(2)
        await site.restart()

        assert "Accepted" == reply["status"]
        assert basic("CP1", new) == csms.handshakes[-1].headers["Authorization"]
        assert new.hex() not in "".join(str(m.payload) for m in site.mqtt.messages)


async def test_a_password_of_201_is_plain_and_may_be_changed(tmp_path: Path) -> None:
    """BasicAuthPassword: the reply goes out on the old connection, the new one proves the change."""
    csms = Csms(passwords={"CP1": b"old-password-0001"})
    station = {
        "csms": {"versions": ["2.0.1"], "password": "old-password-0001"},
        "variables": QUICKLY,
    }
    async with Site(tmp_path, "2.0.1", csms=csms, station=station) as site:
        csms.passwords = {"CP1": b"new-password-0002"}
        reply = await site.cp.call(
            "SetVariables",
            {
                "setVariableData": [
                    {
                        "component": {"name": "SecurityCtrlr"},
                        "variable": {"name": "BasicAuthPassword"},
                        "attributeValue": "new-password-0002",
                    }
                ]
            },
        )
        await site.cp.connection(2)

        assert "Accepted" == reply["setVariableResult"][0]["attributeStatus"]
        assert basic("CP1", b"new-password-0002") == csms.handshakes[-1].headers["Authorization"]


async def test_tls_with_its_own_authority_and_a_client_certificate(tmp_path: Path) -> None:
    """Security profile 3: the server is verified, the client shows who it is, and the transaction works."""
    authority = Authority(tmp_path)
    context = authority.server_context("127.0.0.1", demand_client=True)
    certificate, key = authority.issue("CP1")
    csms = Csms(ssl=context)
    station = {
        "csms": {
            "versions": ["2.0.1"],
            "ca_file": str(authority.ca_file),
            "client_cert_file": str(certificate),
            "client_key_file": str(key),
        }
    }
    async with Site(tmp_path, csms=csms, station=station) as site:
        shown = await site.mqtt.next("ocpp/bridge/state")
        await site.charge()
        await site.finish()

        assert shown
        assert "CP1" in str(site.cp.peer_certificate)
        assert csms.ledger.transactions()[0].complete


async def test_a_server_that_nobody_vouches_for_is_not_talked_to(tmp_path: Path) -> None:
    """The certificate of a strange authority: no session, and the state says why."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    csms = Csms(ssl=Authority(theirs, "Stranger").server_context("127.0.0.1"))
    ours = Authority(tmp_path)
    station = {"csms": {"versions": ["2.0.1"], "ca_file": str(ours.ca_file)}}
    async with Site(tmp_path, csms=csms, station=station, connects=False) as site:
        await site.until(lambda: site.gateway.runners["garage"].station.state.last_error is not None)
        error = site.gateway.runners["garage"].station.state.last_error
        assert error is not None
        assert "certificate" in error.lower()
        assert [] == csms.handshakes


@pytest.mark.parametrize("status", [HTTPStatus.NOT_FOUND, HTTPStatus.UNAUTHORIZED])
async def test_a_station_that_is_not_known_yet_comes_again(tmp_path: Path, status: HTTPStatus) -> None:
    """Refused with 404 or 401: said on MQTT, tried again, let in later."""
    csms = Csms()
    csms.refuse(status=status)
    async with Site(tmp_path, csms=csms, station={"variables": QUICKLY}, connects=False) as site:
        await site.mqtt.next(
            "ocpp/garage/0/state", where=lambda m: str(int(status)) in str(m.json()["last_error"])
        )
        csms.refuse(False)
        await site.cp.connection(timeout=10)
        await site.view("garage/0/state", connected=True, registration="Accepted", last_error=None)


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_what_happens_while_nobody_is_there_is_told_later_in_order(
    tmp_path: Path, version: str
) -> None:
    """The CSMS comes up after a whole transaction: start to end, in order, marked offline."""
    csms = Csms()
    station = {"variables": {**QUICKLY, "AuthCtrlr.OfflineTxForUnknownIdEnabled": True}}
    async with Site(tmp_path, version, csms=csms, station=station) as site:
        csms.stop_listening()
        csms.drop("CP1")
        await site.view("garage/0/state", connected=False)
        for number in (1, 2):
            await site.meter(1000.0 * number)
            await site.plug()
            await site.view("garage/1/state", plugged=True)
            await site.card(f"CARD-{number}")
            await site.setpoint(energize=True)
            await site.status(plugged=True, energized=True, charging=True)
            await site.meter(1000.0 * number + 500)
            await site.card(f"CARD-{number}")
            await site.plug()
            await site.event(1, "transaction", "ended")
            await site.unplug()
            await site.view("garage/1/state", plugged=False)
            site.mqtt.forget()
        await csms.resume()
        await site.ended()
        await site.ended()

        first, second = csms.ledger.transactions()
        assert first.complete
        assert second.complete
        assert (1000.0, 1500.0, 2000.0, 2500.0) == (
            first.meter_start_wh, first.meter_stop_wh, second.meter_start_wh, second.meter_stop_wh
        )  # fmt: skip
        assert first.calls[-1].at < second.calls[0].at
        if version == "2.0.1":
            assert all(call.payload["offline"] for record in (first, second) for call in record.calls)
            assert [] == first.missing_numbers() + second.missing_numbers()


async def test_a_peer_that_died_without_a_word_is_noticed(tmp_path: Path) -> None:
    """No pong within two ping intervals: the connection is given up and made anew; nothing told is lost."""
    station = {"variables": {**QUICKLY, "OCPPCommCtrlr.WebSocketPingInterval": 1}}
    async with Site(tmp_path, station=station) as site:
        await site.charge()
        site.cp.freeze()
        await site.view("garage/0/state", timeout=6, connected=False)
        await site.cp.connection(2, timeout=6)
        await site.finish()
        (record,) = site.csms.ledger.transactions()
        assert record.complete


async def test_a_call_that_is_not_answered_holds_nothing_up_for_ever(tmp_path: Path) -> None:
    """After its time-out the next one goes out; a transaction's message is sent again."""
    csms = Csms(message_timeout_s=1)
    station = {
        "variables": {
            "OCPPCommCtrlr.MessageTimeout[Default]": 1,
            "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": 3,
            "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": 1,
        }
    }
    async with Site(tmp_path, csms=csms, station=station) as site:
        site.cp.answer_next("TransactionEvent", Silence())
        await site.charge()
        await site.finish()
        await site.cp.round_trip()
        (record,) = csms.ledger.transactions()
        assert record.complete
        assert 1 == len(record.duplicates)
