"""A token refused after its transaction began: stop, or withhold energy, now or after an allowance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.station import grants, metering, setpoints, tokens
from gateway.station import transaction_events as events
from gateway.station.model import AuthorizationStatus, StopReason, TokenInfo, TriggerReason
from gateway.station.reports import Failed, TransactionAnswer, TransactionEvent

if TYPE_CHECKING:
    from gateway.station.records import TransactionRecord
    from gateway.station.reports import Answer
    from gateway.station.state import Evse, StationState
    from gateway.station.turn import Turn


def answered(
    state: StationState, turn: Turn, event: TransactionEvent, answer: Answer, *, finished: bool
) -> None:
    """The CSMS has answered an event, or it was given up (# 1.6 §4.8, E05)."""
    transaction = state.transaction(event.transaction)
    if transaction is None:
        return
    if isinstance(answer, TransactionAnswer):
        if answer.csms_id is not None and answer.csms_id != transaction.csms_id:
            transaction.csms_id = answer.csms_id
            state.save_transaction(turn, transaction)
        token = event.id_token or event.start_token
        if answer.info is not None and token is not None:
            tokens.learn(state, turn, token, answer.info)
            _judge(state, turn, transaction, event, answer.info)
    elif isinstance(answer, Failed):
        state.last_error = (
            f"{event.type} of {transaction.id}: {answer.kind} {answer.code} {answer.detail}".strip()
        )
    if finished and event.type == "Ended":
        state.ended.pop(transaction.id, None)
        turn.save("transaction", transaction.id, None)


def _judge(
    state: StationState, turn: Turn, transaction: TransactionRecord, event: TransactionEvent, info: TokenInfo
) -> None:
    """The token of a running transaction is refused after the fact (# 1.6 §4.8, E05, C15)."""
    if info.group is not None and transaction.group is None and event.type != "Ended":
        transaction.group = info.group
        state.save_transaction(turn, transaction)
    if state.config.report_only or state.config.policy.authorizer == "local":
        return  # the CSMS only looks on: the transaction is told to its end
    evse = state.evses[transaction.evse]
    refused = info.status is not AuthorizationStatus.ACCEPTED
    if not refused or evse.transaction is not transaction or transaction.ending or not transaction.authorized:
        return
    transaction.refused = str(info.status)
    state.save_transaction(turn, transaction)
    allowance = state.variables.max_energy_on_invalid_id_wh
    register = metering.register_wh(state.by_n[transaction.n])
    if allowance > 0 and register is not None and transaction.energy_limit_wh is None:
        transaction.energy_limit_wh = register + allowance
        return
    _withdraw(state, turn, evse, transaction)


def limit_energy(state: StationState, turn: Turn, evse: Evse, transaction: TransactionRecord) -> None:
    """The energy allowed with a refused token is used up (# MaxEnergyOnInvalidId)."""
    limit = transaction.energy_limit_wh
    register = metering.register_wh(state.by_n[transaction.n])
    if limit is not None and transaction.authorized and register is not None and register >= limit:
        transaction.energy_limit_wh = None
        _withdraw(state, turn, evse, transaction)


def _withdraw(state: StationState, turn: Turn, evse: Evse, transaction: TransactionRecord) -> None:
    connector = state.by_n[transaction.n]
    if state.variables.stop_on_invalid_id:
        if connector.config.lock:
            connector.record.keep_locked = True  # E05.FR.05, 1.6 [E3.5]
            state.save_connector(turn, connector)
        grants.take_back(state, turn, evse, StopReason.DE_AUTHORIZED, TriggerReason.DEAUTHORIZED)
        return
    transaction.suspended = True
    setpoints.off(state, turn, connector)
    events.update(state, turn, evse, transaction, TriggerReason.DEAUTHORIZED)
