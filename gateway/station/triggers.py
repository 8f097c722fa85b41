"""TriggerMessage: the reply first, then the message, from what is known now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.station import (
    availability,
    firmware,
    log_uploads,
    metering,
    own_certificates,
    registration,
    status_reports,
)
from gateway.station import transaction_events as events
from gateway.station.effects import Ask
from gateway.station.model import BootReason, ReadingContext, TriggerReason
from gateway.station.reports import MeterValues, Report, TransactionEvent
from gateway.station.requests import Place, StatusReply

if TYPE_CHECKING:
    from gateway.station.requests import TriggerRequested
    from gateway.station.state import Connector, Evse, StationState
    from gateway.station.turn import Turn


def requested(state: StationState, turn: Turn, request: TriggerRequested) -> StatusReply:
    """# 1.6 §5.17, F06."""
    match request.message:
        case "BootNotification":
            return _boot(state, turn)
        case "Heartbeat":
            registration.heartbeat(state, turn)
            return StatusReply(status="Accepted")
        case "StatusNotification":
            return _status(state, turn, request.place)
        case "MeterValues":
            return _meter_values(state, turn, request.place)
        case "SignChargingStationCertificate":
            return StatusReply(status=own_certificates.renew(state, turn))  # [TC_074]
        case "FirmwareStatusNotification":
            _ask(state, turn, firmware.present(state))
            return StatusReply(status="Accepted")
        case "SignedFirmwareStatusNotification":
            _ask(state, turn, replace(firmware.present(state), signed=True))
            return StatusReply(status="Accepted")
        case "DiagnosticsStatusNotification":
            _ask(state, turn, log_uploads.present(state))
            return StatusReply(status="Accepted")
        case "LogStatusNotification":
            _ask(state, turn, replace(log_uploads.present(state), log=True))
            return StatusReply(status="Accepted")
        case "TransactionEvent":
            return _transaction_events(state, turn, request.place)
        case _:
            return StatusReply(status="NotImplemented")


def _boot(state: StationState, turn: Turn) -> StatusReply:
    """Rejected once accepted (# F06.FR.17, 1.6 [E3.35]); many 1.6 backends ask all the same, then it is harmless."""
    flavor = state.flavor
    if state.accepted and (flavor is None or flavor.answers_while_rejected):
        return StatusReply(status="Rejected")
    if state.boot_asked is None:
        registration.boot(state, turn, BootReason.TRIGGERED)
    return StatusReply(status="Accepted")


def _numbers(state: StationState, place: Place) -> list[int] | None:
    """Connectors meant; [0] for the main meter or the station itself; None when there are none such."""
    if place.n is not None:
        return [place.n] if place.n == 0 or place.n in state.by_n else None
    if place.evse is None:
        return sorted(state.by_n)
    if place.evse == 0:
        return [0]
    numbers = [
        n
        for n, connector in sorted(state.by_n.items())
        if connector.config.evse == place.evse and place.connector in {None, connector.config.connector}
    ]
    return numbers or None


def _status(state: StationState, turn: Turn, place: Place) -> StatusReply:
    numbers = _numbers(state, place)
    if numbers is None:
        return StatusReply(status="Rejected", reason_code="UnknownConnectorId")
    station = state.flavor is not None and state.flavor.station_status
    if numbers == [0] or place == Place():
        if station:
            _ask(state, turn, status_reports.station_report(state, turn))
        numbers = sorted(state.by_n)
    for n in numbers:
        evse, connector = state.evse_of(n), state.by_n[n]
        _ask(state, turn, status_reports.present_report(state, turn, evse, connector))
    return StatusReply(status="Accepted")


def _meter_values(state: StationState, turn: Turn, place: Place) -> StatusReply:
    numbers = _numbers(state, place)
    if numbers is None:
        return StatusReply(status="Rejected", reason_code="UnknownConnectorId")  # [TC_055]
    if numbers == [0]:
        numbers = sorted(state.by_n)
    reports = [
        report
        for n in numbers
        if (report := _values_of(state, turn, state.evse_of(n), state.by_n[n])) is not None
    ]
    if not reports:
        return StatusReply(status="Rejected", info="no meter value is known")
    for report in reports:
        _ask(state, turn, report)
    return StatusReply(status="Accepted")


def _values_of(state: StationState, turn: Turn, evse: Evse, connector: Connector) -> Report | None:
    """Present values; 1.6 tells them with the transaction's number, 2.x as MeterValues (# F06.FR.06)."""
    variables = state.variables
    transaction = evse.transaction
    fixed = state.flavor is not None and state.flavor.stop_points is not None
    measurands = variables.updated_measurands if fixed else variables.aligned_measurands
    sample = metering.sample(state, connector, measurands, ReadingContext.TRIGGER, turn.now)
    if sample is None:
        return None
    state.save_connector(turn, connector)  # the register that is told is not forgotten
    n = connector.config.n
    if fixed and transaction is not None and transaction.n == n and transaction.csms_id is not None:
        return TransactionEvent(
            type="Updated",
            trigger=TriggerReason.TRIGGER,
            seq=transaction.seq,
            at=sample.at,
            transaction=transaction.id,
            csms_id=transaction.csms_id,
            evse=evse.id,
            connector=connector.config.connector,
            n=n,
            samples=(sample,),
        )
    return MeterValues(n, evse.id, (sample,))


def _transaction_events(state: StationState, turn: Turn, place: Place) -> StatusReply:
    """# F06.FR.07: Updated with trigger reason Trigger, for every running transaction meant."""
    if state.flavor is not None and state.flavor.stop_points is not None:
        return StatusReply(status="NotImplemented")
    numbers = _numbers(state, place)
    told = False
    for evse in state.evses.values():
        transaction = evse.transaction
        if transaction is None or transaction.ending or numbers is None or transaction.n not in numbers:
            continue
        connector = state.by_n[transaction.n]
        measurands = state.variables.updated_measurands
        sample = metering.sample(state, connector, measurands, ReadingContext.TRIGGER, turn.now)
        events.emit(
            state,
            turn,
            evse,
            transaction,
            "Updated",
            TriggerReason.TRIGGER,
            charging_state=availability.charging_state(evse, connector),
            samples=() if sample is None else (sample,),
        )
        told = True
    return StatusReply(status="Accepted" if told else "Rejected")


def _ask(state: StationState, turn: Turn, report: Report) -> None:
    ref = state.next_number(turn)
    state.triggered.add(ref)
    turn.do(Ask(ref, report, urgent=True))
