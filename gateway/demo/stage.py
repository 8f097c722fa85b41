"""The stage: broker, CSMS, gateway and devices, started in order, ended in order whatever happens."""

from __future__ import annotations

import asyncio
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path

from rich.console import Console

from gateway.daemon import Gateway
from gateway.demo.broker import MOSQUITTO, BrokerFailedError, broker
from gateway.demo.scenes import GARAGE, PLAZA, Missing, Piece
from gateway.demo.screen import Screen
from gateway.demo_csms import DemoCsms
from gateway.logs import configure
from gateway.settings import Settings, SettingsError, load
from gateway.simulator.charger import Charger
from gateway.simulator.connector import Options
from gateway.simulator.contract import Message
from gateway.simulator.events import Received
from gateway.simulator.mqtt_edge import Broker, MqttEdge
from gateway.store import Store

CONFIG = Path(__file__).parents[2] / "config" / "demo.yaml"

PLAYED = 0
FAILED = 1
INTERRUPTED = 130

_SPEED = 60.0
"""A second moves as much energy as a minute would."""
_METER_INTERVAL_S = 0.5
_CONNECT_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 15.0
_LOG_LINES = 12


class StageError(Exception):
    """A part of the demo did not start, or ended by itself."""


async def run_demo(once: bool, broker_command: str | None = None, broker_url: str | None = None) -> int:
    """Play until Ctrl-C; or `once`, and judge. The exit code: 0, 1 when anything differs, 130 interrupted."""
    console = Console(highlight=False, emoji=False)
    interrupted = asyncio.Event()
    with tempfile.TemporaryDirectory(prefix="ocpp-gateway-demo-") as name, _signals(interrupted.set):
        directory = Path(name)
        log_file = directory / "gateway.log"
        with log_file.open("w", encoding="utf-8", buffering=1) as log:
            configure("info", "console", log)
            play = asyncio.create_task(
                _perform(console, directory, once, broker_command, broker_url), name="demo"
            )
            stop = asyncio.create_task(interrupted.wait(), name="signals")
            try:
                await asyncio.wait({play, stop}, return_when=asyncio.FIRST_COMPLETED)
                if play.done():
                    found = play.result()
                    return FAILED if found else PLAYED
                console.print("\nThe curtain falls: every part says good-bye.")
                return INTERRUPTED if once else PLAYED
            except* (Missing, StageError, BrokerFailedError, SettingsError, OSError, TimeoutError) as failures:
                for failure in _leaves(failures):
                    console.print(f"✗ {failure or type(failure).__name__}", style="bold red", markup=False)
                _print_log(console, log_file)
                return FAILED
            finally:
                play.cancel()
                stop.cancel()
                await asyncio.gather(play, stop, return_exceptions=True)


async def _perform(
    console: Console, directory: Path, once: bool, broker_command: str | None, broker_url: str | None
) -> list[str]:
    """All differences that were found; without `once` it does not return."""
    async with AsyncExitStack() as stage, AsyncExitStack() as standing:
        ...
