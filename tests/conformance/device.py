"""A small obedient device: a charger of one or more connectors, with a car and a meter each. It knows MQTT only."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import msgspec

PREFIX = "ocpp/garage"
FIRST_REGISTER_WH = 1000.0


class Outlet(msgspec.Struct):
    """One connector and the car at it."""

    plugged: bool = False
    energized: bool = False
    car_draws: bool = True
    register_wh: float = FIRST_REGISTER_WH
    locked: bool = False
    locked_up: bool = False
    """The lock is stuck: no unlock succeeds."""
    lock_fails: bool = False
    """The lock does not reach its place."""
    errors: tuple[str, ...] = ()


class Device:
    """Obeys its setpoints and commands; `publish(topic, payload, retain)` is its way to the broker."""

    def __init__(
        self, connectors: int, *, lock: bool, publish: Callable[[str, dict[str, Any], bool], None]
    ) -> None:
        self.outlets = {n: Outlet() for n in range(1, connectors + 1)}
        self.measures = True
        """Answers `measure` with its register."""
        self.obeys = True
        self.on = True
        """False while it has no power."""
        self.setpoints: dict[int, dict[str, Any]] = {}
        """The last setpoint of each connector."""
        self.commands: list[dict[str, Any]] = []
        """All commands, with their `name` and `n`."""
        self.installs: Callable[[dict[str, Any]], None] | None = None
        """What it does when told to install firmware; None: it does not know how."""
        self._lock = lock
        self._publish = publish
        self._boots = itertools.count(1)
        self._gestures = itertools.count(1)

    # -------------------------------------------------------------- saying

    def say(self, n: int, channel: str, payload: dict[str, Any], *, retain: bool = False) -> None:
        if self.on:
            self._publish(f"{PREFIX}/{n}/{channel}", payload, retain)

    def boot(self, boot_reason: str = "power_up", **info: Any) -> None:
        """Power comes on: everything is off, and it introduces itself."""
        self.on = True
        commands = ["measure", "reset", *(["unlock"] if self._lock else [])]
        commands += ["update_firmware"] if self.installs is not None else []
        document = {
            "contract": 1,
            "boot_id": f"boot{next(self._boots)}",
            "boot_reason": boot_reason,
            "commands": commands,
        }
        for outlet in self.outlets.values():
            outlet.energized = False
        self.say(0, "info", document | info, retain=True)
        self.report_all()

    def report_all(self) -> None:
        for n in self.outlets:
            self.report(n)
            self.meter(n)

    def report(self, n: int) -> None:
        """The whole status."""
        outlet = self.outlets[n]
        flows = outlet.energized and outlet.car_draws
        facts = {
            "plugged": outlet.plugged,
            "energized": outlet.energized,
            "charging": flows,
            "errors": list(outlet.errors),
        }
        if self._lock:
            facts["locked"] = outlet.locked
        self.say(n, "status", facts)

    def status(self, n: int, **facts: Any) -> None:
        self.say(n, "status", facts)

    def meter(self, n: int, **values: Any) -> None:
        self.say(n, "meter", {"energy_import_wh": self.outlets[n].register_wh, **values})

    def gesture(self, n: int, channel: str, **payload: Any) -> None:
        self.say(n, channel, {"id": f"g{next(self._gestures)}", **payload})

    def goes_dark(self) -> None:
        """No power: contactors fall open, and nothing is said any more."""
        self.on = False
        for outlet in self.outlets.values():
            outlet.energized = False

    # -------------------------------------------------------------- hearing

    def hear(self, topic: str, payload: bytes) -> None:
        """A message of the gateway; what is not for a device is passed over."""
        if not self.on or not topic.startswith(PREFIX + "/"):
            return
        match topic.removeprefix(PREFIX + "/").split("/"):
            case [n, "setpoint"]:
                self._obey(int(n), json.loads(payload))
            case [n, "command", name]:
                command = json.loads(payload) | {"name": name, "n": int(n)}
                self.commands.append(command)
                if self.obeys:
                    self._do(command)
            case _:
                pass

    def _obey(self, n: int, setpoint: dict[str, Any]) -> None:
        if setpoint["revision"] < self.setpoints.get(n, setpoint)["revision"]:
            return
        self.setpoints[n] = setpoint
        outlet = self.outlets[n]
        if not self.obeys:
            return
        changed: dict[str, Any] = {}
        if self._lock and outlet.locked is not setpoint["lock"]:
            outlet.locked = setpoint["lock"] and not outlet.lock_fails
            changed |= {"locked": outlet.locked, "lock_failed": setpoint["lock"] and outlet.lock_fails}
        if outlet.energized is not setpoint["energize"]:
            outlet.energized = setpoint["energize"]
            changed |= {"energized": outlet.energized, "charging": outlet.energized and outlet.car_draws}
        if changed:
            self.status(n, **changed)

    def _do(self, command: dict[str, Any]) -> None:
        n = command["n"]
        match command["name"]:
            case "measure" if self.measures:
                self.meter(n, ref=command.get("ref") or command["id"])
            case "unlock":
                stuck = self.outlets[n].locked_up
                self.say(n, "result", {"id": command["id"], "status": "failed" if stuck else "accepted"})
            case "update_firmware" if self.installs is not None:
                self.say(0, "result", {"id": command["id"], "status": "accepted"})
                self.installs(command)
            case "reset":
                self.say(0, "result", {"id": command["id"], "status": "accepted"})
                self.boot("remote_reset")
            case _:
                pass
