"""When Home Assistant is told of the stations: at each connection, and when it says that it has started."""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.homeassistant import messages
from gateway.homeassistant.messages import Described, Form, Message
from gateway.mqtt.encoding import Outgoing, cleared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gateway.mqtt.topics import Topics

_BATCH = 50
_PAUSE_S = 0.1
"""Thousands of stations are announced so many at a time: each message is some kilobytes."""
_JITTER_S = (2.0, 5.0)
"""After its birth message Home Assistant is still subscribing."""
_STATES_AFTER_S = 2.0
"""An entity that is new may miss the first state that follows its discovery."""
_MIGRATE = Outgoing("", b'{"migrate_discovery":true}', 1)

Kept = dict[str, bytes]
"""What the store knows of earlier messages: topic → their components, as JSON; b"" where the topic is clear."""


class Announcer:
    """All discovery of one gateway. One timer, however many stations."""

    def __init__(
        self,
        form: Form | None,
        prefix: str,
        topics: Topics,
        *,
        described: Callable[[], Iterable[Described]],
        send: Callable[[Outgoing], None],
        states_again: Callable[[], None],
        kept: Mapping[str, bytes],
        keep: Callable[[dict[str, bytes | None]], None],
        call_later: Callable[[float, Callable[[], None]], Any],
    ) -> None:
        """`form` None: nothing is announced, and what was is taken back. `kept` and `keep` are the store's."""
        self._form = form
        self._prefix = prefix
        self._topics = topics
        self._described = described
        self._send = send
        self._states_again = states_again
        self._keep = keep
        self._call_later = call_later
        self._known = {topic: msgspec.json.decode(raw, type=dict[str, str]) for topic, raw in kept.items()}
        self._steps: deque[Callable[[], None]] = deque()
        self._timer: Any = None

    # -------------------------------------------------------------- when

    def connected(self) -> None:
        """The broker is there (again): it may have lost what it kept."""
        self._announce(after_s=0.0)

    def lost(self) -> None:
        """What was still to be said is said at the next connection."""
        self._steps.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def born(self, payload: bytes) -> None:
        """Home Assistant says how it is, on its own status topic."""
        if payload.strip() == b"online" and self._form is not None:
            self._announce(after_s=random.uniform(*_JITTER_S), then_states=True)  # noqa: S311 - jitter

    def _announce(self, *, after_s: float, then_states: bool = False) -> None:
        self.lost()
        groups = [] if self._form is None else self._groups(self._form)
        wanted = {message.topic for group in groups for message in group}
        gone = [topic for topic in self._known if topic not in wanted]
        self._steps.extend(_steps_of(groups, self._say))
        self._steps.extend(self._clearing(topic) for topic in gone)
        if self._form is not None and gone:
            self._steps.extendleft(
                reversed([self._migrating(topic) for topic in gone if self._replaced(topic)])
            )
        if then_states:
            self._steps.append(self._states_later)
        self._next(after_s)

    def _groups(self, form: Form) -> list[list[Message]]:
        told = [messages.of_gateway(form, self._prefix, self._topics)]
        told += [messages.of_station(form, self._prefix, self._topics, one) for one in self._described()]
        return told

    def _replaced(self, topic: str) -> bool:
        """Whether what was announced there is announced in the other form now."""
        return messages.is_for_device(topic, self._prefix) is not (self._form == "device")

    # -------------------------------------------------------------- what

    def _say(self, message: Message) -> None:
        known = self._known.get(message.topic, {})
        removed = {key: platform for key, platform in known.items() if key not in message.components}
        if removed:
            self._send(message.publishing(removed))
        self._send(message.publishing())
        if known != message.components:
            self._known[message.topic] = message.components
            self._keep({message.topic: msgspec.json.encode(message.components)})

    def _migrating(self, topic: str) -> Callable[[], None]:
        """Keeps what people have changed about the entities: said before the new form, cleared after it."""
        return lambda: self._send(msgspec.structs.replace(_MIGRATE, topic=topic))

    def _clearing(self, topic: str) -> Callable[[], None]:
        def clear() -> None:
            self._send(cleared(topic))
            self._known.pop(topic, None)
            self._keep({topic: None})

        return clear

    def _states_later(self) -> None:
        self._steps.append(self._states_again)
        self._next(_STATES_AFTER_S)

    # -------------------------------------------------------------- one after another

    def _next(self, after_s: float) -> None:
        if self._steps and self._timer is None:
            self._timer = self._call_later(after_s, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        for _ in range(_BATCH):
            if not self._steps or self._timer is not None:
                break
            self._steps.popleft()()
        self._next(_PAUSE_S)


def _steps_of(
    groups: Iterable[list[Message]], say: Callable[[Message], None]
) -> Iterable[Callable[[], None]]:
    for group in groups:
        for message in group:
            yield lambda message=message: say(message)  # type: ignore[misc]
