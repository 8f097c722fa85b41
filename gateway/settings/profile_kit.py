"""A profile's tests are data too: what a device says or is told, step by step, and what must become of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from pydantic import Field, ValidationError, model_validator

from gateway.mqtt.payloads import decode
from gateway.mqtt.profiles.model import Profile
from gateway.mqtt.profiles.templates import json_or_text
from gateway.mqtt.profiles.translator import Heard, Instant, Said, Translator, encoded
from gateway.mqtt.topics import Address
from gateway.settings.problems import Problem, SettingsError, translated
from gateway.settings.sources import Document
from gateway.settings.words import Finding, Section, Text, refuse
from gateway.station.effects import Command, SetPointDocument

_BEGAN = Instant(1_790_000_000.0, 1000.0)
"""The tests' clock: 2026-09-21T14:13:20Z."""
_CHANNELS = ("status", "meter", "info", "card", "report", "result")
_DESIRED: dict[str, Any] = {
    "energize": False,
    "limit_a": 16.0,
    "limit_w": 11040,
    "phases": 3,
    "lock": False,
    "transaction": None,
    "operative": True,
    "epoch": "k3f9",
    "valid_s": 90,
}


class ReceiveFile(Section):
    """A message of the device; an object or a list is sent as JSON."""

    topic: Text
    payload: Any = ""
    retain: bool = False


class CommandSample(Section):
    """A command of the gateway."""

    name: Text
    id: Text = "c-1"
    arguments: dict[str, Any] = Field(default_factory=dict)


class StepFile(Section):
    """One thing that happens, and everything that follows from it, in order."""

    why: str = ""
    receive: ReceiveFile | None = None
    setpoint: dict[str, Any] | None = None
    command: CommandSample | None = None
    after_s: Annotated[float, Field(ge=0)] | None = None
    broker: Literal["connected", "lost"] | None = None
    expect: tuple[dict[str, Any], ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> StepFile:
        given = [self.receive, self.setpoint, self.command, self.after_s, self.broker]
        findings = []
        if sum(one is not None for one in given) != 1:
            findings.append(
                Finding(
                    (), "needs exactly one of receive, setpoint, command, after_s and broker", hidden=True
                )
            )
        findings += [
            Finding(
                ("setpoint", key), f"is no key of a setpoint; allowed: {', '.join(_DESIRED)}", hidden=True
            )
            for key in (self.setpoint or {}).keys() - _DESIRED.keys()
        ]
        known = (*_CHANNELS, "availability", "send", "problem")
        for index, entry in enumerate(self.expect):
            if len(entry.keys() - {"retained"}) != 1 or not entry.keys() & set(known):
                sentence = f"must be one of {', '.join(known)}, with what is expected of it"
                findings.append(Finding(("expect", index), sentence, hidden=True))
        if findings:
            refuse(findings)
        return self


class KitFile(Section):
    """The tests of one profile."""

    parameters: dict[str, Text] = Field(default_factory=dict)
    steps: Annotated[tuple[StepFile, ...], Field(min_length=1)]


class Outcome(NamedTuple):
    """What became of a step."""

    line: int | None
    why: str
    expected: list[dict[str, Any]]
    got: list[dict[str, Any]]
    passed: bool


def run(file: FilePath, profile: Profile) -> Iterator[Outcome]:
    """Play the steps of a file. Raises SettingsError when it cannot be used."""
    document = Document(file)
    try:
        kit = KitFile(**document.data)
        parameters = profile.complete(kit.parameters)
    except ValidationError as error:
        found = dict.fromkeys(translated(error, KitFile))
        problems = [Problem(path, sentence, document.line(path)) for path, sentence in found]
        raise SettingsError(str(file), problems) from error
    except ValueError as error:
        where = ("parameters",)
        raise SettingsError(str(file), [Problem(where, str(error), document.line(where))]) from error
    bench = Bench(Translator(profile, parameters))
    for index, step in enumerate(kit.steps):
        got = bench.play(step)
        expected = [dict(entry) for entry in step.expect]
        passed = len(expected) == len(got) and all(map(_alike, expected, got))
        yield Outcome(document.line(("steps", index)), step.why, expected, got, passed)


class Bench:
    """A translator with a clock that stands still between the steps."""

    def __init__(self, translator: Translator) -> None:
        """The gateway is there from the beginning, and the device was asked how it is."""
        self._translator = translator
        self._now = _BEGAN
        self._revision = 0
        translator.connected(self._now)

    def play(self, step: StepFile) -> list[dict[str, Any]]:
        """What follows from a step, as `expect` has it."""
        if step.receive is not None:
            payload = step.receive.payload
            text = payload if isinstance(payload, str) else msgspec.json.encode(payload).decode()
            return self.hear(step.receive.topic, text, retain=step.receive.retain)
        if step.setpoint is not None:
            self._revision += 1
            wanted = SetPointDocument(**{**_DESIRED, **step.setpoint, "revision": self._revision})
            return self._told(self._translator.setpoint(wanted, self._now))
        if step.command is not None:
            command = Command(1, step.command.name, step.command.id, 20, dict(step.command.arguments))
            return self._told(self._translator.command(command, self._now))
        if step.broker is not None:
            if step.broker == "connected":
                return self._told(self._translator.connected(self._now))
            self._translator.lost()
            return []
        return self._wait(step.after_s or 0.0)

    def hear(self, topic: str, payload: str, *, retain: bool = False) -> list[dict[str, Any]]:
        """What becomes of a message, as `expect` has it."""
        return self._told(self._translator.heard(Heard(topic, payload.encode(), retain), self._now))

    def _wait(self, seconds: float) -> list[dict[str, Any]]:
        end = self._now.monotonic + seconds
        told = []
        while (due := self._translator.deadline()) is not None and due <= end:
            self._move(max(due, self._now.monotonic) - self._now.monotonic)
            told += self._told(self._translator.elapsed(self._now))
        self._move(end - self._now.monotonic)
        return told

    def _move(self, seconds: float) -> None:
        self._now = Instant(self._now.wall + seconds, self._now.monotonic + seconds)

    def _told(self, said: Said) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        for fact in said.facts:
            entry: dict[str, Any] = {fact.channel: fact.document}
            if fact.channel == "availability":
                entry = {"availability": fact.document["state"]}
            told.append(entry | ({"retained": True} if fact.retained else {}))
            # Judged as if it had come under our contract: units and words that it refuses are shown too.
            address = Address("test", 1, str(fact.channel))
            decoded = decode(
                address, encoded(fact), arrived_at=self._now.wall, retained=fact.retained, zone=UTC
            )
            said.problems += [f"{fact.channel}: {problem}" for problem in decoded.problems]
        told += [
            {"send": {"topic": message.topic, "payload": json_or_text(message.payload.decode())}}
            for message in said.messages
        ]
        return told + [{"problem": problem} for problem in said.problems]


def _alike(expected: Any, got: Any) -> bool:
    """Equal, numbers within what floating point loses; of a problem a part is enough."""
    if isinstance(expected, dict) and isinstance(got, dict):
        got = {
            key: value for key, value in got.items() if value is not None
        }  # YAML's empty keys are not there
        if expected.keys() != got.keys():
            return False
        return all(
            str(value) in str(got[key]) if key == "problem" else _alike(value, got[key])
            for key, value in expected.items()
        )
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(_alike, expected, got))
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, int | float) and isinstance(got, int | float):
        return math.isclose(expected, got, rel_tol=1e-9, abs_tol=1e-9)
    return bool(expected == got)
