"""What devices and people may send, as types: the source of the decoder's tolerance and of the schemas."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

TOKEN_TYPES = (
    "Central",
    "DirectPayment",
    "EVCCID",
    "ISO14443",
    "ISO15693",
    "KeyCode",
    "Local",
    "MacAddress",
    "NoAuthorization",
    "VIN",
    "eMAID",
)
"""OCPP's words for kinds of tokens (# 2.0.1 IdTokenEnumType, 2.1 appendix)."""

RESULT_STATUSES = ("accepted", "rejected", "failed", "not_supported", "in_progress")
"""How a device may answer a command."""

Amps = Annotated[float, Meta(ge=0, le=2000)]
NotNegative = Annotated[float, Meta(ge=0)]
ShortText = Annotated[str, Meta(max_length=64)]
Text = Annotated[str, Meta(max_length=500)]
Id = Annotated[str, Meta(min_length=1, max_length=64)]
VendorData = Annotated[str, Meta(max_length=65536)]
PerPhase = Annotated[tuple[float | None, ...], Meta(min_length=1, max_length=3)]
NotNegativePerPhase = Annotated[tuple[NotNegative | None, ...], Meta(min_length=1, max_length=3)]

Timestamp = Annotated[
    str | float | None,
    Meta(
        description="When it happened: RFC 3339, or seconds or milliseconds since 1970. Without an offset it "
        "is read in the station's time zone. Before 2020 or more than 5 minutes ahead: the time of arrival.",
        examples=["2026-05-04T10:00:00.000Z", 1777888800],
    ),
]
GestureId = Annotated[
    str | int | None,
    Meta(
        description="Names this one gesture: seen again within 24 hours, it is ignored.", examples=["8f3a-17"]
    ),
]


# ------------------------------------------------------------------ levels


class ErrorEntry(Struct, kw_only=True):
    """One fault of a device."""

    code: Annotated[
        Id,
        Meta(description="An OCPP 1.6 error word where one fits, else your own.", examples=["GroundFailure"]),
    ]
    info: Annotated[Text, Meta(description="For people.")] = ""
    vendor_code: Annotated[ShortText, Meta(description="Your own number or word for it.")] = ""
    vendor_id: Annotated[ShortText, Meta(description="Whose word `vendor_code` is.")] = ""
    fault: Annotated[bool, Meta(description="Whether it forbids charging; false is a mere warning.")] = True


class StatusPayload(Struct, kw_only=True):
    """A connector's condition. An absent field is unchanged, null is "not known"."""

    plugged: Annotated[
        bool | None | UnsetType, Meta(description="A vehicle is connected.", examples=[True])
    ] = UNSET
    cable: Annotated[
        Literal["none", "socket", "ev"] | None | UnsetType,
        Meta(description="A detachable cable: not there, in our socket only, or in the vehicle too."),
    ] = UNSET
    control_pilot: Annotated[
        Literal["A", "B", "C", "D", "E", "F"] | None | UnsetType,
        Meta(description="IEC 61851 state. Explicit fields win over it.", examples=["B"]),
    ] = UNSET
    ev_ready: Annotated[bool | None | UnsetType, Meta(description="The vehicle asks for energy.")] = UNSET
    energized: Annotated[bool | None | UnsetType, Meta(description="The contactor's feedback.")] = UNSET
    charging: Annotated[bool | None | UnsetType, Meta(description="Current flows.")] = UNSET
    locked: Annotated[bool | None | UnsetType, Meta(description="The plug is locked.")] = UNSET
    lock_failed: Annotated[bool | None | UnsetType, Meta(description="The lock did not reach its place.")] = (
        UNSET
    )
    cable_limit_a: Annotated[
        Amps | None | UnsetType, Meta(description="What the cable carries, in A.", examples=[20])
    ] = UNSET
    limit_a: Annotated[
        Amps | None | UnsetType, Meta(description="The limit that the device applies, in A.", examples=[16])
    ] = UNSET
    phases: Annotated[
        Annotated[int, Meta(ge=0, le=3)] | None | UnsetType, Meta(description="Phases in use.", examples=[3])
    ] = UNSET
    bay_occupied: Annotated[bool | None | UnsetType, Meta(description="The parking bay is taken.")] = UNSET
    errors: Annotated[
        list[ErrorEntry | Id] | None | UnsetType,
        Meta(
            description="All errors that exist now, the whole list each time; a bare word is its code.",
            examples=[[], ["GroundFailure"]],
        ),
    ] = UNSET
    status: Annotated[
        ShortText | None | UnsetType,
        Meta(description="An OCPP status word, of either version: a hint, weaker than all else."),
    ] = UNSET
    info: Annotated[Text | None | UnsetType, Meta(description="For people.")] = UNSET
    revision: Annotated[
        Annotated[int, Meta(ge=0, le=9007199254740991)] | None | UnsetType,
        Meta(description="The setpoint revision that the device obeys.", examples=[42]),
    ] = UNSET
    timestamp: Timestamp | UnsetType = UNSET


class SignedPayload(Struct, kw_only=True):
    """A reading that the meter signed itself, passed on untouched."""

    data: Annotated[str, Meta(description="The signed data set as text.", max_length=32768)]
    method: Annotated[Text, Meta(description="Signing method.")] = ""
    encoding: Annotated[Text, Meta(description="Encoding of `data`, such as OCMF.")] = ""
    public_key: Annotated[str, Meta(description="The meter's public key.", max_length=4096)] = ""


class MeterPayload(Struct, kw_only=True):
    """A reading. Each field stands alone with its own age; per-phase values are lists L1, L2, L3."""

    energy_import_wh: Annotated[
        NotNegative | None | UnsetType,
        Meta(description="Energy to the vehicle, in Wh: the register by default.", examples=[123456.7]),
    ] = UNSET
    energy_export_wh: Annotated[
        NotNegative | None | UnsetType, Meta(description="Energy from the vehicle, in Wh.")
    ] = UNSET
    power_w: Annotated[
        float | PerPhase | None | UnsetType,
        Meta(description="Active power to the vehicle, in W.", examples=[11040]),
    ] = UNSET
    power_export_w: Annotated[
        float | PerPhase | None | UnsetType, Meta(description="Active power from the vehicle, in W.")
    ] = UNSET
    current_a: Annotated[
        float | PerPhase | None | UnsetType,
        Meta(description="A; one number means every active phase.", examples=[[16.0, 16.1, 15.9]]),
    ] = UNSET
    voltage_v: Annotated[
        NotNegative | NotNegativePerPhase | None | UnsetType,
        Meta(
            description="V between line and neutral; one number means every active phase.", examples=[230.1]
        ),
    ] = UNSET
    power_factor: Annotated[
        float | PerPhase | None | UnsetType, Meta(description="-1 to 1.", examples=[0.99])
    ] = UNSET
    reactive_var: Annotated[
        float | PerPhase | None | UnsetType, Meta(description="Reactive power, in var.")
    ] = UNSET
    frequency_hz: Annotated[NotNegative | None | UnsetType, Meta(description="Hz.", examples=[50.01])] = UNSET
    soc_percent: Annotated[
        Annotated[float, Meta(ge=0, le=100)] | None | UnsetType,
        Meta(description="State of charge of the vehicle, in percent.", examples=[57]),
    ] = UNSET
    temperature_c: Annotated[
        float | None | UnsetType, Meta(description="Inside the charger, in °C.", examples=[31.5])
    ] = UNSET
    signed: Annotated[SignedPayload | None | UnsetType, Meta(description="Signed by the meter.")] = UNSET
    ref: Annotated[
        str | int | None | UnsetType,
        Meta(description="The `ref` of the `measure` command that this answers."),
    ] = UNSET
    timestamp: Timestamp | UnsetType = UNSET


class AvailabilityPayload(Struct, kw_only=True):
    """Whether a device is there; also the bare words `online` and `offline`."""

    state: Annotated[Literal["online", "offline"], Meta(description="`offline` is your last will.")]


class ConnectorEntry(Struct, kw_only=True):
    """What a device says of one of its connectors."""

    n: Annotated[int, Meta(description="Its number over the whole station.", ge=1, le=999)]
    max_current_a: Annotated[Amps | None, Meta(description="What it can carry.", examples=[32])] = None
    phases: Annotated[Annotated[int, Meta(ge=1, le=3)] | None, Meta(description="Phases wired.")] = None
    limiting: Annotated[
        Literal["continuous", "steps", "on_off"] | None, Meta(description="How it can follow a limit.")
    ] = None
    plug_sensor: Annotated[bool | None, Meta(description="It knows whether a vehicle is plugged.")] = None
    lock: Annotated[bool | None, Meta(description="It can lock the plug.")] = None


class InfoPayload(Struct, kw_only=True):
    """A device introduces itself."""

    contract: Annotated[int, Meta(description="Version of this contract.", ge=1, examples=[1])] = 1
    boot_id: Annotated[
        str | int | None, Meta(description="Different at each boot of the device.", examples=["5e1f"])
    ] = None
    boot_reason: Annotated[ShortText | None, Meta(description="Such as power_up, watchdog, local_reset.")] = (
        None
    )
    vendor: ShortText | None = None
    model: ShortText | None = None
    serial: ShortText | None = None
    firmware_version: ShortText | None = None
    iccid: ShortText | None = None
    imsi: ShortText | None = None
    connectors: Annotated[list[ConnectorEntry] | None, Meta(description="One entry a connector.")] = None
    commands: Annotated[
        list[Id] | None,
        Meta(description="The commands that it understands.", examples=[["unlock", "measure"]]),
    ] = None


# ------------------------------------------------------------------ gestures


class CardPayload(Struct, kw_only=True):
    """A card at a reader; also the bare token as text."""

    id_token: Annotated[
        Annotated[str, Meta(min_length=1, max_length=255)] | int,
        Meta(description="As read; never altered.", examples=["04A2B3C4"]),
    ]
    type: Annotated[
        ShortText | None, Meta(description="One of " + ", ".join(TOKEN_TYPES) + ".", examples=["ISO14443"])
    ] = None
    connector: Annotated[
        Annotated[int, Meta(ge=0, le=999)] | None,
        Meta(description="The connector meant, at a reader for the whole station.", examples=[2]),
    ] = None
    id: GestureId = None
    timestamp: Timestamp = None


class ReportPayload(Struct, kw_only=True):
    """Something that happened at a device; also the bare kind as text."""

    kind: Annotated[
        Id,
        Meta(
            description="stop_button, emergency_stop, tamper, power_failing, local_reset, ev_stop …",
            examples=["stop_button"],
        ),
    ]
    info: Annotated[Text | None, Meta(description="For people.")] = None
    id: GestureId = None
    timestamp: Timestamp = None


class ResultPayload(Struct, kw_only=True):
    """A device answers a command."""

    id: Annotated[Id | int, Meta(description="The command's id.", examples=["c-17"])]
    status: Annotated[
        Literal["accepted", "rejected", "failed", "not_supported", "in_progress"],
        Meta(description="`in_progress` may be followed by another result."),
    ]
    info: Annotated[Text | None, Meta(description="For people.")] = None
    data: Annotated[VendorData | None, Meta(description="data: what the operator is answered.")] = None


class AuthorizeResponsePayload(Struct, kw_only=True):
    """Who decides about cards answers; `unknown`, or no answer in time, leaves it to the CSMS."""

    id: Annotated[Id | int, Meta(description="The request's id.", examples=["207"])]
    status: Annotated[
        Literal["accepted", "refused", "unknown"], Meta(description="What becomes of the card.")
    ]
    group: Annotated[
        Annotated[str, Meta(max_length=36)] | None,
        Meta(description="Its parent id: who is of the same group may end the transaction."),
    ] = None
    info: Annotated[Text | None, Meta(description="For people, on the reader's display.")] = None


class FirmwarePayload(Struct, kw_only=True):
    """A device that was told `update_firmware` says how far it is; also the bare status as text."""

    status: Annotated[
        Literal["downloading", "installing", "installed", "failed"],
        Meta(
            description="`installed`: it runs; after a boot say `info` first, with the new version.",
            examples=["installing"],
        ),
    ]
    progress: Annotated[
        Annotated[float, Meta(ge=0, le=100)] | None, Meta(description="Percent.", examples=[40])
    ] = None
    info: Annotated[Text | None, Meta(description="For people; why it failed.")] = None


class LogPayload(Struct, kw_only=True):
    """A part of the device's log, as `upload_log` asked for it; also the whole log as bare text."""

    text: Annotated[
        Annotated[str, Meta(max_length=65536)], Meta(description="Whole lines.", examples=["boot\n"])
    ]
    last: Annotated[bool | None, Meta(description="false: more follows.")] = None


# ------------------------------------------------------------------ requests


class RequestPayload(Struct, kw_only=True):
    """What every request may carry."""

    id: Annotated[
        str | int | None,
        Meta(description="Comes back in the response; names this one gesture.", examples=["q1"]),
    ] = None
    timestamp: Timestamp = None


class StartRequest(RequestPayload, kw_only=True):
    """Present a token as if it were shown at the reader; also the bare token as text."""

    id_token: Annotated[
        Annotated[str, Meta(min_length=1, max_length=255)] | int,
        Meta(description="The token.", examples=["04A2B3C4"]),
    ]
    type: Annotated[ShortText | None, Meta(description="A token type, ISO14443 by default.")] = None


class StopRequest(RequestPayload, kw_only=True):
    """End the connector's transaction; at 0 the station's only one. May be empty."""

    transaction: Annotated[
        Id | None, Meta(description="Only if it is this one; its id stands in `…/transaction`.")
    ] = None


class UnlockRequest(RequestPayload, kw_only=True):
    """Unlock the plug. May be empty."""


class LimitRequest(RequestPayload, kw_only=True):
    """A local ceiling beside the operator's; also a bare number. null clears it."""

    limit_a: Annotated[
        Amps | None, Meta(description="A per phase; below the minimum current: off.", examples=[8])
    ]
    ttl_s: Annotated[
        Annotated[float, Meta(gt=0, le=31536000)] | None,
        Meta(description="It clears itself after so many seconds.", examples=[900]),
    ] = None


class OperativeRequest(RequestPayload, kw_only=True):
    """Take out of service, or put back; also a bare true or false."""

    operative: Annotated[bool, Meta(description="false: out of service.")]


class CandidatesRequest(RequestPayload, kw_only=True):
    """List devices that speak this contract for stations which are not configured; it may be empty."""


class StationAddRequest(RequestPayload, kw_only=True):
    """Make such a device a station, by the operator's template; also the bare name as text."""

    name: Annotated[Id, Meta(description="As the device's topics have it.", examples=["yard"])]
    identity: Annotated[Id | None, Meta(description="At the CSMS. Default: the name.")] = None


class StationRemoveRequest(RequestPayload, kw_only=True):
    """Take back what `station_add` has added; also the bare name as text."""

    name: Annotated[Id, Meta(examples=["yard"])]


class ReloadRequest(RequestPayload, kw_only=True):
    """Read the configuration again; it may be empty."""


class ResetRequest(RequestPayload, kw_only=True):
    """End what runs, boot the device and register anew; it may be empty."""


class FaultRequest(RequestPayload, kw_only=True):
    """Put a fault beside those of the device, for a test; also the bare code as text."""

    code: Annotated[
        Id,
        Meta(description="An OCPP 1.6 error word where one fits, else your own.", examples=["GroundFailure"]),
    ]
    info: Annotated[Text | None, Meta(description="For people.")] = None
    fault: Annotated[bool | None, Meta(description="false: a mere warning, charging goes on.")] = None


class ClearFaultRequest(RequestPayload, kw_only=True):
    """Take back what `fault` has put there; it may be empty."""


class LinkRequest(RequestPayload, kw_only=True):
    """Hold the connection to the operator down, or let it come up; at 0 only."""

    connected: Annotated[bool, Meta(description="false: held down.")]


class DataTransferRequest(RequestPayload, kw_only=True):
    """Send a vendor's message to the operator; the response brings its answer as `status` and `data`."""

    vendor_id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=255)],
        Meta(description="Reverse DNS, as the operator knows it.", examples=["com.example"]),
    ]
    message_id: Annotated[
        Annotated[str, Meta(max_length=50)] | None, Meta(description="Which of the vendor's messages.")
    ] = None
    data: Annotated[VendorData | None, Meta(description="Text; anything else as JSON in a text.")] = None


class HealthRequest(RequestPayload, kw_only=True):
    """Ask for the gateway's health. May be empty."""
