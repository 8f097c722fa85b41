"""The MQTT session against a real broker: what is kept, in which order, and what is said when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

import pytest
import structlog

from gateway.mqtt.arrivals import Message
from gateway.mqtt.broker import MqttConfig
from gateway.mqtt.client import Wire
from gateway.mqtt.connection import FILTERS_MAX
from gateway.mqtt.session import MqttClient
from gateway.mqtt.topics import Subscription, Topics
from tests.support.broker import Broker, free_port
from tests.support.mqtt_client import TestClient

TOPICS = Topics("ocpp")
WAIT_S = 10.0


class Session:
    """A client under test with what it was told, awaitable."""

    def __init__(self, url: str, *, acknowledge: bool = True, **settings: Any) -> None:
        self.messages: list[Message] = []
        self.said: list[str] = []
        self._acknowledge = acknowledge
        self._changed = asyncio.Event()
        config: dict[str, Any] = {
            "url": url,
            "client_id": "gateway-under-test",
            "marker_topic": TOPICS.marker("gateway-under-test"),
            "subscriptions": TOPICS.subscriptions(),
            "backoff_min_s": 0.05,
            "backoff_max_s": 0.2,
            **settings,
        }
        self.client = MqttClient(
            MqttConfig(**config),
            on_message=self._on_message,
            on_connected=lambda: self._note("connected"),
            on_disconnected=lambda reason: self._note(f"lost: {reason}"),
        )
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.client.run())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._task is not None
        if not self._task.cancelled():
            await self.client.stop()
            await self._task

    def _on_message(self, message: Message) -> None:
        self.messages.append(message)
        if self._acknowledge:
            self.client.acknowledge(message)
        self._changed.set()

    def _note(self, what: str) -> None:
        self.said.append(what)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def connected(self, times: int = 1) -> None:
        await self.until(lambda: self.said.count("connected") >= times)

    async def kill(self) -> None:
        """End like a killed process: no DISCONNECT, no acknowledgement."""
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def payloads(self, channel: str) -> list[bytes]:
        return [m.payload for m in self.messages if m.topic.endswith(f"/{channel}")]


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with Broker(tmp_path, persistence=True, lines=["max_queued_messages 0"]) as running:
        yield running


@pytest.fixture
async def device(broker: Broker) -> AsyncIterator[TestClient]:
    async with TestClient(broker.port, "device") as client:
        yield client


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_passes_on_what_devices_say_and_says_what_it_is_told(
    broker: Broker, device: TestClient, protocol: str
) -> None:
    """Both versions carry the same, QoS 0 for meter and 1 for the rest."""
    await device.subscribe("ocpp/garage/1/setpoint")
    async with Session(broker.url, protocol=protocol) as session:
        await session.connected()
        await device.publish("ocpp/garage/1/status", {"plugged": True})
        await device.publish("ocpp/garage/1/meter", {"power_w": 1})
        session.client.publish("ocpp/garage/1/setpoint", b"{}", qos=1, retain=True, expiry_s=60)
        told = await device.next("ocpp/garage/1/setpoint")
        await session.until(lambda: len(session.messages) == 2)

        assert session.client.protocol == protocol
        assert {(m.topic, m.qos) for m in session.messages} == {
            ("ocpp/garage/1/status", 1),
            ("ocpp/garage/1/meter", 0),
        }
        assert (told.payload, told.qos) == (b"{}", 1)


async def test_a_plain_message_takes_the_short_way(
    broker: Broker, device: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's dear way of reading MQTT 5's properties is used only where there are some."""
    with_properties: list[str] = []
    monkeypatch.setattr(
        Wire, "_on_message", lambda _self, _paho, _data, arrived: with_properties.append(arrived.topic)
    )
    async with Session(broker.url) as session:
        await session.connected()
        await device.publish("ocpp/garage/1/card", "A", properties={"CorrelationData": b"7"})
        await device.publish("ocpp/garage/1/card", "B")
        await session.until(lambda: session.messages)

        assert with_properties == ["ocpp/garage/1/card"]
        assert session.payloads("card") == [b"B"]


async def test_thousands_of_topics_are_subscribed_to_in_packets_that_brokers_take(
    broker: Broker, device: TestClient
) -> None:
    """All of them stand before the session counts as connected; one that is given up is heard no more."""
    topics = tuple(Subscription(f"box{i}/state", 1, 0) for i in range(2 * FILTERS_MAX + 1))
    async with Session(broker.url, subscriptions=topics) as session:
        await session.connected()
        for i in (0, FILTERS_MAX, 2 * FILTERS_MAX):
            await device.publish(f"box{i}/state", "1")
        await session.until(lambda: len(session.messages) == 3)
        session.client.unsubscribe("box0/state")
        session.client.publish("box1/state", b"sent behind the UNSUBSCRIBE", qos=1)
        await session.until(lambda: len(session.messages) == 4)
        await device.publish("box0/state", "2")
        await device.publish("box2/state", "2")
        await session.until(lambda: len(session.messages) == 5)

        assert "box2/state" == session.messages[-1].topic


async def test_hands_over_response_topic_and_correlation(broker: Broker, device: TestClient) -> None:
    """MQTT 5's way of asking reaches the caller."""
    async with Session(broker.url) as session:
        await session.connected()
        asked = {"ResponseTopic": "ocpp/garage/1/response/mine", "CorrelationData": b"7"}
        await device.publish("ocpp/garage/1/request/stop", b"", properties=asked)
        await session.until(lambda: session.messages)

        assert session.messages[0].response_topic == "ocpp/garage/1/response/mine"
        assert session.messages[0].correlation == b"7"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_what_was_said_in_our_absence_arrives_as_backlog(
    broker: Broker, device: TestClient, protocol: str
) -> None:
    """QoS 1 waits for us, in order, and is marked so; meter does not wait."""
    async with Session(broker.url, protocol=protocol) as session:
        await session.connected()
    for i in range(30):
        await device.publish("ocpp/garage/1/card", f"card-{i}")
        await device.publish("ocpp/garage/1/meter", {"power_w": i}, qos=0)
    async with Session(broker.url, protocol=protocol) as session:
        await session.until(lambda: len(session.messages) == 30)

        assert session.payloads("card") == [f"card-{i}".encode() for i in range(30)]
        assert all(message.backlog for message in session.messages)


async def test_a_stored_copy_says_so(broker: Broker, device: TestClient) -> None:
    """Presence is asked for at each connection; what the broker stores is marked as retained."""
    await device.publish("ocpp/garage/0/availability", "online", retain=True)
    for _ in range(2):
        async with Session(broker.url) as session:
            await session.until(lambda: session.messages)

            assert session.messages[0].retain


async def test_what_comes_after_the_marker_is_live(broker: Broker, device: TestClient) -> None:
    """As soon as our own marker has come back, messages count as live."""
    async with TestClient(broker.port, "watcher") as watcher, Session(broker.url) as session:
        await watcher.subscribe("ocpp/bridge/marker/+")
        await session.connected()
        await watcher.next("ocpp/bridge/marker/+")
        await device.publish("ocpp/garage/1/card", "live")
        await session.until(lambda: session.messages)

        assert not session.messages[0].backlog


async def test_acknowledges_in_order_of_arrival_and_gets_the_rest_again(
    broker: Broker, device: TestClient
) -> None:
    """Settled out of order, a message behind an unsettled one comes again after a kill, as does that one."""
    async with Session(broker.url, acknowledge=False) as session:
        await session.connected()
        for i in range(5):
            await device.publish("ocpp/garage/1/card", f"card-{i}")
        await session.until(lambda: len(session.messages) == 5)
        for index in (1, 0, 4, 3):  # 2 stays: so do 3 and 4 behind it
            session.client.acknowledge(session.messages[index])
        await _flushed(device, session)
        await session.kill()
    async with Session(broker.url) as again:
        await again.connected()
        await again.until(lambda: len(again.payloads("card")) >= 3)

        assert again.payloads("card") == [b"card-2", b"card-3", b"card-4"]


async def _flushed(device: TestClient, session: Session) -> None:
    """The broker has read all that the session wrote before."""
    await device.subscribe("ocpp/probe/#")
    session.client.publish("ocpp/probe/1/state", b"", qos=0)
    await device.next("ocpp/probe/#")


async def test_an_acknowledgement_belongs_to_its_connection(broker: Broker, device: TestClient) -> None:
    """After a reconnect the broker repeats what was open; settling the old copy settles not the new one."""
    async with Session(broker.url, acknowledge=False) as session:
        await session.connected()
        await device.publish("ocpp/garage/1/card", "once")
        await session.until(lambda: len(session.messages) == 1)
        broker.restart()
        await session.connected(times=2)
        await session.until(lambda: len(session.messages) == 2)
        session.client.acknowledge(session.messages[0])
        await session.kill()
    async with Session(broker.url) as again:
        await again.until(lambda: again.payloads("card"))

        assert again.payloads("card") == [b"once"]


async def test_reconnects_and_asks_to_say_everything_again(broker: Broker) -> None:
    """A broker's restart costs nothing but time; each connection ends with a reason."""
    async with Session(broker.url) as session:
        await session.connected()
        broker.restart()
        await session.connected(times=2)

        assert session.said[0] == session.said[2] == "connected"
        assert session.said[1].startswith("lost: the ")


async def test_says_nothing_stale_after_a_reconnect(broker: Broker) -> None:
    """What could not be sent is dropped and counted, never sent late."""
    async with Session(broker.url) as session:
        await session.connected()
        broker.stop()
        await session.until(lambda: len(session.said) == 2)
        sent = session.client.publish("ocpp/garage/1/setpoint", b"old", qos=1, retain=True)
        broker.start()
        await session.connected(times=2)
        async with TestClient(broker.port, "late") as late:
            session.client.publish("ocpp/garage/1/setpoint", b"new", qos=1, retain=True)
            await late.subscribe("ocpp/garage/1/setpoint")
            told = await late.next("ocpp/garage/1/setpoint")

        assert not sent
        assert session.client.dropped == 1
        assert told.payload == b"new"


async def test_leaves_with_a_farewell_and_without_a_will(broker: Broker, device: TestClient) -> None:
    """A clean stop delivers the farewell; the will stays with the broker."""
    await device.subscribe("ocpp/bridge/state")
    will = (TOPICS.bridge_state, b"offline", 1, True)
    async with Session(broker.url, will=will) as session:
        await session.connected()
        await session.client.stop([(TOPICS.bridge_state, b"stopping", 1, True)])
    told = await device.next("ocpp/bridge/state")
    async with TestClient(broker.port, "late") as late:
        await late.subscribe("ocpp/bridge/state")
        kept = await late.next("ocpp/bridge/state")

    assert (told.payload, kept.payload) == (b"stopping", b"stopping")


async def test_a_killed_gateway_leaves_its_will(broker: Broker, device: TestClient) -> None:
    """Whoever listens learns that the gateway died."""
    await device.subscribe("ocpp/bridge/state")
    will = (TOPICS.bridge_state, b"offline", 1, True)
    async with Session(broker.url, will=will) as session:
        await session.connected()
        await session.kill()
        told = await device.next("ocpp/bridge/state")

        assert told.payload == b"offline"


async def test_tls_is_verified(tmp_path: Path) -> None:
    """With the right authority it connects; without it the reason says what to do."""
    async with Broker(tmp_path, tls=True) as broker:
        async with Session(broker.url, ca_file=broker.ca_file) as session:
            await session.connected()
        with structlog.testing.capture_logs() as logs:
            async with Session(broker.url) as distrustful:
                await _logged(logs)

    assert distrustful.said == []
    assert "certificate is not trusted" in logs[0]["reason"]
    assert "CA file" in logs[0]["reason"]


async def test_a_missing_certificate_file_is_named(tmp_path: Path) -> None:
    """The reason names the file."""
    with structlog.testing.capture_logs() as logs:
        async with Session("mqtts://127.0.0.1:1", ca_file=tmp_path / "nowhere.pem"):
            await _logged(logs)

    assert "nowhere.pem" in logs[0]["reason"]


async def test_bad_credentials_are_a_clear_sentence_without_the_password(tmp_path: Path) -> None:
    """The operator learns what to check; the password is never logged."""
    async with Broker(tmp_path, users={"gateway": "right"}) as broker:
        async with Session(broker.url, username="gateway", password="right") as session:
            await session.connected()
        with structlog.testing.capture_logs() as logs:
            async with Session(broker.url, username="gateway", password="wrong-secret") as refused:
                await _logged(logs)

    assert "check user, password" in logs[0]["reason"]
    assert "wrong-secret" not in f"{logs}{refused.client.config}"


async def test_websockets_work_too(tmp_path: Path) -> None:
    """ws:// carries the same."""
    async with (
        Broker(tmp_path, websockets=True) as broker,
        TestClient(broker.port, "device") as device,
        Session(broker.websocket_url) as session,
    ):
        await session.connected()
        await device.publish("ocpp/garage/1/status", {"plugged": True})
        await session.until(lambda: session.messages)

        assert session.messages[0].topic == "ocpp/garage/1/status"


class OldBroker:
    """Answers CONNECT with scripted bytes, one answer a connection, and hands later ones to a real broker."""

    def __init__(self, answers: list[bytes], broker: Broker) -> None:
        self.versions: list[int] = []
        self._answers = answers
        self._broker = broker
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"mqtt://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connect = await reader.read(4096)
        self.versions.append(connect[connect.index(b"MQTT") + 4])
        if self._answers:
            writer.write(self._answers.pop(0))
            writer.close()
            return
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._broker.port)
        there.write(connect)
        try:
            await asyncio.gather(_copy(reader, there), _copy(there_reader, writer))
        finally:
            there.close()
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (bytes((0x20, 0x03, 0x00, 0x84, 0x00)), "MQTT 5 refusal"),
        (bytes((0x20, 0x02, 0x00, 0x01)), "3.1.1 refusal"),
        (b"", "hanging up"),
    ],
)
async def test_falls_back_to_3_1_1_when_5_is_refused(broker: Broker, answer: bytes, what: str) -> None:
    """Whichever way an old broker refuses, 3.1.1 is tried next."""
    old = OldBroker([answer], broker)
    async with old as url, Session(url) as session:
        await session.connected()

        assert session.client.protocol == "3.1.1", what
        assert old.versions == [5, 4]


async def test_does_not_fall_back_when_told_not_to(broker: Broker) -> None:
    """`protocol: 5` means 5."""
    old = OldBroker([bytes((0x20, 0x03, 0x00, 0x84, 0x00))] * 2, broker)
    async with old as url, Session(url, protocol="5") as session:
        await session.connected()

        assert old.versions == [5, 5, 5]


async def test_two_gateways_with_one_client_id_are_told_so(broker: Broker) -> None:
    """The reason names the client id, whether the broker says why (MQTT 5) or just hangs up."""
    async with Session(broker.url) as session:
        await session.connected()
        async with TestClient(broker.port, "gateway-under-test"):
            await session.until(lambda: len(session.said) >= 2)

        assert 'client with our client id "gateway-under-test"' in session.said[1]


async def test_a_broker_that_falls_silent_is_noticed(broker: Broker) -> None:
    """Within two keep-alive intervals the connection counts as lost."""
    async with Session(broker.url, keepalive_s=1) as session:
        await session.connected()
        broker.pause()
        await session.until(lambda: len(session.said) == 2)
        broker.resume()
        await session.connected(times=2)

        assert session.said[1] == "lost: the broker was silent for 1 s"


async def test_an_off_does_not_wait_behind_what_only_tells(broker: Broker, device: TestClient) -> None:
    """While the broker takes nothing: of each state only the last one waits, and what switches goes first."""
    await device.subscribe("ocpp/#")
    async with Session(broker.url) as session:
        await session.connected()
        publish = session.client.publish
        broker.pause()
        for number in range(40):  # as many as may be unacknowledged, and some that must wait
            publish("ocpp/garage/1/event/card", b"%d" % number, qos=1)
        for number in range(500):
            publish("ocpp/garage/1/state", b"%d" % number, qos=1, retain=True, register=True)
        for energize in (b"on", b"off"):
            publish("ocpp/garage/1/setpoint", energize, qos=1, retain=True, register=True, urgent=True)
        broker.resume()
        await device.next("ocpp/garage/1/state", where=lambda m: m.payload == b"499")

        said = [(m.topic.rsplit("/", 1)[-1], m.payload) for m in device.received("ocpp/garage/#")]
        cards = [payload for channel, payload in said if channel == "card"]
        assert [b"%d" % number for number in range(40)] == cards
        assert [("setpoint", b"off")] == [one for one in said if one[0] == "setpoint"]
        assert [("state", b"499")] == [one for one in said if one[0] == "state"]
        assert said.index(("setpoint", b"off")) <= 20 < said.index(("card", b"39"))
        assert 0 == session.client.dropped


async def test_the_marker_survives_a_full_queue(tmp_path: Path) -> None:
    """A broker that drops our marker because our queue is full gets it again: live messages become live."""
    lines = ["max_queued_messages 10", "max_inflight_messages 5"]
    async with (
        Broker(tmp_path, persistence=True, lines=lines) as broker,
        TestClient(broker.port, "d") as device,
    ):
        async with Session(broker.url) as session:
            await session.connected()
        for i in range(40):
            await device.publish("ocpp/garage/1/card", f"card-{i}")
        async with Session(broker.url, acknowledge=False) as session:
            await session.connected()
            await session.until(lambda: session.messages)
            done = 0
            async with asyncio.timeout(WAIT_S):
                while not any(not message.backlog for message in session.messages):
                    while done < len(session.messages):
                        session.client.acknowledge(session.messages[done])
                        done += 1
                    await device.publish("ocpp/garage/1/card", "later")

            assert session.messages[-1].payload == b"later"


async def test_what_a_callback_raises_ends_the_run(broker: Broker, device: TestClient) -> None:
    """A programming error is not swallowed by the library."""
    session = Session(broker.url)
    arrived: list[Message] = []

    def boom(message: Message) -> None:
        arrived.append(message)
        raise ZeroDivisionError

    client = MqttClient(
        session.client.config, on_message=boom, on_connected=lambda: None, on_disconnected=lambda _: None
    )
    running = asyncio.create_task(client.run())
    async with asyncio.timeout(WAIT_S):
        while not running.done():
            await device.publish("ocpp/garage/1/status", {"plugged": True})

    with pytest.raises(ZeroDivisionError):
        await running


async def test_stops_while_there_is_no_broker() -> None:
    """Nobody has to wait for a broker that is not there."""
    async with asyncio.timeout(3):
        async with Session(f"mqtt://127.0.0.1:{free_port()}", backoff_min_s=60, backoff_max_s=60) as session:
            with structlog.testing.capture_logs() as logs:
                await _logged(logs)

    assert session.said == []
    assert logs[0]["reason"] == "nothing listens at the broker's address"


async def test_a_peer_that_says_nothing_does_not_hold_up_a_stop() -> None:
    """A port that accepts and stays silent delays a stop by seconds at most."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        async with asyncio.timeout(8):
            async with Session(f"mqtt://127.0.0.1:{silent.getsockname()[1]}") as session:
                peer, _ = await asyncio.get_running_loop().run_in_executor(None, silent.accept)
        peer.close()

    assert session.said == []


async def _logged(logs: list[Any]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not any("reason" in entry for entry in logs):
            await asyncio.sleep(0.01)  # a log has no event to wait for
