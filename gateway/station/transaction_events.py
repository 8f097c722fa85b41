"""What a transaction tells: each event numbered when it happens, and true for ever after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gateway.station import availability, metering, outbox, tokens
from gateway.station.effects import Command
from gateway.station.model import ChargingState, ReadingContext, StopReason, TriggerReason
from gateway.station.reports import TransactionEvent

if TYPE_CHECKING:
    from gateway.station.model import IdToken, Sample
    from gateway.station.records import TransactionRecord
    from gateway.station.state import Connector, Evse, StationState
    from gateway.station.turn import Turn


def update(
    state: StationState,
    turn: Turn,
    evse: Evse,
    transaction: TransactionRecord,
    trigger: TriggerReason,
    *,
    id_token: IdToken | None = None,
    remote_start_id: int | None = None,
    samples: tuple[Sample, ...] = (),
) -> None:
    connector = state.by_n[transaction.n]
    now_doing = availability.charging_state(evse, connector)
    changed = now_doing is not transaction.charging_state
    transaction.charging_state = now_doing
    emit(
        state,
        turn,
        evse,
        transaction,
        "Updated",
        trigger,
        charging_state=now_doing if changed else None,
        id_token=id_token,
        remote_start_id=remote_start_id,
        samples=samples,
    )


def emit(  # noqa: PLR0913 - an event's fields
    state: StationState,
    turn: Turn,
    evse: Evse,
    transaction: TransactionRecord,
    kind: Literal["Started", "Updated", "Ended"],
    trigger: TriggerReason,
    *,
    at: float | None = None,
    charging_state: ChargingState | None = None,
    samples: tuple[Sample, ...] = (),
    id_token: IdToken | None = None,
    start_token: IdToken | None = None,
    remote_start_id: int | None = None,
    stop_reason: StopReason | None = None,
    register_wh: float | None = None,
) -> None:
    """Give an event its number, and queue it; what was true now stays true in it."""
    connector = state.by_n[transaction.n]
    facts = connector.record.facts
    if samples and kind != "Ended":
        transaction.register_wh = metering.register_wh(connector)
    phases = None
    if charging_state is ChargingState.CHARGING and facts.phases != transaction.phases_told:
        phases = transaction.phases_told = facts.phases
    first_with_evse = not transaction.evse_told
    transaction.evse_told = True
    event = TransactionEvent(
        type=kind,
        trigger=trigger,
        seq=transaction.seq,
        at=state.stamp(turn.now.wall if at is None else at),
        transaction=transaction.id,
        evse=evse.id,
        connector=connector.config.connector,
        n=transaction.n,
        tell_evse=first_with_evse,
        charging_state=charging_state,
        id_token=id_token,
        start_token=start_token,
        reservation_id=transaction.reservation_id if kind == "Started" else None,
        remote_start_id=remote_start_id,
        stop_reason=stop_reason,
        samples=samples,
        register_wh=register_wh,
        phases_used=phases,
        cable_limit_a=facts.cable_limit_a if first_with_evse and transaction.plugged else None,
        offline=not state.linked,
    )
    transaction.seq += 1
    state.save_transaction(turn, transaction)
    outbox.add(state, turn, event)


def measure(state: StationState, turn: Turn, connector: Connector, context: ReadingContext) -> None:
    """Ask the device for a reading, where it understands that."""
    if "measure" not in state.record.commands or connector.away_since is not None:
        return
    command = state.next_id(turn)
    turn.do(
        Command(
            connector.config.n,
            "measure",
            command,
            10,
            {"ref": command, "context": str(context)},
            state.record.device_boot_id,
        )
    )
    connector.measure_ref = command


def summary(state: StationState, transaction: TransactionRecord) -> dict[str, object]:
    register, start = transaction.register_wh, transaction.meter_start_wh
    return {
        "transaction": transaction.id,
        "id_token": None if transaction.token is None else tokens.shown(state, transaction.token),
        "meter_start_wh": start,
        "meter_stop_wh": transaction.meter_stop_wh,
        "energy_wh": None if register is None or start is None else round(register - start, 3),
        "stop_reason": None if transaction.cause is None else str(transaction.cause),
    }
