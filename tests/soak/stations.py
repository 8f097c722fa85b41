"""The stations of a soak: chargers and drivers who take their time, each with a few cards."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from tests.e2e.kill_site import Device, Reader

METER_INTERVAL_S = 10.0
SAMPLE_INTERVAL_S = 30
_CARDS = 3


class Readers:
    """All card readers over one connection, each card in its turn."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._turn = asyncio.Lock()

    async def publish(self, topic: str, payload: dict[str, Any]) -> None:
        """As Reader does it."""
        async with self._turn:
            await self._reader.publish(topic, payload)


class Station(Device):
    """`pace` shortens all that people wait for."""

    def __init__(self, name: str, connectors: int, port: int, *, pace: float) -> None:
        nobody: Callable[[str], None] = lambda _moment: None  # noqa: E731 - a signature that is fixed elsewhere
        super().__init__(name, connectors, port, nobody, meter_interval_s=max(0.4, METER_INTERVAL_S * pace))
        self.pause_s = (5.0 * pace, 90.0 * pace)
        self.charging_s = (20.0 * pace, 180.0 * pace)

    @property
    def cards(self) -> list[str]:
        return [f"{self.name}-{number}" for number in range(_CARDS)]

    @property
    def remote_token(self) -> str:
        """With which the CSMS starts."""
        return f"{self.name}-remote"

    async def drive(self, readers: Readers, n: int, chance: random.Random) -> None:
        """Session after session at one connector until `over`."""
        number = 0
        while not self.over:
            number += 1
            await self._pause(chance.uniform(*self.pause_s))
            if not self.over:
                await self._charge(readers, n, self._token(n, number), chance)

    def _token(self, n: int, number: int) -> str:
        return self.cards[(n + number) % _CARDS]


def version(number: int) -> str:
    """Every fourth station speaks 2.0.1."""
    return "2.0.1" if number % 4 == 3 else "1.6"


def configured(number: int) -> dict[str, Any]:
    """The station's entry in the configuration."""
    return {
        "name": f"soak{number:03}",
        "connectors": 1 + number % 2,
        "csms": {"versions": [version(number)]},
    }


def configuration(broker_url: str, csms_url: str, stations: int, health_port: int) -> dict[str, Any]:
    """Memory of gestures and the like is kept short, so that what is bounded reaches its bound."""
    return {
        "mqtt": {"url": broker_url},
        "home_assistant": {"discovery": "off"},  # nobody listens to the megabytes of so many stations
        "gateway": {"heartbeat_interval_s": 10, "valid_s": 60},
        "health": {"port": health_port},
        "defaults": {
            "csms": {"url": csms_url},
            "policy": {"gesture_memory_s": 300},
            "variables": {
                "SampledDataCtrlr.TxUpdatedInterval": SAMPLE_INTERVAL_S,
                "OCPPCommCtrlr.WebSocketPingInterval": 10,
                "OCPPCommCtrlr.RetryBackOffWaitMinimum": 1,
                "OCPPCommCtrlr.RetryBackOffRandomRange": 3,
                "OCPPCommCtrlr.RetryBackOffRepeatTimes": 2,
                "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": 10,
                "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": 2,
            },
        },
        "stations": [configured(number) for number in range(stations)],
    }
