"""A profile as the gateway uses it: checked, compiled, shared by all devices of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from gateway.mqtt.profiles.paths import Path, placeholders
from gateway.mqtt.profiles.templates import Template
from gateway.mqtt.profiles.units import Factor

Channel = Literal["status", "meter", "info", "card", "report"]
CHANNELS: tuple[Channel, ...] = ("status", "meter", "info", "card", "report")
GESTURES: frozenset[Channel] = frozenset({"card", "report"})


class Take(Struct, frozen=True, kw_only=True):
    """How one fact is taken from a message: path, then template, then map, then unit."""

    paths: tuple[Path, ...] = ()
    """Where it stands; several are L1, L2, L3; none: the whole payload."""
    template: Template | None = None
    """Makes of `value` (what stands there) and `value_json` (the whole document) something else."""
    map: Mapping[str, Any] | None = None
    """What the device's words mean, without regard to case."""
    otherwise: Any | UnsetType = UNSET
    """What a word means that the map has not; UNSET: nothing changes."""
    closed: bool = False
    """A word that the map has not is reported."""
    factor: Factor | None = None
    as_text: bool = False
    """The payload is text whatever it looks like: 12E45678 is a card, not a number."""


class Rule(Struct, frozen=True, eq=False, kw_only=True):
    """What the messages of one topic mean."""

    topic: str
    """With placeholders: `{base}/state`."""
    qos: int = 1
    retained: Literal["current", "fill", "ignore"] = "fill"
    """A stored copy is as good as a live message once the device is known to be there; it only fills what is
    unknown (the contract's rule); or it is not looked at."""
    changes_only: bool = False
    """What was there first, or is said again, is no gesture: the device keeps its last card as a state."""
    alive: bool = True
    """Its live messages prove that the device is there."""
    throttle_s: float = 0.0
    """Read at most this often; of what comes in between the last."""
    path: Path | None = None
    """The part of the document that all takes start from; without it there is nothing to read."""
    overlay: str | None = None
    """Partial documents are laid over each other under this name; templates see the whole as `value_json`."""
    remember: str | None = None
    """Templates of other topics see the last document as `seen.<name>`."""
    each: bool = False
    """The document is a list; each entry is read by itself."""
    takes: Mapping[Channel, tuple[tuple[str, Take], ...]] = {}
    availability: Take | None = None
    confirm: Take | None = None
    """true or false: the device's read-back of what it was told, on or off."""
    refusal: Take | None = None
    """What the device says against something that it was told; nothing where it took it."""
    result: tuple[str, Take] | None = None
    """(command, what became of it): the device answers."""


class Send(Struct, frozen=True, kw_only=True):
    """A message to the device; never retained."""

    topic: str
    payload: Template
    when: Template | None = None
    qos: int = 1


class DeviceCommand(Struct, frozen=True, kw_only=True):
    """What a command of ours is for the device."""

    send: tuple[Send, ...]
    until: Literal["offline"] | None = None
    """`offline`: it is accepted when the device says that it goes."""


class Keepalive(Struct, frozen=True, kw_only=True):
    """A dead man's handle: the device switches off by itself unless it is told again."""

    every_s: float
    timer_s: float | None = None
    """The device's own timer; templates see it as `timer_s`. None: it has none, and is told again all the same."""
    send: tuple[Send, ...] = ()
    """Empty: what switches on."""


class ChargingFromPower(Struct, frozen=True, kw_only=True):
    """When a device that knows nothing of vehicles counts as charging."""

    above_w: float
    below_w: float
    after_s: float
    """So long the power must stay at or below `below_w`."""


class Parameter(Struct, frozen=True, kw_only=True):
    """What the configuration says of one device."""

    title: str
    example: str = ""
    default: Template | None = None


class Profile(Struct, frozen=True, kw_only=True):
    """A kind of device."""

    name: str
    title: str
    about: str = ""
    parameters: Mapping[str, Parameter] = {}
    part: Literal["evse", "meter", "reader"] = "evse"
    info: Mapping[str, str] = {}
    """What the device is, where it does not say so itself: vendor, model …"""
    connector: Mapping[str, Any] = {}
    """Settings of the connector that hold unless the configuration says otherwise."""
    rules: tuple[Rule, ...]
    silence_s: float | None = None
    """Without a live message for so long the device is gone."""
    on: tuple[Send, ...] = ()
    off: tuple[Send, ...] = ()
    confirm_s: float = 5.0
    on_connect: tuple[Send, ...] = ()
    """Asks a device that does not retain its state for it."""
    commands: Mapping[str, DeviceCommand] = {}
    keepalive: Keepalive | None = None
    charging_from_power: ChargingFromPower | None = None

    @property
    def switches(self) -> bool:
        """Whether it can only switch: what it was told last goes on when nobody is left to say off."""
        return bool(self.on) and self.connector.get("limiting") == "on_off"

    @property
    def knows_presence(self) -> bool:
        """Whether it can be told that the device is gone."""
        return self.silence_s is not None or any(rule.availability is not None for rule in self.rules)

    def sends(self) -> tuple[Send, ...]:
        """Everything that may be said to such a device."""
        kept = self.keepalive.send if self.keepalive is not None else ()
        ordered = [send for command in self.commands.values() for send in command.send]
        return (*self.on, *self.off, *self.on_connect, *kept, *ordered)

    def complete(self, given: Mapping[str, str]) -> dict[str, str]:
        """All parameters of one device, defaults filled in; ValueError names those that are missing or unknown."""
        if unknown := sorted(given.keys() - self.parameters.keys()):
            known = ", ".join(self.parameters) or "none"
            raise ValueError(f"{', '.join(unknown)}: no parameter of profile {self.name}; it has {known}")
        missing = [
            f"{name} ({parameter.title})"
            for name, parameter in self.parameters.items()
            if name not in given and parameter.default is None
        ]
        if missing:
            raise ValueError(f"{', '.join(missing)}: missing, profile {self.name} needs it")
        values = dict(given)
        for name, parameter in self.parameters.items():
            if name not in values and parameter.default is not None:
                values[name] = parameter.default.text(values)
        in_topics = self._in_topics()
        for name in (name for name in self.parameters if name in in_topics):
            if any(sign in values[name] for sign in "+#\0"):
                raise ValueError(f'{name}: "{values[name]}" has a sign that no topic can have: + # or NUL')
            if values[name].endswith("/"):
                raise ValueError(f'{name}: "{values[name]}" ends with /; the profile adds what follows')
        return {name: values[name] for name in self.parameters}

    def _in_topics(self) -> set[str]:
        topics = [rule.topic for rule in self.rules] + [send.topic for send in self.sends()]
        return {name for topic in topics for name in placeholders(topic)}
