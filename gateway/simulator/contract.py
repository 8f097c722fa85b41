"""What a device reads and says by the public contract: topics, payloads, stamps; not what follows."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

CONTRACT_VERSION = 1

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Instant(NamedTuple):
    """One moment on both clocks: the wall clock stamps payloads, the monotonic clock measures durations."""

    wall_s: float
    """Seconds since 1970-01-01 UTC."""
    monotonic_s: float

    @property
    def timestamp(self) -> str:
        """RFC 3339 in UTC with milliseconds."""
        moment = datetime.fromtimestamp(self.wall_s, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Message(Struct, frozen=True):
    """What is to be published."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


class Setpoint(Struct, frozen=True):
    """The desired state of one connector. Only the right JSON types will do: `"true"` energizes nothing."""

    revision: int
    epoch: str
    valid_s: float
    energize: bool | None = None
    limit_a: float | None = None
    limit_w: float | None = None
    phases: int | None = None
    lock: bool | None = None
    transaction: str | None = None
    operative: bool | None = None


class Heartbeat(Struct, frozen=True):
    """`bridge/state`: `online`, `stopping` or `offline`."""

    state: str
    epoch: str | None = None


class Command(Struct, frozen=True):
    """The fields that any command may carry; `name` and `n` stand in its topic."""

    id: str
    ttl_s: float | None = None
    boot_id: str | None = None
    timestamp: str | None = None
    ref: str | int | None = None
    context: str | None = None
    verdict: str | None = None
    sha256: str | None = None


class Topics:
    """The topics of one device under its prefix."""

    def __init__(self, prefix: str, station: str) -> None:
        self._root = f"{prefix}/{station}"
        self.heartbeat = f"{prefix}/bridge/state"
        self.subscriptions = (
            self.heartbeat,
            f"{self._root}/+/setpoint",
            f"{self._root}/+/command/+",
        )

    def own(self, n: int, channel: str) -> str:
        """A topic that the device publishes; `n` is the connector, 0 the station."""
        return f"{self._root}/{n}/{channel}"

    def read(self, topic: str) -> tuple[int, str, str] | None:
        """`(n, channel, name)` of a topic addressed to this device, else `None`; no name at four levels."""
        if not topic.startswith(f"{self._root}/"):
            return None
        match topic.removeprefix(f"{self._root}/").split("/"):
            case [n, channel] if n.isdecimal():
                return int(n), channel, ""
            case [n, channel, name] if n.isdecimal():
                return int(n), channel, name
            case _:
                return None


def encode(payload: dict[str, Any]) -> bytes:
    """JSON on one line."""
    return msgspec.json.encode(payload)


def read_setpoint(payload: bytes) -> Setpoint | None:
    """The setpoint, or `None` where the device has to be off: empty, unreadable, or of impossible values."""
    try:
        return msgspec.json.decode(payload, type=Setpoint)
    except _UNREADABLE:
        return None


def read_heartbeat(payload: bytes) -> Heartbeat | None:
    """The heartbeat, or `None` when unreadable: then nothing was heard."""
    try:
        return msgspec.json.decode(payload, type=Heartbeat)
    except _UNREADABLE:
        return None


def read_command(payload: bytes) -> Command | None:
    """The command, or `None` when unreadable: without an id it can neither be remembered nor answered."""
    try:
        return msgspec.json.decode(payload, type=Command)
    except _UNREADABLE:
        return None


def has_expired(command: Command, now: Instant) -> bool:
    """Whether its time to live has passed, as far as the command says when it was given."""
    if command.ttl_s is None:
        return False
    if command.ttl_s <= 0:
        return True
    if command.timestamp is None:
        return False
    try:
        given = datetime.fromisoformat(command.timestamp)
    except ValueError:
        return False
    if given.tzinfo is None:
        return False
    return now.wall_s > given.timestamp() + command.ttl_s
