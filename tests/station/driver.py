"""Drives a station's pure core as its runner would, with a disk that may lag, and judges all that it says."""

from __future__ import annotations

from collections import Counter, deque

import msgspec

from gateway.csms import v16, v201
from gateway.csms.schemas import Schemas
from gateway.station import availability, events, setpoints
from gateway.station import effects as fx
from gateway.station import reports as r
from gateway.station.model import (
    AuthorizationStatus,
    ConnectorStatus,
    IdToken,
    Moment,
    RegistrationStatus,
    Sample,
    StationConfig,
    StatusFacts,
    TokenInfo,
)
from gateway.station.outbox import Lane
from gateway.station.records import Row
from gateway.station.recovery import RECORD_TYPES
from gateway.station.requests import AvailabilityRequested, Place, Request, StartRequested, StopRequested
from gateway.station.station import Station

DIALECTS = {dialect.version: dialect for dialect in (v16.DIALECT, v201.DIALECT)}
REGISTER = "Energy.Active.Import.Register"
_encode = msgspec.json.Encoder().encode
_decoders = {kind: msgspec.json.Decoder(record) for kind, record in RECORD_TYPES.items()}
_rows = msgspec.json.Decoder(Row)
_MOST_LOOKS = 6
"""So often may a deadline that is reached be looked at before the station has to be content."""


class _Turn:
    """What one event led to, until the disk has it."""

    def __init__(self, saves: list[tuple[str, str, bytes | None]], later: list[fx.Effect], link: int) -> None:
        self.saves = saves
        self.later = later
        self.link = link


class Driver:
    """One station with its disk, its clocks and whatever it is connected to; each event is judged at once."""

    def __init__(self, config: StationConfig, version: str) -> None:
        self.config = config
        self.version = version
        self.wall, self.monotonic, self.synced = 1_800_000_000.0, 1000.0, True
        self.disk: dict[str, dict[str, bytes]] = {}
        self.lagging = False
        self.uncommitted: deque[_Turn] = deque()
        self.runs = 0
        self.content = True
        """No promise has been broken."""
        self.epochs = 0
        self.requests = 0
        # what the world has seen
        self.refs: set[int] = set()
        self.ids: set[str] = set()
        self.revision = self.revision_of_run = 0
        self.shown: dict[int, fx.SetPointDocument] = {}
        """Connector → the setpoint that its device obeys."""
        self.commands: list[fx.Command] = []
        self.told: list[r.Report] = []
        self.quarantined: list[str] = []
        self.responses: Counter[int] = Counter()
        # transactions, as they were put into the outbox
        self.sequence: dict[str, int] = {}
        self.open: dict[int, str] = {}
        """EVSE → transaction that was started and has not ended."""
        self.evse_of: dict[str, int] = {}
        self.positions: set[int] = set()
        self.registers: dict[int, float] = {}
        # the link
        self.linked = False
        self.links = 0
        self.asked: dict[int, tuple[fx.Ask, int, int]] = {}
        """ref → (what was asked, step to be answered, steps of its report)."""
        self.close_wanted = False
        self.accepted_tokens: set[str] = set()
        self.pending: dict[int, float] = {}
        """CALLs of the CSMS without a reply → monotonic time of asking."""
        self.silent_until = 0.0
        self.csms_ids = 100
        self.last_status: dict[int, set[tuple[str, str, str]] | None] = {}
        """1.6: what the CSMS may have seen last of a connector; None = nothing yet."""
        self.before: dict[int, set[tuple[str, str, str]] | None] = {}
        # devices
        self.live: set[int] = set()
        """Connectors that reported a live status since the broker was last lost."""
        self.station = Station(config)
        self.start()

    # -------------------------------------------------------------- life

    def start(self) -> None:
        self.runs += 1
        self.send(events.Restarted(f"seed{self.runs}"))

    def restart(self) -> None:
        """The process dies and comes back with what is on disk; what waited for the disk never happened."""
        self.uncommitted.clear()
        self.lagging = False
        self.revision_of_run = 0
        records = {
            kind: {key: _decoders[kind].decode(body) for key, body in bodies.items()}
            for kind, bodies in self.disk.items()
        }
        self.links += 1
        self.linked = self.close_wanted = False
        self.asked.clear()
        self.pending.clear()
        self.live.clear()
        self.silent_until = 0.0
        self.last_status = {}
        self.station = Station(self.config, records)
        self.start()

    def pass_time(self, seconds: float, *, punctual: bool = True) -> None:
        """Let time pass; `punctual`: every deadline on the way is looked at when it comes."""
        end = self.monotonic + seconds
        looks = 0
        while punctual and (deadline := self.station.deadline()) is not None and deadline <= end:
            self._to(max(deadline, self.monotonic))
            self.send(events.TimePassed())
            looks += 1
            assert looks < 5000, "a deadline for every moment"
        self._to(end)

    def _to(self, monotonic: float) -> None:
        self.wall += monotonic - self.monotonic
        self.monotonic = monotonic

    # -------------------------------------------------------------- events

    def send(self, event: events.Event) -> list[fx.Effect]:
        """Let the station handle an event, then whatever is due at once."""
        self.content = False
        effects = self._handle(event)
        looks = 0
        while (deadline := self.station.deadline()) is not None and deadline <= self.monotonic:
            looks += 1
            assert looks <= _MOST_LOOKS, f"busy: {deadline} is still due after {looks} looks"
            self._handle(events.TimePassed())
        self.judge_pending()
        more = [e for e in self._handle(events.TimePassed()) if not isinstance(e, fx.Publish | fx.Save)]
        assert not more, f"not settled: {more}"
        self.content = True
        return effects

    def _handle(self, event: events.Event) -> list[fx.Effect]:
        self._foresee(event)
        effects = self.station.handle(event, Moment(self.wall, self.monotonic, self.synced))
        saves: list[tuple[str, str, bytes | None]] = []
        later: list[fx.Effect] = []
        for effect in effects:
            if isinstance(effect, fx.Save):
                assert not later, "saves come first"
                saves.append((effect.kind, effect.key, self._encoded(effect)))
            elif isinstance(effect, fx.SetPoint) and not effect.setpoint.energize:
                self._judge_revision(effect)
                self._show(effect)
            else:
                if isinstance(effect, fx.SetPoint):
                    self._judge_revision(effect)
                    self._judge_energizing(effect)
                later.append(effect)
        self._judge_asks(effects)
        self._judge_state()
        self.uncommitted.append(_Turn(saves, later, self.links))
        if not self.lagging:
            self.commit()
        return effects

    @staticmethod
    def _encoded(save: fx.Save) -> bytes | None:
        if save.record is None:
            return None
        assert type(save.record) is RECORD_TYPES[save.kind]
        body = _encode(save.record)
        assert _decoders[save.kind].decode(body) == save.record, f"{save.kind} comes back changed"
        return body

    def commit(self) -> None:
        """The disk has caught up: in order of the turns, first the saves, then what they allow to be said."""
        while self.uncommitted:
            turn = self.uncommitted.popleft()
            for kind, key, body in turn.saves:
                bodies = self.disk.setdefault(kind, {})
                if body is None:
                    bodies.pop(key, None)
                else:
                    if kind == "outbox" and key not in bodies:
                        self._judge_row(_rows.decode(body))
                    bodies[key] = body
            for effect in turn.later:
                if isinstance(effect, fx.Ask | fx.Answer | fx.CloseLink) and turn.link != self.links:
                    continue  # the link that it was meant for went while the disk was written
                self._carry_out(effect)

    def _foresee(self, event: events.Event) -> None:
        """What an event means for what may follow it."""
        match event:
            case events.LinkOpened():
                assert event.flavor.version in self.station.offered_versions()
                self.linked = True
                if event.flavor.version != self.version:
                    self.last_status = {}
                self.version = event.flavor.version
            case events.LinkClosed():
                self.links += 1
                self.linked = self.close_wanted = False
                for ask, _, _ in self.asked.values():
                    if isinstance(ask.report, r.Status):
                        self._unsure(ask.report.n)
                self.asked.clear()
                self.pending.clear()
            case events.BrokerLost():
                self.live.clear()
            case events.StatusReported() if not event.retained:
                self.live.add(event.n)
            case events.MeterSampled() if not event.retained and not self._has_plug_sensor(event.n):
                self.live.add(event.n)
            case events.CsmsAsked():
                self.pending[event.ref] = self.monotonic
                if isinstance(event.request, StartRequested):
                    self.accepted_tokens.add(event.request.token.id_token.casefold())
            case events.Answered():
                self._foresee_answer(event)
            case _:
                pass

    def _has_plug_sensor(self, n: int) -> bool:
        return any(connector.n == n and connector.plug_sensor for connector in self.config.connectors)

    def _foresee_answer(self, event: events.Answered) -> None:
        asked = self.asked.get(event.ref)
        if asked is None:
            return
        ask, _, _ = asked
        del self.asked[event.ref]
        match event.answer:
            case r.BootAnswer(status=RegistrationStatus.ACCEPTED):
                self.last_status = {}
            case r.BootAnswer(status=RegistrationStatus.REJECTED):
                self.silent_until = self.monotonic + (event.answer.interval_s or 300)
            case r.AuthorizationAnswer() if isinstance(ask.report, r.Authorization):
                if event.answer.info.status is AuthorizationStatus.ACCEPTED:
                    self.accepted_tokens.add(ask.report.token.id_token.casefold())
            case r.Failed(kind=r.FailureKind.TIMED_OUT | r.FailureKind.LOST) if isinstance(
                ask.report, r.Status
            ):
                self._unsure(ask.report.n)

    def _unsure(self, n: int) -> None:
        """A status may or may not have arrived."""
        seen, before = self.last_status.get(n), self.before.get(n)
        self.last_status[n] = None if seen is None or before is None else seen | before

    # -------------------------------------------------------------- what is carried out

    def _carry_out(self, effect: fx.Effect) -> None:
        match effect:
            case fx.Ask():
                self._ask(effect)
            case fx.SetPoint():
                self._show(effect)
            case fx.Answer():
                assert effect.ref in self.pending, f"answered twice, or nobody: {effect}"
                del self.pending[effect.ref]
            case fx.Command():
                if effect.name != "card_result":
                    assert effect.id not in self.ids, "a command id is used again"
                    self.ids.add(effect.id)
                self.commands.append(effect)
            case fx.CloseLink():
                self.close_wanted = True
            case fx.Quarantine():
                self.quarantined.append(effect.what)
            case fx.Respond():
                self.responses[effect.reply_to] += 1
                assert self.responses[effect.reply_to] == 1, f"responded twice: {effect}"
            case _:
                pass

    def _ask(self, ask: fx.Ask) -> None:
        assert ask.ref not in self.refs, "a ref is used again"
        self.refs.add(ask.ref)
        dialect = DIALECTS[self.version]
        calls = dialect.to_calls(ask.report)
        schemas = Schemas.of(self.version)
        for call in calls:
            assert schemas.request_error(call.action, call.payload) is None, (call, ask)
        if not isinstance(ask.report, r.Boot):
            self.told.append(ask.report)
        if isinstance(ask.report, r.Status) and self.version == "ocpp1.6" and ask.report.n:
            self._judge_status(ask)
        self.asked[ask.ref] = (ask, ask.first_step, max(len(calls), 1))

    def _show(self, effect: fx.SetPoint) -> None:
        """A device takes only what is newer; nothing newer is ever less."""
        document = effect.setpoint
        held = self.shown.get(effect.n)
        if held is not None and document.revision <= held.revision:
            assert document.energize, f"off was overtaken: {document} after {held}"
            return
        self.revision = max(self.revision, document.revision)
        self.shown[effect.n] = document

    # -------------------------------------------------------------- judging

    def _judge_row(self, row: Row) -> None:
        """Rows in order; each transaction Started once, numbered without gaps, Ended once, never two an EVSE."""
        assert row.position not in self.positions
        assert not self.positions or row.position > max(self.positions), "rows out of order"
        self.positions.add(row.position)
        report = row.report
        if isinstance(report, r.MeterValues):
            self._judge_samples(report.n, report.samples)
        if not isinstance(report, r.TransactionEvent):
            return
        expected = self.sequence.get(report.transaction, 0)
        assert report.seq == expected, f"event {report.seq} instead of {expected} of {report.transaction}"
        self.sequence[report.transaction] = expected + 1
        if report.type == "Started":
            assert expected == 0
            assert report.evse not in self.open, "two transactions at one EVSE"
            self.open[report.evse] = report.transaction
            self.evse_of[report.transaction] = report.evse
        else:
            assert expected > 0, "not started"
            assert self.open.get(report.evse) == report.transaction, f"{report.type} after its end"
        if report.type == "Ended":
            del self.open[report.evse]
            assert report.stop_reason is not None
            self._judge_order(report.samples)
        else:
            self._judge_samples(report.n, report.samples)
        if report.register_wh is not None:
            self._judge_register(report.n, report.register_wh)

    def _judge_samples(self, n: int, samples: tuple[Sample, ...]) -> None:
        for sample in samples:
            for value in sample.values:
                if value.measurand == REGISTER:
                    self._judge_register(n, value.value)

    @staticmethod
    def _judge_order(samples: tuple[Sample, ...]) -> None:
        registers = [v.value for sample in samples for v in sample.values if v.measurand == REGISTER]
        assert registers == sorted(registers), "the samples of the end fall"

    def _judge_register(self, n: int, register_wh: float) -> None:
        assert register_wh >= self.registers.get(n, register_wh), f"the register of {n} fell"
        self.registers[n] = register_wh

    def _judge_status(self, ask: fx.Ask) -> None:
        report = ask.report
        assert isinstance(report, r.Status)
        new = (str(report.status), report.error_code, report.info)
        seen = self.last_status.get(report.n)
        if ask.ref in self.station.state.triggered:
            return
        if seen is not None:
            allowed = any(
                report.status in availability.ALLOWED[ConnectorStatus(old[0])]
                or (old[0] == new[0] and old != new)
                for old in seen
            )
            assert allowed or len(seen) > 1, f"{report.n}: {new} after {seen}"
        self.before[report.n] = seen
        self.last_status[report.n] = {new}

    def _judge_revision(self, effect: fx.SetPoint) -> None:
        """Revisions rise for ever: above all of this run, and all that a device ever saw."""
        revision = effect.setpoint.revision
        assert revision > max(self.revision, self.revision_of_run), f"revision {revision} is used again"
        self.revision_of_run = revision

    def _judge_energizing(self, effect: fx.SetPoint) -> None:
        """What must be true before a contactor closes."""
        state = self.station.state
        connector, evse = state.by_n[effect.n], state.evse_of(effect.n)
        assert effect.n in self.live, "energized without fresh facts"
        holder = evse.transaction.token if evse.transaction is not None else None
        if holder is None and evse.grant is not None:
            holder = evse.grant.token
        assert holder is not None, "energized for nobody"
        free = self.config.policy.free_charging_token
        known = holder.id_token.casefold() in self.accepted_tokens or (
            free is not None and holder.same_as(free)
        )
        assert known or state.variables.offline_tx_for_unknown_id, "energized without a verdict"
        assert effect.setpoint.limit_a >= connector.config.min_current_a
        assert effect.setpoint.epoch == state.epoch

    def _judge_state(self) -> None:
        """What holds after every event, whatever was said."""
        state = self.station.state
        running = Counter(
            evse.transaction.id for evse in state.evses.values() if evse.transaction is not None
        )
        assert all(count == 1 for count in running.values())
        for n, connector in state.by_n.items():
            document = connector.setpoint
            if document is None or not document.energize:
                continue
            evse = state.evse_of(n)
            transaction = evse.transaction
            assert transaction is None or (
                transaction.authorized and transaction.n == n and not transaction.ending
            )
            assert transaction is not None or evse.grant is not None
            assert n in self.live, "energized without fresh facts"
            assert availability.is_plugged(evse, connector), "energized without a vehicle"
            assert not availability.is_faulted(connector), "energized in spite of a fault"
            assert setpoints.can_meet(connector, document.limit_a)
            assert connector.away_since is None
            assert state.broker_up or state.stopping

    def _judge_asks(self, effects: list[fx.Effect]) -> None:
        state = self.station.state
        if state.registration is None:
            self.silent_until = 0.0  # a reset is a new start
        for effect in effects:
            if isinstance(effect, fx.Ask):
                assert self.linked, "asked without a link"
                assert self.monotonic >= self.silent_until, "spoke while rejected"
                free = isinstance(effect.report, r.Boot | r.VariablePage) or effect.ref in state.triggered
                resets = any(
                    isinstance(other, fx.CloseLink) for other in effects
                )  # it was accepted until then
                free = free or effect.ref == state.heartbeat_asked  # it may have been triggered
                assert free or resets or state.accepted, f"asked while not accepted: {effect.report}"
        ordered = [lane for lane in (state.outbox.transactions, state.outbox.guaranteed) if _doubtful(lane)]
        assert not ordered
        flying = Counter(
            isinstance(ask.report, r.TransactionEvent | r.MeterValues)
            for ask, _, _ in self.asked.values()
            if not ask.urgent
        )
        assert all(count <= 1 for count in flying.values()), "two of an ordered lane on the wire"
        for ref in self.pending:
            answered = any(isinstance(effect, fx.Answer) and effect.ref == ref for effect in effects)
            waiting = any(command.reply_ref == ref for command in state.commands.values())
            held = any(
                isinstance(e, fx.Answer) and e.ref == ref for turn in self.uncommitted for e in turn.later
            )
            assert answered or waiting or held, f"request {ref} is never answered"

    def judge_pending(self) -> None:
        """No request of the CSMS waits for longer than it may."""
        oldest = self.monotonic - self.config.policy.command_timeout_s
        held = {e.ref for turn in self.uncommitted for e in turn.later if isinstance(e, fx.Answer)}
        late = [ref for ref, since in self.pending.items() if since < oldest and ref not in held]
        assert not late, f"no answer to {late}"

    # -------------------------------------------------------------- a CSMS

    def link_up(self, version: str | None = None) -> None:
        offered = self.station.offered_versions()
        chosen = version if version in offered else offered[0]
        self.send(events.LinkOpened(DIALECTS[chosen].flavor))

    def link_down(self, kind: str = "lost") -> None:
        lost = list(self.asked)
        self.send(events.LinkClosed(kind, "gone"))
        for ref in lost:
            self.send(events.Answered(ref, r.Failed(r.FailureKind.LOST)))

    def csms_asks(self, request: Request) -> list[fx.Effect]:
        self.requests += 1
        return self.send(events.CsmsAsked(self.requests, request))

    def answer(self, ref: int, answer: r.Answer | None = None) -> None:
        """Answer one call of what was asked; None: in the friendliest way."""
        ask, step, steps = self.asked[ref]
        last = step >= steps - 1 or isinstance(answer, r.Failed)
        self.send(events.Answered(ref, answer or self.friendly(ask.report, step), step=step, last=last))

    def friendly(self, report: r.Report, step: int = 0) -> r.Answer:
        match report:
            case r.Boot():
                return r.BootAnswer(RegistrationStatus.ACCEPTED, 300, self.wall)
            case r.Heartbeat():
                return r.HeartbeatAnswer(self.wall)
            case r.Authorization():
                return r.AuthorizationAnswer(TokenInfo(AuthorizationStatus.ACCEPTED))
            case r.TransactionEvent(type="Started") if self.version == "ocpp1.6" and step == 0:
                self.csms_ids += 1
                return r.TransactionAnswer(self.csms_ids, TokenInfo(AuthorizationStatus.ACCEPTED))
            case r.TransactionEvent() if self.version != "ocpp1.6":
                return r.TransactionAnswer()
            case _:
                return r.Acknowledged()

    def answer_all(self) -> None:
        """A CSMS that answers until there is nothing more to answer."""
        for _ in range(2000):
            if not self.asked:
                return
            self.answer(next(iter(self.asked)))
        raise AssertionError("the station never stops talking")

    # -------------------------------------------------------------- honest devices

    def obey(self, n: int, *, plugged: bool = True) -> None:
        """A device that does what its setpoint says, and says so."""
        document = self.shown.get(n)
        on = plugged and document is not None and document.energize
        locked = document.lock if document is not None else False
        facts = StatusFacts(
            plugged=plugged, energized=on, charging=on, ev_ready=on, locked=locked, lock_failed=False,
            errors=(), bay_occupied=plugged, control_pilot=None, cable_limit_a=None,
        )  # fmt: skip
        self.send(events.StatusReported(n, facts))

    def card(self, n: int, token: str, gesture_id: str | None = None) -> list[fx.Effect]:
        return self.send(events.TokenPresented(n, IdToken(token), gesture_id))

    # -------------------------------------------------------------- the end

    def drain(self) -> None:
        """Everything comes back and behaves until all is quiet; then nothing may be left."""
        self.lagging = False
        self.commit()
        self.send(events.StoreChanged(writable=True))
        if not self.station.state.broker_up:
            self.connect_broker()
        for n in (0, *self.station.state.by_n):
            for part in (None, "evse", "meter", "reader"):
                self.send(events.DevicePresenceChanged(n, online=True, part=part))
        for _ in range(40):
            if self.close_wanted:
                self.link_down("closed")
            if not self.linked:
                self.link_up()
            self.answer_all()
            for evse in self.station.state.evses.values():
                if evse.transaction is not None and not evse.transaction.ending:
                    self.csms_asks(StopRequested(evse.transaction.id, evse.transaction.csms_id))
            for n in self.station.state.by_n:
                self.obey(n, plugged=False)
            self.answer_all()
            if self._quiet():
                break
            self.pass_time(61.0)
        self.judge_quiet()

    def _quiet(self) -> bool:
        state = self.station.state
        return (
            not self.open
            and not len(state.outbox)
            and not self.asked
            and state.accepted
            and state.reset is None
            and not self.close_wanted
            and not state.commands
            and all(evse.transaction is None and evse.grant is None for evse in state.evses.values())
        )

    def judge_quiet(self) -> None:
        """Every Started has its Ended, all of it was told or given up, and nothing is kept of it."""
        state = self.station.state
        assert not self.open, f"never ended: {self.open}"
        assert self._quiet(), self._left()
        for kind in ("transaction", "ended_sample", "outbox"):
            assert not self.disk.get(kind), f"left on disk: {self.disk[kind]}"
        assert not state.ended
        assert not state.ended_samples
        assert not state.triggered
        assert not self.pending
        for n, connector in state.by_n.items():
            assert connector.setpoint is not None
            assert not self.shown[n].energize
            assert self.shown[n].revision == connector.setpoint.revision

    def _left(self) -> str:
        state = self.station.state
        evses = {
            evse.id: (evse.transaction, evse.grant, evse.question, evse.beginning)
            for evse in state.evses.values()
        }
        return f"{evses} {len(state.outbox)} {self.asked} {state.registration} {state.reset} {state.commands}"

    def charge_once(self, n: int) -> None:
        """After all that: a card, a vehicle, energy, and an end, as if nothing had been."""
        state = self.station.state
        clear: dict[str, object] = {"limit_a": None}
        self.send(events.ActionRequested(0, "limit", clear, reply_to=-self.runs))
        for evse in state.evses:
            self.csms_asks(AvailabilityRequested(Place(evse=evse), operative=True))
        for m in state.by_n:
            self.csms_asks(AvailabilityRequested(Place(n=m), operative=True))
        self.csms_asks(AvailabilityRequested(Place(), operative=True))
        self.answer_all()
        self.pass_time(4000.0)
        self.answer_all()
        for m in state.by_n:
            self.obey(m, plugged=False)
        self.answer_all()
        started = len(self.sequence)
        token = f"CAFE{self.runs:02}{n:04}"
        self.card(n, token)
        self.answer_all()
        for _ in range(4):
            self.obey(n)
            self.obey(n)  # first it locks the plug
            self.send(events.MeterSampled(n, {"energy_import_wh": 1e9}))
            self.answer_all()
            self.pass_time(6.0)
            self.answer_all()
        assert self.shown[n].energize, f"no energy: {state.evse_of(n).transaction} {state.evse_of(n).grant}"
        assert len(self.sequence) == started + 1
        self.card(n, token)
        for _ in range(4):
            self.obey(n)
            self.answer_all()
            self.pass_time(6.0)
        assert not self.shown[n].energize
        self.obey(n, plugged=False)
        self.drain()

    def connect_broker(self) -> None:
        self.epochs += 1
        self.send(events.BrokerConnected(f"epoch{self.epochs}"))


def _doubtful(lane: Lane) -> bool:
    return lane.in_flight is not None and not lane.rows
