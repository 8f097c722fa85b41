"""What passes by, a line each: devices on the left, the CSMS on the right, the connectors below."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.demo_csms import Direction

COLUMNS_FROM = 110
"""A narrower terminal, or none, gets one column."""
_PLAIN_WIDTH = 170
_TIME_WIDTH = 9

# What says nothing to somebody who watches: ids, stamps, and what stands in the topic already.
_UNTOLD = frozenset(
    {
        "timestamp",
        "currentTime",
        "interval",
        "id",
        "ref",
        "boot_id",
        "ttl_s",
        "epoch",
        "valid_s",
        "instance",
        "interval_s",
        "contract",
        "commands",
        "limit_w",
        "operative",
        "transaction",
        "vendorName",
        "chargePointVendor",
        "offline",
        "location",
        "reservationId",
        "customData",
    }
)
_LEVELS = ("status", "setpoint")
"""Whole documents, of which only what is new is shown."""
_METER = ("energy_import_wh", "power_w", "current_a", "soc_percent")
_MEASURANDS = {"Energy.Active.Import.Register": "register", "Power.Active.Import": "power", "SoC": "soc"}


class ConnectorRow(NamedTuple):
    """One connector: what the CSMS believes, and what the device does."""

    place: str
    status: str
    plugged: bool
    limit_a: float | None
    """None while the contactor is open."""
    power_w: float
    register_wh: float
    transaction: str | None

    @property
    def story(self) -> tuple[str, bool, bool, str | None]:
        """What makes a new line of it where there is no table."""
        return self.status, self.plugged, self.limit_a is not None, self.transaction


class Screen:
    """`with Screen(console, prefix) as screen`: on a terminal the connectors stay in sight below the lines."""

    def __init__(self, console: Console, prefix: str) -> None:
        self.rows: Callable[[], Sequence[ConnectorRow]] = list
        """Asked for the connectors whenever something has passed by."""
        self.errors: list[str] = []
        """CALLERRORs of either side; a demo without a mistake has none."""
        self._console, self._prefix = console, prefix
        self._columns = console.is_terminal and console.width >= COLUMNS_FROM
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._began_s = time.monotonic()
        self._levels: dict[str, Mapping[str, Any]] = {}
        self._heartbeat = b""
        self._readings: dict[str, str] = {}
        self._asked: dict[tuple[str, str], str] = {}
        self._shown: list[ConnectorRow] = []

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        if self._live is not None:
            self._live.stop()

    # -------------------------------------------------------------- what the piece says

    def headline(self, title: str, story: str) -> None:
        """Open a scene."""
        self._print(Text())
        self._print(Text(f"━━ {title} ", "bold cyan"))
        self._print(Text(f"   {story}", "italic"))
        if self._columns:
            heads = Text(" " * _TIME_WIDTH + "device ⇄ gateway: MQTT".ljust(self._left), "dim underline")
            self._print(heads.append("gateway ⇄ CSMS: OCPP".ljust(self._right)))

    def stage_direction(self, sentence: str) -> None:
        """What people do: show a card, plug a car."""
        self._print(Text(f"{self._time()}* {sentence}", "bold yellow"))

    def good(self, sentence: str) -> None:
        """What was checked and found right."""
        self._print(Text(f"✓ {sentence}", "green"))

    def bad(self, sentence: str) -> None:
        """What is not as it should be."""
        self._print(Text(f"✗ {sentence}", "bold red"))

    def plain(self, sentence: str) -> None:
        """Anything else."""
        self._print(Text(sentence))

    # -------------------------------------------------------------- what passes by

    def message(self, topic: str, payload: bytes, *, to_gateway: bool) -> None:
        """An MQTT message between a device and the gateway."""
        place = topic.removeprefix(f"{self._prefix}/")
        if place == "bridge/state":
            if payload == self._heartbeat:
                return  # both devices hear it
            self._heartbeat = payload
        said = self._essence(place, payload) or "unchanged"
        if place.endswith("/meter") and self._readings.get(place) == said:
            return  # an idle meter has nothing new to tell
        self._readings[place] = said
        quiet = place == "bridge/state" or place.endswith("/result") or said.startswith("power_w=0 ")
        style = "dim" if quiet else "bright_blue" if to_gateway else "bright_magenta"
        arrow = "→" if to_gateway else "←"
        if self._columns:
            text = _cut(f"{arrow} {place} {said}", self._left - 1)
        else:
            text = f"{'device → gateway' if to_gateway else 'device ← gateway'}  {topic}  {said}"
        self._print(self._line(text, style))
        self.look()

    def frame(self, identity: str, direction: Direction, frame: str) -> None:
        """An OCPP frame; the direction is the CSMS's."""
        from_gateway = direction == "received"
        said, style = self._told(identity, frame, from_gateway=from_gateway)
        if self._columns:
            text = " " * self._left + _cut(f"{'→' if from_gateway else '←'} {identity} {said}", self._right)
        else:
            text = f"{'gateway → CSMS  ' if from_gateway else 'gateway ← CSMS  '}  {identity}  {said}"
        self._print(self._line(text, style))
        self.look()

    def look(self) -> None:
        """Show the connectors anew if anything about them has changed."""
        rows = list(self.rows())
        if rows == self._shown:
            return
        before = {row.place: row.story for row in self._shown}
        self._shown = rows
        if self._live is not None:
            self._live.update(_table(rows), refresh=True)
            return
        for row in rows:
            if before.get(row.place) != row.story:
                self._print(Text(f"{self._time()}= {_in_words(row)}"))

    # -------------------------------------------------------------- how

    @property
    def _left(self) -> int:
        return (self._console.width - _TIME_WIDTH) // 2

    @property
    def _right(self) -> int:
        return self._console.width - _TIME_WIDTH - self._left

    def _time(self) -> str:
        return f"{time.monotonic() - self._began_s:{_TIME_WIDTH - 2}.2f}  "

    def _line(self, text: str, style: str) -> Text:
        width = self._console.width if self._console.is_terminal else _PLAIN_WIDTH
        return Text(self._time(), "dim").append(_cut(text, width - _TIME_WIDTH), style)

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=not self._console.is_terminal)

    def _essence(self, place: str, payload: bytes) -> str:
        try:
            document = json.loads(payload)
        except ValueError:
            return payload.decode(errors="replace")
        if not isinstance(document, dict):
            return str(document)
        channel = place.rpartition("/")[2]
        if channel == "meter":
            return _pairs({key: document[key] for key in ("power_w", *_METER) if key in document})
        if channel in _LEVELS:
            known, self._levels[place] = self._levels.get(place, {}), document
            fresh = {key: value for key, value in document.items() if key not in known or known[key] != value}
            always = {"energize": document["energize"]} if "energize" in document else {}
            return _pairs(always | {key: fresh[key] for key in fresh if key != "revision" or len(fresh) <= 2})
        return _pairs(document)

    def _told(self, identity: str, text: str, *, from_gateway: bool) -> tuple[str, str]:
        """What a frame says in a line, and its colour."""
        match json.loads(text):
            case [2, message_id, action, payload]:
                self._asked[identity, message_id] = action
                return f"{action} {_pairs(payload)}", "bright_green" if from_gateway else "bright_cyan"
            case [3, message_id, payload]:
                action = self._asked.pop((identity, message_id), "?")
                return f"{action}: {_pairs(payload) or 'ok'}", "green" if _pairs(payload) else "dim"
            case [4, message_id, code, description, *_]:
                action = self._asked.pop((identity, message_id), "?")
                self.errors.append(f"{identity}: {action} was answered with {code}: {description}")
                return f"{action}: {code} {description}", "bold red"
            case _:
                return text, "bold red"


def _pairs(document: Mapping[str, Any]) -> str:
    """`key=value` of all that says something, readings of the meter by their short names."""
    pairs: dict[str, str] = {}
    _gather(document, pairs)
    return " ".join(f"{key}={value}" for key, value in pairs.items())


def _gather(document: Mapping[str, Any], pairs: dict[str, str]) -> None:
    for key, value in document.items():
        if key in _UNTOLD:
            continue
        if key in {"meterValue", "transactionData"}:
            for reading in value:
                _gather_readings(reading["sampledValue"], pairs)
        elif isinstance(value, dict):
            if key in {"evse", "connector"}:
                pairs[key] = str(value.get("id"))
            _gather(value, pairs)
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            pairs[key] = f"{len(value)}×"
        elif key == "transactionId":
            pairs[key] = _cut(str(value), 9)
        else:
            pairs[key] = _word(value)


def _gather_readings(values: Sequence[Mapping[str, Any]], pairs: dict[str, str]) -> None:
    for value in values:
        name = _MEASURANDS.get(value.get("measurand", "Energy.Active.Import.Register"))
        if name is None or "phase" in value:
            continue
        unit = value.get("unit") or value.get("unitOfMeasure", {}).get("unit", "Wh")
        pairs[name] = f"{float(value['value']):.10g} {unit}".replace("Percent", "%")
        if "context" in value:
            pairs["context"] = value["context"]


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_word, value)) or "[]"
    if isinstance(value, float):
        return f"{value:.10g}"
    return value if isinstance(value, str) else json.dumps(value)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _table(rows: Sequence[ConnectorRow]) -> Table:
    table = Table(title="Connectors", title_justify="left", expand=False)
    for head in ("connector", "at the CSMS", "car", "contactor", "power", "register", "transaction"):
        table.add_column(head, justify="right" if head in {"power", "register"} else "left")
    for row in rows:
        on = row.limit_a is not None
        table.add_row(
            row.place,
            row.status,
            "plugged" if row.plugged else "–",
            f"on, ≤ {row.limit_a:g} A" if on else "off",
            f"{row.power_w / 1000:.1f} kW",
            f"{row.register_wh / 1000:.3f} kWh",
            _cut(row.transaction or "–", 9),
            style="bold green" if on else "yellow" if row.plugged else "",
        )
    return table


def _in_words(row: ConnectorRow) -> str:
    car = "car plugged" if row.plugged else "no car"
    contactor = "off" if row.limit_a is None else f"on, up to {row.limit_a:g} A"
    transaction = f"transaction {_cut(row.transaction, 9)}" if row.transaction else "no transaction"
    return f"{row.place}: {row.status}, {car}, {contactor}, {row.register_wh:.1f} Wh, {transaction}"
