"""From nothing to a configuration that can be used, and to the profile of a device that is there."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from typer.testing import CliRunner

from gateway.cli import app
from gateway.onboarding import contract_stations, proposals
from gateway.settings import load
from gateway.settings.profiles import found_profile, shipped_names
from tests.support.broker import Broker
from tests.support.mqtt_client import TestClient

if TYPE_CHECKING:
    from gateway.mqtt.profiles.model import Profile

KITS = Path(__file__).parent / "mqtt" / "profiles"
PROFILES: dict[str, Profile] = {
    name: found_profile(name, Path("/nowhere")) for name in shipped_names() if name != "plain-topics"
}
RUN = CliRunner()


def kit(name: str) -> tuple[dict[str, str], list[str]]:
    """The parameters of a profile's tests, and the topics that their device speaks on."""
    document = yaml.safe_load((KITS / f"{name}.yaml").read_text())
    topics = [step["receive"]["topic"] for step in document["steps"] if "receive" in step]
    return document["parameters"], [topic for topic in topics if not topic.endswith("/ocpp/rpc")]


@pytest.mark.parametrize("name", PROFILES)
def test_a_device_is_known_by_its_topics(name: str) -> None:
    """Of each profile, by what its own tests receive; beside the topics of others."""
    parameters, topics = kit(name)

    found = proposals([*topics, "home/kitchen/light", "zigbee2mqtt/bridge/state"], PROFILES)

    (one,) = [one for one in found if one.parameters.get("base") == parameters["base"]]
    assert name == one.profile
    assert set(one.topics) <= set(topics)


def test_devices_of_several_kinds_are_told_apart() -> None:
    """All that is shipped at one broker."""
    every = [topic for name in PROFILES for topic in kit(name)[1]]

    found = {(one.profile, one.parameters.get("base")) for one in proposals(every, PROFILES)}

    assert {(name, kit(name)[0]["base"]) for name in PROFILES} <= found


def test_a_topic_alone_proves_nothing() -> None:
    """`…/status` and `…/availability` are everybody's."""
    assert [] == proposals(["home/kitchen/status", "home/kitchen/availability", "tele/x/LWT"], PROFILES)


def test_devices_of_the_gateways_own_contract() -> None:
    """By station, without the gateway itself."""
    topics = [
        "ocpp/garage/1/status",
        "ocpp/garage/0/info",
        "ocpp/bridge/0/info",
        "ocpp/yard/2/setpoint",
        "x/y/1/status",
    ]

    assert ["garage"] == contract_stations(topics, "ocpp")


# ------------------------------------------------------------------ the commands


def test_init_writes_a_configuration_that_can_be_used(tmp_path: Path) -> None:
    """Everything from flags, nobody to ask."""
    file = tmp_path / "gateway.yaml"
    flags = [
        "--broker", "mqtts://broker.example", "--csms", "wss://csms.example/ocpp", "--ocpp", "2.0.1",
        "--station", "yard", "--identity", "DE*ABC*E1", "--connectors", "2",
    ]  # fmt: skip

    result = RUN.invoke(app, ["init", str(file), *flags])

    assert 0 == result.exit_code, result.output
    settings = load(file, {})
    (config,) = settings.station_configs()
    assert ("yard", "DE*ABC*E1", 2) == (config.name, config.identity, len(config.connectors))
    assert "mqtts://broker.example" == settings.mqtt.url
    assert "ocpp-gateway check" in result.output


def test_init_takes_a_device_with_topics_of_its_own(tmp_path: Path) -> None:
    """Its profile and base topic."""
    file = tmp_path / "gateway.yaml"
    flags = ["--csms", "ws://c", "--profile", "go-e", "--base", "go-eCharger/000001"]

    assert 0 == RUN.invoke(app, ["init", str(file), *flags]).exit_code

    (binding,) = load(file, {}).bindings()
    assert ("go-e", "go-eCharger/000001") == (binding.profile.name, binding.parameters["base"])


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ([], "The CSMS"),
        (["--csms", "htp://x"], "htp://x"),
        (["--csms", "ws://c", "--profile", "goe"], "goe"),
        (["--csms", "ws://c", "--profile", "go-e"], "base"),
        (["--csms", "ws://c", "--station", "my station"], "my station"),
    ],
)
def test_init_writes_nothing_that_could_not_be_used(tmp_path: Path, flags: list[str], named: str) -> None:
    """It says what is wrong instead."""
    result = RUN.invoke(app, ["init", str(tmp_path / "gateway.yaml"), *flags])

    assert 2 == result.exit_code
    assert named in result.output
    assert [] == list(tmp_path.iterdir())


def test_init_overwrites_nothing_unasked(tmp_path: Path) -> None:
    """--force does."""
    file = tmp_path / "gateway.yaml"
    file.write_text("mine")

    refused = RUN.invoke(app, ["init", str(file), "--csms", "ws://c"])
    forced = RUN.invoke(app, ["init", str(file), "--csms", "ws://c", "--force"])

    assert (2, 0) == (refused.exit_code, forced.exit_code)
    assert "--force" in refused.output
    assert file.read_text() != "mine"


async def test_devices_listens_and_proposes(tmp_path: Path) -> None:
    """Over a real broker, with what it keeps and what comes meanwhile; the configuration's line is printed."""
    async with Broker(tmp_path) as broker, TestClient(broker.port) as device:
        await device.publish("zigbee2mqtt/garage/plug/availability", {"state": "online"}, retain=True)
        await device.publish("zigbee2mqtt/garage/plug", {"state": "ON", "power": 0}, retain=True)
        await device.publish("ocpp/yard/0/info", {"contract": 1}, retain=True)
        found = await _run("devices", "--broker", broker.url, "--seconds", "1")
        nobody = await _run("devices", "--broker", "mqtt://127.0.0.1:1", "--seconds", "1")

    assert "device: {profile: zigbee2mqtt-plug, base: zigbee2mqtt/garage/plug}" in found
    assert "- name: yard" in found
    assert "no connection" in nobody


async def _run(*arguments: str) -> str:
    """The command in a process of its own: it has its own event loop."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return output.decode()
