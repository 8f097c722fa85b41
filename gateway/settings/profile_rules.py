"""What a profile's author writes about one topic: where values stand, their units, and what words mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET
from pydantic import Field

from gateway.mqtt.payloads import decode
from gateway.mqtt.payloads_in import (
    RESULT_STATUSES,
    CardPayload,
    InfoPayload,
    MeterPayload,
    ReportPayload,
    StatusPayload,
)
from gateway.mqtt.profiles import model, paths, units
from gateway.mqtt.profiles.model import CHANNELS, Channel
from gateway.mqtt.profiles.templates import Template
from gateway.mqtt.topics import Address
from gateway.settings.problems import Path, similar
from gateway.settings.words import Finding, Section, Text

READ_NAMES = frozenset({"value", "value_json", "seen"})
"""What the templates of a rule know besides the parameters."""

_FIELDS: dict[Channel, frozenset[str]] = {
    "status": frozenset(StatusPayload.__struct_fields__) - {"revision"},
    "meter": frozenset(MeterPayload.__struct_fields__) - {"ref", "signed"},
    "info": frozenset(InfoPayload.__struct_fields__) - {"contract", "connectors", "commands"},
    "card": (frozenset(CardPayload.__struct_fields__) - {"connector"}) | {"age_s"},
    "report": frozenset(ReportPayload.__struct_fields__),
}
_TEXTS = frozenset({"id_token", "serial", "firmware_version", "boot_id", "iccid", "imsi", "id"})
"""Fields that are text even where they look like numbers."""
_SINGLE: dict[str, frozenset[Any]] = {
    "availability": frozenset({"online", "offline", True, False}),
    "confirm": frozenset({True, False}),
    "result": frozenset(RESULT_STATUSES),
}
"""What the words of a map may mean where the fact is none of a channel."""
_PHASED = frozenset({"current_a", "voltage_v", "power_w", "power_export_w", "power_factor", "reactive_var"})


class TakeFile(Section):
    """Where one value stands and what it means."""

    path: Text | None = None
    paths: Annotated[tuple[Text, ...], Field(min_length=2, max_length=3)] | None = None
    template: str | None = None
    map: Annotated[dict[str, Any], Field(min_length=1)] | None = None
    otherwise: Any = None
    unit: Text | None = None

    def findings(self, field: str, parameters: Iterable[str] = ()) -> Iterator[Finding]:
        """What is wrong with it as the value of this field."""
        if self.path is not None and self.paths is not None:
            yield Finding(("paths",), "stands beside path; give one of them", hidden=True)
        for name, given in (("path", self.path), *(("paths", one) for one in self.paths or ())):
            if given is not None:
                yield from path_findings((name,), given, parameters)
        if self.paths is not None and field not in _PHASED:
            yield Finding(("paths",), f"cannot be: {field} has one value, not one a phase", hidden=True)
        if self.template is not None:
            yield from template_findings(("template",), self.template, {*READ_NAMES, *parameters})
        if self.otherwise is not None and self.map is None:
            yield Finding(("otherwise",), "needs a map", hidden=True)
        if self.map is None or self.unit is not None:
            yield from judged(("unit",), lambda unit: units.factor(field, unit), self.unit)

    def meanings(self) -> Iterator[tuple[Path, Any]]:
        """What the words of its map mean, and where that stands."""
        told: dict[Path, Any] = {("map", word): meaning for word, meaning in (self.map or {}).items()}
        if self.otherwise is not None:
            told["otherwise",] = self.otherwise
        for where, meaning in told.items():
            if (meant := _meant(meaning)) is not None and meant is not UNSET:
                yield where, meant

    def compiled(self, field: str) -> model.Take:
        """As the gateway uses it."""
        given = self.paths or ((self.path,) if self.path is not None else ())
        return model.Take(
            paths=tuple(paths.parsed(path) for path in given),
            template=None if self.template is None else Template(self.template),
            map=None
            if self.map is None
            else {_folded(word): _meant(told) for word, told in self.map.items()},
            closed=self.map is not None and self.otherwise is None,
            otherwise=UNSET if self.otherwise is None else _meant(self.otherwise),
            factor=None if self.unit is None else units.factor(field, self.unit),
            as_text=field in _TEXTS,
        )


class ResultFile(TakeFile):
    """How the device answers a command: the value is `accepted`, `rejected` or `failed`."""

    command: Literal["unlock", "reset"]


class ReadFile(Section):
    """What the messages of one topic mean."""

    topic: Text
    qos: Literal[0, 1] = 1
    retained: Literal["current", "fill", "ignore"] = "fill"
    changes_only: bool = False
    alive: bool = True
    throttle_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    path: Text | None = None
    overlay: Text | None = None
    remember: Text | None = None
    each: bool = False
    status: dict[str, TakeFile] = Field(default_factory=dict)
    meter: dict[str, TakeFile] = Field(default_factory=dict)
    info: dict[str, TakeFile] = Field(default_factory=dict)
    card: dict[str, TakeFile] = Field(default_factory=dict)
    report: dict[str, TakeFile] = Field(default_factory=dict)
    availability: TakeFile | None = None
    confirm: TakeFile | None = None
    refusal: TakeFile | None = None
    result: ResultFile | None = None

    def findings(self, parameters: Iterable[str]) -> Iterator[Finding]:
        """What is wrong with it."""
        yield from topic_findings(self.topic, parameters)
        if self.path is not None:
            yield from path_findings(("path",), self.path, parameters)
        for channel in CHANNELS:
            for name, take in self._takes(channel).items():
                if name not in _FIELDS[channel]:
                    near = (
                        similar(name, _FIELDS[channel]) or f"; allowed: {', '.join(sorted(_FIELDS[channel]))}"
                    )
                    yield Finding((channel, name), f"is no fact of {channel}{near}", hidden=True)
                else:
                    yield from below((channel, name), take.findings(name, parameters))
                    for where, meaning in take.meanings():
                        yield from below((channel, name, *where), _fact_findings(channel, name, meaning))
        for name, single in self._singles():
            yield from below((name,), single.findings(name, parameters))
            allowed = _SINGLE.get(name)
            for where, meaning in single.meanings():
                if allowed is not None and all(meaning != one for one in allowed):
                    words = ", ".join(sorted(str(one).lower() for one in allowed))
                    yield Finding((name, *where), f"is no meaning that it can have; allowed: {words}")
        if self.changes_only and not (self.card or self.report):
            yield Finding(
                ("changes_only",), "is for cards and reports; a state may be said as often as it likes"
            )
        if self.card and "id_token" not in self.card:
            yield Finding(("card",), "has no id_token", hidden=True)
        if self.report and "kind" not in self.report:
            yield Finding(("report",), "has no kind", hidden=True)

    def compiled(self) -> model.Rule:
        """As the gateway uses it."""
        takes = {
            channel: tuple((name, take.compiled(name)) for name, take in given.items())
            for channel in CHANNELS
            if (given := self._takes(channel))
        }
        return model.Rule(
            topic=self.topic,
            qos=self.qos,
            retained=self.retained,
            changes_only=self.changes_only,
            alive=self.alive,
            throttle_s=self.throttle_s,
            path=None if self.path is None else paths.parsed(self.path),
            overlay=self.overlay,
            remember=self.remember,
            each=self.each,
            takes=takes,
            availability=None if self.availability is None else self.availability.compiled("availability"),
            confirm=None if self.confirm is None else self.confirm.compiled("confirm"),
            refusal=None if self.refusal is None else self.refusal.compiled("refusal"),
            result=None if self.result is None else (self.result.command, self.result.compiled("result")),
        )

    def _singles(self) -> Iterator[tuple[str, TakeFile]]:
        for name in ("availability", "confirm", "refusal", "result"):
            if (single := getattr(self, name)) is not None:
                yield name, single

    def _takes(self, channel: Channel) -> dict[str, TakeFile]:
        takes: dict[str, TakeFile] = getattr(self, channel)
        return takes


def _fact_findings(channel: Channel, name: str, meaning: Any) -> Iterator[Finding]:
    """What our contract says of a fact that is the same whenever a word is told."""
    if name in units.FIELD_UNITS or name == "age_s":
        return  # a number, converted before the contract sees it
    document = {"id_token": "x", "kind": "x"} if channel in ("card", "report") else {}
    decoded = decode(
        Address("check", 0 if channel == "info" else 1, channel),
        msgspec.json.encode({**document, name: meaning}),
        arrived_at=0.0,
    )
    for problem in decoded.problems:
        yield Finding((), f"cannot be meant: {problem}", hidden=True)


def below(where: Path, findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings of a section as those of the one around it."""
    for finding in findings:
        yield finding._replace(path=(*where, *finding.path))


def judged(where: Path, judge: Callable[[Any], object], given: Any) -> Iterator[Finding]:
    """What a ValueError says of a value."""
    try:
        judge(given)
    except ValueError as error:
        yield Finding(where, str(error))


def path_findings(where: Path, path: str, parameters: Iterable[str]) -> Iterator[Finding]:
    """What is wrong with a path."""
    yield from judged(where, paths.parsed, path)
    yield from _placeholder_findings(where, path, parameters)


def _placeholder_findings(where: Path, pattern: str, parameters: Iterable[str]) -> Iterator[Finding]:
    known = set(parameters)
    for name in sorted(paths.placeholders(pattern) - known):
        near = similar(name, known) or f"; parameters: {', '.join(sorted(known)) or 'none'}"
        yield Finding(where, f"names {{{name}}}, which is no parameter of this profile{near}")


def topic_findings(topic: str, parameters: Iterable[str]) -> Iterator[Finding]:
    """What is wrong with a topic pattern."""
    yield from _placeholder_findings(("topic",), topic, parameters)
    if "+" in topic or "#" in topic:
        yield Finding(("topic",), "has a wildcard; name each topic, with parameters for what differs")
    if topic.startswith("$"):
        yield Finding(("topic",), "begins with $, which is the broker's own")


def template_findings(where: Path, source: str, known: Iterable[str]) -> Iterator[Finding]:
    """What is wrong with a template that is told no more than `known`."""
    try:
        template = Template(source)
    except ValueError as error:
        yield Finding(where, str(error))
        return
    known = set(known)
    for name in sorted(template.names - known):
        near = similar(name, known) or f"; known are {', '.join(sorted(known)) or 'none'}"
        yield Finding(where, f"asks for {name}, which nobody knows here{near}", hidden=True)


def _folded(word: str) -> str:
    folded = word.casefold()
    return "null" if folded == "none" else folded


def _meant(told: Any) -> Any:
    """`unknown` is null, `unchanged` says nothing."""
    match told:
        case "unknown":
            return None
        case "unchanged":
            return UNSET
        case Mapping():
            return dict(told)
        case _:
            return told
