"""All that a station knows right now; the blocks read and change it, and decide nothing here."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from msgspec import Struct

from gateway.station.certificates import Certificates
from gateway.station.charging_limits import Charging
from gateway.station.identity import Identity
from gateway.station.model import AuthorizationStatus, TxPoint
from gateway.station.outbox import Outbox
from gateway.station.own_certificates import OwnCertificates
from gateway.station.records import ConnectorRecord, EvseRecord, StationRecord, TransactionRecord
from gateway.station.transfers import FirmwareUpdate, LogUpload
from gateway.station.variables import Variables

if TYPE_CHECKING:
    from gateway.station.charging_profiles import ChargingProfile
    from gateway.station.effects import (
        ConnectorView,
        MeterView,
        SetPointDocument,
        StationView,
        TransactionView,
    )
    from gateway.station.inventory import Telling
    from gateway.station.model import (
        ConnectorConfig,
        DeviceError,
        Flavor,
        IdToken,
        MeterValue,
        RegistrationStatus,
        Sample,
        SignedReading,
        StationConfig,
        StopReason,
        TriggerReason,
    )
    from gateway.station.records import (
        CacheRecord,
        GestureRecord,
        ListedRecord,
        ReservationRecord,
    )
    from gateway.station.transfer_work import SecurityLogEntry
    from gateway.station.turn import Turn

RESERVE = 10_000
"""Counters are reserved on disk in blocks of this size, so that most turns need not save one."""
_AHEAD = RESERVE // 2
"""A block is reserved this long before it is needed: off is said before the disk knows its revision (law 4)."""
_NAMESPACE = UUID("5b1f3a6e-5a0f-4c39-9d0e-0c5b7a4a1f10")


class Grant(Struct):
    """A token may charge at an EVSE."""

    token: IdToken
    group: IdToken | None
    n: int
    """The connector at which it was given; 0 when any of the EVSE will do."""
    since: float
    """Monotonic; the plug must come within EVConnectionTimeOut."""
    trigger: TriggerReason
    remote_start_id: int | None = None
    remote: bool = False
    reservation_id: int | None = None
    profile: ChargingProfile | None = None
    """Came with a remote start, for the transaction that begins."""


class Question(Struct):
    """An Authorize under way, or the question to a flow that precedes it."""

    ref: int
    token: IdToken
    n: int
    to_stop: bool
    """Asked only to learn whether it belongs to the group of the running transaction."""
    remote: bool = False
    remote_start_id: int | None = None
    gesture: str | None = None
    profile: ChargingProfile | None = None
    flow_until: float | None = None
    """Monotonic; a flow on MQTT may answer until then, afterwards the CSMS is asked. None: the CSMS is."""


class Beginning(Struct):
    """A transaction that starts as soon as its begin register is measured."""

    point: TxPoint
    since: float
    """Wall time."""
    deadline: float
    """Monotonic."""
    n: int


class Connector:
    """One connector as it is now."""

    __slots__ = (
        "asked_status",
        "awaited",
        "away_since",
        "config",
        "desired",
        "desired_since",
        "fresh",
        "injected",
        "last_live",
        "limit_local_ends",
        "measure_ref",
        "meter",
        "meter_at",
        "meter_period",
        "meter_shown_at",
        "meter_view",
        "offered_at",
        "offline_parts",
        "on_the_way",
        "record",
        "setpoint",
        "signed",
        "vanished",
        "view",
    )

    def __init__(self, config: ConnectorConfig, record: ConnectorRecord) -> None:
        """Know a connector, though nothing fresh of it yet."""
        self.config = config
        self.record = record
        self.fresh = False
        """A live status arrived since the gateway last connected to the broker."""
        self.injected: tuple[DeviceError, ...] = ()
        """Faults that somebody asked for on MQTT, beside those of the device; gone with the process."""
        self.offline_parts: frozenset[str] = frozenset()
        self.away_since: float | None = None
        """Monotonic; since when a part is offline or the device silent."""
        self.vanished = False
        self.last_live = 0.0
        """Monotonic time of the last live message."""
        self.meter: dict[str, tuple[MeterValue, float, float]] = {}
        """Field → (value, wall time of measurement, monotonic time of arrival)."""
        self.signed: SignedReading | None = None
        self.meter_at = 0.0
        """Monotonic time of the last meter message."""
        self.meter_period = 0.0
        """Seconds between the last two meter messages."""
        self.limit_local_ends: float | None = None
        """Monotonic; when the local limit of this run lapses, whatever becomes of the wall clock."""
        self.measure_ref: str | None = None
        """The `measure` command last sent."""
        self.meter_shown_at = float("-inf")
        self.meter_view: MeterView | None = None
        self.setpoint: SetPointDocument | None = None
        self.offered_at: float | None = None
        """Monotonic; since when the setpoint says energize."""
        self.awaited = False
        """Energy is offered, and the vehicle has not had its time to answer."""
        self.view: ConnectorView | None = None
        self.desired: str | None = None
        """The status word to be told, held since `desired_since`."""
        self.desired_since = 0.0
        self.on_the_way: list[tuple[str, str, str]] = []
        """(1.6 word, error code, info) still to be told, one after another."""
        self.asked_status: int | None = None
        """ref of the StatusNotification under way."""

    @property
    def plugged(self) -> bool | None:
        """Whether a vehicle is connected; None where nothing is known."""
        return self.record.facts.plugged


class Evse:
    """One EVSE as it is now."""

    __slots__ = (
        "anchored",
        "beginning",
        "connectors",
        "ending_since",
        "grant",
        "id",
        "idle_since",
        "measured",
        "next_ended_sample",
        "next_sample",
        "off_revision",
        "opened_at",
        "question",
        "record",
        "reserved",
        "sampled_at",
        "shown",
        "shown_at",
        "stopped",
        "stopped_itself",
        "transaction",
        "trigger",
    )

    def __init__(self, evse_id: int, connectors: list[Connector], record: EvseRecord) -> None:
        """An EVSE with its connectors."""
        self.id = evse_id
        self.connectors = connectors
        self.record = record
        self.transaction: TransactionRecord | None = None
        """The running one."""
        self.reserved: ReservationRecord | None = None
        """The reservation for which the EVSE is kept free, as last settled."""
        self.grant: Grant | None = None
        self.question: Question | None = None
        self.beginning: Beginning | None = None
        self.trigger: TriggerReason | None = None
        """What in this turn is the most specific cause of what follows."""
        self.stopped: tuple[StopReason, TriggerReason, IdToken | None] | None = None
        """Why the grant was taken back in this turn."""
        self.shown: TransactionView | None = None
        self.shown_at = float("-inf")
        # the running transaction's clockwork, monotonic; set anew after a restart
        self.next_sample: float | None = None
        self.next_ended_sample: float | None = None
        self.anchored = False
        """The grid of samples has been aligned with the device's readings."""
        self.sampled_at = 0.0
        self.ending_since = 0.0
        self.opened_at: float | None = None
        """Monotonic; since when the contactor is known to be open; infinite while it may be closed."""
        self.off_revision = 0
        """The setpoint that said off; an earlier one obeyed says nothing."""
        self.measured = False
        """The reading asked for at the end has come."""
        # of a station that only reports
        self.stopped_itself = False
        """The device ended its session, and has not said yet that nothing flows any more."""
        self.idle_since: float | None = None
        """Monotonic; since when its session draws nothing, without a plug sensor."""


class PendingCommand(Struct):
    """A command sent to a device whose result something waits for."""

    id: str
    n: int
    purpose: str
    """unlock, reset, measure."""
    deadline: float
    reply_ref: int | None = None
    """The CSMS's CALL that waits."""
    respond_to: int | None = None
    """The MQTT request that waits."""
    arguments: dict[str, object] = {}
    retries: int = 0
    """How often it is sent again when the device did not do it."""
    boot_id: str | None = None
    """The boot of the device that it was meant for."""


class PendingReset(Struct):
    """A reset on its way."""

    hard: bool
    reason: str
    """The boot reason to give afterwards."""
    evse: int | None
    waiting_for_idle: bool
    deadline: float | None
    """Monotonic; then the link is closed whatever has been delivered."""
    commanded: bool = False


class StationState:
    """The whole station as it is now."""

    __slots__ = (
        "accepted",
        "boot_asked",
        "boot_needed",
        "boot_retry_at",
        "boot_told",
        "booting",
        "broker_up",
        "by_n",
        "cache",
        "certificates",
        "charging",
        "command_outcomes",
        "commands",
        "config",
        "counter",
        "debounce",
        "ended",
        "ended_samples",
        "epoch",
        "evses",
        "firmware",
        "flavor",
        "flavor_before_link",
        "gestures",
        "heartbeat_asked",
        "heartbeat_at",
        "identity",
        "inventories",
        "last_error",
        "last_received_at",
        "link_down_since",
        "link_epoch",
        "linked",
        "linked_since",
        "list_conflict",
        "local_list",
        "log_upload",
        "log_upload_left",
        "main_meter",
        "next_clock_at",
        "observed",
        "outbox",
        "own",
        "record",
        "registration",
        "reservations",
        "reserve_told",
        "reset",
        "samples_looked_at",
        "security_log",
        "shown_at",
        "station_away",
        "station_grant",
        "station_question",
        "status_asked",
        "status_ref",
        "stopping",
        "storing",
        "synced",
        "triggered",
        "variables",
        "vendor_asked",
        "view",
        "wall_now",
    )

    def __init__(  # noqa: PLR0915 - a line for each thing that is known
        self, config: StationConfig, record: StationRecord, variables: Variables
    ) -> None:
        """A station that has just been loaded."""
        self.config = config
        self.record = record
        self.variables = variables
        self.counter = record.reserved
        self.evses: dict[int, Evse] = {}
        self.by_n: dict[int, Connector] = {}
        self.ended: dict[str, TransactionRecord] = {}
        """Ended transactions of which something still waits to be told."""
        self.ended_samples: dict[str, dict[int, Sample]] = {}
        """Transaction → samples kept for its Ended event, by number."""
        self.outbox = Outbox()
        self.cache: OrderedDict[str, CacheRecord] = OrderedDict()
        """Least recently used first."""
        self.local_list: dict[str, ListedRecord] = {}
        self.list_conflict = False
        """The CSMS has said of a listed token what the list does not (# 1.6 §3.5.2)."""
        self.reservations: dict[int, ReservationRecord] = {}
        self.reserve_told: dict[int, tuple[int, float] | None] = {}
        """Connector → (reservation, its end in host time) as its device was told."""
        self.charging = Charging()
        self.certificates = Certificates()
        self.own = OwnCertificates()
        self.identity = Identity()
        self.gestures: dict[str, GestureRecord] = {}
        """In order of time."""
        self.debounce: dict[tuple[int, str], float] = {}
        self.firmware = FirmwareUpdate()
        self.log_upload = LogUpload()
        self.log_upload_left: Struct | None = None
        """What the former run was uploading."""
        self.security_log: dict[int, SecurityLogEntry] = {}
        """By number, in order of time."""
        self.commands: dict[str, PendingCommand] = {}
        self.command_outcomes: dict[str, tuple[str, str, str]] = {}
        """Purpose → (id, status, info) of a command that has ended, for the block that sent it."""
        self.reset: PendingReset | None = None
        self.epoch = ""
        self.broker_up = False
        self.storing = True
        self.stopping = False
        self.main_meter: dict[str, tuple[MeterValue, float, float]] = {}
        self.observed: dict[int, tuple[IdToken, float]] = {}
        """By connector, 0 for the station's reader: the last card, and when; of a station that only reports."""
        # link and registration
        self.flavor: Flavor | None = None
        self.flavor_before_link: Flavor | None = None
        """Of the open link, else of the last one."""
        self.linked = False
        self.linked_since: float | None = None
        self.link_epoch = 0
        self.link_down_since: float | None = None
        self.registration: RegistrationStatus | None = None
        self.accepted = False
        self.boot_needed = True
        self.booting = True
        """The startup of this run has not been told yet."""
        self.boot_told: tuple[str | None, ...] | None = None
        """What the last accepted BootNotification said."""
        self.boot_asked: int | None = None
        self.boot_retry_at: float | None = None
        self.heartbeat_at: float | None = None
        self.heartbeat_asked: int | None = None
        self.synced = False
        self.status_ref: int | None = None
        self.status_asked: str | None = None
        self.triggered: set[int] = set()
        """refs of reports that TriggerMessage asked for."""
        self.inventories: list[Telling] = []
        self.vendor_asked: dict[int, int] = {}
        """ref of a DataTransfer under way → the MQTT request that waits for its answer."""
        self.last_error: str | None = None
        self.last_received_at: float | None = None
        self.station_grant: Grant | None = None
        self.station_question: Question | None = None
        self.station_away = False
        self.next_clock_at: float | None = None
        self.view: StationView | None = None
        self.shown_at = float("-inf")
        self.samples_looked_at = float("-inf")
        """When missing readings were last looked for, monotonic."""
        self.wall_now = 0.0
        """The CSMS's clock, at the turn's moment."""

    # -------------------------------------------------------------- ids

    def next_number(self, turn: Turn) -> int:
        """A number that this station never used before, over all its runs."""
        self.counter += 1
        if self.counter + _AHEAD >= self.record.reserved:
            self.record.reserved = self.counter + RESERVE
            self.save(turn)
        return self.counter

    def next_id(self, turn: Turn) -> str:
        """An id that nobody ever used: from the stored seed and the counter (# E01.FR.08)."""
        return str(uuid5(_NAMESPACE, f"{self.record.seed}/{self.next_number(turn)}"))

    def save(self, turn: Turn) -> None:
        """Keep the station's own record."""
        turn.save("station", "main", self.record)

    # -------------------------------------------------------------- finding things

    def evse_of(self, n: int) -> Evse:
        """The EVSE of a connector number that is known to exist."""
        return self.evses[self.by_n[n].config.evse]

    def stamp(self, wall: float) -> float:
        """A host time as the CSMS's clock would show it."""
        return wall + self.record.clock_offset_s

    def transaction(self, transaction_id: str) -> TransactionRecord | None:
        """A transaction of which something is known: running, or ended and not yet told."""
        for evse in self.evses.values():
            if evse.transaction is not None and evse.transaction.id == transaction_id:
                return evse.transaction
        return self.ended.get(transaction_id)

    @property
    def rules(self) -> Flavor | None:
        """What the version makes of rules that differ, also before the first link of this run."""
        return self.flavor or self.flavor_before_link

    def start_points(self) -> frozenset[TxPoint]:
        """Where a transaction that begins now would start."""
        flavor = self.rules
        fixed = None if flavor is None else flavor.start_points
        return self.variables.start_points if fixed is None else fixed

    def stop_points(self) -> frozenset[TxPoint]:
        """Where a transaction that begins now would stop."""
        flavor = self.rules
        fixed = None if flavor is None else flavor.stop_points
        return self.variables.stop_points if fixed is None else fixed

    @property
    def online(self) -> bool:
        """Whether the CSMS can be asked now."""
        return self.linked and self.accepted

    def save_connector(self, turn: Turn, connector: Connector) -> None:
        """Keep a connector's record."""
        turn.save("connector", str(connector.config.n), connector.record)

    def save_evse(self, turn: Turn, evse: Evse) -> None:
        """Keep an EVSE's record."""
        turn.save("evse", str(evse.id), evse.record)

    def save_transaction(self, turn: Turn, transaction: TransactionRecord) -> None:
        """Keep a transaction's record."""
        turn.save("transaction", transaction.id, transaction)


__all__ = [
    "AuthorizationStatus",
    "Beginning",
    "Connector",
    "ConnectorRecord",
    "Evse",
    "EvseRecord",
    "Grant",
    "PendingCommand",
    "PendingReset",
    "Question",
    "StationRecord",
    "StationState",
    "TransactionRecord",
    "TxPoint",
]
