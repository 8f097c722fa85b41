"""The Home Assistant add-on: what its form asks, what is offered as an answer, and what becomes of it agree."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import gateway
from gateway.settings import load

_ADDON = Path(__file__).parents[1] / "docker" / "home-assistant-addon"
_CONFIG: dict[str, Any] = yaml.safe_load((_ADDON / "config.yaml").read_text())
_KINDS: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "password": str,
}


@pytest.fixture(scope="module")
def start() -> ModuleType:
    """The add-on's start, without starting it."""
    spec = importlib.util.spec_from_file_location("addon_start", _ADDON / "start.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _fits(value: object, kind: str) -> bool:
    """Whether the Supervisor would take a value for a type of its schema."""
    word, bounds = re.fullmatch(r"(\w+)(?:\((.*)\))?\??", kind, re.DOTALL).groups()  # type: ignore[union-attr]
    if word == "list":
        return value in bounds.split("|")
    if word == "match":
        return isinstance(value, str) and re.match(bounds, value) is not None
    return isinstance(value, _KINDS[word])


def test_it_has_what_the_supervisor_asks_for() -> None:
    """Name, version (the gateway's), slug, description, architectures; each with a value that is allowed."""
    assert gateway.__version__ == _CONFIG["version"]
    assert re.fullmatch(r"[a-z0-9_]+", _CONFIG["slug"])
    assert {"amd64", "aarch64"} == set(_CONFIG["arch"])
    assert _CONFIG["startup"] in {"initialize", "system", "services", "application", "once"}
    assert _CONFIG["services"] == ["mqtt:need"]
    assert all(_CONFIG[key] for key in ("name", "description"))


def test_what_is_preset_fits_its_form() -> None:
    """Each preset option has a type in the schema, and is of that type."""
    schema, options = _CONFIG["schema"], _CONFIG["options"]
    assert _fits(options["log_level"], schema["log_level"])
    for station in options["stations"]:
        assert all(_fits(value, schema["stations"][0][name]) for name, value in station.items())
        needed = {name for name, kind in schema["stations"][0].items() if not kind.endswith("?")}
        assert needed <= set(station)


@pytest.mark.parametrize("language", ["en", "de"])
def test_each_option_is_explained(language: str) -> None:
    """In every language the form has a name and a sentence for each option and port, and for nothing else."""
    told = yaml.safe_load((_ADDON / "translations" / f"{language}.yaml").read_text())

    assert set(_CONFIG["schema"]) == set(told["configuration"])
    assert all(entry["name"] and entry["description"] for entry in told["configuration"].values())
    assert set(_CONFIG["ports"]) == set(told["network"])


def test_every_answer_of_the_form_reaches_the_gateway(start: ModuleType, tmp_path: Path) -> None:
    """A form filled in whole becomes a configuration that can be used, with each value in its place."""
    station = {
        "name": "garage", "csms_url": "wss://csms.example/ocpp", "identity": "CP1", "version": "1.6",
        "password": "4f43415f4f4354545f61646d696e5f74", "connectors": 2, "max_current_a": 16, "phases": 1,
        "plug_sensor": False,
    }  # fmt: skip
    assert set(_CONFIG["schema"]["stations"][0]) == set(station)
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(start.configuration({"log_level": "debug", "stations": [station]})))

    settings = load(file, {"OCPP_GATEWAY_SECRETS_DIR": str(tmp_path)})

    assert "debug" == settings.log.level
    [config] = settings.station_configs()
    assert ("garage", "CP1", ("ocpp1.6",)) == (config.name, config.identity, config.versions)
    assert [(16.0, 1, False)] * 2 == [(c.max_current_a, c.phases, c.plug_sensor) for c in config.connectors]
    assert bytes.fromhex(station["password"]) == settings.link_config("garage").password  # type: ignore[arg-type]


def test_the_least_that_the_form_asks_is_enough(start: ModuleType, tmp_path: Path) -> None:
    """What is preset can be used as it is."""
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(start.configuration(_CONFIG["options"])))

    assert ["garage"] == [s.name for s in load(file, {}).station_configs()]


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (
            {"host": "core-mosquitto", "port": 1883, "username": "addons", "password": "p", "ssl": False},
            ("mqtt://core-mosquitto:1883", "addons", "p"),
        ),
        ({"host": "broker", "port": 8883, "ssl": True}, ("mqtts://broker:8883", None, None)),
    ],
)
def test_the_broker_is_home_assistants(
    start: ModuleType, service: dict[str, Any], said: tuple[str | None, ...]
) -> None:
    """Address and account as the Supervisor tells them."""
    environment = start.environment(service, Path("/data"))

    names = ("URL", "USERNAME", "PASSWORD")
    assert said == tuple(environment.get(f"OCPP_GATEWAY_MQTT__{name}") for name in names)
