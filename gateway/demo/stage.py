"""The stage: broker, CSMS, gateway and devices, started in order, ended in order whatever happens."""

from __future__ import annotations

import asyncio
import secrets
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path

from rich.console import Console

from gateway.daemon import Gateway
from gateway.demo.broker import MOSQUITTO, BrokerFailedError, broker
from gateway.demo.scenes import Missing, Piece
from gateway.demo.screen import Screen
from gateway.demo_csms import DemoCsms, Refused
from gateway.logs import configure
from gateway.settings import Settings, SettingsError, load
from gateway.simulator.charger import Charger
from gateway.simulator.connector import Options
from gateway.simulator.contract import Message
from gateway.simulator.events import Received
from gateway.simulator.mqtt_edge import Broker, MqttEdge
from gateway.store import Store, StoreError

CONFIG = Path(__file__).parent / "demo.yaml"

PLAYED = 0
FAILED = 1
INTERRUPTED = 130

_PREFIX = "ocpp"
_GUEST_PREFIX = "ocpp-demo"
"""On somebody's own broker, where a gateway may be at work already."""
_SPEED = 60.0
"""A second moves as much energy as a minute would."""
_METER_INTERVAL_S = 0.5
_CONNECT_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 15.0
_LOG_LINES = 12


class StageError(Exception):
    """A part of the demo did not start, or ended by itself."""


_FAILURES = (
    Missing,
    StageError,
    BrokerFailedError,
    SettingsError,
    StoreError,
    Refused,
    OSError,
    TimeoutError,
)


async def run_demo(once: bool, broker_command: str | None = None, broker_url: str | None = None) -> int:
    """Play until Ctrl-C; or `once`, and judge. The exit code: 0, 1 when anything differs, 130 interrupted."""
    console = Console(highlight=False, emoji=False)
    interrupted = asyncio.Event()
    with (
        tempfile.TemporaryDirectory(prefix="ocpp-gateway-demo-") as name,
        (Path(name) / "gateway.log").open("w", encoding="utf-8", buffering=1) as log,
        _signals(interrupted),
    ):
        configure("info", "console", log)
        play = asyncio.create_task(
            _perform(console, Path(name), once, broker_command, broker_url), name="demo"
        )
        stop = asyncio.create_task(interrupted.wait(), name="signals")
        try:
            await asyncio.wait({play, stop}, return_when=asyncio.FIRST_COMPLETED)
            if play.done():
                return FAILED if play.result() else PLAYED
            console.print("The curtain falls: every part says good-bye.")
            return INTERRUPTED if once else PLAYED
        except (*_FAILURES, ExceptionGroup) as failure:
            for sentence in _sentences(failure):
                console.print(f"✗ {sentence}", style="bold red", markup=False, soft_wrap=True)
            _print_end_of(Path(log.name), console)
            return FAILED
        finally:
            play.cancel()
            stop.cancel()
            await asyncio.gather(play, stop, return_exceptions=True)
            configure()


async def _perform(
    console: Console, directory: Path, once: bool, broker_command: str | None, broker_url: str | None
) -> list[str]:
    """What differed; without `once` it plays on, whatever differs, and does not return."""
    async with AsyncExitStack() as stage:
        console.print(
            "Starting a broker, a CSMS, the gateway and two charging stations, all on this machine …",
            soft_wrap=True,
        )
        prefix = _PREFIX if broker_url is None else _GUEST_PREFIX
        if broker_url is None:
            broker_url = await stage.enter_async_context(
                broker(broker_command or MOSQUITTO, directory / "broker.log")
            )
        screen = Screen(console, prefix)
        csms = DemoCsms(screen.frame)
        standing = await stage.enter_async_context(AsyncExitStack())
        await standing.enter_async_context(csms)
        settings = _settings(broker_url, prefix, csms.url, directory / "demo.db")
        edges = {
            station.name: _edge(station.name, len(station.connectors), broker_url, prefix, screen)
            for station in settings.station_configs()
        }
        piece = Piece(screen, csms, standing, edges, unhurried=not once)
        with screen:
            screen.headline(
                "Prologue", "the devices come to the broker, the gateway introduces them to the CSMS"
            )
            async with _running(settings, edges) as parts:
                play = asyncio.create_task(_rounds(piece, once=once), name="piece")
                try:
                    await asyncio.wait({play, *parts}, return_when=asyncio.FIRST_COMPLETED)
                    if play.done():
                        return play.result()
                    raise _ended(parts)
                finally:
                    play.cancel()
                    await asyncio.gather(play, return_exceptions=True)


async def _rounds(piece: Piece, *, once: bool) -> list[str]:
    await piece.ready()
    while True:
        found = await piece.play()
        if once:
            return found


@asynccontextmanager
async def _running(settings: Settings, edges: dict[str, MqttEdge]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Devices first, so that they hear the gateway's first heartbeat; at the end they leave first, too."""
    devices = [asyncio.create_task(edge.run(), name=f"device {name}") for name, edge in edges.items()]
    gateway: Gateway | None = None
    parts = list(devices)
    try:
        for name, edge in edges.items():
            connected = edge.until(lambda edge=edge: edge.charger.connected, _CONNECT_TIMEOUT_S)  # type: ignore[misc]
            if not await connected:
                raise StageError(
                    f"The device {name} does not reach the broker: {edge.last_error or 'no answer'}."
                )
        gateway = Gateway(settings, Store.open(settings.store.path))
        parts.append(asyncio.create_task(gateway.run(), name="gateway"))
        yield parts
    finally:
        for device, edge in zip(devices, edges.values(), strict=True):
            if not device.done():
                await edge.switch_off()
        if gateway is not None:
            gateway.stop()
            await asyncio.wait({parts[-1]}, timeout=_STOP_TIMEOUT_S)
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)


def _ended(parts: list[asyncio.Task[None]]) -> Exception:
    """Why a part is no longer there that should outlive the piece."""
    part = next(each for each in parts if each.done())
    failure = None if part.cancelled() else part.exception()
    return StageError(f"The {part.get_name()} ended by itself: {failure or 'without a reason'}")


def _edge(station: str, connectors: int, broker_url: str, prefix: str, screen: Screen) -> MqttEdge:
    """A simulated charger; in MQTT 3.1.1, as most small devices speak and every broker understands."""
    life, number = secrets.token_hex(4), count()
    options = Options(
        prefix=prefix,
        station=station,
        connectors=connectors,
        meter_interval_s=_METER_INTERVAL_S,
        speed=_SPEED,
        vendor="Demo",
        model="Simulated charger",
        serial=f"DEMO-{station}",
    )

    def said(message: Message) -> None:
        screen.message(message.topic, message.payload, to_gateway=True)

    def heard(message: Received) -> None:
        screen.message(message.topic, message.payload, to_gateway=False)

    charger = Charger(options, lambda: f"{life}-{next(number)}")
    return MqttEdge(charger, Broker.at(broker_url, protocol="3.1.1"), said=said, heard=heard)


def _settings(broker_url: str, prefix: str, csms_url: str, store: Path) -> Settings:
    """demo.yaml with this demo's addresses, and nothing of the surrounding environment."""
    if not CONFIG.is_file():
        raise StageError(f"The demo's configuration is missing: {CONFIG}. Run it where the source code is.")
    return load(
        CONFIG,
        {
            "OCPP_GATEWAY_MQTT__URL": broker_url,
            "OCPP_GATEWAY_MQTT__PREFIX": prefix,
            "OCPP_GATEWAY_DEFAULTS__CSMS__URL": csms_url,
            "OCPP_GATEWAY_STORE__PATH": str(store),
            "OCPP_GATEWAY_SECRETS_DIR": str(store.parent / "secrets"),
        },
    )


def _sentences(failure: BaseException) -> Iterator[str]:
    if isinstance(failure, BaseExceptionGroup):
        for each in failure.exceptions:
            yield from _sentences(each)
    elif isinstance(failure, _FAILURES):
        yield str(failure) or type(failure).__name__
    else:
        yield repr(failure)


def _print_end_of(log_file: Path, console: Console) -> None:
    lines = log_file.read_text(errors="replace").splitlines()[-_LOG_LINES:]
    if lines:
        console.print("The gateway's last words:", style="dim")
    for line in lines:
        console.print(f"  {line}", style="dim", markup=False, soft_wrap=True)


@contextmanager
def _signals(interrupted: asyncio.Event) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) asks for the end; the next one is as impatient as usual."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def release() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)

    def note() -> None:
        release()
        interrupted.set()

    for number in numbers:
        loop.add_signal_handler(number, note)
    try:
        yield
    finally:
        release()
