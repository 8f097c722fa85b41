"""The grammar of topics, both ways."""

from __future__ import annotations

import pytest

from gateway.mqtt.topics import (
    PREFIX_MAX_BYTES,
    Address,
    Topics,
    check_prefix,
    check_station_name,
)

TOPICS = Topics("ocpp")


@pytest.mark.parametrize(
    ("topic", "address"),
    [
        ("ocpp/garage/1/status", Address("garage", 1, "status")),
        ("ocpp/garage/0/info", Address("garage", 0, "info")),
        ("ocpp/Garage-2_x/12/meter", Address("Garage-2_x", 12, "meter")),
        ("ocpp/garage/1/availability", Address("garage", 1, "availability")),
        ("ocpp/garage/1/availability/reader", Address("garage", 1, "availability", "reader")),
        ("ocpp/garage/1/request/limit", Address("garage", 1, "request", "limit")),
        ("ocpp/bridge/request/health", Address("bridge", 0, "request", "health")),
        ("ocpp/bridge/state", Address("bridge", 0, "state")),
        ("ocpp/bridge/marker/gw", Address("bridge", 0, "marker", "gw")),
    ],
)
def test_reads_every_topic_that_it_listens_to(topic: str, address: Address) -> None:
    """The same answer the second time, when it comes from memory."""
    assert [TOPICS.parse(topic), TOPICS.parse(topic)] == [address, address]


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "ocpp",
        "ocpp/garage/1",
        "ocpp/garage/01/status",
        "ocpp/garage/-1/status",
        "ocpp/garage/٣/status",
        "ocpp/garage/1000/status",
        "ocpp/garage/1/status/x",
        "ocpp/garage/1/setpoint",
        "ocpp/garage/1/request",
        "ocpp/garage/1/request/",
        "ocpp/garage/1/availability/",
        "ocpp/gar age/1/status",
        "ocpp//1/status",
        "ocpp/" + "x" * 49 + "/1/status",
        "ocpp/bridge/1/status",
        "ocpp/Bridge/1/status",
        "ocpp/bridge/info",
        "ocppx/garage/1/status",
        "other/garage/1/status",
    ],
)
def test_other_topics_are_nobodys(topic: str) -> None:
    """One connector has one spelling, and our own topics are not read back."""
    assert TOPICS.parse(topic) is None


def test_memory_of_topics_is_bounded() -> None:
    """A flood of invented topics cannot fill the memory."""
    topics = Topics("ocpp")
    for i in range(70_000):
        topics.parse(f"ocpp/s{i}/1/status")

    assert len(topics._parsed) <= 65536


def test_a_prefix_may_have_levels() -> None:
    """As long as it leaves room for a setpoint in a small buffer."""
    topics = Topics("home/charging")

    assert topics.parse("home/charging/garage/1/card") == Address("garage", 1, "card")
    assert topics.setpoint("garage", 1) == "home/charging/garage/1/setpoint"


@pytest.mark.parametrize(
    "prefix", ["", "/ocpp", "ocpp/", "a//b", "oc+pp", "#", "$SYS", "x" * (PREFIX_MAX_BYTES + 1)]
)
def test_refuses_a_prefix_that_cannot_be(prefix: str) -> None:
    """With a sentence that quotes it."""
    with pytest.raises(ValueError, match="topic prefix"):
        check_prefix(prefix)


@pytest.mark.parametrize("name", ["", "a b", "ä", "a/b", "x" * 49, "bridge", "BRIDGE"])
def test_refuses_a_station_name_that_cannot_be(name: str) -> None:
    """With a sentence that quotes it."""
    with pytest.raises(ValueError, match=f'station name "{name}"'):
        check_station_name(name)


def test_only_meter_is_subscribed_to_at_qos_0() -> None:
    """What must not be lost comes at QoS 1."""
    qos = {wanted.filter: wanted.qos for wanted in TOPICS.subscriptions()}

    assert [name for name, level in qos.items() if level == 0] == ["ocpp/+/+/meter"]
    assert set(qos.values()) == {0, 1}


def test_subscribes_to_nothing_that_it_publishes() -> None:
    """But for the heartbeat, in which it looks for a second gateway."""
    own = [
        *TOPICS.retained("garage", 0),
        *TOPICS.retained("garage", 1),
        TOPICS.command("garage", 1, "unlock"),
        TOPICS.event("garage", 1, "card"),
        TOPICS.response(Address("garage", 1, "request", "stop")),
        TOPICS.response(Address("bridge", 0, "request", "health")),
        TOPICS.bridge_info,
        TOPICS.bridge_health,
        TOPICS.bridge_event,
    ]

    heard = [
        topic for topic in own if any(_matches(wanted.filter, topic) for wanted in TOPICS.subscriptions())
    ]
    assert heard == []


@pytest.mark.parametrize(
    "topic",
    [
        "ocpp/garage/1/response/stop",
        "ocpp/garage/1/response/stop/node-red-7",
        "ocpp/bridge/response/health",
        "replies/node-red/7",
    ],
)
def test_replies_where_it_may(topic: str) -> None:
    """Below our own `response` topics and the configured prefixes."""
    assert Topics("ocpp", ("replies",)).may_reply_to(topic)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "ocpp/garage/1/command/unlock",
        "ocpp/garage/1/setpoint",
        "ocpp/garage/1/request/response",
        "ocpp/response/1/setpoint",
        "ocpp/garage/1/response",
        "ocpp/garage/1/response/",
        "ocpp/bridge/state",
        "homeassistant/x/config",
        "replies/+/7",
        "repliesx/7",
        "ocpp/garage/1/response/" + "x" * 300,
    ],
)
def test_replies_nowhere_else(topic: str) -> None:
    """Nobody can make the gateway publish on a topic that means something else."""
    assert not Topics("ocpp", ("replies",)).may_reply_to(topic)


def _matches(wanted: str, topic: str) -> bool:
    pattern, levels = wanted.split("/"), topic.split("/")
    return len(pattern) == len(levels) and all(
        p in ("+", level) for p, level in zip(pattern, levels, strict=True)
    )
