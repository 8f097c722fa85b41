"""What a deduplicating backend knows of transactions: messages are told apart by what they say, not by id."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from tests.support.csms_wire import Payload


class Call(msgspec.Struct, eq=False):
    """One CALL of a station, as received. `at` and `answered_at` are seconds of `time.monotonic()`."""

    identity: str
    version: str
    action: str
    payload: Payload
    message_id: str
    at: float
    connection: int
    """Which connection of its identity it came on, counted from 1."""
    answered_at: float | None = None
    """When the answer was handed to the socket; None while (or for ever when) there is none."""
    answer: Payload | None = None
    """The payload answered; None for no answer, a CALLERROR or a raw one."""
    transaction_id: int | str | None = None
    """The transaction that the ledger entered it under."""


class MeterSample(msgspec.Struct, frozen=True):
    """One sampled value of a transaction with the defaults of the specification filled in."""

    timestamp: str
    value: float | str
    measurand: str
    context: str
    phase: str | None
    unit: str | None


class TransactionRecord(msgspec.Struct, eq=False):
    """All that one identity told about one transaction, in order of arrival."""

    identity: str
    version: str
    transaction_id: int | str
    natural_key: tuple[Any, ...] = ()
    """1.6: (connectorId, timestamp, idTag, meterStart) of StartTransaction; 2.x: (transactionId,)."""
    started: Call | None = None
    updates: list[Call] = []
    ended: Call | None = None
    duplicates: list[Call] = []
    """Calls that said again, word for word, what had been said before."""
    anomalies: list[str] = []
    """What no correct station does: two different starts, a number used twice, a report after the end."""

    @property
    def complete(self) -> bool:
        """Whether it has its start and its end and nothing odd between them."""
        return self.started is not None and self.ended is not None and not self.anomalies

    @property
    def calls(self) -> list[Call]:
        """Started, updates and ended, without duplicates, in order of arrival."""
        found = [call for call in (self.started, *self.updates, self.ended) if call is not None]
        return sorted(found, key=lambda call: call.at)

    def missing_numbers(self) -> list[int]:
        """2.x: sequence numbers left out between the lowest and the highest received. Always empty in 1.6."""
        numbers = {call.payload["seqNo"] for call in self.calls if "seqNo" in call.payload}
        return sorted(set(range(min(numbers), max(numbers))) - numbers) if numbers else []

    def samples(self, measurand: str | None = "Energy.Active.Import.Register") -> list[MeterSample]:
        """Every sampled value told, in order of arrival; of one measurand, or of all when None."""
        found = [sample for call in self.calls for sample in _samples(call)]
        return [sample for sample in found if measurand in (None, sample.measurand)]

    @property
    def meter_start_wh(self) -> float | None:
        """The register at the start; None when it was never told."""
        if self.version == "ocpp1.6":
            return self.started.payload["meterStart"] if self.started else None
        return self._register("Transaction.Begin")

    @property
    def meter_stop_wh(self) -> float | None:
        """The register at the end; None when it was never told."""
        if self.version == "ocpp1.6":
            return self.ended.payload["meterStop"] if self.ended else None
        return self._register("Transaction.End")

    def _register(self, context: str) -> float | None:
        for sample in self.samples():
            if sample.context == context and sample.phase is None and isinstance(sample.value, float):
                return sample.value * (1000 if sample.unit == "kWh" else 1)
        return None


class Ledger:
    """Transactions per identity. A resent 1.6 start keeps the transactionId that its first arrival got."""

    def __init__(self, first_transaction_id: int = 1) -> None:
        self.next_transaction_id = first_transaction_id
        self.loose_meter_values: dict[str, list[Call]] = defaultdict(list)
        """MeterValues per identity that name no transaction."""
        self._records: dict[tuple[str, int | str], TransactionRecord] = {}
        self._starts: dict[tuple[Any, ...], TransactionRecord] = {}

    def transactions(self, identity: str | None = None) -> list[TransactionRecord]:
        """In order of first mention; of one identity or of all."""
        return [record for record in self._records.values() if identity in (None, record.identity)]

    def transaction(self, identity: str, transaction_id: int | str) -> TransactionRecord:
        """KeyError when the identity never named that transaction."""
        return self._records[identity, transaction_id]

    def anomalies(self) -> list[str]:
        """Every anomaly of every transaction, each naming its place."""
        return [
            f"{record.identity} transaction {record.transaction_id}: {anomaly}"
            for record in self._records.values()
            for anomaly in record.anomalies
        ]

    def note(self, call: Call) -> TransactionRecord | None:
        """Enter a CALL once; the record it belongs to, or None when it is about no transaction."""
        match call.action:
            case "StartTransaction":
                record = self._note_start(call)
            case "StopTransaction":
                record = self._note_stop(call)
            case "MeterValues" if "transactionId" in call.payload:
                record = self._record(call, call.payload["transactionId"])
                self._note_update(record, call)
            case "TransactionEvent":
                record = self._note_event(call)
            case "MeterValues":
                self.loose_meter_values[call.identity].append(call)
                return None
            case _:
                return None
        call.transaction_id = record.transaction_id
        return record

    def _record(self, call: Call, transaction_id: int | str) -> TransactionRecord:
        key = call.identity, transaction_id
        if key not in self._records:
            self._records[key] = TransactionRecord(call.identity, call.version, transaction_id)
        return self._records[key]

    def _note_start(self, call: Call) -> TransactionRecord:
        payload = call.payload
        natural_key = (payload["connectorId"], payload["timestamp"], payload["idTag"], payload["meterStart"])
        known = self._starts.get((call.identity, *natural_key))
        if known is not None:
            known.duplicates.append(call)
            return known
        record = self._record(call, self.next_transaction_id)
        self.next_transaction_id += 1
        record.natural_key = natural_key
        record.started = call
        self._starts[call.identity, *natural_key] = record
        return record

    def _note_stop(self, call: Call) -> TransactionRecord:
        record = self._record(call, call.payload["transactionId"])
        if record.ended is None:
            record.ended = call
            if record.started is None:
                record.anomalies.append(f"StopTransaction {call.message_id} without a StartTransaction")
        elif record.ended.payload == call.payload:
            record.duplicates.append(call)
        else:
            record.anomalies.append(f"a second, different StopTransaction {call.message_id}")
        return record

    def _note_update(self, record: TransactionRecord, call: Call) -> None:
        if any(call.payload == earlier.payload for earlier in record.updates):
            record.duplicates.append(call)
            return
        if record.started is None:
            record.anomalies.append(f"{call.action} {call.message_id} without a start")
        if record.ended is not None:
            record.anomalies.append(f"{call.action} {call.message_id} after the end")
        record.updates.append(call)

    def _note_event(self, call: Call) -> TransactionRecord:
        record = self._record(call, call.payload["transactionInfo"]["transactionId"])
        record.natural_key = (record.transaction_id,)
        number = call.payload["seqNo"]
        for earlier in record.calls:
            if earlier.payload["seqNo"] != number:
                continue
            if _without_offline(earlier.payload) == _without_offline(call.payload):
                record.duplicates.append(call)
            else:
                record.anomalies.append(f"seqNo {number} used twice for different events ({call.message_id})")
            return record
        match call.payload["eventType"]:
            case "Started" if record.started is None:
                record.started = call
            case "Ended" if record.ended is None:
                record.ended = call
            case "Updated":
                record.updates.append(call)
            case event_type:
                record.anomalies.append(f"a second {event_type}, seqNo {number}")
        return record


def _without_offline(payload: Payload) -> Payload:
    """An event resent after a cut may say that it now comes late; it is the same event all the same."""
    return {key: value for key, value in payload.items() if key != "offline"}


def _samples(call: Call) -> Iterable[MeterSample]:
    readings = [*call.payload.get("meterValue", []), *call.payload.get("transactionData", [])]
    for reading in readings:
        for sampled in reading["sampledValue"]:
            unit = sampled.get("unit") or sampled.get("unitOfMeasure", {}).get("unit")
            yield MeterSample(
                timestamp=reading["timestamp"],
                value=_number(sampled["value"], sampled.get("unitOfMeasure", {}).get("multiplier", 0)),
                measurand=sampled.get("measurand", "Energy.Active.Import.Register"),
                context=sampled.get("context", "Sample.Periodic"),
                phase=sampled.get("phase"),
                unit=unit,
            )


def _number(value: float | str, multiplier: int) -> float | str:
    """Signed data stays text."""
    try:
        return float(value) * 10.0**multiplier
    except ValueError:
        return str(value)
