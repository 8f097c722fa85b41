"""docs/device-profiles.md: what it has a person write and type is done here, and answers as it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from gateway import cli
from gateway.mqtt.profiles.units import UNITS
from gateway.settings.profile_files import ProfileFile
from gateway.settings.profile_rules import ReadFile
from gateway.settings.profiles import shipped_names

PAGE = (Path(__file__).parents[1] / "docs" / "device-profiles.md").read_text()
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
TYPED = [
    (match[1], match[2])
    for kind, text in BLOCKS
    if kind == "console"
    for match in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)
]


def block(beginning: str) -> str:
    (text,) = (text for _, text in BLOCKS if text.startswith(beginning))
    return text


@pytest.fixture
def _written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the page has a person write, where it says."""
    monkeypatch.chdir(tmp_path)
    Path("profiles").mkdir()
    Path("profiles/my-box.yaml").write_text(block("title: My box"))
    Path("my-box.steps.yaml").write_text(block("# my-box.steps.yaml"))


def typed(line: str) -> Result:
    program, *words = shlex.split(line)
    assert "ocpp-gateway" == program
    return CliRunner().invoke(cli.app, words)


@pytest.mark.usefixtures("_written")
@pytest.mark.parametrize("number", range(len(TYPED)))
def test_a_command_answers_as_the_page_says(number: int) -> None:
    """The mistake that it shows is made first."""
    line, answer = TYPED[number]
    if "cannot be used" in answer:
        file = Path("profiles/my-box.yaml")
        file.write_text(file.read_text().replace("unit: kWh", "unit: kwh"))

    assert answer == typed(line).output


@pytest.mark.usefixtures("_written")
def test_the_stations_of_the_page_can_be_used() -> None:
    """And so can the profile that was written, by its name."""
    stations = yaml.safe_load(block("stations:"))["stations"]
    own = {"name": "own", "connectors": [{"device": {"profile": "my-box", "base": "box1"}}]}
    whole = {
        "mqtt": {"url": "mqtt://broker.example"},
        "defaults": {"csms": {"url": "ws://csms.example"}},
        "stations": [*stations, own],
    }
    Path("gateway.yaml").write_text(yaml.safe_dump(whole))

    assert 0 == typed("ocpp-gateway check gateway.yaml").exit_code


def test_the_page_has_all_commands_of_its_walk() -> None:
    assert ["check", "check", "test", "test"] == [line.split()[2] for line, _ in TYPED]


def test_every_key_of_the_file_stands_on_the_page() -> None:
    keys = [*ProfileFile.model_fields, *ReadFile.model_fields]

    assert [] == [key for key in keys if f"`{key}`" not in PAGE]


def test_every_profile_and_every_unit_stands_on_the_page() -> None:
    assert [] == [name for name in shipped_names() if f"`{name}`" not in PAGE]
    units = [unit for known in UNITS.values() for unit in known if unit != "C"]
    assert [] == [unit for unit in units if not re.search(rf"(?<!\w){unit}(?!\w)", PAGE)]
