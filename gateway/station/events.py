"""What can happen to a station: past tense, frozen; each notes a fact and decides nothing."""

from __future__ import annotations

from msgspec import Struct

from gateway.station.model import DeviceInfo, Flavor, IdToken, MeterValue, SignedReading, StatusFacts
from gateway.station.reports import Answer
from gateway.station.requests import Request


class Event(Struct, frozen=True):
    """Anything that `Station.handle` takes."""


# ------------------------------------------------------------------ from devices


class DeviceAnnounced(Event, frozen=True):
    """`…/0/info` arrived."""

    info: DeviceInfo
    retained: bool = False


class DevicePresenceChanged(Event, frozen=True):
    """`…/<n>/availability[/<part>]` arrived."""

    n: int
    online: bool
    part: str | None = None
    retained: bool = False


class StatusReported(Event, frozen=True):
    """`…/<n>/status` arrived."""

    n: int
    facts: StatusFacts
    at: float | None = None
    """The device's own stamp, wall-clock seconds; None = none or unbelievable: the time of arrival."""
    retained: bool = False


class MeterSampled(Event, frozen=True):
    """`…/<n>/meter` arrived; n 0 is the main meter."""

    n: int
    values: dict[str, MeterValue]
    """Keys of METER_FIELDS; an absent key is unchanged, None is not known."""
    at: float | None = None
    ref: str | None = None
    """The `measure` command that it answers."""
    signed: SignedReading | None = None
    retained: bool = False


class TokenPresented(Event, frozen=True):
    """A card or a code was shown at a reader; a gesture."""

    n: int
    """0 = a reader for the whole station."""
    token: IdToken
    gesture_id: str | None = None
    at: float | None = None
    backlog: bool = False
    """It waited in the broker while the gateway was away."""


class DeviceReported(Event, frozen=True):
    """`…/<n>/report` arrived: stop_button, emergency_stop, power_failing …; a gesture."""

    n: int
    kind: str
    gesture_id: str | None = None
    at: float | None = None
    backlog: bool = False
    info: str = ""


class CommandAnswered(Event, frozen=True):
    """`…/<n>/result` arrived."""

    n: int
    command_id: str
    status: str
    """accepted, rejected, failed, not_supported, in_progress."""
    info: str = ""
    data: str | None = None
    """What a `data` command brought back."""


class FlowAnswered(Event, frozen=True):
    """`…/<n>/authorize/response` arrived: somebody has decided about a token, or does not know it."""

    n: int
    question: str
    """The id of the request."""
    status: str
    """accepted, refused, unknown."""
    group: str | None = None
    """The token's parent id: tokens of one group may stop each other's transactions."""
    info: str = ""


class ActionRequested(Event, frozen=True):
    """`…/<n>/request/<action>` arrived; a gesture of whoever may."""

    n: int
    action: str
    arguments: dict[str, object]
    """Checked by the edge against the action's payload type."""
    reply_to: int
    """Opaque to the core; handed back in Respond."""
    gesture_id: str | None = None
    at: float | None = None
    backlog: bool = False


# ------------------------------------------------------------------ from the CSMS


class LinkOpened(Event, frozen=True):
    """A WebSocket is open and a version is agreed."""

    flavor: Flavor


class LinkClosed(Event, frozen=True):
    """The WebSocket is gone, or an attempt to open one failed."""

    kind: str
    """One of the link's words: lost, dead_peer, refused_auth, tls_certificate …"""
    detail: str = ""


class Answered(Event, frozen=True):
    """A report's call has got its answer, or will not get one."""

    ref: int
    answer: Answer
    step: int = 0
    """Which of the report's calls, from 0."""
    last: bool = True


class CsmsAsked(Event, frozen=True):
    """A CALL of the CSMS; `ref` names it in the Reply effect."""

    ref: int
    request: Request


# ------------------------------------------------------------------ from the house


class Restarted(Event, frozen=True):
    """The gateway has (re)started and loaded this station; the first event of every run."""

    random_seed: str
    """Fresh random text of this run; used for a new epoch and, at the very first start, for ids."""
    flavor: Flavor | None = None
    """Whose rules hold until a link says otherwise: those of the version spoken last, else of the preferred one."""


class BrokerConnected(Event, frozen=True):
    """The MQTT session is up and the backlog's end has been seen or is awaited."""

    epoch: str
    """The gateway's epoch that setpoints carry from now on."""


class Retired(Event, frozen=True):
    """The station leaves the configuration: nothing of it may stay energized."""


class StatesWanted(Event, frozen=True):
    """Somebody new listens: what everybody may see is said again."""


class BrokerLost(Event, frozen=True):
    """The MQTT session is down."""


class StoreChanged(Event, frozen=True):
    """The disk can, or can no longer, keep what happens (law 3: no new transactions without it)."""

    writable: bool
    detail: str = ""


class TimePassed(Event, frozen=True):
    """The deadline that the station named has come, or nothing has happened for a while."""


class Stopping(Event, frozen=True):
    """The gateway is about to exit cleanly."""
