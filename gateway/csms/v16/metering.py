"""Samples as MeterValues and transactionData: values as text, every field explicit (# 1.6 §7.33)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal

from gateway.csms.dialect import Block, Call, Payload, Telling, acknowledged
from gateway.csms.timestamps import format_time
from gateway.station.model import Sample
from gateway.station.reports import MeterValues

MEASURANDS = frozenset(
    {
        *(
            f"Energy.{kind}.{direction}.{span}"
            for kind in ("Active", "Reactive")
            for direction in ("Export", "Import")
            for span in ("Register", "Interval")
        ),
        *(f"Power.{what}" for what in ("Active.Export", "Active.Import", "Offered", "Factor")),
        *("Power.Reactive.Export", "Power.Reactive.Import"),
        *("Current.Import", "Current.Export", "Current.Offered"),
        *("Voltage", "Frequency", "Temperature", "SoC", "RPM"),
    }
)
PHASES = frozenset({"L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"})
REGISTER = "Energy.Active.Import.Register"

Location = Literal["Outlet", "Inlet"]


def meter_values(samples: Iterable[Sample], location: Location = "Outlet") -> list[Payload]:
    """The `meterValue` array, an element per sample; empty when 1.6 has words for none of the values."""
    elements: list[Payload] = []
    for sample in samples:
        context = sample.context
        sampled: list[Payload] = []
        for measured in sample.values:
            fields = _fields(context, measured.measurand, measured.unit, measured.phase, location)
            text = decimal(measured.value)
            if fields is not None and text is not None:
                sampled.append({"value": text, **fields})
        if sample.signed is not None:
            fields = _fields(context, REGISTER, "Wh", None, location)
            sampled.append({"value": sample.signed.data, "format": "SignedData", **(fields or {})})
        if sampled:
            elements.append({"timestamp": format_time(sample.at), "sampledValue": sampled})
    return elements


def decimal(value: float) -> str | None:
    """At most three decimals, never an exponent; None for what is not finite."""
    try:
        whole = int(value)
    except (OverflowError, ValueError):
        return None
    if whole == value:
        return str(whole)
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


# [E3.86]: Hertz is no unit of 1.6, a frequency goes without one.
_UNITS = frozenset({"Wh", "kWh", "varh", "kvarh", "W", "kW", "VA", "kVA", "var", "kvar", "A", "V"})
_UNITS |= {"K", "Celsius", "Fahrenheit", "Percent"}

_LOCATIONS = {"SoC": "EV", "Temperature": "Body"}


@lru_cache(maxsize=4096)
def _fields(
    context: str, measurand: str, unit: str | None, phase: str | None, location: Location
) -> dict[str, Any] | None:
    """All fields of a sampledValue but the value; shared, never to be changed. None: 1.6 cannot say it."""
    if measurand not in MEASURANDS:
        return None
    fields = {
        "context": str(context),
        "measurand": measurand,
        "location": _LOCATIONS.get(measurand, location),
    }
    if phase is not None:
        if phase not in PHASES:
            return None
        fields["phase"] = phase
    if unit in _UNITS:
        fields["unit"] = unit
    return fields


def _calls(report: MeterValues) -> list[Call]:
    # [E3.16]: outside a transaction, and for the main meter always, there is no transactionId.
    elements = meter_values(report.samples, "Inlet" if report.n == 0 else "Outlet")
    if not elements:
        return []
    return [Call("MeterValues", {"connectorId": report.n, "meterValue": elements})]


BLOCK = Block(tells={MeterValues: Telling(_calls, acknowledged)})
