"""The real gateway in a process of its own: `python -m gateway run`, which can be stopped, killed and started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

_ROOT = Path(__file__).parents[2]


class GatewayError(RuntimeError):
    """The gateway did not do what a process is told to do."""


class GatewayProcess:
    """`async with GatewayProcess(tmp_path, {"mqtt": {"url": broker.url}, "stations": […]}) as gateway:`

    `configuration` is what the YAML file holds; the store lies in `directory`, and both outlive `kill()`.
    That it runs does not mean that it is connected: await that at the broker or the CSMS.
    """

    def __init__(self, directory: Path, configuration: dict[str, Any]) -> None:
        self.directory = directory
        self.file = directory / "gateway.yaml"
        self.database = directory / "gateway.db"
        self.log_file = directory / "gateway.log"
        self.lives = 0
        """How often it was started."""
        self._process: asyncio.subprocess.Process | None = None
        self._ended: asyncio.Task[int] | None = None
        self.write(configuration)

    def write(self, configuration: dict[str, Any]) -> None:
        """What it finds when it reads its file again."""
        complete = {"store": {"path": str(self.database)}, "log": {"format": "json"}} | configuration
        self.file.write_text(json.dumps(complete, indent=1))  # JSON is YAML

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._ended is not None and not self._ended.done()

    @property
    def pid(self) -> int:
        """Of the process that runs; GatewayError when none does."""
        if self._process is None or not self.running:
            raise GatewayError("the gateway is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it has logged, over all its lives."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def logged(self, *levels: str) -> list[str]:
        """Its log lines of these levels (`error`, `critical`), and whatever is no log line at all."""
        found = []
        for line in self.log.splitlines():
            try:
                if json.loads(line)["level"] in levels:
                    found.append(line)
            except (ValueError, LookupError, TypeError):
                found.append(line)
        return found

    async def start(self) -> None:
        """Start the process."""
        if self.running:
            raise GatewayError("the gateway is running already")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("OCPP_GATEWAY")}
        with self.log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "run", str(self.file)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=inherited | {"PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"},
            )
        self.lives += 1
        self._ended = asyncio.create_task(self._process.wait(), name="gateway process")

    async def stop(self, timeout_s: float = 15.0) -> int:
        """SIGTERM; its exit code. GatewayError when it does not go, after which it is killed."""
        self.signal(signal.SIGTERM)
        try:
            return await self.exit_code(timeout_s)
        except TimeoutError:
            self.kill()
            await self.exit_code()
            last = self.log[-2000:]
            raise GatewayError(f"the gateway ignored SIGTERM for {timeout_s:g} s:\n{last}") from None

    def kill(self) -> None:
        """SIGKILL, now; await `exit_code()` before the next start. Harmless when it is not running."""
        if self.running:
            self.signal(signal.SIGKILL)

    async def exit_code(self, timeout_s: float = 10.0) -> int:
        """Wait for its end; negative: the signal that killed it."""
        if self._ended is None:
            raise GatewayError("the gateway was never started")
        return await asyncio.wait_for(asyncio.shield(self._ended), timeout_s)

    async def restart(self, *, kill: bool = False) -> None:
        """Stop (or kill) and start again with the same file and the same store."""
        if kill:
            self.kill()
            await self.exit_code()
        elif self.running:
            await self.stop()
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            error.add_note(f"last words of the gateway:\n{self.log[-3000:]}")
            self.kill()
        elif self.running:
            await self.stop()
        if self._ended is not None:
            await self.exit_code()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; GatewayError when it does not run."""
        if self._process is None or not self.running:
            raise GatewayError("the gateway is not running")
        self._process.send_signal(number)
