"""Everything that takes part in a measurement is a process of its own, so that its CPU time is its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") / 1024
_STOP_TIMEOUT_S = 20.0


class Failed(Exception):
    """A process did not do what the measurement needs."""


class Child:
    """A process of Python; the load and the floors are told lines and say JSON objects (see `console`)."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process = process
        self._name = name

    async def event(self, name: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """The next event of that name. Raises Failed when the process says `error`, ends or is silent."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(timeout_s):
                while line := await self._process.stdout.readline():
                    told: dict[str, Any] = json.loads(line)
                    if told["event"] == name:
                        return told
                    if told["event"] == "error":
                        raise Failed(f"{self._name}: {told['problem']}")
        except TimeoutError:
            raise Failed(f"{self._name} did not say {name!r} within {timeout_s:g} s") from None
        raise Failed(f"{self._name} ended before it said {name!r}")

    async def tell(self, command: str) -> None:
        """Give it a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        await self._process.stdin.drain()

    async def ask(self, command: str, answer: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Give it a command and wait for what it says."""
        await self.tell(command)
        return await self.event(answer, timeout_s)

    def cpu_s(self) -> float:
        """CPU time so far, all threads, user and system, to the nanosecond."""
        # clock_getcpuclockid(3): Linux makes the clock of a process of its inverted id.
        return time.clock_gettime(~self._process.pid << 3 | 2)

    def resident_kib(self) -> float:
        """Resident memory now."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * _PAGE_KIB


@asynccontextmanager
async def child(*arguments: str, output: IO[bytes] | None = None) -> AsyncIterator[Child]:
    """`python -m arguments…`, ended on leaving; with `output` all that it says goes there."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL if output else asyncio.subprocess.PIPE,
        stdout=output or asyncio.subprocess.PIPE,
        stderr=output,
        limit=1 << 26,
    )
    try:
        yield Child(process, arguments[0].rpartition(".")[2])
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
