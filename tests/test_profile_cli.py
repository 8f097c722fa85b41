"""`ocpp-gateway profile`: what a person types to write a profile."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway import cli
from gateway.settings.profiles import shipped_names

STEPS = 'parameters: {base: b}\nsteps: [{receive: {topic: b/amp, payload: "1500"}, expect: [{availability: online}]}]\n'


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def typed(*words: str) -> Result:
    return CliRunner().invoke(cli.app, ["profile", *words])


def test_list_and_show_give_a_start_for_ones_own() -> None:
    """What is shown can be kept and judged as a file."""
    assert shipped_names() == [line.split()[0] for line in typed("list").stdout.splitlines()]
    Path("mine.yaml").write_text(typed("show", "openevse").stdout)

    result = typed("check", "mine.yaml")

    assert 0 == result.exit_code
    assert "The profile mine can be used: it reads 12 topics." in result.stdout


def test_check_names_the_line_and_ends_with_2() -> None:
    Path("mine.yaml").write_text("title: X\nread:\n  - topic: a\n    meter: {power_w: {unit: kg}}\n")

    result = typed("check", "mine.yaml")

    assert 2 == result.exit_code
    assert 'read[0].meter.power_w.unit (line 4): "kg" is no unit of power_w; allowed: W, kW' in result.stderr


def test_samples_show_what_they_become() -> None:
    """Also that a topic is none of the profile's."""
    result = typed("test", "openevse", "--sample", "openevse-7b2c/amp", "15000", "openevse-7b2c/x", "1")

    assert 0 == result.exit_code
    assert '  meter {"current_a":15.0}' in result.stdout
    assert "no topic of this profile" in result.stdout


def test_a_parameter_replaces_the_example() -> None:
    result = typed("test", "openevse", "-p", "base=b", "--sample", "b/vehicle", "1")

    assert '  status {"plugged":true}' in result.stdout


def test_steps_that_go_otherwise_end_with_1() -> None:
    Path("steps.yaml").write_text(STEPS)

    result = typed("test", "openevse", "--steps", "steps.yaml")

    assert 1 == result.exit_code
    assert "expected availability online" in result.stdout
    assert 'got      meter {"current_a":1.5}' in result.stdout
    assert "1 of 1 steps went otherwise than expected." in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("check", "nix"), '"nix" is no profile that is known'),
        (("test", "openevse"), "Give either --sample"),
        (("test", "openevse", "--sample", "a"), "a topic and a payload"),
        (("test", "openevse", "-p", "x", "--sample", "a", "b"), "write NAME=VALUE"),
        (("test", "openevse", "-p", "x=1", "--sample", "a", "b"), "x: no parameter of profile openevse"),
        (("check", "missing.yaml"), "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said(words: tuple[str, ...], said: str) -> None:
    result = typed(*words)

    assert 2 == result.exit_code
    assert said in result.stderr
