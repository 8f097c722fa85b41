"""After whatever restart, nothing is lost, nothing is told twice, and nothing is invented."""

from __future__ import annotations

from gateway.station import effects as fx
from gateway.station import events
from gateway.station import reports as r
from gateway.station.model import (
    ConnectorConfig,
    DeviceInfo,
    IdToken,
    Policy,
    StationConfig,
    StatusFacts,
    StopReason,
    TxPoint,
)
from tests.station.driver import Driver

V16, V201 = "ocpp1.6", "ocpp2.0.1"
CARD = "04A2B3C4D5"


def at_rest(
    version: str = V201, policy: Policy | None = None, variables: dict[str, str] | None = None
) -> Driver:
    """A station that its CSMS has accepted, whose device is there and unplugged."""
    config = StationConfig(
        name="cp",
        identity="CP",
        csms_url="ws://csms",
        versions=(version,),
        connectors=(ConnectorConfig(n=1, evse=1, connector=1),),
        policy=policy or Policy(),
        variables=variables or {},
    )
    station = Driver(config, version)
    station.connect_broker()
    announce(station, "boot1")
    station.obey(1, plugged=False)
    station.link_up()
    station.answer_all()
    return station


def announce(station: Driver, boot_id: str) -> None:
    station.send(events.DeviceAnnounced(DeviceInfo(boot_id=boot_id, commands=("measure",))))


def meter(station: Driver, energy_wh: float) -> None:
    station.send(events.MeterSampled(1, {"energy_import_wh": energy_wh, "power_w": 3600.0}))


def charge(station: Driver) -> None:
    """A card, a vehicle, energy."""
    station.card(1, CARD, "first")
    station.answer_all()
    station.obey(1)
    meter(station, 1000.0)
    station.obey(1)
    station.answer_all()


def stop(station: Driver) -> None:
    station.card(1, CARD, "last")
    station.obey(1)
    station.pass_time(6.0)
    station.answer_all()


def told(station: Driver) -> list[r.TransactionEvent]:
    return [report for report in station.told if isinstance(report, r.TransactionEvent)]


def test_a_restart_of_the_gateway_continues_the_transaction() -> None:
    """It goes on under its id; energy waits until the device has said how it is."""
    station = at_rest()
    charge(station)

    station.restart()
    station.connect_broker()
    before = station.shown[1].energize
    station.obey(1)
    after = station.shown[1].energize
    stop(station)
    station.drain()

    assert not before
    assert after
    assert ["Started"] == [event.type for event in told(station) if event.seq == 0]
    assert len({event.transaction for event in told(station)}) == 1


def test_a_transaction_that_ended_without_any_register_stays_ended() -> None:
    """No meter ever spoke; Ended waits to be told when the gateway restarts, and is told once."""
    station = at_rest()
    station.card(1, CARD)
    station.answer_all()
    station.obey(1)
    station.pass_time(4.0)
    station.link_down()
    station.card(1, CARD)
    station.pass_time(6.0)

    station.restart()
    station.drain()

    assert ["Ended"] == [event.type for event in told(station) if event.type == "Ended"]


def test_what_was_told_of_a_register_is_not_forgotten() -> None:
    """The device's counter is misread right after a restart: what is told does not fall."""
    station = at_rest(V16)
    charge(station)
    station.pass_time(61.0)
    meter(station, 5000.0)
    station.answer_all()

    station.restart()
    station.connect_broker()
    meter(station, 4000.0)
    station.obey(1)
    stop(station)
    station.drain()

    assert 5000.0 == told(station)[-1].register_wh


def test_a_counter_that_began_anew_is_remembered_over_a_restart() -> None:
    """Three lower readings mean a new counter; the register goes on from there, also in the next run."""
    station = at_rest(V16)
    charge(station)
    for energy_wh in (10.0, 20.0, 30.0):
        meter(station, energy_wh)

    station.restart()
    station.connect_broker()
    station.obey(1)
    meter(station, 130.0)
    stop(station)
    station.drain()

    assert 1100.0 == told(station)[-1].register_wh


def test_what_never_reached_the_disk_never_happened() -> None:
    """The disk lags, the process dies: a card that was not acknowledged comes again, and then it acts."""
    station = at_rest()
    station.lagging = True
    station.card(1, CARD, "first")

    station.restart()
    station.connect_broker()
    station.obey(1, plugged=False)
    station.link_up()
    station.answer_all()
    effects = station.card(1, CARD, "first")

    assert any(isinstance(effect, fx.Ask) for effect in effects)


def test_a_card_whose_deed_is_on_disk_does_nothing_after_a_restart() -> None:
    station = at_rest()
    charge(station)

    station.restart()

    assert station.send(events.TokenPresented(1, IdToken(CARD), "first")) == []


def test_a_device_that_rebooted_goes_on_or_ends_with_power_loss() -> None:
    """after_restart decides (# 1.6 §4, TC_032)."""
    reasons = {}
    for choice, policy in {
        "resume": Policy(after_restart="resume"),
        "stop": Policy(after_restart="stop"),
    }.items():
        station = at_rest(V16, policy)
        charge(station)
        announce(station, "boot2")
        station.obey(1)
        station.pass_time(6.0)
        station.answer_all()
        reasons[choice] = [event.stop_reason for event in told(station) if event.type == "Ended"]

    assert {"resume": [], "stop": [StopReason.POWER_LOSS]} == reasons


def test_a_local_limit_lapses_by_the_clock_that_does_not_jump() -> None:
    """The wall clock goes back by a day; sixty seconds are sixty seconds."""
    station = at_rest()
    limit: dict[str, object] = {"limit_a": 3.0, "ttl_s": 60}
    station.send(events.ActionRequested(1, "limit", limit, 1))
    station.wall -= 86400.0

    station.pass_time(61.0)

    assert 32.0 == station.shown[1].limit_a


def test_free_charging_that_was_stopped_is_not_given_anew_in_the_same_plug_session() -> None:
    """Else a stop button would be pressed for ever."""
    station = at_rest(policy=Policy(free_charging_token=IdToken("FREE", "Central")))
    station.obey(1)
    station.send(events.DeviceReported(1, "stop_button"))
    station.pass_time(30.0)

    assert not station.shown[1].energize


def test_a_transaction_that_nobody_plugged_in_for_ends() -> None:
    """Started at Authorized, to stop at EVConnected: after the time-out nothing else could end it (# E03.FR.05)."""
    policy = Policy(
        start_points=frozenset({TxPoint.AUTHORIZED}), stop_points=frozenset({TxPoint.EV_CONNECTED})
    )
    station = at_rest(policy=policy)
    meter(station, 1000.0)
    station.card(1, CARD)
    station.answer_all()
    station.pass_time(70.0)
    station.answer_all()

    assert [StopReason.TIMEOUT] == [event.stop_reason for event in told(station) if event.type == "Ended"]


def test_a_begin_register_is_read_while_energy_flows() -> None:
    """Start point EnergyTransfer: the contactor stays closed while the begin register is measured."""
    policy = Policy(
        start_points=frozenset({TxPoint.ENERGY_TRANSFER}), stop_points=frozenset({TxPoint.ENERGY_TRANSFER})
    )
    station = at_rest(policy=policy)
    station.card(1, CARD)
    station.answer_all()
    station.obey(1)
    shown = [station.shown[1].energize]
    station.obey(1)
    shown.append(station.shown[1].energize)
    meter(station, 1000.0)
    station.answer_all()

    assert [True, True] == shown
    assert ["Started"] == [event.type for event in told(station)]


def test_an_on_that_the_disk_refused_is_said_again_when_it_can_be_kept() -> None:
    """A turn that could not be kept released no on (law 4); the register is told anew, with a higher revision."""
    station = at_rest()
    charge(station)
    before = station.shown[1]
    station.send(events.StoreChanged(writable=False, detail="disk full"))
    effects = station.send(events.StoreChanged(writable=True))
    (again,) = [effect.setpoint for effect in effects if isinstance(effect, fx.SetPoint)]

    assert again.energize
    assert again.revision > before.revision


def test_numbers_of_turns_that_never_reached_the_disk_are_not_used_again() -> None:
    """Off is published before the commit: its revision counts although the turn that made it is lost."""
    station = at_rest()
    charge(station)
    station.lagging = True
    for _ in range(700):
        station.obey(1, plugged=False)
        station.send(events.StatusReported(1, StatusFacts(phases=1)))
        station.send(events.StatusReported(1, StatusFacts(phases=3)))
    seen = station.revision

    station.restart()
    station.connect_broker()

    assert station.shown[1].revision > seen
