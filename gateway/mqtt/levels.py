"""Levels: the latest value counts, an absent field is unchanged, and repeating one changes nothing."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from gateway.mqtt.decoded import EMPTY, NO_COUNTERS, Arrival, Decoded, Findings, believed, read_object
from gateway.mqtt.fields import UNREADABLE, Fields, NotJsonError, Reading
from gateway.mqtt.payloads_in import (
    AvailabilityPayload,
    ErrorEntry,
    InfoPayload,
    MeterPayload,
    SignedPayload,
    StatusPayload,
)
from gateway.station.events import DeviceAnnounced, DevicePresenceChanged, MeterSampled, StatusReported
from gateway.station.model import (
    METER_FIELDS,
    ConnectorInfo,
    DeviceError,
    DeviceInfo,
    MeterValue,
    SignedReading,
    StatusFacts,
)

CONTRACT = 1

# ------------------------------------------------------------------ meter: the hot path


class _TidyMeter(MeterPayload, forbid_unknown_fields=True):
    """What most devices send always: read in one go."""


_tidy_meter = msgspec.json.Decoder(_TidyMeter)
_chatty_meter = msgspec.json.Decoder(MeterPayload)
_METER_KEYS = frozenset(MeterPayload.__struct_fields__)
_METER_FIELDS = Fields(MeterPayload)


def meter(payload: bytes, arrival: Arrival) -> Decoded:
    try:
        tidy: MeterPayload = _tidy_meter.decode(payload)
        counters = NO_COUNTERS
    except UNREADABLE:
        try:
            tidy = _chatty_meter.decode(payload)
            unknown = sum(key not in _METER_KEYS for key in msgspec.json.decode(payload))
            counters = {"unknown_keys": unknown}
        except UNREADABLE:
            return _untidy_meter(payload, arrival)
    values: dict[str, MeterValue] = {}
    for name in METER_FIELDS:
        value = getattr(tidy, name)
        if value is not UNSET:
            values[name] = _three(value) if type(value) is tuple else value
    stamp = tidy.timestamp
    at: float | None = None
    problems: tuple[str, ...] = ()
    if stamp is not None and stamp is not UNSET:
        at, problems, more = believed(stamp, arrival)
        if more:
            counters = counters | more
    return Decoded(_sampled(arrival, values, at, tidy.ref, tidy.signed), problems, counters)


def _untidy_meter(payload: bytes, arrival: Arrival) -> Decoded:
    if not payload:
        return EMPTY
    try:
        reading, found = read_object(_METER_FIELDS, payload)
    except NotJsonError as error:
        return Decoded(None, (f"the payload is {error}",), {"unreadable": 1})
    at = found.take_stamp(arrival)
    values = {
        name: _three(value) if type(value) is tuple else value
        for name in METER_FIELDS
        if (value := reading.values.get(name, UNSET)) is not UNSET
    }
    ref, signed = reading.values.get("ref"), reading.values.get("signed")
    return found.decoded(_sampled(arrival, values, at, ref, signed))


def _sampled(
    arrival: Arrival,
    values: dict[str, MeterValue],
    at: float | None,
    ref: str | int | UnsetType | None,
    signed: SignedPayload | UnsetType | None,
) -> MeterSampled:
    return MeterSampled(
        arrival.address.n,
        values,
        at,
        None if ref is None or ref is UNSET else str(ref),
        None if signed is None or signed is UNSET else _signed(signed),
        arrival.retained,
    )


def _three(value: tuple[float | None, ...]) -> tuple[float | None, ...]:
    return value if len(value) == 3 else (*value, None, None)[:3]


def _signed(signed: SignedPayload) -> SignedReading:
    return SignedReading(signed.data, signed.method, signed.encoding, signed.public_key)


# ------------------------------------------------------------------ levels

_STATUS_FIELDS = Fields(StatusPayload, lower=("cable",))
_AVAILABILITY_FIELDS = Fields(AvailabilityPayload, lower=("state",))
_INFO_FIELDS = Fields(InfoPayload)


def status(payload: bytes, arrival: Arrival) -> Decoded:
    reading, found = read_object(_STATUS_FIELDS, payload)
    at = found.take_stamp(arrival)
    facts = reading.values
    errors = facts.get("errors")
    if errors:
        facts["errors"] = tuple(_errors(errors))
    elif errors is not None:
        facts["errors"] = ()
    return found.decoded(StatusReported(arrival.address.n, StatusFacts(**facts), at, arrival.retained))


def _errors(entries: list[ErrorEntry | str]) -> list[DeviceError]:
    errors = [
        DeviceError(entry)
        if isinstance(entry, str)
        else DeviceError(entry.code, entry.info, entry.vendor_code, entry.vendor_id, entry.fault)
        for entry in entries
    ]
    return [error for error in errors if error.code != "NoError"]


def availability(payload: bytes, arrival: Arrival) -> Decoded:
    word = payload.strip(b' \t\r\n"').lower()
    if word not in (b"online", b"offline"):
        reading, found = read_object(_AVAILABILITY_FIELDS, payload)
        if problems := _AVAILABILITY_FIELDS.missing(reading):
            reading.problems.extend(problems)
        if "state" not in reading.values:
            return found.decoded(None)
        word = reading.values["state"].encode()
    else:
        found = Findings(Reading({}, []))
    event = DevicePresenceChanged(
        arrival.address.n, word == b"online", arrival.address.name, arrival.retained
    )
    return found.decoded(event)


def info(payload: bytes, arrival: Arrival) -> Decoded:
    reading, found = read_object(_INFO_FIELDS, payload)
    values = reading.values
    if values.get("contract", CONTRACT) > CONTRACT:
        reading.problems.append(
            f"contract {values['contract']} is newer than {CONTRACT}, the one known here: read as {CONTRACT}"
        )
    connectors = tuple(
        ConnectorInfo(c.n, c.max_current_a, c.phases, c.limiting, c.plug_sensor, c.lock)
        for c in values.pop("connectors", None) or ()
    )
    commands = tuple(values.pop("commands", None) or ())
    boot_id = values.pop("boot_id", None)
    info = DeviceInfo(
        **values,
        boot_id=None if boot_id is None else str(boot_id),
        connectors=connectors,
        commands=commands,
    )
    return found.decoded(DeviceAnnounced(info, arrival.retained))
