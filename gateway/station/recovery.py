"""Who restarted, and what follows: the gateway, the device, or both; nothing is lost and nothing invented."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import firmware, grants, log_uploads, outbox, sampling
from gateway.station.effects import DescribeAnew
from gateway.station.model import BootReason, StopReason, TriggerReason
from gateway.station.records import (
    CacheRecord,
    CertificateRecord,
    ChargingProfileRecord,
    ConnectorRecord,
    EndedSampleRecord,
    EvseRecord,
    FirmwareRecord,
    GestureRecord,
    ListedRecord,
    LogUploadRecord,
    OwnCertificateRecord,
    RegisterRecord,
    ReservationRecord,
    Row,
    SecurityLogRecord,
    SigningRecord,
    StationRecord,
    TransactionRecord,
    VariableRecord,
)
from gateway.station.state import Connector, Evse, Grant, StationState
from gateway.station.variables import Variables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Struct

    from gateway.station.events import DeviceAnnounced
    from gateway.station.model import StationConfig
    from gateway.station.turn import Turn
    from gateway.station.variables import Live

RECORD_TYPES: dict[str, type[Struct]] = {
    "station": StationRecord,
    "evse": EvseRecord,
    "connector": ConnectorRecord,
    "transaction": TransactionRecord,
    "ended_sample": EndedSampleRecord,
    "outbox": Row,
    "cache": CacheRecord,
    "local_list": ListedRecord,
    "reservation": ReservationRecord,
    "charging_profile": ChargingProfileRecord,
    "certificate": CertificateRecord,
    "own_certificate": OwnCertificateRecord,
    "signing": SigningRecord,
    "firmware": FirmwareRecord,
    "log_upload": LogUploadRecord,
    "security_log": SecurityLogRecord,
    "gesture": GestureRecord,
    "variable": VariableRecord,
}
"""What each kind of record is made of; the runner decodes by it."""

Records = dict[str, dict[str, "Struct"]]
"""Kind → key → record."""


def load(config: StationConfig, records: Mapping[str, Mapping[str, Struct]], live: Live) -> StationState:
    """A station as its records left it; `live` gives the texts of variables that are computed."""

    def of(kind: str) -> Mapping[str, Struct]:
        return records.get(kind, {})

    main = of("station").get("main")
    texts = {
        name: record.text for name, record in of("variable").items() if isinstance(record, VariableRecord)
    }
    variables = Variables(config, texts, live)
    state = StationState(
        config, main if isinstance(main, StationRecord) else StationRecord(seed=""), variables
    )
    for connector_config in config.connectors:
        record = of("connector").get(str(connector_config.n))
        known = record if isinstance(record, ConnectorRecord) else ConnectorRecord()
        connector = state.by_n[connector_config.n] = Connector(connector_config, known)
        evse = state.evses.get(connector_config.evse)
        if evse is None:
            evse_record = of("evse").get(str(connector_config.evse))
            evse = state.evses[connector_config.evse] = Evse(
                connector_config.evse,
                [],
                evse_record if isinstance(evse_record, EvseRecord) else EvseRecord(),
            )
        evse.connectors.append(connector)
    for transaction in of("transaction").values():
        if isinstance(transaction, TransactionRecord):
            _take_up(state, transaction)
    _lift_registers(state)
    rows = [row for row in of("outbox").values() if isinstance(row, Row)]
    outbox.restore(state, sorted(rows, key=lambda row: row.position))
    for kept in of("ended_sample").values():
        if isinstance(kept, EndedSampleRecord):
            state.ended_samples.setdefault(kept.transaction, {})[kept.number] = kept.sample
    cached = [(key, record) for key, record in of("cache").items() if isinstance(record, CacheRecord)]
    state.cache.update(sorted(cached, key=lambda item: item[1].used_at))
    state.local_list.update(
        (key, record) for key, record in of("local_list").items() if isinstance(record, ListedRecord)
    )
    state.reservations.update(
        (record.id, record) for record in of("reservation").values() if isinstance(record, ReservationRecord)
    )
    state.charging.restore(of("charging_profile").values())
    state.certificates.restore(of("certificate").values())
    state.own.restore(of("own_certificate").values(), of("signing").get("main"))
    state.firmware.restore(of("firmware").get("main"))
    state.log_upload_left = of("log_upload").get("main")
    lines = [record for record in of("security_log").values() if isinstance(record, SecurityLogRecord)]
    state.security_log.update(
        (line.number, line.entry) for line in sorted(lines, key=lambda line: line.number)
    )
    seen = [(key, record) for key, record in of("gesture").items() if isinstance(record, GestureRecord)]
    state.gestures.update(sorted(seen, key=lambda item: item[1].at))
    return state


def _take_up(state: StationState, transaction: TransactionRecord) -> None:
    evse = state.evses.get(transaction.evse)
    if transaction.ended or evse is None or evse.transaction is not None:
        state.ended[transaction.id] = transaction
        return
    if transaction.n not in state.by_n:
        state.ended[transaction.id] = transaction
        return
    evse.transaction = transaction
    if transaction.authorized and transaction.token is not None:
        evse.grant = Grant(
            transaction.token,
            transaction.group,
            transaction.n,
            0.0,
            TriggerReason.AUTHORIZED,
            remote_start_id=transaction.remote_start_id,
            remote=transaction.remote,
            reservation_id=transaction.reservation_id,
        )


def _lift_registers(state: StationState) -> None:
    """A connector's register is saved seldom; what was told of it is in the transactions."""
    running = [evse.transaction for evse in state.evses.values() if evse.transaction is not None]
    for transaction in [*running, *state.ended.values()]:
        connector, told_wh = state.by_n.get(transaction.n), transaction.register_wh
        if connector is None or told_wh is None:
            continue
        register = connector.record.import_register
        if register is None:
            connector.record.import_register = RegisterRecord(told_wh)
        elif register.value_wh < told_wh:
            register.raw_wh = told_wh - register.offset_wh


def restarted(state: StationState, turn: Turn, random_seed: str) -> None:
    """A new run: questions of the former one are void, durations start again, numbers go on above all used ones."""
    if not state.record.seed:
        state.record.seed = random_seed
    elif state.record.boot_reason is None:
        state.record.boot_reason = BootReason.APPLICATION_RESET
    state.record.reserved = max(state.record.reserved, state.counter)
    state.counter = state.record.reserved
    state.next_number(turn)
    state.save(turn)
    now = turn.now.monotonic
    for connector in state.by_n.values():
        connector.last_live = now
        connector.record.path = connector.record.told
        connector.record.path_error = connector.record.told_error
        if connector.record.limit_local_until is not None:
            connector.limit_local_ends = now + connector.record.limit_local_until - turn.now.wall
    for evse in state.evses.values():
        if evse.grant is not None:
            evse.grant.since = now
        transaction = evse.transaction
        if transaction is None:
            continue
        evse.ending_since = now
        sampling.resume(state, turn, evse)
    grants.restore(state, turn)
    log_uploads.restarted(state, turn, state.log_upload_left)


def device_announced(state: StationState, turn: Turn, event: DeviceAnnounced) -> None:
    """A device says who it is; another boot id means that it restarted in between."""
    info, record = event.info, state.record
    rebooted = info.boot_id is not None and record.device_boot_id not in {None, info.boot_id}
    said = (info.boot_id, info.commands, info.vendor, info.model, info.serial, info.firmware_version)
    known = (
        record.device_boot_id,
        record.commands,
        record.vendor,
        record.model,
        record.serial,
        record.firmware_version,
    )
    if said == known:
        return
    record.device_boot_id = info.boot_id
    record.commands = info.commands
    record.vendor, record.model, record.serial = info.vendor, info.model, info.serial
    record.firmware_version, record.iccid, record.imsi = info.firmware_version, info.iccid, info.imsi
    state.save(turn)
    firmware.announced(state, turn)
    if said[2:] != known[2:]:
        turn.do(DescribeAnew())
    if rebooted:
        _device_rebooted(state, turn)


def _device_rebooted(state: StationState, turn: Turn) -> None:
    state.reserve_told.clear()
    for connector in state.by_n.values():
        connector.fresh = False  # what it does now is not known until it says so
    if state.config.policy.after_restart == "resume":
        return
    for evse in state.evses.values():
        if evse.transaction is not None and not evse.transaction.ending:
            trigger = TriggerReason.ABNORMAL_CONDITION
            grants.take_back(state, turn, evse, StopReason.POWER_LOSS, trigger)
