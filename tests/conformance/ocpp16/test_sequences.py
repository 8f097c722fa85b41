"""Any sequence of requests and events: no crash, one answer to each CALL, valid frames, whole transactions."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from ocpp.v16.enums import Action

from tests.conformance.bench import Bench
from tests.conformance.steps import ACTIONS, STEPS, Asks, Happens, Says, filled
from tests.support.csms_answers import STATION_ACTIONS, CallError, Silence

Step = Asks | Says | Happens
BOTH_WAYS = {"DataTransfer"}


class Play:
    """Takes the steps one after another on one bench, and judges after each."""

    def __init__(self, cs: Bench) -> None:
        self.cs = cs
        self.asked = 0
        self._judged = 0
        self._statuses: dict[object, str] = {}

    async def take(self, step: Step) -> None:
        match step:
            case Asks():
                await self._ask(step)
            case Says():
                n, _, channel = step.level.partition("/")
                self.cs.device.say(int(n), channel, self._filled(step.payload))
                await self.cs.settle()
            case Happens():
                await self._happens(step)
        await self.cs.after(1)
        assert [] == self.cs.csms.violations, step
        assert 0 == self.cs.counters.quarantined, step
        self._judge_statuses(step)

    def _judge_statuses(self, step: Step) -> None:
        """Each connector goes only where 1.6 §4.9 lets it; while it cannot tell, it may go any number of steps."""
        said = self.cs.said()
        for one in said[self._judged :]:
            if one.action == "BootNotification":
                self._statuses.clear()
            if one.action != "StatusNotification" or one.kind != "call":
                continue
            n, status = one.payload["connectorId"], str(one.payload["status"])
            before = self._statuses.get(n) or status
            allowed = _FROM_STATION if n == 0 else _FROM[before]
            assert status == before or status in allowed, f"{n}: {before} → {status} after {step}"
            self._statuses[n] = status
        self._judged = len(said)
        if not self.cs.cable.plugged_in:
            self._statuses.clear()

    async def _ask(self, step: Asks) -> None:
        if self.cs.cable.plugged_in:
            self.asked += 1
            await self.cs.send(step.action, **self._filled(step.payload))

    async def _happens(self, step: Happens) -> None:
        cs, n = self.cs, step.n
        match step.what:
            case "wait":
                await cs.after(step.value)
            case "plug":
                await cs.plug(n)
            case "unplug":
                await cs.unplug(n)
            case "stays":
                cs.device.outlets[n].car_draws = not cs.device.outlets[n].car_draws
                cs.device.report(n)
                await cs.settle()
            case "card":
                await cs.card(n=n)
            case "energy":
                await cs.meter(cs.device.outlets[n].register_wh + step.value, n)
            case "link fails":
                await cs.link_fails()
            case "link returns":
                await cs.link_returns()
            case "gateway restarts":
                await cs.restart_gateway()
            case "power fails for a while":
                await cs.power_fails()
                await cs.power_returns()
            case "device boots":
                cs.device.boot()
                await cs.settle()
            case "CSMS is busy":
                for action in _TRANSACTION_MESSAGES:
                    cs.answer_next(action, CallError("InternalError"), Silence())
            case "CSMS is silent":
                cs.answers["StatusNotification"] = Silence()
            case "CSMS refuses tokens":
                cs.tokens.update({"04A2B3C4D5": {"status": "Blocked"}})
            case "CSMS is friendly":
                self.csms_is_friendly()
            case what:
                raise AssertionError(f"there is no step {what}")

    def csms_is_friendly(self) -> None:
        self.cs.answers.clear()
        self.cs.csms.next_answers.clear()
        self.cs.tokens.clear()

    async def ends(self) -> None:
        """All cars leave, everything works, and time passes: all has been told."""
        cs = self.cs
        self.csms_is_friendly()
        await cs.link_returns()
        for n in cs.device.outlets:
            await cs.unplug(n)
        for _ in range(3):
            await cs.after(7200)
            for n in cs.device.outlets:
                await cs.unplug(n)
            for record in cs.csms.ledger.transactions():
                if record.ended is None:  # it may be configured to outlast its cable
                    await cs.send("RemoteStopTransaction", transactionId=record.transaction_id)
        await cs.after(60)

    def _filled(self, payload: object) -> dict[str, object]:
        records = self.cs.csms.ledger.transactions()
        last = records[-1].transaction_id if records else 0
        whole = filled(payload, self.cs.clock.wall, int(last))
        assert isinstance(whole, dict)
        return whole


_ANYTIME = {"Unavailable", "Faulted"}
_RUNNING = {"Charging", "SuspendedEV", "SuspendedEVSE"}
_FROM = {
    "Available": {"Preparing", *_RUNNING, "Reserved", *_ANYTIME},
    "Preparing": {"Available", *_RUNNING, "Finishing", "Faulted"},
    **{status: {"Available", *_RUNNING, "Finishing", *_ANYTIME} for status in _RUNNING},
    "Finishing": {"Available", "Preparing", *_ANYTIME},
    "Reserved": {"Available", "Preparing", *_ANYTIME},
    "Unavailable": {"Available", "Preparing", *_RUNNING, "Faulted"},
    "Faulted": {"Available", "Preparing", *_RUNNING, "Finishing", "Reserved", "Unavailable"},
}
"""To where from where (# 1.6 §4.9, with the errata)."""
_FROM_STATION = {"Available", *_ANYTIME}
_TRANSACTION_MESSAGES = ("StartTransaction", "StopTransaction", "MeterValues")


async def play(steps: list[Step]) -> None:
    """Take the steps, come to an end, and judge the whole."""
    with tempfile.TemporaryDirectory() as directory:
        async with Bench(Path(directory), connectors=2, keys={"MeterValueSampleInterval": 60}) as cs:
            await cs.start()
            story = Play(cs)
            for step in steps:
                await story.take(step)
            await story.ends()

            assert [] == cs.csms.violations
            assert 0 == cs.counters.quarantined
            assert [] == cs.csms.unanswered
            assert {} == cs.records.get("outbox", {})
            for record in cs.csms.ledger.transactions():
                assert record.complete, record


def test_every_action_of_a_csms_is_drawn() -> None:
    """So that none is left out of the sequences below."""
    every = {action.value for action in Action}

    assert every - STATION_ACTIONS["ocpp1.6"] | BOTH_WAYS == ACTIONS


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(STEPS)
def test_any_sequence_ends_well(steps: list[Step]) -> None:
    """Two connectors, whatever happens to them."""
    asyncio.run(play(steps))


@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(max_examples=6000, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(STEPS)
def test_any_sequence_of_very_many_ends_well(steps: list[Step]) -> None:
    """The same, searched for long."""
    asyncio.run(play(steps))
