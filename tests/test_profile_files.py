"""Profile files: what an author may write, and what is said about mistakes, each with its line."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.mqtt.profiles.model import Profile
from gateway.settings import SettingsError
from gateway.settings.profile_kit import run
from gateway.settings.profiles import found_profile, load_profile, shipped_names, warnings

Load = Callable[[str], Profile]

SWITCH = """
    title: A plug
    connector: {limiting: on_off, plug_sensor: false}
    silence_s: 60
    read:
      - topic: "{base}/state"
        confirm: {map: {"on": true, "off": false}}
    setpoint:
      on: [{topic: "{base}/set", payload: "on"}]
      off: [{topic: "{base}/set", payload: "off"}]
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    def load_text(text: str) -> Profile:
        file = tmp_path / "my-box.yaml"
        file.write_text(textwrap.dedent(text).lstrip())
        return load_profile(file)

    return load_text


@pytest.fixture
def refused(loaded: Load) -> Callable[[str], list[str]]:
    def problems(text: str) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            loaded(text)
        return [str(problem) for problem in caught.value.problems]

    return problems


def test_every_mistake_is_told_with_its_line(refused: Callable[[str], list[str]]) -> None:
    """Unknown fact, missing and wrong unit, unknown placeholder, broken path, broken and curious templates."""
    problems = refused(
        """
        title: A box
        read:
          - topic: "{bass}/power"
            meter:
              power_w: {}
              energy_import_wh: {unit: kW}
              current: {unit: A}
          - topic: "{base}/#"
            path: "a..b"
            status:
              plugged: {template: "{{ valu }}"}
              charging: {template: "{% if %}"}
        """
    )

    assert [
        "line 3" in problems[0]
        and "{bass}, which is no parameter of this profile; did you mean" in problems[0],
        "line 5" in problems[1]
        and "in which unit does the device count power_w? allowed: W, kW" in problems[1],
        "line 6" in problems[2] and '"kW" is no unit of energy_import_wh; allowed: Wh, kWh' in problems[2],
        "line 7" in problems[3] and 'is no fact of meter; did you mean "current_a"?' in problems[3],
        "line 8" in problems[4] and "has a wildcard" in problems[4],
        "line 9" in problems[5] and 'is no path at "..b"' in problems[5],
        "line 11" in problems[6] and "asks for valu, which nobody knows here" in problems[6],
        "line 12" in problems[7] and "is no Jinja2 template (its line 1)" in problems[7],
    ] == [True] * 8, problems


@pytest.mark.parametrize(
    ("addition", "said"),
    [
        ("keepalive: {every_s: 60, timer_s: 90}", "every_s (line 10): 60 leaves no room for a lost message"),
        ("commands: {unlock: {send: [{topic: x}]}}", "commands.unlock (line 10): never ends"),
        ("commands: {explode: {send: [{topic: x}]}}", "is not allowed; allowed: measure, unlock, reset, card_result"),
        ("connector: {limiting: perhaps}", "stands here twice"),
        ("info: {size: 3}", "info.size (line 10): is not told here; allowed: model, vendor"),
        ("parameters: {value: {title: X}}", "parameters.value (line 10): is no name for a parameter"),
        ("charging_from_power: {above_w: 10}", "charging_from_power.below_w"),
        ("on_connect: [{topic: x, payload: '{{ limit_a }}'}]", "asks for limit_a, which nobody knows here"),
        ("commands: {measure: {send: [{topic: x, payload: '{{ timer_s }}'}]}}", "asks for timer_s, which nobody"),
        ("colour: red", "colour (line 10): is no key that is known here"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(refused: Callable[[str], list[str]], addition: str, said: str) -> None:
    assert said in "\n".join(refused(f"{textwrap.dedent(SWITCH)}{addition}\n"))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("status: {plugged: {map: {1: maybe}}}", "status.plugged.map.1 (line 3): cannot be meant: plugged"),
        ("status: {control_pilot: {map: {1: A}, otherwise: G}}", "status.control_pilot.otherwise (line 3)"),
        ("status: {errors: {map: {1: [{kode: X}]}}}", "status.errors.map.1 (line 3): cannot be meant: errors"),
        ("availability: {map: {1: here}}", "is no meaning that it can have; allowed: false, offline, online, true"),
        ("confirm: {map: {1: [true]}}", "is no meaning that it can have; allowed: false, true"),
        ("changes_only: true", "changes_only (line 3): true is for cards and reports"),
    ],
)  # fmt: skip
def test_what_a_word_cannot_mean_is_refused(
    refused: Callable[[str], list[str]], rule: str, said: str
) -> None:
    """A device would have to say it before anybody noticed."""
    (problem,) = refused(f"title: X\nread:\n  - {{topic: x, {rule}}}\n")

    assert said in problem


def test_a_switch_that_nothing_switches_off_is_warned_of(loaded: Load) -> None:
    """A dead man's timer makes the warning go."""
    (warning,) = warnings(loaded(SWITCH))
    kept = loaded(f"{textwrap.dedent(SWITCH)}keepalive: {{every_s: 30, timer_s: 90}}\n")

    again = loaded(f"{textwrap.dedent(SWITCH)}keepalive: {{every_s: 30}}\n")

    assert "what was on stays on" in warning
    assert [warning] == warnings(again)
    assert [] == warnings(kept)


def test_what_cannot_be_known_is_warned_of(loaded: Load) -> None:
    """No read-back, no presence, no plug."""
    profile = loaded(
        """
        title: A box
        read: [{topic: "{base}/power", meter: {power_w: {unit: W}}}]
        setpoint: {on: [{topic: x, payload: "1"}], off: [{topic: x, payload: "0"}]}
        """
    )

    assert ["no topic is read back", "looks alive", "plug_sensor: false"] == [
        next(
            part for part in ("no topic is read back", "looks alive", "plug_sensor: false") if part in warning
        )
        for warning in warnings(profile)
    ]


WITHOUT_A_TIMER = {"esphome-switch", "shelly-gen1-switch", "zigbee2mqtt-plug"}
"""Their devices have none that the gateway could count on; their own texts say so."""


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_profile_has_no_warning_but_that_of_a_device_without_a_timer(name: str) -> None:
    """What is on stays on when nobody is left to say off."""
    warned = warnings(found_profile(name, Path("/nowhere")))

    assert len(warned) == (name in WITHOUT_A_TIMER)
    assert all("auto-off timer" in warning for warning in warned)


def test_parameters_of_a_device_are_complete_or_refused(loaded: Load) -> None:
    """Defaults may use what stands before them."""
    profile = found_profile("openevse", Path("/nowhere"))

    assert {"base": "a/openevse-77", "announce": "openevse/announce/77"} == profile.complete(
        {"base": "a/openevse-77"}
    )
    with pytest.raises(ValueError, match=r"base \(Base topic of its MQTT settings\): missing"):
        profile.complete({})
    for base in ("evse/+", "evse/#", "evse/"):
        with pytest.raises(ValueError, match=r"base: .*evse/"):
            profile.complete({"base": base})
    with pytest.raises(ValueError, match="bass: no parameter of profile openevse; it has base, announce"):
        profile.complete({"base": "a", "bass": "b"})


def test_ones_own_profile_is_found_beside_the_configuration(tmp_path: Path) -> None:
    """As a file, or by name below profiles/, where it goes before one that is shipped."""
    (tmp_path / "profiles").mkdir()
    for file in (tmp_path / "mine.yaml", tmp_path / "profiles" / "openevse.yaml"):
        file.write_text(textwrap.dedent(SWITCH))

    assert "mine" == found_profile("mine.yaml", tmp_path).name
    assert "A plug" == found_profile("openevse", tmp_path).title
    with pytest.raises(ValueError, match='did you mean "openevse"'):
        found_profile("open-evse", tmp_path)


def test_a_kit_tells_what_went_otherwise(tmp_path: Path, loaded: Load) -> None:
    """With the line of the step, what was expected and what came; numbers may differ by rounding."""
    steps = tmp_path / "steps.yaml"
    steps.write_text(
        textwrap.dedent(
            """
            parameters: {base: box}
            steps:
              - receive: {topic: box/state, payload: "on"}
                expect: [{availability: online}]
              - receive: {topic: box/state, payload: "maybe"}
                expect: [{problem: not in the map}]
              - setpoint: {energize: true}
                expect: [{send: {topic: box/set, payload: "off"}}]
            """
        ).lstrip()
    )

    outcomes = list(run(steps, loaded(SWITCH)))

    assert [True, True, False] == [outcome.passed for outcome in outcomes]
    assert 7 == outcomes[2].line
    assert {"send": {"topic": "box/set", "payload": "on"}} == outcomes[2].got[-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps: [{expect: []}]", "needs exactly one of receive, setpoint, command, after_s and broker"),
        ("steps: [{after_s: 1, expect: [{stats: 1}]}]", "must be one of status, meter"),
        ("steps: [{setpoint: {limit: 1}}]", "steps[0].setpoint.limit (line 1): is no key of a setpoint"),
        (
            "parameters: {bas: x}\nsteps: [{after_s: 1}]",
            "parameters (line 1): bas: no parameter of profile my-box",
        ),
    ],
)
def test_a_kit_that_cannot_be_used_is_refused(tmp_path: Path, loaded: Load, text: str, said: str) -> None:
    steps = tmp_path / "steps.yaml"
    steps.write_text(text)

    with pytest.raises(SettingsError) as caught:
        list(run(steps, loaded(SWITCH)))

    assert said in str(caught.value)
