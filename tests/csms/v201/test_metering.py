"""Meter values in 2.0.1."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.csms.v201.metering import MEASURANDS, PHASES, REGISTER, meter_values
from gateway.station.model import ReadingContext, Sample, SampledValue, SignedReading
from gateway.station.reports import Acknowledged, MeterValues
from tests.csms.v201.wire import AT, AT_TEXT, answered, told, told_once


def sampled(*values: SampledValue, signed: SignedReading | None = None) -> list[dict[str, Any]]:
    """The sampledValue list of one clock-aligned sample."""
    report = MeterValues(3, 2, (Sample(AT, ReadingContext.SAMPLE_CLOCK, values, signed),))
    payload = told_once(report, "MeterValues")
    assert payload["evseId"] == 2
    [element] = payload["meterValue"]
    assert element["timestamp"] == AT_TEXT
    values_told: list[dict[str, Any]] = element["sampledValue"]
    return values_told


def test_every_field_is_explicit() -> None:
    """Many backends do not know the defaults of the specification."""
    assert sampled(SampledValue(230.1, "Voltage", "V", "L1-N")) == [
        {
            "value": 230.1,
            "context": "Sample.Clock",
            "measurand": "Voltage",
            "location": "Outlet",
            "phase": "L1-N",
            "unitOfMeasure": {"unit": "V"},
        }
    ]


def test_special_measurands() -> None:
    """The state of charge is the vehicle's, hertz are Hz, a factor has no unit."""
    told_values = sampled(
        SampledValue(55.0, "SoC", "Percent"),
        SampledValue(50.01, "Frequency", "Hertz"),
        SampledValue(0.98, "Power.Factor", None),
    )

    assert [value["location"] for value in told_values] == ["EV", "Outlet", "Outlet"]
    assert [value.get("unitOfMeasure") for value in told_values] == [
        {"unit": "Percent"},
        {"unit": "Hz"},
        None,
    ]


def test_the_main_meter_is_at_the_inlet() -> None:
    """EVSE 0."""
    report = MeterValues(
        0, 0, (Sample(AT, ReadingContext.SAMPLE_CLOCK, (SampledValue(1.0, REGISTER, "Wh"),)),)
    )
    payload = told_once(report, "MeterValues")

    assert payload["evseId"] == 0
    assert payload["meterValue"][0]["sampledValue"][0]["location"] == "Inlet"
    assert answered(report, {}) == Acknowledged()


@pytest.mark.parametrize(
    "value",
    [
        SampledValue(21.0, "Temperature", "Celsius"),
        SampledValue(math.nan, "Voltage", "V"),
        SampledValue(math.inf, "Voltage", "V"),
        SampledValue(1.0, "Voltage", "V", "L4"),
    ],
)
def test_what_has_no_words_is_left_out(value: SampledValue) -> None:
    """The others of the sample are told; a sample of nothing makes no call."""
    good = SampledValue(1.0, REGISTER, "Wh")

    assert len(sampled(value, good)) == 1
    assert told(MeterValues(1, 1, (Sample(AT, ReadingContext.TRIGGER, (value,)),))) == []


def test_signed_data_go_with_the_register() -> None:
    """# J01: the plain value beside the signed one; what the meter did not say is empty, not absent."""
    signed = SignedReading("T0NNRg==", "ECDSA", "OCMF")
    voltage, register = SampledValue(230.0, "Voltage", "V"), SampledValue(1.0, REGISTER, "Wh")
    told_values = sampled(voltage, register, signed=signed)

    assert "signedMeterValue" not in told_values[0]
    assert told_values[1]["signedMeterValue"] == {
        "signedMeterData": "T0NNRg==",
        "signingMethod": "ECDSA",
        "encodingMethod": "OCMF",
        "publicKey": "",
    }
    assert "signedMeterValue" in sampled(voltage, signed=signed)[0]


def test_signed_data_that_are_too_long_stay_away() -> None:
    """Cut data prove nothing, and would make the schema refuse the whole message."""
    register = SampledValue(1.0, REGISTER, "Wh")

    assert "signedMeterValue" not in sampled(register, signed=SignedReading("x" * 2501))[0]
    assert sampled(register, signed=SignedReading("x", public_key="k" * 2501))[0]["signedMeterValue"] == {
        "signedMeterData": "x",
        "signingMethod": "",
        "encodingMethod": "",
        "publicKey": "",
    }


def test_what_is_told_does_not_share_what_can_be_changed() -> None:
    """Signed data of one sample must not appear in another: the cached fields are copied."""
    register = SampledValue(1.0, REGISTER, "Wh")
    sampled(register, signed=SignedReading("x"))

    assert "signedMeterValue" not in sampled(register)[0]


@given(st.floats(min_value=-1e12, max_value=1e12))
def test_numbers_are_plain(value: float) -> None:
    """# 2.0.1 decimals: at most six digits after the point, no exponent, near to what was measured."""
    [element] = meter_values([Sample(AT, ReadingContext.TRIGGER, (SampledValue(value, "Voltage", "V"),))])
    text = msgspec.json.encode(element["sampledValue"][0]["value"]).decode()

    assert "e" not in text.lower()
    assert text != "-0.0"
    assert len(text.partition(".")[2]) <= 3
    assert abs(json.loads(text) - value) <= 0.0005 + abs(value) * 1e-15


@given(
    st.lists(
        st.tuples(
            st.lists(
                st.builds(
                    SampledValue,
                    st.floats(),
                    st.sampled_from([*sorted(MEASURANDS), "Temperature", ""]),
                    st.sampled_from([None, "Wh", "W", "V", "Hertz"]),
                    st.sampled_from([None, "", *sorted(PHASES)]),
                ),
                max_size=4,
            ),
            st.sampled_from(ReadingContext),
        ),
        max_size=3,
    )
)
def test_any_samples_are_told_as_the_schema_wants_them(
    samples: list[tuple[list[SampledValue], ReadingContext]],
) -> None:
    """Whatever a device sends, no message is refused for it."""
    told(MeterValues(1, 1, tuple(Sample(AT, context, tuple(values)) for values, context in samples)))
