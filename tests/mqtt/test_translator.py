"""The translator: one message, one meaning, converted once; nothing invented, nothing done twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.mqtt.profiles import paths, units
from gateway.mqtt.profiles.templates import Template, TemplateFailed
from gateway.mqtt.profiles.translator import Fact, Heard, Instant, Said, Translator
from gateway.settings.profiles import load_profile
from gateway.station.effects import Command, SetPointDocument

Make = Callable[..., Translator]


@pytest.fixture
def made(tmp_path: Path) -> Make:
    """A translator of a profile that consists of one rule for the topic `box/t`, and whatever else is given."""

    def make(rule: dict[str, Any], **more: Any) -> Translator:
        file = tmp_path / "box.yaml"
        file.write_text(yaml.safe_dump({"title": "A box", "read": [{"topic": "{base}/t", **rule}], **more}))
        translator = Translator(load_profile(file), {"base": "box"})
        translator.connected(at(0))
        return translator

    return make


def at(seconds: float) -> Instant:
    return Instant(1_777_888_800.0 + seconds, 100.0 + seconds)


def said(translator: Translator, payload: str, seconds: float = 0.0, **how: bool) -> list[Fact]:
    return translator.heard(Heard("box/t", payload.encode(), **how), at(seconds)).facts


def wanted(**more: Any) -> SetPointDocument:
    return SetPointDocument(
        **{
            "energize": True, "limit_a": 16.0, "limit_w": 3680, "phases": 1, "lock": False, "transaction": None,
            "operative": True, "revision": 1, "epoch": "e1", "valid_s": 90, **more,
        }
    )  # fmt: skip


# ------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("field", "unit", "raw", "converted"),
    [
        ("energy_import_wh", "kWh", 711.792, 711792.0),
        ("energy_import_wh", "Ws", 7200, 2.0),
        ("energy_import_wh", "Wmin", 60, 1.0),
        ("energy_import_wh", "mWh", 1500, 1.5),
        ("power_w", "kW", "11.04", 11040.0),
        ("current_a", "mA", 15870, 15.87),
        ("current_a", "dA", 161, 16.1),
        ("frequency_hz", "0.01 Hz", 5000, 50.0),
        ("temperature_c", "0.1 °C", 247, 24.7),
        ("age_s", "ms", 1500, 1.5),
    ],
)
def test_units_are_converted_once_and_tenths_stay_tenths(
    field: str, unit: str, raw: Any, converted: float
) -> None:
    factor = units.factor(field, unit)

    assert factor is not None
    assert converted == factor.of(raw)


@pytest.mark.parametrize(
    ("payload", "rule", "fact"),
    [
        ("3", {"status": {"plugged": {"map": {"3": True}}}}, {"plugged": True}),
        ('"3"', {"status": {"plugged": {"map": {"3": True}}}}, {"plugged": True}),
        ("3.0", {"status": {"plugged": {"map": {"3": True}}}}, {"plugged": True}),
        ("ON", {"status": {"plugged": {"map": {"on": True}}}}, {"plugged": True}),
        ("true", {"status": {"plugged": {"map": {"true": 1}}}}, {"plugged": 1}),
        ("null", {"status": {"plugged": {"map": {"null": "unknown"}}}}, {"plugged": None}),
        ("x", {"status": {"plugged": {"map": {"y": True}, "otherwise": False}}}, {"plugged": False}),
        ("[1,2,3]", {"meter": {"current_a": {"paths": ["[0]", "[2]"], "unit": "A"}}}, {"current_a": [1, 3]}),
        ("[1]", {"meter": {"current_a": {"paths": ["[0]", "[2]"], "unit": "A"}}}, {"current_a": [1, None]}),
        ('{"a":{"b:0":[5]}}', {"meter": {"power_w": {"path": 'a["b:0"][0]', "unit": "W"}}}, {"power_w": 5}),
        ("[1320,2100]", {"meter": {"current_a": {"unit": "mA"}}}, {"current_a": [1.32, 2.1]}),
        ("12E45678", {"card": {"id_token": {}}}, {"id_token": "12E45678"}),
        ("0123", {"card": {"id_token": {}}}, {"id_token": "0123"}),
        ('"04:E3"', {"card": {"id_token": {"template": "{{ value | replace(':', '') }}"}}}, {"id_token": "04E3"}),
        ("7", {"meter": {"power_w": {"template": "{{ value_json * 2 }}", "unit": "W"}}}, {"power_w": 14}),
    ],
)  # fmt: skip
def test_a_payload_means_what_its_rule_says(
    made: Make, payload: str, rule: dict[str, Any], fact: dict[str, Any]
) -> None:
    (told,) = said(made(rule), payload)

    assert fact == {key: value for key, value in told.document.items() if key != "id_token"} | {
        key: str(value) for key, value in told.document.items() if key == "id_token"
    }


@pytest.mark.parametrize("payload", ["{}", '{"other":1}', "[]", "7", "", "not json"])
def test_what_is_not_there_says_nothing(made: Make, payload: str) -> None:
    assert [] == said(made({"meter": {"power_w": {"path": "a.b", "unit": "W"}}}), payload)


def test_bytes_that_are_no_text_are_reported(made: Make) -> None:
    """So is a word that no map has; nothing changes."""
    translator = made({"status": {"plugged": {"map": {"1": True}}}})

    assert ["the payload is no text"] == translator.heard(Heard("box/t", b"\xff"), at(0)).problems
    (problem,) = translator.heard(Heard("box/t", b"7"), at(0)).problems
    assert 'plugged "7" is not in the map' in problem


def test_a_template_reaches_nothing_but_what_was_said() -> None:
    """The sandbox refuses attributes of Python; what nobody knows fails instead of being empty."""
    with pytest.raises(TemplateFailed):
        Template("{{ ''.__class__.__mro__ }}").text({})
    with pytest.raises(TemplateFailed, match="'value_json' is undefined"):
        Template("{{ value_json.a }}").text({})
    with pytest.raises(TemplateFailed):
        Template("{{ range(10**9) | list }}").text({})


@pytest.mark.parametrize("path", ["", "$", "a..b", "a[", "a[x]", "a b", ".a"])
def test_a_broken_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"is no path|is empty"):
        paths.parsed(path)


def test_partial_documents_change_neither_themselves_nor_what_was_known() -> None:
    known = {"a": {"b": 1, "c": 2}, "d": [1]}

    assert {"a": {"b": 9, "c": 2}, "d": [2]} == paths.overlaid(known, {"a": {"b": 9}, "d": [2]})
    assert {"a": {"b": 1, "c": 2}, "d": [1]} == known


# ------------------------------------------------------------------ stored copies


def test_a_stored_copy_follows_the_contract_unless_the_profile_knows_better(made: Make) -> None:
    """`fill` passes it as retained, `ignore` drops it, `current` takes it as live."""
    status: dict[str, Any] = {"status": {"plugged": {}}}

    assert [Fact("status", {"plugged": True}, retained=True)] == said(made(status), "true", retained=True)
    assert [] == said(made(status | {"retained": "ignore"}), "true", retained=True)
    assert [Fact("status", {"plugged": True})] == said(
        made(status | {"retained": "current"}), "true", retained=True
    )


def test_a_stored_copy_of_a_device_that_may_be_dead_waits_for_a_sign_of_life(made: Make) -> None:
    """A WARP has no will: what the broker kept of it is no fact before it speaks."""
    translator = made({"status": {"plugged": {}}, "retained": "current"}, silence_s=30)

    assert [] == said(translator, "true", retained=True)
    assert [] == said(translator, "false", backlog=True)
    assert ["availability", "status", "status"] == [fact.channel for fact in said(translator, "true")]


def test_a_stored_card_is_never_a_gesture(made: Make) -> None:
    """It is passed on as stored, which the contract refuses, also where stored states are current."""
    (fact,) = said(made({"card": {"id_token": {}}, "retained": "current"}), "04A2", retained=True)

    assert fact.retained


# ------------------------------------------------------------------ cards with an age


def test_a_card_that_is_told_by_its_age_is_one_gesture(made: Make) -> None:
    """Repeated with a rising age it is the same; shown again it is another; an old one is none."""
    rule = {
        "each": True,
        "card": {"id_token": {"path": "tag_id"}, "age_s": {"path": "last_seen", "unit": "ms"}},
    }
    translator = made(rule)

    def seen(age_ms: int, seconds: float) -> list[float]:
        entries = f'[{{"tag_id":"04E3","last_seen":{age_ms}}},{{"tag_id":"","last_seen":0}}]'
        return [fact.document["timestamp"] for fact in said(translator, entries, seconds)]

    assert [at(9.5).wall] == seen(500, 10)
    assert [] == seen(1600, 11)
    assert [] == seen(20_400, 30)
    assert [at(39.8).wall] == seen(200, 40)
    assert [] == said(made(rule), '[{"tag_id":"04E3","last_seen":22724083}]', 50)


# ------------------------------------------------------------------ time


def test_silence_is_told_once_and_ends_with_any_word(made: Make) -> None:
    translator = made({"status": {"plugged": {}}}, silence_s=30)
    said(translator, "true", 0)
    said(translator, "true", 20)

    assert at(50).monotonic == translator.deadline()
    assert [Fact("availability", {"state": "offline"})] == translator.elapsed(at(50)).facts
    assert None is translator.deadline()
    assert Fact("availability", {"state": "online"}) == said(translator, "true", 60)[0]


def test_after_the_broker_was_lost_nothing_of_before_is_known(made: Make) -> None:
    """No deadline stays, and a stored copy waits again."""
    translator = made({"status": {"plugged": {}}, "retained": "current"}, silence_s=30)
    said(translator, "true", 0)
    translator.lost()

    assert None is translator.deadline()
    assert [] == said(translator, "true", 5, retained=True)


# ------------------------------------------------------------------ being told

SWITCH: dict[str, Any] = {
    "setpoint": {"on": [{"topic": "box/set", "payload": "1"}], "off": [{"topic": "box/set", "payload": "0"}]}
}
CONFIRM = {"confirm": {"map": {"1": True, "0": False}}}


def sent(told: Said) -> list[str]:
    assert not any(message.retain for message in told.messages)
    return [message.payload.decode() for message in told.messages]


def test_an_off_is_repeated_until_it_is_obeyed_and_an_on_is_not_forced(made: Make) -> None:
    """Ever more rarely, at most once a minute; each time it is said."""
    translator = made(CONFIRM, **SWITCH)

    def told_until(end: float) -> list[tuple[float, str]]:
        told = []
        while (due := translator.deadline()) is not None and due <= 100 + end:
            told += [(due - 100, payload) for payload in sent(translator.elapsed(at(due - 100)))]
        return told

    assert ["0"] == sent(translator.setpoint(wanted(energize=False), at(0)))
    assert [(5, "0"), (15, "0"), (35, "0"), (75, "0"), (135, "0"), (195, "0")] == told_until(200)
    assert [Fact("status", {"revision": 1})] == said(translator, "0", 201)
    assert [] == told_until(1000)
    assert ["1"] == sent(translator.setpoint(wanted(revision=2), at(1000)))
    assert [(1005, "1"), (1015, "1")] == told_until(2000)


def test_every_off_is_said_and_a_new_epoch_says_everything_anew(made: Make) -> None:
    translator = made(CONFIRM, **SWITCH)

    assert ["1"] == sent(translator.setpoint(wanted(), at(0)))
    assert [] == sent(translator.setpoint(wanted(revision=2, transaction="7"), at(1)))
    assert ["1"] == sent(translator.setpoint(wanted(revision=3, epoch="e2"), at(2)))
    assert ["0"] == sent(translator.setpoint(wanted(revision=4, energize=False), at(3)))
    assert ["0"] == sent(translator.setpoint(wanted(revision=5, energize=False), at(4)))


def test_a_payload_that_cannot_be_made_is_not_sent(made: Make) -> None:
    """It is reported with its topic."""
    setpoint = {"on": [{"topic": "box/set", "payload": "{{ 1 / (limit_a - 16) }}"}], "off": [{"topic": "x"}]}
    told = made(CONFIRM, setpoint=setpoint).setpoint(wanted(), at(0))

    assert [] == told.messages
    assert "nothing was sent to box/set" in told.problems[0]


def test_a_result_of_the_device_answers_the_command(made: Make) -> None:
    """Once, and only when there was one."""
    rule = {"result": {"command": "unlock", "map": {"success": "accepted"}, "otherwise": "rejected"}}
    translator = made(rule, commands={"unlock": {"send": [{"topic": "box/unlock", "payload": "{{ id }}"}]}})

    assert [] == said(translator, "success")
    assert ["c-1"] == sent(translator.command(Command(1, "unlock", "c-1", 20, {}), at(0)))
    assert [Fact("result", {"id": "c-1", "status": "rejected"})] == said(translator, "no such key")
    assert [] == said(translator, "success")
