"""One gateway per prefix, whatever the order in which they come; what ends by itself is noticed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from gateway.daemon import SecondGatewayError
from gateway.health import HealthPortTaken
from tests.support.broker import Broker, free_port
from tests.support.gateway import RunningGateway, Site
from tests.support.mqtt_client import TestClient

if TYPE_CHECKING:
    from pathlib import Path


def configuration(broker: Broker, identity: str) -> dict[str, Any]:
    return {
        "mqtt": {"url": broker.url},
        "stations": [{"name": "garage", "identity": identity, "csms": f"ws://127.0.0.1:{free_port()}"}],
    }


async def test_of_two_that_begin_at_the_same_moment_one_stays(tmp_path: Path) -> None:
    """Neither was there first; exactly one of them gives way, and the other says online last."""
    with Broker(tmp_path) as broker:
        both = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            both.append(RunningGateway(tmp_path / name, configuration(broker, name)))
        for running in both:
            await running.start()
        instances = [running.gateway.instance for running in both]
        ends = [asyncio.create_task(running.ended(), name=str(n)) for n, running in enumerate(both)]
        (gone,), (there,) = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(SecondGatewayError):
            gone.result()
        left = instances[ends.index(there)]
        async with TestClient(broker.port) as watcher:
            await watcher.subscribe("ocpp/bridge/state")
            await watcher.next(where=lambda m: m.json()["state"] == "online" and m.json()["instance"] == left)
            assert not there.done()
        there.cancel()
        await asyncio.gather(there, return_exceptions=True)


async def test_a_stranger_that_says_it_stops_is_corrected(tmp_path: Path) -> None:
    """What the broker keeps is the state of the gateway that lives: it says so at once."""
    async with Site(tmp_path) as site:
        own = site.gateway.instance
        site.mqtt.forget()
        for state in ("stopping", "offline"):
            await site.mqtt.publish(
                "ocpp/bridge/state", {"state": state, "instance": "stranger", "epoch": None}, retain=True
            )
            await site.mqtt.next("ocpp/bridge/state", 1.0, where=lambda m: m.json()["instance"] == own)


async def test_a_station_that_was_renamed_in_case_only_keeps_what_it_had(tmp_path: Path) -> None:
    """Names are unique whatever the case, and so is what is stored under them."""
    async with Site(tmp_path, "1.6") as site:
        await site.cp.call("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "77"})
        await site.running.stop()
        renamed = site.configuration()
        renamed["stations"][0]["name"] = "Garage"
        site.running = RunningGateway(tmp_path, renamed)
        await site.running.start()
        await site.cp.connection(2)
        kept = await site.cp.call("GetConfiguration", {"key": ["HeartbeatInterval"]})
        await site.running.stop()
    assert "77" == kept["configurationKey"][0]["value"]


async def test_a_health_port_in_use_is_an_error_at_the_start(tmp_path: Path) -> None:
    """It names the port; nothing is left running."""
    async with Site(tmp_path, settings={"health": {"port": free_port()}}) as site:
        other = tmp_path / "other"
        other.mkdir()
        running = RunningGateway(
            other, site.configuration() | {"mqtt": {"url": site.broker.url, "prefix": "x"}}
        )
        await running.start()
        with pytest.raises(HealthPortTaken):
            await running.ended()
