"""Turns end in order and after the disk; what the disk refused is not lost, and not overtaken by what is older."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway import commits
from gateway.commits import Commits, Turn, decoded_records, encoded
from gateway.station.effects import HoldLink, Save
from gateway.station.records import GestureRecord, VariableRecord
from gateway.store import Store, Write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.station.effects import Effect

ON, OFF = HoldLink(hold=True), HoldLink(hold=False)


class Bench:
    """Commits on a real store, with what they said."""

    def __init__(self, path: Path) -> None:
        self.store = Store.open(path)
        self.turns: list[Turn] = []
        self.said: list[object] = []
        self.changed = asyncio.Event()
        self.commits = Commits(
            "s",
            self.store,
            ended=self._ended,
            writable=lambda writable, _detail: self._say(writable),
            spoiled=lambda error: self._say(str(error)),
        )

    @property
    def effects(self) -> list[Effect]:
        return [effect for turn in self.turns for effect in turn.effects]

    def refuse(self, refusing: bool) -> None:
        """Let SQLite refuse every write, or take them again."""
        self.store._database._connection.execute(f"PRAGMA query_only = {'ON' if refusing else 'OFF'}")

    async def until_ended(self, number: int) -> None:
        async with asyncio.timeout(5):
            while len(self.turns) < number:
                self.changed.clear()
                await self.changed.wait()

    async def until_said(self, *words: object) -> None:
        async with asyncio.timeout(5):
            while list(words) != self.said:
                self.changed.clear()
                await self.changed.wait()

    def _ended(self, turns: list[Turn]) -> None:
        self.turns += turns
        self.changed.set()

    def _say(self, word: object) -> None:
        self.said.append(word)
        self.changed.set()


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(commits, "STORE_RETRY_S", 0.05)
    bench = Bench(tmp_path / "x.db")
    yield bench
    bench.commits.stop()
    await bench.store.close()


def put(key: str, value: str) -> list[Write]:
    return [Write("variable", key, value.encode())]


async def test_what_writes_nothing_and_waits_for_nobody_ends_at_once(bench: Bench) -> None:
    """No detour through the disk."""
    bench.commits.add([ON], None, [])
    assert [ON] == bench.effects


async def test_turns_end_in_the_order_in_which_they_began(bench: Bench) -> None:
    """What writes nothing waits for what was before it."""
    bench.commits.add([ON], None, put("a", "1"))
    bench.commits.add([OFF], None, [])
    before = list(bench.effects)
    await bench.until_ended(2)

    assert [] == before
    assert [ON, OFF] == bench.effects
    assert b"1" == bench.store.load("s")["variable"]["a"]


async def test_when_the_disk_refuses_turns_end_as_not_kept_and_are_kept_later(bench: Bench) -> None:
    """Of each record the last one comes to the disk, whatever was under way when it began to fail."""
    bench.refuse(True)
    bench.commits.add([ON], None, put("a", "1"))
    bench.commits.add([ON], None, put("a", "2"))
    await bench.until_ended(2)
    bench.commits.add([OFF], None, put("b", "3"))
    bench.commits.add([OFF], None, [])
    kept = [turn.kept for turn in bench.turns]
    bench.refuse(False)
    await bench.until_said(False, True)

    assert [False, False, False, True] == kept
    assert {"a": b"2", "b": b"3"} == bench.store.load("s")["variable"]


async def test_it_is_tried_again_until_the_disk_takes_it(bench: Bench) -> None:
    """Refused for a while, and told once; what comes meanwhile goes along."""
    bench.refuse(True)
    bench.commits.add([], None, put("a", "1"))
    await bench.until_said(False)
    failures = bench.store.failures
    async with asyncio.timeout(5):
        while bench.store.failures < failures + 2:
            await asyncio.sleep(0)
    bench.commits.add([], None, put("a", "2"))
    bench.refuse(False)
    await bench.until_said(False, True)
    bench.commits.add([ON], None, put("a", "3"))
    await bench.until_ended(3)

    assert b"3" == bench.store.load("s")["variable"]["a"]
    assert bench.turns[-1].kept


async def test_what_no_disk_would_take_costs_itself_only(bench: Bench) -> None:
    """A record that cannot be written is told of, its turn ends, and the next one is kept."""
    bench.commits.add([ON], None, put("\ud800", "1"))
    bench.commits.add([OFF], None, put("a", "1"))
    await bench.until_ended(2)

    assert [False, True] == [turn.kept for turn in bench.turns]
    assert 1 == len(bench.said)
    assert b"1" == bench.store.load("s")["variable"]["a"]


def test_records_come_back_as_they_went() -> None:
    """What cannot be read any more is left out; the others stand."""
    written = encoded(Save("variable", "X", VariableRecord("7")))
    assert written.body is not None
    gone = encoded(Save("gesture", "g", None))
    found = decoded_records(
        "s",
        {"variable": {"X": written.body, "Y": b"{"}, "gesture": {"g": b'{"at":1.0}'}, "unheard": {"k": b"?"}},
    )

    assert gone.body is None
    assert {"X": VariableRecord("7")} == found["variable"]
    assert {"g": GestureRecord(1.0)} == found["gesture"]
    assert "unheard" not in found
