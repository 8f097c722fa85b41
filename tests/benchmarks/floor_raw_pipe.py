"""The lowest floor: each `meter` message becomes one fixed MeterValues frame, neither translated nor checked.

    python -m tests.benchmarks.floor_raw_pipe --broker-port P --csms-url ws://127.0.0.1:Q/ocpp
        [--stations 50] [--qos 0|1] [--protocol 5|3.1.1] [--warmup 500] [--messages 5000] [--timeout-s 120]

paho on asyncio and websockets, one CALL in flight per station, the answer is read. stdout, JSON objects:
`{"event": "ready", "resident_kib_per_station": …}` when it listens, then, when `warmup + messages` messages
are answered, `{"event": "measured", "cpu_us_per_message": …, "messages_per_s": …}`. It ends then; with
`--messages 0`, after `ready`. Somebody else publishes: `tests.benchmarks.load_devices` with the same
`--stations` and `--station-name`. MQTT 5 costs paho more per message than 3.1.1: compare like with like.
"""

from websockets.asyncio.client import ClientConnection

from tests.benchmarks.floor import Carry, run

FRAME = (
    '[2,"7f1c9a52-6d0b-4a58-9a0e-0a6a3f3c1b11","MeterValues",{"connectorId":1,"transactionId":1,"meterValue":[{'
    '"timestamp":"2025-01-01T00:00:00Z","sampledValue":['
    '{"value":"123456","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},'
    '{"value":"11040","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"}]}]}]'
)


def carrier(_identity: str, socket: ClientConnection) -> Carry:
    async def carry(_payload: bytes) -> None:
        await socket.send(FRAME)
        await socket.recv()

    return carry


if __name__ == "__main__":
    run("raw_pipe", __doc__, carrier)
