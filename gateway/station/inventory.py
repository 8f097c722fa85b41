"""Inventories of the device model: a snapshot told page by page, never in the way of transactions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from gateway.station.effects import Ask
from gateway.station.reports import Acknowledged, ReportedVariable, VariablePage
from gateway.station.requests import StatusReply

if TYPE_CHECKING:
    from gateway.station.reports import Answer
    from gateway.station.requests import InventoryRequested
    from gateway.station.state import StationState
    from gateway.station.turn import Turn

PAGE = 25
"""Variables a page: well below 16 KiB a frame."""
MOST = 4
"""More inventories are not told at once."""


class Telling(Struct):
    """An inventory on its way: bound to the link, gone with it."""

    request_id: int
    rows: Iterator[ReportedVariable]
    ahead: ReportedVariable | None
    seq: int = 0
    ref: int | None = None


def requested(state: StationState, turn: Turn, request: InventoryRequested) -> StatusReply:
    """# B07."""
    if request.base == "SummaryInventory":
        return StatusReply(status="NotSupported")  # [TC_B_15]
    if len(state.inventories) >= MOST:
        return StatusReply(status="Rejected", info="too many reports at once")
    rows = state.variables.inventory(request.base)
    first = next(rows, None)
    if first is None:
        return StatusReply(status="EmptyResultSet")
    state.inventories.append(Telling(request.request_id, rows, first))
    hand_out(state, turn)
    return StatusReply(status="Accepted")


def hand_out(state: StationState, turn: Turn) -> None:
    """The next page of the oldest inventory, one page at a time."""
    if not state.linked or not state.inventories:
        return
    telling = state.inventories[0]
    if telling.ref is not None:
        return
    page: list[ReportedVariable] = []
    while telling.ahead is not None and len(page) < PAGE:
        page.append(telling.ahead)
        telling.ahead = next(telling.rows, None)
    telling.ref = state.next_number(turn)
    report = VariablePage(
        telling.request_id,
        telling.seq,
        state.stamp(turn.now.wall),
        tuple(page),
        more=telling.ahead is not None,
    )
    turn.do(Ask(telling.ref, report, urgent=True))


def answered(state: StationState, turn: Turn, ref: int, answer: Answer) -> bool:
    """A page was taken, or was not: then the rest of that inventory is dropped."""
    if not state.inventories or state.inventories[0].ref != ref:
        return False
    telling = state.inventories[0]
    telling.ref = None
    telling.seq += 1
    if telling.ahead is None or not isinstance(answer, Acknowledged):
        state.inventories.pop(0)
    hand_out(state, turn)
    return True
