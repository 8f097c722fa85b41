"""The charging station that a case gets: on the bench, or for real."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.bench import Bench
from tests.conformance.live import Live

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.conformance.charging_station import ChargingStation


@pytest.fixture
async def cs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ChargingStation]:
    """Not started yet; parametrized by `case`."""
    marker = request.node.get_closest_marker("case")
    options = marker.args[0].options if marker is not None else {}
    place = Live if getattr(request, "param", "bench") == "live" else Bench
    async with place(tmp_path, **options) as station:
        yield station
