"""Which entities a station has, with what Home Assistant needs to know of each; its templates read our own documents.

Every key that a template reads is always in the document that it reads (gateway/mqtt/payloads_out.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.mqtt.payloads_out import EVENT_TYPES
from gateway.station.model import ConnectorStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.mqtt.topics import Topics
    from gateway.station.model import ConnectorConfig, StationConfig

Options = dict[str, Any]
Availability = tuple[tuple[str, str], ...]


class Entity(NamedTuple):
    """One component of a device."""

    key: str
    """Part of its identity: never changed."""
    platform: str
    name: str
    options: Options
    availability: Availability = ()
    """(topic, template), all of which must say `online`; empty: as the whole device."""


_ONLINE = "{{ 'online' if value_json.online else 'offline' }}"
GATEWAY_AVAILABLE = "{{ 'online' if value_json.state == 'online' else 'offline' }}"
_MOST_CHARACTERS = 250
"""A state of Home Assistant has at most 255."""

_POWER = {"device_class": "power", "state_class": "measurement", "unit_of_measurement": "W"}
_ENERGY = {"device_class": "energy", "unit_of_measurement": "Wh"}
_CURRENT = {"device_class": "current", "unit_of_measurement": "A"}
_AMPS = _CURRENT | {"state_class": "measurement"}
_VOLTS = {"device_class": "voltage", "state_class": "measurement", "unit_of_measurement": "V"}
_DIAGNOSTIC = {"entity_category": "diagnostic"}
_CONFIG = {"entity_category": "config"}


def availability(topics: Topics, station: str | None = None, n: int = 0) -> Availability:
    """Whether the gateway is there, and with it the device of a station or of one of its connectors."""
    gateway = (topics.bridge_state, GATEWAY_AVAILABLE)
    return (gateway,) if station is None else (gateway, (topics.view(station, n, "state"), _ONLINE))


def of_station(topics: Topics, config: StationConfig) -> Iterator[Entity]:
    """All entities of a station and its connectors."""
    for connector in config.connectors:
        yield from _of_connector(topics, config, connector)
    state = topics.view(config.name, 0, "state")
    always = availability(topics)
    seen = {"state_topic": state, "value_template": ""}
    yield Entity(
        "connected",
        "binary_sensor",
        "CSMS connection",
        seen | _DIAGNOSTIC | {"device_class": "connectivity", "value_template": _flag("connected")},
        always,
    )
    yield Entity(
        "online",
        "binary_sensor",
        "Device",
        seen | _DIAGNOSTIC | {"device_class": "connectivity", "value_template": _flag("online")},
        always,
    )
    for key, name, icon in (
        ("registration", "Registration", "mdi:clipboard-check-outline"),
        ("ocpp_version", "OCPP version", "mdi:tag-outline"),
        ("firmware_version", "Firmware", "mdi:chip"),
        ("last_error", "Last error", "mdi:alert-circle-outline"),
    ):
        yield Entity(
            key, "sensor", name, seen | _DIAGNOSTIC | {"value_template": _word(key), "icon": icon}, always
        )
    yield Entity(
        "queued",
        "sensor",
        "Waiting messages",
        seen
        | _DIAGNOSTIC
        | {"value_template": _plain("queued"), "state_class": "measurement", "icon": "mdi:tray-full"},
        always,
    )
    yield _events(topics.event(config.name, 0, "message"), "message_event", "Message", always)
    if len(config.connectors) > 1:
        yield _events(topics.event(config.name, 0, "card"), "card_event", "Card at the station")
    if config.report_only:
        return
    if "operative" in config.policy.allow_requests:
        yield Entity(
            "operative",
            "switch",
            "In service",
            seen
            | _CONFIG
            | _commanded(topics.request(config.name, 0, "operative"), "true", "false")
            | {"value_template": _flag("operative"), "icon": "mdi:ev-station"},
            always,
        )
    if "reset" in config.policy.allow_requests:
        yield _button(topics, config.name, 0, "reset", "Reset", _CONFIG | {"device_class": "restart"})


def _of_connector(topics: Topics, config: StationConfig, connector: ConnectorConfig) -> Iterator[Entity]:
    n = connector.n
    state = topics.view(config.name, n, "state")
    several = len(config.connectors) > 1
    available = availability(topics, config.name, n) if several else ()

    def entity(key: str, platform: str, name: str, topic: str, template: str, **options: Any) -> Entity:
        told = f"Connector {n} {name[0].lower()}{name[1:]}" if several else name
        seen = {"state_topic": topic, "value_template": template}
        return Entity(f"{n}_{key}", platform, told, seen | options, available)

    def named(name: str) -> str:
        return f"Connector {n} {name}" if several else name[0].upper() + name[1:]

    yield entity(
        "status", "sensor", "Status", state, _plain("status"),
        device_class="enum", options=[str(word) for word in ConnectorStatus], icon="mdi:ev-station",
        json_attributes_topic=state,
    )  # fmt: skip
    yield entity(
        "error", "sensor", "Error", state,
        f"{{{{ (value_json.errors | join(', '))[:{_MOST_CHARACTERS}] or 'none' }}}}",
        icon="mdi:alert-outline", **_DIAGNOSTIC,
    )  # fmt: skip
    yield entity("plugged", "binary_sensor", "Plugged", state, _flag("plugged"), device_class="plug")
    yield entity(
        "charging", "binary_sensor", "Charging", state, _flag("charging"), device_class="battery_charging"
    )
    yield entity("limit_in_force", "sensor", "Limit in force", state, _plain("limit_a"), **_AMPS)
    yield entity(
        "reservation", "sensor", "Reservation", state, _word("reservation"), icon="mdi:calendar-clock"
    )

    meter = topics.view(config.name, n, "meter/state")
    yield entity(
        "power", "sensor", "Power", meter, _plain("power_w"), suggested_display_precision=0, **_POWER
    )
    yield entity(
        "energy",
        "sensor",
        "Energy",
        meter,
        _plain("energy_import_wh"),
        state_class="total_increasing",
        **_ENERGY,
    )
    for index in range(connector.phases):
        for quantity, field, unit in (("Current", "current_a", _AMPS), ("Voltage", "voltage_v", _VOLTS)):
            yield entity(
                f"{quantity.lower()}_l{index + 1}", "sensor", f"{quantity} L{index + 1}", meter,
                _plain(f"{field}[{index}]"), **unit,
            )  # fmt: skip
    yield entity(
        "soc", "sensor", "State of charge", meter, _plain("soc_percent"),
        device_class="battery", state_class="measurement", unit_of_measurement="%",
    )  # fmt: skip

    transaction = topics.view(config.name, n, "transaction")
    yield entity(
        "session_energy", "sensor", "Session energy", transaction, _plain("energy_wh"),
        state_class="total", last_reset_value_template="{{ value_json.started_at or '' }}", **_ENERGY,
    )  # fmt: skip
    yield entity(
        "transaction", "sensor", "Transaction", transaction,
        "{{ value_json.transaction if value_json.active else 'none' }}", icon="mdi:identifier",
    )  # fmt: skip
    yield entity(
        "token", "sensor", "Token", transaction,
        "{{ (value_json.id_token or 'none') if value_json.active else 'none' }}",
        icon="mdi:card-account-details-outline",
    )  # fmt: skip
    for kind, name in (("card", "Card"), ("transaction", "Transaction event")):
        # where there is one connector, the station's reader is its own
        topic = topics.event(config.name, n, kind) if several else topics.events(config.name, kind)
        yield _events(topic, f"{n}_{kind}_event", named(name if not several else name.lower()), available)

    if config.report_only:
        return
    allowed = config.policy.allow_requests
    most = _number(connector.max_current_a)
    if "limit" in allowed:
        asked = topics.request(config.name, n, "limit")
        yield entity(
            "limit", "number", "Limit", state,
            f"{{{{ {most} if value_json.limit_local_a is none else value_json.limit_local_a }}}}",
            command_topic=asked, command_template=f"{{{{ 'null' if value | float >= {most} else value }}}}",
            min=0, max=most, step=1, qos=1, retain=False, **_CURRENT,
        )  # fmt: skip
        yield entity(
            "charging_allowed", "switch", "Charging allowed", state,
            "{{ 'OFF' if value_json.limit_local_a == 0 else 'ON' }}",
            icon="mdi:play-pause", **_commanded(asked, "null", "0"),
        )  # fmt: skip
    if "stop" in allowed:
        yield _button(topics, config.name, n, "stop", named("stop"), {"icon": "mdi:stop"}, available)
    if "unlock" in allowed and connector.lock:
        yield _button(
            topics, config.name, n, "unlock", named("unlock"), {"icon": "mdi:lock-open-variant"}, available
        )


def of_gateway(topics: Topics) -> Iterator[Entity]:
    """The gateway itself: what connects all stations."""
    seen = {"state_topic": topics.bridge_health, **_DIAGNOSTIC}
    yield Entity(
        "health", "sensor", "Health",
        seen | {"value_template": _plain("status"), "device_class": "enum", "options": ["ok", "degraded", "failing"]},
    )  # fmt: skip
    yield Entity(
        "problem", "binary_sensor", "Problem",
        seen | {"value_template": "{{ 'OFF' if value_json.status == 'ok' else 'ON' }}", "device_class": "problem"},
    )  # fmt: skip
    for key, name, icon in (
        ("stations", "Stations", "mdi:ev-station"),
        ("connected", "Stations connected", "mdi:lan-connect"),
        ("queued", "Waiting messages", "mdi:tray-full"),
    ):
        yield Entity(
            key,
            "sensor",
            name,
            seen | {"value_template": _plain(key), "state_class": "measurement", "icon": icon},
        )


# ------------------------------------------------------------------ pieces


def _plain(key: str) -> str:
    return f"{{{{ value_json.{key} }}}}"


def _flag(key: str) -> str:
    """ON, OFF, or unknown where nobody knows."""
    return f"{{{{ 'None' if value_json.{key} is none else 'ON' if value_json.{key} else 'OFF' }}}}"


def _word(key: str) -> str:
    """The text, `none` for null; as long as a state may be."""
    return (
        f"{{{{ 'none' if value_json.{key} is none else (value_json.{key} | string)[:{_MOST_CHARACTERS}] }}}}"
    )


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value


def _commanded(topic: str, on: str, off: str) -> Options:
    return {
        "command_topic": topic,
        "payload_on": on,
        "payload_off": off,
        "state_on": "ON",
        "state_off": "OFF",
        "qos": 1,
        "retain": False,
    }


def _button(
    topics: Topics,
    station: str,
    n: int,
    action: str,
    name: str,
    options: Options,
    available: Availability = (),
) -> Entity:
    asked = {
        "command_topic": topics.request(station, n, action),
        "payload_press": "{}",
        "qos": 1,
        "retain": False,
    }
    return Entity(f"{n}_{action}" if n else action, "button", name, asked | options, available)


def _events(topic: str, key: str, name: str, available: Availability = ()) -> Entity:
    options = {"state_topic": topic, "event_types": list(EVENT_TYPES[topic.rpartition("/")[2]]), "qos": 1}
    return Entity(key, "event", name, options, available)
