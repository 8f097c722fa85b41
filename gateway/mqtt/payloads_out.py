"""What the gateway says, as types: fixed shapes, every key always there, and the closed lists of events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

EVENT_TYPES: dict[str, tuple[str, ...]] = {
    "card": ("accepted", "refused", "unknown", "late", "busy", "timeout", "cancelled"),
    "transaction": ("started", "ended"),
    "command": ("accepted", "rejected", "failed", "not_supported", "in_progress", "report"),
    "message": ("data_transfer", "security", "firmware", "log"),
    "error": ("device_vanished", "lock", "report", "security", "store"),
}
"""For each kind of event, the whole list of its `event_type`s."""

At = Annotated[
    str, Meta(description="RFC 3339 in UTC with milliseconds.", examples=["2026-05-04T10:00:00.000Z"])
]
Three = Annotated[
    tuple[float | None, float | None, float | None], Meta(description="L1, L2, L3; null is not known.")
]
Instance = Annotated[str, Meta(description="Names this one gateway.", examples=["gw-7c1e"])]


# ------------------------------------------------------------------ to who decides about cards


class AuthorizeRequestPayload(Struct, kw_only=True):
    """A card was shown and somebody is to decide; the token is in clear."""

    id: Annotated[str, Meta(description="To be given back in the answer.", examples=["207"])]
    id_token: Annotated[str, Meta(description="As read.", examples=["04A2B3C4"])]
    type: Annotated[str, Meta(description="OCPP's word.", examples=["ISO14443"])]
    connector: Annotated[int, Meta(description="0: at the station's reader.", examples=[1])]
    ttl_s: Annotated[float, Meta(description="After this the CSMS is asked instead.", examples=[5])]
    timestamp: At


# ------------------------------------------------------------------ to a device


class SetpointPayload(Struct, kw_only=True):
    """The whole desired state of a connector. A relay reads only `energize`: absent, null or false is off."""

    energize: Annotated[bool, Meta(description="Close the contactor.", examples=[True])]
    limit_a: Annotated[float, Meta(description="A per phase.", examples=[16.0])]
    limit_w: Annotated[int, Meta(description="The same limit in W over all phases.", examples=[11040])]
    phases: Annotated[int, Meta(description="Phases to use.", examples=[3])]
    lock: Annotated[bool, Meta(description="Lock the plug.")]
    transaction: Annotated[
        str | None,
        Meta(description="Tells one transaction from the next; shortened where the topic is long."),
    ]
    operative: Annotated[bool, Meta(description="false: show that it is out of service.")]
    revision: Annotated[int, Meta(description="Rises; a lower one is dropped.", examples=[42])]
    epoch: Annotated[str, Meta(description="Must be that of the last live heartbeat.", examples=["k3f9"])]
    valid_s: Annotated[
        int, Meta(description="How long after a live heartbeat it may be obeyed.", examples=[90])
    ]


class CommandPayload(Struct, kw_only=True):
    """A command; the arguments of each stand beside these keys."""

    id: Annotated[str, Meta(description="Comes back in `result`.", examples=["c-17"])]
    ttl_s: Annotated[int, Meta(description="Do not begin it later than this.", examples=[30])]
    boot_id: Annotated[str | None, Meta(description="Ignore it when this is not your own.")]
    timestamp: At
    ref: Annotated[str | None, Meta(description="measure: comes back in `meter`.")] = None
    context: Annotated[str | None, Meta(description="measure: the occasion, in OCPP's word.")] = None
    verdict: Annotated[
        Literal["accepted", "refused", "unknown", "late", "busy"] | None,
        Meta(description="card_result: for the beep and the light."),
    ] = None
    type: Annotated[Literal["hard", "soft"] | None, Meta(description="reset: at once, or after use.")] = None
    reservation_id: Annotated[
        int | None,
        Meta(description="reserve: for whom the connector is kept free; null: for nobody any more."),
    ] = None
    expires_at: Annotated[At | None, Meta(description="reserve: until when.")] = None
    url: Annotated[
        str | None, Meta(description="update_firmware: where the file is, perhaps with name and password.")
    ] = None
    size: Annotated[int | None, Meta(description="update_firmware: bytes of the file.")] = None
    sha256: Annotated[
        str | None, Meta(description="update_firmware: of the file, in hex digits; check it.")
    ] = None
    oldest: Annotated[At | None, Meta(description="upload_log: from when on; null: all there is.")] = None
    latest: Annotated[At | None, Meta(description="upload_log: until when.")] = None
    vendor_id: Annotated[str | None, Meta(description="data: whose message it is.")] = None
    message_id: Annotated[str | None, Meta(description="data: which of the vendor's messages.")] = None
    data: Annotated[str | None, Meta(description="data: as the operator sent it.")] = None


# ------------------------------------------------------------------ to everyone


class GatewayStatePayload(Struct, kw_only=True):
    """The gateway's heartbeat. At `stopping` what charges goes on until its lease runs out."""

    state: Literal["online", "stopping", "offline"]
    epoch: Annotated[str | None, Meta(description="Changes at each start and reconnect.", examples=["k3f9"])]
    timestamp: Annotated[At | None, Meta(description="When it was said; null in the will.")]
    interval_s: Annotated[int, Meta(description="It is repeated this often.", examples=[30])]
    instance: Instance


class GatewayInfoPayload(Struct, kw_only=True):
    """What this gateway is."""

    version: Annotated[str, Meta(examples=["0.1.0"])]
    contract: Annotated[int, Meta(description="Version of this contract.", examples=[1])]
    instance: Instance
    stations: Annotated[list[str], Meta(description="Names of the stations.", examples=[["garage"]])]


class GatewayHealthPayload(Struct, kw_only=True):
    """How this gateway is."""

    status: Literal["ok", "degraded", "failing"]
    timestamp: At
    uptime_s: float
    stations: int
    connected: Annotated[int, Meta(description="Stations with a connection to their CSMS.")]
    queued: Annotated[int, Meta(description="Messages waiting for a CSMS, over all stations.")]
    devices_online: int
    store_writable: bool
    problems: Annotated[list[str], Meta(description="What is wrong now, in sentences.")]
    counters: Annotated[dict[str, int], Meta(description="Since the start.")]


class GatewayEventPayload(Struct, kw_only=True):
    """Something that concerns no single connector: unreadable messages, unknown stations."""

    event_type: Literal[
        "message_refused", "unknown_topic", "unknown_station", "quarantined", "second_gateway"
    ]
    timestamp: At
    topic: str | None
    problems: list[str]


class StationStatePayload(Struct, kw_only=True):
    """The station as a whole and its connection to the CSMS."""

    connected: bool
    ocpp_version: str | None
    registration: Literal["Accepted", "Pending", "Rejected"] | None
    security_profile: int
    since: Annotated[At | None, Meta(description="Since when it is connected, or not.")]
    last_received_at: At | None
    queued: Annotated[int, Meta(description="Messages waiting for the CSMS.")]
    operative: bool
    online: Annotated[bool, Meta(description="Whether its device is.")]
    status: Annotated[str, Meta(description="OCPP word.")]
    firmware_version: Annotated[str | None, Meta(description="Of the device.")]
    last_error: str | None


class ConnectorStatePayload(Struct, kw_only=True):
    """A connector's condition."""

    status: Annotated[str, Meta(description="1.6 word.", examples=["SuspendedEV"])]
    availability_state: Annotated[str, Meta(description="2.x word.", examples=["Occupied"])]
    errors: tuple[str, ...]
    info: str
    plugged: bool | None
    charging: bool | None
    energized: bool | None
    operative: bool
    reservation: int | None
    limit_local_a: Annotated[float | None, Meta(description="Set by `request/limit`.")]
    limit_operator_a: Annotated[float | None, Meta(description="Set by the CSMS.")]
    limit_device_a: Annotated[float | None, Meta(description="What device and cable can carry.")]
    limit_a: Annotated[float, Meta(description="What holds: the lowest of them.")]
    online: bool
    stale: Annotated[bool, Meta(description="Its device has been away too long.")]


class MeterStatePayload(Struct, kw_only=True):
    """The last reading."""

    energy_import_wh: float | None
    energy_export_wh: float | None
    energy_session_wh: Annotated[float | None, Meta(description="Of the transaction.")]
    power_w: float | None
    power_export_w: float | None
    current_a: Three
    voltage_v: Three
    power_factor: float | None
    reactive_var: float | None
    frequency_hz: float | None
    soc_percent: float | None
    temperature_c: float | None
    timestamp: At | None
    stale: bool


class TransactionStatePayload(Struct, kw_only=True):
    """The transaction that runs, or the last one."""

    active: bool
    transaction: Annotated[str | None, Meta(description="Our own id.")]
    csms_id: Annotated[int | None, Meta(description="The number that a 1.6 CSMS gave it.")]
    id_token: Annotated[
        str | None, Meta(description="Masked, unless a setting shows it.", examples=["04…C4"])
    ]
    id_token_type: str | None
    started_at: At | None
    ended_at: At | None
    meter_start_wh: float | None
    meter_stop_wh: float | None
    energy_wh: float | None
    charging_state: str | None
    stop_reason: str | None


class EventPayload(Struct, kw_only=True):
    """Something happened; what belongs to it stands beside these keys."""

    event_type: Annotated[str, Meta(description="From the closed list of its kind.")]
    timestamp: At


class ResponsePayload(Struct, kw_only=True):
    """The answer to a request."""

    id: Annotated[str | None, Meta(description="The request's.")]
    status: Literal["ok", "error"]
    data: dict[str, Any]
    error: Annotated[str | None, Meta(description="A sentence.")]
