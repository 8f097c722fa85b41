"""What the person who runs the gateway meets: figures that move, a full disk, a damaged file, a log without secrets."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from gateway import commits
from tests.support.broker import free_port
from tests.support.csms import Csms
from tests.support.gateway import CARD, Site
from tests.support.gateway_process import GatewayProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


async def fetch(url: str) -> tuple[int, str]:
    def get() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    return await asyncio.to_thread(get)


def figure(metrics: str, name: str, **labels: str) -> float:
    """The sum of what bears these labels."""
    total = 0.0
    for line in metrics.splitlines():
        if re.match(rf"{name}[ {{]", line) and all(f'{k}="{v}"' in line for k, v in labels.items()):
            total += float(line.rsplit(" ", 1)[1])
    return total


async def test_health_and_metrics_move_with_what_happens(tmp_path: Path) -> None:
    """Sessions, messages, frames by action and commits are counted; without a broker it is not healthy."""
    port = free_port()
    async with Site(tmp_path, settings={"health": {"port": port}}) as site:
        url = f"http://127.0.0.1:{port}"
        _, before = await fetch(f"{url}/metrics")
        await site.charge()
        await site.finish()
        await site.cp.round_trip()
        status, page = await fetch(f"{url}/health")
        _, after = await fetch(f"{url}/metrics")
        site.broker.stop()
        await asyncio.wait_for(site.mqtt.disconnected.wait(), 5)
        while site.gateway.client.connected:
            await asyncio.sleep(0)
        without_broker, _ = await fetch(f"{url}/health")
        site.broker.start()

        assert 200 == status
        assert json.loads(page)
        assert 503 == without_broker
        names = {line.split("{")[0].split(" ")[0] for line in after.splitlines() if line[:1] != "#"}
        frames = next(name for name in names if "frames" in name and name.endswith("_total"))
        assert figure(before, frames) < figure(after, frames)
        assert figure(after, frames, action="TransactionEvent") >= 3
        messages = next(name for name in names if "mqtt" in name and name.endswith("_total"))
        assert figure(before, messages) < figure(after, messages)
        commits = next(name for name in names if "commit" in name and name.endswith("_count"))
        assert figure(before, commits) < figure(after, commits)


async def test_the_frames_file_has_every_frame_and_no_secret(tmp_path: Path) -> None:
    """Both directions, with the station's name; tokens and passwords are masked."""
    file = tmp_path / "frames.log"
    csms = Csms(passwords={"CP1": b"a-very-secret-password"})
    station = {"csms": {"password": "a-very-secret-password"}}
    async with Site(
        tmp_path, csms=csms, station=station, settings={"log": {"frames_file": str(file)}}
    ) as site:
        await site.charge()
        csms.passwords = {"CP1": b"another-secret-password"}
        await site.cp.call(
            "SetVariables",
            {
                "setVariableData": [
                    {
                        "component": {"name": "SecurityCtrlr"},
                        "variable": {"name": "BasicAuthPassword"},
                        "attributeValue": "another-secret-password",
                    }
                ]
            },
        )
        await site.cp.connection(2)
        await site.finish()
    text = file.read_text()

    assert len(text.splitlines()) >= len(site.cp.frames) - 4
    for action in ("BootNotification", "Authorize", "TransactionEvent", "SetVariables"):
        assert action in text
    assert "garage" in text
    for secret in (CARD, "a-very-secret-password", "another-secret-password"):
        assert secret not in text


@asynccontextmanager
async def full_disk(site: Site) -> AsyncIterator[None]:
    """SQLite refuses every write, as it does on a file system that is full or has become read-only."""
    connection = site.gateway._store._database._connection
    connection.execute("PRAGMA query_only = ON")
    try:
        yield
    finally:
        connection.execute("PRAGMA query_only = OFF")


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_full_disk_starts_nothing_ends_nothing_and_is_loud(
    tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No new transaction, the running one goes on and can be ended; when there is room again, all is told and kept."""
    monkeypatch.setattr(commits, "STORE_RETRY_S", 0.2)
    heartbeat = {"gateway": {"heartbeat_interval_s": 1}}
    async with Site(tmp_path, version, station={"connectors": 2}, settings=heartbeat) as site:
        await site.charge(1, energy_wh=100.0)
        async with full_disk(site):
            await site.plug(2)
            await site.view("garage/0/event/error", event_type="store", writable=False)
            await site.view("bridge/health", store_writable=False, status="failing")
            await site.card("NEW", 2)
            await site.event(2, "card", "refused")
            site.mqtt.forget()
            await site.ask("limit", "10")
            limited = await site.setpoint(limit_a=10.0)
            await site.meter(2100.0)
            await site.card()
            await site.setpoint(1, energize=False)
            await site.plug()
            ended = await site.ended()
            energized = [m.json()["energize"] for m in site.mqtt.received("ocpp/garage/2/setpoint")]
        await site.view("garage/0/event/error", event_type="store", writable=True)
        await site.view("bridge/health", store_writable=True)
        await site.unplug(2)
        await site.charge(2, "NEW", 50.0)
        await site.restart()
        await site.status(2, plugged=True, energized=True, charging=True, errors=[])
        await site.setpoint(2, energize=True)
        await site.finish(2, "NEW", 60.0)

        assert limited["energize"]
        assert site.csms.ledger.transactions()[0].ended is ended
        one, two = site.csms.ledger.transactions()
        assert one.complete
        assert two.complete
        assert (100.0, 2100.0, 50.0, 60.0) == (
            one.meter_start_wh, one.meter_stop_wh, two.meter_start_wh, two.meter_stop_wh
        )  # fmt: skip
        assert [] == one.missing_numbers() + two.missing_numbers()
        assert [] == site.csms.ledger.anomalies()
        assert not any(energized)


async def test_an_on_that_the_disk_did_not_take_comes_when_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first fact that cannot be kept is the start itself: off until it is on disk, then on."""
    monkeypatch.setattr(commits, "STORE_RETRY_S", 0.2)
    async with Site(tmp_path) as site:
        await site.meter(10.0)
        await site.plug()
        await site.view("garage/1/state", plugged=True)
        await site.cp.round_trip()
        site.mqtt.forget()
        async with full_disk(site):
            await site.card()
            await site.view("garage/0/event/error", event_type="store", writable=False)
            held = [m.json()["energize"] for m in site.mqtt.received("ocpp/garage/1/setpoint")]
        await site.view("garage/0/event/error", event_type="store", writable=True)
        allowed = site.gateway.runners["garage"].station.state.evse_of(1).transaction is not None
        if allowed:
            await site.setpoint(energize=True)
        assert not any(held)


@pytest.mark.parametrize(("content", "word"), [(b"this is no database at all" * 100, "damaged")])
async def test_a_damaged_store_is_said_at_the_start(tmp_path: Path, content: bytes, word: str) -> None:
    """Exit code 1, and a sentence with the file and the way out; the file is left as it is."""
    process = GatewayProcess(tmp_path, _lonely())
    process.database.write_bytes(content)
    await process.start()
    code = await process.exit_code()

    assert 1 == code
    assert word in process.log
    assert str(process.database) in process.log
    assert "Traceback" not in process.log
    assert content == process.database.read_bytes()


async def test_a_store_in_an_impossible_place_is_said_at_the_start(tmp_path: Path) -> None:
    """A path through a file: exit code 1 and a sentence."""
    (tmp_path / "file").write_text("")
    process = GatewayProcess(tmp_path, _lonely() | {"store": {"path": str(tmp_path / "file" / "x.db")}})
    await process.start()
    code = await process.exit_code()

    assert 1 == code
    assert "Choose a path" in process.log
    assert "Traceback" not in process.log


async def test_a_store_in_use_is_said_at_the_start(tmp_path: Path) -> None:
    """A second gateway on the same file does not get far."""
    async with Site(tmp_path) as site:
        other = tmp_path / "other"
        other.mkdir()
        process = GatewayProcess(other, _lonely() | {"store": {"path": str(site.running.database)}})
        await process.start()
        code = await process.exit_code()
        await site.charge()

        assert 1 == code
        assert "in use" in process.log


async def test_without_broker_and_csms_it_starts_waits_and_ends_cleanly(tmp_path: Path) -> None:
    """Nothing is there: it says so, keeps trying, and goes within seconds when told to."""
    async with GatewayProcess(tmp_path, _lonely()) as process:
        async with asyncio.timeout(10):
            while "no connection to the MQTT broker" not in process.log:
                await asyncio.sleep(0.05)  # a log file offers no event
        code = await process.stop(5)

        assert 0 == code
        assert "Traceback" not in process.log


def _lonely() -> dict[str, Any]:
    return {
        "mqtt": {"url": f"mqtt://127.0.0.1:{free_port()}"},
        "stations": [{"name": "garage", "csms": f"ws://127.0.0.1:{free_port()}/ocpp"}],
    }
