"""The simulated charger: a device that obeys the contract to the letter, topic by topic.

Pure: events and the time come in, messages go out, `deadline()` says when to look again.
"""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct, field, structs

from gateway.simulator.connector import Connector, ConnectorState, Heard, Options
from gateway.simulator.contract import (
    CONTRACT_VERSION,
    Command,
    Heartbeat,
    Instant,
    Message,
    Topics,
    encode,
    has_expired,
    read_command,
    read_heartbeat,
    read_setpoint,
)
from gateway.simulator.events import (
    CardPresented,
    CarPaused,
    Connected,
    Disconnected,
    Event,
    FaultsChanged,
    LockJammed,
    Plugged,
    Received,
    Reported,
    SwitchedOff,
    TimePassed,
    Unplugged,
)

REMEMBERED_COMMANDS = 8
STATUS_INTERVAL_S = 300.0

_PHYSICS_STEP_S = 0.25
_COMMANDS = ("reset", "measure", "card_result", "update_firmware", "upload_log")


class ChargerState(Struct):
    """What the charger remembers without power."""

    connectors: list[ConnectorState] = field(default_factory=list)
    firmware_version: str | None = None
    """What was installed since; None: what it was made with."""


class Charger:
    """One station.

    `new_id` gives boot and gesture ids that never repeat; `state` is what an earlier life has kept.
    """

    def __init__(
        self, options: Options, new_id: Callable[[], str], state: ChargerState | None = None
    ) -> None:
        self.options = options
        self.topics = Topics(options.prefix, options.station)
        self.connected = False
        self.rebooting = False
        """A reset was accepted: the owner of the connection closes it; the charger boots when it is gone."""
        self.verdict: str | None = None
        """The last `card_result`; cleared when a card is presented."""
        self._new_id = new_id
        kept = (state.connectors if state else [])[: options.connectors]
        kept = kept + [ConnectorState() for _ in range(options.connectors - len(kept))]
        self.connectors = [
            Connector(n, options, each.register_wh, each.car) for n, each in enumerate(kept, start=1)
        ]
        self.firmware_version = (state and state.firmware_version) or options.firmware_version
        self._installed: str | None = None
        """The version that runs from the next boot on."""
        self._now_s: float | None = None
        self._boot("power_up")

    @property
    def state(self) -> ChargerState:
        """What to keep for a later life."""
        return ChargerState([each.state for each in self.connectors], self.firmware_version)

    @property
    def will(self) -> Message:
        """What the broker is to say when the connection breaks."""
        return Message(self.topics.own(0, "availability"), encode({"state": "offline"}), retain=True)

    def connector(self, n: int) -> Connector:
        """Connector `n`, from 1; another number raises `ValueError`."""
        if not 1 <= n <= len(self.connectors):
            raise ValueError(f"There is no connector {n}: the charger has 1 to {len(self.connectors)}.")
        return self.connectors[n - 1]

    def handle(self, event: Event, now: Instant) -> list[Message]:
        """Note the event, let physics catch up, then do what follows; while disconnected nothing is said."""
        elapsed_s = now.monotonic_s - self._now_s if self._now_s is not None else 0.0
        self._now_s = now.monotonic_s
        for each in self.connectors:
            each.let_time_pass(elapsed_s)
        said = list(self._note(event, now))
        for each in self.connectors:
            said += self._settle(each, now)
        spoken = said if self.connected else []
        if isinstance(event, SwitchedOff):
            spoken += [self._availability("offline", now)] if self.connected else []
            self.connected = False
            self._boot("power_up")
        return spoken

    def deadline(self) -> float | None:
        """When to call `handle(TimePassed())` at the latest, on the monotonic clock."""
        due: list[float] = []
        for each in self.connectors:
            if self.connected:
                due += [each.status_due_s, each.meter_due_s]
            if each.energized and each.lease_until_s is not None:
                due.append(each.lease_until_s)
            if each.flows and self._now_s is not None:
                due.append(self._now_s + _PHYSICS_STEP_S)
        return min(due, default=None)

    def _boot(self, reason: str) -> None:
        """Begin a life in which no setpoint, heartbeat or command has been heard: rule 3 follows."""
        self.boot_id = self._new_id()
        self.boot_reason = reason
        self.rebooting = False
        self._heard: Heard | None = None
        self._epoch: str | None = None
        self._answered: dict[str, tuple[str, str]] = {}
        for each in self.connectors:
            each.forget()

    def _note(self, event: Event, now: Instant) -> Iterator[Message]:
        match event:
            case Connected():
                self.connected = True
                yield from self._introduction(now)
            case Disconnected():
                self.connected = False
                if self._installed is not None:
                    self.firmware_version, self._installed = self._installed, None
                    self._boot("firmware_update")
                elif self.rebooting:
                    self._boot("remote_reset")
            case Received():
                yield from self._note_message(event, now)
            case TimePassed():
                pass
            case SwitchedOff():
                self.rebooting = True
            case Plugged(n, car):
                connector = self.connector(n)
                if connector.car is not None:
                    raise ValueError(f"Connector {n} has a car already: unplug it first.")
                connector.plug(structs.replace(car))
            case Unplugged(n):
                self.connector(n).unplug(heard=self.connected)
            case CarPaused(n, paused):
                car_there = self.connector(n).car
                if car_there is None:
                    raise ValueError(f"Connector {n} has no car that could pause or go on.")
                car_there.paused = paused
            case CardPresented(reader, id_token, type_, target):
                self.verdict = None
                card: dict[str, Any] = {"id_token": id_token, "type": type_}
                card |= {"connector": target} if target is not None else {}
                card |= {"id": self._new_id(), "timestamp": now.timestamp}
                yield Message(self.topics.own(reader, "card"), encode(card))
            case Reported(n, kind):
                report = {"kind": kind, "id": self._new_id(), "timestamp": now.timestamp}
                yield Message(self.topics.own(n, "report"), encode(report))
            case FaultsChanged(n, errors):
                self.connector(n).errors = errors
            case LockJammed(n, jammed):
                self.connector(n).lock_stuck = jammed

    def _note_message(self, event: Received, now: Instant) -> Iterator[Message]:
        if event.topic == self.topics.heartbeat:
            heartbeat = read_heartbeat(event.payload)
            if heartbeat is not None:
                self._note_heartbeat(heartbeat, event.retain, now)
            return
        match self.topics.read(event.topic):
            case (n, "setpoint", "") if 1 <= n <= len(self.connectors):
                self.connector(n).note_setpoint(read_setpoint(event.payload))
            case (n, "command", name) if 0 <= n <= len(self.connectors) and not event.retain:
                command = read_command(event.payload)
                if command is not None:
                    yield from self._obey_command(n, name, command, now)
            case _:
                pass  # not for this device

    def _note_heartbeat(self, heartbeat: Heartbeat, retain: bool, now: Instant) -> None:
        if heartbeat.state != "online" or heartbeat.epoch is None:
            return  # `stopping` and `offline` are no life; what is closed holds until its lease ends
        if not retain:
            self._heard = Heard(heartbeat.epoch, now.monotonic_s)
            if heartbeat.epoch != self._epoch:  # the gateway of a retained one was told on connecting
                for each in self.connectors:
                    each.told = None
        self._epoch = heartbeat.epoch

    def _obey_command(self, n: int, name: str, command: Command, now: Instant) -> Iterator[Message]:
        if command.boot_id not in {None, self.boot_id} or has_expired(command, now):
            return
        if name == "card_result":  # a beep and a light: harmless twice, and its id may be the card's own
            self.verdict = command.verdict
            return
        answer = self._answered.get(command.id)
        if answer is None:
            if name == "measure":
                for each in self._addressed(n):
                    yield self._meter(each, now, command.ref)
            answer = self._act(n, name, command)
            self._answered[command.id] = answer
            for oldest in list(self._answered)[:-REMEMBERED_COMMANDS]:
                del self._answered[oldest]
        status, info = answer
        result = {"id": command.id, "status": status} | ({"info": info} if info else {})
        yield Message(self.topics.own(n, "result"), encode(result | {"timestamp": now.timestamp}))
        if status == "accepted" and name == "update_firmware":
            yield Message(self.topics.own(0, "firmware"), encode({"status": "installing"}))
        if status == "accepted" and name == "upload_log":
            yield Message(self.topics.own(0, "log"), encode({"text": self._log(now), "last": True}))

    def _log(self, now: Instant) -> str:
        """What a charger remembers of itself, in lines."""
        lines = [f"boot {self.boot_id} {self.boot_reason}, firmware {self.firmware_version}"]
        lines += [f"connector {each.n}: {each.status()}" for each in self.connectors]
        return "".join(f"{now.timestamp} {line}\n" for line in lines)

    def _act(self, n: int, name: str, command: Command) -> tuple[str, str]:
        """Do what a command says, once: `(status, info)` of its result."""
        match name:
            case "measure" | "upload_log":
                return "accepted", ""
            case "update_firmware":
                self._installed = f"{self.options.firmware_version}+{(command.sha256 or 'unknown')[:7]}"
                self.rebooting = True
                return "accepted", ""
            case "reset":
                self.rebooting = True
                return "accepted", ""
            case "unlock" if self.options.lock:
                addressed = self._addressed(n)
                if any(each.energized for each in addressed):
                    return "rejected", "The contactor is closed."
                if any(each.lock_stuck for each in addressed):
                    return "failed", "The lock does not move."
                for each in addressed:
                    each.unlocked = True
                return "accepted", ""
            case _:
                return "not_supported", f"This charger has no command {name}."

    def _addressed(self, n: int) -> list[Connector]:
        return self.connectors if n == 0 else [self.connector(n)]

    def _introduction(self, now: Instant) -> Iterator[Message]:
        options = self.options
        connector = {
            "max_current_a": options.max_current_a,
            "phases": options.phases,
            "limiting": "continuous",
            "plug_sensor": True,
            "lock": options.lock,
        }
        info = {
            "contract": CONTRACT_VERSION,
            "boot_id": self.boot_id,
            "boot_reason": self.boot_reason,
            "vendor": options.vendor,
            "model": options.model,
            "serial": options.serial,
            "firmware_version": self.firmware_version,
            "connectors": [{"n": each.n} | connector for each in self.connectors],
            "commands": [*(["unlock"] if options.lock else []), *_COMMANDS],
            "timestamp": now.timestamp,
        }
        yield Message(self.topics.own(0, "info"), encode(info), retain=True)
        yield self._availability("online", now)
        for each in self.connectors:
            if each.left and each.car is not None:
                payload = encode(each.status(left=True) | {"timestamp": now.timestamp})
                yield Message(self.topics.own(each.n, "status"), payload, retain=True)
            each.left = False
            each.told = None
            each.meter_due_s = now.monotonic_s

    def _availability(self, state: str, now: Instant) -> Message:
        payload = encode({"state": state, "timestamp": now.timestamp})
        return Message(self.topics.own(0, "availability"), payload, retain=True)

    def _settle(self, connector: Connector, now: Instant) -> Iterator[Message]:
        """Move the contactor, then say what is new or due; its register goes ahead of its movement."""
        moved = connector.switch(self._heard, now.monotonic_s, blocked=self.rebooting)
        if moved or now.monotonic_s >= connector.meter_due_s:
            yield self._meter(connector, now)
        status = connector.status()
        if status != connector.told or now.monotonic_s >= connector.status_due_s:
            connector.told = status
            connector.status_due_s = now.monotonic_s + STATUS_INTERVAL_S
            payload = encode(status | {"timestamp": now.timestamp})
            yield Message(self.topics.own(connector.n, "status"), payload, retain=True)

    def _meter(self, connector: Connector, now: Instant, ref: str | int | None = None) -> Message:
        """The values now, with the `ref` of a `measure`; any reading puts off the next periodic one."""
        connector.meter_due_s = now.monotonic_s + self.options.meter_interval_s
        values = connector.meter() | ({} if ref is None else {"ref": ref}) | {"timestamp": now.timestamp}
        return Message(self.topics.own(connector.n, "meter"), encode(values), qos=0)
