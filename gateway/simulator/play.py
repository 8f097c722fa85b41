"""One visit of a car, played and judged: energized after the card, off at the end, or a reason why not."""

import asyncio
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from msgspec import Struct, field

from gateway.simulator.car import Car
from gateway.simulator.charger import Charger
from gateway.simulator.connector import Connector, Options
from gateway.simulator.contract import Message
from gateway.simulator.events import CardPresented, Plugged, Received, Unplugged
from gateway.simulator.mqtt_edge import Broker, MqttEdge, load_state

PLAYED = 0
FAILED = 1
INTERRUPTED = 130


class PlayOptions(Struct, frozen=True, kw_only=True):
    """What is played, where. The text under each field serves the command line as help."""

    url: str = "mqtt://127.0.0.1:1883"
    """Broker: mqtt://, mqtts://, ws:// or wss://."""
    user: str | None = None
    """User name at the broker."""
    password: str | None = None
    """Password at the broker."""
    ca_file: str | None = None
    """PEM file of the authority that signed the broker's certificate; the system's authorities otherwise."""
    protocol: str = "5"
    """MQTT version, 5 or 3.1.1."""
    client_id: str = ""
    """MQTT client id; empty lets the broker choose."""
    prefix: str = "ocpp"
    """First level of all topics."""
    station: str = "simulated"
    """Name of the station, as the gateway's settings have it."""
    connectors: int = 1
    """Number of connectors of the charger."""
    max_current_a: float = 32.0
    """Limit of each connector, in A."""
    phases: int = 3
    """Phases of each connector."""
    meter_interval_s: float = 5.0
    """Seconds between two meter messages."""
    speed: float = 1.0
    """Multiplies the energy that flows, so that a battery fills in minutes."""
    connector: int = 1
    """The connector that is used."""
    token: str = field(default="04A2B3C4")
    """Token of the card."""
    token_type: str = field(default="ISO14443")
    """OCPP word for the kind of token."""
    order: Literal["plug_first", "card_first"] = "plug_first"
    """What comes first."""
    car: Car = field(default_factory=Car)
    """The car that comes."""
    charge_s: float = 10.0
    """Seconds to charge from the closing of the contactor; with an energy or a soc, how long at most."""
    energy_wh: float | None = None
    """Charge until so much has flowed."""
    until_soc_percent: float | None = None
    """Charge until the battery is so full."""
    stop_by: Literal["card", "unplug"] = "card"
    """How the visit ends; after the card the car is unplugged too."""
    answer_timeout_s: float = 30.0
    """How long to wait for the broker, and for the gateway to switch on and off."""
    linger_s: float = 1.0
    """How long to stay for late commands such as `measure` before leaving."""
    state_file: str | None = None
    """JSON file that keeps registers and cars over restarts."""
    idle: bool = False
    """Play nothing: be a device until SIGTERM or Ctrl-C."""


class Unexpected(Exception):
    """What should have happened did not; the text says what did."""


async def play(options: PlayOptions, echo: Callable[[str], None]) -> int:
    """Play once and return the exit code: 0 as expected, 1 not (the reason is echoed), 130 interrupted.

    Wrong options raise `ValueError` before anything is connected.
    """
    edge = _edge(options, echo)
    interrupted = asyncio.Event()
    with _signals(interrupted):
        running = asyncio.create_task(edge.run(), name="simulated charger")
        piece = asyncio.create_task(_idle() if options.idle else _visit(edge, options, echo), name="visit")
        stop = asyncio.create_task(interrupted.wait(), name="signals")
        tasks = {running, piece, stop}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            if piece.done():
                piece.result()
                echo("ok: played as expected")
                return PLAYED
            echo("stopped")
            return PLAYED if options.idle else INTERRUPTED
        except Unexpected as reason:
            echo(f"failed: {reason}")
            return FAILED
        except OSError as error:
            echo(f"failed: {error}")
            return FAILED
        finally:
            if not running.done():
                await edge.switch_off()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _idle() -> None:
    await asyncio.Event().wait()


async def _visit(edge: MqttEdge, options: PlayOptions, echo: Callable[[str], None]) -> None:
    """Plug, card, charge, card, unplug."""
    charger, timeout_s = edge.charger, options.answer_timeout_s
    connector = charger.connector(options.connector)
    card = CardPresented(options.connector, options.token, options.token_type)
    if not await edge.until(lambda: charger.connected, timeout_s):
        reason = edge.last_error or "the broker does not answer"
        raise Unexpected(f"not connected within {timeout_s:g} s: {reason}")

    if connector.car is not None:
        edge.feed(Unplugged(options.connector))
    plug = Plugged(options.connector, options.car)
    for event in (plug, card) if options.order == "plug_first" else (card, plug):
        edge.feed(event)
    refused = ("refused", "unknown", "late", "busy")
    await edge.until(lambda: connector.energized or charger.verdict in refused, timeout_s)
    if not connector.energized:
        raise Unexpected(f"not energized {_why(charger, connector, timeout_s)}")

    begin_wh = connector.register_wh
    await _charge(edge, connector, options)
    echo(f"charged {connector.register_wh - begin_wh:.0f} Wh")

    edge.feed(card if options.stop_by == "card" else Unplugged(options.connector))
    if not await edge.until(lambda: _off(connector), timeout_s):
        raise Unexpected(f"the gateway did not switch off within {timeout_s:g} s after the {options.stop_by}")
    await edge.until(lambda: False, options.linger_s)
    if options.stop_by == "card":
        edge.feed(Unplugged(options.connector))
        await edge.until(lambda: False, options.linger_s)
    if not _off(connector):
        raise Unexpected("the gateway switched on again after the end of the visit")


async def _charge(edge: MqttEdge, connector: Connector, options: PlayOptions) -> None:
    """Charge until the goal; a contactor that opens before it is unexpected unless the car is full."""
    begin_wh, car = connector.register_wh, connector.car
    energy_wh, soc_percent = options.energy_wh, options.until_soc_percent

    def reached() -> bool:
        if car is None or car.full:
            return True
        if energy_wh is not None and connector.register_wh - begin_wh >= energy_wh:
            return True
        return soc_percent is not None and car.soc_percent >= soc_percent

    await edge.until(lambda: reached() or not connector.energized, options.charge_s)
    if not reached() and not connector.energized:
        raise Unexpected(
            "the contactor opened in the middle of the charge: the gateway switched off or was lost"
        )
    if not reached() and (energy_wh is not None or soc_percent is not None):
        raise Unexpected(
            f"only {connector.register_wh - begin_wh:.0f} Wh flowed in {options.charge_s:g} s: "
            "give it more time or more speed"
        )


def _wanted(connector: Connector) -> bool:
    return connector.setpoint is not None and connector.setpoint.energize is True


def _off(connector: Connector) -> bool:
    return not connector.energized and not _wanted(connector)


def _why(charger: Charger, connector: Connector, timeout_s: float) -> str:
    """Why the contactor is open, as far as a device can know."""
    if charger.verdict not in {None, "accepted"}:
        return f"because the card was answered with {charger.verdict!r}"
    if connector.setpoint is None:
        return f"within {timeout_s:g} s: no setpoint came. Does the gateway run, and know this station?"
    if not _wanted(connector):
        return f"within {timeout_s:g} s: the setpoint still says off"
    return f"within {timeout_s:g} s: the setpoint says on, but no live heartbeat of its epoch was heard"


def _edge(options: PlayOptions, echo: Callable[[str], None]) -> MqttEdge:
    state_file = Path(options.state_file) if options.state_file else None
    life = uuid.uuid4().hex[:12]
    charger = Charger(
        Options(
            prefix=options.prefix,
            station=options.station,
            connectors=options.connectors,
            max_current_a=options.max_current_a,
            phases=options.phases,
            meter_interval_s=options.meter_interval_s,
            speed=options.speed,
        ),
        _ids(life).__next__,
        load_state(state_file) if state_file else None,
    )
    charger.connector(options.connector)
    broker = Broker.at(
        options.url,
        user=options.user,
        password=options.password,
        ca_file=options.ca_file,
        client_id=options.client_id,
        protocol=options.protocol,
    )

    def short(topic: str, payload: bytes) -> str:
        text = payload.decode(errors="replace").replace(options.token, _masked(options.token))
        return f"{topic.removeprefix(f'{options.prefix}/')} {text}"

    def said(message: Message) -> None:
        echo(f"→ {short(message.topic, message.payload)}")

    def heard(message: Received) -> None:
        if message.topic != charger.topics.heartbeat:
            echo(f"← {short(message.topic, message.payload)}")

    return MqttEdge(charger, broker, state_file=state_file, heard=heard, said=said, noted=echo)


def _ids(life: str) -> Iterator[str]:
    """`life-0`, `life-1` …: unlike any of another life."""
    count = 0
    while True:
        yield f"{life}-{count}"
        count += 1


def _masked(token: str) -> str:
    return f"{token[:2]}…{token[-2:]}" if len(token) > 6 else "…"


@contextmanager
def _signals(interrupted: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT end the play in good order; only a main thread can be told so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, interrupted.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
