"""The only wiring: one store, one MQTT session, one runner a station; what ends is noticed, what stops says so."""

from __future__ import annotations

import asyncio
import gc
import secrets
import signal
import sys
import time
from datetime import UTC
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import structlog
from msgspec.structs import replace

from gateway import __version__, discovery
from gateway.additions import Additions
from gateway.candidates import Candidates
from gateway.counters import Counters
from gateway.health import CommitTimes, Condition, Health, HealthPortTaken
from gateway.logs import FrameLog, RecentLog, configure
from gateway.mqtt import encoding
from gateway.mqtt.actions import BridgeAsked
from gateway.mqtt.decoded import GatewayHeard
from gateway.mqtt.outlet import Outlet
from gateway.mqtt.payloads_out import GatewayHealthPayload, GatewayInfoPayload
from gateway.mqtt.profiles.fleet import Clock as FleetClock
from gateway.mqtt.profiles.fleet import Fleet, Sinks
from gateway.mqtt.session import MqttClient
from gateway.mqtt.timestamps import rfc3339
from gateway.mqtt.topics import BRIDGE
from gateway.reception import Reception
from gateway.roster import Roster, differences
from gateway.settings import SettingsError
from gateway.station.effects import Respond
from gateway.station.events import BrokerConnected, BrokerLost
from gateway.store import Store, StoreError, Write
from gateway.transfers import Courier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.additions import ReadAgain
    from gateway.mqtt.arrivals import Message
    from gateway.runner import Runner
    from gateway.settings import Settings
    from gateway.settings.stations import Station

_log = structlog.get_logger("gateway")
_DEFAULT_CLIENT_ID = "ocpp-gateway"
_LISTEN_FIRST_S = 1.0
"""At the first connection: how long to listen for another gateway before saying anything."""
_STOP_TIMEOUT_S = 5.0
_GC_THRESHOLD = 20_000
"""Facts and frames live for milliseconds and have no cycles: looking for those every 700 objects is waste."""
_WORDS = ("added", "changed", "removed")
_MOST_CHANGES = 100
"""Of the configuration, asked for and waiting for their turn."""
_SHOWN = "shown"
"""The store's records of whose topics there are: station → its highest connector."""
_SWITCH_INTERVAL_S = 0.001
"""The store's thread must get its turn at the interpreter although the loop is busy."""


class SecondGatewayError(Exception):
    """Another live gateway uses the same prefix."""


class Gateway:
    """The whole gateway while it runs."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        recent: RecentLog | None = None,
        *,
        read_again: ReadAgain | None = None,
    ) -> None:
        """Wire everything; nothing runs yet.

        `recent` is what the log remembers, for uploads; `read_again` reads the configuration anew (SettingsError).
        """
        self._additions = Additions(store, read_again)
        self._settings = settings = self._additions.at_start(settings)
        self._reloading = asyncio.Lock()
        self._candidates = Candidates()
        self._background: set[asyncio.Task[str | None]] = set()
        self._bindings = {station.name: list(station.bindings()) for station in settings.stations}
        self._store = store
        self.counters = Counters()
        log = settings.log
        self._frames = FrameLog(
            log.frames_file,
            log.frames_max_mb * 1_000_000,
            log.frames_backups,
            mask_tokens=log.frames_mask_tokens,
            recent=recent,
        )
        self._courier = Courier(recent or RecentLog())
        self.topics = settings.topics()
        self.instance = _instance(store)
        self._epoch = ""
        self._began = time.monotonic()
        self._rivals_heard = False
        self._introduced = False
        self._failure: Exception | None = None
        self._stop = asyncio.Event()
        self._listening: asyncio.TimerHandle | None = None
        will = self._heartbeat("offline", at=None)
        config = settings.mqtt_config(self.instance, (will.topic, will.payload, will.qos, will.retain))
        if config.client_id == _DEFAULT_CLIENT_ID:
            config = replace(config, client_id=f"{_DEFAULT_CLIENT_ID}-{self.instance}")
        self.client = MqttClient(
            config, on_message=self._arrived, on_connected=self._connected, on_disconnected=self._disconnected
        )
        self.outlet = Outlet(self.client, self.topics, time.time)
        self._roster = Roster(
            settings,
            store=store,
            outlet=self.outlet,
            counters=self.counters,
            frames=self._frames,
            courier=self._courier,
            failed=self._part_ended,
        )
        self.runners = self._roster.runners
        self._gone: dict[str, list[int]] = {}
        """Stations and connectors (0: the station) that left the configuration, and what the broker keeps of them."""
        self._reception = Reception(
            self.topics,
            self.runners,
            self.outlet,
            self.counters,
            heard=self._heard,
            bridge_asked=self._bridge_asked,
            wall=time.time,
            strangers=self._candidates,
        )
        self._fleet = self.outlet.fleet = self._foreign()
        self._home = discovery.announcer(
            settings.home_assistant,
            settings.home_assistant.form(len(settings.stations)),
            self.topics,
            store,
            self.runners,
            self.client,
            self.outlet,
            heartbeat=lambda: self._heartbeat("online", at=time.time()),
        )
        commits = CommitTimes()
        store.on_end = self._store_ended
        store.on_commit = lambda seconds, _submissions: commits.observe(seconds)
        self.health = Health(self.counters, commits, self.condition)

    def _foreign(self) -> Fleet:
        clock = FleetClock(
            time.time, time.monotonic, lambda at, callback: asyncio.get_running_loop().call_at(at, callback)
        )
        sinks = Sinks(
            take=lambda station, event, message: self.runners[station].take(event, message),
            send=self.outlet.send,
            acknowledge=self.client.acknowledge,
            complain=self._reception.refuse,
        )
        zones = {station.name: ZoneInfo(station.time_zone) for station in self._settings.stations}
        return Fleet(self._settings.bindings(), clock, sinks, zones)

    # -------------------------------------------------------------- life

    async def run(self) -> None:
        """Run until `stop`; raises what made any part of it fail."""
        self._roster.load(self._settings)
        self._note_what_is_shown()
        if self._settings.health.port is not None:
            self.health.start(self._settings.health.host, self._settings.health.port)
        self._roster.start()
        gc.set_threshold(_GC_THRESHOLD, 20, 50)
        gc.collect()
        gc.freeze()  # what is there now stays: thousands of stations need not be looked through again and again
        tasks = [asyncio.create_task(self.client.run(), name="mqtt")]
        self._roster.connect()
        tasks.append(asyncio.create_task(self._beat(), name="heartbeat"))
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()
                _log.error("A part of the gateway ended by itself.", part=task.get_name())
        finally:
            await self._shut_down([*tasks, stopping])
        if self._failure is not None:
            raise self._failure

    def _store_ended(self, error: BaseException) -> None:
        """Without a store nothing may be said: the gateway ends, and its supervisor starts it anew."""
        self._failure = RuntimeError(f"The store's writer ended: {error!r}")
        self.stop()

    def _part_ended(self, error: BaseException) -> None:
        self._failure = error if isinstance(error, Exception) else RuntimeError(repr(error))
        self.stop()

    def stop(self) -> None:
        """Let `run` return after a clean end."""
        self._stop.set()

    def _note_what_is_shown(self) -> None:
        """Remember whose retained topics there are, so that they are cleared when their station or connector goes."""
        shown = {name: int(highest) for name, highest in self._store.load(BRIDGE).get(_SHOWN, {}).items()}
        now = {name: max(runner.station.state.by_n) for name, runner in self.runners.items()}
        for name, highest in shown.items():
            gone = [n for n in range(highest + 1) if n > now.get(name, -1)]
            if gone:
                self._gone[name] = gone
        self._remember({name: str(n).encode() for name, n in now.items() if shown.get(name, 0) < n})

    def _clear_what_is_gone(self) -> None:
        for name, connectors in self._gone.items():
            for n in connectors:
                for topic in self.topics.retained(name, n):
                    self.outlet.send(encoding.cleared(topic))
        left = {name: self.runners.get(name) for name in self._gone}
        self._remember(
            {
                name: None if runner is None else str(max(runner.station.state.by_n)).encode()
                for name, runner in left.items()
            }
        )
        self._gone.clear()

    def _remember(self, shown: dict[str, bytes | None]) -> None:
        if shown:
            writes = [Write(_SHOWN, name, highest) for name, highest in shown.items()]
            self._store.submit(BRIDGE, writes, _complain_of_store)

    async def _shut_down(self, tasks: Sequence[asyncio.Task[object]]) -> None:
        changes = list(self._background)
        for change in changes:
            change.cancel()
        await asyncio.gather(*changes, return_exceptions=True)
        await self._roster.stop(_STOP_TIMEOUT_S)
        farewell = [self._heartbeat("stopping", at=time.time())] if self._introduced else []
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self.client.stop(
                    [(said.topic, said.payload, said.qos, said.retain) for said in farewell]
                )
        except TimeoutError:
            _log.warning("The MQTT broker did not take the farewell in time.")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._courier.stop()
        await self._store.close()
        await self.health.stop()
        self._frames.close()

    # -------------------------------------------------------------- another configuration

    async def reload(self) -> str:
        """Read the configuration again and exchange what differs; what was done, in a sentence.

        Raises SettingsError when it cannot be used: then all stays as it is.
        """
        async with self._reloading:
            return await self._change_to(await self._additions.read())

    async def _station_add(self, name: str, identity: str | None) -> str:
        """Take in a device that speaks our contract; it outlives restarts."""
        one: dict[str, Any] = {"name": name}
        if identity is not None:
            one["identity"] = identity
        if "connectors" not in self._settings.gateway.station_template:
            one["connectors"] = self._candidates.connectors(name)
        async with self._reloading:
            settings = await self._additions.add(one, self._settings)
            self._candidates.forget(name)
            return await self._change_to(settings)

    async def _station_remove(self, name: str) -> str:
        async with self._reloading:
            return await self._change_to(await self._additions.remove(name))

    async def _change_to(self, settings: Settings) -> str:
        found = differences(self._settings, settings)
        configs = {config.name: config for config in settings.station_configs()}
        stations = {station.name: station for station in settings.stations}
        former_topics = self._settings.mqtt_config(self.instance).subscriptions
        for name in found.removed:
            retired = await self._roster.retire(name, switch_off=True)
            self._gone[name] = list(range(max(retired.station.state.by_n) + 1))
            self._fleet.replace(name, (), UTC, connected=False)
        kept = {name: getattr(self._settings, name) for name in found.needs_restart}
        self._settings = settings.model_copy(update=kept)
        now = self._settings.mqtt_config(self.instance).subscriptions
        self.client.exchange(former_topics, now)
        for name in (*found.changed, *found.added):
            former = await self._roster.retire(name, switch_off=False) if name in found.changed else None
            runner = self._roster.add(self._settings, configs[name], former)
            self._take_devices(stations[name], former)
            if self._introduced and self.client.connected:
                runner.take(BrokerConnected(self._epoch))
        self._note_what_is_shown()
        if self._introduced and self.client.connected:
            self._tell_of_stations()
        told = [f"{word} {', '.join(names)}" for word, names in zip(_WORDS, found[:3], strict=True) if names]
        if found.needs_restart:
            told.append(f"what needs a restart of the gateway: {', '.join(found.needs_restart)}")
        sentence = "; ".join(told) or "nothing has changed"
        _log.info("The configuration was read again.", result=sentence)
        return sentence

    def _take_devices(self, station: Station, former: Runner | None) -> None:
        """Foreign devices that are the same go on as they are."""
        name = station.name
        bindings = list(station.bindings())
        if former is not None and bindings == self._bindings.get(name):
            return
        self._bindings[name] = bindings
        up = self._introduced and self.client.connected
        self._fleet.replace(name, bindings, ZoneInfo(station.time_zone), connected=up)

    def reload_soon(self) -> None:
        """SIGHUP: what is wrong is logged, and nothing changes."""
        if len(self._background) >= _MOST_CHANGES:
            return  # one of those reads the file as it is then
        task = asyncio.get_running_loop().create_task(self._reload_or_complain(), name="reload")
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _reload_or_complain(self) -> str | None:
        """The error, if there is one."""
        try:
            await self.reload()
        except SettingsError as error:
            _log.error("The configuration cannot be used; nothing was changed.", reason=str(error))
            return str(error)
        except Exception as error:
            self._part_ended(error)
            raise
        return None

    # -------------------------------------------------------------- the broker

    def _connected(self) -> None:
        if self._introduced or self._rivals_heard:
            self._introduce()
        else:
            self._listening = asyncio.get_running_loop().call_later(_LISTEN_FIRST_S, self._introduce)

    def _introduce(self) -> None:
        """A new epoch: first every setpoint, energizing nothing that is not fresh, then online."""
        self._listening = None
        if self._failure is not None or not self.client.connected:
            return
        self._introduced = True
        self._epoch = secrets.token_hex(3)
        self._fleet.connected()
        for runner in self.runners.values():
            runner.take(BrokerConnected(self._epoch))
        self.outlet.send(self._heartbeat("online", at=time.time()))
        self._tell_of_stations()
        for name, runner in self.runners.items():
            if runner.station.state.config.report_only:  # an earlier setpoint would still be obeyed
                for n in runner.station.state.by_n:
                    self.outlet.send(encoding.cleared(self.topics.setpoint(name, n)))

    def _tell_of_stations(self) -> None:
        names = sorted(self.runners)
        self.outlet.send(
            encoding.info(
                self.topics,
                GatewayInfoPayload(version=__version__, contract=1, instance=self.instance, stations=names),
            )
        )
        self._clear_what_is_gone()
        self._home.connected()

    def _disconnected(self, reason: str) -> None:
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None
        _log.warning("The MQTT connection is gone.", reason=reason)
        for runner in self.runners.values():
            runner.take(BrokerLost())
        self._fleet.lost()
        self._home.lost()

    def _heartbeat(self, state: str, at: float | None) -> encoding.Outgoing:
        interval_s = self._settings.gateway.heartbeat_interval_s
        return encoding.heartbeat(
            self.topics,
            state=state,
            instance=self.instance,
            epoch=self._epoch or None,
            interval_s=interval_s,
            at=at,
        )

    async def _beat(self) -> None:
        """Repeat the heartbeat: devices keep a contactor closed only while they hear it."""
        while True:
            await asyncio.sleep(self._settings.gateway.heartbeat_interval_s)
            if self.client.connected and self._introduced:
                self.outlet.send(self._heartbeat("online", at=time.time()))
                self.outlet.send(encoding.health(self.topics, self.report()))

    def _heard(self, heard: GatewayHeard) -> None:
        """A gateway on our prefix: ourselves, or one too many."""
        if heard.instance == self.instance or heard.instance is None or heard.state != "online":
            self._rivals_heard = True
            if self._listening is not None:
                self._listening.cancel()
                self._introduce()
            elif self._introduced and heard.instance not in (None, self.instance):
                self.outlet.send(
                    self._heartbeat("online", at=time.time())
                )  # it went; what is retained says so
            return
        if self._introduced and self.instance < heard.instance:
            return  # both began at the same moment: one of the two has to stay
        self._failure = SecondGatewayError(
            f"Another gateway (instance {heard.instance}) is online below the prefix {self.topics.prefix!r} of this "
            "broker. Stop it, or give this one another mqtt.prefix. If it crashed together with the broker, clear "
            f"its retained message: mosquitto_pub -r -n -t {self.topics.bridge_state}"
        )
        self.outlet.send(
            encoding.bridge_event(
                self.topics, event_type="second_gateway", at=time.time(), problems=(str(self._failure),)
            )
        )
        self.stop()

    def _arrived(self, message: Message) -> None:
        if self._home.arrived(message.topic, message.payload, retained=message.retain):
            self.outlet.acknowledge(message)
            return
        self._reception.arrived(message)

    def _bridge_asked(self, asked: BridgeAsked) -> None:
        allowed = self._settings.gateway.allow_requests
        if asked.action not in allowed:
            error = f"{asked.action} is not allowed here; gateway.allow_requests names: {', '.join(sorted(allowed))}"
            self.outlet.respond(Respond(asked.reply_to, ok=False, data={}, error=error))
        elif asked.action == "health":
            self.outlet.respond(
                Respond(asked.reply_to, ok=True, data=encoding.plain(self.report()), error=None)
            )
        elif asked.action == "candidates":
            data: dict[str, object] = {"candidates": self._candidates.all()}
            self.outlet.respond(Respond(asked.reply_to, ok=True, data=data, error=None))
        elif len(self._background) >= _MOST_CHANGES:
            error = "too many changes are waiting to be made; ask again when they are answered"
            self.outlet.respond(Respond(asked.reply_to, ok=False, data={}, error=error))
        else:
            task = asyncio.get_running_loop().create_task(self._change_asked(asked), name=asked.action)
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def _change_asked(self, asked: BridgeAsked) -> str | None:
        reply_to, name = asked.reply_to, str(asked.arguments.get("name"))
        try:
            match asked.action:
                case "station_add":
                    identity = asked.arguments.get("identity")
                    result = await self._station_add(name, None if identity is None else str(identity))
                case "station_remove":
                    result = await self._station_remove(name)
                case _:
                    result = await self.reload()
        except (SettingsError, StoreError) as error:
            self.outlet.respond(Respond(reply_to, ok=False, data={}, error=str(error)))
            return str(error)
        except Exception as error:
            self._part_ended(error)
            raise
        self.outlet.respond(Respond(reply_to, ok=True, data={"result": result}, error=None))
        return None

    # -------------------------------------------------------------- health

    def condition(self) -> Condition:
        """For the health page."""
        states = {name: runner.station.state for name, runner in self.runners.items()}
        self.counters.published = self.outlet.published
        failing = next((state.last_error for state in states.values() if not state.storing), None)
        return Condition(
            broker_connected=self.client.connected,
            stations=len(states),
            sessions=sum(state.linked for state in states.values()),
            queued=sum(len(state.outbox) for state in states.values()),
            store_error=failing,
            last_errors={name: state.last_error for name, state in states.items() if state.last_error},
        )

    def report(self) -> GatewayHealthPayload:
        """How the gateway is, now."""
        states = [runner.station.state for runner in self.runners.values()]
        writable = all(state.storing for state in states)
        problems = [] if writable else ["the store cannot be written: no new transaction starts"]
        if not self.client.connected:
            problems.append("there is no connection to the MQTT broker")
        connected = sum(state.linked for state in states)
        status = "ok" if not problems and connected == len(states) else "degraded"
        if not writable or not self.client.connected:
            status = "failing"
        return GatewayHealthPayload(
            status=status,  # type: ignore[arg-type]  # one of its three words
            timestamp=rfc3339(time.time()),
            uptime_s=round(time.monotonic() - self._began, 1),
            stations=len(states),
            connected=connected,
            queued=sum(len(state.outbox) for state in states),
            devices_online=sum(connector.fresh for state in states for connector in state.by_n.values()),
            store_writable=writable,
            problems=problems,
            counters={
                "mqtt_received": sum(self.counters.messages.values()),
                "mqtt_sent": self.outlet.published,
                "quarantined": self.counters.quarantined,
                **self.counters.problems,
            },
        )


def _complain_of_store(error: BaseException | None) -> None:
    if error is not None:
        _log.warning("The stations' names could not be kept.", reason=str(error))


def _instance(store: Store) -> str:
    """A name of this gateway that outlives it: it goes with the store."""
    known = store.load(BRIDGE).get("gateway", {}).get("instance")
    if known:
        return known.decode()
    instance = secrets.token_hex(4)
    store.submit(BRIDGE, [Write("gateway", "instance", instance.encode())], lambda _error: None)
    return instance


async def run(settings: Settings, read_again: ReadAgain | None = None) -> int:
    """Run the gateway until a signal; the exit code. `read_again`: for SIGHUP."""
    recent = RecentLog()
    configure(settings.log.level, settings.log.format, recent=recent)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    size = settings.store.max_size_mib
    try:
        store = Store.open(settings.store.path, size_limit_bytes=None if size is None else size * 1024 * 1024)
    except StoreError as error:
        _log.critical("The store cannot be opened.", reason=str(error))
        return 1
    gateway = Gateway(settings, store, recent, read_again=read_again)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, gateway.stop)
    if read_again is not None:
        loop.add_signal_handler(signal.SIGHUP, gateway.reload_soon)
    try:
        await gateway.run()
    except SecondGatewayError as error:
        _log.critical(str(error))
        return 3
    except HealthPortTaken as error:
        _log.critical(str(error))
        return 1
    return 0
