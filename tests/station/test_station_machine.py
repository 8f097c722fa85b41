"""Whatever happens to a station, in any order, its promises hold; see driver.py for what is judged after each event."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gateway.station import effects as fx
from gateway.station import events
from gateway.station import reports as r
from gateway.station import requests as q
from gateway.station.model import (
    AuthorizationStatus,
    ConnectorConfig,
    DeviceError,
    DeviceInfo,
    IdToken,
    MeterValue,
    Policy,
    RegistrationStatus,
    StationConfig,
    StatusFacts,
    TokenInfo,
    TxPoint,
)
from tests.station.driver import Driver

V16, V201 = "ocpp1.6", "ocpp2.0.1"
TOKENS = ("04A2B3C4D5", "04a2b3c4d5", "0499887766", "0455555555")
GROUPS = (None, IdToken("FAMILY"), IdToken("FIRM"))
_P = TxPoint

POINTS = (
    ({_P.POWER_PATH_CLOSED}, {_P.EV_CONNECTED, _P.AUTHORIZED}),
    ({_P.AUTHORIZED}, {_P.AUTHORIZED}),
    ({_P.EV_CONNECTED}, {_P.EV_CONNECTED}),
    ({_P.EV_CONNECTED, _P.AUTHORIZED}, {_P.EV_CONNECTED}),
    ({_P.PARKING_BAY_OCCUPANCY}, {_P.PARKING_BAY_OCCUPANCY}),
    ({_P.ENERGY_TRANSFER}, {_P.ENERGY_TRANSFER}),
    ({_P.POWER_PATH_CLOSED}, {_P.ENERGY_TRANSFER, _P.EV_CONNECTED}),
    ({_P.EV_CONNECTED, _P.PARKING_BAY_OCCUPANCY}, {_P.AUTHORIZED, _P.PARKING_BAY_OCCUPANCY}),
)

LAYOUTS = (
    (ConnectorConfig(n=1, evse=1, connector=1, lock=True, fixed_cable=False),),
    (ConnectorConfig(n=1, evse=1, connector=1, plug_sensor=False),),
    (
        ConnectorConfig(n=1, evse=1, connector=1),
        ConnectorConfig(n=2, evse=1, connector=2, lock=True, fixed_cable=False),
        ConnectorConfig(n=3, evse=2, connector=1, energy="session", limiting="on_off", max_current_a=16.0),
    ),
)

configurations = st.builds(
    lambda layout, points, free, restart, variables, vanished_s: StationConfig(
        name="cp",
        identity="CP",
        csms_url="ws://csms",
        connectors=layout,
        policy=Policy(
            start_points=frozenset(points[0]),
            stop_points=frozenset(points[1]),
            free_charging_token=free,
            after_restart=restart,
            vanished_transaction_s=vanished_s,
        ),
        variables=variables,
    ),
    st.sampled_from(LAYOUTS),
    st.sampled_from(POINTS),
    st.sampled_from((None, None, None, IdToken("FREE", "Central"))),
    st.sampled_from(("resume", "stop")),
    st.fixed_dictionaries(
        {},
        optional={
            "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": st.sampled_from(("1", "3")),
            "SampledDataCtrlr.TxEndedInterval": st.sampled_from(("0", "30")),
            "Ocpp16.StopTxnSampledData": st.sampled_from(("", "Energy.Active.Import.Register")),
            "AuthCtrlr.OfflineTxForUnknownIdEnabled": st.sampled_from(("true", "false")),
            "AlignedDataCtrlr.Interval": st.sampled_from(("0", "900")),
        },
    ),
    st.sampled_from((0.0, 600.0)),
)

tri = st.sampled_from((True, True, False, None))
errors = st.sampled_from(
    (
        (),
        (),
        (),
        (DeviceError("GroundFailure", "earth"),),
        (DeviceError("HighTemperature", "hot", fault=False),),
        (DeviceError("Burning", "odd"),),
    )
)
facts = st.builds(
    lambda said: StatusFacts(**said),
    st.fixed_dictionaries(
        {},
        optional={
            "plugged": tri,
            "energized": tri,
            "charging": tri,
            "ev_ready": tri,
            "errors": errors,
            "locked": tri,
            "lock_failed": st.sampled_from((False, False, True)),
            "bay_occupied": tri,
            "control_pilot": st.sampled_from(("A", "B", "C", "E", None)),
            "cable_limit_a": st.sampled_from((None, 4.0, 20.0)),
            "status": st.sampled_from(("Available", "Charging", "Faulted", "Occupied", "nonsense")),
        },
    ),
)
powers = st.sampled_from((None, 0.0, 20.0, 3600.0))

VARIABLES = (
    ("OCPPCommCtrlr", "MessageAttempts", "TransactionEvent", ("1", "2", "5")),
    ("OCPPCommCtrlr", "MessageAttemptInterval", "TransactionEvent", ("1", "60")),
    ("OCPPCommCtrlr", "HeartbeatInterval", None, ("1", "60", "86400")),
    ("SampledDataCtrlr", "TxUpdatedInterval", None, ("0", "1", "10", "60")),
    ("SampledDataCtrlr", "TxEndedInterval", None, ("0", "10")),
    ("AlignedDataCtrlr", "Interval", None, ("0", "60", "900")),
    ("TxCtrlr", "EVConnectionTimeOut", None, ("1", "30")),
    ("TxCtrlr", "StopTxOnInvalidId", None, ("true", "false")),
    ("TxCtrlr", "StopTxOnEVSideDisconnect", None, ("true", "false")),
    ("TxCtrlr", "MaxEnergyOnInvalidId", None, ("0", "500")),
    ("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", None, ("true", "false")),
    ("Ocpp16", "MinimumStatusDuration", None, ("0", "5")),
    ("AuthCtrlr", "LocalPreAuthorize", None, ("true", "false")),
    ("AuthCtrlr", "AuthorizeRemoteStart", None, ("true", "false")),
    ("AuthCtrlr", "LocalAuthorizeOffline", None, ("true", "false")),
    ("AuthCacheCtrlr", "Enabled", None, ("true", "false")),
    ("TxCtrlr", "TxStartPoint", None, ("Authorized", "EVConnected", "PowerPathClosed")),
    ("TxCtrlr", "TxStopPoint", None, ("Authorized", "EVConnected", "EVConnected,Authorized")),
)


@st.composite
def variables_given(draw: st.DrawFn) -> q.VariablesGiven:
    component, variable, instance, texts = draw(st.sampled_from(VARIABLES))
    ref = q.VariableRef(component, variable, instance)
    return q.VariablesGiven(((ref, draw(st.sampled_from(texts))),))


places = st.sampled_from(
    (
        q.Place(),
        q.Place(n=0),
        q.Place(n=1),
        q.Place(n=2),
        q.Place(n=9),
        q.Place(evse=1),
        q.Place(evse=1, connector=1),
        q.Place(evse=2),
    )
)
asked = st.one_of(
    st.builds(
        q.StartRequested,
        st.sampled_from(TOKENS).map(IdToken),
        places,
        st.sampled_from((None, 7)),
        st.sampled_from(GROUPS),
    ),
    st.builds(q.UnlockRequested, places),
    st.builds(q.ResetRequested, st.sampled_from(("immediate", "on_idle", "hard", "soft"))),
    st.builds(q.AvailabilityRequested, places, st.booleans()),
    variables_given(),
    st.just(q.VariablesRequested((q.VariableRef("EVSE", "AvailabilityState", evse=1),))),
    st.builds(q.InventoryRequested, st.just(1), st.sampled_from(("FullInventory", "ConfigurationInventory"))),
    st.just(q.CacheClearRequested()),
    st.builds(
        q.TriggerRequested,
        st.sampled_from(
            (
                "BootNotification",
                "Heartbeat",
                "StatusNotification",
                "MeterValues",
                "TransactionEvent",
                "FirmwareStatusNotification",
            )
        ),
        places,
    ),
    st.just(q.TransactionStatusRequested()),
    st.just(q.VendorMessageReceived("com.example")),
)
failures = st.sampled_from(
    (
        r.Failed(r.FailureKind.REFUSED, "InternalError", "no"),
        r.Failed(r.FailureKind.REFUSED, "SecurityError", "who are you"),
        r.Failed(r.FailureKind.TIMED_OUT),
        r.Failed(r.FailureKind.MALFORMED),
    )
)
verdicts = st.sampled_from((*AuthorizationStatus, *[AuthorizationStatus.ACCEPTED] * 8))


Gesture = events.TokenPresented | events.DeviceReported | events.ActionRequested


class StationMachine(RuleBasedStateMachine):
    """Every rule is something that the world may do to a station."""

    versions: tuple[str, ...] = (V16, V201)

    @initialize(
        config=configurations,
        version=st.sampled_from((0, 1)),
        mixed=st.sampled_from((False, False, False, True)),
        at_rest=st.booleans(),
    )
    def begin(self, config: StationConfig, version: int, mixed: bool, at_rest: bool) -> None:
        self.wanted = self.versions[version % len(self.versions)]
        versions = (self.wanted, *(other for other in (V16, V201) if other != self.wanted and mixed))
        fields = {name: getattr(config, name) for name in config.__struct_fields__}
        self.driver = Driver(StationConfig(**{**fields, "versions": versions}), self.wanted)
        self.numbers: list[int] = [connector.n for connector in config.connectors]
        self.boots = 0
        self.gestures: list[Gesture] = []
        self.energy = dict.fromkeys(self.numbers, 1000.0)
        self.next_id = 0
        if at_rest:
            self.broker_comes()
            self.announce(new=False, able=True)
            for n in self.numbers:
                self.driver.obey(n, plugged=False)
            self.link_comes()
            self.driver.answer_all()

    def n(self, index: int) -> int:
        return self.numbers[index % len(self.numbers)]

    # -------------------------------------------------------------- time

    @rule(
        seconds=st.sampled_from((0.0, 0.5, 1.0, 3.0, 6.0, 20.0, 61.0, 100.0, 330.0, 901.0, 4000.0)),
        punctual=st.booleans(),
    )
    def time_passes(self, seconds: float, punctual: bool) -> None:
        self.driver.pass_time(seconds, punctual=punctual)
        if not punctual:
            self.driver.send(events.TimePassed())

    @rule(jump=st.sampled_from((-1e6, -3600.0, -5.0, 5.0, 3600.0, 1e7)), synced=st.booleans())
    def clock_jumps(self, jump: float, synced: bool) -> None:
        self.driver.wall = max(self.driver.wall + jump, 1_600_000_000.0)
        if jump > 3600.0:
            self.gestures.clear()  # by that clock they are older than gesture_memory_s
        self.driver.synced = synced

    # -------------------------------------------------------------- devices

    @rule(index=st.integers(0, 2), facts=facts, retained=st.sampled_from((False, False, True)))
    def status(self, index: int, facts: StatusFacts, retained: bool) -> None:
        self.driver.send(events.StatusReported(self.n(index), facts, retained=retained))

    @rule(index=st.integers(0, 2), plugged=st.booleans())
    def device_obeys(self, index: int, plugged: bool) -> None:
        self.driver.obey(self.n(index), plugged=plugged)

    @rule(
        index=st.integers(0, 2),
        step=st.sampled_from((0.0, 5.0, 600.0, -300.0, -900.0, None)),
        power=powers,
        times=st.sampled_from((1, 1, 4)),
    )
    def meter(self, index: int, step: float | None, power: float | None, times: int) -> None:
        n = self.n(index)
        if step is not None:
            self.energy[n] = max(self.energy[n] + step, 0.0)
        for _ in range(times):
            values: dict[str, MeterValue] = {
                "energy_import_wh": None if step is None else self.energy[n],
                "power_w": power,
            }
            self.driver.send(events.MeterSampled(n, values))

    @precondition(lambda self: any(command.name == "measure" for command in self.driver.commands))
    @rule(step=st.sampled_from((0.0, 10.0)))
    def measured(self, step: float) -> None:
        command = next(c for c in reversed(self.driver.commands) if c.name == "measure")
        self.energy[command.n] += step
        values: dict[str, MeterValue] = {"energy_import_wh": self.energy[command.n]}
        self.driver.send(events.MeterSampled(command.n, values, ref=command.id))

    @precondition(lambda self: any(command.name == "unlock" for command in self.driver.commands))
    @rule(status=st.sampled_from(("accepted", "failed", "in_progress", "not_supported")))
    def unlocked(self, status: str) -> None:
        command = next(c for c in reversed(self.driver.commands) if c.name == "unlock")
        self.driver.send(events.CommandAnswered(command.n, command.id, status))

    @rule(
        index=st.integers(-1, 2), online=st.booleans(), part=st.sampled_from((None, None, "meter", "reader"))
    )
    def presence(self, index: int, online: bool, part: str | None) -> None:
        n = 0 if index < 0 else self.n(index)
        self.driver.send(events.DevicePresenceChanged(n, online=online, part=part))

    @rule(new=st.booleans(), able=st.booleans())
    def announce(self, new: bool, able: bool) -> None:
        self.boots += new
        commands = ("measure", "unlock", "reset", "card_result") if able else ()
        self.driver.send(events.DeviceAnnounced(DeviceInfo(boot_id=f"boot{self.boots}", commands=commands)))

    # -------------------------------------------------------------- gestures

    @rule(
        index=st.integers(-1, 2),
        token=st.sampled_from(TOKENS),
        named=st.booleans(),
        backlog=st.sampled_from((False, False, False, True)),
    )
    def card(self, index: int, token: str, named: bool, backlog: bool) -> None:
        n = 0 if index < 0 else self.n(index)
        event = events.TokenPresented(n, IdToken(token), self.new_id() if named else None, backlog=backlog)
        self.gesture(event, late=backlog)

    @rule(
        index=st.integers(-1, 2),
        kind=st.sampled_from(
            ("stop_button", "emergency_stop", "tamper", "power_failing", "local_reset", "ev_stop", "odd")
        ),
        named=st.booleans(),
    )
    def device_reports(self, index: int, kind: str, named: bool) -> None:
        n = 0 if index < 0 else self.n(index)
        self.gesture(events.DeviceReported(n, kind, self.new_id() if named else None))

    @rule(
        index=st.integers(-1, 2),
        action=st.sampled_from(
            (
                ("start", {"id_token": TOKENS[0]}),
                ("stop", {}),
                ("unlock", {}),
                ("limit", {"limit_a": 3.0, "ttl_s": 60}),
                ("limit", {"limit_a": 10.0}),
                ("limit", {"limit_a": None}),
                ("operative", {"operative": False}),
                ("operative", {"operative": True}),
                ("link", {"connected": False}),
                ("odd", {}),
            )
        ),
    )
    def somebody_asks(self, index: int, action: tuple[str, dict[str, object]]) -> None:
        n = 0 if index < 0 else self.n(index)
        gesture = self.new_id()
        event = events.ActionRequested(n, action[0], dict(action[1]), self.next_id, gesture)
        effects = self.gesture(event)
        answered = sum(isinstance(effect, fx.Respond) for effect in effects)
        waits = any(
            command.respond_to == self.next_id for command in self.driver.station.state.commands.values()
        )
        assert answered + waits == 1

    def new_id(self) -> str:
        self.next_id += 1
        return f"gesture{self.next_id}"

    def gesture(self, event: Gesture, *, late: bool = False) -> list[fx.Effect]:
        before = self.driver.lagging
        effects = self.driver.send(event)
        if late:
            assert not any(isinstance(e, fx.Ask | fx.SetPoint) for e in effects), "a late one acted"
        if event.gesture_id is not None and not before:
            self.gestures.append(event)
        return effects

    @precondition(lambda self: self.gestures)
    @rule(which=st.integers(0, 30))
    def gesture_again(self, which: int) -> None:
        """What was done already is not done again, whoever repeats it, over whatever restart."""
        self.driver.send(events.TimePassed())
        event = self.gestures[which % len(self.gestures)]
        assert self.driver.send(event) == []

    @rule(index=st.integers(0, 2), token=st.sampled_from(TOKENS))
    def late_card(self, index: int, token: str) -> None:
        self.driver.send(events.TimePassed())
        effects = self.driver.send(
            events.TokenPresented(self.n(index), IdToken(token), self.new_id(), at=self.driver.wall - 31.0)
        )
        assert not any(isinstance(effect, fx.Ask | fx.SetPoint) for effect in effects)

    # -------------------------------------------------------------- the CSMS

    @precondition(lambda self: not self.driver.linked)
    @rule()
    def link_comes(self) -> None:
        self.driver.link_up(self.wanted)

    @precondition(lambda self: self.driver.linked)
    @rule(kind=st.sampled_from(("lost", "dead_peer")))
    def link_goes(self, kind: str) -> None:
        self.driver.link_down(kind)

    @precondition(lambda self: not self.driver.linked)
    @rule(kind=st.sampled_from(("refused_auth", "tls_certificate", "unreachable")))
    def link_fails(self, kind: str) -> None:
        self.driver.send(events.LinkClosed(kind, "not today"))

    @precondition(lambda self: self.driver.close_wanted)
    @rule()
    def link_closes_as_wanted(self) -> None:
        self.driver.link_down("closed")

    @precondition(lambda self: self.driver.asked)
    @rule()
    def csms_answers_all(self) -> None:
        self.driver.answer_all()

    @precondition(lambda self: self.driver.asked)
    @rule(which=st.integers(0, 5))
    def csms_answers(self, which: int) -> None:
        self.driver.answer(self.ref(which))

    @precondition(lambda self: self.driver.asked)
    @rule(which=st.integers(0, 5), failure=failures)
    def csms_fails(self, which: int, failure: r.Failed) -> None:
        self.driver.answer(self.ref(which), failure)

    @precondition(lambda self: self.driver.asked)
    @rule(
        which=st.integers(0, 5),
        status=verdicts,
        group=st.sampled_from(GROUPS),
        evses=st.sampled_from(((), (2,))),
    )
    def csms_judges(
        self, which: int, status: AuthorizationStatus, group: IdToken | None, evses: tuple[int, ...]
    ) -> None:
        ref = self.ref(which)
        ask, step, _ = self.driver.asked[ref]
        info = TokenInfo(status, group, None, evses)
        friendly = self.driver.friendly(ask.report, step)
        if isinstance(friendly, r.AuthorizationAnswer):
            self.driver.answer(ref, r.AuthorizationAnswer(info))
        elif isinstance(friendly, r.TransactionAnswer):
            self.driver.answer(ref, r.TransactionAnswer(friendly.csms_id, info))
        else:
            self.driver.answer(ref, friendly)

    @precondition(
        lambda self: any(isinstance(ask.report, r.Boot) for ask, _, _ in self.driver.asked.values())
    )
    @rule(
        status=st.sampled_from((RegistrationStatus.PENDING, RegistrationStatus.REJECTED)),
        interval=st.sampled_from((0, 1, 60)),
        ahead=st.sampled_from((None, 0.0, 3600.0)),
    )
    def csms_hesitates(self, status: RegistrationStatus, interval: int, ahead: float | None) -> None:
        ref = next(ref for ref, (ask, _, _) in self.driver.asked.items() if isinstance(ask.report, r.Boot))
        time = None if ahead is None else self.driver.wall + ahead
        self.driver.answer(ref, r.BootAnswer(status, interval, time))

    @precondition(lambda self: self.driver.refs)
    @rule(which=st.integers(0, 50), accepted=st.booleans())
    def stray_answer(self, which: int, accepted: bool) -> None:
        """An answer to something else, or once more: nothing follows from it."""
        refs = [ref for ref in sorted(self.driver.refs) if ref not in self.driver.asked]
        if refs:
            self.driver.send(events.TimePassed())
            ref = refs[which % len(refs)]
            answer = r.Acknowledged() if accepted else r.Failed(r.FailureKind.TIMED_OUT)
            assert self.driver.send(events.Answered(ref, answer)) == []

    @precondition(lambda self: self.driver.linked and not self.driver.station.muted)
    @rule(request=asked)
    def csms_asks(self, request: q.Request) -> None:
        self.driver.csms_asks(request)

    @precondition(lambda self: self.driver.linked and not self.driver.station.muted)
    @rule(which=st.integers(0, 3))
    def csms_stops(self, which: int) -> None:
        known = sorted(self.driver.sequence)
        if known:
            transaction = self.driver.station.state.transaction(known[which % len(known)])
            csms_id = None if transaction is None else transaction.csms_id
            self.driver.csms_asks(q.StopRequested(known[which % len(known)], csms_id))

    def ref(self, which: int) -> int:
        refs = list(self.driver.asked)
        return refs[which % len(refs)]

    # -------------------------------------------------------------- a good day, in one go

    @rule(index=st.integers(0, 2), token=st.sampled_from(TOKENS), card_first=st.booleans())
    def charge(self, index: int, token: str, card_first: bool) -> None:
        n = self.n(index)
        if card_first:
            self.driver.card(n, token, self.new_id())
        self.driver.obey(n)
        if not card_first:
            self.driver.card(n, token, self.new_id())
        self.driver.answer_all()
        self.driver.obey(n)
        self.meter(index, 5.0, 3600.0, 1)
        self.driver.obey(n)
        self.driver.answer_all()

    # -------------------------------------------------------------- the house

    @rule()
    def broker_comes(self) -> None:
        self.driver.connect_broker()

    @rule()
    def broker_goes(self) -> None:
        self.driver.send(events.BrokerLost())

    @rule()
    def disk_lags(self) -> None:
        self.driver.lagging = True

    @precondition(lambda self: self.driver.lagging)
    @rule()
    def disk_catches_up(self) -> None:
        self.driver.lagging = False
        self.driver.commit()

    @rule(writable=st.booleans())
    def store(self, writable: bool) -> None:
        self.driver.send(events.StoreChanged(writable, "" if writable else "disk full"))

    @rule(clean=st.sampled_from((False, False, True)))
    def gateway_restarts(self, clean: bool) -> None:
        if clean:
            self.driver.send(events.Stopping())
            self.driver.commit()
        self.driver.restart()

    # -------------------------------------------------------------- the end

    def teardown(self) -> None:
        """Whatever happened, in the end all is told, nothing is left, and a card charges a car."""
        if not hasattr(self, "driver") or not self.driver.content:
            return
        self.driver.drain()
        if self.driver.config.policy.free_charging_token is None:
            self.driver.charge_once(self.numbers[0])


_SETTINGS = settings(
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


class Machine16(StationMachine):
    versions = (V16,)


class Machine201(StationMachine):
    versions = (V201,)


Machine16.TestCase.settings = Machine201.TestCase.settings = settings(
    _SETTINGS, max_examples=250, stateful_step_count=50
)
TestStation16 = Machine16.TestCase
TestStation201 = Machine201.TestCase


class LongMachine(StationMachine):
    """The same, many more times."""


LongMachine.TestCase.settings = settings(_SETTINGS, max_examples=2000, stateful_step_count=80)


TestStationLong = pytest.mark.long(pytest.mark.timeout(3600)(LongMachine.TestCase))
