"""Wires Home Assistant's discovery to the stations, the store and the broker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from gateway.homeassistant import Announcer, Described, Stations, Ways
from gateway.mqtt.topics import BRIDGE, Subscription
from gateway.station.events import StatesWanted
from gateway.store import Write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.homeassistant.told import Form
    from gateway.mqtt.encoding import Outgoing
    from gateway.mqtt.outlet import Outlet
    from gateway.mqtt.session import MqttClient
    from gateway.mqtt.topics import Topics
    from gateway.runner import Runner
    from gateway.settings.general import HomeAssistant
    from gateway.store import Store

_log = structlog.get_logger("gateway")
_KIND = "home_assistant"
"""The store's records of what Home Assistant was told: id of a device → its components."""


def announcer(
    wanted: HomeAssistant,
    form: Form | None,
    topics: Topics,
    store: Store,
    runners: Mapping[str, Runner],
    client: MqttClient,
    outlet: Outlet,
    *,
    heartbeat: Callable[[], Outgoing],
) -> Announcer:
    """`runners` may still grow; `heartbeat` is what says that the gateway is there."""

    def keep(told: dict[str, bytes | None]) -> None:
        store.submit(BRIDGE, [Write(_KIND, id_, devices) for id_, devices in told.items()], _complain)

    made = Announcer(
        form,
        wanted.prefix,
        topics,
        birth_topic=None if form is None else wanted.birth_topic(),
        kept=store.load(BRIDGE).get(_KIND, {}),
        stations=Stations(
            names=lambda: list(runners),
            described=lambda name: _described(runners.get(name)),
            gateway_again=lambda: outlet.send(heartbeat()),
            states_again=lambda name: runners[name].take(StatesWanted()),
        ),
        ways=Ways(
            send=outlet.send,
            unsubscribe=client.unsubscribe,
            keep=keep,
            call_later=lambda after_s, then: asyncio.get_running_loop().call_later(after_s, then),
        ),
    )
    client.subscribe([Subscription(topic_filter, 0, 0) for topic_filter in made.filters])
    outlet.described_anew = made.changed
    return made


def _described(runner: Runner | None) -> Described | None:
    """The device's words, else the operator's; None when the station has gone meanwhile."""
    if runner is None:
        return None
    config, record = runner.station.state.config, runner.station.state.record
    return Described(
        config,
        record.vendor or config.vendor,
        record.model or config.model,
        config.serial or record.serial,
        config.firmware_version or record.firmware_version,
    )


def _complain(error: BaseException | None) -> None:
    if error is not None:
        _log.warning("What Home Assistant was told could not be kept.", reason=str(error))
