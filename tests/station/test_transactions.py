"""Where transactions start, and what they tell while they run."""

from typing import Any

import pytest

from gateway.station.events import MeterSampled
from gateway.station.model import ConnectorConfig, IdToken, Policy, SignedReading, TxPoint
from tests.station.rig import BOTH, CARD, FIRST_CSMS_ID, NOON, OTHER, REFUSED, Payload, Rig, text

P = TxPoint


def with_points(
    start: set[TxPoint],
    stop: set[TxPoint] | None = None,
    *,
    variables: dict[str, str] | None = None,
    **more: Any,
) -> Rig:
    """A 2.0.1 station with these start and stop points."""
    policy = Policy(start_points=frozenset(start), stop_points=frozenset(stop or {P.EV_CONNECTED}))
    rig = Rig("2.0.1", policy=policy, variables=variables, **more)
    rig.boot()
    return rig


def seqs(payloads: list[Payload]) -> list[int]:
    return [payload["seqNo"] for payload in payloads]


# ------------------------------------------------------------------ 1.6


def test_16_plug_first() -> None:
    """# [TC_003]: Preparing, Authorize, StartTransaction and Charging."""
    rig = Rig("1.6")
    rig.boot()

    rig.plug()
    rig.card()

    story = ["Status 1 Preparing", f"Authorize {CARD}", f"Start 1 {CARD} 1000", "Status 1 Charging"]
    assert story == [s for s in rig.story() if "Meter" not in s]


def test_16_card_first() -> None:
    """# [TC_004_1]: Preparing with the accepted card, the transaction with the plug."""
    rig = Rig("1.6")
    rig.boot()

    rig.card()
    assert [f"Authorize {CARD}", "Status 1 Preparing"] == rig.story()
    rig.after(20)
    rig.plug()

    assert [f"Start 1 {CARD} 1000", "Status 1 Charging"] == [s for s in rig.story() if "Meter" not in s]


def test_16_card_first_but_no_plug() -> None:
    """# [TC_004_2]: after ConnectionTimeOut the connector is Available, and a plug starts nothing."""
    rig = Rig("1.6", variables={"TxCtrlr.EVConnectionTimeOut": "30"})
    rig.boot()
    rig.card()
    rig.forget()

    rig.after(29)
    assert [] == rig.story()
    rig.after(2)
    assert ["Status 1 Available"] == rig.story()
    rig.plug()

    assert ["Status 1 Preparing"] == rig.story()


def test_16_start_carries_the_moment_and_the_register() -> None:
    """# 1.6 §4.8: connectorId, idTag, meterStart, timestamp; no reservation."""
    rig = Rig("1.6", connectors=2)
    rig.boot()
    rig.meter(1234.6, n=2)
    rig.plug(2)
    rig.card(CARD, 2)

    [start] = rig.payloads("StartTransaction")

    assert {"connectorId": 2, "idTag": CARD, "meterStart": 1235, "timestamp": text(NOON + 6)} == start


def test_16_tells_the_begin_value_with_the_id_it_has_just_got() -> None:
    """# 1.6 [E3.14]: context Transaction.Begin, and the transactionId of StartTransaction's answer."""
    rig = Rig("1.6")
    rig.boot()
    rig.plug()
    rig.card()

    [values] = rig.payloads("MeterValues")

    assert FIRST_CSMS_ID == values["transactionId"]
    assert {"Transaction.Begin"} == {v["context"] for v in values["meterValue"][0]["sampledValue"]}


@pytest.mark.parametrize("csms_id", [0, -5])
def test_16_ids_of_0_and_below_are_ids(csms_id: int) -> None:
    """# 1.6 errata: they have no special meaning."""
    rig = Rig("1.6")
    rig.boot()
    rig.answers["StartTransaction"] = {"transactionId": csms_id, **rig.token_info()}
    rig.session()

    assert "Accepted" == rig.status_of("RemoteStopTransaction", transactionId=csms_id)
    [stop] = rig.payloads("StopTransaction")
    assert csms_id == stop["transactionId"]


def test_16_a_start_that_is_never_confirmed_leaves_the_transaction_without_a_number() -> None:
    """# 1.6 [E3.18]: after TransactionMessageAttempts it goes on with transactionId -1."""
    rig = Rig("1.6", variables={"OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "2"})
    rig.boot()
    rig.answers["StartTransaction"] = REFUSED
    rig.session()
    rig.after(30)
    assert rig.transaction() is not None

    rig.card()

    [stop] = rig.payloads("StopTransaction")
    assert -1 == stop["transactionId"]


def test_16_status_and_transaction_agree_when_the_car_pauses() -> None:
    """# 1.6 §4.9: SuspendedEV while the car does not draw, Charging again when it does."""
    rig = Rig("1.6")
    rig.boot()
    rig.session()

    rig.car_pauses()
    rig.car_goes_on()

    assert ["Status 1 SuspendedEV", "Status 1 Charging"] == rig.story()


# ------------------------------------------------------------------ 2.0.1 start points, each


def test_201_power_path_closed_starts_when_plugged_and_authorized() -> None:
    """# E01.FR.05, E02, [TC_E_01], [TC_E_03]: cable first."""
    rig = with_points({P.POWER_PATH_CLOSED})

    rig.plug()
    assert ["Status 1.1 Occupied"] == rig.story()
    rig.card()

    story = [f"Authorize {CARD}", "Started Authorized EVConnected", "Updated ChargingStateChanged Charging"]
    assert story == rig.story()


def test_201_power_path_closed_starts_with_the_plug_when_the_card_came_first() -> None:
    """# E03, [TC_E_04]: CablePluggedIn is the more specific reason."""
    rig = with_points({P.POWER_PATH_CLOSED})
    rig.card()
    rig.forget()

    rig.plug()

    story = rig.story()
    assert {"Status 1.1 Occupied", "Started CablePluggedIn EVConnected"} == {
        s for s in story if "Charging" not in s
    }
    assert "Updated ChargingStateChanged Charging" in story


def test_201_ev_connected_starts_with_the_plug() -> None:
    """# E01.FR.02 (S2), [TC_E_09]: Started without a token, Updated Authorized with it."""
    rig = with_points({P.EV_CONNECTED})

    rig.plug()
    assert {"Started CablePluggedIn EVConnected", "Status 1.1 Occupied"} == set(rig.story())
    rig.card()

    authorized = f"Authorize {CARD}", "Updated Authorized", "Updated ChargingStateChanged Charging"
    assert list(authorized) == rig.story()


def test_201_authorized_starts_with_the_card() -> None:
    """# E01.FR.03 (S3), [TC_E_10]: Started before any cable, then CablePluggedIn."""
    rig = with_points({P.AUTHORIZED}, {P.AUTHORIZED})

    rig.card()
    assert [f"Authorize {CARD}", "Started Authorized Idle"] == rig.story()
    rig.plug()

    story = rig.story()
    assert "Status 1.1 Occupied" in story
    events = [s for s in story if "Status" not in s]
    assert ["Updated CablePluggedIn EVConnected", "Updated ChargingStateChanged Charging"] == events


def test_201_parking_bay_occupancy_starts_when_a_vehicle_arrives() -> None:
    """# E01.FR.01 (S1), [TC_E_12]: EVDetected, then everything else is Updated."""
    rig = with_points({P.PARKING_BAY_OCCUPANCY}, {P.PARKING_BAY_OCCUPANCY})

    rig.facts(bay_occupied=True)
    assert "Started EVDetected Idle" in rig.story()
    rig.plug()
    rig.card()

    events = [s for s in rig.story() if s.startswith(("Started", "Updated", "Ended"))]
    expected = [
        "Updated CablePluggedIn EVConnected",
        "Updated Authorized",
        "Updated ChargingStateChanged Charging",
    ]
    assert expected == events


def test_201_energy_transfer_starts_when_current_flows() -> None:
    """# E01.FR.06 (S6), [TC_E_02]: energized before the transaction exists."""
    rig = with_points({P.ENERGY_TRANSFER})

    rig.plug()
    rig.devices[1].car_draws = False
    rig.card()
    assert rig.setpoint().energize
    assert not [s for s in rig.story() if s.startswith("Started")]
    rig.car_goes_on()

    assert ["Started ChargingStateChanged Charging"] == rig.story()
    assert rig.setpoint().energize


def test_201_data_signed_starts_with_a_signed_value() -> None:
    """# E01.FR.04 (S4), [TC_E_11]: SignedDataReceived."""
    rig = with_points({P.DATA_SIGNED})
    rig.plug()
    rig.card()
    rig.forget()

    rig.happens(MeterSampled(1, {"energy_import_wh": 1000.0}, signed=SignedReading("OCMF|x")))

    assert [s for s in rig.story() if s.startswith("Started SignedDataReceived")]


def test_201_the_first_of_several_start_points_counts() -> None:
    """# E01: the transaction starts at the first point reached, and once."""
    rig = with_points({P.EV_CONNECTED, P.AUTHORIZED})

    rig.card()
    rig.plug()

    assert 1 == len([s for s in rig.story() if s.startswith("Started")])


# ------------------------------------------------------------------ 2.0.1: what is told, and once


def test_201_each_fact_is_told_once() -> None:
    """# E01.FR.16, E03.FR.01, E07.FR.02, E02.FR.13: evse, idToken at begin and end, chargingState on change."""
    rig = with_points({P.EV_CONNECTED}, {P.EV_CONNECTED, P.AUTHORIZED})
    rig.plug()
    rig.card()
    rig.charge(120)
    rig.card()

    events = rig.payloads("TransactionEvent")

    assert [True] + [False] * (len(events) - 1) == ["evse" in e for e in events]
    assert {"id": 1, "connectorId": 1} == events[0]["evse"]
    with_token = [(e["eventType"], e["triggerReason"]) for e in events if "idToken" in e]
    assert [("Updated", "Authorized"), ("Ended", "StopAuthorized")] == with_token
    states = [e["transactionInfo"].get("chargingState") for e in events]
    told = [s for s in states if s is not None]
    assert ["EVConnected", "Charging", "EVConnected"] == told
    assert list(range(len(events))) == seqs(events)
    assert 1 == len({e["transactionInfo"]["transactionId"] for e in events})


def test_201_when_the_evse_is_known_later_it_is_told_then() -> None:
    """# E01.FR.16: with two connectors the connector is known with the plug."""
    connectors = (ConnectorConfig(n=1, evse=1, connector=1), ConnectorConfig(n=2, evse=1, connector=2))
    policy = Policy(start_points=frozenset({P.AUTHORIZED}), stop_points=frozenset({P.AUTHORIZED}))
    rig = Rig("2.0.1", connectors=connectors, policy=policy)
    rig.boot()

    token = {"idToken": CARD, "type": "Central"}
    assert "Accepted" == rig.status_of("RequestStartTransaction", evseId=1, remoteStartId=1, idToken=token)
    rig.plug(2)

    told = [e["evse"] for e in rig.payloads("TransactionEvent") if "evse" in e]
    assert {"id": 1, "connectorId": 2} == told[-1]
    assert rig.setpoint(2).energize
    assert not rig.setpoint(1).energize


def test_201_the_car_pauses_and_goes_on() -> None:
    """# E02.FR.13: ChargingStateChanged with the new state."""
    rig = with_points({P.POWER_PATH_CLOSED})
    rig.session()

    rig.car_pauses()
    rig.car_goes_on()

    told = ["Updated ChargingStateChanged SuspendedEV", "Updated ChargingStateChanged Charging"]
    assert told == rig.story()


def test_201_the_evse_pauses() -> None:
    """# E02.FR.13: a limit below what the car needs is SuspendedEVSE."""
    rig = with_points({P.POWER_PATH_CLOSED})
    rig.session()

    rig.request("limit", limit_a=3)

    assert ["Updated ChargingStateChanged SuspendedEVSE"] == rig.story()


def test_201_phases_in_use_are_told_when_energy_starts_and_when_they_change() -> None:
    """# E02: numberOfPhasesUsed."""
    rig = with_points({P.POWER_PATH_CLOSED})
    rig.facts(phases=1)
    rig.plug()
    rig.card()

    told = [e["numberOfPhasesUsed"] for e in rig.payloads("TransactionEvent") if "numberOfPhasesUsed" in e]

    assert [1] == told


def test_201_ids_are_never_repeated() -> None:
    """# E01.FR.08: not over transactions, not over restarts."""
    rig = with_points({P.POWER_PATH_CLOSED}, {P.AUTHORIZED})
    ids = []
    for _ in range(3):
        rig.plug()
        rig.card()
        ids.append(rig.transaction())
        rig.card()
        rig.unplug()
        rig.restart()

    assert 3 == len(set(ids))
    assert all(i is not None and len(i) == 36 for i in ids)


# ------------------------------------------------------------------ two phases of a begin


@BOTH
def test_the_begin_register_is_measured_when_none_is_known(version: str) -> None:
    """Law: nothing invented; the device is asked, and its answer is the start."""
    rig = Rig(version, obeys=False)
    rig.start()
    rig.connect()
    rig.station.state.by_n[1].meter.clear()
    rig.station.state.by_n[1].record.import_register = None
    rig.plug()
    rig.card()
    [command] = rig.commands("measure")
    assert "Transaction.Begin" == command.arguments["context"]
    assert rig.transaction() is None

    rig.meter(4321)

    assert rig.transaction() is not None
    assert version == "2.0.1" or [4321] == [p["meterStart"] for p in rig.payloads("StartTransaction")]


@BOTH
def test_a_meter_that_does_not_answer_holds_nobody_up(version: str) -> None:
    """The transaction starts after begin_timeout_s without a register."""
    rig = Rig(version, obeys=False)
    rig.start()
    rig.connect()
    rig.station.state.by_n[1].meter.clear()
    rig.station.state.by_n[1].record.import_register = None
    rig.plug()
    rig.card()

    rig.after(4)

    assert rig.transaction() is not None


# ------------------------------------------------------------------ free charging


@BOTH
def test_free_charging_starts_with_the_plug_and_its_fixed_token(version: str) -> None:
    """# 1.6 §4.1, C02: no Authorize; 1.6 needs an idTag all the same."""
    rig = Rig(version, policy=Policy(free_charging_token=IdToken("FREE", "Central")))
    rig.boot()

    rig.plug()

    story = rig.story()
    assert not [s for s in story if s.startswith("Authorize")]
    assert any(s.startswith(("Start 1 FREE", "Started")) for s in story)
    assert rig.setpoint().energize


@BOTH
def test_free_charging_ends_with_the_unplugging_and_starts_again_with_the_next_plug(version: str) -> None:
    """A stop by remote control is not undone by the token at once."""
    rig = Rig(version, policy=Policy(free_charging_token=IdToken("FREE", "Central")))
    rig.boot()
    rig.plug()
    rig.request("stop")
    assert rig.transaction() is None
    rig.after(60)
    assert rig.transaction() is None

    rig.unplug()
    rig.plug()

    assert rig.transaction() is not None


# ------------------------------------------------------------------ GetTransactionStatus


def test_201_transaction_status() -> None:
    """# E14, [TC_E_28] … [TC_E_34]."""
    rig = with_points({P.POWER_PATH_CLOSED}, {P.AUTHORIZED})
    rig.session()
    running = rig.transaction()

    def status(**which: object) -> object:
        return rig.asks("GetTransactionStatus", **which)

    assert {"ongoingIndicator": False, "messagesInQueue": False} == status(transactionId="unknown")
    assert {"ongoingIndicator": True, "messagesInQueue": False} == status(transactionId=running)
    assert {"messagesInQueue": False} == status()
    rig.answers["TransactionEvent"] = None
    rig.charge(60)
    assert {"ongoingIndicator": True, "messagesInQueue": True} == status(transactionId=running)
    assert {"messagesInQueue": True} == status()
    rig.card()
    assert {"ongoingIndicator": False, "messagesInQueue": True} == status(transactionId=running)
    del rig.answers["TransactionEvent"]
    rig.answer("TransactionEvent")
    assert {"ongoingIndicator": False, "messagesInQueue": False} == status(transactionId=running)


# ------------------------------------------------------------------ a second one


@BOTH
def test_a_card_in_the_same_plug_session_starts_a_new_transaction(version: str) -> None:
    """# 1.6 §4.9 F2: Finishing, Preparing, Charging; an ended one does not come back."""
    rig = Rig(version)
    rig.boot()
    rig.session()
    first = rig.transaction()
    rig.card()
    assert rig.transaction() is None
    rig.forget()

    rig.card(OTHER)

    assert rig.transaction() not in {None, first}
    if version == "1.6":
        statuses = [s for s in rig.story() if s.startswith("Status")]
        assert ["Status 1 Preparing", "Status 1 Charging"] == statuses


@BOTH
def test_one_transaction_an_evse(version: str) -> None:
    """# 1.6 §4.8, E01: a second connector of the EVSE starts none."""
    connectors = (ConnectorConfig(n=1, evse=1, connector=1), ConnectorConfig(n=2, evse=1, connector=2))
    rig = Rig(version, connectors=connectors)
    rig.boot()
    rig.session(n=1)

    rig.plug(2)
    rig.card(OTHER, 2)

    assert not [s for s in rig.story() if s.startswith(("Start ", "Started"))]
    assert not rig.setpoint(2).energize
