"""A station on the bench: the pure core between an obedient device and a friendly CSMS, with both dialects for real.

What it says is rendered by the dialect of the version and judged by the official schemas; what it is asked comes
the same way. Time stands still unless a test moves it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.certificates import Desk, KeyRing
from gateway.csms import v16, v201
from gateway.csms.dialect import BadRequest, error_of
from gateway.csms.schemas import Schemas
from gateway.station import effects, reports
from gateway.station import events as happened
from gateway.station.certificate_work import CertificateWork
from gateway.station.model import (
    ConnectorConfig,
    DeviceError,
    DeviceInfo,
    IdToken,
    MeterValue,
    Moment,
    Policy,
    StationConfig,
    StatusFacts,
)
from gateway.station.recovery import RECORD_TYPES
from gateway.station.station import Station
from gateway.station.transfer_work import (
    CancelTransfer,
    FirmwareReported,
    LogReported,
    Transfer,
    TransferEnded,
    TransferOutcome,
)

Payload = dict[str, Any]
Frame = tuple[str, Payload]
FriendlyAnswer = Payload | reports.Failed | None | Callable[[Payload], "Payload | reports.Failed | None"]
"""None: never answered."""

DIALECTS = {"1.6": v16.DIALECT, "2.0.1": v201.DIALECT}
BOTH = pytest.mark.parametrize("version", list(DIALECTS))
"""What is true whatever the CSMS speaks."""

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
CARD = "04A2B3C4D5"
OTHER = "0499887766"
FIRST_CSMS_ID = 77

TIMED_OUT = reports.Failed(reports.FailureKind.TIMED_OUT)
REFUSED = reports.Failed(reports.FailureKind.REFUSED, "InternalError", "no")
UNREGISTERED = reports.Failed(reports.FailureKind.REFUSED, "SecurityError", "boot first")


def text(wall: float) -> str:
    """RFC 3339 as both dialects write it."""
    return datetime.fromtimestamp(round(wall), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Device:
    """What a connector's charger and car do by themselves."""

    def __init__(self) -> None:
        self.plugged = False
        self.energized = False
        self.car_draws = True
        self.register_wh = 1000.0
        self.obeys = True
        """Opens and closes its contactor as the setpoint says, and measures when told to."""


class Rig:
    """A station, its devices by connector number, and its CSMS."""

    def __init__(
        self,
        version: str = "1.6",
        *,
        connectors: int | Iterable[ConnectorConfig] = 1,
        variables: dict[str, str] | None = None,
        policy: Policy | None = None,
        obeys: bool = True,
        station: dict[str, Any] | None = None,
        **connector: Any,
    ) -> None:
        """`connectors` EVSEs of one connector each, with `connector` settings, or exactly those given.

        `station`: further settings of the station.
        """
        self.version = version
        self.dialect = DIALECTS[version]
        self.schemas = Schemas.of(self.dialect.version)
        configs = (
            tuple(ConnectorConfig(n=n, evse=n, connector=1, **connector) for n in range(1, connectors + 1))
            if isinstance(connectors, int)
            else tuple(connectors)
        )
        self.config = StationConfig(
            name="bench",
            identity="BENCH",
            csms_url="ws://csms",
            versions=(self.dialect.version,),
            connectors=configs,
            policy=policy or Policy(),
            variables=variables or {},
            **(station or {}),
        )
        self.devices = {config.n: Device() for config in configs}
        for device in self.devices.values():
            device.obeys = obeys
        self.wall, self.monotonic, self.synced = NOON, 1000.0, True
        self.csms_ahead_s = 0.0
        self.talks_every_s = 240.0
        """Devices repeat their status at least every five minutes."""
        self._talks_at = self.monotonic + self.talks_every_s
        self.station = Station(self.config)
        self.records: dict[str, dict[str, bytes]] = {}
        self.answers: dict[str, FriendlyAnswer] = {}
        """What the CSMS answers instead of its friendly default, by action."""
        self.waiting: list[tuple[int, reports.Report, int, int, str, Payload]] = []
        """Calls that the CSMS has not answered: (ref, report, step, calls of the report, action, payload)."""
        self.linked = False
        self.epoch = 0
        self.desk = Desk(KeyRing(Path("there/is/no/place/for/keys")))
        """A test that has keys made gives it a place for them."""
        self.transfers: list[Transfer] = []
        """Under way, until the test says what becomes of them."""
        self._csms_id = FIRST_CSMS_ID
        self._known = self.token_info()
        self._ref = 0
        self._asked: dict[int, tuple[str, Payload]] = {}
        self.replies: dict[int, Payload | tuple[str, str]] = {}
        """Replies of the station by ref; (code, description) of a CALLERROR."""
        self._frames: list[Frame] = []
        self._story: list[str] = []
        self._effects: list[effects.Effect] = []
        self._inbox: deque[happened.Event] = deque()

    # -------------------------------------------------------------- time

    def now(self) -> Moment:
        return Moment(self.wall, self.monotonic, self.synced)

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def after(self, seconds: float) -> None:
        """Let time pass, waking the station whenever it asked for it; devices that are there keep talking."""
        end = self.monotonic + seconds
        while self._talks_at < end:
            self._wait(max(0.0, self._talks_at - self.monotonic))
            self._talks_at = self.monotonic + self.talks_every_s
            for n in self.devices if self.epoch else ():
                self.facts(n)
        self._wait(end - self.monotonic)

    def _wait(self, seconds: float) -> None:
        end = self.monotonic + seconds
        in_vain = 0
        while (due := self.station.deadline()) is not None and due <= end:
            in_vain = in_vain + 1 if due <= self.monotonic else 0
            assert in_vain < 5, (
                f"the station wants to be woken again and again at {due}, it is {self.monotonic}"
            )
            self.pass_time(max(0.0, due - self.monotonic))
            self.happens(happened.TimePassed())
        self.pass_time(end - self.monotonic)

    # -------------------------------------------------------------- the house

    def start(self) -> None:
        """The gateway starts, the broker is there, devices say what they are and how they are."""
        self.happens(happened.Restarted("seed", self.dialect.flavor))
        self.broker_connects()
        self.announce()
        for n in self.devices:
            self.report_all(n)

    def broker_connects(self) -> None:
        self.epoch += 1
        self.happens(happened.BrokerConnected(f"epoch{self.epoch}"))

    def announce(self, boot_id: str = "boot1", **info: Any) -> None:
        info.setdefault("commands", ("measure", "unlock", "reset"))
        self.happens(happened.DeviceAnnounced(DeviceInfo(boot_id=boot_id, **info)))

    def report_all(self, n: int = 1) -> None:
        """The device's whole status, and its register."""
        device = self.devices[n]
        self.facts(
            n,
            plugged=device.plugged,
            energized=device.energized,
            charging=device.energized and device.car_draws,
            errors=(),
        )
        self.meter(device.register_wh, n=n)

    def devices_fall_silent(self) -> None:
        """Nothing is heard of them any more but what the test lets them say."""
        self._talks_at = float("inf")

    def connect(self) -> None:
        """The link comes up; boot follows where it is due."""
        self.linked = True
        self.happens(happened.LinkOpened(self.dialect.flavor))

    def boot(self) -> None:
        """Start and register; what was said for that is forgotten."""
        self.start()
        self.connect()
        self.forget()

    def disconnect(self, kind: str = "lost", detail: str = "") -> None:
        """The link breaks: what was on the wire is lost."""
        self.linked = False
        lost, self.waiting = self.waiting, []
        self.happens(happened.LinkClosed(kind, detail))
        for ref, _, step, calls, _, _ in lost:
            failed = reports.Failed(reports.FailureKind.LOST)
            self.happens(happened.Answered(ref, failed, step, last=step + 1 == calls))

    def restart(self, *, fresh: bool = True, reconnect: bool = True) -> None:
        """The gateway is killed and comes back with what was on disk; its devices went on."""
        self.linked = False
        self.waiting.clear()
        loaded = {
            kind: {key: msgspec.msgpack.decode(raw, type=RECORD_TYPES[kind]) for key, raw in rows.items()}
            for kind, rows in self.records.items()
        }
        self.monotonic = 500.0
        self._talks_at = self.monotonic + self.talks_every_s
        self.station = Station(self.config, loaded)
        self.happens(happened.Restarted("another seed", self.dialect.flavor))
        self.broker_connects()
        if fresh:
            for n in self.devices:
                self.report_all(n)
        if reconnect:
            self.connect()

    # -------------------------------------------------------------- the devices

    def facts(self, n: int = 1, /, *, at: float | None = None, retained: bool = False, **facts: Any) -> None:
        self.happens(happened.StatusReported(n, StatusFacts(**facts), at=at, retained=retained))

    def plug(self, n: int = 1) -> None:
        self.devices[n].plugged = True
        self.facts(n, plugged=True)

    def unplug(self, n: int = 1) -> None:
        """At the EV side; the contactor of an obedient device opens with it."""
        device = self.devices[n]
        device.plugged = False
        if device.energized and device.obeys:
            device.energized = False
            self.facts(n, plugged=False, energized=False, charging=False)
        else:
            self.facts(n, plugged=False)

    def fault(self, code: str, n: int = 1, **error: Any) -> None:
        self.facts(n, errors=(DeviceError(code, **error),))

    def car_pauses(self, n: int = 1) -> None:
        self.devices[n].car_draws = False
        self.facts(n, charging=False, ev_ready=False)

    def car_goes_on(self, n: int = 1) -> None:
        self.devices[n].car_draws = True
        self.facts(n, charging=True, ev_ready=True)

    def meter(self, energy_wh: float | None = None, n: int = 1, **values: MeterValue) -> None:
        if energy_wh is not None:
            self.devices[n].register_wh = energy_wh
            values["energy_import_wh"] = energy_wh
        self.happens(happened.MeterSampled(n, values))

    def charge(self, seconds: int, *, every: int = 10, power_w: float = 3600.0, n: int = 1) -> None:
        """Energy flows, and the device tells its register every so often."""
        for _ in range(seconds // every):
            self.after(every)
            register = self.devices[n].register_wh + power_w * every / 3600
            self.meter(register, n, power_w=power_w)

    def card(
        self,
        token: str = CARD,
        n: int = 1,
        *,
        gesture: str | None = None,
        at: float | None = None,
        backlog: bool = False,
        type: str = "ISO14443",
    ) -> None:
        """A card is shown; without `gesture` it is one without an id, a while after the last one."""
        if gesture is None and at is None and not backlog:
            self.after(6)
        self.happens(happened.TokenPresented(n, IdToken(token, type), gesture, at, backlog))

    def device_report(self, kind: str, n: int = 1, **more: Any) -> None:
        self.happens(happened.DeviceReported(n, kind, **more))

    def presence(self, n: int, *, online: bool, part: str | None = None) -> None:
        self.happens(happened.DevicePresenceChanged(n, online, part))

    def result(self, status: str = "accepted", *, name: str = "unlock", info: str = "") -> None:
        """The device answers the last command of that name."""
        command = self.commands(name)[-1]
        self.happens(happened.CommandAnswered(command.n, command.id, status, info))

    def carried(self, outcome: TransferOutcome) -> Transfer:
        """The oldest transfer under way has come to this end."""
        transfer = self.transfers.pop(0)
        self.happens(TransferEnded(transfer.ref, outcome))
        return transfer

    def device_firmware(self, status: Any, info: str = "") -> None:
        self.happens(FirmwareReported(status, None, info))

    def device_log(self, text: str, *, last: bool = True) -> None:
        self.happens(LogReported(text, last))

    def request(
        self,
        action: str,
        n: int = 1,
        *,
        gesture: str | None = None,
        at: float | None = None,
        **arguments: Any,
    ) -> effects.Respond | None:
        """Somebody asks over MQTT; the response, None while it is still to come."""
        self._ref += 1
        self.happens(happened.ActionRequested(n, action, arguments, self._ref, gesture, at))
        return self.response(self._ref)

    def response(self, reply_to: int | None = None) -> effects.Respond | None:
        wanted = self._ref if reply_to is None else reply_to
        return next(
            (e for e in self._effects if isinstance(e, effects.Respond) and e.reply_to == wanted), None
        )

    def session(self, token: str = CARD, n: int = 1) -> None:
        """Plug and card: a transaction runs and energy flows; what was said for that is forgotten."""
        self.plug(n)
        self.card(token, n)
        assert self.transaction(n) is not None
        self.forget()

    # -------------------------------------------------------------- the CSMS

    def asks(self, action: str, /, **payload: Any) -> Payload | tuple[str, str] | None:
        """The CSMS sends a CALL: the result, (code, description) of a CALLERROR, or None while none came."""
        assert self.linked
        self._ref += 1
        ref = self._ref
        assert self.schemas.request_error(action, payload) is None, self.schemas.request_error(
            action, payload
        )
        try:
            request = self.dialect.to_event(action, payload)
        except BadRequest as refused:
            error = error_of(refused)
            assert error is not None
            return (error[0].value, error[1])
        self._asked[ref] = (action, payload)
        self.happens(happened.CsmsAsked(ref, request))
        return self.replies.get(ref)

    def late_reply(self) -> Payload | tuple[str, str] | None:
        """The reply to the last CALL."""
        return self.replies.get(self._ref)

    def status_of(self, action: str, /, **payload: Any) -> str | None:
        """The status word of the reply."""
        reply = self.asks(action, **payload)
        return reply["status"] if isinstance(reply, dict) else None if reply is None else reply[0]

    def answer(self, action: str | None = None, payload: FriendlyAnswer = None) -> None:
        """Answer the oldest open call (of that action) after all."""
        for index, (ref, report, step, calls, name, sent) in enumerate(self.waiting):
            if action in {None, name}:
                del self.waiting[index]
                given = self._default(name, sent) if payload is None else payload
                self._inbox.append(self._answered(ref, report, step, calls, name, sent, given))
                self._run()
                return
        raise AssertionError(f"no {action} is open")

    def set(self, name: str, value: str) -> str:
        """ChangeConfiguration, or SetVariables for `Component.Variable`; its status."""
        if self.version == "1.6":
            reply = self.asks("ChangeConfiguration", key=name, value=value)
            assert isinstance(reply, dict)
            return str(reply["status"])
        component, variable = name.split(".")
        entry: Payload = {
            "attributeValue": value,
            "component": {"name": component},
            "variable": {"name": variable},
        }
        reply = self.asks("SetVariables", setVariableData=[entry])
        assert isinstance(reply, dict)
        return str(reply["setVariableResult"][0]["attributeStatus"])

    def authorizes(self, status: str = "Accepted", *, group: str | None = None, **more: Any) -> None:
        """What the CSMS says about tokens from now on."""
        self._known = self.token_info(status, group=group, **more)

    def token_info(self, status: str = "Accepted", *, group: str | None = None, **more: Any) -> Payload:
        info: Payload = {"status": status, **more}
        if group is not None and self.version == "1.6":
            info["parentIdTag"] = group
        elif group is not None:
            info["groupIdToken"] = {"idToken": group, "type": "Central"}
        return {"idTagInfo" if self.version == "1.6" else "idTokenInfo": info}

    # -------------------------------------------------------------- what came of it

    def sent(self, *actions: str) -> list[Frame]:
        """What was sent to the CSMS (of these actions) since the last time; all of it is forgotten."""
        frames = [frame for frame in self._frames if not actions or frame[0] in actions]
        self.forget()
        return frames

    def payloads(self, action: str) -> list[Payload]:
        """What was sent of one action, without forgetting it."""
        return [payload for name, payload in self._frames if name == action]

    def story(self) -> list[str]:
        """All that was sent and replied, in short sentences (see `_sentence`); then it is forgotten."""
        story = self._story
        self.forget()
        return story

    def forget(self) -> None:
        self._frames, self._story = [], []
        self._effects = [e for e in self._effects if isinstance(e, effects.Command)]

    def done(self, kind: type) -> list[Any]:
        """Effects of a kind since the last time that anything was forgotten."""
        return [effect for effect in self._effects if isinstance(effect, kind)]

    def commands(self, name: str) -> list[effects.Command]:
        return [e for e in self._effects if isinstance(e, effects.Command) and e.name == name]

    def verdicts(self) -> list[str]:
        """What readers were told."""
        return [e.event_type for e in self._effects if isinstance(e, effects.Notify) and e.kind == "card"]

    def setpoint(self, n: int = 1) -> effects.SetPointDocument:
        setpoint = self.station.state.by_n[n].setpoint
        assert setpoint is not None
        return setpoint

    def transaction(self, n: int = 1) -> str | None:
        """Our own id of the running transaction."""
        transaction = self.station.state.evse_of(n).transaction
        return None if transaction is None else transaction.id

    def register(self, n: int = 1) -> float | None:
        """The import register as it is told."""
        record = self.station.state.by_n[n].record.import_register
        return None if record is None else record.value_wh

    def status(self, n: int = 1) -> str:
        """The finer status word that everybody sees on MQTT."""
        view = self.station.state.by_n[n].view
        assert view is not None
        return view.status

    # -------------------------------------------------------------- the machinery

    def happens(self, event: happened.Event) -> None:
        self._inbox.append(event)
        self._run()

    def _run(self) -> None:
        while self._inbox:
            for effect in self.station.handle(self._inbox.popleft(), self.now()):
                self._carry_out(effect)

    def _carry_out(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Save():
                rows = self.records.setdefault(effect.kind, {})
                if effect.record is None:
                    rows.pop(effect.key, None)
                else:
                    rows[effect.key] = msgspec.msgpack.encode(effect.record)
                return
            case effects.Ask():
                self._ask(effect)
            case effects.Answer():
                self._reply(effect)
            case effects.SetPoint():
                self._obey(effect)
            case effects.Command() if effect.name == "measure" and self.devices[effect.n].obeys:
                values: dict[str, MeterValue] = {"energy_import_wh": self.devices[effect.n].register_wh}
                self._inbox.append(happened.MeterSampled(effect.n, values, ref=effect.id))
            case CertificateWork():
                self.desk.carry_out(effect, self._inbox.append)
            case Transfer():
                self.transfers.append(effect)
            case CancelTransfer():
                self.transfers = [one for one in self.transfers if one.ref != effect.ref]
            case effects.CloseLink():
                self._story.append("(link closed)")
                self.linked = False
                self.waiting.clear()
                self._inbox.append(happened.LinkClosed("closed_by_us", effect.reason))
            case _:
                pass
        self._effects.append(effect)

    def _obey(self, effect: effects.SetPoint) -> None:
        device = self.devices[effect.n]
        if device.obeys and device.energized is not effect.setpoint.energize:
            device.energized = effect.setpoint.energize
            flows = device.energized and device.car_draws
            facts = StatusFacts(energized=device.energized, charging=flows)
            self._inbox.append(happened.StatusReported(effect.n, facts))

    def _ask(self, ask: effects.Ask) -> None:
        assert self.linked, f"nobody is there to be told {ask.report}"
        calls = self.dialect.to_calls(ask.report)
        if not calls:
            self._inbox.append(happened.Answered(ask.ref, reports.Acknowledged()))
            return
        step, count = ask.first_step, len(calls)
        action, payload = calls[step]
        error = self.schemas.request_error(action, payload)
        assert error is None, f"{action} {payload}: {error}"
        self._frames.append((action, payload))
        self._story.append(self._sentence(action, payload))
        given = self.answers.get(action, self._default(action, payload))
        if callable(given):
            given = given(payload)
        if given is None:
            self.waiting.append((ask.ref, ask.report, step, count, action, payload))
        else:
            self._inbox.append(self._answered(ask.ref, ask.report, step, count, action, payload, given))

    def _answered(
        self,
        ref: int,
        report: reports.Report,
        step: int,
        calls: int,
        action: str,
        payload: Payload,
        given: FriendlyAnswer,
    ) -> happened.Answered:
        assert given is not None
        if callable(given):
            given = given(payload)
            assert given is not None
        if isinstance(given, reports.Failed):
            return happened.Answered(ref, given, step, last=True)
        error = self.schemas.response_error(action, given)
        assert error is None, f"{action} {given}: {error}"
        return happened.Answered(
            ref, self.dialect.to_answer(report, step, given), step, last=step + 1 == calls
        )

    def _default(self, action: str, payload: Payload) -> Payload:
        csms_time = text(self.wall + self.csms_ahead_s)
        match action:
            case "BootNotification":
                return {"status": "Accepted", "currentTime": csms_time, "interval": 300}
            case "Heartbeat":
                return {"currentTime": csms_time}
            case "Authorize":
                return self._known
            case "StartTransaction":
                self._csms_id += 1
                return {"transactionId": self._csms_id - 1, **self._known}
            case "TransactionEvent" if "idToken" in payload:
                return self._known
            case "DataTransfer" | "SignCertificate":
                return {"status": "Accepted"}
            case _:
                return {}

    def _reply(self, effect: effects.Answer) -> None:
        action, payload = self._asked.pop(effect.ref)
        error = error_of(effect.reply)
        if error is not None:
            self.replies[effect.ref] = (error[0].value, error[1])
            self._story.append(f"{action}: {error[0].value}")
            return
        result = self.dialect.to_result(action, payload, effect.reply)
        violation = self.schemas.response_error(action, result)
        assert violation is None, f"{action} {result}: {violation}"
        self.replies[effect.ref] = result
        self._story.append(f"{action}: {result.get('status', 'done')}")

    def _sentence(self, action: str, payload: Payload) -> str:
        """`Status 1 Charging`, `Started Authorized Charging`, `Stop 77 Local 1140` …; see the tests."""
        match action:
            case "StatusNotification" if self.version == "1.6":
                words = ["Status", payload["connectorId"], payload["status"]]
                words += [payload["errorCode"]] if payload["errorCode"] != "NoError" else []
            case "StatusNotification":
                words = [
                    "Status",
                    f"{payload['evseId']}.{payload['connectorId']}",
                    payload["connectorStatus"],
                ]
            case "Authorize":
                token = payload.get("idTag") or payload["idToken"]["idToken"]
                words = ["Authorize", token]
            case "StartTransaction":
                words = ["Start", payload["connectorId"], payload["idTag"], payload["meterStart"]]
            case "StopTransaction":
                words = ["Stop", payload["transactionId"], payload.get("reason", "-"), payload["meterStop"]]
            case "MeterValues":
                first = payload["meterValue"][0]["sampledValue"][0]
                words = ["Meter", payload.get("connectorId", payload.get("evseId")), first["context"]]
            case "TransactionEvent":
                info = payload["transactionInfo"]
                words = [payload["eventType"], payload["triggerReason"]]
                words += [info[key] for key in ("chargingState", "stoppedReason") if key in info]
            case "SecurityEventNotification":
                words = ["Security", payload["type"]]
            case "FirmwareStatusNotification" | "SignedFirmwareStatusNotification":
                words = ["Firmware", payload["status"]]
            case "DiagnosticsStatusNotification" | "LogStatusNotification":
                words = ["Log", payload["status"]]
            case _:
                words = [action]
        return " ".join(map(str, words))
