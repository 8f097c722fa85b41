"""TriggerMessage: the reply first, then what was asked for."""

from gateway.station.model import Policy, TxPoint
from tests.station.rig import BOTH, Payload, Rig


def booted(version: str, connectors: int = 2, **variables: str) -> Rig:
    names = {name.replace("__", "."): value for name, value in variables.items()}
    rig = Rig(version, connectors=connectors, variables=names)
    rig.boot()
    return rig


def trigger(rig: Rig, message: str, n: int | None = None, connector: int | None = None) -> str | None:
    if rig.version == "1.6":
        place: Payload = {} if n is None else {"connectorId": n}
    else:
        place = {} if n is None else {"evse": {"id": n} | ({"connectorId": connector} if connector else {})}
    return rig.status_of("TriggerMessage", requestedMessage=message, **place)


@BOTH
def test_heartbeat(version: str) -> None:
    """# [TC_054], [TC_F_20]."""
    rig = booted(version)

    assert "Accepted" == trigger(rig, "Heartbeat")

    assert ["TriggerMessage: Accepted", "Heartbeat"] == rig.story()


@BOTH
def test_status_of_one_connector(version: str) -> None:
    """# [TC_054], [TC_F_23], [TC_F_24]: the present one, told or not."""
    rig = booted(version)
    rig.plug(2)
    rig.forget()

    assert "Accepted" == trigger(rig, "StatusNotification", 2, 1)

    word = {"1.6": "Status 2 Preparing", "2.0.1": "Status 2.1 Occupied"}[version]
    assert ["TriggerMessage: Accepted", word] == rig.story()


@BOTH
def test_status_of_all(version: str) -> None:
    """# 1.6 §5.17, F06: without a place all of them."""
    rig = booted(version)

    trigger(rig, "StatusNotification")

    expected = {
        "1.6": ["Status 0 Available", "Status 1 Available", "Status 2 Available"],
        "2.0.1": ["Status 1.1 Available", "Status 2.1 Available"],
    }
    assert expected[version] == rig.story()[1:]


@BOTH
def test_meter_values_of_one(version: str) -> None:
    """# [TC_054], [TC_F_11]: context Trigger."""
    rig = booted(version)

    assert "Accepted" == trigger(rig, "MeterValues", 1)

    assert ["TriggerMessage: Accepted", "Meter 1 Trigger"] == rig.story()


@BOTH
def test_meter_values_of_all(version: str) -> None:
    """# [TC_F_12]."""
    rig = booted(version)

    trigger(rig, "MeterValues")

    assert {"Meter 1 Trigger", "Meter 2 Trigger"} == set(rig.story()[1:])


@BOTH
def test_meter_values_of_a_connector_that_is_not_there(version: str) -> None:
    """# [TC_055]."""
    rig = booted(version)

    assert "Rejected" == trigger(rig, "MeterValues", 3)

    assert ["TriggerMessage: Rejected"] == rig.story()


def test_16_meter_values_in_a_transaction_carry_its_id() -> None:
    """# 1.6 §5.17: measurands of MeterValuesSampledData."""
    rig = booted("1.6")
    rig.session()

    trigger(rig, "MeterValues", 1)

    [values] = rig.payloads("MeterValues")
    assert 77 == values["transactionId"]


def test_201_meter_values_have_the_aligned_measurands_even_in_a_transaction() -> None:
    """# F06.FR.06."""
    rig = booted("2.0.1", AlignedDataCtrlr__Measurands="Voltage")
    rig.session()
    rig.meter(1001, voltage_v=230.0)
    rig.forget()

    trigger(rig, "MeterValues", 1)

    [values] = rig.payloads("MeterValues")
    assert {"Voltage"} == {v["measurand"] for v in values["meterValue"][0]["sampledValue"]}


def test_201_transaction_event() -> None:
    """# F06.FR.07, [TC_F_13], [TC_F_14]: Trigger, chargingState and TxUpdatedMeasurands; numbered like any."""
    rig = booted("2.0.1")
    rig.session(n=1)
    rig.session("0455667788", 2)

    assert "Accepted" == trigger(rig, "TransactionEvent", 1)
    [one] = rig.payloads("TransactionEvent")
    assert ("Updated", "Trigger", "Charging") == (
        one["eventType"],
        one["triggerReason"],
        one["transactionInfo"]["chargingState"],
    )
    assert one["meterValue"][0]["sampledValue"][0]["context"] == "Trigger"
    rig.forget()
    trigger(rig, "TransactionEvent")

    assert ["Updated Trigger Charging"] * 2 == rig.story()[1:]


def test_201_transaction_event_without_one_is_rejected() -> None:
    """# F06.FR.08."""
    assert "Rejected" == trigger(booted("2.0.1"), "TransactionEvent", 1)


def test_201_a_boot_after_acceptance_is_rejected() -> None:
    """# F06.FR.17, [TC_F_26]."""
    rig = booted("2.0.1")

    assert "Rejected" == trigger(rig, "BootNotification")

    assert ["TriggerMessage: Rejected"] == rig.story()


def test_16_a_boot_after_acceptance_is_harmless() -> None:
    """Many backends ask for one at every reconnect."""
    rig = booted("1.6")

    assert "Accepted" == trigger(rig, "BootNotification")

    assert ["TriggerMessage: Accepted", "BootNotification"] == rig.story()[:2]


def test_what_is_not_there_is_not_implemented() -> None:
    """# F06.FR.11, [TC_F_27]."""
    assert "NotImplemented" == trigger(booted("2.0.1"), "SignV2GCertificate")


@BOTH
def test_triggered_meter_values_pass_the_queue(version: str) -> None:
    """# 1.6 §3.7.1: they are not historic; a transaction message that waits does not hold them up."""
    rig = booted(version)
    rig.answers["StartTransaction" if version == "1.6" else "TransactionEvent"] = None
    rig.plug(1)
    rig.card(n=1)
    rig.forget()

    trigger(rig, "MeterValues", 2)

    assert "Meter 2 Trigger" in rig.story()


def test_201_a_triggered_event_of_an_ended_transaction_is_rejected() -> None:
    """# F06.FR.08: what has ended says nothing more."""
    policy = Policy(stop_points=frozenset({TxPoint.AUTHORIZED}))
    rig = Rig("2.0.1", policy=policy)
    rig.boot()
    rig.session()
    rig.card()

    assert "Rejected" == trigger(rig, "TransactionEvent", 1)
