"""The soak in short: `make soak` is the long one."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.soak.soak import Soak

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.timeout(300)
async def test_nothing_is_lost_doubled_or_leaked(tmp_path: Path) -> None:
    """Some stations for a quarter of a minute, everything twenty times as often as in the long one."""
    seed = random.randrange(1_000_000)
    soak = Soak(tmp_path, stations=8, seconds=15.0, seed=seed, pace=0.05, say=print)

    await soak.run()

    assert soak.complaints == [], f"seed {seed}: {soak.figures}"
    assert soak.figures["transactions"] >= 8
    assert soak.figures["commands"] >= 8
