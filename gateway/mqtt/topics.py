"""The grammar of topics: the only place where a topic is spelt, taken apart or subscribed to."""

from __future__ import annotations

import re
from typing import NamedTuple

BRIDGE = "bridge"
"""The word that stands where a station's name does, for what concerns the gateway itself."""
PREFIX_MAX_BYTES = 16
"""A longer prefix would push a setpoint over SETPOINT_MAX_BYTES."""
N_MAX = 999
SETPOINT_MAX_BYTES = 240
"""Topic and payload together: small clients receive into a buffer of 256 bytes."""

FACTS = ("status", "meter", "availability", "info")
GESTURES = ("card", "report", "result", "firmware", "log")
AUTHORIZE = "authorize"
"""`…/<n>/authorize/request` asks whoever decides about cards; the answer, a gesture, is `…/authorize/response`."""
ONCE = frozenset((*GESTURES, "request", AUTHORIZE))
"""What happens once: a retained one is none."""
ACTIONS = (
    "start",
    "stop",
    "unlock",
    "limit",
    "operative",
    "reset",
    "fault",
    "clear_fault",
    "link",
    "data_transfer",
)
"""What anyone who may, may ask of a station or a connector: `…/<n>/request/<action>`."""
BRIDGE_ACTIONS = ("health", "candidates", "reload", "station_add", "station_remove")

_LEVELS = frozenset((*FACTS, *GESTURES))
_NAMED = frozenset(("availability", "request"))
_BRIDGE_NAMED = frozenset(("request", "marker"))
_NUMBERS = {str(n): n for n in range(N_MAX + 1)}
"""Also refuses "01" and "٣", which `int()` would take: one connector, one spelling."""
_STATION_NAME = re.compile(r"[A-Za-z0-9_-]{1,48}")
_PREFIX = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
_CACHE_SIZE = 65536


class Address(NamedTuple):
    """What a topic is about."""

    station: str
    """A station's name as it was spelt, or BRIDGE."""
    n: int
    """Connector over the whole station; 0 is the station as a whole."""
    channel: str
    name: str | None = None
    """The fifth level: a device's part, an action, an instance."""


class Subscription(NamedTuple):
    """One topic filter and how it is subscribed to."""

    filter: str
    qos: int
    retain_handling: int
    """MQTT 5: 0 = stored copies each time, 1 = only when the session did not have this subscription."""


class Topics:
    """All topics below one prefix."""

    def __init__(self, prefix: str = "ocpp", reply_prefixes: tuple[str, ...] = ()) -> None:
        """`reply_prefixes`: where MQTT 5 response topics may point besides our own `response` topics."""
        check_prefix(prefix)
        self.prefix = prefix
        self._start = prefix + "/"
        self._reply_starts = tuple(other.rstrip("/") + "/" for other in reply_prefixes)
        self._parsed: dict[str, Address | None] = {}
        self.bridge_state = f"{prefix}/{BRIDGE}/state"
        self.bridge_info = f"{prefix}/{BRIDGE}/info"
        self.bridge_health = f"{prefix}/{BRIDGE}/health"
        self.bridge_event = f"{prefix}/{BRIDGE}/event"

    # -------------------------------------------------------------- taking apart

    def parse(self, topic: str) -> Address | None:
        """Return what a received topic is about; None when the grammar has no such topic."""
        try:
            return self._parsed[topic]
        except KeyError:
            if len(self._parsed) >= _CACHE_SIZE:
                self._parsed.clear()
            address = self._parsed[topic] = self._parse(topic)
            return address

    def _parse(self, topic: str) -> Address | None:
        if not topic.startswith(self._start):
            return None
        match topic[len(self._start) :].split("/"):
            case ["bridge", "state"]:
                return Address(BRIDGE, 0, "state")
            case ["bridge", channel, name] if channel in _BRIDGE_NAMED and name:
                return Address(BRIDGE, 0, channel, name)
            case [station, number, channel] if channel in _LEVELS:
                return _device_address(station, number, channel, None)
            case [station, number, "authorize", "response"]:
                return _device_address(station, number, AUTHORIZE, "response")
            case [station, number, channel, name] if channel in _NAMED and name:
                return _device_address(station, number, channel, name)
            case _:
                return None

    def may_reply_to(self, topic: str) -> bool:
        """Whether a requester's own response topic is one that we may be made to publish on."""
        if not 0 < len(topic) <= 256 or any(mark in topic for mark in "+#\0"):
            return False
        if topic.startswith(self._reply_starts):
            return True
        if not topic.startswith(self._start):
            return False
        levels = topic[len(self._start) :].split("/")
        return "response" in levels[1:3] and levels[-1] != "response" and all(levels)

    # -------------------------------------------------------------- what the gateway listens to

    def subscriptions(self) -> tuple[Subscription, ...]:
        """All filters: `meter` at QoS 0, what carries a fact that must not be lost at QoS 1."""
        device = f"{self.prefix}/+/+"
        # Who is there, and whether another gateway is, must be right after each reconnect, even if the
        # broker dropped what changed meanwhile: their stored copies are asked for each time.
        return (
            Subscription(f"{device}/meter", 0, 1),
            Subscription(f"{device}/status", 1, 1),
            Subscription(f"{device}/info", 1, 1),
            Subscription(f"{device}/availability", 1, 0),
            Subscription(f"{device}/availability/+", 1, 0),
            Subscription(f"{device}/card", 1, 1),
            Subscription(f"{device}/report", 1, 1),
            Subscription(f"{device}/result", 1, 1),
            Subscription(f"{device}/firmware", 1, 1),
            Subscription(f"{device}/log", 1, 1),
            Subscription(f"{device}/request/+", 1, 1),
            Subscription(f"{device}/authorize/response", 1, 1),
            Subscription(f"{self.prefix}/{BRIDGE}/request/+", 1, 1),
            Subscription(self.bridge_state, 1, 0),
        )

    # -------------------------------------------------------------- what the gateway publishes

    def setpoint(self, station: str, n: int) -> str:
        return f"{self.prefix}/{station}/{n}/setpoint"

    def command(self, station: str, n: int, name: str) -> str:
        return f"{self.prefix}/{station}/{n}/command/{name}"

    def authorize_request(self, station: str, n: int) -> str:
        return f"{self.prefix}/{station}/{n}/authorize/request"

    def view(self, station: str, n: int, channel: str) -> str:
        """`state`, `meter/state` or `transaction`."""
        return f"{self.prefix}/{station}/{n}/{channel}"

    def event(self, station: str, n: int, kind: str) -> str:
        return f"{self.prefix}/{station}/{n}/event/{kind}"

    def events(self, station: str, kind: str) -> str:
        """A filter: of the station as a whole and of all its connectors."""
        return f"{self.prefix}/{station}/+/event/{kind}"

    def request(self, station: str, n: int, action: str) -> str:
        """Where anyone who may, asks."""
        return f"{self.prefix}/{station}/{n}/request/{action}"

    def response(self, address: Address) -> str:
        """Where the answer to the request that came at `address` goes when it names no place itself."""
        if address.station == BRIDGE:
            return f"{self.prefix}/{BRIDGE}/response/{address.name}"
        return f"{self.prefix}/{address.station}/{address.n}/response/{address.name}"

    def marker(self, instance: str) -> str:
        """Where a gateway's message to itself goes that marks the end of the broker's backlog."""
        return f"{self.prefix}/{BRIDGE}/marker/{instance}"

    def retained(self, station: str, n: int) -> tuple[str, ...]:
        """Everything that we leave on the broker for one connector (or 0), to clear when it goes."""
        if n == 0:
            return (self.view(station, 0, "state"), self.view(station, 0, "meter/state"))
        views = tuple(self.view(station, n, channel) for channel in ("state", "meter/state", "transaction"))
        return (self.setpoint(station, n), *views)


def check_station_name(name: str) -> None:
    """Raise ValueError, saying what is allowed, for a name that cannot stand in a topic."""
    if not _STATION_NAME.fullmatch(name):
        raise ValueError(f'station name "{name}": 1 to 48 of the letters A–Z a–z, digits, "_" and "-"')
    if name.casefold() == BRIDGE:
        raise ValueError(f'station name "{name}" is reserved for the gateway itself: choose another')


def check_prefix(prefix: str) -> None:
    """Raise ValueError, saying what is allowed, for a prefix that cannot start our topics."""
    if not _PREFIX.fullmatch(prefix) or len(prefix) > PREFIX_MAX_BYTES:
        raise ValueError(
            f'topic prefix "{prefix}": at most {PREFIX_MAX_BYTES} of A–Z, a–z, 0–9, "_" and "-", '
            'with "/" only between levels'
        )


def _device_address(station: str, number: str, channel: str, name: str | None) -> Address | None:
    n = _NUMBERS.get(number)
    if n is None or not _STATION_NAME.fullmatch(station) or station.casefold() == BRIDGE:
        return None
    return Address(station, n, channel, name)
