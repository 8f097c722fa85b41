"""One message of a device, read by one rule: contract documents, what was left out, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct, field

from gateway.mqtt.fields import PAYLOAD_MAX_BYTES
from gateway.mqtt.profiles.model import CHANNELS, GESTURES, Channel, Rule, Take
from gateway.mqtt.profiles.paths import found, overlaid
from gateway.mqtt.profiles.templates import TemplateFailed, json_or_text

_MOST_ENTRIES = 100


class Memory(Struct):
    """What one device said before, as far as its profile needs it again."""

    overlays: dict[str, Any] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)


class Findings(Struct):
    """What one message turned out to say, in the words of our contract."""

    documents: list[tuple[Channel, dict[str, Any]]] = field(default_factory=list)
    availability: bool | None = None
    confirm: bool | None = None
    result: str | None = None
    problems: list[str] = field(default_factory=list)


class _Said(Struct):
    """The parts that takes choose from."""

    value: Any
    text: str
    whole: Any


def read(rule: Rule, payload: bytes, memory: Memory, parameters: Mapping[str, str]) -> Findings:
    """Read a message; never raises for what it contains."""
    findings = Findings()
    if len(payload) > PAYLOAD_MAX_BYTES:
        findings.problems.append(f"{len(payload)} bytes are more than the {PAYLOAD_MAX_BYTES} allowed")
        return findings
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        findings.problems.append("the payload is no text")
        return findings
    value = json_or_text(text)
    if rule.path is not None:
        value = found(value, rule.path, parameters)
        if value is UNSET:
            return findings
    whole = value
    if rule.overlay is not None:
        whole = overlaid(memory.overlays.get(rule.overlay, {}), value)
        memory.overlays[rule.overlay] = whole
    if rule.remember is not None:
        memory.seen[rule.remember] = value
    known = {**parameters, "seen": memory.seen}
    if not rule.each:
        _read_one(rule, _Said(value, text, whole), known, findings)
    elif isinstance(value, list):
        for entry in value[:_MOST_ENTRIES]:
            _read_one(rule, _Said(entry, text, whole), known, findings)
    else:
        findings.problems.append("the payload is no list")
    return findings


def _read_one(rule: Rule, said: _Said, known: dict[str, Any], findings: Findings) -> None:
    for channel in CHANNELS:
        takes = rule.takes.get(channel)
        if takes is None:
            continue
        document = {}
        for name, take in takes:
            value = _taken(name, take, said, known, findings)
            if value is not UNSET and not (channel in GESTURES and value in (None, "")):
                document[name] = value
        if document:
            findings.documents.append((channel, document))
    if rule.availability is not None:
        findings.availability = _truth("availability", rule.availability, said, known, findings)
    if rule.confirm is not None:
        findings.confirm = _truth("confirm", rule.confirm, said, known, findings)
    if rule.result is not None:
        value = _taken("result", rule.result[1], said, known, findings)
        findings.result = None if value in (UNSET, None) else str(value)


def _truth(name: str, take: Take, said: _Said, known: dict[str, Any], findings: Findings) -> bool | None:
    value = _taken(name, take, said, known, findings)
    word = str(value).casefold()
    if word in ("true", "1", "on", "online"):
        return True
    if word in ("false", "0", "off", "offline"):
        return False
    if value not in (UNSET, None):
        findings.problems.append(f"{name} {_shown(value)} is neither true nor false")
    return None


def _taken(name: str, take: Take, said: _Said, known: dict[str, Any], findings: Findings) -> Any:
    """The value of one field; UNSET: the message says nothing about it."""
    if len(take.paths) > 1:
        phases = [
            _converted(name, take, found(said.value, path, known), said, known, findings)
            for path in take.paths
        ]
        if all(phase is UNSET for phase in phases):
            return UNSET
        return [None if phase is UNSET else phase for phase in phases]
    value = said.text.strip('"') if take.as_text else said.value
    if take.paths:
        value = found(said.value, take.paths[0], known)
    return _converted(name, take, value, said, known, findings)


def _converted(
    name: str, take: Take, value: Any, said: _Said, known: dict[str, Any], findings: Findings
) -> Any:
    if value is UNSET:
        return UNSET
    if take.template is not None:
        try:
            value = take.template.value({**known, "value": value, "value_json": said.whole})
        except TemplateFailed as error:
            findings.problems.append(f"{name}: {error}")
            return UNSET
        if value is UNSET:
            return UNSET
    if take.map is not None:
        word = _word(value)
        if take.closed and word not in take.map and value is not None:
            findings.problems.append(f"{name} {_shown(value)} is not in the map of the profile")
        return take.map.get(word, take.otherwise)
    if take.factor is not None:
        if isinstance(value, list):
            return [take.factor.of(phase) for phase in value]
        return take.factor.of(value)
    return value


def _word(value: Any) -> str:
    """A value as a map has it: `true`, `null`, `3`, `charging`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).casefold()


def _shown(value: Any) -> str:
    text = str(value)
    return f'"{text[:40]}"'
