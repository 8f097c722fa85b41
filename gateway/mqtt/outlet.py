"""What the stations say on MQTT, and where the answers to requests go."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gateway.mqtt import encoding

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.mqtt.arrivals import Message
    from gateway.mqtt.encoding import Outgoing, ReplyTo
    from gateway.mqtt.profiles.fleet import Fleet
    from gateway.mqtt.session import MqttClient
    from gateway.mqtt.topics import Topics
    from gateway.station.effects import AskFlow, Command, Notify, Publish, Respond, SetPoint

_MOST_REQUESTS = 1000
"""More requests than this do not wait for an answer at once; the oldest is forgotten."""


class Outlet:
    """All that goes out, through one client."""

    __slots__ = ("_client", "_next", "_requests", "_topics", "_wall", "described_anew", "fleet", "published")

    def __init__(self, client: MqttClient, topics: Topics, wall: Callable[[], float]) -> None:
        """`wall` tells the time for stamps."""
        self._client = client
        self._topics = topics
        self._wall = wall
        self._requests: OrderedDict[int, ReplyTo] = OrderedDict()
        self._next = 0
        self.published = 0
        self.fleet: Fleet | None = None
        """Devices that do not speak our contract."""
        self.described_anew: Callable[[str], None] = _nobody
        """Who hears the name of a station whose device says something else of itself."""

    def expect(self, reply_to: ReplyTo) -> int:
        """Remember where an answer goes; the number names it in Respond."""
        self._next += 1
        self._requests[self._next] = reply_to
        if len(self._requests) > _MOST_REQUESTS:
            self._requests.popitem(last=False)
        return self._next

    def name(self, number: int, request_id: str) -> None:
        """The request's own id, to come back in its answer."""
        known = self._requests.get(number)
        if known is not None:
            self._requests[number] = replace(known, request_id=request_id)

    def forget(self, number: int) -> None:
        """No answer will come."""
        self._requests.pop(number, None)

    def setpoint(self, station: str, effect: SetPoint) -> None:
        """A connector's desired state."""
        if self.fleet is not None:
            self.fleet.setpoint(station, effect)
        self.send(encoding.setpoint(self._topics, station, effect))

    def command(self, station: str, effect: Command) -> None:
        """A command to a device."""
        self.send(encoding.command(self._topics, station, effect, self._wall()))
        if self.fleet is not None:
            self.fleet.command(station, effect)

    def ask_flow(self, station: str, effect: AskFlow) -> None:
        """A question to who decides about cards."""
        self.send(encoding.authorize_request(self._topics, station, effect, self._wall()))

    def view(self, station: str, effect: Publish) -> None:
        """A retained document."""
        self.send(encoding.view(self._topics, station, effect))

    def event(self, station: str, effect: Notify) -> None:
        """Something that happened."""
        self.send(encoding.event(self._topics, station, effect, self._wall()))

    def respond(self, effect: Respond) -> None:
        """The answer to a request."""
        reply_to = self._requests.pop(effect.reply_to, None)
        if reply_to is not None:
            self.send(encoding.response(self._topics, effect, reply_to))

    def quarantined(self, station: str, message: Message | None, error: Exception) -> None:
        """A fact made the program fail: say so to everyone."""
        topic = None if message is None else message.topic
        problems = (f"{station}: {type(error).__name__}: {error}",)
        self.send(
            encoding.bridge_event(
                self._topics, event_type="quarantined", at=self._wall(), topic=topic, problems=problems
            )
        )

    def acknowledge(self, message: Message) -> None:
        """The broker may forget a message."""
        self._client.acknowledge(message)

    def unsubscribe(self, topic: str) -> None:
        """What comes there is nobody's any more."""
        self._client.unsubscribe(topic)

    def send(self, outgoing: Outgoing) -> None:
        """Publish, or drop when there is no broker: everything is said anew after a reconnect."""
        self.published += 1
        self._client.publish(
            outgoing.topic,
            outgoing.payload,
            qos=outgoing.qos,
            retain=outgoing.retain,
            expiry_s=outgoing.expiry_s,
            correlation=outgoing.correlation,
            register=outgoing.register,
            urgent=outgoing.urgent,
        )


def _nobody(_station: str) -> None:
    """Nobody was told what the device is."""
