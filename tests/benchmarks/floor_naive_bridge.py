"""The bridge that anybody writes first: the stock `ocpp.ChargePoint`, validation on, a `call` per message.

    python -m tests.benchmarks.floor_naive_bridge --broker-port P --csms-url ws://127.0.0.1:Q/ocpp
        [--stations 50] [--qos 0|1] [--warmup 500] [--messages 5000] [--timeout-s 120]

Arguments and output are those of `tests.benchmarks.floor_raw_pipe`; the CPU time includes the threads in
which the library validates.
"""

import asyncio
import json
import logging
from datetime import UTC, datetime
from typing import Any

from ocpp.v16 import ChargePoint, call
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.benchmarks.floor import Carry, run

_STOCK: Any = ChargePoint
"""The library has no annotations to check the use of its classes by."""
_MESSAGES: Any = call
_READERS: set[asyncio.Task[None]] = set()


def carrier(identity: str, socket: ClientConnection) -> Carry:
    station = _STOCK(identity, socket)
    reader = asyncio.get_running_loop().create_task(_read(station))
    _READERS.add(reader)
    reader.add_done_callback(_READERS.discard)

    async def carry(payload: bytes) -> None:
        reading = json.loads(payload)
        sampled = [
            _sample(reading["energy_import_wh"], "Energy.Active.Import.Register", "Wh"),
            _sample(reading["power_w"], "Power.Active.Import", "W"),
        ]
        values = [{"timestamp": datetime.now(UTC).isoformat(), "sampled_value": sampled}]
        await station.call(
            _MESSAGES.MeterValues(connector_id=1, transaction_id=1, meter_value=values), suppress=False
        )

    return carry


def _sample(value: float, measurand: str, unit: str) -> dict[str, str]:
    return {"value": str(value), "context": "Sample.Periodic", "measurand": measurand, "unit": unit}


async def _read(station: Any) -> None:
    """Until the floor closes the socket; a link that breaks earlier shows as a `call` that times out."""
    try:
        await station.start()
    except ConnectionClosed:
        return


if __name__ == "__main__":
    logging.getLogger("ocpp").setLevel(logging.WARNING)
    run("naive_bridge", __doc__, carrier)
