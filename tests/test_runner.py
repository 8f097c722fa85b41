"""One station's loop: a fact that makes the program fail costs itself only; replies go before what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from gateway.station.events import TokenPresented
from gateway.station.station import Station
from tests.support.gateway import Site

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.station.effects import Effect
    from gateway.station.events import Event
    from gateway.station.model import Moment


async def test_a_fact_that_makes_the_program_fail_deafens_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, told on `bridge/event` and in the log, acknowledged; the transaction beside it is complete."""
    handle = Station.handle

    def failing(station: Station, event: Event, now: Moment) -> list[Effect]:
        if isinstance(event, TokenPresented) and event.token.id_token == "POISON":
            raise ZeroDivisionError("a rule has a hole")
        return handle(station, event, now)

    monkeypatch.setattr(Station, "handle", failing)
    async with Site(tmp_path, station={"connectors": 2}) as site:
        await site.charge()
        with capture_logs() as lines:
            await site.card("POISON", 2)
            told = await site.complaint("quarantined")
        await site.finish()
        await site.restart()

        assert "garage" in told["problems"][0]
        assert "a rule has a hole" in told["problems"][0]
        assert "POISON" not in str(told)
        assert [line for line in lines if line["log_level"] == "error"]
        assert site.csms.ledger.transactions()[0].complete
        assert 1 == len(site.mqtt.received("ocpp/bridge/event"))  # acknowledged: it did not come again


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_the_reply_goes_before_what_follows_from_the_request(tmp_path: Path, version: str) -> None:
    """On the wire: the answer to ChangeAvailability, then the status that it brought about."""
    payload = (
        {"connectorId": 1, "type": "Inoperative"}
        if version == "1.6"
        else {"operationalStatus": "Inoperative", "evse": {"id": 1, "connectorId": 1}}
    )
    async with Site(tmp_path, version) as site:
        await site.cp.round_trip()
        before = len(site.cp.frames)
        site.cp.forget()
        await site.cp.call("ChangeAvailability", payload)
        await site.cp.expect("StatusNotification")
        received = [str(f.text) for f in site.cp.frames[before:] if f.direction == "received"]

        assert received[0].startswith("[3,")
        assert "StatusNotification" in received[1]


async def test_a_broker_that_comes_late_finds_everything_said(tmp_path: Path) -> None:
    """What happened towards the CSMS while there was no broker is shown when there is one."""
    async with Site(tmp_path) as site:
        site.broker.stop()
        await site.cp.call(
            "ChangeAvailability", {"operationalStatus": "Inoperative", "evse": {"id": 1, "connectorId": 1}}
        )
        site.broker.start()
        await site.mqtt.disconnected.wait()
        await site.mqtt.connect()
        await site.mqtt.subscribe("ocpp/#")
        await site.setpoint(operative=False)
        await site.view("garage/1/state", status="Unavailable")
