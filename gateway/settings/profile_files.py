"""A device profile as its author writes it: one YAML file, judged at once, every mistake with its line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from gateway.mqtt.profiles import model
from gateway.mqtt.profiles.model import Profile
from gateway.mqtt.profiles.templates import Template
from gateway.settings.plugs import Plug
from gateway.settings.problems import Path, translated
from gateway.settings.profile_rules import READ_NAMES, ReadFile, below, template_findings, topic_findings
from gateway.settings.words import Finding, Section, Text, refuse
from gateway.station.effects import SetPointDocument

_ALWAYS = frozenset({"seen"})
_SETPOINT = frozenset(SetPointDocument.__struct_fields__)
_COMMAND = frozenset({"id", "ttl_s"})
_TAKEN = _ALWAYS | _SETPOINT | _COMMAND | {"timer_s", "profile"}
_ARGUMENTS: dict[str, frozenset[str]] = {
    "measure": frozenset({"ref", "context"}),
    "unlock": frozenset(),
    "reset": frozenset({"type"}),
    "card_result": frozenset({"verdict"}),
}
"""The commands that a profile may take up, and what their templates know besides."""
_UNANSWERED = frozenset({"measure", "card_result"})
_INFO = frozenset({"vendor", "model"})
_CONNECTOR = (
    "limiting",
    "plug_sensor",
    "lock",
    "energy",
    "phases",
    "min_current_a",
    "max_current_a",
    "fixed_cable",
)


class SendFile(Section):
    """A message to the device."""

    topic: Text
    payload: str = ""
    when: str | None = None
    qos: Literal[0, 1] = 1

    def findings(self, parameters: Iterable[str], known: Iterable[str] = ()) -> Iterator[Finding]:
        """What is wrong with it."""
        yield from topic_findings(self.topic, parameters)
        names = {*_ALWAYS, *parameters, *known}
        yield from template_findings(("payload",), self.payload, names)
        if self.when is not None:
            yield from template_findings(("when",), self.when, names)

    def compiled(self) -> model.Send:
        """As the gateway uses it."""
        when = None if self.when is None else Template(self.when)
        return model.Send(topic=self.topic, payload=Template(self.payload), when=when, qos=self.qos)


class SetpointFile(Section):
    """What switches on, and sets the limit; and what switches off."""

    on: Annotated[tuple[SendFile, ...], Field(min_length=1)]
    off: Annotated[tuple[SendFile, ...], Field(min_length=1)]


class CommandFile(Section):
    """What a command of ours is for the device."""

    send: Annotated[tuple[SendFile, ...], Field(min_length=1)]
    until: Literal["offline"] | None = None


class KeepaliveFile(Section):
    """The device switches off by itself after `timer_s`, unless it is told again every `every_s`."""

    every_s: Annotated[float, Field(ge=5, le=3600)]
    timer_s: Annotated[float, Field(ge=10, le=7200)] | None = None
    send: tuple[SendFile, ...] = ()


class ChargingFromPowerFile(Section):
    """When a device that knows nothing of vehicles counts as charging."""

    above_w: Annotated[float, Field(gt=0)] = 100.0
    below_w: Annotated[float, Field(ge=0)] = 30.0
    after_s: Annotated[float, Field(ge=0, le=600)] = 30.0


class ParameterFile(Section):
    """What the configuration says of one device."""

    title: Text
    example: Text | None = None
    default: str | None = None


class ProfileFile(Section):
    """A kind of device."""

    title: Text
    about: str = ""
    part: Literal["evse", "meter", "reader"] = "evse"
    parameters: dict[str, ParameterFile] = Field(
        default_factory=lambda: {"base": ParameterFile(title="Base topic")}
    )
    info: dict[str, Text] = Field(default_factory=dict)
    connector: dict[str, Any] = Field(default_factory=dict)
    silence_s: Annotated[float, Field(ge=5, le=86400)] | None = None
    read: Annotated[tuple[ReadFile, ...], Field(min_length=1)]
    setpoint: SetpointFile | None = None
    confirm_s: Annotated[float, Field(ge=1, le=60)] = 5.0
    on_connect: tuple[SendFile, ...] = ()
    commands: dict[Literal["measure", "unlock", "reset", "card_result"], CommandFile] = Field(
        default_factory=dict
    )
    keepalive: KeepaliveFile | None = None
    charging_from_power: ChargingFromPowerFile | None = None

    @model_validator(mode="after")
    def _fits(self) -> ProfileFile:
        if findings := [*self._parameter_findings(), *self._read_findings(), *self._send_findings()]:
            refuse(findings)
        return self

    def compiled(self, name: str) -> Profile:
        """As the gateway uses it, under this name."""
        setpoint, keepalive, charging = self.setpoint, self.keepalive, self.charging_from_power
        return Profile(
            name=name,
            title=self.title,
            about=self.about.strip(),
            parameters={
                key: model.Parameter(
                    title=one.title,
                    example=one.example or "",
                    default=None if one.default is None else Template(one.default),
                )
                for key, one in self.parameters.items()
            },
            part=self.part,
            info=dict(self.info),
            connector=dict(self.connector),
            rules=tuple(rule.compiled() for rule in self.read),
            silence_s=self.silence_s,
            on=() if setpoint is None else _sends(setpoint.on),
            off=() if setpoint is None else _sends(setpoint.off),
            confirm_s=self.confirm_s,
            on_connect=_sends(self.on_connect),
            commands={
                command: model.DeviceCommand(send=_sends(given.send), until=given.until)
                for command, given in self.commands.items()
            },
            keepalive=None
            if keepalive is None
            else model.Keepalive(
                every_s=keepalive.every_s, timer_s=keepalive.timer_s, send=_sends(keepalive.send)
            ),
            charging_from_power=None
            if charging is None
            else model.ChargingFromPower(
                above_w=charging.above_w, below_w=charging.below_w, after_s=charging.after_s
            ),
        )

    def _parameter_findings(self) -> Iterator[Finding]:
        before: list[str] = []
        for name, parameter in self.parameters.items():
            if not name.isidentifier() or name in READ_NAMES | _TAKEN:
                yield Finding(
                    ("parameters", name), "is no name for a parameter, or one that is taken", hidden=True
                )
            if parameter.default is not None:
                yield from template_findings(("parameters", name, "default"), parameter.default, before)
            before.append(name)
        for name in sorted(self.info.keys() - _INFO):
            yield Finding(
                ("info", name), f"is not told here; allowed: {', '.join(sorted(_INFO))}", hidden=True
            )
        for name, value in self.connector.items():
            if name not in _CONNECTOR:
                allowed = ", ".join(_CONNECTOR)
                sentence = f"is nothing that a profile decides; allowed: {allowed}"
                yield Finding(("connector", name), sentence, hidden=True)
                continue
            try:
                Plug(**{name: value})
            except ValidationError as error:
                for _, sentence in translated(error, Plug):
                    yield Finding(("connector", name), sentence, hidden=True)

    def _read_findings(self) -> Iterator[Finding]:
        for index, rule in enumerate(self.read):
            yield from below(("read", index), rule.findings(self.parameters))
            if rule.result is not None and rule.result.command not in self.commands:
                yield Finding(
                    ("read", index, "result", "command"), "is not among the commands of this profile"
                )

    def _send_findings(self) -> Iterator[Finding]:
        timed = self.keepalive is not None and self.keepalive.timer_s is not None
        timer = frozenset({"timer_s"} if timed else ())
        places: list[tuple[Path, tuple[SendFile, ...], frozenset[str]]] = [
            (("on_connect",), self.on_connect, timer)
        ]
        if self.setpoint is not None:
            places += [
                (("setpoint", key), getattr(self.setpoint, key), _SETPOINT | timer) for key in ("on", "off")
            ]
        if self.keepalive is not None:
            places.append((("keepalive", "send"), self.keepalive.send, _SETPOINT | timer))
        for command, given in self.commands.items():
            places.append((("commands", command, "send"), given.send, _ARGUMENTS[command] | _COMMAND | timer))
            ends = given.until is not None or any(
                rule.result is not None and rule.result.command == command for rule in self.read
            )
            if command not in _UNANSWERED and not ends:
                yield Finding(
                    ("commands", command),
                    "never ends: say `until: offline`, or have a `result` read from one of the device's topics",
                    hidden=True,
                )
        for where, sends, known in places:
            for index, send in enumerate(sends):
                yield from below((*where, index), send.findings(self.parameters, known))
        yield from self._timing_findings()

    def _timing_findings(self) -> Iterator[Finding]:
        keepalive, charging = self.keepalive, self.charging_from_power
        if keepalive is not None:
            if self.setpoint is None:
                yield Finding(("keepalive",), "needs a setpoint", hidden=True)
            if keepalive.timer_s is not None and keepalive.every_s * 2 > keepalive.timer_s:
                yield Finding(
                    ("keepalive", "every_s"),
                    f"leaves no room for a lost message; at most half of timer_s ({keepalive.timer_s:g})",
                )
        if charging is not None and charging.below_w >= charging.above_w:
            yield Finding(("charging_from_power", "below_w"), f"is not below above_w ({charging.above_w:g})")


def _sends(given: Iterable[SendFile]) -> tuple[model.Send, ...]:
    return tuple(send.compiled() for send in given)
