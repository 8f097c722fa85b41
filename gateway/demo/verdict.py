"""Whether the CSMS was told what the devices did: nothing else, nothing twice, every watt-hour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from msgspec import Struct

from gateway.demo_csms import DemoTransaction

FEWEST_SAMPLES = 2

_REGISTER = "Energy.Active.Import.Register"
_PERIODIC = "Sample.Periodic"
_TOLERANCE_WH = {"ocpp1.6": 1.0, "ocpp2.0.1": 0.01}
"""1.6 tells meterStart and meterStop in whole Wh."""


class Visit(Struct, frozen=True, kw_only=True):
    """One charge as the device has seen it."""

    identity: str
    evse: int
    """1.6: the connector."""
    token: str
    begin_wh: float
    end_wh: float
    reason: str
    """Why it ended, in the word that OCPP has for it."""
    away: tuple[datetime, datetime] | None = None
    """From when until when there was no CSMS; what was on its way then may come twice, word for word."""


class Record(Struct, kw_only=True):
    """What devices and CSMS know once a piece has been played."""

    visits: Sequence[Visit]
    transactions: Sequence[DemoTransaction]
    refused_tokens: Sequence[str] = ()
    """Of cards that were shown and must not have started anything."""
    refusals: Mapping[str, str | None] = {}
    """What the device was told about each such card."""
    status: Mapping[tuple[str, int, int], str]
    """The last status that the CSMS knows, by (identity, EVSE, connector)."""
    energized: Sequence[str] = ()
    """Connectors whose contactor is closed."""
    problems: Sequence[str] = ()
    """What the CSMS had to complain about, such as a frame against the schema."""


class Sample(NamedTuple):
    """One reading of the register in a transaction."""

    at: datetime
    register_wh: float
    context: str


def differences(record: Record) -> list[str]:
    """Everything that is not as it should be, a sentence each; empty: all is well."""
    return list(_differences(record))


def of(visit: Visit, transactions: Sequence[DemoTransaction]) -> list[DemoTransaction]:
    """The transactions that the CSMS has of a visit; there should be one."""
    wanted = visit.identity, visit.evse, visit.token
    return [each for each in transactions if (each.identity, each.evse, each.token) == wanted]


def samples(transaction: DemoTransaction) -> list[Sample]:
    """All readings of the register that were told, in order of arrival."""
    return [
        Sample(datetime.fromisoformat(reading["timestamp"]), _wh(value), value.get("context", _PERIODIC))
        for report in transaction.reports
        for reading in [*report.get("meterValue", ()), *report.get("transactionData", ())]
        for value in reading["sampledValue"]
        if value.get("measurand", _REGISTER) == _REGISTER and "phase" not in value
    ]


def _differences(record: Record) -> Iterator[str]:
    told = [each for visit in record.visits for each in of(visit, record.transactions)]
    for visit in record.visits:
        place = f"{visit.identity}, EVSE {visit.evse}, token {visit.token}"
        match of(visit, record.transactions):
            case [transaction]:
                for difference in _of_transaction(visit, transaction):
                    yield f"{place}: {difference}"
            case found:
                yield f"{place}: one visit, but {len(found)} transactions at the CSMS"
    for transaction in record.transactions:
        if transaction.token in record.refused_tokens:
            yield f"{transaction.identity}: the refused token {transaction.token} started a transaction"
        elif transaction not in told:
            yield f"{transaction.identity}: transaction {transaction.transaction_id} belongs to no visit"
    for token in record.refused_tokens:
        verdict = record.refusals.get(token)
        if verdict != "refused":
            yield f"the blocked token {token} should have been answered with 'refused', not {verdict!r}"
    for (identity, evse, connector), status in record.status.items():
        if status != "Available":
            yield f"{identity}, EVSE {evse}, connector {connector}: the last status is {status}, not Available"
    yield from (f"{place}: still energized" for place in record.energized)
    yield from (f"the CSMS complains: {problem}" for problem in record.problems)


def _of_transaction(visit: Visit, transaction: DemoTransaction) -> Iterator[str]:
    starts, ends = _ends_of(transaction.reports, again=visit.away is not None)
    if (starts, ends) != (1, 1):
        yield f"{starts} starts and {ends} ends were told, not one of each"
    if transaction.stopped_reason != visit.reason:
        yield f"it ended because of {transaction.stopped_reason}, not {visit.reason}"
    yield from _of_energy(visit, transaction)
    numbers = transaction.sequence_numbers
    if visit.away is not None:
        numbers = list(dict.fromkeys(numbers))
    if numbers != list(range(len(numbers))):
        yield f"sequence numbers {numbers} are not 0, 1, 2 …"
    moments = [
        datetime.fromisoformat(at) for report in transaction.reports if (at := report.get("timestamp"))
    ]
    if moments != sorted(moments):
        yield "its messages came in another order than things happened"
    yield from _of_samples(visit, transaction)


def _of_energy(visit: Visit, transaction: DemoTransaction) -> Iterator[str]:
    tolerance_wh = _TOLERANCE_WH[transaction.version]
    begin_wh, end_wh = transaction.meter_start_wh, transaction.meter_stop_wh
    if begin_wh is None or end_wh is None:
        yield f"a register is missing: begin {begin_wh}, end {end_wh}"
        return
    for name, told_wh, shown_wh in (
        ("begin", begin_wh, visit.begin_wh),
        ("end", end_wh, visit.end_wh),
        ("energy", end_wh - begin_wh, visit.end_wh - visit.begin_wh),
    ):
        if abs(told_wh - shown_wh) > tolerance_wh:
            yield f"{name}: the device shows {shown_wh:.3f} Wh, the CSMS was told {told_wh:.3f} Wh"


def _of_samples(visit: Visit, transaction: DemoTransaction) -> Iterator[str]:
    periodic = [sample for sample in samples(transaction) if sample.context == _PERIODIC]
    if visit.away is not None:
        periodic = list(dict.fromkeys(periodic))
    if len(periodic) < FEWEST_SAMPLES:
        yield f"only {len(periodic)} periodic samples came, not at least {FEWEST_SAMPLES}"
    if any(later.at <= sooner.at for sooner, later in pairwise(periodic)):
        yield "its samples are out of order, or came twice"
    registers = [visit.begin_wh, *(sample.register_wh for sample in periodic), visit.end_wh]
    tolerance_wh = _TOLERANCE_WH[transaction.version]
    if any(later + tolerance_wh < sooner for sooner, later in pairwise(registers)):
        yield f"its register falls: {registers}"
    if visit.away is not None and not any(visit.away[0] < sample.at < visit.away[1] for sample in periodic):
        yield "nothing was sampled while the CSMS was away"


def _ends_of(reports: Sequence[dict[str, Any]], *, again: bool) -> tuple[int, int]:
    """How many starts and ends were told; with `again`, equal ones count once."""
    starts = [each for each in reports if "meterStart" in each or each.get("eventType") == "Started"]
    ends = [each for each in reports if "meterStop" in each or each.get("eventType") == "Ended"]
    if again:
        starts, ends = (
            [each for n, each in enumerate(some) if each not in some[:n]] for some in (starts, ends)
        )
    return len(starts), len(ends)


def _wh(value: dict[str, Any]) -> float:
    """1.6 has the value as text and the unit beside it; 2.0.1 a number, with unit and multiplier."""
    measure = value.get("unitOfMeasure", {})
    unit = measure.get("unit", value.get("unit", "Wh"))
    factor: float = (1000.0 if unit == "kWh" else 1.0) * 10.0 ** measure.get("multiplier", 0)
    return float(value["value"]) * factor
