"""What the CSMS asks: each request has its effect, or an honest refusal; the reply goes before what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import (
    authorization,
    availability,
    certificates,
    commands,
    firmware,
    grants,
    identity,
    inventory,
    local_list,
    log_uploads,
    operation,
    own_certificates,
    registration,
    report_only,
    reservations,
    resets,
    sampling,
    smart_charging,
    tokens,
    triggers,
    vendor_messages,
)
from gateway.station.certificate_work import (
    CertificateDeletionRequested,
    CertificateGiven,
    CertificateSigned,
    CertificatesRequested,
)
from gateway.station.effects import Answer
from gateway.station.model import RegistrationStatus, StopReason, TriggerReason
from gateway.station.records import VariableRecord
from gateway.station.requests import (
    AvailabilityRequested,
    CacheClearRequested,
    ChargingProfileClearRequested,
    ChargingProfileGiven,
    CompositeScheduleRequested,
    InventoryRequested,
    LocalListGiven,
    LocalListVersionRequested,
    Place,
    Refusal,
    RefusalCode,
    ReservationCancelRequested,
    ReserveRequested,
    ResetRequested,
    StartRequested,
    StatusReply,
    StopRequested,
    TransactionStatusReply,
    TransactionStatusRequested,
    TriggerRequested,
    UnlockRequested,
    VariableRef,
    VariableResult,
    VariablesGiven,
    VariablesReply,
    VariablesRequested,
    VendorMessageReceived,
)
from gateway.station.transfer_work import FirmwareGiven, LogRequested
from gateway.station.variable_definitions import HIDDEN

if TYPE_CHECKING:
    from gateway.station.events import CsmsAsked
    from gateway.station.model import IdToken
    from gateway.station.requests import Reply
    from gateway.station.state import Evse, StationState
    from gateway.station.turn import Turn


def asked(state: StationState, turn: Turn, event: CsmsAsked) -> None:
    """Carry out a request; the reply precedes every effect of it on the wire."""
    flavor = state.flavor
    if state.registration is RegistrationStatus.REJECTED and (
        flavor is None or flavor.answers_while_rejected
    ):
        turn.do(
            Answer(event.ref, Refusal(RefusalCode.SECURITY, "the station is not registered"))
        )  # B03.FR.08
        return
    before = len(turn.effects)
    reply = report_only.refused(event.request) if state.config.report_only else None
    reply = reply or _reply(state, turn, event)
    if reply is not None:
        turn.effects.insert(before, Answer(event.ref, reply))


def _reply(state: StationState, turn: Turn, event: CsmsAsked) -> Reply | None:
    request = event.request
    match request:
        case StartRequested():
            return _start(state, turn, request)
        case StopRequested():
            return _stop(state, turn, request)
        case UnlockRequested():
            return _unlock(state, turn, request, event.ref)
        case ResetRequested():
            return resets.requested(state, turn, request)
        case AvailabilityRequested():
            return operation.requested(state, turn, request)
        case VariablesRequested():
            return VariablesReply(tuple(state.variables.get(ref) for ref in request.refs))
        case VariablesGiven():
            return _set_variables(state, turn, request)
        case InventoryRequested():
            return inventory.requested(state, turn, request)
        case CacheClearRequested():
            cleared = tokens.clear_cache(state, turn)
            return StatusReply(status="Accepted" if cleared else "Rejected")
        case LocalListGiven():
            return local_list.given(state, turn, request)
        case LocalListVersionRequested():
            return local_list.version_reply(state)
        case ReserveRequested():
            return reservations.requested(state, turn, request)
        case ReservationCancelRequested():
            return reservations.cancel_requested(state, turn, request)
        case ChargingProfileGiven():
            return smart_charging.given(state, turn, request)
        case ChargingProfileClearRequested():
            return smart_charging.cleared(state, turn, request)
        case CompositeScheduleRequested():
            return smart_charging.composite(state, turn, request)
        case TriggerRequested():
            return triggers.requested(state, turn, request)
        case CertificateGiven():
            return certificates.given(state, turn, request, event.ref)
        case CertificatesRequested():
            return certificates.requested(state, request)
        case CertificateDeletionRequested():
            return certificates.deletion_requested(state, turn, request)
        case CertificateSigned():
            return own_certificates.signed(state, turn, request, event.ref)
        case FirmwareGiven():
            return firmware.given(state, turn, request, event.ref)
        case LogRequested():
            return log_uploads.requested(state, turn, request)
        case TransactionStatusRequested():
            return _transaction_status(state, request)
        case VendorMessageReceived():
            return vendor_messages.received(state, turn, request, event.ref)
        case _:
            return Refusal(RefusalCode.NOT_SUPPORTED, f"{type(request).__name__} is not supported")


# ------------------------------------------------------------------ places


def connector_numbers(state: StationState, place: Place) -> list[int] | None:
    """The connectors meant; None when there is no such place."""
    if place.n is not None:
        if place.n == 0:
            return sorted(state.by_n)
        return [place.n] if place.n in state.by_n else None
    if place.evse is None or place.evse == 0:
        return sorted(state.by_n)
    evse = state.evses.get(place.evse)
    if evse is None:
        return None
    numbers = [
        connector.config.n
        for connector in evse.connectors
        if place.connector is None or connector.config.connector == place.connector
    ]
    return numbers or None


# ------------------------------------------------------------------ starting and stopping


def _start(state: StationState, turn: Turn, request: StartRequested) -> StatusReply:
    """# 1.6 §5.11, F01, F02."""
    if not state.accepted:
        return StatusReply(status="Rejected", reason_code="CSNotAccepted")  # B02.FR.05
    place = request.place
    if place.n == 0 or place.evse == 0:
        return StatusReply(status="Rejected", reason_code="UnknownConnectorId")  # [TC_027]
    numbers = connector_numbers(state, place)
    if numbers is None:
        return StatusReply(status="Rejected", reason_code="UnknownEvse")
    profile = request.profile
    refused = None if profile is None else smart_charging.start_refused(state, profile)
    if refused is not None:
        return refused
    reply = StatusReply(status="Rejected", reason_code="TxInProgress")
    for n in _best_first(state, numbers, request.token):
        evse = state.evse_of(n)
        transaction = evse.transaction
        taken = evse.grant is not None or evse.question is not None or evse.beginning is not None
        if taken or (transaction is not None and (transaction.authorized or transaction.ending)):
            continue
        obstacle = grants.obstacle_to_start(state, evse, n)
        if obstacle is None and grants.is_kept_from(state, evse, request.token, request.group):
            obstacle = "reserved"
        if obstacle is not None:
            reply = StatusReply(status="Rejected", info=obstacle)
            continue
        if len(numbers) > 1 and place.n is None and place.evse is None and len(state.evses) > 1:
            chosen = availability.is_plugged(evse, state.by_n[n])
            if not chosen:
                return StatusReply(status="Rejected", reason_code="UnknownEvse", info="name the EVSE")
        named = (
            place.n is not None or availability.is_plugged(evse, state.by_n[n]) or len(evse.connectors) == 1
        )
        authorization.start_remotely(
            state, turn, evse, n if named else 0, request.token, request.remote_start_id, request.group
        )
        promised = evse.grant or evse.question
        if promised is not None:
            promised.profile = profile
        running = None if transaction is None else transaction.id  # F01.FR.13
        return StatusReply(status="Accepted", transaction=running)
    return reply


def _best_first(state: StationState, numbers: list[int], token: IdToken) -> list[int]:
    """Plugged connectors before the others, and what is reserved for the token before all."""
    reserved = reservations.evse_for(state, token)

    def rank(n: int) -> tuple[bool, bool]:
        evse = state.evse_of(n)
        return evse is not reserved, not availability.is_plugged(evse, state.by_n[n])

    return sorted(numbers, key=rank)


def _stop(state: StationState, turn: Turn, request: StopRequested) -> StatusReply:
    """# 1.6 §5.12, F03."""
    evse = _running(state, request)
    if evse is None or not state.accepted:
        return StatusReply(status="Rejected", reason_code="TxNotFound")
    stop_remotely(state, turn, evse)
    return StatusReply(status="Accepted")


def stop_remotely(state: StationState, turn: Turn, evse: Evse) -> None:
    """Authorization ends from afar."""
    evse.question = None
    grants.take_back(state, turn, evse, StopReason.REMOTE, TriggerReason.REMOTE_STOP)


def _running(state: StationState, request: StopRequested) -> Evse | None:
    for evse in state.evses.values():
        transaction = evse.transaction
        if transaction is None or transaction.ending:
            continue
        if request.transaction is not None and transaction.id == request.transaction:
            return evse
        if request.csms_id is not None and transaction.csms_id == request.csms_id:
            return evse
    return None


def _transaction_status(state: StationState, request: TransactionStatusRequested) -> TransactionStatusReply:
    """# E14."""
    if request.transaction is None:
        return TransactionStatusReply(messages_in_queue=bool(state.outbox.transactions.rows))
    running = any(
        evse.transaction is not None and evse.transaction.id == request.transaction
        for evse in state.evses.values()
    )
    return TransactionStatusReply(state.outbox.waits_for(request.transaction), ongoing=running)


# ------------------------------------------------------------------ the rest


def _unlock(state: StationState, turn: Turn, request: UnlockRequested, ref: int) -> Reply | None:
    """# 1.6 §5.18, F05."""
    if request.place.n == 0:
        return StatusReply(status="UnknownConnector")
    numbers = connector_numbers(state, request.place)
    if numbers is None or len(numbers) > 1:
        return StatusReply(status="UnknownConnector")
    n = numbers[0]
    evse = state.evse_of(n)
    transaction = evse.transaction
    ends = state.flavor is not None and state.flavor.unlock_ends_transaction
    busy = transaction is not None and transaction.n == n and transaction.authorized
    if busy and not ends:
        return StatusReply(status="OngoingAuthorizedTransaction")  # F05.FR.02
    refused = commands.unlock(state, turn, n, reply_ref=ref)
    if refused is not None:
        return StatusReply(status=refused)
    if busy:
        grants.take_back(state, turn, evse, StopReason.UNLOCK_COMMAND, TriggerReason.UNLOCK_COMMAND)
    return None


def _set_variables(state: StationState, turn: Turn, request: VariablesGiven) -> VariablesReply:
    """# B05, 1.6 §5.3."""
    results = tuple(_set_variable(state, ref, text) for ref, text in request.entries)
    save_variables(state, turn)
    return VariablesReply(results)


def _set_variable(state: StationState, ref: VariableRef, text: str) -> VariableResult:
    if (ref.component, ref.variable) == (HIDDEN, "SecurityProfile"):
        obstacle = identity.obstacle(state, text)
        if obstacle is not None:
            return VariableResult(ref, "Rejected", info=obstacle)
    return state.variables.set(ref, text)


def save_variables(state: StationState, turn: Turn) -> None:
    """Keep what was written, and carry out what it means."""
    changed = state.variables.changed()
    if not changed:
        return
    for name, text in changed.items():
        turn.save("variable", name, None if text is None else VariableRecord(text))
    registration.variables_changed(state, turn, set(changed))
    if any(name.startswith("SampledDataCtrlr.") for name in changed):
        for evse in state.evses.values():
            if evse.transaction is not None and not evse.transaction.ending:
                sampling.resume(state, turn, evse)  # [TC_021]
