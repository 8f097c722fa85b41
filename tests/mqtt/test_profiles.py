"""Shipped profiles: every one is tested with what its device really says, in both directions."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings.profile_kit import run
from gateway.settings.profiles import found_profile, shipped_names

KITS = sorted((Path(__file__).parent / "profiles").glob("*.yaml"))


@pytest.mark.parametrize("kit", KITS, ids=lambda kit: kit.stem)
def test_a_shipped_profile_does_what_its_steps_say(kit: Path) -> None:
    """Each step is followed by exactly what is expected, in this order."""
    outcomes = list(run(kit, found_profile(_profile_of(kit), Path("/nowhere"))))

    assert [] == [outcome for outcome in outcomes if not outcome.passed]


def test_no_profile_is_shipped_without_its_tests() -> None:
    """A profile may have several kits, for what its parameters change: `name.more.yaml`."""
    assert set(shipped_names()) == {_profile_of(kit) for kit in KITS}


def _profile_of(kit: Path) -> str:
    return kit.name.split(".")[0]
