"""What waits to be told is told in order, once, as often as allowed, and given up loudly."""

from __future__ import annotations

from gateway.station import effects as fx
from gateway.station import events
from gateway.station import reports as r
from gateway.station.model import (
    ConnectorConfig,
    DeviceError,
    Policy,
    RegistrationStatus,
    StationConfig,
    StatusFacts,
)
from gateway.station.requests import Place, TriggerRequested, UnlockRequested
from tests.station.driver import Driver

V16, V201 = "ocpp1.6", "ocpp2.0.1"
CARD = "04A2B3C4D5"
TIMED_OUT = r.Failed(r.FailureKind.TIMED_OUT)


def at_rest(
    version: str = V16,
    variables: dict[str, str] | None = None,
    *,
    lock: bool = False,
    max_queued: int = 20000,
) -> Driver:
    """A station that its CSMS has accepted, whose device is there and unplugged."""
    config = StationConfig(
        name="cp",
        identity="CP",
        csms_url="ws://csms",
        versions=(version,),
        connectors=(ConnectorConfig(n=1, evse=1, connector=1, lock=lock, fixed_cable=not lock),),
        policy=Policy(max_queued=max_queued),
        variables={"OCPPCommCtrlr." + name: text for name, text in (variables or {}).items()},
    )
    station = Driver(config, version)
    station.connect_broker()
    station.obey(1, plugged=False)
    station.link_up()
    station.answer_all()
    return station


def charge(station: Driver) -> None:
    """A card, a vehicle, energy; nothing of the transaction is answered."""
    station.card(1, CARD)
    station.answer_all()
    station.obey(1)
    meter(station, 1000.0)
    station.obey(1)


def meter(station: Driver, energy_wh: float) -> None:
    station.send(events.MeterSampled(1, {"energy_import_wh": energy_wh, "power_w": 3600.0}))


def ordered(station: Driver) -> list[int]:
    return [ref for ref, (ask, _, _) in station.asked.items() if not ask.urgent]


def told(station: Driver) -> list[str]:
    return [report.type for report in station.told if isinstance(report, r.TransactionEvent)]


def test_attempts_are_spaced_by_a_growing_interval_and_then_given_up() -> None:
    """# 1.6 §3.7: interval × number of preceding transmissions; then the next message has its turn."""
    station = at_rest(
        variables={"MessageAttempts[TransactionEvent]": "3", "MessageAttemptInterval[TransactionEvent]": "60"}
    )
    charge(station)
    times = []
    for _ in range(3):
        while not ordered(station):
            station.pass_time(1.0)
        times.append(station.monotonic)
        station.answer(ordered(station)[0], TIMED_OUT)

    assert [60.0, 120.0] == [times[1] - times[0], times[2] - times[1]]
    assert len(station.quarantined) == 1


def test_a_lost_link_costs_no_attempt() -> None:
    """One attempt is allowed; the link goes three times, and the start is told all the same."""
    station = at_rest(variables={"MessageAttempts[TransactionEvent]": "1"})
    charge(station)
    for _ in range(3):
        station.link_down()
        station.link_up()
    station.answer_all()

    assert not station.quarantined
    assert not station.disk["outbox"]


def test_the_next_one_waits_until_the_first_is_answered() -> None:
    """Started is on the wire: Ended waits, and keeps its place over a restart."""
    station = at_rest()
    charge(station)
    station.card(1, CARD, "stop")
    station.obey(1)
    station.pass_time(6.0)
    before = told(station)
    station.restart()
    station.drain()

    assert "Ended" not in before
    started = [kind for kind in told(station)[len(before) :] if kind == "Started"]
    assert started  # its answer had not been committed
    assert ["Ended"] == [kind for kind in told(station) if kind == "Ended"]
    assert "Ended" == told(station)[-1]


def test_the_csms_id_of_an_answer_is_in_all_that_follows() -> None:
    station = at_rest()
    charge(station)
    station.answer_all()
    station.card(1, CARD, "stop")
    station.obey(1)
    station.pass_time(6.0)
    station.answer_all()
    events_told = [report for report in station.told if isinstance(report, r.TransactionEvent)]

    assert events_told[-1].csms_id == station.csms_ids


def test_a_full_queue_is_thinned_but_never_of_starts_and_ends() -> None:
    """# E04.FR.07"""
    station = at_rest(max_queued=10)
    charge(station)
    station.answer_all()
    station.link_down()
    for minute in range(60):
        station.pass_time(60.0)
        meter(station, 1000.0 + minute)
    station.card(1, CARD, "stop")
    station.obey(1)
    station.pass_time(6.0)
    rows = len(station.disk["outbox"])
    station.drain()

    assert rows <= 12
    assert "Ended" == told(station)[-1]


def test_stamps_of_a_clock_that_was_never_set_are_corrected_when_told() -> None:
    """The host thinks it is an hour earlier than the CSMS: what happened before the first answer moves by it."""
    station = at_rest()
    station.restart()
    station.connect_broker()
    station.obey(1, plugged=False)
    station.synced = False
    station.send(events.DeviceReported(1, "tamper"))
    happened = station.wall
    station.link_up()
    (boot,) = station.asked
    station.answer(boot, r.BootAnswer(RegistrationStatus.ACCEPTED, 300, station.wall + 3600.0))
    station.answer_all()
    (tamper,) = [
        report
        for report in station.told
        if isinstance(report, r.SecurityEvent) and report.type == "TamperDetectionActivated"
    ]

    assert happened + 3600.0 == tamper.at


def test_a_security_event_is_never_given_up() -> None:
    """# A04: guaranteed; it does not hold up transactions either."""
    station = at_rest(variables={"MessageAttempts[TransactionEvent]": "1"})
    station.send(events.DeviceReported(1, "tamper"))
    for _ in range(10):
        for ref in ordered(station):
            station.answer(ref, TIMED_OUT)
        station.pass_time(301.0)
        for ref in [ref for ref, (ask, _, _) in station.asked.items() if ask.urgent]:
            station.answer(ref)

    assert not station.quarantined
    assert 1 == len(ordered(station))


def test_what_is_asked_when_the_link_goes_is_decided_as_if_offline() -> None:
    """An Authorize that nobody will answer does not block the reader (# 1.6 §4.1)."""
    station = at_rest()
    station.lagging = True
    station.card(1, CARD)
    station.link_down()
    station.lagging = False
    station.commit()
    station.link_up()
    station.answer_all()
    effects = station.card(1, "0499887766")

    assert any(isinstance(effect, fx.Ask) for effect in effects)


def test_a_reset_answers_who_still_waits_for_hardware() -> None:
    """UnlockConnector waits for the device, the station is reset: an honest refusal, before the session closes."""
    station = at_rest(lock=True)
    station.csms_asks(UnlockRequested(Place(n=1)))
    effects = station.send(events.DeviceReported(0, "local_reset"))

    assert [fx.Answer, fx.CloseLink] == [
        type(effect) for effect in effects if isinstance(effect, fx.Answer | fx.CloseLink)
    ]


def test_a_triggered_boot_that_fails_while_accepted_is_not_repeated() -> None:
    """Many 1.6 backends ask for it on every reconnect; nothing hangs on it."""
    station = at_rest()
    station.csms_asks(TriggerRequested("BootNotification", Place()))
    (boot,) = station.asked
    station.answer(boot, TIMED_OUT)
    station.pass_time(120.0)

    assert not station.asked


def test_a_status_that_came_and_went_offline_is_not_told() -> None:
    """The present status counts, no history (# 1.6 §4.9)."""
    station = at_rest()
    station.link_down()
    station.obey(1, plugged=True)
    station.obey(1, plugged=False)
    station.link_up()

    assert not station.asked


def test_a_fault_that_was_on_the_wire_when_the_link_went_leaves_no_trace() -> None:
    """It is gone before the link is back: nothing has changed for the CSMS."""
    station = at_rest()
    fault = StatusFacts(errors=(DeviceError("HighTemperature", "hot"),))
    station.send(events.StatusReported(1, fault))
    station.link_down()
    station.obey(1, plugged=False)
    station.link_up()

    assert not station.asked
