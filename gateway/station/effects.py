"""What a station wants done: imperative, frozen; the runner carries them out in order, saves first."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gateway.station.model import IdToken
from gateway.station.reports import Report
from gateway.station.requests import Reply


class Effect(Struct, frozen=True):
    """Anything that `Station.handle` returns."""


class Save(Effect, frozen=True):
    """Keep a record; None deletes it. All saves of one `handle` are one commit."""

    kind: str
    key: str
    record: Struct | None


class Ask(Effect, frozen=True):
    """Tell or ask the CSMS something; exactly one Answered comes back for each call that it makes."""

    ref: int
    """Never reused."""
    report: Report
    urgent: bool
    """In the lane ahead of the backlog (boot, authorize, heartbeat, status, what was triggered)."""
    first_step: int = 0
    """Calls of the report before this one were answered earlier."""


class Answer(Effect, frozen=True):
    """Reply to a CALL of the CSMS."""

    ref: int
    reply: Reply


class CloseLink(Effect, frozen=True):
    """Close the WebSocket once everything said so far is flushed; it reconnects by itself."""

    reason: str


class HoldLink(Effect, frozen=True):
    """Keep the WebSocket down (a simulated network loss), or let it come up again."""

    hold: bool


class Publish(Effect, frozen=True):
    """Publish a retained state document of this station on MQTT."""

    n: int
    channel: Literal["state", "meter/state", "transaction"]
    view: Struct


class SetPoint(Effect, frozen=True):
    """Publish a connector's desired state; `off` needs no commit first (law 4)."""

    n: int
    setpoint: SetPointDocument


class SetPointDocument(Struct, frozen=True, kw_only=True):
    """The whole of `…/<n>/setpoint`; every key always there."""

    energize: bool
    limit_a: float
    limit_w: int
    phases: int
    lock: bool
    transaction: str | None
    operative: bool
    revision: int
    epoch: str
    valid_s: int


class Command(Effect, frozen=True):
    """Publish a command to a device."""

    n: int
    name: str
    id: str
    ttl_s: int
    arguments: dict[str, object]
    boot_id: str | None = None


class AskFlow(Effect, frozen=True):
    """Publish `…/<n>/authorize/request`: somebody on MQTT decides about a token."""

    n: int
    id: str
    """Comes back in the answer."""
    token: IdToken
    ttl_s: float


class Notify(Effect, frozen=True):
    """Publish `…/<n>/event/<kind>`, not retained."""

    n: int
    kind: Literal["card", "transaction", "command", "message", "error"]
    event_type: str
    data: dict[str, object]


class Respond(Effect, frozen=True):
    """Answer an MQTT request."""

    reply_to: int
    ok: bool
    data: dict[str, object]
    error: str | None = None


class Quarantine(Effect, frozen=True):
    """A report was given up: keep an audit record and say so loudly."""

    what: str
    detail: str


class DescribeAnew(Effect, frozen=True):
    """The device is another, or has other firmware: tell those who were told what it is."""


class ChangeLink(Effect, frozen=True):
    """The link's settings changed; None: as the operator configured it."""

    ping_interval_s: int | None = None
    call_timeout_s: float | None = None
    backoff_minimum_s: int | None = None
    backoff_random_s: int | None = None
    backoff_repeats: int | None = None
    security_profile: int | None = None
    password: str | None = None
    """2.x text or 1.6 hex digits; `password_is_hex` says which."""
    password_is_hex: bool = False
    certificate: tuple[str, str] | None = None
    """(name of the private key, chain in PEM): the station's own certificate."""
    roots: tuple[str, ...] = ()
    """PEMs of who else may have signed the CSMS's certificate."""


# ------------------------------------------------------------------ views: what everyone may see


class ConnectorView(Struct, frozen=True, kw_only=True):
    """`…/<n>/state`: fixed shape."""

    status: str
    """1.6 word."""
    availability_state: str
    """2.x word."""
    errors: tuple[str, ...]
    info: str
    plugged: bool | None
    charging: bool | None
    energized: bool | None
    operative: bool
    reservation: int | None
    limit_local_a: float | None
    limit_operator_a: float | None
    limit_device_a: float | None
    limit_a: float
    online: bool
    stale: bool


class StationView(Struct, frozen=True, kw_only=True):
    """`…/0/state`: fixed shape."""

    connected: bool
    ocpp_version: str | None
    registration: str | None
    security_profile: int
    since: float | None
    last_received_at: float | None
    queued: int
    operative: bool
    online: bool
    status: str
    firmware_version: str | None
    last_error: str | None


class MeterView(Struct, frozen=True, kw_only=True):
    """`…/<n>/meter/state`: fixed shape, every key, lists of three."""

    energy_import_wh: float | None
    energy_export_wh: float | None
    energy_session_wh: float | None
    power_w: float | None
    power_export_w: float | None
    current_a: tuple[float | None, float | None, float | None]
    voltage_v: tuple[float | None, float | None, float | None]
    power_factor: float | None
    reactive_var: float | None
    frequency_hz: float | None
    soc_percent: float | None
    temperature_c: float | None
    timestamp: float | None
    stale: bool


class TransactionView(Struct, frozen=True, kw_only=True):
    """`…/<n>/transaction`: fixed shape, never empty."""

    active: bool
    transaction: str | None
    csms_id: int | None
    id_token: str | None
    id_token_type: str | None
    started_at: float | None
    ended_at: float | None
    meter_start_wh: float | None
    meter_stop_wh: float | None
    energy_wh: float | None
    charging_state: str | None
    stop_reason: str | None
