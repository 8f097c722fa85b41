"""When Home Assistant is told of the stations: at each connection, when it has started, and when one is another."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from gateway.homeassistant import messages, told
from gateway.homeassistant.told import Told
from gateway.mqtt.encoding import Outgoing, cleared
from gateway.mqtt.topics import BRIDGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from gateway.homeassistant.messages import Described, Message
    from gateway.homeassistant.told import Form
    from gateway.mqtt.topics import Topics

_BURST_BYTES = 100_000
_PAUSE_S = 0.1
"""Thousands of stations, each some ten kilobytes, must hold up neither the loop nor the broker."""
_JITTER_S = (2.0, 5.0)
"""After its birth message Home Assistant is still subscribing."""
_STATES_AFTER_S = 2.0
"""An entity that is new may miss the first state that follows its discovery."""
_MIGRATED_AFTER_S = 2.0
"""The new form has taken the entities over before the topics of the old one are cleared."""
_LISTEN_S = 1.0
"""How long what the broker has kept may take to arrive; and how long a station's changes are waited for."""
_MIGRATE = Outgoing("", b'{"migrate_discovery":true}', 1)
_STATES_BYTES = 2000
"""Of a station, about."""

Step = tuple[int, float]
"""Bytes that were sent, and how long to wait then."""


class Stations(NamedTuple):
    """Who is announced."""

    names: Callable[[], Iterable[str]]
    described: Callable[[str], Described | None]
    """None: it has gone meanwhile."""
    gateway_again: Callable[[], None]
    states_again: Callable[[str], None]
    """Both say once more how they are."""


class Ways(NamedTuple):
    """What an announcer can do."""

    send: Callable[[Outgoing], None]
    unsubscribe: Callable[[str], None]
    keep: Callable[[dict[str, bytes | None]], None]
    """In the store, by id."""
    call_later: Callable[[float, Callable[[], None]], Any]


class Announcer:
    """All discovery of one gateway. One timer, however many stations; each message is made when its turn comes."""

    def __init__(
        self,
        form: Form | None,
        prefix: str,
        topics: Topics,
        *,
        birth_topic: str | None,
        kept: Mapping[str, bytes],
        stations: Stations,
        ways: Ways,
    ) -> None:
        """`form` None: nothing is announced, and what was is taken back. `kept`: what `keep` was given, by id."""
        self._form = form
        self._prefix = prefix
        self._topics = topics
        self._birth_topic = birth_topic
        self._stations = stations
        self._send, self._unsubscribe, self._keep, self._call_later = ways
        self._shapes: dict[bytes, bytes] = {}
        """Stations alike have the same components, and share what is remembered of them."""
        self._known = {id_: self._shapes.setdefault(raw, raw) for id_, raw in kept.items()}
        """Id → what Home Assistant was told of it, the latest last, as JSON."""
        self._listening = form is not None and not kept
        self.filters = told.filters(prefix) if self._listening else ()
        """To be subscribed to: this store is new, and what the gateway of an earlier one announced is heard there."""
        self._stopped_listening = False
        self._up = False
        self._changed: dict[str, None] = {}
        self._steps: Iterator[Step] | None = None
        self._timer: Any = None

    # -------------------------------------------------------------- when

    def connected(self) -> None:
        """The broker is there (again): it may have lost what it kept."""
        self._up = True
        self._begin(self._everything(), _LISTEN_S if self._listening else 0.0)

    def lost(self) -> None:
        """What was still to be said is said at the next connection."""
        self._up = False
        self._halt()

    def changed(self, station: str) -> None:
        """A device says something else of itself."""
        if self._form is not None and self._up:
            self._changed[station] = None
            self._next(_LISTEN_S)

    def arrived(self, topic: str, payload: bytes, *, retained: bool) -> bool:
        """Hear Home Assistant, and what the broker has kept of discovery; False when it is neither."""
        if topic == self._birth_topic:
            self._born(payload, retained=retained)
            return True
        if not topic.startswith(f"{self._prefix}/") or not topic.endswith("/config"):
            return False
        if not self._listening:
            self._stop_listening()  # the broker's session remembers what a gateway that ended early listened to
        elif retained:
            self._found(topic, payload)
        return True

    def _born(self, payload: bytes, *, retained: bool) -> None:
        """A stored copy of its birth message is no news."""
        if payload.strip() == b"online" and not retained and self._form is not None:
            self._begin(self._everything(then_states=True), random.uniform(*_JITTER_S))  # noqa: S311 - jitter

    def _found(self, topic: str, payload: bytes) -> None:
        heard = told.heard(topic, payload, self._prefix, self._topics.bridge_state)
        if heard is None:
            return
        id_, found = heard
        known = self._devices(id_)
        if any(topic in one.topics(id_) for one in known):
            return
        alike = next((one for one in known if one.place == found.place), None)
        if alike is not None:
            known.remove(alike)
            found = Told(found.prefix, found.form, alike.components | found.components)
        self._remember(id_, [found, *known])
        self._begin(self._everything(), _LISTEN_S)

    def _stop_listening(self) -> None:
        self._listening = False
        if not self._stopped_listening:
            self._stopped_listening = True
            for topic_filter in told.filters(self._prefix):
                self._unsubscribe(topic_filter)

    def _halt(self) -> None:
        self._steps = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self, steps: Iterator[Step], after_s: float) -> None:
        self._halt()
        self._steps = steps
        self._next(after_s)

    # -------------------------------------------------------------- what

    def _everything(self, *, then_states: bool = False) -> Iterator[Step]:
        gone = dict.fromkeys(self._known)
        moved = []
        if self._form is not None:
            self._changed.clear()
            for name in [BRIDGE, *self._stations.names()]:
                id_ = messages.id_of(self._topics, name)
                gone.pop(id_, None)
                yield from self._tell(id_, self._messages(self._form, name))
                if len(self._devices(id_)) > 1:
                    moved.append(id_)
        if moved:
            yield 0, _MIGRATED_AFTER_S
        for id_ in moved:
            yield from self._take_back(id_, self._devices(id_)[:-1])
        for id_ in gone:
            yield from self._take_back(id_, self._devices(id_))
        if self._listening:
            self._stop_listening()
        if then_states:
            yield from self._say_states()

    def _changes(self) -> Iterator[Step]:
        while self._changed and self._form is not None:
            name = next(iter(self._changed))
            del self._changed[name]
            yield from self._tell(messages.id_of(self._topics, name), self._messages(self._form, name))

    def _messages(self, form: Form, name: str) -> list[Message]:
        if name == BRIDGE:
            return messages.of_gateway(form, self._prefix, self._topics)
        described = self._stations.described(name)
        return [] if described is None else messages.of_station(form, self._prefix, self._topics, described)

    def _tell(self, id_: str, said: list[Message]) -> Iterator[Step]:
        """Announce a device. What it was in another form or place stays known until that is cleared."""
        if not said:
            return
        now = Told(self._prefix, said[0].form, {k: p for each in said for k, p in each.components.items()})
        known = self._devices(id_)
        others = [one for one in known if one.place != now.place]
        before = next((one.topics(id_) for one in known if one.place == now.place), {})
        for one in others:
            if one.prefix == self._prefix:  # so people keep what they changed of the entities
                for topic in one.topics(id_):
                    self._publish(msgspec.structs.replace(_MIGRATE, topic=topic))
        for message in said:
            gone = {
                key: platform
                for key, platform in before.get(message.topic, {}).items()
                if key not in message.components
            }
            size = self._publish(message.publishing(gone)) if gone else 0
            yield size + self._publish(message.publishing()), 0.0
        for topic in before.keys() - now.topics(id_).keys():
            yield self._publish(cleared(topic)), 0.0
        self._remember(id_, [*others, now])

    def _take_back(self, id_: str, gone: list[Told]) -> Iterator[Step]:
        for one in gone:
            for topic in one.topics(id_):
                yield self._publish(cleared(topic)), 0.0
        self._remember(id_, [one for one in self._devices(id_) if one not in gone])

    def _say_states(self) -> Iterator[Step]:
        yield 0, _STATES_AFTER_S
        self._stations.gateway_again()
        for name in self._stations.names():
            self._stations.states_again(name)
            yield _STATES_BYTES, 0.0

    def _publish(self, outgoing: Outgoing) -> int:
        self._send(outgoing)
        return len(outgoing.payload)

    def _devices(self, id_: str) -> list[Told]:
        raw = self._known.get(id_)
        return [] if raw is None else msgspec.json.decode(raw, type=list[Told])

    def _remember(self, id_: str, devices: list[Told]) -> None:
        raw = msgspec.json.encode(devices) if devices else None
        if raw == self._known.get(id_):
            return
        if raw is None:
            del self._known[id_]
        else:
            self._known[id_] = self._shapes.setdefault(raw, raw)
        self._keep({id_: raw})

    # -------------------------------------------------------------- one after another

    def _next(self, after_s: float) -> None:
        if self._timer is None:
            self._timer = self._call_later(after_s, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        steps = self._steps
        if steps is None:
            if not self._changed:
                return
            steps = self._steps = self._changes()
        sent = 0
        for size, pause_s in steps:
            sent += size
            if pause_s or sent >= _BURST_BYTES:
                self._next(pause_s or _PAUSE_S)
                return
        self._steps = None
        if self._changed:
            self._next(_PAUSE_S)
