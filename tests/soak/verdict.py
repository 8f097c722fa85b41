"""What must be true after a soak."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from tests.e2e.kill_verdict import Told, exactness, of_numbers, of_permissions, of_registers, read
from tests.soak.stations import Station
from tests.support.csms import Csms, TransactionRecord

_ORDERED = frozenset({"StartTransaction", "StopTransaction", "TransactionEvent", "MeterValues"})
_SLACK_S = 5.0
"""Everybody shares two processors, and the stamps of device and gateway may differ by so much."""
_GROWTH = 1.05
_GROWTH_MIB = 6.0
"""What an allocator may keep to itself."""


def complaints(station: Station, csms: Csms, spoilt: set[str]) -> list[str]:
    """Everything about one station that is not as it must be; each a sentence."""
    records = csms.ledger.transactions(station.name)
    found = [f"transaction {r.transaction_id}: {anomaly}" for r in records for anomaly in r.anomalies]
    found += [
        f"transaction {r.transaction_id} is not complete: start {r.started}, end {r.ended}"
        for r in records
        if not r.complete
    ]
    if not found:
        told = [read(record) for record in records]
        for n in station.truth:
            mine = sorted((one for one in told if one.n == n), key=lambda one: one.start_wh)
            found += [f"connector {n}: {complaint}" for complaint in _of_connector(station, n, mine)]
        found += of_numbers(records)
        found += _of_repetitions(station, csms, records, spoilt)
    return [f"{station.name}: {complaint}" for complaint in found]


def _of_connector(station: Station, n: int, told: list[Told]) -> Iterator[str]:
    truth, now_wh = station.truth[n], station.charger.connector(n).register_wh
    yield from of_registers(told, truth.spans[0].began_wh if truth.spans else now_wh, now_wh)
    yield from of_permissions(truth, told)
    for span in truth.spans:
        if not any(
            one.start_wh - exactness(one) <= span.began_wh
            and span.ended_wh <= one.stop_wh + exactness(one)
            and one.began_at - _SLACK_S <= span.began_at
            for one in told
        ):
            yield f"the contactor was closed outside of any transaction: {span}"
    for one in told:
        if one.token not in {*station.cards, station.remote_token}:
            yield f"{one.record.transaction_id} was started by {one.token}, which nobody has shown"


def _of_repetitions(
    station: Station, csms: Csms, records: list[TransactionRecord], spoilt: set[str]
) -> Iterator[str]:
    """Said again is only what got no proper answer, or was the last to be said on a connection that was lost."""
    calls = csms.identity(station.name).calls
    lasts = {call.connection: call for call in calls if call.action in _ORDERED}
    by_what: dict[str, list[str]] = {}
    unanswered = {call.message_id for call in lasts.values()} | spoilt
    for call in calls:
        if call.action in _ORDERED:
            what = f"{call.action} { {**call.payload, 'offline': None} }"
            by_what.setdefault(what, []).append(call.message_id)
    for record in records:
        for again in record.duplicates:
            ids = by_what[f"{again.action} { {**again.payload, 'offline': None} }"]
            earlier = ids[: ids.index(again.message_id)]
            if not all(message_id in unanswered for message_id in earlier):
                yield f"{again.action} {again.payload} was repeated although its answer had been taken"


def of_memory(rss_mib: Sequence[float]) -> list[str]:
    """The last quarter of the time against the second: what has not levelled off by then goes on growing."""
    quarter = len(rss_mib) // 4
    if quarter < 2:
        return []
    early, late = median(rss_mib[quarter : 2 * quarter]), median(rss_mib[-quarter:])
    if late > early * _GROWTH + _GROWTH_MIB:
        return [f"memory grows: {early:.1f} MiB in the second quarter, {late:.1f} MiB in the last"]
    return []
