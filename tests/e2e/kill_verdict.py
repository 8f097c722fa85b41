"""What must be true afterwards: the devices' truth against what the CSMS was told, word for word."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from msgspec import Struct

from tests.e2e.kill_blows import Blow
from tests.e2e.kill_site import METER_INTERVAL_S, Device, Gesture, Span, Truth
from tests.support.csms import Call, Ledger, TransactionRecord
from tests.support.csms_station import Station

_STAMP_SLACK_S = 0.3
"""The gateway may stamp by the CSMS's clock, as far as it knows it."""
_BEGIN_S = 1.0
"""Who pulls the plug sooner after the beep may have been faster than the start."""
_ORDERED = frozenset({"StartTransaction", "StopTransaction", "TransactionEvent", "MeterValues"})


class Told(Struct):
    """One transaction as the CSMS was told, at last."""

    n: int
    token: str
    began_at: float
    ended_at: float
    start_wh: float
    stop_wh: float
    stopped_by_card: bool
    samples: list[tuple[float, float]]
    """(wall time, register) of each periodic one, in order of telling."""
    record: TransactionRecord


class Claim(Struct):
    """How exactly things must hold."""

    valid_s: float
    """A contactor may stay closed so long after its gateway fell silent."""
    sample_interval_s: float
    blocked: tuple[str, ...]


def everything_told(ledger: Ledger, device: Device) -> bool:
    """Whether all energy that went through the device's connectors is in complete transactions."""
    records = ledger.transactions(device.name)
    if not all(record.complete and not record.missing_numbers() for record in records):
        return False
    told = [read(record) for record in records]
    for n in device.truth:
        mine = [one for one in told if one.n == n]
        last_wh = mine[-1].stop_wh if mine else None
        if not device.truth[n].spans:
            continue
        if last_wh is None or abs(last_wh - _register(device, n)) > exactness(mine[-1]):
            return False
    return True


def complaints(
    device: Device, station: Station, ledger: Ledger, blows: list[Blow], claim: Claim
) -> list[str]:
    """Everything about one station that is not as it must be; each a sentence with its place."""
    records = ledger.transactions(device.name)
    found = [f"transaction {r.transaction_id}: {anomaly}" for r in records for anomaly in r.anomalies]
    found += [
        f"transaction {r.transaction_id} is not complete: start {r.started}, end {r.ended}"
        for r in records
        if r.started is None or r.ended is None
    ]
    if not found:
        told = [read(record) for record in records]
        for n, truth in device.truth.items():
            mine = sorted((one for one in told if one.n == n), key=lambda one: one.start_wh)
            found += [f"connector {n}: {c}" for c in _of_connector(device, n, truth, mine, blows, claim)]
        found += of_numbers(records)
        found += _of_repetitions(station, records)
    return [f"{device.name}: {complaint}" for complaint in found]


def left_behind(database: Path) -> Counter[str]:
    """Rows in the gateway's store that should have gone once everything was told."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        kinds = Counter(kind for (kind,) in connection.execute("SELECT kind FROM record"))
        (waiting,) = connection.execute("SELECT count(*) FROM outbox").fetchone()
    left = Counter({kind: kinds[kind] for kind in ("transaction", "ended_sample") if kinds[kind]})
    if waiting:
        left["outbox"] = waiting
    return left


def read(record: TransactionRecord) -> Told:
    """A complete transaction in the words of both versions; registers None where never told."""
    assert record.started is not None
    assert record.ended is not None
    first, last = record.started.payload, record.ended.payload
    if record.version == "ocpp1.6":
        n, token = first["connectorId"], first["idTag"]
        by_card = last.get("reason", "Local") == "Local"
    else:
        n, token = first["evse"]["id"], first["idToken"]["idToken"]
        by_card = last["triggerReason"] == "StopAuthorized"
    samples = [
        (_time(sample.timestamp), sample.value)
        for sample in record.samples()
        if sample.context == "Sample.Periodic" and isinstance(sample.value, float)
    ]
    return Told(
        n,
        token,
        _time(first["timestamp"]),
        _time(last["timestamp"]),
        float("nan") if record.meter_start_wh is None else record.meter_start_wh,
        float("nan") if record.meter_stop_wh is None else record.meter_stop_wh,
        by_card,
        samples,
        record,
    )


# ------------------------------------------------------------------ one connector


def _of_connector(
    device: Device, n: int, truth: Truth, told: list[Told], blows: list[Blow], claim: Claim
) -> Iterator[str]:
    first_wh = truth.spans[0].began_wh if truth.spans else _register(device, n)
    yield from of_registers(told, first_wh, _register(device, n))
    for span in truth.spans:
        yield from _of_span(device, span, told, claim)
    yield from _of_gestures(truth, told, blows, claim)
    yield from of_permissions(truth, told)
    shown = {round(register_wh, 3) for _, register_wh in truth.readings}
    for one in told:
        registers = [one.start_wh, *(value for _, value in one.samples), one.stop_wh]
        slack = exactness(one)
        if any(later < earlier - slack for earlier, later in pairwise(registers)):
            yield f"the register falls in {one.record.transaction_id}: {registers}"
        invented = [value for _, value in one.samples if round(value, 3) not in shown]
        if invented:
            yield f"no meter ever showed {invented} of {one.record.transaction_id}"
        yield from _of_samples(device, truth, one, blows, claim)


def of_registers(told: list[Told], first_wh: float, now_wh: float) -> Iterator[str]:
    """Each transaction begins where the one before ended: all energy belongs to one, and to one only."""
    before_wh = first_wh
    before: Told | None = None
    for one in told:
        if not abs(one.start_wh - before_wh) <= exactness(one):  # also true of NaN
            yield (
                f"{one.record.transaction_id} ({one.token}) begins at {one.start_wh} Wh, where the register "
                f"stood at {before_wh} Wh; before it: {before and before.record.ended}"
            )
        before, before_wh = one, one.stop_wh
    if not abs(before_wh - now_wh) <= 1.0:
        yield f"the last transaction ends at {before_wh} Wh, and the register stands at {now_wh} Wh"


def _of_span(device: Device, span: Span, told: list[Told], claim: Claim) -> Iterator[str]:
    """Energized only within a transaction, and only while a live gateway was heard."""
    slack_s = _STAMP_SLACK_S
    holders = [
        one
        for one in told
        if one.start_wh - exactness(one) <= span.began_wh
        and span.ended_wh <= one.stop_wh + exactness(one)
        and one.began_at - slack_s <= span.began_at
        and span.ended_at <= one.ended_at + claim.valid_s + slack_s
    ]
    if not holders:
        yield f"the contactor was closed outside of any transaction: {span}"
    if span.transaction is None:
        yield f"the contactor closed although the setpoint named no transaction: {span}"
    heard = [at for at, _ in device.heartbeats if span.began_at - claim.valid_s <= at <= span.ended_at]
    marks = [*heard, span.ended_at]
    gaps = [later - earlier for earlier, later in pairwise(marks)]
    if not heard or heard[0] > span.began_at + slack_s or max(gaps) > claim.valid_s + slack_s:
        yield f"the contactor was closed without a live heartbeat: {span}, heard at {heard}"


def _of_gestures(truth: Truth, told: list[Told], blows: list[Blow], claim: Claim) -> Iterator[str]:
    """A card acts once at most, and one that was accepted has acted."""
    shown = Counter(gesture.token for gesture in truth.gestures)
    acts = Counter(one.token for one in told)
    acts.update(one.token for one in told if one.stopped_by_card)
    for token, number in acts.items():
        if number > shown[token]:
            yield f"card {token} was shown {shown[token]} times and acted {number} times"
        if token in claim.blocked:
            yield f"the blocked card {token} charged"
    for gesture in _accepted_starts(truth, blows):
        if not any(one.token == gesture.token for one in told):
            yield f"card {gesture.token} was accepted at a plugged connector and never charged: {gesture}"


def _accepted_starts(truth: Truth, blows: list[Blow]) -> Iterator[Gesture]:
    """The first showing of a card in a session, answered accepted while the car was there, and stayed.

    Until the transaction has begun the permission to begin one lives in the gateway's memory only: a gateway killed
    within that second forgets it, and the card has to be shown again.
    """
    seen: set[str] = set()
    for gesture in truth.gestures:
        first = gesture.token not in seen
        seen.add(gesture.token)
        answered_at = gesture.answered_at
        stayed = answered_at is not None and answered_at + _BEGIN_S <= gesture.unplugged_at
        stayed = stayed and not any(
            answered_at is not None and gesture.at <= blow.at <= answered_at + _BEGIN_S
            for blow in blows
            if blow.what in {"gateway", "broker", "both"}
        )
        if first and gesture.plugged and gesture.verdict == "accepted" and stayed:
            yield gesture


def of_permissions(truth: Truth, told: list[Told]) -> Iterator[str]:
    """A setpoint that says energize names a transaction that is safe: the CSMS hears of it, whatever happens."""
    if told and told[0].record.version != "ocpp1.6":
        unknown = set(truth.permitted) - {one.record.transaction_id for one in told}
        if unknown:
            yield f"energy was permitted to transactions that nobody was told of: {unknown}"
    elif len(truth.permitted) > len(told):
        yield f"energy was permitted to {len(truth.permitted)} transactions, and {len(told)} were told"


def _of_samples(device: Device, truth: Truth, one: Told, blows: list[Blow], claim: Claim) -> Iterator[str]:
    """While gateway and device heard each other, no more than one interval was left out, at the borders."""
    for since, until in _contacts(device, blows):
        low, high = max(since, one.began_at), min(until, one.ended_at)
        readings = [at for at, _ in truth.readings if low <= at <= high]
        if len(readings) < 2:
            continue
        silence_s = max(b - a for a, b in zip([low, *readings], [*readings, high], strict=True))
        marks = [low, *sorted(at for at, _ in one.samples if low < at < high), high]
        longest_s = max(b - a for a, b in pairwise(marks))
        if longest_s > 2 * claim.sample_interval_s + max(silence_s, METER_INTERVAL_S):
            yield (
                f"{one.record.transaction_id} has no sample for {longest_s:.2f} s between {low:.2f} and {high:.2f}; "
                f"told at {marks[1:-1]}, read at {readings}"
            )


def _contacts(device: Device, blows: Iterable[Blow]) -> Iterator[tuple[float, float]]:
    """When the device was connected and its gateway lived: from the first heartbeat of an epoch until a blow."""
    ends = sorted(
        [blow.at for blow in blows if blow.what in {"gateway", "broker", "both"}]
        + [at for at, came in device.charger.connections if not came]
    )
    epoch = ""
    for at, named in device.heartbeats:
        if named != epoch:
            epoch = named
            yield at, next((end for end in ends if end > at), float("inf"))


# ------------------------------------------------------------------ what was said, and how often


def of_numbers(records: list[TransactionRecord]) -> Iterator[str]:
    for record in records:
        if record.version == "ocpp1.6":
            continue
        numbers = [call.payload["seqNo"] for call in record.calls]
        if numbers != list(range(len(numbers))):
            yield f"transaction {record.transaction_id} is numbered {numbers}"
        if record.calls[0] is not record.started or record.calls[-1] is not record.ended:
            yield f"transaction {record.transaction_id} was not told from its start to its end"


def _of_repetitions(station: Station, records: list[TransactionRecord]) -> Iterator[str]:
    """Said again is only what was the last to be said on a connection that was then lost."""
    lasts: dict[int, Call] = {}
    for call in station.calls:
        if call.action in _ORDERED:
            lasts[call.connection] = call
    for record in records:
        for again in record.duplicates:
            earlier = [
                call
                for call in station.calls
                if call.action == again.action
                and call.transaction_id == again.transaction_id
                and call.connection < again.connection
                and lasts[call.connection] is call
                and _same(call, again)
            ]
            if not earlier:
                yield f"{again.action} {again.payload} was repeated although its answer had been taken"


def _same(call: Call, again: Call) -> bool:
    return {**call.payload, "offline": None} == {**again.payload, "offline": None}


# ------------------------------------------------------------------ private


def _register(device: Device, n: int) -> float:
    return device.charger.connector(n).register_wh


def exactness(one: Told) -> float:
    """1.6 tells whole watt-hours, and meters show thousandths."""
    return 1.01 if one.record.version == "ocpp1.6" else 0.01


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
