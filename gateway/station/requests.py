"""What a CSMS asks of a station, and what the station replies: neutral, of no version."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct

from gateway.station.charging_profiles import ChargingProfile, Period, Purpose, RateUnit
from gateway.station.model import IdToken, TokenInfo

# ------------------------------------------------------------------ where


class Place(Struct, frozen=True):
    """What a request is about. All None: the whole station (and every connector where that makes sense)."""

    evse: int | None = None
    connector: int | None = None
    """Within the EVSE."""
    n: int | None = None
    """Over the whole station, from versions that count so; 0 is the station."""


# ------------------------------------------------------------------ requests


class Request(Struct, frozen=True, tag=True, tag_field="request"):
    """Anything that a dialect makes of an incoming CALL."""


class StartRequested(Request, frozen=True):
    """RemoteStartTransaction, RequestStartTransaction (# 1.6 §5.11, F01, F02)."""

    token: IdToken
    place: Place
    remote_start_id: int | None = None
    group: IdToken | None = None
    profile: ChargingProfile | None = None
    """For the transaction that starts."""


class StopRequested(Request, frozen=True):
    """RemoteStopTransaction, RequestStopTransaction (# F03)."""

    transaction: str | None = None
    """Our own id (2.x)."""
    csms_id: int | None = None
    """The number that the CSMS gave (1.6)."""


class UnlockRequested(Request, frozen=True):
    """UnlockConnector (# 1.6 §5.18, F05)."""

    place: Place


class ResetRequested(Request, frozen=True):
    """Reset (# 1.6 §5.14, B11, B12)."""

    kind: Literal["immediate", "on_idle", "hard", "soft"]
    evse: int | None = None


class AvailabilityRequested(Request, frozen=True):
    """ChangeAvailability (# 1.6 §5.2, G03, G04)."""

    place: Place
    operative: bool


class VariableRef(Struct, frozen=True):
    """The name of one attribute of one variable."""

    component: str
    variable: str
    instance: str | None = None
    """The variable's instance."""
    component_instance: str | None = None
    evse: int | None = None
    connector: int | None = None
    attribute: str = "Actual"


class VariablesRequested(Request, frozen=True):
    """GetVariables, GetConfiguration (# B06)."""

    refs: tuple[VariableRef, ...]
    unknown: tuple[str, ...] = ()
    """1.6 keys that no adapter knows; echoed by the dialect."""


class VariablesGiven(Request, frozen=True):
    """SetVariables, ChangeConfiguration (# B05)."""

    entries: tuple[tuple[VariableRef, str], ...]


class InventoryRequested(Request, frozen=True):
    """GetBaseReport (# B07)."""

    request_id: int
    base: Literal["ConfigurationInventory", "FullInventory", "SummaryInventory"]


class CacheClearRequested(Request, frozen=True):
    """ClearCache (# C11)."""


class ListedToken(Struct, frozen=True):
    """One entry of a local list; without info the token leaves it."""

    token: IdToken
    info: TokenInfo | None = None


class LocalListGiven(Request, frozen=True):
    """SendLocalList (# 1.6 §5.15, D01)."""

    version: int
    full: bool
    entries: tuple[ListedToken, ...] = ()


class LocalListVersionRequested(Request, frozen=True):
    """GetLocalListVersion (# 1.6 §5.10, D02)."""


class ReserveRequested(Request, frozen=True):
    """ReserveNow (# 1.6 §5.13, H01)."""

    reservation_id: int
    token: IdToken
    expires_at: float
    """Wall-clock seconds of the CSMS."""
    place: Place
    group: IdToken | None = None


class ReservationCancelRequested(Request, frozen=True):
    """CancelReservation (# 1.6 §5.1, H02)."""

    reservation_id: int


class ChargingProfileGiven(Request, frozen=True):
    """SetChargingProfile (# 1.6 §5.16, K01)."""

    place: Place
    profile: ChargingProfile


class ChargingProfileClearRequested(Request, frozen=True, kw_only=True):
    """ClearChargingProfile (# 1.6 §5.5, K10); None: whatever it is."""

    profile_id: int | None = None
    place: Place | None = None
    purpose: Purpose | None = None
    stack_level: int | None = None


class CompositeScheduleRequested(Request, frozen=True):
    """GetCompositeSchedule (# 1.6 §5.7, K08)."""

    place: Place
    duration_s: int
    unit: RateUnit | None = None


class TriggerRequested(Request, frozen=True):
    """TriggerMessage (# 1.6 §5.17, F06)."""

    message: str
    """The requested message in 2.x words."""
    place: Place


class TransactionStatusRequested(Request, frozen=True):
    """GetTransactionStatus (# E14)."""

    transaction: str | None = None


class VendorMessageReceived(Request, frozen=True):
    """DataTransfer from the CSMS."""

    vendor_id: str
    message_id: str | None = None
    data: str | None = None


# ------------------------------------------------------------------ replies


class Reply(Struct, frozen=True):
    """What the station replies."""


class StatusReply(Reply, frozen=True, kw_only=True):
    """One status word in 2.x vocabulary, with what 2.x may add; 1.6 dialects take what they have words for."""

    status: str
    reason_code: str | None = None
    """2.x statusInfo.reasonCode."""
    info: str | None = None
    transaction: str | None = None


class VariableResult(Struct, frozen=True):
    """What became of one entry of a variables request."""

    ref: VariableRef
    status: str
    """2.x GetVariableStatusEnumType or SetVariableStatusEnumType word."""
    value: str | None = None
    read_only: bool = False
    reason_code: str | None = None
    info: str | None = None


class VariablesReply(Reply, frozen=True):
    """One result an entry, in the order of the request."""

    results: tuple[VariableResult, ...]


class TransactionStatusReply(Reply, frozen=True):
    """# E14."""

    messages_in_queue: bool
    ongoing: bool | None = None


class ListVersionReply(Reply, frozen=True):
    """# 1.6 §5.10, D02."""

    version: int
    """0 while nothing is listed."""
    enabled: bool


class CompositeScheduleReply(Reply, frozen=True, kw_only=True):
    """# 1.6 §5.7, K08; without periods when it is Rejected."""

    status: Literal["Accepted", "Rejected"]
    evse: int = 0
    n: int = 0
    """Over the whole station; 0 is the station, or no connector of the EVSE in particular."""
    start_at: float = 0.0
    """Wall-clock seconds of the CSMS."""
    duration_s: int = 0
    unit: RateUnit = "A"
    periods: tuple[Period, ...] = ()


class VendorReply(Reply, frozen=True):
    """DataTransfer's answer."""

    status: Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"]
    data: str | None = None


class RefusalCode(StrEnum):
    """Why a request is answered by a CALLERROR; the dialect spells it."""

    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    SECURITY = "SecurityError"
    PROPERTY = "PropertyConstraintViolation"
    OCCURRENCE = "OccurrenceConstraintViolation"
    FORMAT = "FormatViolation"
    INTERNAL = "InternalError"
    GENERIC = "GenericError"


class Refusal(Reply, frozen=True):
    """The request cannot be processed at all: a CALLERROR."""

    code: RefusalCode
    description: str
