"""What waits to be told to the CSMS, in which order, how often, and when to give up.

| class | reports | order | kept | given up |
|---|---|---|---|---|
| transaction | TransactionEvent, MeterValues | strict | yes | after MessageAttempts (# 1.6 §3.7, E13) |
| guaranteed | SecurityEvent, Notification, VendorMessage | strict, own lane | yes | never (# A04) |
| latest only | Status | one a connector | what was told | asked again when it changes (availability.py) |
| bound to a request | VariablePage | page after page | no | with the link (provisioning.py) |
| now or never | Boot, Authorization, Heartbeat | ahead of all | no | at once |

The first two live here; the others are handed out by the blocks that own them.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from gateway.station.effects import Ask, Quarantine
from gateway.station.records import Row
from gateway.station.reports import (
    Acknowledged,
    Failed,
    FailureKind,
    MeterValues,
    TransactionAnswer,
    TransactionEvent,
)

if TYPE_CHECKING:
    from gateway.station.records import QueuedReport
    from gateway.station.reports import Answer
    from gateway.station.state import StationState
    from gateway.station.turn import Turn

_GUARANTEED_RETRY_MAX_S = 300.0


class Told(Struct):
    """What became of a row: told, or given up."""

    row: Row
    answer: Answer
    finished: bool
    """The row is gone; else it waits for its next call or its next attempt."""

    @property
    def routine(self) -> bool:
        """An update was taken note of, and nothing was said about it."""
        report, answer = self.row.report, self.answer
        if not self.finished or not isinstance(report, TransactionEvent) or report.type != "Updated":
            return False
        return isinstance(answer, Acknowledged) or (
            isinstance(answer, TransactionAnswer) and answer.info is None
        )


class Lane:
    """Rows in order, at most one of them on the wire."""

    __slots__ = ("attempts", "in_flight", "retry_at", "rows")

    def __init__(self) -> None:
        """Nothing waits."""
        self.rows: deque[Row] = deque()
        self.in_flight: int | None = None
        """ref under which the first row was handed out."""
        self.attempts = 0
        self.retry_at: float | None = None
        """Monotonic; not before this is the first row tried again."""


class Outbox:
    """The two durable lanes of a station."""

    __slots__ = ("guaranteed", "transactions")

    def __init__(self) -> None:
        """Nothing waits."""
        self.transactions = Lane()
        self.guaranteed = Lane()

    def __len__(self) -> int:
        """How many rows wait."""
        return len(self.transactions.rows) + len(self.guaranteed.rows)

    @property
    def waiting(self) -> int:
        """How many rows wait that are not on the wire."""
        lanes = (self.transactions, self.guaranteed)
        return sum(len(lane.rows) - (lane.in_flight is not None) for lane in lanes)

    def lane_of(self, report: QueuedReport) -> Lane:
        """Where a report waits."""
        return self.transactions if isinstance(report, TransactionEvent | MeterValues) else self.guaranteed

    def waits_for(self, transaction_id: str) -> bool:
        """Whether anything of this transaction is still to be told."""
        return any(
            isinstance(row.report, TransactionEvent) and row.report.transaction == transaction_id
            for row in self.transactions.rows
        )


def add(state: StationState, turn: Turn, report: QueuedReport) -> None:
    """Queue a report; it is on disk before it is on the wire."""
    lane = state.outbox.lane_of(report)
    if len(lane.rows) >= state.config.policy.max_queued:
        _thin(turn, lane)
    row = Row(
        position=state.next_number(turn),
        report=report,
        csms_url=state.config.csms_url,
        link=state.link_epoch if state.linked else -1,
        offset_s=None if state.synced or turn.now.synced else state.record.clock_offset_s,
    )
    lane.rows.append(row)
    turn.save("outbox", str(row.position), row)
    hand_out(state, turn)


def restore(state: StationState, rows: list[Row]) -> None:
    """Take up what a former process left; positions rise."""
    for row in rows:
        state.outbox.lane_of(row.report).rows.append(row)


def hand_out(state: StationState, turn: Turn) -> None:
    """Put the first row of each lane on the wire where that is allowed now."""
    if not state.online:
        return
    for lane in (state.outbox.transactions, state.outbox.guaranteed):
        if not lane.rows or lane.in_flight is not None:
            continue
        if lane.retry_at is not None and turn.now.monotonic < lane.retry_at:
            continue
        lane.retry_at = None
        row = lane.rows[0]
        lane.in_flight = state.next_number(turn)
        turn.do(Ask(lane.in_flight, _as_told(state, turn, row), urgent=False, first_step=row.step))


def answered(state: StationState, turn: Turn, ref: int, answer: Answer, *, last: bool) -> Told | None:
    """Take note of an answer; None when no row of ours was asked under this ref."""
    for lane in (state.outbox.transactions, state.outbox.guaranteed):
        if lane.in_flight == ref:
            return _answered(state, turn, lane, answer, last=last)
    return None


def link_lost(state: StationState) -> None:
    """Nothing is on the wire any more; losing the link costs no attempt."""
    for lane in (state.outbox.transactions, state.outbox.guaranteed):
        lane.in_flight = None
        lane.retry_at = None


def deadline(state: StationState) -> float | None:
    """When a row is to be tried again, monotonic."""
    if not state.online:
        return None
    times = [
        lane.retry_at
        for lane in (state.outbox.transactions, state.outbox.guaranteed)
        if lane.retry_at is not None and lane.rows
    ]
    return min(times, default=None)


# ------------------------------------------------------------------ private


def _answered(state: StationState, turn: Turn, lane: Lane, answer: Answer, *, last: bool) -> Told:
    row = lane.rows[0]
    if isinstance(answer, Failed):
        lane.in_flight = None
        if answer.kind is FailureKind.LOST:
            return Told(row, answer, finished=False)
        return _failed(state, turn, lane, row, answer)
    if not last:
        row.step += 1
        lane.in_flight = None
        lane.attempts = 0  # each call has attempts of its own (# 1.6 §3.7.1)
        turn.save("outbox", str(row.position), row)
        return Told(row, answer, finished=False)
    _drop_first(turn, lane)
    return Told(row, answer, finished=True)


def _failed(state: StationState, turn: Turn, lane: Lane, row: Row, answer: Failed) -> Told:
    lane.attempts += 1
    interval = state.variables.message_attempt_interval_s
    if lane is state.outbox.transactions:
        allowed = state.variables.message_attempts
        if lane.attempts >= max(1, allowed):
            why = f"{answer.kind} {answer.code} {answer.detail}".strip()
            what = f"{type(row.report).__name__} {row.position}"
            turn.do(Quarantine(what, f"given up after {lane.attempts} attempts: {why}"))
            _drop_first(turn, lane)
            return Told(row, answer, finished=True)
        wait = float(interval * lane.attempts)
    else:
        wait = min(max(interval, 1) * lane.attempts, _GUARANTEED_RETRY_MAX_S)
    lane.retry_at = turn.now.monotonic + wait
    return Told(row, answer, finished=False)


def _drop_first(turn: Turn, lane: Lane) -> None:
    row = lane.rows.popleft()
    turn.save("outbox", str(row.position), None)
    lane.in_flight = None
    lane.attempts = 0
    lane.retry_at = None


def _as_told(state: StationState, turn: Turn, row: Row) -> QueuedReport:
    """The report with what is only known at the time of telling."""
    if row.offset_s is not None:
        _settle_clock(state, turn, row)
    report = row.report
    if not isinstance(report, TransactionEvent):
        return report
    transaction = state.transaction(report.transaction)
    if transaction is None:
        return report
    if not transaction.sent:
        transaction.sent = True
        state.save_transaction(turn, transaction)
    offline = report.offline or row.link != state.link_epoch
    if transaction.csms_id is None and not offline:
        return report
    return replace(report, csms_id=transaction.csms_id, offline=offline)


def _settle_clock(state: StationState, turn: Turn, row: Row) -> None:
    """Correct stamps taken before the clock was synchronised, once and for all."""
    shift = state.record.clock_offset_s - (row.offset_s or 0.0)
    row.offset_s = None
    if shift:
        row.report = _shifted(row.report, shift)
    turn.save("outbox", str(row.position), row)


def _shifted(report: QueuedReport, shift: float) -> QueuedReport:
    if isinstance(report, TransactionEvent):
        samples = tuple(replace(sample, at=sample.at + shift) for sample in report.samples)
        return replace(report, at=report.at + shift, samples=samples)
    if isinstance(report, MeterValues):
        return replace(
            report, samples=tuple(replace(sample, at=sample.at + shift) for sample in report.samples)
        )
    if hasattr(report, "at"):
        return replace(report, at=report.at + shift)
    return report


def _thin(turn: Turn, lane: Lane) -> None:
    """Make room: drop every other intermediate meter value, never a start or an end (# E04.FR.07)."""
    kept: deque[Row] = deque(islice(lane.rows, 1))
    drop = False
    for row in islice(lane.rows, 1, None):
        report = row.report
        droppable = isinstance(report, MeterValues) or (
            isinstance(report, TransactionEvent) and report.type == "Updated" and bool(report.samples)
        )
        if droppable:
            drop = not drop
            if drop:
                turn.save("outbox", str(row.position), None)
                continue
        kept.append(row)
    lane.rows = kept
