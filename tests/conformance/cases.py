"""Which test shows which compliance case of OCPP 1.6, and which cases no gateway can show."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import pytest

from tests.conformance.charging_station import ChargingStation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Scenario = Callable[..., Awaitable[None]]

Profile = Literal[
    "Core", "Local Auth List", "Firmware", "Reservation", "Remote Trigger", "Smart Charging", "Security"
]


class Case(msgspec.Struct, frozen=True):
    """One case of the compliance test document."""

    id: str
    title: str
    profile: Profile
    options: dict[str, Any] = {}
    """How the charge point is made: the arguments of Bench."""
    where: str = ""
    """Where it is played, when it makes its own place."""


class NotApplicable(msgspec.Struct, frozen=True):
    """A case that no gateway can show, and why."""

    id: str
    title: str
    profile: Profile
    reason: str


NOT_APPLICABLE: dict[str, NotApplicable] = {}
"""By id; filled when the test modules are imported."""


def case(
    id: str, title: str, profile: Profile, *, live: bool = False, booted: bool = True, **options: Any
) -> Callable[[Scenario], Any]:
    """Marks a test as that case; it gets `cs`, booted unless it wants to see that itself.

    `live`: it runs against the real process too. `options` are the arguments of Bench. At its end nothing may
    have been said that it did not expect.
    """

    def mark(scenario: Scenario) -> Any:
        @functools.wraps(scenario)
        async def test(cs: ChargingStation, **fixtures: Any) -> None:
            if booted:
                await cs.boot()
            await scenario(cs, **fixtures)
            await cs.nothing_else()

        places = ["bench", "live"] if live else ["bench"]
        marked = pytest.mark.parametrize("cs", places, indirect=True)(test)
        return pytest.mark.case(Case(id, title, profile, options))(marked)

    return mark


def case_of_its_own(id: str, title: str, profile: Profile, where: str) -> pytest.MarkDecorator:
    """Marks a test as that case which makes the charge point and its CSMS by itself; `where` says what they are."""
    return pytest.mark.case(Case(id, title, profile, where=where))


def not_applicable(id: str, title: str, profile: Profile, reason: str) -> None:
    """Lists a case that is physically impossible for a gateway."""
    NOT_APPLICABLE[id] = NotApplicable(id, title, profile, reason)
