"""Discovery messages: one for a whole device, or, for versions that do not know that, one for each component."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Struct

from gateway import __version__
from gateway.homeassistant import entities
from gateway.homeassistant.told import ORIGIN_NAME, component_topic, device_topic
from gateway.mqtt.encoding import Outgoing
from gateway.mqtt.topics import BRIDGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.homeassistant.entities import Availability, Entity
    from gateway.homeassistant.told import Form
    from gateway.mqtt.topics import Topics
    from gateway.station.model import StationConfig

ORIGIN = {"name": ORIGIN_NAME, "sw_version": __version__}
_MOST_BYTES = 200_000
"""A larger station is announced entity by entity: brokers have a limit for packets, the shipped one 256 KiB."""
_NOT_AN_ID = re.compile(r"[^A-Za-z0-9_-]")
_NOT_A_SLUG = re.compile(r"[^a-z0-9]+")


class Described(NamedTuple):
    """A station as Home Assistant is told of it."""

    config: StationConfig
    vendor: str
    model: str
    serial: str | None = None
    firmware_version: str | None = None


class Message(Struct, frozen=True):
    """A discovery message as it is to be published."""

    topic: str
    form: Form
    components: dict[str, str]
    """Key → platform; of a single component just the one."""
    document: dict[str, Any]

    def publishing(self, removed: dict[str, str] | None = None) -> Outgoing:
        """As it goes out; `removed` components are named once more, so that they go."""
        document = self.document
        if removed:
            gone = {key: {"platform": platform} for key, platform in removed.items()}
            document = document | {"components": gone | document["components"]}
        return Outgoing(self.topic, msgspec.json.encode(document), 1, retain=True)


def of_station(form: Form, prefix: str, topics: Topics, described: Described) -> list[Message]:
    """What announces a station."""
    config = described.config
    device: dict[str, Any] = {
        "identifiers": [id_of(topics, config.name)],
        "name": config.name,
        "manufacturer": described.vendor,
        "model": described.model,
        "via_device": id_of(topics, BRIDGE),
    }
    if described.serial:
        device["serial_number"] = described.serial
    if described.firmware_version:
        device["sw_version"] = described.firmware_version
    made = entities.of_station(topics, config)
    return _messages(
        form, prefix, topics, config.name, device, made, entities.availability(topics, config.name)
    )


def of_gateway(form: Form, prefix: str, topics: Topics) -> list[Message]:
    """What announces the gateway, through which Home Assistant reaches the stations."""
    device = {
        "identifiers": [id_of(topics, BRIDGE)],
        "name": "OCPP gateway" if topics.prefix == "ocpp" else f"OCPP gateway {topics.prefix}",
        "manufacturer": ORIGIN["name"],
        "model": "OCPP-MQTT gateway",
        "sw_version": __version__,
    }
    made = entities.of_gateway(topics)
    return _messages(form, prefix, topics, BRIDGE, device, made, entities.availability(topics))


def _messages(
    form: Form,
    prefix: str,
    topics: Topics,
    name: str,
    device: dict[str, Any],
    made: Iterable[Entity],
    availability: Availability,
) -> list[Message]:
    id_ = id_of(topics, name)
    shared = {"availability": _places(availability), "availability_mode": "all"}
    shown = id_ if name == BRIDGE else name  # there may be other bridges in a house
    components: dict[str, dict[str, Any]] = {}
    for entity in made:
        slug = _NOT_A_SLUG.sub("_", f"{shown}_{entity.key}".lower()).strip("_")
        named = (
            {"default_entity_id": f"{entity.platform}.{slug}"} if form == "device" else {"object_id": slug}
        )
        components[entity.key] = {
            "platform": entity.platform,
            "unique_id": f"{id_}_{entity.key}",
            "name": entity.name,
            **named,
            **entity.options,
        }
        if entity.availability:
            components[entity.key]["availability"] = _places(entity.availability)
    if form == "device":
        whole = Message(
            device_topic(prefix, id_),
            "device",
            {key: component["platform"] for key, component in components.items()},
            {"device": device, "origin": ORIGIN, **shared, "components": components},
        )
        if len(whole.publishing().payload) <= _MOST_BYTES:
            return [whole]
    return [
        Message(
            component_topic(prefix, component["platform"], id_, key),
            "components",
            {key: component["platform"]},
            {
                **shared,
                **{option: value for option, value in component.items() if option != "platform"},
                "device": device,
                "origin": ORIGIN,
            },
        )
        for key, component in components.items()
    ]


def _places(availability: Availability) -> list[dict[str, str]]:
    return [{"topic": topic, "value_template": template} for topic, template in availability]


def id_of(topics: Topics, name: str) -> str:
    """Identifies a station, or BRIDGE, in topics and in Home Assistant's registries."""
    return _NOT_AN_ID.sub("_", f"{topics.prefix}_{name}")
