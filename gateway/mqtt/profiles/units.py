"""Units of devices and of our facts: one factor each, applied once."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, NamedTuple

_PREFIXED = re.compile(r"(?:(\d+(?:\.\d+)?) ?)?([A-Za-z°%µ]+)")

UNITS: dict[str, dict[str, Fraction]] = {
    "Wh": {
        "Wh": Fraction(1),
        "kWh": Fraction(1000),
        "MWh": Fraction(1_000_000),
        "mWh": Fraction(1, 1000),
        "Ws": Fraction(1, 3600),
        "J": Fraction(1, 3600),
        "kJ": Fraction(1000, 3600),
        "Wmin": Fraction(1, 60),
    },
    "W": {"W": Fraction(1), "kW": Fraction(1000), "mW": Fraction(1, 1000)},
    "var": {"var": Fraction(1), "kvar": Fraction(1000)},
    "A": {"A": Fraction(1), "dA": Fraction(1, 10), "cA": Fraction(1, 100), "mA": Fraction(1, 1000)},
    "V": {"V": Fraction(1), "dV": Fraction(1, 10), "mV": Fraction(1, 1000), "kV": Fraction(1000)},
    "Hz": {"Hz": Fraction(1), "cHz": Fraction(1, 100), "mHz": Fraction(1, 1000)},
    "°C": {"°C": Fraction(1), "C": Fraction(1)},
    "%": {"%": Fraction(1)},
    "s": {"s": Fraction(1), "ms": Fraction(1, 1000), "min": Fraction(60)},
}
"""The unit of a fact → what a device may count in, and how many of ours one of it is."""

FIELD_UNITS = {
    "energy_import_wh": "Wh",
    "energy_export_wh": "Wh",
    "power_w": "W",
    "power_export_w": "W",
    "reactive_var": "var",
    "current_a": "A",
    "limit_a": "A",
    "cable_limit_a": "A",
    "voltage_v": "V",
    "frequency_hz": "Hz",
    "temperature_c": "°C",
    "soc_percent": "%",
    "age_s": "s",
}
"""Fields that have a unit: their rule must name the device's."""


class Factor(NamedTuple):
    """Multiplied with what a device says gives our unit; a fraction, so that tenths stay tenths."""

    numerator: int
    denominator: int

    def of(self, value: Any) -> Any:
        """The value in our unit; what is no number is left to be refused where the field is read."""
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        try:
            return value * self.numerator / self.denominator
        except OverflowError:  # an integer of hundreds of digits
            return None


def factor(field: str, unit: str | None) -> Factor | None:
    """How a device's unit becomes that of a field; None where the field has none.

    `unit` may have a number before it: `0.1 °C`, `0.01 Hz`. Raises ValueError with a sentence.
    """
    ours = FIELD_UNITS.get(field)
    if ours is None:
        if unit is not None:
            raise ValueError(f"{field} has no unit")
        return None
    known = UNITS[ours]
    allowed = f'allowed: {", ".join(known)}, also with a number as in "0.1 {ours}"'
    if unit is None:
        raise ValueError(f"is missing: in which unit does the device count {field}? {allowed}")
    match = _PREFIXED.fullmatch(unit.strip())
    if match is None or match[2] not in known:
        raise ValueError(f"is no unit of {field}; {allowed}")
    ratio = Fraction(match[1] or 1) * known[match[2]]
    return Factor(ratio.numerator, ratio.denominator)
