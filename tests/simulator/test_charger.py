"""The simulated charger, without a broker: each rule of the contract, and what holds whatever happens."""

import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.simulator.car import Car
from gateway.simulator.charger import Charger
from gateway.simulator.connector import Options
from gateway.simulator.contract import Instant, Message
from gateway.simulator.events import (
    CardPresented,
    CarPaused,
    Connected,
    Disconnected,
    Event,
    FaultsChanged,
    LockJammed,
    Plugged,
    Received,
    Reported,
    SwitchedOff,
    TimePassed,
    Unplugged,
)

BEGIN_S = 1_800_000_000.0


class Bench:
    """A charger on a bench: it has a clock that only `after()` moves, and keeps what was said."""

    def __init__(self, charger: Charger | None = None, **options: Any) -> None:
        ids = (f"id-{n}" for n in range(100_000))
        self.charger = charger or Charger(Options(**options), ids.__next__)
        self.now_s = 0.0
        self.said: list[Message] = []

    def do(self, event: Event) -> list[Message]:
        self.said = self.charger.handle(event, Instant(BEGIN_S + self.now_s, self.now_s))
        return self.said

    def after(self, seconds: float) -> list[Message]:
        """Let time pass as the edge does: deadline by deadline."""
        end_s, said = self.now_s + seconds, list[Message]()
        while (deadline := self.charger.deadline()) is not None and deadline < end_s:
            self.now_s = max(self.now_s, deadline)
            said += self.do(TimePassed())
        self.now_s = end_s
        said += self.do(TimePassed())
        return said

    def hear(self, topic: str, payload: dict[str, Any] | bytes, retain: bool = False) -> list[Message]:
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.do(Received(f"ocpp/{topic}", raw, retain))

    def beat(self, epoch: str = "e1", state: str = "online", retain: bool = False) -> list[Message]:
        return self.hear("bridge/state", {"state": state, "epoch": epoch}, retain)

    def set(self, revision: int, n: int = 1, retain: bool = False, **fields: Any) -> list[Message]:
        setpoint = {"energize": True, "limit_a": 16.0, "epoch": "e1", "valid_s": 90, "lock": True}
        return self.hear(f"simulated/{n}/setpoint", setpoint | {"revision": revision} | fields, retain)

    def command(self, name: str, n: int = 1, **fields: Any) -> list[Message]:
        return self.hear(f"simulated/{n}/command/{name}", {"id": "c1", "ttl_s": 30} | fields)

    @property
    def on(self) -> bool:
        return self.charger.connector(1).energized


def told(messages: list[Message], channel: str) -> list[Any]:
    """The payloads on topics that end so."""
    return [json.loads(m.payload) for m in messages if m.topic.endswith(f"/{channel}")]


@pytest.fixture
def bench() -> Bench:
    """Connected, with a car that has been plugged in and a gateway that has been heard."""
    bench = Bench()
    bench.do(Connected())
    bench.do(Plugged(1, Car()))
    bench.beat()
    return bench


def test_on_connecting_everything_is_said() -> None:
    """Info first, then availability, and the whole status of each connector."""
    bench = Bench(connectors=2)

    said = bench.do(Connected())

    assert [
        ("ocpp/simulated/0/info", 1, True),
        ("ocpp/simulated/0/availability", 1, True),
        ("ocpp/simulated/1/meter", 0, False),
        ("ocpp/simulated/1/status", 1, True),
        ("ocpp/simulated/2/meter", 0, False),
        ("ocpp/simulated/2/status", 1, True),
    ] == [(m.topic, m.qos, m.retain) for m in said]
    info = told(said, "info")[0]
    assert (1, "id-0", "power_up") == (info["contract"], info["boot_id"], info["boot_reason"])
    assert [1, 2] == [each["n"] for each in info["connectors"]]
    assert all(json.loads(m.payload)["timestamp"] == "2027-01-15T08:00:00.000Z" for m in said)


def test_a_setpoint_and_a_living_gateway_energize(bench: Bench) -> None:
    """The register goes ahead of the contactor's status."""
    said = bench.set(1)

    assert ["ocpp/simulated/1/meter", "ocpp/simulated/1/status"] == [m.topic for m in said]
    status = told(said, "status")[0]
    del status["timestamp"]
    assert {
        "plugged": True,
        "cable": "ev",
        "control_pilot": "C",
        "ev_ready": True,
        "energized": True,
        "charging": False,
        "locked": True,
        "limit_a": 16.0,
        "phases": 3,
        "errors": [],
        "revision": 1,
    } == status


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b"null",
        b'{"energize":true}',
        b'{"energize":"true","revision":2,"epoch":"e1","valid_s":90}',
        b'{"energize":1,"revision":2,"epoch":"e1","valid_s":90}',
        b'{"energize":null,"revision":2,"epoch":"e1","valid_s":90}',
        b'{"revision":2,"epoch":"e1","valid_s":90}',
        b'{"energize":false,"revision":2,"epoch":"e1","valid_s":90}',
    ],
)
def test_no_readable_wish_is_off(bench: Bench, payload: bytes) -> None:
    """Rule 1."""
    bench.set(1)
    assert bench.on

    bench.hear("simulated/1/setpoint", payload)

    assert not bench.on


def test_a_retained_heartbeat_energizes_nothing() -> None:
    """Rules 2 and 3: what the broker remembers is no sign of life."""
    bench = Bench()
    bench.do(Plugged(1, Car()))
    bench.do(Connected())
    bench.set(1, retain=True)
    bench.beat(retain=True)
    assert not bench.on

    bench.beat()

    assert bench.on


@pytest.mark.parametrize("state", ["stopping", "offline"])
def test_a_gateway_that_goes_is_no_life_but_interrupts_nothing(bench: Bench, state: str) -> None:
    """A clean stop holds until `valid_s`."""
    bench.set(1)
    bench.beat(state=state)
    assert bench.on
    bench.after(89.9)
    assert bench.on

    bench.after(0.1)

    assert not bench.on


def test_another_epoch_does_not_energize(bench: Bench) -> None:
    """The heartbeat has to carry the setpoint's own epoch."""
    bench.set(1, epoch="e2")
    assert not bench.on

    bench.beat("e2")

    assert bench.on


def test_a_new_epoch_does_not_interrupt(bench: Bench) -> None:
    """A gateway that comes back within the lease finds the contactor closed; the lease stays as it was."""
    bench.set(7)
    bench.after(60)
    bench.set(1, epoch="e2", limit_a=10.0)
    assert (True, 10.0) == (bench.on, bench.charger.connector(1).limit_a)
    bench.after(30)
    assert (False, 0.0) == (bench.on, bench.charger.connector(1).limit_a)

    bench.beat("e2")

    assert (True, 10.0) == (bench.on, bench.charger.connector(1).limit_a)


def test_an_old_lease_closes_nothing(bench: Bench) -> None:
    """A contactor that opened under a lease waits for a heartbeat of the setpoint that is in force then."""
    bench.set(1)
    bench.do(Unplugged(1))
    bench.set(1, epoch="e2")

    bench.do(Plugged(1, Car()))

    assert not bench.on


def test_what_was_said_before_the_plug_came_closes_nothing(bench: Bench) -> None:
    """Rule 4: neither of the car before nor too late; the next word counts."""
    bench.set(1)
    first = bench.on
    bench.do(Unplugged(1))
    bench.set(2)  # the gateway knew nothing of it yet

    bench.do(Plugged(1, Car()))
    bench.beat()
    bench.set(2, retain=True)
    stale = bench.on
    bench.set(3)

    assert (True, False, True) == (first, stale, bench.on)


def test_a_car_that_went_unseen_is_told_on_connecting(bench: Bench) -> None:
    """Rule 4: first that it went, then that another one is there."""
    bench.set(1)
    bench.do(Disconnected())
    bench.do(Unplugged(1))
    bench.do(Plugged(1, Car()))

    said = bench.do(Connected())

    assert [False, True] == [status["plugged"] for status in told(said, "status")]
    bench.do(Disconnected())
    assert [True] == [status["plugged"] for status in told(bench.do(Connected()), "status")]


def test_a_lapsed_lease_is_off_and_a_heartbeat_renews_it(bench: Bench) -> None:
    """Rule 2, by the clock alone."""
    bench.set(1, valid_s=40)
    for _ in range(5):
        bench.after(30)
        bench.beat()
        assert bench.on

    said = bench.after(40)

    assert not bench.on
    assert told(said, "status")[-1]["energized"] is False


def test_a_lost_connection_holds_for_the_lease(bench: Bench) -> None:
    """Then it is off; meanwhile nothing is said."""
    bench.set(1)
    assert bench.do(Disconnected()) == []
    bench.after(89)
    assert bench.on

    assert bench.after(1) == []

    assert not bench.on


def test_a_safe_limit_keeps_a_closed_contactor_only() -> None:
    """Where it is configured, the car goes on with it; nothing is closed for it."""
    bench = Bench(safe_limit_a=6.0)
    bench.do(Connected())
    bench.do(Plugged(1, Car()))
    bench.beat()
    bench.set(1)
    bench.after(91)
    assert (True, 6.0) == (bench.on, bench.charger.connector(1).limit_a)

    bench.do(Unplugged(1))
    bench.do(Plugged(1, Car()))

    assert not bench.on


def test_a_lower_revision_is_dropped(bench: Bench) -> None:
    """Within an epoch, even after the setpoint was cleared."""
    bench.set(5, energize=False)
    bench.set(4)
    assert not bench.on
    bench.hear("simulated/1/setpoint", b"")
    bench.set(4)
    assert not bench.on

    bench.set(6)

    assert bench.on


def test_each_connector_has_its_own_setpoint() -> None:
    """Energizing one leaves the other alone."""
    bench = Bench(connectors=2)
    bench.do(Connected())
    bench.do(Plugged(1, Car()))
    bench.do(Plugged(2, Car()))
    bench.beat()

    bench.set(1, n=2)

    assert [False, True] == [each.energized for each in bench.charger.connectors]


def test_current_rises_to_the_limit_and_falls_at_once(bench: Bench) -> None:
    """4 A/s up to 16 A; a lower limit is obeyed without a ramp."""
    connector = bench.charger.connector(1)
    bench.set(1, limit_a=32.0)
    said = bench.after(2)
    assert connector.current_a == pytest.approx(8.0, abs=0.1)
    assert told(said, "status")[-1]["charging"] is True
    bench.after(8)
    assert connector.current_a == 16.0

    bench.set(2, limit_a=10.0)

    assert connector.current_a == 10.0
    assert told(bench.said, "status")[-1]["limit_a"] == 10.0


@pytest.mark.parametrize(("fields", "limit_a"), [({"limit_w": 6900}, 10.0), ({"limit_a": 99.0}, 32.0)])
def test_the_lowest_limit_counts(bench: Bench, fields: dict[str, Any], limit_a: float) -> None:
    """Watts are shared by the active phases; the connector's own limit holds always."""
    bench.set(1, **fields)

    assert limit_a == bench.charger.connector(1).limit_a


def test_below_six_amperes_no_current_flows(bench: Bench) -> None:
    """A pilot cannot offer less; whether to switch off is the gateway's decision."""
    bench.set(1, limit_a=5.0)
    bench.after(60)

    assert (True, 0.0) == (bench.on, bench.charger.connector(1).register_wh)


def test_a_full_car_stops_asking(bench: Bench) -> None:
    """Current tapers above 80 %, and at 100 % the pilot goes to B with the contactor open."""
    bench = Bench(speed=600.0)
    bench.do(Connected())
    bench.do(Plugged(1, Car(battery_kwh=10.0, soc_percent=70.0)))
    bench.beat()
    bench.set(1, valid_s=3600)
    said = bench.after(60)

    last = told(said, "status")[-1]
    assert ("B", False, False) == (last["control_pilot"], last["charging"], last["energized"])
    assert bench.charger.connector(1).register_wh == pytest.approx(3000.0)
    currents = [m["current_a"][0] for m in told(said, "meter")]
    assert currents == sorted(currents[: len(currents)], reverse=True) or max(currents) == 16.0
    assert told(said, "meter")[-1]["soc_percent"] == 100.0


def test_a_paused_car_opens_the_contactor(bench: Bench) -> None:
    """And closes it again when it goes on."""
    bench.set(1)
    bench.do(CarPaused(1, paused=True))
    assert told(bench.said, "status")[-1]["control_pilot"] == "B"

    bench.do(CarPaused(1, paused=False))

    assert bench.on


def test_a_fault_opens_the_contactor(bench: Bench) -> None:
    """The device protects itself, and says so with the whole list."""
    bench.set(1)

    bench.do(FaultsChanged(1, ("GroundFailure",)))

    status = told(bench.said, "status")[-1]
    assert (["GroundFailure"], False) == (status["errors"], status["energized"])


def test_the_meter_is_said_at_its_interval_and_the_status_every_five_minutes(bench: Bench) -> None:
    """Although nothing changes."""
    said = bench.after(600)

    assert 60 == len(told(said, "meter"))
    assert 2 == len(told(said, "status"))


def test_a_new_epoch_is_told_the_whole_status(bench: Bench) -> None:
    """A retained heartbeat is no new gateway, and a repeated one is no news."""
    assert bench.beat() == []
    assert bench.beat("e2", retain=True) == []

    said = bench.beat("e3")

    assert 1 == len(told(said, "status"))


def test_measure_answers_with_its_ref(bench: Bench) -> None:
    """A reading of now, then the result."""
    said = bench.command("measure", id="m1", ref="begin-7", context="Transaction.Begin")

    assert "begin-7" == told(said, "meter")[0]["ref"]
    assert ("m1", "accepted") == (told(said, "result")[0]["id"], told(said, "result")[0]["status"])


def test_unlock(bench: Bench) -> None:
    """It unlocks, once, and only without current; a new setpoint may lock again."""
    bench.set(1)
    assert "rejected" == told(bench.command("unlock"), "result")[0]["status"]
    bench.set(2, energize=False)
    assert "rejected" == told(bench.command("unlock"), "result")[0]["status"]  # the same id acts once

    said = bench.command("unlock", id="c2")

    assert "accepted" == told(said, "result")[0]["status"]
    assert told(said, "status")[0]["locked"] is False
    assert told(bench.set(3, energize=False), "status")[0]["locked"] is True
    bench.do(LockJammed(1, jammed=True))
    assert "failed" == told(bench.command("unlock", id="c3"), "result")[0]["status"]


def test_without_a_lock_unlock_is_not_supported() -> None:
    """And `locked` is not said at all."""
    bench = Bench(lock=False)
    said = bench.do(Connected())

    assert "locked" not in told(said, "status")[0]
    assert "unlock" not in told(said, "info")[0]["commands"]
    assert "not_supported" == told(bench.command("unlock"), "result")[0]["status"]


def test_the_last_eight_commands_are_remembered(bench: Bench) -> None:
    """A ninth pushes the first out."""
    for n in range(8):
        assert 1 == len(told(bench.command("measure", id=f"m{n}"), "meter"))
    assert [] == told(bench.command("measure", id="m0"), "meter")
    bench.command("measure", id="m8")

    assert 1 == len(told(bench.command("measure", id="m0"), "meter"))


@pytest.mark.parametrize(
    "fields",
    [
        {"boot_id": "another"},
        {"ttl_s": 0},
        {"ttl_s": 30, "timestamp": "2027-01-15T07:59:29Z"},
        {"id": None},
    ],
)
def test_a_command_that_is_late_or_for_another_life_is_ignored(bench: Bench, fields: dict[str, Any]) -> None:
    """No act, no answer."""
    assert bench.command("reset", **fields) == []
    assert not bench.charger.rebooting


def test_a_retained_command_is_ignored(bench: Bench) -> None:
    """A gesture happens once; the broker's memory is not one."""
    assert bench.hear("simulated/1/command/reset", {"id": "r"}, retain=True) == []
    assert not bench.charger.rebooting


def test_an_unknown_command_is_not_supported(bench: Bench) -> None:
    """The gateway need not wait for its deadline."""
    assert "not_supported" == told(bench.command("display"), "result")[0]["status"]


def test_firmware_is_a_new_life_with_a_new_version(bench: Bench) -> None:
    """It says that it installs, boots, and introduces itself with the version; a later life has it too."""
    said = bench.command("update_firmware", n=0, url="http://x/f", size=1, sha256="abcdef0123")
    assert [{"status": "installing"}] == told(said, "firmware")
    assert bench.charger.rebooting

    bench.do(Disconnected())
    [info] = told(bench.do(Connected()), "info")

    assert ("firmware_update", "1.0.0+abcdef0") == (info["boot_reason"], info["firmware_version"])
    later = Charger(Options(), iter(["a", "b"]).__next__, bench.charger.state)
    assert "1.0.0+abcdef0" == later.firmware_version


def test_a_log_is_said_when_asked_for(bench: Bench) -> None:
    """Whole lines, in one part."""
    [log] = told(bench.command("upload_log", n=0), "log")
    assert log["last"]
    assert "connector 1" in log["text"]


def test_reset_is_a_new_life(bench: Bench) -> None:
    """Off and answered first; after the connection is gone nothing of the old life counts."""
    bench.set(1)
    first = bench.charger.boot_id
    said = bench.command("reset", n=0, boot_id=first)
    assert "accepted" == told(said, "result")[0]["status"]
    assert told(said, "status")[0]["energized"] is False
    assert bench.charger.rebooting

    bench.do(Disconnected())
    info = told(bench.do(Connected()), "info")[0]
    bench.set(1, retain=True)

    assert info["boot_reason"] == "remote_reset"
    assert first != info["boot_id"]
    assert not bench.on
    bench.beat()
    assert bench.on


def test_card_report_and_verdict(bench: Bench) -> None:
    """Gestures carry an id and a time; the verdict is shown."""
    card = told(bench.do(CardPresented(0, "04A2B3C4", target=1)), "card")[0]
    report = told(bench.do(Reported(1, "stop_button")), "report")[0]
    bench.command("card_result", id=card["id"], verdict="refused")

    assert ("04A2B3C4", "ISO14443", 1) == (card["id_token"], card["type"], card["connector"])
    assert card["id"] != report["id"]
    assert "stop_button" == report["kind"]
    assert "refused" == bench.charger.verdict


def test_switched_off_says_goodbye(bench: Bench) -> None:
    """Contactor open, last register, then offline."""
    bench.set(1)
    bench.after(5)

    said = bench.do(SwitchedOff())

    assert ["meter", "status", "availability"] == [m.topic.rsplit("/", 1)[1] for m in said]
    assert told(said, "availability")[0]["state"] == "offline"
    assert not bench.on


@pytest.mark.parametrize("event", [Plugged(2, Car()), Plugged(1, Car()), Unplugged(0), FaultsChanged(2, ())])
def test_impossible_gestures_are_refused(bench: Bench, event: Event) -> None:
    """There is one connector, and it has a car."""
    with pytest.raises(ValueError, match=r"connector|Connector"):
        bench.do(event)


EPOCHS = st.sampled_from(["e1", "e2"])


class AnyLife(RuleBasedStateMachine):
    """Events in any order; `heard_s` and `wish` are an independent record of what a device may rely on."""

    @initialize()
    def begin(self) -> None:
        self.bench = Bench(speed=20.0, meter_interval_s=5.0)
        self.heard_s: dict[str, float] = {}
        self.wish: dict[str, Any] | None = None
        self.newest: dict[str, int] = {}
        self.last_epoch: str | None = None
        self.register_wh = 0.0
        self.said_wh = 0.0
        self.acted: list[str] = []
        self.was_on = False
        self.note(self.bench.do(Connected()))
        self.note(self.bench.do(Plugged(1, Car())))

    def note(self, messages: list[Message]) -> None:
        for reading in told(messages, "meter"):
            assert reading["energy_import_wh"] >= self.said_wh
            self.said_wh = reading["energy_import_wh"]
            if "ref" in reading:
                assert reading["ref"] not in self.acted
                self.acted.append(reading["ref"])

    def reborn(self) -> None:
        self.heard_s.clear()
        self.newest.clear()
        self.wish, self.last_epoch = None, None

    @rule(what=st.sampled_from(["connect", "connect", "disconnect", "switch off", "reset"]))
    def upheaval(self, what: str) -> None:
        match what:
            case "connect":
                self.note(self.bench.do(Connected()))
            case "disconnect":
                self.disconnect()
            case "switch off":
                self.note(self.bench.do(SwitchedOff()))
                self.reborn()
                self.disconnect()
            case _:
                self.note(self.bench.command("reset", id=f"reset-{self.bench.now_s}"))
                self.disconnect()

    def disconnect(self) -> None:
        if self.bench.charger.rebooting:
            self.reborn()
        self.note(self.bench.do(Disconnected()))

    @rule(soc=st.sampled_from([20.0, 79.0, 99.9, 100.0]))
    def plug(self, soc: float) -> None:
        if self.bench.charger.connector(1).car is None:
            self.note(self.bench.do(Plugged(1, Car(battery_kwh=1.0, soc_percent=soc))))

    @rule(again=st.booleans())
    def unplug(self, again: bool) -> None:
        self.note(self.bench.do(Unplugged(1)))
        if again:
            self.note(self.bench.do(Plugged(1, Car())))

    @rule(epoch=EPOCHS, retain=st.booleans(), state=st.sampled_from(["online", "online", "stopping"]))
    def beat(self, epoch: str, retain: bool, state: str) -> None:
        if not retain and state == "online":
            self.heard_s[epoch] = self.bench.now_s
        self.note(self.bench.beat(epoch, state, retain))

    @rule(
        epoch=EPOCHS,
        revision=st.integers(0, 4),
        energize=st.sampled_from([True, True, True, False, None, "true"]),
        valid_s=st.sampled_from([90, 30, 0]),
        limit_a=st.sampled_from([16.0, 6.0, 0.0, None]),
        retain=st.booleans(),
    )
    def set(
        self, epoch: str, revision: int, energize: Any, valid_s: int, limit_a: float | None, retain: bool
    ) -> None:
        fields = {"energize": energize, "epoch": epoch, "valid_s": valid_s, "limit_a": limit_a}
        readable = energize != "true"
        late = readable and epoch == self.last_epoch and revision < self.newest.get(epoch, -1)
        before = self.bench.charger.connector(1).setpoint
        self.note(self.bench.set(revision, retain=retain, **fields))
        if late:
            assert before == self.bench.charger.connector(1).setpoint
        elif readable:
            self.wish, self.last_epoch = fields, epoch
            self.newest[epoch] = revision
        else:
            self.wish = None

    @rule()
    def clear(self) -> None:
        self.wish = None
        self.note(self.bench.hear("simulated/1/setpoint", b"", retain=True))

    @rule(n=st.integers(0, 12))
    def measure(self, n: int) -> None:
        recent = list(self.bench.charger._answered)
        said = self.bench.command("measure", id=f"m{n}", ref=f"r{n}-{len(self.acted)}")
        if f"m{n}" in recent:
            assert [] == [reading for reading in told(said, "meter") if "ref" in reading]
        assert len(self.bench.charger._answered) <= 8
        self.note(said)

    @rule(seconds=st.sampled_from([0.1, 1.0, 20.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.note(self.bench.after(seconds))

    @invariant()
    def energized_only_for_a_living_gateway_that_wants_it(self) -> None:
        if not hasattr(self, "bench"):
            return
        now_s, on = self.bench.now_s, self.bench.on
        connector = self.bench.charger.connector(1)
        if on:
            assert self.wish is not None
            assert self.wish["energize"] is True
            assert connector.car is not None
            assert connector.current_a <= connector.limit_a <= (self.wish["limit_a"] or 32.0)
            if not self.was_on:
                assert now_s - self.heard_s[self.wish["epoch"]] < self.wish["valid_s"]
            assert now_s - max(self.heard_s.values()) < 90
        else:
            assert connector.current_a == 0.0
        self.was_on = on

    @invariant()
    def registers_never_fall(self) -> None:
        if hasattr(self, "bench"):
            register_wh = self.bench.charger.connector(1).register_wh
            assert register_wh >= self.register_wh
            self.register_wh = register_wh

    @invariant()
    def the_deadline_is_never_in_the_past(self) -> None:
        if hasattr(self, "bench"):
            deadline = self.bench.charger.deadline()
            assert deadline is None or deadline > self.bench.now_s


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
