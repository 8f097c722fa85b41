"""docs/mqtt.md tells all that the types know."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from gateway.mqtt import payloads_in, payloads_out
from gateway.mqtt.payloads_out import EVENT_TYPES
from gateway.mqtt.topics import ACTIONS, BRIDGE_ACTIONS, PREFIX_MAX_BYTES, SETPOINT_MAX_BYTES

PAGE = (Path(__file__).parents[2] / "docs" / "mqtt.md").read_text()
TYPES = [
    kind
    for module in (payloads_in, payloads_out)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not msgspec.Struct
]


@pytest.mark.parametrize(
    "kind", [k for k in TYPES if k.__name__ not in ("GatewayInfoPayload", "GatewayHealthPayload")]
)
def test_every_field_stands_on_the_page(kind: type[msgspec.Struct]) -> None:
    """Health and info of the gateway are described by their schemas only."""
    assert [field for field in kind.__struct_fields__ if not re.search(rf"\b{field}\b", PAGE)] == []


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_list_of_events_stands_on_the_page(kind: str) -> None:
    """To the word, in order."""
    assert f"| `{kind}` | {', '.join(EVENT_TYPES[kind])} |" in PAGE


@pytest.mark.parametrize("action", [*ACTIONS, *BRIDGE_ACTIONS])
def test_every_request_stands_on_the_page(action: str) -> None:
    """As a row of its own."""
    assert f"\n| `{action}` |" in PAGE


def test_the_limits_stand_on_the_page() -> None:
    """Those of the prefix and of a setpoint."""
    assert f"at most {PREFIX_MAX_BYTES} characters" in PAGE
    assert f"never more than {SETPOINT_MAX_BYTES} bytes" in " ".join(PAGE.split())
