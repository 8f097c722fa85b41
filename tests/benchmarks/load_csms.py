"""A backend that costs next to nothing: answers are prebuilt text, nothing is validated.

    python -m tests.benchmarks.load_csms [--host 127.0.0.1] [--port 0]

Speaks ocpp2.0.1 and ocpp1.6 under ws://HOST:PORT/<anything>/<identity>. Tokens that begin with `SWIPE` are
answered with Blocked, all others with Accepted. stdout, one JSON object per line:

    {"event": "listening", "port": 40001}
    {"event": "stats", ...}            on the command `stats`

Commands on stdin: `stats`, `reset` (counters to zero, connections stay), `quit` or end of input.

`stats` holds: `connected` (open sockets), `most_connected`, `frames` (received, by action; answers count as
`CALLRESULT` and `CALLERROR`), `booted` (identities that sent a BootNotification since the reset),
`first_connection_ns`, `last_first_boot_ns` and `last_status_ns` (of the last StatusNotification; null when
there was none), `authorize` ({token: when its Authorize frame came in, in ns}), `cpu_s` (of this process since
its start). All times are
`time.monotonic_ns()`, which all processes share.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from datetime import UTC, datetime

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.benchmarks.console import allow_many_sockets, commands, say

REFUSED_PREFIX = "SWIPE"
HEARTBEAT_INTERVAL_S = 3600


class LoadCsms:
    """Counts what comes and answers at once."""

    def __init__(self) -> None:
        self.connected = 0
        self.next_transaction_id = 1
        self.reset()

    def reset(self) -> None:
        self.most_connected = self.connected
        self.frames: Counter[str] = Counter()
        self.booted: set[str] = set()
        self.authorize: dict[str, int] = {}
        self.first_connection_ns: int | None = None
        self.last_first_boot_ns: int | None = None
        self.last_status_ns: int | None = None

    def stats(self) -> None:
        say(
            "stats",
            connected=self.connected,
            most_connected=self.most_connected,
            booted=len(self.booted),
            frames=self.frames,
            first_connection_ns=self.first_connection_ns,
            last_first_boot_ns=self.last_first_boot_ns,
            last_status_ns=self.last_status_ns,
            authorize=self.authorize,
            cpu_s=time.process_time(),
        )

    async def attend(self, socket: ServerConnection) -> None:
        """Serve one connection to its end."""
        if self.first_connection_ns is None:
            self.first_connection_ns = time.monotonic_ns()
        self.connected += 1
        self.most_connected = max(self.most_connected, self.connected)
        identity = socket.request.path.rpartition("/")[2] if socket.request is not None else ""
        version_1 = socket.subprotocol == "ocpp1.6"
        try:
            while True:
                frame = await socket.recv()
                arrived_ns = time.monotonic_ns()
                frames = self.frames
                if frame[1] != "2":
                    frames["CALLRESULT" if frame[1] == "3" else "CALLERROR"] += 1
                    continue
                # [2,"<id>","<action>",{...: neither id nor action holds a quote.
                _, message_id, _, action, _ = str(frame).split('"', 4)
                frames[action] += 1
                if action == "MeterValues":
                    await socket.send(f'[3,"{message_id}",{{}}]')
                else:
                    answer = self._answer(action, str(frame), identity, arrived_ns, version_1)
                    await socket.send(f'[3,"{message_id}",{answer}]')
        except ConnectionClosed:
            pass
        finally:
            self.connected -= 1

    def _answer(self, action: str, frame: str, identity: str, arrived_ns: int, version_1: bool) -> str:
        if action == "TransactionEvent":
            return '{"idTokenInfo":{"status":"Accepted"}}' if '"idToken"' in frame else "{}"
        if action == "Authorize":
            payload = json.loads(frame)[3]
            token = payload["idTag"] if version_1 else payload["idToken"]["idToken"]
            self.authorize[token] = arrived_ns
            status = "Blocked" if token.startswith(REFUSED_PREFIX) else "Accepted"
            return f'{{"{"idTagInfo" if version_1 else "idTokenInfo"}":{{"status":"{status}"}}}}'
        if action == "StartTransaction":
            self.next_transaction_id += 1
            return f'{{"idTagInfo":{{"status":"Accepted"}},"transactionId":{self.next_transaction_id}}}'
        if action == "BootNotification":
            if identity not in self.booted:
                self.booted.add(identity)
                self.last_first_boot_ns = arrived_ns
            return f'{{"currentTime":"{_now()}","interval":{HEARTBEAT_INTERVAL_S},"status":"Accepted"}}'
        if action == "StatusNotification":
            self.last_status_ns = arrived_ns
            return "{}"
        if action == "Heartbeat":
            return f'{{"currentTime":"{_now()}"}}'
        if action == "DataTransfer":
            return '{"status":"Accepted"}'
        return "{}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _serve(host: str, port: int) -> None:
    csms = LoadCsms()
    async with serve(
        csms.attend,
        host,
        port,
        subprotocols=[Subprotocol("ocpp2.0.1"), Subprotocol("ocpp1.6")],
        compression=None,
        ping_interval=None,
        open_timeout=60,
        close_timeout=1,
        backlog=4096,
    ) as server:
        say("listening", port=next(iter(server.sockets)).getsockname()[1])
        async for words in commands():
            match words:
                case ["stats"]:
                    csms.stats()
                case ["reset"]:
                    csms.reset()
                case _:
                    say(
                        "error", problem=f"unknown command {' '.join(words)}; there are stats, reset and quit"
                    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--port", type=int, default=0, help="0: a free one, named in the first line of output"
    )
    arguments = parser.parse_args()
    allow_many_sockets()
    asyncio.run(_serve(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
