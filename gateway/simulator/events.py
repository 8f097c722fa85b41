"""What can happen to a charger: in the past tense, frozen."""

from msgspec import Struct

from gateway.simulator.car import Car


class Connected(Struct, frozen=True):
    """The device has its subscriptions."""


class Disconnected(Struct, frozen=True):
    """The connection is gone."""


class Received(Struct, frozen=True):
    """A message came."""

    topic: str
    payload: bytes
    retain: bool = False


class TimePassed(Struct, frozen=True):
    """The deadline has come."""


class SwitchedOff(Struct, frozen=True):
    """Somebody pulls the charger's own plug."""


class Plugged(Struct, frozen=True):
    """A car was plugged in."""

    connector: int
    car: Car


class Unplugged(Struct, frozen=True):
    """The car's end of the cable was pulled."""

    connector: int


class CarPaused(Struct, frozen=True):
    """The car was told to wait, or to go on."""

    connector: int
    paused: bool


class CardPresented(Struct, frozen=True):
    """A card was held to a reader; reader 0 is the station's, `target` the connector chosen at it."""

    reader: int
    id_token: str
    type: str = "ISO14443"
    target: int | None = None


class Reported(Struct, frozen=True):
    """A button was pressed or an alarm went off: `stop_button`, `emergency_stop`, `tamper` …"""

    connector: int
    kind: str


class FaultsChanged(Struct, frozen=True):
    """The whole list of faults of a connector; while there is one, its contactor stays open."""

    connector: int
    errors: tuple[str, ...]


class LockJammed(Struct, frozen=True):
    """The lock sticks, or is free again."""

    connector: int
    jammed: bool


Event = (
    Connected
    | Disconnected
    | Received
    | TimePassed
    | SwitchedOff
    | Plugged
    | Unplugged
    | CarPaused
    | CardPresented
    | Reported
    | FaultsChanged
    | LockJammed
)
