"""The translator: one message, one meaning, converted once; nothing invented, nothing done twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.mqtt.profiles import paths, units
from gateway.mqtt.profiles.templates import Template, TemplateFailed
from gateway.mqtt.profiles.translator import Fact, Heard, Instant, Said, Translator, encoded
from gateway.settings.profiles import found_profile, load_profile, shipped_names
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
        ("7", {"meter": {"power_w": {"template": "{{ value | float * 2 }}", "unit": "W"}}}, {"power_w": 14}),
        ("1", {"status": {"plugged": {"template": "{{ value == '1' }}"}}}, {"plugged": True}),
        ("true", {"status": {"plugged": {"template": "{{ value == 'true' }}"}}}, {"plugged": True}),
        ("x", {"meter": {"power_w": {"template": "{{ value | float(-1) }}", "unit": "W"}}}, {"power_w": -1}),
        ('{"a":5}', {"meter": {"power_w": {"template": "{{ value_json.a }}", "unit": "W"}}}, {"power_w": 5}),
        ('{"a":{"b":5}}', {"path": "a", "status": {"phases": {"template": "{{ value.b }}"}}}, {"phases": 5}),
        ("1E9", {"card": {"id_token": {"template": "{{ value | upper }}"}}}, {"id_token": "1E9"}),
        ('{"uid":12345678}', {"card": {"id_token": {"path": "uid"}}}, {"id_token": "12345678"}),
        ("1" + 400 * "0", {"meter": {"power_w": {"unit": "mW"}}}, {"power_w": None}),
    ],
)  # fmt: skip
def test_a_payload_means_what_its_rule_says(
    made: Make, payload: str, rule: dict[str, Any], fact: dict[str, Any]
) -> None:
    (told,) = said(made(rule), payload)

    assert fact == told.document


@pytest.mark.parametrize("payload", ["{}", '{"other":1}', "[]", "7", "", "not json"])
def test_what_is_not_there_says_nothing(made: Make, payload: str) -> None:
    assert [] == said(made({"meter": {"power_w": {"path": "a.b", "unit": "W"}}}), payload)


@pytest.mark.parametrize("template", ["{{ value | float }}", "{{ value | int }}", "{{ value_json.a }}"])
def test_what_is_no_number_is_no_zero(made: Make, template: str) -> None:
    """It is reported; a register of 0 that nobody sent would be a lie."""
    translator = made({"meter": {"energy_import_wh": {"template": template, "unit": "Wh"}}})
    told = translator.heard(Heard("box/t", b"unavailable"), at(0))

    assert [] == told.facts
    assert "energy_import_wh: the template" in told.problems[0]


@pytest.mark.parametrize("payload", ["null", '""', ""])
def test_no_card_is_no_card(made: Make, payload: str) -> None:
    """Neither as it is nor by a template."""
    assert [] == said(made({"card": {"id_token": {}}}), payload)
    assert [] == said(made({"card": {"id_token": {"template": "{{ value }}"}}}), payload)


def test_of_a_partial_document_the_phases_that_it_leaves_out_are_as_they_were(made: Make) -> None:
    """Without overlay they are not known."""
    meter = {"meter": {"voltage_v": {"paths": ["a", "b", "c"], "unit": "V"}}}
    overlaid, single = made({**meter, "overlay": "x"}), made(meter)
    said(overlaid, '{"a":230,"b":231}')

    assert [Fact("meter", {"voltage_v": [230, 232, None]})] == said(overlaid, '{"b":232}')
    assert [] == said(overlaid, '{"d":1}')
    assert [Fact("meter", {"voltage_v": [None, 232, None]})] == said(single, '{"b":232}')


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


def test_a_stored_copy_is_never_held_back_until_it_looks_live(made: Make) -> None:
    """A throttle is for what is said live."""
    translator = made({"meter": {"power_w": {"unit": "W"}}, "throttle_s": 10})
    said(translator, "5", 0)

    assert [Fact("meter", {"power_w": 4}, retained=True)] == said(translator, "4", 1, retained=True)
    assert None is translator.deadline()


def test_of_a_card_that_is_kept_as_a_state_only_a_change_is_a_gesture(made: Make) -> None:
    """A device that connects anew says its last card again, and the broker passes it on as live."""
    translator = made({"card": {"id_token": {}}, "retained": "ignore", "changes_only": True})

    assert [] == said(translator, "04A2", retained=True)
    assert [] == said(translator, "04A2")
    assert [Fact("card", {"id_token": "04B3"})] == said(translator, "04B3")
    translator.lost()
    translator.connected(at(5))
    assert [] == said(translator, "04C4", 6)


def test_a_device_is_there_when_none_of_its_sources_says_that_it_is_not(made: Make) -> None:
    """A bridge and the device behind it; a live word of the device settles it."""
    states = {"map": {"on": "online", "off": "offline"}}
    read = [
        {"topic": "box/bridge", "availability": states},
        {"topic": "box/t", "availability": states},
        {"topic": "box/power", "meter": {"power_w": {"unit": "W"}}},
    ]
    translator = made({}, read=read)

    def told(topic: str, payload: str) -> list[Any]:
        facts = translator.heard(Heard(f"box/{topic}", payload.encode()), at(0)).facts
        return [fact.document["state"] for fact in facts if fact.channel == "availability"]

    assert ["online"] == told("bridge", "on")
    assert ["offline"] == told("t", "off")
    assert [] == told("bridge", "on")
    assert ["online"] == told("t", "on")
    assert ["offline"] == told("bridge", "off")
    assert ["online"] == told("power", "5")
    assert ["offline"] == told("t", "off")


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


def test_a_card_that_was_shown_before_anybody_listened_is_no_gesture(made: Make) -> None:
    """It may have been acted upon before the gateway was restarted; a clock that is set changes nothing."""
    rule = {"card": {"id_token": {"path": "tag"}, "age_s": {"path": "age", "unit": "s"}}}
    translator = made(rule)

    assert [] == said(translator, '{"tag":"04E3","age":3}', 1)
    later = Instant(at(2).wall + 3600, at(2).monotonic)
    assert [] == translator.heard(Heard("box/t", b'{"tag":"04E3","age":4}'), later).facts
    for age in ('"nan"', "-5", "true", "31"):
        assert [] == said(translator, f'{{"tag":"04E4","age":{age}}}', 20)


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


def test_a_dead_mans_handle_does_not_contradict_who_switched_off_by_hand(made: Make) -> None:
    """It goes on when the output is on again."""
    translator = made(CONFIRM, keepalive={"every_s": 60, "timer_s": 180}, confirm_s=1, **SWITCH)
    translator.setpoint(wanted(), at(0))
    said(translator, "1", 1)
    assert ["1"] == sent(translator.elapsed(at(61)))
    said(translator, "0", 70)
    while (due := translator.deadline()) is not None and due < at(100).monotonic:
        translator.elapsed(at(due - 100))

    assert [] == sent(translator.elapsed(at(200)))
    said(translator, "1", 201)
    assert ["1"] == sent(translator.elapsed(at(300)))


def test_a_device_that_is_gone_has_no_charge_that_ends(made: Make) -> None:
    """Its silence would be broken by a word of our own."""
    translator = made(
        {"meter": {"power_w": {"unit": "W"}}}, silence_s=20, charging_from_power={"after_s": 30}
    )
    said(translator, "2300", 0)
    said(translator, "0", 1)

    assert [Fact("availability", {"state": "offline"})] == translator.elapsed(at(21)).facts
    assert None is translator.deadline()


def test_an_output_that_is_off_does_not_charge_whatever_was_measured_last(made: Make) -> None:
    rule = {
        "status": {"energized": {"path": "on"}},
        "confirm": {"path": "on"},
        "meter": {"power_w": {"path": "w", "unit": "W"}},
    }
    translator = made(rule, charging_from_power={}, **SWITCH)
    charging = [fact for fact in said(translator, '{"on":true,"w":2300}') if "charging" in fact.document]
    off = said(translator, '{"on":false,"w":2300}', 1) + said(translator, '{"on":false,"w":2300}', 2)

    assert [Fact("status", {"charging": True})] == charging
    assert [Fact("status", {"charging": False})] == [fact for fact in off if "charging" in fact.document]


def test_a_refusal_is_reported_in_the_devices_words(made: Make) -> None:
    """Not one that the broker kept."""
    translator = made({"refusal": {"path": "error"}})

    (problem,) = translator.heard(Heard("box/t", b'{"error":"read only"}'), at(0)).problems
    assert 'the device refuses what it was told: "read only"' == problem
    assert [] == translator.heard(Heard("box/t", b'{"error":"read only"}', retained=True), at(0)).problems
    assert [] == translator.heard(Heard("box/t", b'{"ok":1}'), at(0)).problems


def test_every_off_is_said_and_a_new_epoch_says_everything_anew(made: Make) -> None:
    translator = made(CONFIRM, **SWITCH)

    assert ["1"] == sent(translator.setpoint(wanted(), at(0)))
    assert [] == sent(translator.setpoint(wanted(revision=2, transaction="7"), at(1)))
    assert ["1"] == sent(translator.setpoint(wanted(revision=3, epoch="e2"), at(2)))
    assert ["0"] == sent(translator.setpoint(wanted(revision=4, energize=False), at(3)))
    assert ["0"] == sent(translator.setpoint(wanted(revision=5, energize=False), at(4)))


def test_an_on_that_lay_in_the_broker_for_too_long_is_nobodys_wish(made: Make) -> None:
    """It lasts no longer than its setpoint; an off is true whenever it comes."""
    ask = [{"topic": "box/get", "payload": ""}]
    translator = made(CONFIRM, commands={"measure": {"send": ask}}, on_connect=ask, **SWITCH)
    said = [
        translator.setpoint(wanted(valid_s=90), at(0)),
        translator.setpoint(wanted(revision=2, energize=False), at(1)),
        translator.command(Command(1, "measure", "c-1", 20, {}), at(2)),
        translator.connected(at(3)),
    ]

    assert [90, None, 20, 30] == [message.expiry_s for told in said for message in told.messages]


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


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
_KEYS = st.sampled_from(
    ["id", "output", "apower", "aenergy", "ret_aenergy", "total", "tag_id", "last_seen", "ENERGY", "Total"]
)
_JSON = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=8
)  # fmt: skip


@given(name=st.sampled_from(shipped_names()), data=st.data())
def test_whatever_a_device_says_is_read_or_reported(name: str, data: st.DataObject) -> None:
    """No message makes a profile fail, and all that follows can be encoded."""
    profile = found_profile(name, Path("/nowhere"))
    translator = Translator(profile, profile.complete({"base": "box"}))
    translator.connected(at(0))
    topics = st.sampled_from(sorted(translator.subscriptions()))
    payloads = st.binary(max_size=20) | _JSON.map(lambda value: json.dumps(value).encode())
    for topic, payload, retained in data.draw(
        st.lists(st.tuples(topics, payloads, st.booleans()), max_size=4)
    ):
        for fact in translator.heard(Heard(topic, payload, retained), at(0)).facts:
            assert isinstance(json.loads(encoded(fact)), dict)
