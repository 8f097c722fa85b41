"""Samples: exactly the configured measurands, on the grid, in their context; registers never fall."""

import pytest

from gateway.station.events import MeterSampled
from gateway.station.model import Policy, SignedReading, TxPoint
from tests.station.rig import BOTH, NOON, OTHER, Payload, Rig, text

REGISTER = "Energy.Active.Import.Register"


def booted(version: str, **variables: str) -> Rig:
    rig = Rig(version, variables={name.replace("__", "."): value for name, value in variables.items()})
    rig.boot()
    return rig


def elements(rig: Rig) -> list[Payload]:
    """All meterValue elements sent, of whatever message."""
    return [e for _, payload in rig.sent() for e in payload.get("meterValue", ())]


def periodic(rig: Rig) -> list[Payload]:
    return [e for e in elements(rig) if e["sampledValue"][0]["context"] == "Sample.Periodic"]


def measurands(element: Payload) -> set[str]:
    return {value["measurand"] for value in element["sampledValue"]}


def contexts(samples: list[Payload]) -> list[str]:
    return [element["sampledValue"][0]["context"] for element in samples]


# ------------------------------------------------------------------ periodic


@BOTH
@pytest.mark.parametrize("every", [1, 5, 15, 30])
def test_samples_come_at_the_interval_whatever_the_device_s_rate(version: str, every: int) -> None:
    """# [TC_070], J02.FR.01, [TC_J_09]: interval exact, context Sample.Periodic."""
    rig = booted(version, SampledDataCtrlr__TxUpdatedInterval="30")
    rig.session()

    rig.charge(180, every=every)

    moments = [element["timestamp"] for element in periodic(rig)]
    assert [text(NOON + 6 + 30 * i) for i in range(1, 7)] == moments


@BOTH
def test_samples_have_exactly_the_configured_measurands(version: str) -> None:
    """# [TC_070], 1.6 §7, J02.FR.02."""
    rig = booted(version, SampledDataCtrlr__TxUpdatedMeasurands=f"{REGISTER},Voltage,SoC")
    rig.session()

    rig.pass_time(60)
    rig.meter(1060, power_w=3600.0, current_a=(16.0, 15.9, 15.8), voltage_v=230.0, soc_percent=55.0)

    [element] = periodic(rig)
    assert {REGISTER, "Voltage", "SoC"} == measurands(element)
    phases = [v["phase"] for v in element["sampledValue"] if v["measurand"] == "Voltage"]
    assert ["L1-N", "L2-N", "L3-N"] == phases


def test_one_phase_may_be_asked_for() -> None:
    """# 1.6 §9.1.16: "where applicable, the measurand is combined with the optional phase"."""
    rig = booted("1.6")
    assert "Accepted" == rig.set("MeterValuesSampledData", "Voltage.L2-N,Current.Import.L1")
    rig.session()

    rig.pass_time(60)
    rig.meter(1060, current_a=(16.0, 15.9, 15.8), voltage_v=(230.0, 231.0, 232.0))

    [element] = periodic(rig)
    told = [(v["measurand"], v["phase"], v["value"]) for v in element["sampledValue"]]
    assert [("Voltage", "L2-N", "231"), ("Current.Import", "L1", "16")] == told


@BOTH
def test_a_changed_interval_holds_in_the_running_transaction(version: str) -> None:
    """# [TC_021]: MeterValueSampleInterval set and used."""
    rig = booted(version, SampledDataCtrlr__TxUpdatedInterval="600")
    rig.session()
    name = "MeterValueSampleInterval" if version == "1.6" else "SampledDataCtrlr.TxUpdatedInterval"

    assert "Accepted" == rig.set(name, "20")
    rig.charge(60)

    assert 2 <= len(periodic(rig)) <= 3


@BOTH
def test_an_interval_of_0_samples_nothing(version: str) -> None:
    """# 1.6 §9.1.15, J02.FR.05."""
    rig = booted(version, SampledDataCtrlr__TxUpdatedInterval="0")
    rig.session()

    rig.charge(300)

    assert [] == periodic(rig)


@BOTH
def test_nothing_is_invented(version: str) -> None:
    """A meter that has fallen silent is not sampled."""
    rig = booted(version, SampledDataCtrlr__TxUpdatedInterval="60")
    rig.session()
    rig.charge(60)
    rig.forget()

    rig.after(600)

    assert [] == periodic(rig)


@BOTH
def test_a_measurand_that_is_not_known_is_left_out(version: str) -> None:
    """No zero that no device sent."""
    rig = booted(version, SampledDataCtrlr__TxUpdatedMeasurands=f"{REGISTER},SoC,Frequency")
    rig.session()

    rig.pass_time(60)
    rig.meter(1060)

    [element] = periodic(rig)
    assert {REGISTER} == measurands(element)


def test_16_an_unsupported_measurand_is_rejected_and_the_old_ones_stay() -> None:
    """# 1.6 [E3.14.4]."""
    rig = booted("1.6")

    assert "Rejected" == rig.set("MeterValuesSampledData", "Energy.Active.Import.Register,Nonsense")

    rig.session()
    rig.charge(60)
    assert len(measurands(periodic(rig)[0])) >= 1


def test_16_an_empty_list_means_the_register() -> None:
    """# 1.6 §9.1.16: MeterValues never carry nothing."""
    rig = booted("1.6")
    rig.set("MeterValuesSampledData", "")
    rig.session()

    rig.charge(60)

    [element] = periodic(rig)
    assert {REGISTER} == measurands(element)


# ------------------------------------------------------------------ begin and end


def test_201_started_carries_its_measurands() -> None:
    """# J02.FR.01, [TC_J_07]: context Transaction.Begin."""
    rig = booted("2.0.1", SampledDataCtrlr__TxStartedMeasurands=f"{REGISTER},Voltage")
    rig.meter(1000, voltage_v=231.0)
    rig.plug()
    rig.card()

    started = rig.payloads("TransactionEvent")[0]

    assert ["Transaction.Begin"] == contexts(started["meterValue"])
    assert {REGISTER, "Voltage"} == measurands(started["meterValue"][0])


def test_201_ended_carries_begin_samples_and_end() -> None:
    """# J02.FR.11, E06.FR.11, [TC_J_10]: TxEndedInterval has its own grid."""
    rig = booted("2.0.1", SampledDataCtrlr__TxEndedInterval="30", SampledDataCtrlr__TxUpdatedInterval="0")
    rig.session()
    rig.charge(90)
    rig.card()

    [ended] = rig.payloads("TransactionEvent")

    assert ["Transaction.Begin", *["Sample.Periodic"] * 3, "Transaction.End"] == contexts(ended["meterValue"])
    assert [1000, 1030, 1060, 1090, 1090] == [e["sampledValue"][0]["value"] for e in ended["meterValue"]]


def test_201_ended_with_an_interval_of_0_carries_begin_and_end() -> None:
    """# J02: TxEndedInterval 0."""
    rig = booted("2.0.1")
    rig.session()
    rig.charge(90)
    rig.card()

    ended = rig.payloads("TransactionEvent")[-1]

    assert ["Transaction.Begin", "Transaction.End"] == contexts(ended["meterValue"])


def test_201_no_ended_measurands_no_values() -> None:
    """# [TC_J_06] in spirit: an empty list is nothing."""
    rig = booted("2.0.1", SampledDataCtrlr__TxEndedMeasurands="")
    rig.session()
    rig.card()

    ended = rig.payloads("TransactionEvent")[-1]

    assert "meterValue" not in ended


def test_201_where_the_evse_is_not_known_at_the_start_the_values_follow_with_it() -> None:
    """# J02.FR.02, [TC_J_08]: Transaction.Begin in the first event that knows the EVSE."""
    policy = Policy(start_points=frozenset({TxPoint.AUTHORIZED}), stop_points=frozenset({TxPoint.AUTHORIZED}))
    rig = Rig("2.0.1", policy=policy)
    rig.boot()
    rig.card()
    rig.plug()

    told = [c for e in rig.payloads("TransactionEvent") for c in contexts(e.get("meterValue", []))]

    assert 1 == told.count("Transaction.Begin")


def test_201_signed_values_are_told_where_the_meter_signs() -> None:
    """# J02.FR.16, [TC_J_11]."""
    rig = booted("2.0.1")
    rig.session()
    rig.pass_time(60)
    signed = SignedReading("OCMF|…", "ECDSA-secp256r1-SHA256", "OCMF", "key")

    rig.happens(MeterSampled(1, {"energy_import_wh": 1060.0}, signed=signed))

    [element] = periodic(rig)
    [value] = [v for v in element["sampledValue"] if "signedMeterValue" in v]
    assert "OCMF|…" == value["signedMeterValue"]["signedMeterData"]


def test_201_sign_readings_off_tells_no_signatures() -> None:
    """# J02, SampledDataCtrlr.SignReadings false."""
    rig = booted("2.0.1", SampledDataCtrlr__SignReadings="false")
    rig.session()
    rig.pass_time(60)

    rig.happens(MeterSampled(1, {"energy_import_wh": 1060.0}, signed=SignedReading("OCMF|…")))

    [element] = periodic(rig)
    assert not [v for v in element["sampledValue"] if "signedMeterValue" in v]


# ------------------------------------------------------------------ clock-aligned


def feed(rig: Rig, seconds: int, n: int = 1) -> None:
    for _ in range(seconds // 5):
        rig.after(5)
        rig.meter(rig.devices[n].register_wh + 1, n=n)


@BOTH
def test_aligned_values_outside_a_transaction(version: str) -> None:
    """# [TC_071], J01.FR.01, [TC_J_01]: MeterValues on the grid, Sample.Clock, of every connector."""
    rig = Rig(version, connectors=2, variables={"AlignedDataCtrlr.Interval": "20"})
    rig.wall += 7
    rig.boot()
    for _ in range(13):
        rig.after(5)
        rig.meter(2000, n=1)
        rig.meter(3000, n=2)

    values = rig.payloads("MeterValues")

    where = "connectorId" if version == "1.6" else "evseId"
    assert {1, 2} == {v[where] for v in values}
    assert all("transactionId" not in v for v in values)
    moments = [v["meterValue"][0]["timestamp"] for v in values if v[where] == 1]
    assert [text(NOON + t) for t in (20, 40, 60)] == moments
    assert {"Sample.Clock"} == {v["meterValue"][0]["sampledValue"][0]["context"] for v in values}


def test_16_aligned_values_in_a_transaction_carry_its_id() -> None:
    """# 1.6 [E3.16]."""
    rig = booted("1.6", AlignedDataCtrlr__Interval="20", SampledDataCtrlr__TxUpdatedInterval="0")
    rig.session()

    feed(rig, 40)

    values = rig.payloads("MeterValues")
    assert [77, 77] == [v["transactionId"] for v in values]
    assert [text(NOON + 20), text(NOON + 40)] == [v["meterValue"][0]["timestamp"] for v in values]


def test_201_aligned_values_in_a_transaction_are_transaction_events() -> None:
    """# J01.FR.20, [TC_J_02]: MeterValueClock, never MeterValues."""
    rig = booted("2.0.1", AlignedDataCtrlr__Interval="20", SampledDataCtrlr__TxUpdatedInterval="0")
    rig.session()

    feed(rig, 40)

    assert [] == rig.payloads("MeterValues")
    assert ["MeterValueClock"] * 2 == [e["triggerReason"] for e in rig.payloads("TransactionEvent")]


def test_201_aligned_values_only_while_idle() -> None:
    """# J01.FR.19: SendDuringIdle."""
    rig = Rig(
        "2.0.1",
        connectors=2,
        variables={
            "AlignedDataCtrlr.Interval": "20",
            "AlignedDataCtrlr.SendDuringIdle": "true",
            "SampledDataCtrlr.TxUpdatedInterval": "0",
        },
    )
    rig.boot()
    rig.session(n=1)

    feed(rig, 40)
    assert {"Meter 2 Sample.Clock"} == {s for s in rig.story() if "Meter" in s}
    rig.card()
    rig.forget()
    feed(rig, 40)

    assert 2 == rig.story().count("Meter 1 Sample.Clock")


def test_201_aligned_values_kept_for_the_end() -> None:
    """# J01, [TC_J_03]: AlignedDataCtrlr.TxEndedMeasurands at TxEndedInterval."""
    rig = booted(
        "2.0.1",
        AlignedDataCtrlr__TxEndedInterval="20",
        AlignedDataCtrlr__Interval="0",
        SampledDataCtrlr__TxUpdatedInterval="0",
    )
    rig.session()
    feed(rig, 40)
    rig.card()

    ended = rig.payloads("TransactionEvent")[-1]

    assert ["Transaction.Begin", "Sample.Clock", "Sample.Clock", "Transaction.End"] == contexts(
        ended["meterValue"]
    )


def test_16_aligned_values_kept_for_the_stop() -> None:
    """# 1.6 StopTxnAlignedData, with begin and end of StopTxnSampledData when that is configured ([E3.14])."""
    rig = booted("1.6", AlignedDataCtrlr__Interval="20", SampledDataCtrlr__TxUpdatedInterval="0")
    rig.set("StopTxnAlignedData", REGISTER)
    rig.session()
    feed(rig, 40)
    rig.card()

    [stop] = rig.payloads("StopTransaction")

    assert 2 == contexts(stop["transactionData"]).count("Sample.Clock")


@BOTH
def test_the_grid_starts_anew_at_midnight(version: str) -> None:
    """# 1.6 §9.1.6: an interval that does not divide the day."""
    rig = Rig(version, variables={"AlignedDataCtrlr.Interval": "50000"})
    rig.wall = NOON + 12 * 3600 - 100
    rig.boot()

    feed(rig, 120)

    values = rig.payloads("MeterValues")
    assert [text(NOON + 12 * 3600)] == [v["meterValue"][0]["timestamp"] for v in values]


# ------------------------------------------------------------------ registers


@BOTH
def test_a_register_never_falls(version: str) -> None:
    """A single lower reading is noise; a counter that was reset goes on from where it was."""
    rig = booted(version)
    rig.session()
    rig.meter(2000)
    rig.meter(1)
    assert 2000 == rig.register()

    for register in (5, 10, 15, 20):
        rig.meter(register)

    assert 2010 == rig.register()


@BOTH
def test_a_session_counter_becomes_a_register(version: str) -> None:
    """`energy: session`: each session starts at 0, the register goes on."""
    rig = Rig(version, energy="session")
    rig.boot()
    rig.meter(1500)
    rig.meter(0)
    rig.meter(300)

    assert 1800 == rig.register()


@BOTH
def test_energy_from_power(version: str) -> None:
    """`energy: power`: integrated between readings, not over a long silence."""
    rig = Rig(version, energy="power")
    rig.boot()
    for _ in range(7):
        rig.meter(power_w=3600.0)
        rig.pass_time(10)
    rig.pass_time(3600)
    rig.meter(power_w=3600.0)

    assert 60 == rig.register()


@BOTH
def test_readings_of_another_connector_are_its_own(version: str) -> None:
    """A meter belongs to its connector."""
    rig = Rig(version, connectors=2, variables={"SampledDataCtrlr.TxUpdatedInterval": "60"})
    rig.boot()
    rig.session(n=1)
    rig.session(OTHER, 2)

    rig.charge(60, n=2)

    field = "connectorId" if version == "1.6" else "transactionInfo"
    told = {str(p[field]) for _, p in rig.sent("MeterValues", "TransactionEvent")}
    assert 1 == len(told)
