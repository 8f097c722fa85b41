"""Shipped profiles: every one is tested with what its device really says, in both directions."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings.profile_kit import run
from gateway.settings.profiles import found_profile, shipped_names

KITS = Path(__file__).parent / "profiles"


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_profile_does_what_its_steps_say(name: str) -> None:
    """Each step is followed by exactly what is expected, in this order."""
    outcomes = list(run(KITS / f"{name}.yaml", found_profile(name, Path("/nowhere"))))

    assert [] == [outcome for outcome in outcomes if not outcome.passed]
