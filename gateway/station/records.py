"""What a station remembers over a restart: small records, each saved whole when it changes."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from gateway.station.certificate_work import CertificateFacts
from gateway.station.charging_profiles import ChargingProfile
from gateway.station.model import (
    AuthorizationStatus,
    ChargingState,
    DeviceError,
    IdToken,
    Sample,
    StopReason,
    TokenInfo,
    TriggerReason,
    TxPoint,
)
from gateway.station.reports import (
    FirmwareStatus,
    LogStatus,
    MeterValues,
    Notification,
    SecurityEvent,
    TransactionEvent,
    VendorMessage,
)
from gateway.station.transfer_work import FirmwareGiven, SecurityLogEntry


class GrantRecord(Struct, frozen=True):
    """A token may charge, and nothing has begun with it yet; part of an EVSE's or the station's record."""

    token: IdToken
    group: IdToken | None
    n: int
    since: float
    """Wall-clock seconds of the host; it holds for EVConnectionTimeOut."""
    trigger: TriggerReason
    remote_start_id: int | None = None
    remote: bool = False
    reservation_id: int | None = None
    profile: ChargingProfile | None = None
    """Came with a remote start."""


class LinkIdentity(Struct, frozen=True):
    """With what a station proves itself to its CSMS; part of the station's record."""

    profile: int
    """The security profile, 0 to 3."""
    password: tuple[str, bool] | None = None
    """(text, whether it is hex digits) as the CSMS set it; None: the operator's, or none is used."""
    certificate: str | None = None
    """The key of one of the station's own; None: the operator's, or none is used."""


class StationRecord(Struct):
    """Kind `station`, key `main`: what concerns the whole station."""

    seed: str
    """Namespace of the ids that this station makes."""
    reserved: int = 0
    """Counters below this may have been used; a new run starts here."""
    operative: bool = True
    operative_scheduled: bool | None = None
    boot_reason: str | None = None
    """Why the next BootNotification is sent; kept over the reboot that it explains."""
    version: str | None = None
    """The version last spoken."""
    clock_offset_s: float = 0.0
    """CSMS clock minus host clock."""
    device_boot_id: str | None = None
    commands: tuple[str, ...] = ()
    """Commands that the device understands."""
    vendor: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware_version: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    status_told: str | None = None
    """The station's own status (connector 0) as last told."""
    local_list_version: int = 0
    """Of the list in kind `local_list`."""
    grant: GrantRecord | None = None
    """Of a token shown at the station's reader, until a connector is plugged."""
    identity_before: LinkIdentity | None = None
    """What the last good link was made with, while a change of it is on trial."""


class EvseRecord(Struct):
    """Kind `evse`, key its id."""

    operative: bool = True
    operative_scheduled: bool | None = None
    spent: tuple[TxPoint, ...] = ()
    """Start points that a past transaction used up and that still hold."""
    grant: GrantRecord | None = None
    """Until its transaction begins, whose record holds it from then on."""


class Facts(Struct):
    """What is known of a connector; None is not known."""

    plugged: bool | None = None
    cable: str | None = None
    control_pilot: str | None = None
    ev_ready: bool | None = None
    energized: bool | None = None
    charging: bool | None = None
    locked: bool | None = None
    lock_failed: bool | None = None
    cable_limit_a: float | None = None
    limit_a: float | None = None
    phases: int | None = None
    bay_occupied: bool | None = None
    errors: tuple[DeviceError, ...] | None = None
    status: str | None = None
    info: str | None = None
    revision: int | None = None


class RegisterRecord(Struct):
    """A register that never falls, over a device counter that may."""

    raw_wh: float
    offset_wh: float = 0.0
    falls: int = 0
    """How many readings in a row were below the last one."""

    @property
    def value_wh(self) -> float:
        """The register as it is told."""
        return self.raw_wh + self.offset_wh


class ConnectorRecord(Struct):
    """Kind `connector`, key its number over the station."""

    facts: Facts = field(default_factory=Facts)
    facts_at: float = 0.0
    """Wall time of the newest status."""
    operative: bool = True
    operative_scheduled: bool | None = None
    ended_in_plug_session: bool = False
    """A transaction ended here and the cable has not been pulled since."""
    keep_locked: bool = False
    """The plug stays locked after the end, until a token or an unlock command frees it."""
    told: str | None = None
    """The status word that the CSMS last acknowledged."""
    told_error: str = "NoError"
    path: str | None = None
    """The 1.6 status last put on the way: the next one must be reachable from it."""
    path_error: str = "NoError"
    limit_local_a: float | None = None
    limit_local_until: float | None = None
    import_register: RegisterRecord | None = None
    export_register: RegisterRecord | None = None
    register_at: float = 0.0


class TransactionRecord(Struct):
    """Kind `transaction`, key its id."""

    id: str
    evse: int
    n: int
    version: str
    """Pinned at the start."""
    csms_url: str
    start_points: tuple[TxPoint, ...]
    stop_points: tuple[TxPoint, ...]
    fixed_points: bool
    """The version fixes the points; the EV-side disconnect switch then decides about EVConnected."""
    started_at: float
    seq: int = 0
    """Sequence number of the next event."""
    reached: tuple[TxPoint, ...] = ()
    token: IdToken | None = None
    group: IdToken | None = None
    authorized: bool = False
    token_told: bool = False
    evse_told: bool = False
    remote_start_id: int | None = None
    remote: bool = False
    reservation_id: int | None = None
    plugged: bool = False
    """As last told."""
    bay_occupied: bool = False
    charging_state: ChargingState | None = None
    drew: bool = False
    """Energy has flowed in it."""
    csms_id: int | None = None
    sent: bool = False
    """Something of it has gone out."""
    meter_start_wh: float | None = None
    register_wh: float | None = None
    meter_stop_wh: float | None = None
    ended_samples: int = 0
    """How many samples have been kept for the Ended event (kind `ended_sample`)."""
    refused: str | None = None
    """The status with which the CSMS refused the token of the running transaction."""
    energy_limit_wh: float | None = None
    """Register at which charging with a refused token stops (# MaxEnergyOnInvalidId)."""
    suspended: bool = False
    """Energy is withheld because the token was refused."""
    ending: bool = False
    cause: StopReason | None = None
    """Why authorization ended: the first cause counts."""
    cause_trigger: TriggerReason | None = None
    stop_token: IdToken | None = None
    ended_at: float | None = None
    ended: bool = False
    """Its Ended event is in the outbox."""
    given_up: bool = False
    """Its device stayed away for longer than the policy allows."""
    unplugged_at: float | None = None
    """The EV side was unplugged and the transaction goes on (# E10, 1.6 StopTransactionOnEVSideDisconnect)."""
    phases_told: int | None = None


class CacheRecord(Struct):
    """Kind `cache`, key the token in lower case."""

    info: TokenInfo
    used_at: float


class ListedRecord(Struct, frozen=True, array_like=True, gc=False):
    """Kind `local_list`, key the token in lower case: small, there may be thousands."""

    status: AuthorizationStatus
    group: str | None = None
    group_type: str = "Central"
    expires_at: float | None = None
    evse_ids: tuple[int, ...] = ()
    language: str | None = None
    message: str | None = None


class ReservationRecord(Struct, frozen=True):
    """Kind `reservation`, key its id."""

    id: int
    token: IdToken
    expires_at: float
    """Wall-clock seconds of the CSMS."""
    group: IdToken | None = None
    evse: int | None = None
    """None: whichever is free."""
    n: int = 0
    """The connector that was named; 0 when any of the EVSE will do."""


class ChargingProfileRecord(Struct, frozen=True):
    """Kind `charging_profile`, key the profile's id."""

    profile: ChargingProfile
    evse: int = 0
    """0: the whole station."""
    n: int = 0
    """The connector that was named, over the whole station; 0: any of the EVSE."""
    transaction: str | None = None
    """Our own id of the transaction that a TxProfile belongs to."""
    installed_at: float = 0.0
    """Wall-clock seconds of the CSMS."""


class CertificateRecord(Struct, frozen=True):
    """Kind `certificate`, key `<use>/<fingerprint>`."""

    use: str
    """A 2.x InstallCertificateUseEnumType word."""
    facts: CertificateFacts
    number: int
    """Rises with each installation."""


class OwnCertificateRecord(Struct, frozen=True):
    """Kind `own_certificate`, key that of its private key."""

    key: str
    chain: str
    """PEM, the station's certificate first."""
    facts: CertificateFacts
    """Of the station's certificate."""
    number: int
    """Rises with each one."""


class SigningRecord(Struct, frozen=True):
    """Kind `signing`, key `main`: a certificate that was asked for."""

    key: str
    request: str
    """PKCS #10, PEM."""


class FirmwareRecord(Struct):
    """Kind `firmware`, key `main`: the last update, under way or ended."""

    given: FirmwareGiven
    number: int
    """Tells one update from the next."""
    phase: Literal["scheduled", "downloading", "checking", "downloaded", "installing", "ended"] = "scheduled"
    status: str | None = None
    """As last told, a 2.x FirmwareStatusEnumType word."""
    attempts: int = 0
    """Downloads that have failed."""
    size: int = 0
    sha256: str = ""
    held: bool = False
    """It had to wait for transactions: nothing new begins until it is over."""
    version_before: str | None = None
    boot_before: str | None = None
    """firmware_version and boot_id of the device when it was told to install."""


class LogUploadRecord(Struct, frozen=True):
    """Kind `log_upload`, key `main`: an upload under way."""

    request_id: int | None


class SecurityLogRecord(Struct, frozen=True):
    """Kind `security_log`, key its number: a line of the security log."""

    number: int
    entry: SecurityLogEntry


class GestureRecord(Struct):
    """Kind `gesture`, key its id: it happened already."""

    at: float


class VariableRecord(Struct):
    """Kind `variable`, key `Component.Variable[Instance]…`: what was written over the configured value."""

    text: str


QueuedReport = (
    TransactionEvent | MeterValues | SecurityEvent | Notification | VendorMessage | FirmwareStatus | LogStatus
)


class Row(Struct):
    """Kind `outbox`, key its position: a report that waits to be told."""

    position: int
    report: QueuedReport
    csms_url: str
    link: int
    """The link epoch in which it happened; another one at the time of telling means offline."""
    offset_s: float | None = None
    """Clock offset assumed in its stamps while the clock was not yet synchronised; None = final."""
    step: int = 0
    """Calls of it that have been answered."""


class EndedSampleRecord(Struct):
    """Kind `ended_sample`, key `<transaction>/<number>`: a sample that the Ended event will carry."""

    transaction: str
    number: int
    sample: Sample
