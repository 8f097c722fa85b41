"""The shape of a variable's definition, and short forms for the shapes that come often."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from gateway.station.model import AvailabilityState, StationConfig

INTEGER_LIMIT = 2**31 - 1
"""Integers are signed and have 32 bits (# 2.0.1 Part 2, primitive datatypes)."""


class DataType(StrEnum):
    """# 2.0.1 DataEnumType."""

    STRING = "string"
    DECIMAL = "decimal"
    INTEGER = "integer"
    DATE_TIME = "dateTime"
    BOOLEAN = "boolean"
    OPTION_LIST = "OptionList"
    SEQUENCE_LIST = "SequenceList"
    MEMBER_LIST = "MemberList"


class Mutability(StrEnum):
    """# 2.0.1 MutabilityEnumType."""

    READ_ONLY = "ReadOnly"
    WRITE_ONLY = "WriteOnly"
    READ_WRITE = "ReadWrite"


class Definition(Struct, frozen=True, kw_only=True, eq=False):
    """One variable wherever it is found; compared by identity."""

    component: str
    variable: str
    instance: str | None = None
    type: DataType
    place: Literal["station", "evse", "connector"] = "station"
    default: str | Callable[[StationConfig], str] | None = None
    """What holds until somebody writes; None: nothing is known, or it depends on the place."""
    mutability: Mutability = Mutability.READ_WRITE
    required: bool = False
    unit: str | None = None
    minimum: int | None = None
    """Of a number its value, of a text its length."""
    maximum: int | None = None
    values: tuple[str, ...] | Callable[[StationConfig], tuple[str, ...]] = ()
    """What options and members may be; empty for the other types."""
    quiet_values: tuple[str, ...] = ()
    """Allowed too, but 2.x has no word for them, so that no values list names them."""
    may_be_empty: bool = False
    pattern: str | None = None
    """What a text has to match in full."""
    reboot_required: bool = False
    live: bool = False
    """Asked of the station each time it is read; the default holds while nobody answers."""
    constant: bool = False

    @property
    def key(self) -> tuple[str, str, str | None]:
        return (self.component, self.variable, self.instance)


R, W, RW = Mutability.READ_ONLY, Mutability.WRITE_ONLY, Mutability.READ_WRITE


def flag(
    component: str,
    variable: str,
    default: str | Callable[[StationConfig], str],
    mutability: Mutability = RW,
    *,
    required: bool = False,
) -> Definition:
    return Definition(
        component=component,
        variable=variable,
        type=DataType.BOOLEAN,
        default=default,
        mutability=mutability,
        required=required,
        constant=mutability is R,
    )


def number(
    component: str,
    variable: str,
    default: str | Callable[[StationConfig], str],
    mutability: Mutability = RW,
    *,
    instance: str | None = None,
    within: tuple[int, int | None] = (0, None),
    unit: str | None = None,
    required: bool = False,
    live: bool = False,
) -> Definition:
    return Definition(
        component=component,
        variable=variable,
        instance=instance,
        type=DataType.INTEGER,
        default=default,
        mutability=mutability,
        minimum=within[0],
        maximum=within[1],
        unit=unit,
        required=required,
        live=live,
    )


def state(component: str, place: Literal["station", "evse", "connector"]) -> Definition:
    return Definition(
        component=component,
        variable="AvailabilityState",
        place=place,
        type=DataType.OPTION_LIST,
        default=AvailabilityState.AVAILABLE,
        values=tuple(AvailabilityState),
        mutability=R,
        required=place != "connector",
        live=True,
    )


def available(component: str, place: Literal["evse", "connector"]) -> Definition:
    return Definition(
        component=component,
        variable="Available",
        place=place,
        type=DataType.BOOLEAN,
        default="true",
        mutability=R,
        required=True,
        constant=True,
    )


def supply_phases(component: str, place: Literal["station", "evse", "connector"]) -> Definition:
    return Definition(
        component=component,
        variable="SupplyPhases",
        place=place,
        type=DataType.INTEGER,
        mutability=R,
        minimum=0,
        maximum=3,
        required=True,
        constant=True,
    )


def text(
    component: str,
    variable: str,
    default: str | Callable[[StationConfig], str] | None,
    mutability: Mutability = RW,
    *,
    minimum: int | None = None,
    maximum: int = 500,
    pattern: str | None = None,
    required: bool = False,
) -> Definition:
    return Definition(
        component=component,
        variable=variable,
        type=DataType.STRING,
        default=default,
        mutability=mutability,
        minimum=minimum,
        maximum=maximum,
        pattern=pattern,
        required=required,
        constant=mutability is R,
    )
