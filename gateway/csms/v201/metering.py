"""Samples as `meterValue`: numbers with every field explicit (# J01, J02)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal

from gateway.csms.dialect import Block, Call, Payload, Telling, acknowledged, shortened
from gateway.csms.timestamps import format_time
from gateway.station.model import Sample, SignedReading
from gateway.station.reports import MeterValues

MEASURANDS = frozenset(
    {
        *(
            f"Energy.{kind}.{direction}.{span}"
            for kind in ("Active", "Reactive")
            for direction in ("Export", "Import")
            for span in ("Register", "Interval")
        ),
        *(f"Energy.{kind}.Net" for kind in ("Active", "Reactive", "Apparent")),
        *("Energy.Apparent.Import", "Energy.Apparent.Export"),
        *(
            f"Power.{kind}.{direction}"
            for kind in ("Active", "Reactive")
            for direction in ("Export", "Import")
        ),
        *("Power.Factor", "Power.Offered"),
        *("Current.Import", "Current.Export", "Current.Offered"),
        *("Voltage", "Frequency", "SoC"),
    }
)
PHASES = frozenset({"L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"})
REGISTER = "Energy.Active.Import.Register"
MAX_SIGNED = 2500

Location = Literal["Outlet", "Inlet"]


def meter_values(samples: Iterable[Sample], location: Location = "Outlet") -> list[Payload]:
    """The `meterValue` array, an element per sample; empty when 2.0.1 has words for none of the values."""
    elements: list[Payload] = []
    for sample in samples:
        context = sample.context
        sampled: list[Payload] = []
        register: Payload | None = None
        for measured in sample.values:
            fields = _fields(context, measured.measurand, measured.unit, measured.phase, location)
            value = number(measured.value)
            if fields is None or value is None:
                continue
            element = {"value": value, **fields}
            sampled.append(element)
            if register is None and measured.measurand == REGISTER:
                register = element
        if sampled:
            if sample.signed is not None:
                _sign(register or sampled[0], sample.signed)
            elements.append({"timestamp": format_time(sample.at), "sampledValue": sampled})
    return elements


def number(value: float) -> int | float | None:
    """At most three decimals, and so never an exponent in JSON; None for what is not finite."""
    try:
        whole = int(value)
    except (OverflowError, ValueError):
        return None
    return whole if whole == value else round(value, 3) or 0


def _sign(element: Payload, signed: SignedReading) -> None:
    # What is cut proves nothing: signed data that are too long stay away, the plain value is told.
    if signed.data and len(signed.data) <= MAX_SIGNED:
        element["signedMeterValue"] = {
            "signedMeterData": signed.data,
            "signingMethod": shortened(signed.method, 50),
            "encodingMethod": shortened(signed.encoding, 50),
            "publicKey": signed.public_key if len(signed.public_key) <= MAX_SIGNED else "",
        }


_UNITS = {"Hertz": "Hz"}
_LOCATIONS = {"SoC": "EV"}


@lru_cache(maxsize=4096)
def _fields(
    context: str, measurand: str, unit: str | None, phase: str | None, location: Location
) -> dict[str, Any] | None:
    """All fields of a SampledValueType but the value; shared, never to be changed. None: no words for it."""
    if measurand not in MEASURANDS:
        return None
    fields: dict[str, Any] = {
        "context": str(context),
        "measurand": measurand,
        "location": _LOCATIONS.get(measurand, location),
    }
    if phase is not None:
        if phase not in PHASES:
            return None
        fields["phase"] = phase
    if unit is not None:
        fields["unitOfMeasure"] = {"unit": _UNITS.get(unit, unit)}
    return fields


def _calls(report: MeterValues) -> list[Call]:
    elements = meter_values(report.samples, "Inlet" if report.evse == 0 else "Outlet")
    if not elements:
        return []
    return [Call("MeterValues", {"evseId": report.evse, "meterValue": elements})]


BLOCK = Block(tells={MeterValues: Telling(_calls, acknowledged)})
