"""What Home Assistant has been told of one device: enough to take every part of it back."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

Form = Literal["device", "components"]
ORIGIN_NAME = "ocpp-mqtt-gateway"


class Told(Struct, frozen=True):
    """One device as it was announced."""

    prefix: str
    form: Form
    components: dict[str, str]
    """Key → platform."""

    @property
    def place(self) -> tuple[str, Form]:
        """Where a device may be announced only once."""
        return self.prefix, self.form

    def topics(self, id_: str) -> dict[str, dict[str, str]]:
        """Where it was said, with the components that each topic has."""
        if self.form == "device":
            return {device_topic(self.prefix, id_): self.components}
        return {
            component_topic(self.prefix, platform, id_, key): {key: platform}
            for key, platform in self.components.items()
        }


def device_topic(prefix: str, id_: str) -> str:
    return f"{prefix}/device/{id_}/config"


def component_topic(prefix: str, platform: str, id_: str, key: str) -> str:
    return f"{prefix}/{platform}/{id_}/{key}/config"


def filters(prefix: str) -> tuple[str, str]:
    """What is subscribed to, to hear what anybody announces."""
    return device_topic(prefix, "+"), component_topic(prefix, "+", "+", "+")


class _Origin(Struct):
    name: str


class _Place(Struct):
    topic: str


class _Component(Struct):
    platform: str


class _Heard(Struct):
    """As much of a discovery message as tells whose it is."""

    origin: _Origin
    availability: list[_Place]
    components: dict[str, _Component] = {}


def heard(topic: str, payload: bytes, prefix: str, gateway_state: str) -> tuple[str, Told] | None:
    """Whose device a retained message announced, and what of it; None when a gateway below our prefix never said it.

    `gateway_state` is the topic of our heartbeat: every announcement of ours names it first, and nobody else's does.
    """
    try:
        said = msgspec.json.decode(payload, type=_Heard)
    except msgspec.MsgspecError:
        return None
    if (
        said.origin.name != ORIGIN_NAME
        or not said.availability
        or said.availability[0].topic != gateway_state
    ):
        return None
    match topic.removeprefix(f"{prefix}/").split("/"):
        case ["device", id_, "config"]:
            components = {key: component.platform for key, component in said.components.items()}
            return id_, Told(prefix, "device", components)
        case [platform, id_, key, "config"]:
            return id_, Told(prefix, "components", {key: platform})
        case _:
            return None
