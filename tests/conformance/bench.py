"""The bench: one station of the real gateway with its two edges cut off just before the sockets, and one clock by hand.

Real are the settings, Reception and its decoding, Runner, Commits, the core, Outlet and its encoding, Conversation,
Rpc and the 1.6 dialect. What stands in is what has no rules of its own: the clock, the disk (records as the bytes
that the store would keep), the socket to the CSMS (frames as text) and the broker. Whatever is said to one of them
is taken up in turn, never from within another's sentence; nothing waits but for work of the gateway's own.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import defaultdict, deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, cast

from gateway.certificates import Desk, KeyRing
from gateway.commits import decoded_records
from gateway.counters import Counters
from gateway.csms.closing import ClosedBecause, LinkClosed
from gateway.csms.link import Link
from gateway.logs import FrameLog, RecentLog
from gateway.mqtt.arrivals import Message
from gateway.mqtt.outlet import Outlet
from gateway.reception import Reception
from gateway.runner import Clock, Runner
from gateway.settings import load
from gateway.station.events import BrokerConnected, Stopping
from gateway.station.model import Moment
from gateway.station.transfer_work import Transfer, TransferEnded
from gateway.transfers import Courier
from tests.conformance.bench_csms import BenchCsms
from tests.conformance.charging_station import INTERVAL_S, QUIET, ChargingStation
from tests.conformance.device import Device
from tests.conformance.said import read_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from gateway.csms.endpoint import LinkConfig
    from gateway.mqtt.session import MqttClient
    from gateway.store import Store, Write
    from gateway.store.store import Done
    from tests.support.csms_answers import Backend, Rule
    from tests.support.csms_record import Frame

STATION = "garage"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp()
_PATIENCE_S = 3.0
"""For work that the gateway does outside of its loop; whatever else happens needs no waiting at all."""
_TALKS_EVERY_S = 240.0
"""Devices repeat their whole status at least every five minutes."""


class HandCranked(Clock):
    """Time stands still unless it is cranked."""

    def __init__(self) -> None:
        super().__init__()
        self.wall = NOON
        self._monotonic = 1000.0
        self._timers: list[asyncio.TimerHandle] = []

    def moment(self) -> Moment:
        return Moment(self.wall, self._monotonic, synced=True)

    def monotonic(self) -> float:
        return self._monotonic

    def call_at(self, monotonic: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(monotonic, callback, (), self._loop)
        self._timers.append(timer)
        return timer

    def next_due(self) -> float | None:
        self._timers = [timer for timer in self._timers if not timer.cancelled()]
        return min((timer.when() for timer in self._timers), default=None)

    def crank(self, until: float) -> None:
        """Go on to a moment, and ring what is due by then."""
        seconds = max(0.0, until - self._monotonic)
        self.wall += seconds
        self._monotonic += seconds
        due = sorted(
            (timer for timer in self._timers if timer.when() <= self._monotonic),
            key=lambda timer: timer.when(),
        )
        self._timers = [timer for timer in self._timers if timer not in due]
        for timer in due:
            if not timer.cancelled():
                timer._run()


class Shelf:
    """The disk as one process has it: what it submits is kept at once, as the bytes that it would be."""

    pending = 0

    def __init__(self, records: dict[str, dict[str, bytes]]) -> None:
        self.records = records
        self.process_lives = True

    def submit(self, _station: str, writes: Sequence[Write], done: Done) -> None:
        if not self.process_lives:
            return
        for write in writes:
            if write.body is None:
                self.records[write.kind].pop(write.key, None)
            else:
                self.records[write.kind][write.key] = write.body
        done(None)


class Broker:
    """The broker as one process has it: hands what it publishes to who listens."""

    def __init__(self, delivered: Callable[[str, bytes], None]) -> None:
        self.process_lives = True
        self._delivered = delivered

    def publish(self, topic: str, payload: bytes, **_options: object) -> bool:
        if self.process_lives:
            self._delivered(topic, payload)
        return self.process_lives

    def acknowledge(self, message: Message) -> None:
        message.settled = True


class Cable(Link):
    """The link without a socket: open when the bench says so, and at once again when the station closed it."""

    bench: Bench

    def __init__(self, config: LinkConfig, **callbacks: Any) -> None:
        super().__init__(config, random=lambda: 0.5, **callbacks)
        self.plugged_in = False
        self.cuts = 0
        """How often what was on its way was lost."""
        self._held = False
        self._ending = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return self.plugged_in

    async def run(self) -> None:
        await self._ending.wait()

    async def stop(self) -> None:
        self.plugged_in = False
        self._ending.set()

    def connect(self) -> None:
        """The CSMS took the connection."""
        if self.bench.cable is not self or self.plugged_in or self._held or not self.bench.reachable:
            return
        self.plugged_in = True
        self.bench.handshakes.append(self._config)
        self.bench.csms.connected()
        self._opened("ocpp1.6")

    def cut(self) -> None:
        """The connection is lost, with whatever was on its way."""
        if self.plugged_in:
            self.cuts += 1
            self._end(ClosedBecause.LOST, "The network is gone.")

    def cut_off(self) -> None:
        """The process that held it is gone."""
        if self.plugged_in:
            self.plugged_in = False
            self.bench.csms.disconnected()

    def deliver(self, text: str) -> None:
        """A frame of the CSMS."""
        if self.plugged_in:
            self._received(text.encode())

    def send(self, frame: str | bytes) -> None:
        if self.plugged_in:
            text = frame if isinstance(frame, str) else frame.decode()
            self.bench.hears(self, text)

    def close(self, reason: str, *, after_flush: bool = True) -> None:
        if self.plugged_in:
            self.plugged_in = False
            self.bench.later(lambda: self._closed_by_us(reason))

    def suspend(self, suspended: bool) -> None:
        self._held = suspended
        if suspended:
            self.close("The link is switched off")
        else:
            self.bench.later(self.connect)

    def _closed_by_us(self, reason: str) -> None:
        self._end(ClosedBecause.CLOSED_BY_US, reason)
        self.bench.reconnects(self)

    def _end(self, kind: ClosedBecause, detail: str) -> None:
        self.plugged_in = False
        self.bench.csms.disconnected()
        self._closed(LinkClosed(kind=kind, detail=detail, was_open=True))


class Porter(Courier):
    """Carries files for real, but one after another and in turn."""

    bench: Bench

    def carry(
        self, station: str, transfer: Transfer, done: Callable[[TransferEnded], None], *, ca_file: str | None
    ) -> None:
        cancelled = self._cancelled[station, transfer.ref] = threading.Event()
        job = self._job(station, transfer.job, cancelled, ca_file)

        def carried() -> None:
            if not cancelled.is_set():
                self._cancelled.pop((station, transfer.ref))
                done(TransferEnded(transfer.ref, job()))

        self.bench.later(carried)


class Bench(ChargingStation):
    """`async with Bench(tmp_path) as cs:`; nothing runs before `start`."""

    def __init__(
        self,
        directory: Path,
        *,
        connectors: int = 1,
        lock: bool = True,
        connector: Mapping[str, Any] | None = None,
        station: Mapping[str, Any] | None = None,
        keys: Mapping[str, object] | None = None,
    ) -> None:
        """`connectors` alike ones, with a `lock` a socket for detachable cables, else a fixed cable.

        `connector` and `station` override their settings, `keys` are initial values by their 1.6 name.
        """
        super().__init__()
        self.connectors = connectors
        self.file = directory / "gateway.yaml"
        self.file.write_text(
            json.dumps(configuration("ws://csms.invalid/ocpp", connectors, lock, connector, station, keys))
        )
        self.clock = HandCranked()
        self.records: dict[str, dict[str, bytes]] = defaultdict(dict)
        """What is on the disk: kind → key → record."""
        self.csms = BenchCsms(self.clock.monotonic, lambda: self.clock.wall)
        self.csms.backend.boot_interval_s = INTERVAL_S
        self.device = Device(connectors, lock=lock, publish=self._device_publishes)
        self.reachable = True
        """Whether the CSMS takes connections."""
        self.returns_at_once = True
        """Whether a connection that the station closed is made anew by itself."""
        self.handshakes: list[LinkConfig] = []
        """With what each connection was made."""
        self._inbox: deque[Callable[[], None]] = deque()
        self._pumping = False
        self._heard = asyncio.Event()
        self._epochs = 0
        self._talks_at = self.clock.monotonic() + _TALKS_EVERY_S
        self.runner: Runner | None = None
        self.recent = RecentLog()
        self.courier = Porter(self.recent)
        self.courier.bench = self
        self._dying: list[tuple[Runner, asyncio.Task[None]]] = []
        self.cuts: Callable[[str, str], bool] = lambda _direction, _text: False
        """Whether the network goes before a frame, `sent` by the charge point or `received` by it, arrives."""

    # -------------------------------------------------------------- the house

    async def start(self) -> None:
        await self.gateway_starts()
        self.device.boot()
        await self.settle()
        await self.link_returns()

    async def gateway_starts(self) -> None:
        """A new process, with what is on the shelf; broker and devices are there, the CSMS is not yet."""
        settings = load(self.file, {})
        (config,) = settings.station_configs()
        counters = Counters()
        topics = settings.topics()
        self.shelf = Shelf(self.records)
        self.broker = Broker(lambda topic, payload: self.later(lambda: self.device.hear(topic, payload)))
        outlet = Outlet(cast("MqttClient", self.broker), topics, lambda: self.clock.wall)
        self.runner = Runner(
            config,
            settings.link_config(STATION),
            decoded_records(STATION, self.records),
            store=cast("Store", self.shelf),
            outlet=outlet,
            counters=counters,
            frames=FrameLog(None, recent=self.recent),
            clock=self.clock,
            certificates=Desk(KeyRing(self.file.parent / "keys")),
            courier=self.courier,
            link=self._cable,
        )
        self.reception = Reception(
            topics,
            {STATION: self.runner},
            outlet,
            counters,
            heard=lambda _heard: None,
            bridge_asked=lambda _asked: None,
            wall=lambda: self.clock.wall,
        )
        self.counters = counters
        self.runner.start()
        self._task = asyncio.create_task(self.runner.run(), name="runner")
        self._epochs += 1
        self.device.setpoints.clear()  # a new epoch: revisions count from there
        self.runner.take(BrokerConnected(f"epoch{self._epochs}"))
        await self.settle()

    def _cable(self, config: LinkConfig, **callbacks: Any) -> Cable:
        self.cable = Cable(config, **callbacks)
        self.cable.bench = self
        return self.cable

    def kill(self) -> None:
        """Between two instructions of the gateway: only what is on the disk is left of it."""
        if self.runner is not None:
            self.shelf.process_lives = self.broker.process_lives = False
            self.cable.cut_off()
            self._dying.append((self.runner, self._task))
            self.runner = None

    async def gateway_dies(self) -> None:
        """Killed, and its remains are cleared away."""
        self.kill()
        for runner, task in self._dying:
            await runner.stop()
            await task
        self._dying.clear()

    async def gateway_stops(self) -> None:
        """A clean end."""
        if self.runner is not None:
            self.runner.take(Stopping())
            await self.settle()
            await self.gateway_dies()

    async def restart_gateway(self) -> None:
        """Killed and started again; the devices go on, and say how they are."""
        await self.gateway_dies()
        await self.gateway_starts()
        self.device.report_all()
        await self.settle()
        await self.link_returns()

    async def power_fails(self) -> None:
        """Everything is dark, from one moment to the next."""
        self.device.goes_dark()
        await self.gateway_dies()

    async def power_returns(self) -> None:
        """Gateway and devices boot."""
        await self.gateway_starts()
        self.device.boot()
        await self.settle()
        await self.link_returns()

    async def link_fails(self) -> None:
        """The network to the CSMS is gone."""
        self.reachable = False
        self.cable.cut()
        await self.settle()

    async def link_returns(self) -> None:
        """The CSMS can be reached, and the station connects."""
        self.reachable = True
        self.cable.connect()
        await self.settle()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.gateway_dies()

    def reconnects(self, cable: Cable) -> None:
        """The station closed the link; a good link comes back at once."""
        if self.returns_at_once:
            self.later(cable.connect)

    # -------------------------------------------------------------- who talks to whom

    def later(self, what: Callable[[], None]) -> None:
        """In turn; work that ends by itself also sets things going."""
        self._inbox.append(what)
        if not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        try:
            while self._inbox:
                self._inbox.popleft()()
        finally:
            self._pumping = False
        self._heard.set()

    def hears(self, cable: Cable, text: str) -> None:
        """The CSMS gets a frame of the station, and perhaps has an answer."""
        cuts = cable.cuts

        def answer() -> None:
            if cable.cuts > cuts:
                return
            text_of_answer = self.csms.receive(text)
            if text_of_answer is not None:
                self.later(lambda: self._deliver(cable, text_of_answer))

        if self.cuts("sent", text):
            self.later(cable.cut)
        else:
            self.later(answer)

    def _deliver(self, cable: Cable, text: str) -> None:
        if cable.plugged_in and self.cuts("received", text):
            cable.cut()
        if cable.plugged_in:
            self.csms.sends(text)
            cable.deliver(text)

    def _device_publishes(self, topic: str, payload: dict[str, Any], retain: bool) -> None:
        message = Message(
            topic, json.dumps(payload).encode(), 1, retain=False, backlog=False, mid=0, connection=1
        )
        self.later(lambda: self._arrives(message))

    def _arrives(self, message: Message) -> None:
        if self.runner is not None:
            self.reception.arrived(message)

    # -------------------------------------------------------------- ChargingStation

    @property
    def frames(self) -> Sequence[Frame]:
        return self.csms.frames

    @property
    def backend(self) -> Backend:
        return self.csms.backend

    @property
    def answers(self) -> dict[str, Rule]:
        return self.csms.answers

    def answer_next(self, action: str, *rules: Rule) -> None:
        self.csms.next_answers[action].extend(rules)

    async def settle(self) -> None:
        while self._pumping:
            await asyncio.sleep(0)

    async def wait(self) -> bool:
        known = len(self.csms.frames)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while len(self.csms.frames) == known:
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            return False
        return True

    async def send(self, action: str, /, **payload: Any) -> None:
        assert self.cable.plugged_in, f"the CSMS cannot ask {action}: there is no connection"
        text = self.csms.question(action, payload)
        self._deliver(self.cable, text)
        await self.settle()

    async def after(self, seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        in_vain = 0
        while True:
            due = self.clock.next_due()
            moment = min(end, self._talks_at, end if due is None else due)
            in_vain = in_vain + 1 if moment <= self.clock.monotonic() else 0
            assert in_vain < 20, "the gateway wants to be woken at once again and again"
            self.clock.crank(moment)
            await self.settle()
            if self.clock.monotonic() >= self._talks_at:
                self._talks_at = self.clock.monotonic() + _TALKS_EVERY_S
                for n in self.device.outlets:
                    self.device.report(n)
                await self.settle()
            due = self.clock.next_due()
            if self.clock.monotonic() >= end and (due is None or due > end):
                return

    async def charges(self, seconds: int, *, every: int = 10, power_w: float = 3600.0, n: int = 1) -> None:
        """Energy flows, and the device tells its register every so often."""
        for _ in range(seconds // every):
            await self.after(every)
            register = self.device.outlets[n].register_wh + power_w * every / 3600
            await self.meter(register, n, power_w=power_w)

    def is_now(self, text: str) -> bool:
        return abs(read_time(text) - self.clock.wall) <= 1.0

    def at(self, seconds_ago: float = 0.0) -> Callable[[object], bool]:
        """Judges a timestamp that names the moment so long ago."""
        wall = self.clock.wall - seconds_ago
        return lambda text: abs(read_time(str(text)) - wall) <= 1.0

    def violations(self) -> list[str]:
        problems = {name: count for name, count in self.counters.problems.items() if count}
        quarantined = ["a fact or report was put in quarantine"] if self.counters.quarantined else []
        refused = [f"MQTT messages of the device were not right: {problems}"] if problems else []
        return [*self.csms.violations, *quarantined, *refused]


def configuration(
    csms_url: str,
    connectors: int,
    lock: bool,
    connector: Mapping[str, Any] | None,
    station: Mapping[str, Any] | None,
    keys: Mapping[str, object] | None,
) -> dict[str, Any]:
    """What the settings file holds, on the bench and for the real process."""
    more = dict(station or {})
    return {
        "stations": [
            {
                "name": STATION,
                "identity": "CP1",
                "csms": {"url": csms_url, "versions": ["1.6"], **more.pop("csms", {})},
                "connector": {"type": "sType2" if lock else "cType2", "lock": lock, **(connector or {})},
                "connectors": connectors,
                "variables": {**QUIET, **(keys or {})},
                **more,
            }
        ]
    }
