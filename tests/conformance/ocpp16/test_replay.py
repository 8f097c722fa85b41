"""One transaction, with the link lost at every frame: the books of the CSMS are the same as if nothing had been."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import pytest

from tests.conformance.bench import Bench
from tests.conformance.charging_station import TAG

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FRAMES = 15
"""What the charge point says when nothing goes wrong: boot, event, two statuses, Preparing, Authorize, Start,
Charging, four MeterValues, Finishing, Stop, Available."""
OFF_S = 7.0

Where = Literal["on its way", "before its answer", "after its answer"]


@pytest.fixture
async def cs(tmp_path: Path) -> AsyncIterator[Bench]:
    keys = {"MeterValueSampleInterval": 20, "TransactionMessageRetryInterval": 5}
    async with Bench(tmp_path, keys=keys) as bench:
        yield bench


class Mishap:
    """Loses the link once, at one frame of the charge point, and kills the gateway with it where asked to."""

    def __init__(self, cs: Bench, frame: int, where: Where, *, killed: bool) -> None:
        self.cs = cs
        self.happened = False
        self.frames = 0
        self._frame, self._where, self._killed = frame, where, killed
        self._healed = False
        cs.cuts = self._cuts

    def _cuts(self, direction: str, text: str) -> bool:
        if json.loads(text)[0] == 2:
            self.frames += direction == "sent"
        due = not self.happened and self.frames == self._frame + 1
        if not due or direction != ("sent" if self._where == "on its way" else "received"):
            return False
        self.happened = True
        self.cs.reachable = False
        if self._where == "after its answer":
            self.cs.later(self._strike)
            return False
        if self._killed:
            self.cs.kill()
        return True

    def _strike(self) -> None:
        if self._killed:
            self.cs.kill()
        else:
            self.cs.cable.cut()

    async def heal(self) -> None:
        """What was lost comes back a while later."""
        await self.cs.settle()
        if not self.happened or self._healed:
            return
        self._healed = True
        if self._killed:
            await self.cs.gateway_dies()
            await self.cs.gateway_starts()
            self.cs.device.report_all()
        await self.cs.after(OFF_S)
        await self.cs.link_returns()


async def whole_transaction(cs: Bench, mishap: Mishap) -> None:
    """Boot, plug, card, 60 Wh in a minute, the card again, unplug; a driver whose card did nothing shows it again."""
    await cs.start()
    await mishap.heal()
    await cs.plug()
    await mishap.heal()
    for _ in range(3):
        if not cs.setpoint()["energize"]:
            await cs.card(TAG)
            await mishap.heal()
    assert cs.setpoint()["energize"]
    for _ in range(6):
        await cs.charges(10)
        await mishap.heal()
    await cs.card(TAG)
    await mishap.heal()
    assert not cs.setpoint()["energize"]
    await cs.unplug()
    await mishap.heal()
    await cs.after(120)


@pytest.mark.parametrize("killed", [False, True], ids=["link", "gateway"])
@pytest.mark.parametrize("where", ["on its way", "before its answer", "after its answer"])
@pytest.mark.parametrize("frame", range(FRAMES))
async def test_the_books_are_right_wherever_the_link_is_lost(
    cs: Bench, frame: int, where: Where, killed: bool
) -> None:
    """One transaction, its energy, its order; nothing told in two ways; nothing left to tell."""
    mishap = Mishap(cs, frame, where, killed=killed)

    await whole_transaction(cs, mishap)

    assert mishap.happened
    the_books_are_right(cs)


async def test_without_any_loss_there_are_that_many_frames(cs: Bench) -> None:
    """So that the losses above are at every single one of them; and no frame is sent twice."""
    mishap = Mishap(cs, FRAMES, "on its way", killed=False)

    await whole_transaction(cs, mishap)

    assert FRAMES == mishap.frames
    assert not mishap.happened
    the_books_are_right(cs)
    assert [] == cs.csms.ledger.transactions()[0].duplicates


def the_books_are_right(cs: Bench) -> None:
    (record,) = cs.csms.ledger.transactions()
    assert record.complete
    assert (1000, 1060) == (record.meter_start_wh, record.meter_stop_wh)
    registers = [sample.value for sample in record.samples()]
    assert 4 == len(registers), registers
    assert [1000.0, *sorted(set(registers[1:]))] == registers
    assert {} == cs.csms.ledger.loose_meter_values
    last = [
        said.payload["status"]
        for said in cs.said()
        if said.action == "StatusNotification" and said.payload["connectorId"] == 1
    ]
    assert "Available" == last[-1]
    assert {} == cs.records.get("outbox", {})
    assert [] == cs.violations()
