"""The demo's CSMS by itself: somebody to connect to while there is no real one; it accepts all, and keeps nothing."""

import asyncio
import contextlib
import signal
from collections.abc import Callable

from gateway.demo_csms import DemoCsms, Direction

_MOST_TRANSACTIONS = 1000
"""Older ones are forgotten."""


async def serve(host: str, port: int, say: Callable[[str], None]) -> None:
    """Answer every station until SIGTERM or Ctrl-C, and say each frame and each breach of the protocol.

    Raises OSError when it cannot listen there.
    """
    csms: DemoCsms

    def frame(identity: str, direction: Direction, text: str) -> None:
        say(f"{identity} {'→' if direction == 'received' else '←'} {text}")
        for problem in csms.problems:
            say(f"{identity} ✗ {problem}")
        csms.problems.clear()
        del csms.transactions[:-_MOST_TRANSACTIONS]

    csms = DemoCsms(frame, host=host, port=port)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # only Unix has it; elsewhere Ctrl-C raises
            loop.add_signal_handler(number, stop.set)
    async with csms:
        say(
            f"A CSMS for OCPP 1.6 and 2.0.1 listens at {csms.url}/<identity>; it accepts every station and every card."
        )
        await stop.wait()
