"""Where and why transactions end, with the measured register, and what is left behind."""

import pytest

from gateway.station import effects
from gateway.station.model import Policy, TxPoint
from tests.station.rig import BOTH, CARD, OTHER, Payload, Rig, text

P = TxPoint


def with_stop(*stop: TxPoint, start: TxPoint = P.POWER_PATH_CLOSED, **variables: str) -> Rig:
    """A 2.0.1 station with these stop points, in a session."""
    policy = Policy(start_points=frozenset({start}), stop_points=frozenset(stop))
    rig = Rig("2.0.1", policy=policy, variables={k.replace("__", "."): v for k, v in variables.items()})
    rig.boot()
    rig.session()
    return rig


def events(rig: Rig) -> list[str]:
    return [s for s in rig.story() if s.startswith(("Started", "Updated", "Ended"))]


def ended(rig: Rig) -> Payload:
    [event] = [e for e in rig.payloads("TransactionEvent") if e["eventType"] == "Ended"]
    return event


def remote_stop(rig: Rig) -> str | None:
    if rig.version == "1.6":
        return rig.status_of("RemoteStopTransaction", transactionId=77)
    return rig.status_of("RequestStopTransaction", transactionId=rig.transaction())


# ------------------------------------------------------------------ 1.6


def test_16_stop_by_card() -> None:
    """# 1.6 §4.10: idTag, Local, the register, Finishing; then Available with the unplugging."""
    rig = Rig("1.6")
    rig.boot()
    rig.session()
    rig.charge(120)
    rig.forget()

    rig.card()

    [stop] = rig.payloads("StopTransaction")
    assert (CARD, "Local", 1120, 77) == (
        stop["idTag"],
        stop.get("reason", "Local"),
        stop["meterStop"],
        stop["transactionId"],
    )
    assert "transactionData" not in stop
    assert {"Status 1 Finishing", "Stop 77 Local 1120"} == set(rig.story())
    rig.unplug()
    assert ["Status 1 Available"] == rig.story()


def test_16_remote_stop() -> None:
    """# [TC_012]: Accepted, Stop Remote without idTag, Finishing."""
    rig = Rig("1.6")
    rig.boot()
    rig.session()

    assert "Accepted" == remote_stop(rig)

    [stop] = rig.payloads("StopTransaction")
    assert "idTag" not in stop
    story = rig.story()
    assert "RemoteStopTransaction: Accepted" == story[0]
    assert {"Stop 77 Remote 1000", "Status 1 Finishing"} == set(story[1:])


@pytest.mark.parametrize("unlock", ["true", "false"])
def test_16_unplugged_at_the_ev_side_stops(unlock: str) -> None:
    """# [TC_005_1], [TC_005_2]: EVDisconnected; the lock opens, or stays until it is asked for."""
    variables = {
        "TxCtrlr.StopTxOnEVSideDisconnect": "true",
        "OCPPCommCtrlr.UnlockOnEVSideDisconnect": unlock,
    }
    rig = Rig("1.6", variables=variables, lock=True)
    rig.boot()
    rig.session()
    rig.facts(locked=True)

    rig.unplug()

    story = rig.story()
    assert "Stop 77 EVDisconnected 1000" in story
    assert story[-1] in {"Status 1 Available", "Status 1 Finishing", "Stop 77 EVDisconnected 1000"}
    assert (unlock == "false") is rig.setpoint().lock
    assert rig.asks("UnlockConnector", connectorId=1) is None
    rig.result("accepted")
    assert {"status": "Unlocked"} == rig.late_reply()
    assert not rig.setpoint().lock


def test_16_unplugged_at_the_ev_side_goes_on() -> None:
    """# [TC_005_3]: SuspendedEV with info, no energy, the plug stays locked; replugged it goes on; Remote ends it."""
    rig = Rig("1.6", variables={"TxCtrlr.StopTxOnEVSideDisconnect": "false"}, lock=True)
    rig.boot()
    rig.session()

    rig.unplug()

    [status] = rig.payloads("StatusNotification")
    assert status["status"] in {"SuspendedEV", "SuspendedEVSE"}
    assert "EV side disconnected" == status["info"]
    assert "NoError" == status["errorCode"]
    assert not rig.setpoint().energize
    assert rig.setpoint().lock
    rig.forget()
    rig.plug()
    assert "Status 1 Charging" == rig.story()[-1]
    rig.unplug()
    rig.forget()
    assert "Accepted" == remote_stop(rig)
    assert "Stop 77 Remote 1000" in rig.story()
    assert "Available" == rig.status()


def test_16_stop_gives_the_session_data_that_are_configured() -> None:
    """# 1.6 [E3.14]: transactionData begin with Transaction.Begin and end with Transaction.End."""
    rig = Rig("1.6")
    rig.boot()
    assert "Accepted" == rig.set("StopTxnSampledData", "Energy.Active.Import.Register,Power.Active.Import")
    rig.session()
    rig.charge(180)

    rig.card()

    [stop] = rig.payloads("StopTransaction")
    contexts = [
        {value["context"] for value in element["sampledValue"]} for element in stop["transactionData"]
    ]
    assert [{"Transaction.Begin"}, *[{"Sample.Periodic"}] * 3, {"Transaction.End"}] == contexts


# ------------------------------------------------------------------ 2.0.1 stop points, each


def test_201_authorized_by_card() -> None:
    """# E06.FR.03 (S3), E07, [TC_E_15]: Ended, StopAuthorized; Local is left out."""
    rig = with_stop(P.AUTHORIZED)

    rig.card()

    event = ended(rig)
    assert "StopAuthorized" == event["triggerReason"]
    assert CARD == event["idToken"]["idToken"]
    assert (
        "stoppedReason" not in event["transactionInfo"]
        or event["transactionInfo"]["stoppedReason"] == "Local"
    )
    assert ["Ended StopAuthorized EVConnected"] == events(rig)


def test_201_authorized_by_remote_stop() -> None:
    """# F03.FR.01..05, [TC_E_21], [TC_F_08]: Ended, RemoteStop, Remote."""
    rig = with_stop(P.AUTHORIZED)

    assert "Accepted" == remote_stop(rig)

    assert ["RequestStopTransaction: Accepted", "Ended RemoteStop EVConnected Remote"] == rig.story()


def test_201_power_path_closed() -> None:
    """# E06.FR.05 (S5), [TC_E_07], [TC_E_35], [TC_E_37]."""
    rig = with_stop(P.POWER_PATH_CLOSED)
    rig.card()
    assert ["Ended StopAuthorized EVConnected"] == events(rig)
    rig.unplug()

    rig.session()
    assert "Accepted" == remote_stop(rig)
    assert ["Ended RemoteStop EVConnected Remote"] == events(rig)
    rig.unplug()

    rig.session()
    rig.unplug()
    assert ["Ended EVCommunicationLost Idle EVDisconnected"] == events(rig)


def test_201_ev_connected_stopped_by_card_first() -> None:
    """# E06.FR.02 (S2), [TC_E_14]: the card ends the authorization only, the unplugging the transaction."""
    rig = with_stop(P.EV_CONNECTED)

    rig.card()
    [stop] = [e for e in rig.payloads("TransactionEvent") if e["triggerReason"] == "StopAuthorized"]
    assert ("Updated", CARD) == (stop["eventType"], stop["idToken"]["idToken"])
    assert "Updated StopAuthorized" in events(rig)[0]
    assert not rig.setpoint().energize
    assert rig.transaction() is not None
    rig.unplug()

    event = ended(rig)
    assert "EVCommunicationLost" == event["triggerReason"]
    assert "idToken" not in event


def test_201_ev_connected_stopped_remotely_first() -> None:
    """# F03.FR.03: Updated RemoteStop now, Ended with Remote later."""
    rig = with_stop(P.EV_CONNECTED)

    remote_stop(rig)
    assert [s for s in events(rig) if s.startswith("Updated RemoteStop")]
    rig.unplug()

    assert ["Ended EVCommunicationLost Idle Remote"] == events(rig)


def test_201_ev_connected_unplugged() -> None:
    """# E06 (S2), [TC_E_20]: Ended, EVCommunicationLost, EVDisconnected."""
    rig = with_stop(P.EV_CONNECTED)

    rig.unplug()

    story = rig.story()
    assert {"Ended EVCommunicationLost Idle EVDisconnected", "Status 1.1 Available"} == set(story)


def test_201_energy_transfer_stopped_by_the_car() -> None:
    """# E06 (S6), [TC_E_22]: Ended, StoppedByEV."""
    rig = with_stop(P.ENERGY_TRANSFER)

    rig.car_pauses()

    assert ["Ended ChargingStateChanged EVConnected StoppedByEV"] == events(rig)
    assert not rig.setpoint().energize


def test_201_energy_transfer_stopped_by_card() -> None:
    """# [TC_E_08]."""
    rig = with_stop(P.ENERGY_TRANSFER)

    rig.card()

    assert ["Ended StopAuthorized EVConnected"] == events(rig)


def test_201_parking_bay_unoccupied() -> None:
    """# E06 (S1), [TC_E_19]: everything before the departure is Updated."""
    policy = Policy(
        start_points=frozenset({P.PARKING_BAY_OCCUPANCY}), stop_points=frozenset({P.PARKING_BAY_OCCUPANCY})
    )
    rig = Rig("2.0.1", policy=policy)
    rig.boot()
    rig.facts(bay_occupied=True)
    rig.plug()
    rig.card()
    rig.card()
    rig.unplug()
    assert not [s for s in events(rig) if s.startswith("Ended")]

    rig.facts(bay_occupied=False)

    assert [s for s in events(rig) if s.startswith("Ended EVDeparted")]


def test_201_a_spent_start_point_does_not_start_again() -> None:
    """# E01: after Ended with the vehicle still there, EVConnected has to be reached anew."""
    policy = Policy(start_points=frozenset({P.EV_CONNECTED}), stop_points=frozenset({P.AUTHORIZED}))
    rig = Rig("2.0.1", policy=policy)
    rig.boot()
    rig.plug()
    rig.card()
    rig.card()
    assert rig.transaction() is None
    rig.after(120)
    assert rig.transaction() is None
    rig.unplug()

    rig.plug()

    assert rig.transaction() is not None


# ------------------------------------------------------------------ 2.0.1: the plug that does not come


def test_201_cable_plugin_timeout() -> None:
    """# E03.FR.05, [TC_E_05], [TC_E_39], [TC_F_04]: Ended, EVConnectTimeout, Timeout."""
    policy = Policy(start_points=frozenset({P.AUTHORIZED}), stop_points=frozenset({P.AUTHORIZED}))
    rig = Rig("2.0.1", policy=policy, variables={"TxCtrlr.EVConnectionTimeOut": "30"})
    rig.boot()
    rig.card()
    rig.forget()

    rig.after(31)

    [story] = events(rig)
    assert story.startswith("Ended EVConnectTimeout")
    assert story.endswith("Timeout")


def test_201_cable_plugin_timeout_in_a_bay_only_ends_the_authorization() -> None:
    """# E03.FR.05: with ParkingBayOccupancy as stop point it is Updated."""
    policy = Policy(
        start_points=frozenset({P.PARKING_BAY_OCCUPANCY}), stop_points=frozenset({P.PARKING_BAY_OCCUPANCY})
    )
    rig = Rig("2.0.1", policy=policy, variables={"TxCtrlr.EVConnectionTimeOut": "30"})
    rig.boot()
    rig.facts(bay_occupied=True)
    rig.card()
    rig.forget()

    rig.after(31)

    assert ["Updated EVConnectTimeout"] == events(rig)
    assert rig.transaction() is not None


def test_201_without_a_transaction_a_timeout_says_nothing() -> None:
    """# E03.FR.05: with PowerPathClosed nothing has begun."""
    rig = Rig("2.0.1", variables={"TxCtrlr.EVConnectionTimeOut": "30"})
    rig.boot()
    rig.card()
    rig.forget()

    rig.after(31)
    rig.plug()

    assert ["Status 1.1 Occupied"] == rig.story()


# ------------------------------------------------------------------ 2.0.1: the EV side unplugged


def test_201_ev_side_disconnect_ends_the_authorization() -> None:
    """# E09.FR.01, [TC_E_17], [TC_E_24]: StopTxOnEVSideDisconnect."""
    rig = with_stop(P.AUTHORIZED)

    rig.unplug()

    assert ["Ended EVCommunicationLost Idle EVDisconnected"] == events(rig)


def test_201_ev_side_disconnect_suspends() -> None:
    """# E10.FR.01, .03, .04, [TC_E_26]: Updated EVCommunicationLost; CablePluggedIn and energy when it comes back."""
    rig = with_stop(P.AUTHORIZED, TxCtrlr__StopTxOnEVSideDisconnect="false")

    rig.unplug()
    assert ["Updated EVCommunicationLost Idle"] == events(rig)
    assert not rig.setpoint().energize
    rig.plug()

    story = events(rig)
    assert story[0].startswith("Updated CablePluggedIn")
    assert story[-1].endswith("Charging")
    assert rig.setpoint().energize


def test_201_ev_side_disconnect_with_a_fixed_cable_times_out() -> None:
    """# E10.FR.07, [TC_E_27]: not replugged within EVConnectionTimeOut, it is deauthorized."""
    rig = with_stop(
        P.AUTHORIZED, TxCtrlr__StopTxOnEVSideDisconnect="false", TxCtrlr__EVConnectionTimeOut="30"
    )
    rig.unplug()
    rig.forget()

    rig.after(31)

    [story] = events(rig)
    assert story.startswith("Ended EVConnectTimeout")


# ------------------------------------------------------------------ both


@BOTH
def test_off_before_the_end_is_measured(version: str) -> None:
    """Law 4 and the two phases: energize false at once, Ended with the register of the standstill."""
    rig = Rig(version, obeys=False)
    rig.boot()
    rig.plug()
    rig.card()
    rig.facts(energized=True, charging=True)
    rig.meter(1500)
    rig.forget()

    rig.card()
    assert not rig.setpoint().energize
    assert not [s for s in rig.story() if s.startswith(("Stop", "Ended"))]
    rig.meter(1510)
    rig.pass_time(0.2)
    rig.facts(energized=False, charging=False)
    rig.pass_time(0.2)
    rig.meter(1512)

    if version == "1.6":
        assert [1512] == [p["meterStop"] for p in rig.payloads("StopTransaction")]
    else:
        [end] = [s for s in ended(rig)["meterValue"] if s["sampledValue"][0]["context"] == "Transaction.End"]
        assert 1512 == end["sampledValue"][0]["value"]


@BOTH
def test_a_device_that_does_not_answer_holds_no_end_up(version: str) -> None:
    """After end_timeout_s the last known register counts; nothing is invented."""
    rig = Rig(version, obeys=False)
    rig.boot()
    rig.plug()
    rig.card()
    rig.facts(energized=True, charging=True)
    rig.meter(1500)
    rig.card()
    rig.forget()

    rig.after(6)

    assert rig.transaction() is None
    assert [s for s in rig.story() if s.startswith(("Stop 77 Local 1500", "Ended"))]


@BOTH
def test_the_end_has_the_time_of_the_stop_not_of_its_measurement(version: str) -> None:
    """# 1.6 §4.10, E06: what was true is frozen when it happens."""
    rig = Rig(version, obeys=False)
    rig.boot()
    rig.plug()
    rig.card()
    rig.facts(energized=True, charging=True)
    rig.card()
    at = rig.wall
    rig.forget()

    rig.after(6)

    payload = rig.payloads("StopTransaction")[0] if version == "1.6" else ended(rig)
    assert text(at) == payload["timestamp"]


@BOTH
@pytest.mark.parametrize(
    ("kind", "reason"),
    [("emergency_stop", "EmergencyStop"), ("stop_button", "Local"), ("power_failing", "PowerLoss")],
)
def test_buttons_and_alarms_end_a_transaction(version: str, kind: str, reason: str) -> None:
    """# 1.6 §7.36, 2.0.1 ReasonEnumType, [TC_032_1]."""
    rig = Rig(version)
    rig.boot()
    rig.session()

    rig.device_report(kind)

    assert rig.transaction() is None
    assert not rig.setpoint().energize
    if version == "1.6":
        assert [f"Stop 77 {reason} 1000"] == [s for s in rig.story() if s.startswith("Stop")]
    else:
        assert reason == ended(rig)["transactionInfo"].get("stoppedReason", "Local")


@BOTH
@pytest.mark.parametrize(
    ("code", "reason"), [("GroundFailure", "GroundFault"), ("OverCurrentFailure", "OvercurrentFault")]
)
def test_a_dangerous_fault_ends_a_transaction(version: str, code: str, reason: str) -> None:
    """# E06: AbnormalCondition with the matching reason; 1.6 has only Other."""
    rig = Rig(version)
    rig.boot()
    rig.session()

    rig.fault(code)

    story = rig.story()
    assert not rig.setpoint().energize
    wanted = "Stop 77 Other 1000" if version == "1.6" else f"Ended AbnormalCondition EVConnected {reason}"
    assert wanted in story
    assert any(s.startswith("Status 1") and "Faulted" in s for s in story)


@BOTH
def test_another_fault_withholds_energy_until_it_is_gone(version: str) -> None:
    """# 1.6 §4.9 C9, I3: the pre-fault state comes back."""
    rig = Rig(version)
    rig.boot()
    rig.session()

    rig.fault("HighTemperature")
    assert not rig.setpoint().energize
    assert rig.transaction() is not None
    assert "Faulted" in " ".join(rig.story())
    rig.facts(errors=())

    assert rig.setpoint().energize
    assert "Charging" == rig.status()


@BOTH
def test_the_transaction_view_shows_the_last_one(version: str) -> None:
    """`transaction` on MQTT is never empty: the ended one with its energy and reason."""
    rig = Rig(version)
    rig.boot()
    rig.session()
    rig.charge(120)
    rig.forget()

    rig.card()

    views = [e.view for e in rig.done(effects.Publish) if e.channel == "transaction"]
    assert (False, 120.0, "Local") == (views[-1].active, views[-1].energy_wh, views[-1].stop_reason)
    assert views[-1].id_token == f"{CARD[:2]}…{CARD[-2:]}"


@BOTH
def test_the_same_card_after_the_end_starts_anew_only_as_a_new_gesture(version: str) -> None:
    """Law 5: a redelivered card does neither stop nor start."""
    rig = Rig(version)
    rig.boot()
    rig.plug()
    rig.card(gesture="g1")
    first = rig.transaction()
    rig.card(gesture="g1")
    assert first == rig.transaction()
    rig.card(gesture="g2")
    assert rig.transaction() is None

    rig.card(gesture="g2")
    rig.card(gesture="g1")

    assert rig.transaction() is None


@BOTH
def test_a_stop_while_the_other_evse_charges_touches_only_its_own(version: str) -> None:
    """Two EVSEs are two."""
    rig = Rig(version, connectors=2)
    rig.boot()
    rig.session(CARD, 1)
    rig.session(OTHER, 2)

    rig.card(OTHER, 2)

    assert rig.transaction(1) is not None
    assert rig.setpoint(1).energize
    assert rig.transaction(2) is None
