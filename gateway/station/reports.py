"""What a station tells or asks its CSMS, and how the CSMS answers: facts, never wire text."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct

from gateway.station.model import (
    AuthorizationStatus,
    AvailabilityState,
    BootReason,
    ChargingState,
    ConnectorStatus,
    IdToken,
    ReadingContext,
    RegistrationStatus,
    Sample,
    StopReason,
    TokenInfo,
    TriggerReason,
)

# ------------------------------------------------------------------ reports


class Report(Struct, frozen=True, tag=True, tag_field="report"):
    """Anything that a dialect turns into CALLs: none, one, or several in order."""


class Boot(Report, frozen=True):
    """The station is here (# 1.6 §4.2, B01)."""

    reason: BootReason
    vendor: str
    model: str
    serial: str | None = None
    firmware_version: str | None = None
    iccid: str | None = None
    imsi: str | None = None


class Heartbeat(Report, frozen=True):
    """The station is still here, and wants to know the time (# G02)."""


class Status(Report, frozen=True):
    """A connector, or with evse 0 the whole station, has this status (# 1.6 §4.9, G01)."""

    n: int
    """Connector over the whole station; 0 is the station."""
    evse: int
    connector: int
    status: ConnectorStatus
    availability_state: AvailabilityState
    at: float
    error_code: str = "NoError"
    """A 1.6 ChargePointErrorCode word."""
    info: str = ""
    vendor_id: str = ""
    vendor_error_code: str = ""


class Authorization(Report, frozen=True):
    """May this token charge? (# C01)."""

    token: IdToken
    evse: int | None = None


class TransactionEvent(Report, frozen=True, kw_only=True):
    """One happening in a transaction (# E01…E12); 1.6 tells those that it has words for."""

    type: Literal["Started", "Updated", "Ended"]
    trigger: TriggerReason
    seq: int
    """From 0, without gaps at creation."""
    at: float
    transaction: str
    """Our own id, at most 36 characters; 2.x's transactionId."""
    csms_id: int | None = None
    """1.6's transactionId, filled in when the event is handed out; None when the CSMS never told one."""
    evse: int
    connector: int
    n: int
    tell_evse: bool = False
    """The first event that knows the EVSE (# E01.FR.16)."""
    charging_state: ChargingState | None = None
    id_token: IdToken | None = None
    """Told once when authorized and once when authorization ends (# E03.FR.01, E07.FR.02)."""
    start_token: IdToken | None = None
    """The token of the transaction as known now, for Started in 1.6."""
    reservation_id: int | None = None
    remote_start_id: int | None = None
    stop_reason: StopReason | None = None
    samples: tuple[Sample, ...] = ()
    register_wh: float | None = None
    """The import register at Started and Ended; None when no device ever sent one."""
    phases_used: int | None = None
    cable_limit_a: float | None = None
    offline: bool = False
    """It happened, or was still queued, while there was no link (# E11.FR.07)."""


class MeterValues(Report, frozen=True):
    """Samples outside a transaction (# J01): of one connector, or of the main meter at 0."""

    n: int
    evse: int
    samples: tuple[Sample, ...]


class SecurityEvent(Report, frozen=True):
    """Something happened that matters to security (# A04)."""

    type: str
    at: float
    info: str | None = None


class SigningRequest(Report, frozen=True):
    """SignCertificate for the station's own certificate (# A02, A03)."""

    request: str
    """PKCS #10, PEM."""


class FirmwareStatus(Report, frozen=True):
    """How far an update is (# 1.6 §6.5, L01)."""

    status: str
    """A 2.x FirmwareStatusEnumType word."""
    request_id: int | None = None
    """None: of the plain UpdateFirmware of 1.6, or Idle."""
    signed: bool = False
    """Idle in the words of the security whitepaper (1.6)."""


class LogStatus(Report, frozen=True):
    """How far an upload is (# 1.6 §4.4, N01)."""

    status: str
    """A 2.x UploadLogStatusEnumType word."""
    request_id: int | None = None
    """None: of the plain GetDiagnostics of 1.6, or Idle."""
    log: bool = False
    """Idle in the words of the security whitepaper (1.6)."""


class Notification(Report, frozen=True):
    """A monitored fact of the device model changed (# N07; 2.x NotifyEvent)."""

    seq: int
    at: float
    component: str
    variable: str
    value: str
    trigger: Literal["Alerting", "Delta", "Periodic"] = "Delta"
    evse: int | None = None
    connector: int | None = None
    cleared: bool = False
    event_id: int = 0
    tech_info: str = ""
    severity: int = 5
    transaction: str | None = None


class VariablePage(Report, frozen=True):
    """One page of an inventory (# B07 NotifyReport)."""

    request_id: int
    seq: int
    at: float
    variables: tuple[ReportedVariable, ...]
    more: bool


class ReportedVariable(Struct, frozen=True):
    """A variable with its attributes and characteristics, as an inventory shows it."""

    component: str
    variable: str
    instance: str | None
    evse: int | None
    connector: int | None
    attributes: tuple[tuple[str, str | None, str, bool, bool], ...]
    """(attribute type, value or None when it may not be read, mutability, persistent, constant)."""
    data_type: str
    unit: str | None = None
    min_limit: float | None = None
    max_limit: float | None = None
    values: tuple[str, ...] = ()
    """The values list of option, member and sequence lists."""
    monitored: bool = False
    component_instance: str | None = None


class VendorMessage(Report, frozen=True):
    """DataTransfer to the CSMS."""

    vendor_id: str
    message_id: str | None = None
    data: str | None = None


# ------------------------------------------------------------------ answers


class Answer(Struct, frozen=True):
    """How a report fared."""


class BootAnswer(Answer, frozen=True):
    """The CSMS's word on BootNotification."""

    status: RegistrationStatus
    interval_s: int
    """Heartbeat interval when Accepted, waiting time otherwise; 0 = the station chooses."""
    csms_time: float | None
    """Wall-clock seconds; None when unreadable."""


class HeartbeatAnswer(Answer, frozen=True):
    """The CSMS's clock."""

    csms_time: float | None


class AuthorizationAnswer(Answer, frozen=True):
    """The verdict on a token."""

    info: TokenInfo


class TransactionAnswer(Answer, frozen=True):
    """What the CSMS knows about a transaction event."""

    csms_id: int | None = None
    """1.6 transactionId, from StartTransaction."""
    info: TokenInfo | None = None
    total_cost: float | None = None
    message: str | None = None


class VendorAnswer(Answer, frozen=True):
    """Answer to DataTransfer."""

    status: str
    data: str | None = None


class SigningAnswer(Answer, frozen=True):
    """Answer to SignCertificate."""

    accepted: bool


class Acknowledged(Answer, frozen=True):
    """Taken note of; nothing to learn from it. Also for what a version has no words for."""


class FailureKind(StrEnum):
    """Why a report has no proper answer."""

    REFUSED = "refused"
    """CALLERROR."""
    TIMED_OUT = "timed_out"
    MALFORMED = "malformed"
    """An answer came, but it breaks its schema."""
    LOST = "lost"
    """The link went away; it costs no attempt."""


class Failed(Answer, frozen=True):
    """The report was not processed."""

    kind: FailureKind
    code: str = ""
    detail: str = ""


__all__ = [
    "Acknowledged",
    "Answer",
    "Authorization",
    "AuthorizationAnswer",
    "AuthorizationStatus",
    "Boot",
    "BootAnswer",
    "Failed",
    "FailureKind",
    "FirmwareStatus",
    "Heartbeat",
    "HeartbeatAnswer",
    "LogStatus",
    "MeterValues",
    "Notification",
    "ReadingContext",
    "Report",
    "ReportedVariable",
    "SecurityEvent",
    "SigningAnswer",
    "SigningRequest",
    "Status",
    "TransactionAnswer",
    "TransactionEvent",
    "VariablePage",
    "VendorAnswer",
    "VendorMessage",
]
