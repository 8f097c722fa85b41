"""Meter values in 1.6."""

from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.csms.v16.metering import decimal
from gateway.station.model import ReadingContext, Sample, SampledValue, SignedReading
from gateway.station.reports import Acknowledged, MeterValues
from gateway.station.variable_definitions import MEASURANDS, MEASURANDS_OF_16
from tests.csms.v16.wire import AT, AT_TEXT, answered, told, told_once


def sample(*values: SampledValue, signed: SignedReading | None = None) -> Sample:
    return Sample(AT, ReadingContext.TRIGGER, values, signed)


def sampled(value: SampledValue, n: int = 1) -> dict[str, Any]:
    """The one sampledValue that becomes of a value."""
    payload = told_once(MeterValues(n, n, (sample(value),)), "MeterValues")
    [element] = payload["meterValue"]
    [fields] = element["sampledValue"]
    assert isinstance(fields, dict)
    return fields


def test_meter_values_outside_a_transaction() -> None:
    """No transactionId; every field is explicit, since some backends know no defaults."""
    report = MeterValues(2, 2, (sample(SampledValue(1234.0, "Energy.Active.Import.Register", "Wh")),))

    assert told_once(report, "MeterValues") == {
        "connectorId": 2,
        "meterValue": [
            {
                "timestamp": AT_TEXT,
                "sampledValue": [
                    {
                        "value": "1234",
                        "context": "Trigger",
                        "measurand": "Energy.Active.Import.Register",
                        "location": "Outlet",
                        "unit": "Wh",
                    }
                ],
            }
        ],
    }
    assert answered(report, {}) == Acknowledged()


@pytest.mark.parametrize("context", list(ReadingContext))
def test_each_context_has_its_word(context: ReadingContext) -> None:
    """Both versions use the same words, as plain text."""
    values = (SampledValue(1.0, "Voltage", "V"),)
    payload = told_once(MeterValues(1, 1, (Sample(AT, context, values),)), "MeterValues")

    word = payload["meterValue"][0]["sampledValue"][0]["context"]
    assert type(word) is str
    assert word == context.value


@pytest.mark.parametrize("measurand", [*MEASURANDS, *MEASURANDS_OF_16])
def test_each_measurand_that_can_be_configured_has_its_word(measurand: str) -> None:
    """Nothing that the core may sample is lost."""
    assert sampled(SampledValue(1.0, measurand, None))["measurand"] == measurand


@pytest.mark.parametrize(
    ("value", "phase", "unit", "location"),
    [
        (SampledValue(230.0, "Voltage", "V", "L1-N"), "L1-N", "V", "Outlet"),
        (SampledValue(16.0, "Current.Import", "A", "L3"), "L3", "A", "Outlet"),
        (SampledValue(55.0, "SoC", "Percent"), None, "Percent", "EV"),
        (SampledValue(31.5, "Temperature", "Celsius"), None, "Celsius", "Body"),
        (SampledValue(0.98, "Power.Factor", None), None, None, "Outlet"),
    ],
)
def test_phase_unit_and_location(
    value: SampledValue, phase: str | None, unit: str | None, location: str
) -> None:
    """They belong to the measurand, and are left out where there is none."""
    fields = sampled(value)

    assert (fields.get("phase"), fields.get("unit"), fields["location"]) == (phase, unit, location)


def test_a_frequency_has_no_unit() -> None:
    """Hertz is missing from the official list of units ([E3.86])."""
    assert "unit" not in sampled(SampledValue(50.0, "Frequency", "Hertz"))


def test_the_main_meter_is_at_the_inlet() -> None:
    """Connector 0 measures what comes in."""
    value = SampledValue(1.0, "Power.Active.Import", "W")

    assert sampled(value, n=0)["location"] == "Inlet"


def test_a_signed_value_is_told_as_it_is() -> None:
    """The meter's own text, in format SignedData, beside the plain values."""
    report = MeterValues(
        1, 1, (sample(SampledValue(1.0, "Voltage", "V"), signed=SignedReading("OCMF|{}|{}")),)
    )

    payload = told_once(report, "MeterValues")

    assert payload["meterValue"][0]["sampledValue"][1] == {
        "value": "OCMF|{}|{}",
        "context": "Trigger",
        "format": "SignedData",
        "measurand": "Energy.Active.Import.Register",
        "location": "Outlet",
        "unit": "Wh",
    }


@pytest.mark.parametrize(
    "value",
    [
        SampledValue(nan, "Voltage", "V"),
        SampledValue(inf, "Voltage", "V"),
        SampledValue(1.0, "Energy.Active.Net", "Wh"),
        SampledValue(1.0, "Voltage", "V", "L9"),
    ],
)
def test_what_1_6_cannot_say_is_left_out(value: SampledValue) -> None:
    """A sample without values would break the schema: then there is no call at all."""
    good = SampledValue(2.0, "Voltage", "V")

    assert told(MeterValues(1, 1, (sample(value),))) == []
    [call] = told(MeterValues(1, 1, (sample(value, good), sample(value))))
    assert [len(element["sampledValue"]) for element in call.payload["meterValue"]] == [1]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (-0.0001, "0"),
        (1234.0, "1234"),
        (230.10000000000002, "230.1"),
        (0.1234, "0.123"),
        (-7.5, "-7.5"),
        (1e21, "1000000000000000000000"),
        (1e-9, "0"),
        (nan, None),
        (-inf, None),
    ],
)
def test_decimal(value: float, text: str | None) -> None:
    """Digits that nobody measured are not sent, nor exponents that nobody reads."""
    assert decimal(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_decimal_is_always_plain(value: float) -> None:
    """Only digits, a sign and a point; the value is kept to three decimals."""
    text = decimal(value)

    assert text is not None
    assert set(text) <= set("-.0123456789")
    assert abs(float(text) - value) <= 0.000501
