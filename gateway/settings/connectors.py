"""What a station consists of: EVSEs, and the connectors at each."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from gateway.mqtt.topics import N_MAX
from gateway.settings.devices import Devices, decided
from gateway.settings.plugs import Plug
from gateway.settings.words import Finding, Section, refuse


class Connector(Plug):
    """One plug or socket."""

    device: Annotated[
        Devices,
        Field(
            title="Device",
            description="A device that speaks topics of its own: its profile and base topic. A list, where several "
            "(a switch and a meter, a reader) make one connector. Default: it speaks the gateway's contract.",
        ),
    ] = ()

    @model_validator(mode="before")
    @classmethod
    def _decided_by_profiles(cls, data: Any) -> Any:
        return decided(data)

    @model_validator(mode="after")
    def _one_of_each(self) -> Connector:
        parts = [device.read().part for device in self.device]
        for part, does in (("evse", "switch"), ("meter", "count")):
            if sum(one == part for one in parts) > 1:
                refuse([Finding(("device",), f"has two that {does}; a connector has one", hidden=True)])
        return self


class Evse(Section):
    """An EVSE: of its connectors one is used at a time."""

    id: Annotated[
        int | None, Field(title="EVSE id", description="For the reader: 1 for the first, and so on.", ge=1)
    ] = None
    connectors: Annotated[
        tuple[Connector, ...],
        Field(
            title="Connectors",
            description="A list, or a number of alike ones.",
            min_length=1,
            max_length=N_MAX,
        ),
    ] = (Connector(),)
