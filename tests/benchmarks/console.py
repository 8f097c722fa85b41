"""How a benchmark process is spoken to: one command per line on stdin, one JSON object per line on stdout."""

import asyncio
import json
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any


async def commands() -> AsyncIterator[list[str]]:
    """Each line of stdin, split into words. It ends with stdin or `quit`: no process outlives its parent."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        words = line.decode().split()
        if words == ["quit"]:
            return
        if words:
            yield words


def say(event: str, **facts: Any) -> None:
    """One JSON object on stdout, with `event` first."""
    print(json.dumps({"event": event, **facts}), flush=True)


def resident_kib() -> float:
    """Resident memory of this process now, in KiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024


def allow_many_sockets() -> None:
    """Thousands of connections need more descriptors than the usual soft limit of 1024."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
