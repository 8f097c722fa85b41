"""What a message turned out to be, what was wrong with it, and when it says it happened."""

from __future__ import annotations

from datetime import tzinfo
from typing import NamedTuple

from msgspec import Struct

from gateway.mqtt import timestamps
from gateway.mqtt.actions import BridgeAsked
from gateway.mqtt.fields import Fields, NotJsonError, Reading, json_of, shortened
from gateway.mqtt.topics import Address
from gateway.station.events import Event


class GatewayHeard(Struct, frozen=True):
    """A gateway's heartbeat on our prefix: our own, or another's."""

    state: str
    instance: str | None
    epoch: str | None
    retained: bool


class Decoded(Struct, frozen=True):
    """What a message turned out to be."""

    event: Event | BridgeAsked | GatewayHeard | None
    problems: tuple[str, ...] = ()
    """Sentences about what was refused; they quote no token."""
    counters: dict[str, int] = {}
    """What to add: bad_fields, unknown_keys, clock_wrong, unreadable, empty, retained_gestures,
    refused_requests."""
    refusal: str | None = None
    """Set for a request that cannot be passed on: answer it with this error."""
    request_id: str | None = None
    """The `id` of a request, to come back in its response."""


class Arrival(NamedTuple):
    """The circumstances of a message."""

    address: Address
    at: float
    """Wall-clock seconds."""
    retained: bool
    backlog: bool
    zone: tzinfo
    reply_to: int


NO_COUNTERS: dict[str, int] = {}
NOTHING = Decoded(None)
EMPTY = Decoded(None, (), {"empty": 1})
RETAINED_GESTURE = Decoded(None, (), {"retained_gestures": 1})
_CLOCK_WRONG = {"clock_wrong": 1}


class Findings:
    """Gathers what there is to report beside the event."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._clock_wrong = 0

    def take_stamp(self, arrival: Arrival) -> float | None:
        """Remove the timestamp from the values and return it as far as it can be believed."""
        stamp = self._reading.values.pop("timestamp", None)
        if stamp is None:
            return None
        at, problems, counters = believed(stamp, arrival)
        self._reading.problems.extend(problems)
        self._clock_wrong = counters.get("clock_wrong", 0)
        return at

    def decoded(self, event: Event | BridgeAsked | None) -> Decoded:
        reading = self._reading
        if not reading.problems and not reading.unknown_keys and not self._clock_wrong:
            return Decoded(event)
        counts = {
            "bad_fields": len(reading.problems),
            "unknown_keys": reading.unknown_keys,
            "clock_wrong": self._clock_wrong,
        }
        return Decoded(
            event, shortened(reading.problems), {name: count for name, count in counts.items() if count}
        )


def read_object(fields: Fields, payload: bytes) -> tuple[Reading, Findings]:
    """Read a payload that must be a JSON object; raise NotJsonError when it is none."""
    document = json_of(payload)
    if not isinstance(document, dict):
        raise NotJsonError("JSON, but no object")
    reading = fields.read(document)
    return reading, Findings(reading)


def believed(stamp: str | float, arrival: Arrival) -> tuple[float | None, tuple[str, ...], dict[str, int]]:
    """Return the time as far as it can be believed, what to say about it, and what to count."""
    try:
        at = timestamps.read(stamp, arrival.at, arrival.zone)
    except ValueError:
        shown = str(stamp)[:40]
        return None, (f'timestamp "{shown}" is neither RFC 3339 nor seconds since 1970',), {"bad_fields": 1}
    return at, (), NO_COUNTERS if at is not None else _CLOCK_WRONG
