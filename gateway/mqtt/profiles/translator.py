"""One foreign device: its messages become facts of our contract, and our setpoint and commands become its messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, field

from gateway.mqtt.encoding import Outgoing
from gateway.mqtt.profiles.cards import Cards
from gateway.mqtt.profiles.charging import Charging
from gateway.mqtt.profiles.model import GESTURES, Channel, Profile, Rule, Send
from gateway.mqtt.profiles.paths import filled
from gateway.mqtt.profiles.reading import Findings, Memory, read
from gateway.mqtt.profiles.switching import Switching
from gateway.mqtt.profiles.templates import TemplateFailed
from gateway.station.effects import Command, SetPointDocument

PULSE_S = 240.0
"""A device that is known to be there is said to be so this often: the core gives up on silence a little later."""
_MEASURE_S = 30.0
_EXPIRY_S = 30
"""Of what is neither a setpoint nor a command of ours."""


class Instant(NamedTuple):
    """When something happens."""

    wall: float
    monotonic: float


class Heard(NamedTuple):
    """A message of the device as it arrived."""

    topic: str
    payload: bytes
    retained: bool = False
    backlog: bool = False
    """It may have waited in the broker while we were away."""


class Fact(NamedTuple):
    """What our own contract would have said: a channel of the connector, and its document."""

    channel: Channel | str
    document: dict[str, Any]
    retained: bool = False


class Said(Struct):
    """What follows from something."""

    facts: list[Fact] = field(default_factory=list)
    messages: list[Outgoing] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Translator:
    """The device at one connector. Pure: the time is given, `deadline()` says when to call `elapsed`."""

    __slots__ = (
        "_cards", "_charging", "_held", "_info", "_kept", "_last_read", "_measure", "_memory", "_online", "_parameters",
        "_pending", "_presence", "_pulse_at", "_rules", "_silent_at", "_switching", "_up", "_waiting", "profile",
    )  # fmt: skip

    def __init__(self, profile: Profile, parameters: Mapping[str, str]) -> None:
        """`parameters` are complete: see `Profile.complete`."""
        self.profile = profile
        self._parameters = dict(parameters)
        self._rules: dict[str, tuple[Rule, ...]] = {}
        for rule in profile.rules:
            topic = filled(rule.topic, parameters)
            self._rules[topic] = (*self._rules.get(topic, ()), rule)
        self._switching = Switching(profile)
        self._cards = Cards()
        self._charging = Charging(profile.charging_from_power)
        self._info: dict[str, Any] = dict(profile.info)
        if profile.commands:
            self._info["commands"] = sorted(profile.commands)
        self._forget()

    def _forget(self) -> None:
        """Nothing of what the device is like is known."""
        self._up = False
        """The gateway has introduced itself on this connection."""
        self._memory = Memory()
        self._online: bool | None = None
        self._presence: dict[Rule, bool] = {}
        """What each source says of that: it is there when none of them says that it is not."""
        self._kept: dict[Rule, bytes] = {}
        """The last copy of what is only a gesture when it changes."""
        self._held: dict[Rule, bytes] = {}
        """Stored copies that count once the device is known to be there."""
        self._waiting: dict[Rule, bytes] = {}
        """What came sooner than its throttle allows."""
        self._last_read: dict[Rule, float] = {}
        self._silent_at: float | None = None
        self._pulse_at: float | None = None
        self._charging.forget()
        self._measure: tuple[str, float] | None = None
        self._pending: dict[str, str] = {}

    # -------------------------------------------------------------- topics

    def subscriptions(self) -> dict[str, int]:
        """Topics to listen to, and their QoS."""
        return {topic: max(rule.qos for rule in rules) for topic, rules in self._rules.items()}

    def published(self) -> set[str]:
        """Topics that may be published to."""
        return {filled(send.topic, self._parameters) for send in self.profile.sends()}

    # -------------------------------------------------------------- the broker

    def connected(self, now: Instant) -> Said:
        """The gateway is there (again): ask the device how it is."""
        said = Said()
        self._up = True
        if self._info:
            said.facts.append(Fact("info", self._info))
        self._send(self.profile.on_connect, {}, said)
        self._switching.connected(now.monotonic)
        self._cards.listen(now.monotonic)
        return said

    def lost(self) -> None:
        """What the device says now is not heard."""
        self._forget()
        self._switching.lost()
        self._cards.lost()

    # -------------------------------------------------------------- what the device says

    def heard(self, message: Heard, now: Instant) -> Said:
        """A message on one of the device's topics."""
        said = Said()
        for rule in self._rules.get(message.topic, ()):
            stored = message.retained or message.backlog
            changed = not rule.changes_only or self._changed(rule, message.payload)
            if stored and rule.retained == "ignore":
                continue
            if not stored and rule.alive and rule.availability is None:
                self._alive(said, now)
            if not changed:
                continue
            if rule.availability is not None or GESTURES & rule.takes.keys():
                self._read(rule, message.payload, said, now, retained=message.retained)
            elif stored and rule.retained == "current" and self.profile.knows_presence and not self._online:
                self._held[rule] = message.payload
            elif not stored and self._too_soon(rule, message.payload, now):
                continue
            else:
                self._read(rule, message.payload, said, now, retained=stored and rule.retained == "fill")
        return said

    def _changed(self, rule: Rule, payload: bytes) -> bool:
        """A device that keeps its last card says it again whenever it connects; the first copy is no gesture."""
        known = self._kept.get(rule)
        self._kept[rule] = payload
        return known is not None and known != payload

    def _too_soon(self, rule: Rule, payload: bytes, now: Instant) -> bool:
        if rule.throttle_s <= 0:
            return False
        last = self._last_read.get(rule)
        if last is not None and now.monotonic < last + rule.throttle_s:
            self._waiting[rule] = payload
            return True
        self._last_read[rule] = now.monotonic
        self._waiting.pop(rule, None)
        return False

    def _read(self, rule: Rule, payload: bytes, said: Said, now: Instant, *, retained: bool) -> None:
        findings = read(rule, payload, self._memory, self._parameters)
        said.problems += findings.problems
        if findings.availability is not None:
            self._presence[rule] = findings.availability
            self._set_online(all(self._presence.values()), said, now)
        if findings.confirm is not None and not retained:
            self._charging.output = findings.confirm
        for channel, document in findings.documents:
            if channel == "card":
                card = self._cards.gesture(document, now.wall, now.monotonic)
                said.facts += [] if card is None else [Fact(channel, card, retained)]
            elif channel == "report":
                said.facts.append(Fact(channel, document, retained))
            else:
                self._level(channel, document, said, now, retained=retained)
        if findings.confirm is not None and not retained:
            self._read_back(findings.confirm, said, now)
        if findings.refusal is not None and not retained:
            said.problems.append(f"the device refuses what it was told: {findings.refusal}")
        if findings.result is not None and rule.result is not None:
            self._result(rule.result[0], findings, said)

    def _level(
        self, channel: Channel, document: dict[str, Any], said: Said, now: Instant, *, retained: bool
    ) -> None:
        if channel == "meter" and not retained:
            if self._measure is not None and "energy_import_wh" in document:
                ref, until = self._measure
                self._measure = None
                if now.monotonic <= until:
                    document = document | {"ref": ref}
            self._tell_charging(self._charging.read(document.get("power_w"), now.monotonic), said)
        elif channel == "info":
            self._info |= document
            document = self._info
        said.facts.append(Fact(channel, document, retained))
        if channel != "info" and not retained and self.profile.knows_presence:
            self._pulse_at = now.monotonic + PULSE_S

    # -------------------------------------------------------------- whether it is there

    def _alive(self, said: Said, now: Instant) -> None:
        if self.profile.silence_s is not None:
            self._silent_at = now.monotonic + self.profile.silence_s
        if self.profile.knows_presence and not self._online:
            self._presence = dict.fromkeys(self._presence, True)
            self._set_online(True, said, now)

    def _set_online(self, online: bool, said: Said, now: Instant) -> None:
        was, self._online = self._online, online
        if online and self.profile.silence_s is not None and self._silent_at is None:
            self._silent_at = now.monotonic + self.profile.silence_s
        if online is was:
            return
        said.facts.append(Fact("availability", {"state": "online" if online else "offline"}))
        if not online:
            self._gone(said)
            return
        held, self._held = self._held, {}
        for rule, payload in held.items():
            self._read(rule, payload, said, now, retained=False)
        if self._up:
            self._send(self.profile.on_connect, {}, said)
            self._say(self._switching.returned(now.monotonic), said)

    def _gone(self, said: Said) -> None:
        self._pulse_at = self._silent_at = None
        self._waiting.clear()
        self._last_read.clear()
        self._switching.gone()
        self._charging.forget()
        for name, command in self.profile.commands.items():
            if command.until == "offline" and name in self._pending:
                said.facts.append(Fact("result", {"id": self._pending.pop(name), "status": "accepted"}))

    def _tell_charging(self, charging: bool | None, said: Said) -> None:
        if charging is not None:
            said.facts.append(Fact("status", {"charging": charging}))

    # -------------------------------------------------------------- what it is told

    def setpoint(self, wanted: SetPointDocument, now: Instant) -> Said:
        """The connector's desired state."""
        said = Said()
        if self.profile.on:
            self._say(self._switching.wanted(wanted, now.monotonic), said)
            self._tell_obeyed(said)
            if self._online is False:
                self._switching.gone()  # Nobody is there to confirm it; it is said anew when the device returns.
        return said

    def command(self, command: Command, now: Instant) -> Said:
        """A command of ours; one that the device does not know is answered at once."""
        said = Said()
        known = self.profile.commands.get(command.name)
        if known is None:
            if command.name not in ("measure", "card_result"):
                said.facts.append(Fact("result", {"id": command.id, "status": "not_supported"}))
            return said
        if command.name == "measure":
            self._measure = (str(command.arguments.get("ref", "")), now.monotonic + _MEASURE_S)
        elif command.name != "card_result":
            self._pending[command.name] = command.id
        self._send(known.send, {**command.arguments, "id": command.id, "ttl_s": command.ttl_s}, said)
        return said

    def _result(self, name: str, findings: Findings, said: Said) -> None:
        pending = self._pending.pop(name, None)
        if pending is not None:
            said.facts.append(Fact("result", {"id": pending, "status": findings.result}))

    def _read_back(self, on: bool, said: Said, now: Instant) -> None:
        self._tell_charging(self._charging.switched(), said)
        self._say(self._switching.read_back(on, now.monotonic), said)
        self._tell_obeyed(said)

    def _tell_obeyed(self, said: Said) -> None:
        revision = self._switching.obeyed()
        if revision is not None:
            said.facts.append(Fact("status", {"revision": revision}))

    def _say(self, spoken: tuple[tuple[Send, ...], dict[str, Any]] | None, said: Said) -> None:
        if spoken is not None:
            self._send(*spoken, said)

    def _send(self, sends: tuple[Send, ...], known: dict[str, Any], said: Said) -> None:
        known = {**self._parameters, **known, "seen": self._memory.seen}
        if self.profile.keepalive is not None and self.profile.keepalive.timer_s is not None:
            known["timer_s"] = self.profile.keepalive.timer_s
        # A broker that keeps messages for a device that is away must not switch on when nobody wants it any more.
        expiry_s = (
            None
            if known.get("energize") is False
            else int(known.get("valid_s", known.get("ttl_s", _EXPIRY_S)))
        )
        for send in sends:
            topic = filled(send.topic, self._parameters)
            try:
                if send.when is not None and not send.when.value(known):
                    continue
                payload = send.payload.text(known).encode()
            except TemplateFailed as error:
                said.problems.append(f"nothing was sent to {topic}: {error}")
                continue
            said.messages.append(
                Outgoing(topic, payload, send.qos, retain=False, expiry_s=expiry_s, urgent=True)
            )

    # -------------------------------------------------------------- time

    def deadline(self) -> float | None:
        """When `elapsed` has to be called, monotonic."""
        times = [self._last_read[rule] + rule.throttle_s for rule in self._waiting]
        switching = self._switching.deadline() if self._up else None
        others = (self._silent_at, self._pulse_at, self._charging.deadline(), switching)
        times += [at for at in others if at is not None]
        return min(times, default=None)

    def elapsed(self, now: Instant) -> Said:
        """Do what is due."""
        said = Said()
        if self._silent_at is not None and now.monotonic >= self._silent_at:
            self._silent_at = None
            self._set_online(False, said, now)
        due = [r for r in self._waiting if now.monotonic >= self._last_read[r] + r.throttle_s]
        for rule in due:
            payload = self._waiting.pop(rule)
            self._last_read[rule] = now.monotonic
            self._read(rule, payload, said, now, retained=False)
        self._tell_charging(self._charging.elapsed(now.monotonic), said)
        if self._pulse_at is not None and now.monotonic >= self._pulse_at:
            self._pulse_at = now.monotonic + PULSE_S
            said.facts.append(Fact("status", {}))
        if self._up:
            self._say(self._switching.elapsed(now.monotonic, said.problems), said)
        return said


def encoded(fact: Fact) -> bytes:
    """The payload that our contract has for a fact."""
    return msgspec.json.encode(fact.document)
