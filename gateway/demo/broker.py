"""The demo's own broker: one process on a free loopback port, ended with the demo whatever happens."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

MOSQUITTO = "mosquitto -p {port}"

_HOST = "127.0.0.1"
_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
"""Debian keeps mosquitto where a user's PATH does not look."""
_START_TIMEOUT_S = 15.0
_STOP_TIMEOUT_S = 5.0
_ATTEMPT_INTERVAL_S = 0.02
_LAST_WORDS = 1000


class BrokerFailedError(Exception):
    """The broker could not be started; the text says why, with its last words."""


@asynccontextmanager
async def broker(command: str, log_file: Path) -> AsyncIterator[str]:
    """Start `command`, in which `{port}` is replaced, and give the URL at which it accepts connections."""
    port = _free_port()
    words = [word.replace("{port}", str(port)) for word in shlex.split(command)]
    program = shutil.which(words[0], path=f"{os.environ.get('PATH', '')}:{_PATH}") if words else None
    if program is None:
        raise BrokerFailedError(
            f"There is no program for the broker command {command!r}. Install mosquitto, or name another broker by "
            "--broker-command or --broker-url."
        )
    with log_file.open("wb") as log:
        # In a session of its own: Ctrl-C is for the demo, which ends the broker when all have said good-bye.
        process = await asyncio.create_subprocess_exec(
            program,
            *words[1:],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    ended = asyncio.create_task(process.wait(), name="broker")
    try:
        await _accepting(port, ended, command, log_file)
        yield f"mqtt://{_HOST}:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait({ended}, timeout=_STOP_TIMEOUT_S)
        if process.returncode is None:
            process.kill()
        await ended


async def _accepting(port: int, ended: asyncio.Task[int], command: str, log_file: Path) -> None:
    """Return when somebody listens: the one fact here for which a kernel has no event."""
    clock = asyncio.get_running_loop().time
    deadline_s = clock() + _START_TIMEOUT_S
    while clock() < deadline_s and not ended.done():
        try:
            _, writer = await asyncio.open_connection(_HOST, port)
        except OSError:
            await asyncio.wait({ended}, timeout=_ATTEMPT_INTERVAL_S)
        else:
            writer.close()
            await writer.wait_closed()
            return
    what = (
        f"ended with code {ended.result()}"
        if ended.done()
        else f"did not listen within {_START_TIMEOUT_S:g} s"
    )
    raise BrokerFailedError(f"The broker ({command}) {what} on port {port}. It said: {_last_words(log_file)}")


def _last_words(log_file: Path) -> str:
    return log_file.read_text(errors="replace")[-_LAST_WORDS:].strip() or "nothing"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
