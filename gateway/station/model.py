"""The nouns of a charging station, in OCPP 2.x vocabulary, with their units in their names."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field

EPOCH_2020 = 1577836800.0
"""Wall-clock stamps before 2020-01-01 are clocks that were never set."""


class Moment(Struct, frozen=True, gc=False):
    """One reading of the clocks: the only notion of "now" that reaches the core."""

    wall: float
    """Seconds since 1970 UTC, as the host believes; calendar rules and stamps run on it."""
    monotonic: float
    """Seconds that never jump; durations and deadlines run on it."""
    synced: bool = True
    """Whether the wall clock may be trusted at all."""


# ------------------------------------------------------------------ words of OCPP


class ConnectorStatus(StrEnum):
    """A connector's state in the finer vocabulary, that of 1.6 (# 1.6 §4.9)."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


class AvailabilityState(StrEnum):
    """A connector's state in the coarser vocabulary, that of 2.x (# G01)."""

    AVAILABLE = "Available"
    OCCUPIED = "Occupied"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


class ChargingState(StrEnum):
    """What a transaction is doing (# E02.FR.13)."""

    IDLE = "Idle"
    EV_CONNECTED = "EVConnected"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    CHARGING = "Charging"


class TxPoint(StrEnum):
    """The moments at which a transaction may start or stop (# E01, E06)."""

    PARKING_BAY_OCCUPANCY = "ParkingBayOccupancy"
    EV_CONNECTED = "EVConnected"
    AUTHORIZED = "Authorized"
    DATA_SIGNED = "DataSigned"
    POWER_PATH_CLOSED = "PowerPathClosed"
    ENERGY_TRANSFER = "EnergyTransfer"


class AuthorizationStatus(StrEnum):
    """A verdict about a token, in the wider 2.x vocabulary."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    CONCURRENT_TX = "ConcurrentTx"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    NO_CREDIT = "NoCredit"
    NOT_ALLOWED_TYPE_EVSE = "NotAllowedTypeEVSE"
    NOT_AT_THIS_LOCATION = "NotAtThisLocation"
    NOT_AT_THIS_TIME = "NotAtThisTime"
    UNKNOWN = "Unknown"


class RegistrationStatus(StrEnum):
    """What the CSMS said to BootNotification."""

    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


class BootReason(StrEnum):
    """Why the station boots (# B01)."""

    APPLICATION_RESET = "ApplicationReset"
    FIRMWARE_UPDATE = "FirmwareUpdate"
    LOCAL_RESET = "LocalReset"
    POWER_UP = "PowerUp"
    REMOTE_RESET = "RemoteReset"
    SCHEDULED_RESET = "ScheduledReset"
    TRIGGERED = "Triggered"
    UNKNOWN = "Unknown"
    WATCHDOG = "Watchdog"


class TriggerReason(StrEnum):
    """Why a transaction event is told (# 2.0.1 TriggerReasonEnumType)."""

    AUTHORIZED = "Authorized"
    CABLE_PLUGGED_IN = "CablePluggedIn"
    CHARGING_RATE_CHANGED = "ChargingRateChanged"
    CHARGING_STATE_CHANGED = "ChargingStateChanged"
    DEAUTHORIZED = "Deauthorized"
    ENERGY_LIMIT_REACHED = "EnergyLimitReached"
    EV_COMMUNICATION_LOST = "EVCommunicationLost"
    EV_CONNECT_TIMEOUT = "EVConnectTimeout"
    METER_VALUE_CLOCK = "MeterValueClock"
    METER_VALUE_PERIODIC = "MeterValuePeriodic"
    TIME_LIMIT_REACHED = "TimeLimitReached"
    TRIGGER = "Trigger"
    UNLOCK_COMMAND = "UnlockCommand"
    STOP_AUTHORIZED = "StopAuthorized"
    EV_DEPARTED = "EVDeparted"
    EV_DETECTED = "EVDetected"
    REMOTE_STOP = "RemoteStop"
    REMOTE_START = "RemoteStart"
    ABNORMAL_CONDITION = "AbnormalCondition"
    SIGNED_DATA_RECEIVED = "SignedDataReceived"
    RESET_COMMAND = "ResetCommand"


class StopReason(StrEnum):
    """Why a transaction ended: the union of 1.6's and 2.x's words; a dialect maps what it lacks."""

    DE_AUTHORIZED = "DeAuthorized"
    EMERGENCY_STOP = "EmergencyStop"
    ENERGY_LIMIT_REACHED = "EnergyLimitReached"
    EV_DISCONNECTED = "EVDisconnected"
    GROUND_FAULT = "GroundFault"
    HARD_RESET = "HardReset"
    IMMEDIATE_RESET = "ImmediateReset"
    LOCAL = "Local"
    LOCAL_OUT_OF_CREDIT = "LocalOutOfCredit"
    MASTER_PASS = "MasterPass"  # an OCPP word
    OTHER = "Other"
    OVERCURRENT_FAULT = "OvercurrentFault"
    POWER_LOSS = "PowerLoss"
    POWER_QUALITY = "PowerQuality"
    REBOOT = "Reboot"
    REMOTE = "Remote"
    SOC_LIMIT_REACHED = "SOCLimitReached"
    SOFT_RESET = "SoftReset"
    STOPPED_BY_EV = "StoppedByEV"
    TIME_LIMIT_REACHED = "TimeLimitReached"
    TIMEOUT = "Timeout"
    UNLOCK_COMMAND = "UnlockCommand"


class ReadingContext(StrEnum):
    """The occasion of a sample (# 2.0.1 ReadingContextEnumType)."""

    INTERRUPTION_BEGIN = "Interruption.Begin"
    INTERRUPTION_END = "Interruption.End"
    SAMPLE_CLOCK = "Sample.Clock"
    SAMPLE_PERIODIC = "Sample.Periodic"
    TRANSACTION_BEGIN = "Transaction.Begin"
    TRANSACTION_END = "Transaction.End"
    TRIGGER = "Trigger"
    OTHER = "Other"


# ------------------------------------------------------------------ tokens


class IdToken(Struct, frozen=True):
    """An identifier of a driver, as the reader or the CSMS gave it; never altered."""

    id_token: str
    type: str = "ISO14443"
    """An OCPP 2.x IdTokenEnumType word; 1.6 has no types."""

    def same_as(self, other: IdToken) -> bool:
        """Whether both name the same driver; case does not count (# 1.6 CiString20Type, 2.0.1 identifierString)."""
        return self.id_token.casefold() == other.id_token.casefold()


class TokenInfo(Struct, frozen=True):
    """What is known about a token: from the CSMS, the cache or the local list."""

    status: AuthorizationStatus
    group: IdToken | None = None
    """groupIdToken, 1.6's parentIdTag."""
    expires_at: float | None = None
    """Wall-clock seconds; 1.6 expiryDate, 2.x cacheExpiryDateTime."""
    evse_ids: tuple[int, ...] = ()
    """When not empty, only these EVSEs may be used (# C01.FR.21)."""
    language: str | None = None
    message: str | None = None
    """Text for the driver (# I01)."""


# ------------------------------------------------------------------ what devices say


class StatusFacts(Struct, frozen=True, kw_only=True):
    """A connector's condition: absent (UNSET) means unchanged, None means not known."""

    plugged: bool | None | UnsetType = UNSET
    cable: Literal["none", "socket", "ev"] | None | UnsetType = UNSET
    control_pilot: Literal["A", "B", "C", "D", "E", "F"] | None | UnsetType = UNSET
    ev_ready: bool | None | UnsetType = UNSET
    energized: bool | None | UnsetType = UNSET
    """Feedback of the contactor."""
    charging: bool | None | UnsetType = UNSET
    """Whether current flows."""
    locked: bool | None | UnsetType = UNSET
    lock_failed: bool | None | UnsetType = UNSET
    cable_limit_a: float | None | UnsetType = UNSET
    limit_a: float | None | UnsetType = UNSET
    """The limit that the device applies."""
    phases: int | None | UnsetType = UNSET
    bay_occupied: bool | None | UnsetType = UNSET
    errors: tuple[DeviceError, ...] | None | UnsetType = UNSET
    """All errors that exist now, the whole list each time."""
    status: str | None | UnsetType = UNSET
    """An OCPP word: a hint, weaker than control_pilot, which is weaker than explicit facts."""
    info: str | None | UnsetType = UNSET
    revision: int | None | UnsetType = UNSET
    """The setpoint revision that the device obeys."""


class DeviceError(Struct, frozen=True):
    """One fault of a device."""

    code: str
    """An OCPP 1.6 ChargePointErrorCode word where one fits, else free text."""
    info: str = ""
    vendor_code: str = ""
    vendor_id: str = ""
    fault: bool = True
    """Whether it forbids charging (Faulted); False is a warning beside another status."""


MeterValue = float | tuple[float | None, ...] | None
"""A number, per-phase numbers (L1, L2, L3), or None for "not known"."""

METER_FIELDS = (
    "energy_import_wh",
    "energy_export_wh",
    "power_w",
    "power_export_w",
    "current_a",
    "voltage_v",
    "power_factor",
    "reactive_var",
    "frequency_hz",
    "soc_percent",
    "temperature_c",
)
"""The keys of a meter reading; each stands alone with its own age."""


class SignedReading(Struct, frozen=True):
    """A meter value that the meter signed itself (# J01, 2.0.1 SignedMeterValueType)."""

    data: str
    method: str = ""
    encoding: str = ""
    public_key: str = ""


class ConnectorInfo(Struct, frozen=True):
    """What a device says of one of its connectors."""

    n: int
    max_current_a: float | None = None
    phases: int | None = None
    limiting: Literal["continuous", "steps", "on_off"] | None = None
    plug_sensor: bool | None = None
    lock: bool | None = None


class DeviceInfo(Struct, frozen=True):
    """A device introduces itself (`…/0/info`)."""

    contract: int = 1
    boot_id: str | None = None
    """Changes at each boot of the device."""
    boot_reason: str | None = None
    vendor: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware_version: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    connectors: tuple[ConnectorInfo, ...] = ()
    commands: tuple[str, ...] = ()
    """Names of the commands that the device understands."""


# ------------------------------------------------------------------ samples as they are told


class SampledValue(Struct, frozen=True, array_like=True, gc=False):
    """One measured value in base units."""

    value: float
    measurand: str
    unit: str | None
    """Wh, W, A, V, var, Percent, Celsius, Hertz; None where the measurand has none."""
    phase: str | None = None


class Sample(Struct, frozen=True, array_like=True):
    """Values measured at one moment."""

    at: float
    """Wall-clock seconds of the measurement."""
    context: ReadingContext
    values: tuple[SampledValue, ...]
    signed: SignedReading | None = None


# ------------------------------------------------------------------ configuration of one station


class ConnectorConfig(Struct, frozen=True, kw_only=True):
    """One connector as the operator configured it."""

    n: int
    """1..N over the whole station: its number on MQTT and in 1.6."""
    evse: int
    """Its EVSE, 1..M."""
    connector: int
    """Its number within the EVSE, from 1: its 2.x connectorId."""
    type: str = "cType2"
    """A 2.x ConnectorEnumType word."""
    max_current_a: float = 32.0
    min_current_a: float = 6.0
    """Below this the connector cannot charge: the setpoint says off instead."""
    phases: int = 3
    voltage_v: float = 230.0
    """Between line and neutral; converts limits between A and W."""
    limiting: Literal["continuous", "steps", "on_off"] = "continuous"
    plug_sensor: bool = True
    lock: bool = False
    """Whether the plug can be locked (a detachable cable with a retention lock)."""
    fixed_cable: bool = True
    safe_limit_a: float = 0.0
    """What the device falls back to when the gateway is lost; told to the device maker, not sent."""
    energy: Literal["register", "session", "power"] = "register"
    """Where energy comes from: a lifetime register, a session counter, or integrated power."""


class Policy(Struct, frozen=True, kw_only=True):
    """Choices of the operator that OCPP leaves open."""

    start_points: frozenset[TxPoint] = frozenset({TxPoint.POWER_PATH_CLOSED})
    stop_points: frozenset[TxPoint] = frozenset({TxPoint.EV_CONNECTED, TxPoint.AUTHORIZED})
    free_charging_token: IdToken | None = None
    """When set, a plugged vehicle is authorized with this token by itself."""
    authorizer: Literal["csms", "local", "mqtt"] = "csms"
    """Who decides about a card: the CSMS; list and own tokens alone; a flow on MQTT first, then the CSMS."""
    authorizer_timeout_s: float = 5.0
    """How long a flow may take."""
    local_tokens: frozenset[str] = frozenset()
    """Accepted beside the local list where that decides alone; without regard to case."""
    reported_token: IdToken = IdToken("REPORTED", "Central")
    """Whose a session of a station that only reports is when no card was seen."""
    idle_end_s: float = 900.0
    """Without a plug sensor, a session of such a station is over when nothing was drawn for so long."""
    vanished: Literal["faulted", "unavailable"] = "faulted"
    """What a connector becomes when its device stays away longer than offline_grace_s."""
    offline_grace_s: float = 90.0
    vanished_transaction_s: float = 3600.0
    """A running transaction of a vanished device is ended after this; 0 = never."""
    after_restart: Literal["resume", "stop"] = "resume"
    """What happens to a transaction when the device rebooted: go on, or end with PowerLoss."""
    card_debounce_s: float = 5.0
    gesture_max_age_s: float = 30.0
    gesture_memory_s: float = 86400.0
    begin_timeout_s: float = 3.0
    """How long a transaction's start waits for a measured begin register."""
    end_timeout_s: float = 5.0
    """How long a transaction's end waits for a measured end register."""
    register_max_age_s: float = 60.0
    """A register older than this is measured again before a transaction starts."""
    command_timeout_s: float = 20.0
    """How long an unlock or reset may take before the CSMS gets an honest refusal."""
    after_tx_profile: Literal["tx_default", "nothing"] = "tx_default"
    """What limits a transaction whose TxProfile has run out (# K02.FR.08; 1.6 [TC_066] expects nothing)."""
    certificate_key: Literal["ec", "rsa"] = "ec"
    """The kind of key pair made for the station's own certificate."""
    boot_on_reconnect: bool = False
    """BootNotification at every connection, for a CSMS that forgets its stations."""
    signed_firmware_only: bool = False
    """A firmware without a signature is refused."""
    firmware_timeout_s: float = 1800.0
    """How long a device may take to install firmware."""
    setpoint_valid_s: int = 90
    meter_state_interval_s: float = 10.0
    """meter/state is published at most this often."""
    clear_token_in_state: bool = False
    """Show tokens in full in `transaction` and `event/card`."""
    max_queued: int = 20000
    """Rows of the outbox; beyond it intermediate meter values are thinned (# E04.FR.07)."""
    vendors: tuple[tuple[str, frozenset[str]], ...] = ()
    """vendorId of DataTransfer → messageIds that a device understands, empty: all; others are refused."""
    allow_requests: frozenset[str] = frozenset(
        {"start", "stop", "unlock", "limit", "operative", "reset", "health"}
    )


class StationConfig(Struct, frozen=True, kw_only=True):
    """One charging station: one OCPP identity."""

    name: str
    """Its name on MQTT."""
    identity: str
    """Its OCPP identity."""
    csms_url: str
    """Part of a queued row's address: what waits is told to the CSMS that it was meant for."""
    versions: tuple[str, ...] = ("ocpp2.0.1", "ocpp1.6")
    vendor: str = "ocpp-mqtt-gateway"
    model: str = "MQTT"
    serial: str | None = None
    firmware_version: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    security_profile: int = 0
    configured: frozenset[Literal["password", "authority", "certificate"]] = frozenset()
    """What the operator gave to prove who the station and the CSMS are."""
    report_only: bool = False
    """The device decides by itself: what it does is told, what it shall do is refused."""
    connectors: tuple[ConnectorConfig, ...] = ()
    policy: Policy = field(default_factory=Policy)
    variables: dict[str, str] = {}
    """Initial values: a 1.6 key or `Component.Variable` / `Component.Variable[Instance]` → text."""
    time_zone: str = "UTC"
    """An IANA name: the zone of device stamps that name none."""


class Flavor(Struct, frozen=True, kw_only=True):
    """What the version spoken on the link makes of rules that differ: values, never `if version`."""

    version: str
    """The subprotocol, opaque to the core."""
    start_points: frozenset[TxPoint] | None = None
    """Fixed start points, None = as configured."""
    stop_points: frozenset[TxPoint] | None = None
    fine_status: bool = False
    """Connector status in the nine words of 1.6, else the five of 2.x."""
    station_status: bool = False
    """Whether the station as a whole (connector 0) has a status of its own."""
    status_after_reconnect: bool = False
    """Whether every status is told again after a long offline period (# B04); else only changed ones."""
    answers_while_rejected: bool = True
    """Whether requests are answered at all while registration is Rejected."""
    unlock_ends_transaction: bool = False
    """UnlockConnector during a transaction stops it (1.6) instead of being refused (2.x)."""
    unknown_connector_is_error: bool = False
    """A charging profile for a connector that is not there is answered by CALLERROR (1.6) instead of Rejected."""
    ended_samples_follow_updated: bool = False
    """StopTransaction data are sampled at the interval of MeterValues (1.6), not at their own."""
    reset_reasons: tuple[StopReason, StopReason] = (StopReason.IMMEDIATE_RESET, StopReason.REBOOT)
    """Why transactions end at an immediate or hard reset, and at one on idle or soft."""
