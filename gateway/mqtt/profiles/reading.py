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
    refusal: str | None = None
    """What the device says against something that it was told."""
    problems: list[str] = field(default_factory=list)


class _Said(Struct):
    """The parts that takes choose from."""

    value: Any
    whole: Any
    """All of it, with what was known before where documents are partial: `value_json`."""
    text: str | None
    """The payload as it came, quotes aside, where nothing was chosen from it: `value`, as Home Assistant has it."""
    partial: bool = False


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
        plain = None if rule.path is not None else value if isinstance(value, str) else text
        _read_one(rule, _Said(value, whole, plain, rule.overlay is not None), known, findings)
    elif isinstance(value, list):
        for entry in value[:_MOST_ENTRIES]:
            _read_one(rule, _Said(entry, whole, None), known, findings)
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
    if rule.refusal is not None:
        value = _taken("refusal", rule.refusal, said, known, findings)
        findings.refusal = None if value in (UNSET, None) else _shown(value)


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
        return _phases(name, take, said, known, findings)
    if take.paths:
        value = found(said.value, take.paths[0], known)
    elif take.template is not None and said.text is not None:
        value = said.text
    else:
        value = said.value
    return _converted(name, take, value, said, known, findings)


def _phases(name: str, take: Take, said: _Said, known: dict[str, Any], findings: Findings) -> Any:
    """L1, L2, L3; of a partial document those that it leaves out are as they were."""
    values = [found(said.value, path, known) for path in take.paths]
    if all(value is UNSET for value in values):
        return UNSET
    if said.partial:
        values = [found(said.whole, path, known) for path in take.paths]
    phases = [_converted(name, take, value, said, known, findings) for value in values]
    return [None if phase is UNSET else phase for phase in phases]


def _converted(
    name: str, take: Take, value: Any, said: _Said, known: dict[str, Any], findings: Findings
) -> Any:
    if value is UNSET:
        return UNSET
    if take.template is not None:
        template = take.template.word if take.as_text else take.template.value
        try:
            value = template({**known, "value": value, "value_json": said.whole})
        except TemplateFailed as error:
            findings.problems.append(f"{name}: {error}")
            return UNSET
        if value is UNSET:
            return UNSET
    elif take.as_text:
        value = _as_text(value, None if take.paths else said.text)
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


def _as_text(value: Any, text: str | None) -> Any:
    """Text whatever it looks like: 12E45678 is a card, not a number; null is none."""
    if value is None or isinstance(value, str):
        return value
    if text is not None:
        return text
    return str(value) if isinstance(value, int) else value


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
