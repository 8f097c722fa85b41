"""Gestures: each happens once, so it brings its id and its time where it can, and is never taken half."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.mqtt import actions
from gateway.mqtt.decoded import Arrival, Decoded, Findings, read_object
from gateway.mqtt.fields import Fields, NotJsonError, Reading, json_of
from gateway.mqtt.payloads_in import (
    TOKEN_TYPES,
    AuthorizeResponsePayload,
    CardPayload,
    FirmwarePayload,
    LogPayload,
    ReportPayload,
    ResultPayload,
)
from gateway.station.events import CommandAnswered, DeviceReported, FlowAnswered, TokenPresented
from gateway.station.model import IdToken
from gateway.station.transfer_work import FirmwareReported, LogReported

BARE_TEXT_MAX = 255


_CARD_FIELDS = Fields(CardPayload, secret=("id_token",))
_REPORT_FIELDS = Fields(ReportPayload)
_RESULT_FIELDS = Fields(ResultPayload, lower=("status",))
_AUTHORIZE_FIELDS = Fields(AuthorizeResponsePayload, lower=("status",))
_FIRMWARE_FIELDS = Fields(FirmwarePayload, lower=("status",))
_LOG_FIELDS = Fields(LogPayload)
_TOKEN_TYPES = {word.casefold(): word for word in TOKEN_TYPES}


def card(payload: bytes, arrival: Arrival) -> Decoded:
    bare = _bare_text(payload)
    if bare is not None:
        reading = Reading({"id_token": bare}, [])
        found = Findings(reading)
    else:
        reading, found = read_object(_CARD_FIELDS, payload)
        reading.problems.extend(_CARD_FIELDS.missing(reading))
    values = reading.values
    at = found.take_stamp(arrival)
    kind = values.get("type") or "ISO14443"
    if kind.casefold() not in _TOKEN_TYPES:
        reading.problems.append(f'type "{kind}" is no token type of OCPP: read as ISO14443')
        kind = "ISO14443"
    n, meant = arrival.address.n, values.get("connector")
    if meant is not None and n not in (0, meant):
        reading.problems.append(f"connector {meant} is not the {n} of the topic, which counts")
    if "id_token" not in values:
        return found.decoded(None)
    token = IdToken(str(values["id_token"]), _TOKEN_TYPES[kind.casefold()])
    event = TokenPresented(n or meant or 0, token, _gesture_id(values), at, arrival.backlog)
    return found.decoded(event)


def report(payload: bytes, arrival: Arrival) -> Decoded:
    bare = _bare_text(payload)
    if bare is not None:
        reading = Reading({"kind": bare}, [])
        found = Findings(reading)
    else:
        reading, found = read_object(_REPORT_FIELDS, payload)
        reading.problems.extend(_REPORT_FIELDS.missing(reading))
    at = found.take_stamp(arrival)
    values = reading.values
    if "kind" not in values:
        return found.decoded(None)
    event = DeviceReported(
        arrival.address.n,
        values["kind"],
        _gesture_id(values),
        at,
        arrival.backlog,
        values.get("info") or "",
    )
    return found.decoded(event)


def result(payload: bytes, arrival: Arrival) -> Decoded:
    reading, found = read_object(_RESULT_FIELDS, payload)
    reading.problems.extend(_RESULT_FIELDS.missing(reading))
    values = reading.values
    if "id" not in values or "status" not in values:
        return found.decoded(None)
    event = CommandAnswered(
        arrival.address.n,
        str(values["id"]),
        values["status"],
        values.get("info") or "",
        values.get("data"),
    )
    return found.decoded(event)


def authorized(payload: bytes, arrival: Arrival) -> Decoded:
    reading, found = read_object(_AUTHORIZE_FIELDS, payload)
    reading.problems.extend(_AUTHORIZE_FIELDS.missing(reading))
    values = reading.values
    if "id" not in values or "status" not in values:
        return found.decoded(None)
    event = FlowAnswered(
        arrival.address.n, str(values["id"]), values["status"], values.get("group"), values.get("info") or ""
    )
    return found.decoded(event)


def firmware(payload: bytes, _arrival: Arrival) -> Decoded:
    bare = _bare_text(payload)
    document = json_of(payload) if bare is None else {"status": bare}
    if not isinstance(document, dict):
        raise NotJsonError("JSON, but no object")
    reading = _FIRMWARE_FIELDS.read(document)
    found = Findings(reading)
    reading.problems.extend(_FIRMWARE_FIELDS.missing(reading))
    values = reading.values
    if "status" not in values:
        return found.decoded(None)
    event = FirmwareReported(values["status"], values.get("progress"), values.get("info") or "")
    return found.decoded(event)


def log(payload: bytes, _arrival: Arrival) -> Decoded:
    if not payload.lstrip().startswith(b"{"):
        return Decoded(LogReported(payload.decode(errors="replace"), last=True))
    reading, found = read_object(_LOG_FIELDS, payload)
    reading.problems.extend(_LOG_FIELDS.missing(reading))
    values = reading.values
    if "text" not in values:
        return found.decoded(None)
    return found.decoded(LogReported(values["text"], last=values.get("last") is not False))


def _bare_text(payload: bytes) -> str | None:
    """The payload as plain text where it is no JSON object: `04A2B3C4`, `"04A2B3C4"`, `0123`; else None."""
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        return None
    if text.startswith('"') and text.endswith('"'):
        text = text[1:-1].strip()
    if not text or len(text) > BARE_TEXT_MAX or text[0] in '{["' or not text.isprintable():
        return None
    return None if text.casefold() in ("null", "true", "false", "nan") else text


def _gesture_id(values: dict[str, Any]) -> str | None:
    given = values.get("id")
    return None if given is None or given == "" else str(given)[:64]


def request(payload: bytes, arrival: Arrival) -> Decoded:
    asked = actions.read(arrival.address, payload)
    if asked.refusal is not None:
        counters = {"refused_requests": 1}
        return Decoded(None, (asked.refusal,), counters, asked.refusal, asked.request_id)
    values = {} if asked.timestamp is None else {"timestamp": asked.timestamp}
    found = Findings(Reading(values, [], asked.unknown_keys))
    at = found.take_stamp(arrival)
    event = asked.event(arrival.address, at=at, backlog=arrival.backlog, reply_to=arrival.reply_to)
    return msgspec.structs.replace(found.decoded(event), request_id=asked.request_id)
