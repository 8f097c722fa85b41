"""What a translator offers: reports become CALLs, payloads become facts; no state, no decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from gateway.csms.faults import Fault
from gateway.station.model import Flavor
from gateway.station.reports import Acknowledged, Answer, Report
from gateway.station.requests import Refusal, RefusalCode, Reply, Request

Payload = dict[str, Any]
"""A decoded JSON object: on the way in it has passed its schema, null fields taken out."""

R = TypeVar("R", bound=Report)


class Call(NamedTuple):
    """One CALL to the CSMS."""

    action: str
    payload: Payload


class BadRequest(Exception):
    """A CALL that cannot become a Request although its schema allows it: it becomes a CALLERROR."""

    def __init__(self, code: RefusalCode, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


class Telling(NamedTuple, Generic[R]):
    """How one type of report is told."""

    calls: Callable[[R], list[Call]]
    """None, one or several, in order; rendering the same report again gives the same calls."""
    answer: Callable[[R, int, Payload], Answer]
    """(report, step, CALLRESULT payload) → what was answered to the call number `step`."""


class Hearing(NamedTuple):
    """How one action of the CSMS is understood and answered."""

    request: Callable[[Payload], Request]
    """Raises BadRequest."""
    result: Callable[[Payload, Any], Payload]
    """(payload of the CALL, Reply) → payload of the CALLRESULT."""


class Block(NamedTuple):
    """What one functional block tells and hears."""

    tells: Mapping[type[Report], Telling[Any]] = {}
    hears: Mapping[str, Hearing] = {}


@dataclass(frozen=True, slots=True)
class Dialect:
    """One OCPP version as a set of tables."""

    version: str
    """The subprotocol: `ocpp1.6`, `ocpp2.0.1`."""
    flavor: Flavor
    tells: Mapping[type[Report], Telling[Any]]
    hears: Mapping[str, Hearing]
    handled: frozenset[str]
    """The actions of the CSMS that are understood now; `rpc` refuses all others by itself."""

    @classmethod
    def of_blocks(cls, flavor: Flavor, blocks: Iterable[Block]) -> Dialect:
        tells: dict[type[Report], Telling[Any]] = {}
        hears: dict[str, Hearing] = {}
        for block in blocks:
            tells.update(block.tells)
            hears.update(block.hears)
        return cls(flavor.version, flavor, tells, hears, frozenset(hears))

    def to_calls(self, report: Report) -> list[Call]:
        return self.tells[type(report)].calls(report)

    def to_answer(self, report: Report, step: int, payload: Payload) -> Answer:
        return self.tells[type(report)].answer(report, step, payload)

    def to_event(self, action: str, payload: Payload) -> Request:
        """Raises BadRequest when the CALL must be answered by a CALLERROR."""
        return self.hears[action].request(payload)

    def to_result(self, action: str, request_payload: Payload, reply: Reply) -> Payload:
        """The CALLRESULT's payload; a Refusal has none: ask `error_of` first."""
        return self.hears[action].result(request_payload, reply)


def error_of(reply: Reply | BadRequest) -> tuple[Fault, str] | None:
    """(fault, description) of the CALLERROR, spelt by `faults` for each version; None for a CALLRESULT."""
    if isinstance(reply, (Refusal, BadRequest)):
        return Fault(reply.code.value), reply.description
    return None


def acknowledged(_report: Report, _step: int, _payload: Payload) -> Answer:
    """The answer to a call whose CALLRESULT says nothing."""
    return Acknowledged()


def untold(_report: Report) -> list[Call]:
    """The calls of a report for which the version has no words."""
    return []


UNTOLD: Telling[Report] = Telling(untold, acknowledged)


def shortened(text: str, limit: int) -> str:
    """Cut to the length of a CiString or an identifier; OCPP counts characters, not bytes."""
    return text if len(text) <= limit else text[:limit]
