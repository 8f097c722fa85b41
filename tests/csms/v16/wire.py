"""The 1.6 dialect with the official schemas on both sides: no payload passes that they refuse."""

from typing import Any

from gateway.csms.dialect import Call
from gateway.csms.schemas import Schemas
from gateway.csms.v16 import DIALECT
from gateway.station.reports import Answer, Report
from gateway.station.requests import Reply, Request

SCHEMAS = Schemas.of("ocpp1.6")

AT = 1769860800.0
AT_TEXT = "2026-01-31T12:00:00Z"


def told(report: Report) -> list[Call]:
    """The calls of a report; rendering it again gives the same ones."""
    calls = DIALECT.to_calls(report)
    for call in calls:
        assert SCHEMAS.request_error(call.action, call.payload) is None
    assert DIALECT.to_calls(report) == calls
    return calls


def told_once(report: Report, action: str) -> dict[str, Any]:
    """The payload of a report that makes one call."""
    [call] = told(report)
    assert call.action == action
    return call.payload


def answered(report: Report, payload: dict[str, Any], step: int = 0) -> Answer:
    """What a CALLRESULT to one of the report's calls means."""
    assert SCHEMAS.response_error(told(report)[step].action, payload) is None
    return DIALECT.to_answer(report, step, payload)


def heard(action: str, payload: dict[str, Any]) -> Request:
    """What a CALL of the CSMS means."""
    assert action in DIALECT.handled
    assert SCHEMAS.request_error(action, payload) is None
    return DIALECT.to_event(action, payload)


def replied(action: str, payload: dict[str, Any], reply: Reply) -> dict[str, Any]:
    """The CALLRESULT for a reply."""
    result = DIALECT.to_result(action, payload, reply)
    assert SCHEMAS.response_error(action, result) is None
    return result
