"""What a sensible backend answers when a test says nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from tests.support.csms_ledger import Call
from tests.support.csms_wire import Payload


class CallError(Exception):
    """A CALLERROR: raised by `Station.call` for one received; as an answer, one to send."""

    def __init__(self, code: str, description: str = "", details: Payload | None = None) -> None:
        super().__init__(code, description)
        self.code = code
        self.description = description
        self.details = details or {}


class Silence:
    """No answer at all; the CALL stays open until the station gives up."""


class DelayedAnswer(msgspec.Struct, eq=False):
    """An answer that waits for an event; None is the default one. Void when its connection has gone."""

    until: asyncio.Event
    answer: "Answer | None" = None


class RawAnswer(msgspec.Struct, eq=False):
    """Text to send unchecked, for answers that a strict backend never gives; `{id}` is the message id."""

    text: str


ImmediateAnswer: TypeAlias = Payload | CallError | Silence | RawAnswer
Answer: TypeAlias = ImmediateAnswer | DelayedAnswer
Rule: TypeAlias = Answer | Callable[[Call], Answer | None | Awaitable[Answer | None]]
"""None from a callable is the default answer, so that a rule may merely look on."""


class Backend:
    """The default answers of all versions, and what they draw on. All fields may be changed at any time."""

    def __init__(self) -> None:
        self.tokens: dict[str, Payload] = {}
        """By token: the whole idTagInfo (1.6) or idTokenInfo (2.x). Whoever is not in it is Accepted."""
        self.boot_status = "Accepted"
        self.boot_interval_s = 300
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        """The clock that BootNotification and Heartbeat are answered with."""

    def answer(self, call: Call) -> ImmediateAnswer:
        """CALLERROR NotImplemented for what no station may ask."""
        rule = _ANSWERS.get(call.action)
        if rule is None or call.action not in STATION_ACTIONS[call.version]:
            return CallError("NotImplemented", f"no station may send {call.action}")
        return rule(self, call)

    def token_info(self, token: str) -> Payload:
        """Tokens are told apart without regard to case, in both versions."""
        for known, info in self.tokens.items():
            if known.casefold() == token.casefold():
                return info
        return {"status": "Accepted"}

    def current_time(self) -> str:
        return self.now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _boot(backend: Backend, _call: Call) -> Payload:
    return {
        "currentTime": backend.current_time(),
        "interval": backend.boot_interval_s,
        "status": backend.boot_status,
    }


def _authorize(backend: Backend, call: Call) -> Payload:
    if call.version == "ocpp1.6":
        return {"idTagInfo": backend.token_info(call.payload["idTag"])}
    return {"idTokenInfo": backend.token_info(call.payload["idToken"]["idToken"])}


def _start(backend: Backend, call: Call) -> Payload:
    return {"transactionId": call.transaction_id, "idTagInfo": backend.token_info(call.payload["idTag"])}


def _stop(backend: Backend, call: Call) -> Payload:
    token = call.payload.get("idTag")
    return {"idTagInfo": backend.token_info(token)} if token else {}


def _event(backend: Backend, call: Call) -> Payload:
    token = call.payload.get("idToken")
    return {"idTokenInfo": backend.token_info(token["idToken"])} if token else {}


def _nothing(_backend: Backend, _call: Call) -> Payload:
    return {}


def _accepted(_backend: Backend, _call: Call) -> Payload:
    return {"status": "Accepted"}


_ANSWERS: dict[str, Callable[[Backend, Call], Payload]] = {
    "Authorize": _authorize,
    "BootNotification": _boot,
    "ClearedChargingLimit": _nothing,
    "DataTransfer": _accepted,
    "DiagnosticsStatusNotification": _nothing,
    "FirmwareStatusNotification": _nothing,
    "GetCertificateStatus": lambda _backend, _call: {"status": "Failed"},
    "Heartbeat": lambda backend, _call: {"currentTime": backend.current_time()},
    "LogStatusNotification": _nothing,
    "MeterValues": _nothing,
    "NotifyChargingLimit": _nothing,
    "NotifyCustomerInformation": _nothing,
    "NotifyDisplayMessages": _nothing,
    "NotifyEVChargingNeeds": _accepted,
    "NotifyEVChargingSchedule": _accepted,
    "NotifyEvent": _nothing,
    "NotifyMonitoringReport": _nothing,
    "NotifyReport": _nothing,
    "PublishFirmwareStatusNotification": _nothing,
    "ReportChargingProfiles": _nothing,
    "ReservationStatusUpdate": _nothing,
    "SecurityEventNotification": _nothing,
    "SignCertificate": _accepted,
    "SignedFirmwareStatusNotification": _nothing,
    "StartTransaction": _start,
    "StatusNotification": _nothing,
    "StopTransaction": _stop,
    "TransactionEvent": _event,
}

_ONLY_IN_16 = {
    "DiagnosticsStatusNotification",
    "SignedFirmwareStatusNotification",
    "StartTransaction",
    "StopTransaction",
}
_ALSO_IN_16 = {
    "Authorize",
    "BootNotification",
    "DataTransfer",
    "FirmwareStatusNotification",
    "Heartbeat",
    "LogStatusNotification",
    "MeterValues",
    "SecurityEventNotification",
    "SignCertificate",
    "StatusNotification",
}
_IN_2 = _ANSWERS.keys() - _ONLY_IN_16

STATION_ACTIONS: dict[str, frozenset[str]] = {
    "ocpp1.6": frozenset(_ONLY_IN_16 | _ALSO_IN_16),
    "ocpp2.0.1": frozenset(_IN_2 | {"Get15118EVCertificate"}),
    "ocpp2.1": frozenset(_IN_2 | {"Get15118EVCertificate"}),
}
"""What a station may ask; everything else goes the other way."""

_READ_2: Payload = {
    "getVariableData": [{"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}]
}
ROUND_TRIPS: dict[str, tuple[str, Payload]] = {
    "ocpp1.6": ("GetConfiguration", {"key": ["HeartbeatInterval"]}),
    "ocpp2.0.1": ("GetVariables", _READ_2),
    "ocpp2.1": ("GetVariables", _READ_2),
}
"""A harmless CALL of each version, which every station can answer."""

FOLLOWED_BY = {
    "GetBaseReport": "NotifyReport",
    "GetReport": "NotifyReport",
    "SignChargePointCertificate": "SignCertificate",
    "SignChargingStationCertificate": "SignCertificate",
}
"""What a request, or a requestedMessage, lets a station send that is not registered yet."""
