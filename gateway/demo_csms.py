"""A small friendly backend for the demo; it shares no code with the gateway, so that it can judge it."""

import asyncio
import functools
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Literal, Self
from urllib.parse import unquote

import jsonschema_rs
import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

Payload = dict[str, Any]
Direction = Literal["received", "sent"]
OnFrame = Callable[[str, Direction, str], None]

HEARTBEAT_INTERVAL_S = 300
VERSIONS = (Subprotocol("ocpp2.0.1"), Subprotocol("ocpp1.6"))
_SCHEMA_FOLDERS = {"ocpp1.6": "v16", "ocpp2.0.1": "v201"}
_REGISTER = "Energy.Active.Import.Register"


class DemoTransaction(msgspec.Struct, eq=False):
    """What one station told about one transaction. Registers in Wh, None while they were not told."""

    identity: str
    version: str
    transaction_id: int | str
    token: str | None = None
    evse: int | None = None
    """2.0.1: the EVSE; 1.6: the connector."""
    meter_start_wh: float | None = None
    meter_stop_wh: float | None = None
    stopped_reason: str | None = None
    ended: bool = False
    reports: list[Payload] = []
    """Payloads of every message about it, in order of arrival."""
    sequence_numbers: list[int] = []
    """2.0.1: as they came."""


class Refused(Exception):
    """The station answered a CALL with a CALLERROR."""


class DemoCsms:
    """`async with DemoCsms() as csms`: listens at once, on a free port unless one is given.

    `on_frame(identity, direction, frame)` is called for every frame, with the backend's view of direction.
    """

    def __init__(self, on_frame: OnFrame | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port = port
        self.blocked_tokens: set[str] = set()
        """Tokens that are answered with Blocked; every other one is Accepted."""
        self.transactions: list[DemoTransaction] = []
        self.connector_status: dict[tuple[str, int, int], str] = {}
        """Last status told, by (identity, EVSE, connector); in 1.6 the EVSE is the connector."""
        self.problems: list[str] = []
        """What no correct station does; the demo is a success only while this is empty."""
        self._on_frame = on_frame or (lambda _identity, _direction, _frame: None)
        self._server: Server | None = None
        self._sessions: dict[str, _Session] = {}
        self._changed = asyncio.Event()

    @property
    def url(self) -> str:
        """What a station's settings name; the identity is still to be appended."""
        return f"ws://{self.host}:{self.port}/ocpp"

    async def call(self, identity: str, action: str, payload: Payload, timeout_s: float = 10.0) -> Payload:
        """Ask a station. Refused on a CALLERROR, ConnectionError when it is gone, TimeoutError on silence."""
        session = self._sessions.get(identity)
        if session is None:
            raise ConnectionError(f"station {identity} is not connected to the demo CSMS")
        return await session.call(action, payload, timeout_s)

    async def until(self, fact: Callable[[], bool], timeout_s: float) -> None:
        """Wait until `fact` holds, looking after every frame; TimeoutError when it does not come true."""
        async with asyncio.timeout(timeout_s):
            while not fact():
                await self._changed.wait()

    def connected(self, identity: str) -> bool:
        """Whether that station has its socket open."""
        return identity in self._sessions

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._attend, self.host, self.port, subprotocols=VERSIONS, compression=None, ping_interval=None
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *_raised: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _attend(self, socket: ServerConnection) -> None:
        identity = unquote(socket.request.path.rpartition("/")[2]) if socket.request else ""
        session = _Session(self, identity, socket, self._on_frame)
        self._sessions[identity] = session
        self._notify()
        try:
            async for frame in socket:
                await session.receive(frame)
                self._notify()
        except ConnectionClosed as error:
            self.problems.append(f"{identity}: the connection was cut without a goodbye ({error})")
        finally:
            if self._sessions.get(identity) is session:
                del self._sessions[identity]
            session.end()
            self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def answer(self, identity: str, version: str, action: str, payload: Payload) -> Payload | None:
        """A friendly answer, with the bookkeeping of transactions; None for what it cannot answer."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        match action:
            case "BootNotification":
                return {"currentTime": now, "interval": HEARTBEAT_INTERVAL_S, "status": "Accepted"}
            case "Heartbeat":
                return {"currentTime": now}
            case "Authorize" if version == "ocpp1.6":
                return {"idTagInfo": self._verdict(payload["idTag"])}
            case "Authorize":
                return {"idTokenInfo": self._verdict(payload["idToken"]["idToken"])}
            case "StatusNotification":
                connector: int = payload["connectorId"]
                place = identity, payload.get("evseId", connector), connector
                self.connector_status[place] = payload.get("connectorStatus") or payload["status"]
                return {}
            case "StartTransaction":
                return self._started(identity, payload)
            case "StopTransaction":
                return self._stopped(identity, payload)
            case "MeterValues":
                if "transactionId" in payload:
                    self._transaction(identity, version, payload["transactionId"]).reports.append(payload)
                return {}
            case "TransactionEvent":
                return self._event(identity, payload)
            case "DataTransfer":
                return {"status": "UnknownVendorId"}
            case "NotifyReport" | "NotifyEvent" | "SecurityEventNotification" | "FirmwareStatusNotification":
                return {}
            case _:
                return None

    def _verdict(self, token: str) -> Payload:
        return {"status": "Blocked" if token in self.blocked_tokens else "Accepted"}

    def _transaction(self, identity: str, version: str, transaction_id: int | str) -> DemoTransaction:
        for known in self.transactions:
            if (known.identity, known.transaction_id) == (identity, transaction_id):
                return known
        fresh = DemoTransaction(identity, version, transaction_id)
        self.transactions.append(fresh)
        return fresh

    def _started(self, identity: str, payload: Payload) -> Payload:
        # A resent start is the same transaction: same connector, moment, token and register.
        same = [
            known for known in self.transactions if known.identity == identity and payload in known.reports
        ]
        transaction = same[0] if same else self._transaction(identity, "ocpp1.6", len(self.transactions) + 1)
        transaction.token, transaction.evse = payload["idTag"], payload["connectorId"]
        transaction.meter_start_wh = payload["meterStart"]
        transaction.reports.append(payload)
        return {"transactionId": transaction.transaction_id, "idTagInfo": self._verdict(payload["idTag"])}

    def _stopped(self, identity: str, payload: Payload) -> Payload:
        transaction = self._transaction(identity, "ocpp1.6", payload["transactionId"])
        transaction.reports.append(payload)
        transaction.meter_stop_wh = payload["meterStop"]
        # 1.6 §6.45: no reason means Local.
        transaction.stopped_reason = payload.get("reason", "Local")
        transaction.ended = True
        return {"idTagInfo": self._verdict(payload["idTag"])} if "idTag" in payload else {}

    def _event(self, identity: str, payload: Payload) -> Payload:
        info = payload["transactionInfo"]
        transaction = self._transaction(identity, "ocpp2.0.1", info["transactionId"])
        transaction.reports.append(payload)
        transaction.sequence_numbers.append(payload["seqNo"])
        transaction.evse = payload.get("evse", {}).get("id", transaction.evse)
        transaction.meter_start_wh = _register_wh(payload, "Transaction.Begin", transaction.meter_start_wh)
        transaction.meter_stop_wh = _register_wh(payload, "Transaction.End", transaction.meter_stop_wh)
        if payload["eventType"] == "Ended":
            transaction.ended = True
            # E06: an absent reason means Local.
            transaction.stopped_reason = info.get("stoppedReason", "Local")
        if "idToken" not in payload:
            return {}
        transaction.token = transaction.token or payload["idToken"]["idToken"]
        return {"idTokenInfo": self._verdict(payload["idToken"]["idToken"])}


class _Session:
    """One socket of one station: frames in, judged and answered; CALLs out, one at a time."""

    def __init__(self, csms: DemoCsms, identity: str, socket: ServerConnection, on_frame: OnFrame) -> None:
        self._csms, self._identity, self._socket, self._on_frame = csms, identity, socket, on_frame
        # The server lets nobody in without one.
        self._version = str(socket.subprotocol)
        self._turn = asyncio.Lock()
        self._asked: tuple[str, str, asyncio.Future[Payload]] | None = None

    async def call(self, action: str, payload: Payload, timeout_s: float) -> Payload:
        if problem := _problem(self._version, action, "request", payload):
            raise ValueError(problem)
        async with self._turn, asyncio.timeout(timeout_s):
            answered: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
            message_id = str(uuid.uuid4())
            self._asked = message_id, action, answered
            await self._send([2, message_id, action, payload])
            return await answered

    def end(self) -> None:
        """Let nobody wait for an answer that cannot come any more."""
        if self._asked is not None and not self._asked[2].done():
            self._asked[2].set_exception(ConnectionError(f"station {self._identity} went before it answered"))

    async def receive(self, text: str | bytes) -> None:
        self._on_frame(self._identity, "received", str(text))
        try:
            match json.loads(text):
                case [2, str() as message_id, str() as action, dict() as payload]:
                    await self._receive_call(message_id, action, payload)
                case [3, str() as message_id, dict() as payload]:
                    self._receive_answer(message_id, payload)
                case [4, str() as message_id, str() as code, str() as description, dict()]:
                    self._receive_answer(message_id, Refused(f"{code}: {description}"))
                case _:
                    self._complain(f"not an OCPP-J frame: {text!r}")
        except ValueError as error:
            self._complain(f"not JSON ({error}): {text!r}")

    async def _receive_call(self, message_id: str, action: str, payload: Payload) -> None:
        if problem := _problem(self._version, action, "request", payload):
            self._complain(problem)
            await self._send([4, message_id, "PropertyConstraintViolation", problem[:255], {}])
            return
        answer = self._csms.answer(self._identity, self._version, action, payload)
        unknown = [4, message_id, "NotImplemented", f"the demo has no answer to {action}", {}]
        await self._send(unknown if answer is None else [3, message_id, answer])

    def _receive_answer(self, message_id: str, answer: Payload | Refused) -> None:
        if self._asked is None or self._asked[0] != message_id or self._asked[2].done():
            self._complain(f"an answer nobody waits for, id {message_id}")
            return
        _, action, answered = self._asked
        if isinstance(answer, Refused):
            answered.set_exception(answer)
            return
        if problem := _problem(self._version, action, "response", answer):
            self._complain(problem)
        answered.set_result(answer)

    async def _send(self, frame: list[Any]) -> None:
        text = json.dumps(frame, separators=(",", ":"))
        self._on_frame(self._identity, "sent", text)
        await self._socket.send(text)

    def _complain(self, problem: str) -> None:
        self._csms.problems.append(f"{self._identity}: {problem}")


def _register_wh(event: Payload, context: str, otherwise: float | None) -> float | None:
    for reading in event.get("meterValue", []):
        for sample in reading["sampledValue"]:
            register = sample.get("measurand", _REGISTER) == _REGISTER and "phase" not in sample
            if register and sample.get("context") == context:
                unit = sample.get("unitOfMeasure", {})
                factor = (1000.0 if unit.get("unit") == "kWh" else 1.0) * 10.0 ** unit.get("multiplier", 0)
                return float(sample["value"] * factor)
    return otherwise


def _problem(version: str, action: str, part: Literal["request", "response"], payload: Payload) -> str | None:
    validator = _validator(version, action, part)
    if validator is None:
        return f"{version} has no {action} {part}"
    for error in validator.iter_errors(payload):
        place = "/".join(str(step) for step in error.instance_path) or "payload"
        return f"{action} {part}, {place}: {error.message}"
    return None


@functools.cache
def _validator(version: str, action: str, part: str) -> jsonschema_rs.Validator | None:
    suffix = "Response" if part == "response" else "" if version == "ocpp1.6" else "Request"
    file = resources.files("ocpp").joinpath(_SCHEMA_FOLDERS[version], "schemas", f"{action}{suffix}.json")
    # The action comes off the wire: only a plain word may become part of a path.
    if not action.isidentifier() or not file.is_file():
        return None
    return jsonschema_rs.validator_for(
        json.loads(file.read_text(encoding="utf-8-sig")), validate_formats=True
    )
