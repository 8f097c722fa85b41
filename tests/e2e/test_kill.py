"""Whatever is killed at whatever moment, what was accepted is told once, in full, and nothing else happens."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.kill_blows import Blows
from tests.e2e.kill_site import Device
from tests.e2e.kill_verdict import Claim, complaints, everything_told, left_behind
from tests.support.broker import Broker
from tests.support.csms import Csms
from tests.support.gateway_process import GatewayProcess
from tests.support.mqtt_client import TestClient

HEARTBEAT_S, VALID_S, SAMPLE_S = 1, 5, 1
BLOCKED = ("BLOCKED-1", "BLOCKED-2")
BROKER_LINES = ("max_queued_messages 100000", "max_inflight_messages 1000", "set_tcp_nodelay true")
"""As shipped in mosquitto/mosquitto.conf; persistence is on too."""
CALM_S = 25.0
"""Within this after the last blow everything is back and told."""


async def test_what_was_accepted_is_told_once_whatever_is_killed(tmp_path: Path) -> None:
    """Three stations of each version, under blows for some seconds."""
    seed = int(os.environ.get("KILL_SEED") or random.randrange(1_000_000))
    await _survive(tmp_path, stations=6, seconds=15.0, seed=seed)


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_what_was_accepted_is_told_once_for_as_long_as_is_asked_for(tmp_path: Path) -> None:
    """The same, longer and wider: KILL_SECONDS (180), KILL_STATIONS (12), KILL_SEED."""
    seed = int(os.environ.get("KILL_SEED") or random.randrange(1_000_000))
    seconds = float(os.environ.get("KILL_SECONDS") or 180)
    stations = int(os.environ.get("KILL_STATIONS") or 12)
    await _survive(tmp_path, stations=stations, seconds=seconds, seed=seed)


async def _survive(directory: Path, *, stations: int, seconds: float, seed: int) -> None:
    chance = random.Random(seed)
    blocked: dict[str, Any] = {token: {"status": "Blocked"} for token in BLOCKED}
    with Broker(directory, persistence=True, lines=BROKER_LINES) as broker:
        async with Csms() as csms:
            csms.tokens.update(blocked)
            configured = [_station(number) for number in range(stations)]
            gateway = GatewayProcess(directory, _configuration(broker, csms, configured))
            blows = Blows(gateway, broker, csms, chance)
            devices = [Device(s["name"], s["connectors"], broker.port, blows.happened) for s in configured]
            async with gateway:
                try:
                    await _play(devices, csms, blows, seconds, chance)
                    await _calm(devices, csms, broker)
                    assert 0 == await gateway.stop()
                    _judge(devices, csms, gateway, blows)
                except BaseException as error:
                    error.add_note(f"KILL_SEED={seed}; blows: {[(b.what, b.moment) for b in blows.struck]}")
                    raise


def _station(number: int) -> dict[str, Any]:
    """Both versions in turn; every other pair starts unknown cards offline, the others never do."""
    version = ("1.6", "2.0.1")[number % 2]
    trusting = number // 2 % 2 == 0
    return {
        "name": f"s{number}",
        "connectors": 1 if version == "1.6" else 2,
        "connector": {"lock": trusting},
        "csms": {"versions": [version]},
        "variables": {"AuthCtrlr.OfflineTxForUnknownIdEnabled": trusting},
    }


def _configuration(broker: Broker, csms: Csms, configured: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "mqtt": {"url": broker.url},
        "gateway": {"heartbeat_interval_s": HEARTBEAT_S, "valid_s": VALID_S},
        "defaults": {
            "csms": {"url": csms.url},
            "variables": {
                "SampledDataCtrlr.TxUpdatedInterval": SAMPLE_S,
                "OCPPCommCtrlr.WebSocketPingInterval": 1,
                "OCPPCommCtrlr.RetryBackOffWaitMinimum": 1,
                "OCPPCommCtrlr.RetryBackOffRandomRange": 0,
                "OCPPCommCtrlr.RetryBackOffRepeatTimes": 0,
            },
        },
        "stations": configured,
    }


def _blocked_at(device: Device) -> tuple[str, ...]:
    return BLOCKED if int(device.name[1:]) // 2 % 2 else ()


async def _play(
    devices: list[Device], csms: Csms, blows: Blows, seconds: float, chance: random.Random
) -> None:
    """Everybody charges while the blows fall; at the end everybody goes home and everything is healed."""
    identities = tuple(device.name for device in devices)
    for identity in identities:
        await csms.station(identity, timeout=15)
    edges = [asyncio.create_task(device.edge.run(), name=device.name) for device in devices]
    drivers = [
        asyncio.create_task(device.use(n, random.Random(chance.random()), _blocked_at(device)))
        for device in devices
        for n in device.truth
    ]
    try:
        raining = asyncio.get_running_loop().time() + seconds
        await blows.rain(identities, lambda: asyncio.get_running_loop().time() >= raining)
        for device in devices:
            device.wind_up()
        await blows.heal()
        done, _ = await asyncio.wait([*edges, *drivers], return_when=asyncio.FIRST_EXCEPTION, timeout=0)
        for task in done:
            task.result()
        await asyncio.wait_for(asyncio.gather(*drivers), CALM_S)
        for device in devices:
            await _told(csms, device)
    finally:
        for task in [*edges, *drivers]:
            task.cancel()
        await asyncio.gather(*edges, *drivers, return_exceptions=True)


async def _told(csms: Csms, device: Device) -> None:
    await csms.identity(device.name).until(
        lambda: everything_told(csms.ledger, device) or None,
        CALM_S,
        lambda: f"complete account of {device.name}: {_state(csms, device)}",
    )


def _state(csms: Csms, device: Device) -> str:
    registers = {n: device.charger.connector(n).register_wh for n in device.truth}
    last = {
        n: (truth.spans[-2:], truth.readings[-3:], truth.gestures[-2:]) for n, truth in device.truth.items()
    }
    records = [
        (r.transaction_id, r.meter_start_wh, r.meter_stop_wh, r.complete, r.missing_numbers())
        for r in csms.ledger.transactions(device.name)
    ]
    return f"registers {registers}, told {records}, last {last}"


async def _calm(devices: list[Device], csms: Csms, broker: Broker) -> None:
    """Every station is connected, and nothing waits to be told."""
    async with TestClient(broker.port) as watcher:
        await watcher.subscribe("ocpp/+/0/state")
        for device in devices:
            await watcher.next(
                f"ocpp/{device.name}/0/state",
                CALM_S,
                where=lambda m: m.json()["connected"] and m.json()["queued"] == 0,
            )
            await csms.identity(device.name).round_trip()


def _judge(devices: list[Device], csms: Csms, gateway: GatewayProcess, blows: Blows) -> None:
    claim = Claim(float(VALID_S), float(SAMPLE_S), BLOCKED)
    found = [
        complaint
        for device in devices
        for complaint in complaints(device, csms.identity(device.name), csms.ledger, blows.struck, claim)
    ]
    told = len(csms.ledger.transactions())
    assert [] == found, "\n".join(found)
    assert {} == left_behind(gateway.database)
    assert [] == gateway.logged("error", "critical")
    assert told >= len(devices), f"only {told} transactions: too few to prove anything"
