"""Devices that speak our contract for a station that nobody has configured: who they are, until they are taken in."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from gateway.mqtt.fields import NotJsonError, json_of
from gateway.mqtt.timestamps import rfc3339

if TYPE_CHECKING:
    from gateway.mqtt.topics import Address

MOST = 100
"""More are not remembered; those that have been silent longest go."""
_WORDS = ("vendor", "model", "serial", "firmware_version")


class Candidates:
    """What unknown stations said of themselves."""

    def __init__(self) -> None:
        """Nobody was heard yet."""
        self._known: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def heard(self, address: Address, payload: bytes, at: float) -> None:
        """A message of a station that is not configured; `at` is wall-clock time."""
        one = self._known.setdefault(
            address.station, {"name": address.station, **dict.fromkeys(_WORDS), "connectors": 1}
        )
        self._known.move_to_end(address.station)
        one["last_heard"] = rfc3339(at)
        one["connectors"] = max(one["connectors"], address.n)
        if address.channel == "info":
            try:
                document = json_of(payload)
            except NotJsonError:
                document = None
            if isinstance(document, dict):
                one |= {word: document[word][:64] for word in _WORDS if isinstance(document.get(word), str)}
                connectors = document.get("connectors")
                if isinstance(connectors, list) and 0 < len(connectors) <= MOST:
                    one["connectors"] = len(connectors)
        if len(self._known) > MOST:
            self._known.popitem(last=False)

    def all(self) -> list[dict[str, Any]]:
        """The one heard last comes last."""
        return [dict(one) for one in self._known.values()]

    def connectors(self, name: str) -> int:
        """How many it has, as far as it is known."""
        one = self._known.get(name)
        return 1 if one is None else int(one["connectors"])

    def forget(self, name: str) -> None:
        """It is a station now."""
        self._known.pop(name, None)
