"""What Home Assistant is told: by its documented rules, and of documents that the gateway really publishes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import jinja2
import msgspec
import pytest

from gateway.homeassistant import messages
from gateway.homeassistant.messages import Described, Message
from gateway.homeassistant.told import Form
from gateway.mqtt import payloads_out
from gateway.mqtt.acl import ROLES
from gateway.mqtt.actions import PAYLOADS
from gateway.mqtt.actions import read as read_request
from gateway.mqtt.topics import Topics
from gateway.station.effects import ConnectorView, MeterView, StationView, TransactionView
from gateway.station.model import ConnectorConfig, Policy, StationConfig

ROOT = Path(__file__).parents[2]
TOPICS = Topics("ocpp")
FORMS: tuple[Form, ...] = ("device", "components")
ALL = Policy(allow_requests=frozenset({"start", "stop", "unlock", "limit", "operative", "reset"}))
DOCUMENTS: dict[str, type[msgspec.Struct]] = {
    "ocpp/garage/0/state": payloads_out.StationStatePayload,
    "ocpp/garage/{n}/state": payloads_out.ConnectorStatePayload,
    "ocpp/garage/{n}/meter/state": payloads_out.MeterStatePayload,
    "ocpp/garage/{n}/transaction": payloads_out.TransactionStatePayload,
    "ocpp/bridge/state": payloads_out.GatewayStatePayload,
    "ocpp/bridge/health": payloads_out.GatewayHealthPayload,
}
VIEWS = {
    payloads_out.StationStatePayload: StationView,
    payloads_out.ConnectorStatePayload: ConnectorView,
    payloads_out.MeterStatePayload: MeterView,
    payloads_out.TransactionStatePayload: TransactionView,
}
OPTIONS: dict[str, set[str]] = {
    "sensor": {
        "device_class", "state_class", "unit_of_measurement", "options", "last_reset_value_template",
        "suggested_display_precision", "json_attributes_topic",
    },
    "binary_sensor": {"device_class"},
    "number": {
        "device_class", "unit_of_measurement", "min", "max", "step", "command_topic", "command_template", "qos",
        "retain",
    },
    "switch": {"command_topic", "payload_on", "payload_off", "state_on", "state_off", "qos", "retain"},
    "button": {"command_topic", "payload_press", "device_class", "qos", "retain"},
    "event": {"event_types", "qos"},
}  # fmt: skip
"""What MQTT discovery knows of a platform, as far as it is used here; and of every entity:"""
COMMON = {
    "unique_id", "name", "icon", "entity_category", "availability", "availability_mode", "state_topic",
    "value_template", "platform", "default_entity_id", "object_id", "device", "origin",
}  # fmt: skip
UNITS = {
    "power": {"W"}, "energy": {"Wh"}, "current": {"A"}, "voltage": {"V"}, "battery": {"%"},
}  # fmt: skip
STATE_CLASSES = {"energy": {"total", "total_increasing"}}


def station(connectors: int = 2, **more: Any) -> Described:
    policy = more.pop("policy", ALL)
    plugs = tuple(ConnectorConfig(n=n, evse=n, connector=1, lock=True) for n in range(1, connectors + 1))
    config = StationConfig(
        name="garage", identity="CP1", csms_url="ws://csms", connectors=plugs, policy=policy, **more
    )
    return Described(config, "ACME", "X1", "0815", "1.2")


def components(described: Described | None = None) -> dict[str, dict[str, Any]]:
    (message,) = messages.of_station("device", "homeassistant", TOPICS, described or station())
    (gateway,) = messages.of_gateway("device", "homeassistant", TOPICS)
    made: dict[str, dict[str, Any]] = message.document["components"]
    if described is None:
        own = gateway.document["components"]
        made = made | {f"gateway {key}": component for key, component in own.items()}
    return made


def document_of(topic: str) -> type[msgspec.Struct]:
    return DOCUMENTS[topic] if topic in DOCUMENTS else DOCUMENTS[re.sub(r"/[12]/", "/{n}/", topic)]


def nothing(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """A document of which nothing is known yet, with every key."""
    lists: dict[str, Any] = {"errors": [], "current_a": [None] * 3, "voltage_v": [None] * 3, "online": False}
    return {field: lists.get(field) for field in kind.__struct_fields__}


def rendered(template: str, document: dict[str, Any], **more: Any) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    return environment.from_string(template).render(value_json=document, **more)


EVERY = components()


def test_the_message_of_a_station_has_what_is_required() -> None:
    """Topic, device, origin with a name, components; identifiers that fit into a topic."""
    (message,) = messages.of_station("device", "homeassistant", TOPICS, station())

    assert "homeassistant/device/ocpp_garage/config" == message.topic
    assert {"device", "origin", "availability", "availability_mode", "components"} == message.document.keys()
    assert message.document["origin"]["name"]
    device = message.document["device"]
    assert ["ocpp_garage"] == device["identifiers"]
    assert ("ACME", "X1", "0815", "1.2") == (
        device["manufacturer"], device["model"], device["serial_number"], device["sw_version"],
    )  # fmt: skip
    assert "ocpp_bridge" == device["via_device"]
    (gateway,) = messages.of_gateway("device", "homeassistant", TOPICS)
    assert ["ocpp_bridge"] == gateway.document["device"]["identifiers"]


@pytest.mark.parametrize("prefix", ["ocpp", "site/one"])
def test_no_topic_has_more_levels_than_discovery_knows(prefix: str) -> None:
    """`<prefix>/<component>/<node>/<object>/config`, and ids of letters, digits, - and _."""
    for form in FORMS:
        for message in messages.of_station(form, "homeassistant", Topics(prefix), station()):
            assert re.fullmatch(r"homeassistant/[a-z_]+(/[A-Za-z0-9_-]+){1,2}/config", message.topic)


def test_ids_are_unique_over_all_entities_and_stations() -> None:
    """Unique ids, and the entity ids that are proposed."""
    unique = [component["unique_id"] for component in EVERY.values()]
    proposed = [component["default_entity_id"] for component in EVERY.values()]

    assert len(set(unique)) == len(unique)
    assert len(set(proposed)) == len(proposed)
    assert all(re.fullmatch(r"[a-z_]+\.[a-z0-9_]+", entity_id) for entity_id in proposed)
    assert all(
        entity_id.partition(".")[0] == EVERY[key]["platform"]
        for key, entity_id in zip(EVERY, proposed, strict=True)
    )


@pytest.mark.parametrize("key", EVERY)
def test_an_entity_has_no_option_that_its_platform_does_not_know(key: str) -> None:
    """Unknown ones are passed over silently: a misspelt one would never be noticed."""
    component = EVERY[key]

    assert component.keys() <= COMMON | OPTIONS[component["platform"]]
    assert component["name"]
    assert component["unique_id"].startswith("ocpp_")


@pytest.mark.parametrize("key", [k for k, c in EVERY.items() if "device_class" in c])
def test_classes_and_units_fit_each_other(key: str) -> None:
    """Home Assistant refuses, or warns of, what does not."""
    component = EVERY[key]
    kind = component["device_class"]
    if kind in UNITS and component["platform"] in {"sensor", "number"}:
        assert component["unit_of_measurement"] in UNITS[kind]
    if component["platform"] == "sensor" and kind in UNITS:
        assert component["state_class"] in STATE_CLASSES.get(kind, {"measurement"})
    assert (kind == "enum") == ("options" in component)
    if "last_reset_value_template" in component:
        assert "total" == component["state_class"]


@pytest.mark.parametrize("key", [k for k, c in EVERY.items() if "value_template" in c])
def test_a_template_reads_only_what_is_always_there(key: str) -> None:
    """A key that is missing would be a warning for every message."""
    component = EVERY[key]
    kind = document_of(component["state_topic"])
    for name in ("value_template", "last_reset_value_template"):
        if name in component:
            text = rendered(component[name], nothing(kind))
            assert len(text) <= 255
    for place in component.get("availability", ()):
        assert rendered(place["value_template"], nothing(document_of(place["topic"]))) in {
            "online",
            "offline",
        }


@pytest.mark.parametrize("kind", VIEWS)
def test_what_is_published_has_every_key_of_its_document(kind: type[msgspec.Struct]) -> None:
    """The views of the core are what goes out."""
    assert kind.__struct_fields__ == VIEWS[kind].__struct_fields__


@pytest.mark.parametrize(
    ("key", "document", "text"),
    [
        ("1_plugged", {"plugged": True}, "ON"),
        ("1_plugged", {"plugged": False}, "OFF"),
        ("1_plugged", {"plugged": None}, "None"),
        ("1_status", {"status": "SuspendedEV"}, "SuspendedEV"),
        ("1_error", {"errors": []}, "none"),
        ("1_error", {"errors": ["GroundFailure", "HighTemperature"]}, "GroundFailure, HighTemperature"),
        ("1_error", {"errors": ["x" * 300]}, "x" * 250),
        ("1_current_l2", {"current_a": [1.0, 2.5, None]}, "2.5"),
        ("1_power", {"power_w": None}, "None"),
        ("1_reservation", {"reservation": None}, "none"),
        ("1_reservation", {"reservation": 0}, "0"),
        ("1_token", {"active": True, "id_token": "04…C4"}, "04…C4"),
        ("1_token", {"active": False, "id_token": "04…C4"}, "none"),
        ("1_limit", {"limit_local_a": None}, "32"),
        ("1_limit", {"limit_local_a": 8.0}, "8.0"),
        ("1_charging_allowed", {"limit_local_a": None}, "ON"),
        ("1_charging_allowed", {"limit_local_a": 0}, "OFF"),
        ("1_charging_allowed", {"limit_local_a": 8.0}, "ON"),
        ("connected", {"connected": True}, "ON"),
        ("last_error", {"last_error": None}, "none"),
        ("queued", {"queued": 3}, "3"),
        ("gateway problem", {"status": "degraded"}, "ON"),
    ],
)  # fmt: skip
def test_a_template_says_it_in_home_assistants_words(key: str, document: dict[str, Any], text: str) -> None:
    """ON and OFF, None for what is not known, else the value itself."""
    component = EVERY[key]
    kind = document_of(component["state_topic"])

    assert text == rendered(component["value_template"], nothing(kind) | document)


@pytest.mark.parametrize("key", [k for k, c in EVERY.items() if "command_topic" in c])
def test_what_is_asked_is_a_request_of_the_contract(key: str) -> None:
    """Each payload is understood, none is retained, and Home Assistant's account may say it."""
    component = EVERY[key]
    address = TOPICS.parse(component["command_topic"])
    assert address is not None
    assert address.name in PAYLOADS
    said = [component[name] for name in ("payload_on", "payload_off", "payload_press") if name in component]
    if "command_template" in component:
        said += [rendered(component["command_template"], {}, value=value) for value in (0, 8.5, 32)]

    assert said
    assert [None] * len(said) == [read_request(address, payload.encode()).refusal for payload in said]
    assert component["retain"] is False
    rights = next(role.rights for role in ROLES if role.account == "homeassistant")
    assert ("write", f"{{p}}/+/+/request/{address.name}") in rights


@pytest.mark.parametrize(
    ("value", "payload"), [(0, "0"), (8.5, "8.5"), (31, "31"), (32, "null"), ("32.0", "null")]
)
def test_the_highest_limit_is_none(value: object, payload: str) -> None:
    """The number at its maximum takes the local ceiling away."""
    assert payload == rendered(EVERY["1_limit"]["command_template"], {}, value=value)


def test_events_name_the_closed_lists() -> None:
    """An event type that is not in the list would be refused by Home Assistant."""
    for key, component in EVERY.items():
        if component["platform"] == "event":
            kind = component["state_topic"].rsplit("/", 1)[1]
            assert list(payloads_out.EVENT_TYPES[kind]) == component["event_types"], key


def test_a_card_at_the_stations_own_reader_is_seen() -> None:
    """It is the reader of the only connector; where there are several it has an entity of its own."""
    one, two = components(station(1)), components(station(2))

    assert "ocpp/garage/+/event/card" == one["1_card_event"]["state_topic"]
    assert "card_event" not in one
    assert ("ocpp/garage/1/event/card", "ocpp/garage/0/event/card") == (
        two["1_card_event"]["state_topic"], two["card_event"]["state_topic"],
    )  # fmt: skip


def test_only_what_is_allowed_and_possible_can_be_asked() -> None:
    """A button that always fails is worse than none."""
    few = Policy(allow_requests=frozenset({"stop"}))
    bare = station(1, policy=few)
    reports = station(1, report_only=True)

    assert ["1_stop"] == [key for key, c in components(bare).items() if "command_topic" in c]
    assert [] == [key for key, c in components(reports).items() if "command_topic" in c]


def test_a_station_with_one_connector_does_not_number_it() -> None:
    """`Power`, not `Connector 1 power`; the ids stay what they are when another comes."""
    one, two = components(station(1)), components(station(2))

    assert ("Power", "Connector 1 power") == (one["1_power"]["name"], two["1_power"]["name"])
    assert one["1_power"]["unique_id"] == two["1_power"]["unique_id"]
    assert one["1_power"]["default_entity_id"] == two["1_power"]["default_entity_id"]


def test_a_single_phase_connector_has_no_others() -> None:
    """Entities of phases that are not wired would be unknown for ever."""
    plug = ConnectorConfig(n=1, evse=1, connector=1, phases=1)
    config = StationConfig(name="garage", identity="CP1", csms_url="ws://csms", connectors=(plug,))

    assert "1_current_l1" in components(Described(config, "", ""))
    assert "1_current_l2" not in components(Described(config, "", ""))


def test_each_component_by_itself_says_the_same() -> None:
    """For old versions: its own topic, device and origin in each, object_id for the entity id."""
    (whole,) = messages.of_station("device", "homeassistant", TOPICS, station())
    single = messages.of_station("components", "homeassistant", TOPICS, station())

    assert len(whole.document["components"]) == len(single)
    for message in single:
        ((key, platform),) = message.components.items()
        assert f"homeassistant/{platform}/ocpp_garage/{key}/config" == message.topic
        known = whole.document["components"][key]
        assert known["unique_id"] == message.document["unique_id"]
        assert known["default_entity_id"] == f"{platform}.{message.document['object_id']}"
        assert message.document["device"] == whole.document["device"]
        assert "platform" not in message.document


def test_removed_components_are_named_once_more() -> None:
    """Only with their platform: so they go."""
    (message,) = messages.of_station("device", "homeassistant", TOPICS, station(1))
    removed = {"2_power": "sensor"}

    told = msgspec.json.decode(message.publishing(removed).payload)

    assert {"platform": "sensor"} == told["components"]["2_power"]
    assert "2_power" not in msgspec.json.decode(message.publishing().payload)["components"]
    assert message.publishing().retain


@pytest.mark.parametrize("connectors", [1, 8, 32, 200])
def test_no_message_is_larger_than_the_shipped_broker_takes(connectors: int) -> None:
    """max_packet_size of mosquitto/mosquitto.conf; larger stations are announced entity by entity."""
    shipped = (ROOT / "mosquitto/mosquitto.conf").read_text()
    (limit,) = re.findall(r"^max_packet_size (\d+)", shipped, re.MULTILINE)
    told = messages.of_station("device", "homeassistant", TOPICS, station(connectors))

    assert (len(told) == 1) == (connectors <= 8)
    assert max(len(message.publishing().payload) for message in told) < int(limit)
    assert all("object_id" not in message.document for message in told)


def test_two_prefixes_do_not_meet() -> None:
    """Two gateways at one broker."""
    ids = [
        component["unique_id"]
        for prefix, described in itertools.product(("ocpp", "other"), (station(),))
        for component in _components(
            messages.of_station("device", "homeassistant", Topics(prefix), described)
        )
    ]
    assert len(set(ids)) == len(ids)


def _components(told: list[Message]) -> list[dict[str, Any]]:
    return [component for message in told for component in message.document["components"].values()]
