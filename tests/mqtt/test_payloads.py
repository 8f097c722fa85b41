"""From bytes to events: what a device may say, and what is refused, alone and with a reason."""

from __future__ import annotations

import json
from datetime import timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from gateway.mqtt.actions import BridgeAsked
from gateway.mqtt.decoded import Decoded, GatewayHeard
from gateway.mqtt.payloads import decode
from gateway.mqtt.topics import Topics
from gateway.station.events import (
    ActionRequested,
    CommandAnswered,
    DeviceAnnounced,
    DevicePresenceChanged,
    DeviceReported,
    MeterSampled,
    StatusReported,
    TokenPresented,
)
from gateway.station.model import ConnectorInfo, DeviceError, IdToken, SignedReading, StatusFacts

TOPICS = Topics("ocpp")
NOW = 1_777_888_800.0  # 2026-05-04T10:00:00Z


def said(topic: str, payload: Any, **circumstances: Any) -> Decoded:
    """What a message below ocpp/garage turns out to be; anything but bytes is sent as JSON."""
    address = TOPICS.parse(topic if topic.startswith("ocpp/") else f"ocpp/garage/{topic}")
    assert address is not None
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return decode(address, data, **{"arrived_at": NOW, **circumstances})


# ------------------------------------------------------------------ status


def test_status_carries_what_it_names_and_nothing_else() -> None:
    """Absent is unchanged, null is not known."""
    decoded = said("1/status", {"plugged": True, "limit_a": None, "control_pilot": "C", "timestamp": NOW - 2})

    facts = StatusFacts(plugged=True, limit_a=None, control_pilot="C")
    assert decoded == Decoded(StatusReported(1, facts, NOW - 2))
    assert facts.energized is UNSET


def test_status_is_read_tolerantly() -> None:
    """Numbers and truths may be text, words may be in the other case, NaN is not known."""
    payload = (
        b'{"plugged":"true","phases":"3","limit_a":"16.5","cable":"EV","control_pilot":"b",'
        b'"cable_limit_a":NaN}'
    )
    decoded = said("1/status", payload)

    assert decoded.problems == ()
    assert decoded.event == StatusReported(
        1,
        StatusFacts(plugged=True, phases=3, limit_a=16.5, cable="ev", control_pilot="B", cable_limit_a=None),
    )


@pytest.mark.parametrize("bare", [b"nan", b"-nan", b"NaN", b"inf", b"-Infinity"])
def test_what_printf_makes_of_no_number_spoils_nothing(bare: bytes) -> None:
    """NaN is not known, infinite is refused, the rest stands."""
    decoded = said("1/status", b'{"limit_a": ' + bare + b',"plugged":true}')

    assert isinstance(decoded.event, StatusReported)
    assert decoded.event.facts.plugged is True
    assert decoded.event.facts.limit_a is (None if b"nan" in bare.lower() else UNSET)


def test_a_bad_field_is_refused_alone() -> None:
    """The others stand; the sentence names field, value and what is allowed; unknown keys are counted."""
    decoded = said("1/status", {"plugged": 7, "phases": 4, "energized": False, "colour": "red", "size": 1})

    assert decoded.event == StatusReported(1, StatusFacts(energized=False))
    assert decoded.problems == (
        "plugged 7 is refused: expected true or false or null",
        "phases 4 is refused: expected a whole number from 0 to 3 or null",
    )
    assert decoded.counters == {"bad_fields": 2, "unknown_keys": 2}


def test_errors_are_words_or_objects() -> None:
    """NoError is none; an entry that is half unreadable keeps its code, one without is left out."""
    errors: list[Any] = [
        "GroundFailure",
        "NoError",
        {"code": "HighTemperature", "info": "81 °C", "fault": False},
        {"code": "OtherError", "info": 5},
        7,
    ]
    decoded = said("1/status", {"errors": errors})

    assert isinstance(decoded.event, StatusReported)
    assert decoded.event.facts.errors == (
        DeviceError("GroundFailure"),
        DeviceError("HighTemperature", "81 °C", fault=False),
        DeviceError("OtherError"),
    )
    assert decoded.counters == {"bad_fields": 2}


def test_an_empty_list_of_errors_says_that_there_are_none() -> None:
    """It is not the same as saying nothing."""
    decoded = said("1/status", {"errors": []})

    assert decoded.event == StatusReported(1, StatusFacts(errors=()))


@pytest.mark.parametrize(
    "payload", [b"[]", b"{", b"true", b"\xff\xfe", b'"x"', b"[" * 60000, b"{" + b" " * 70000 + b"}"]
)
def test_what_is_no_object_is_unreadable(payload: bytes) -> None:
    """It is counted and described, without an event."""
    decoded = said("1/status", payload)

    assert decoded.event is None
    assert decoded.counters == {"unreadable": 1}
    assert decoded.problems[0].startswith("the payload is ")


@pytest.mark.parametrize("channel", ["status", "meter", "availability", "card", "report", "result"])
def test_an_empty_payload_is_ignored(channel: str) -> None:
    """Clearing a retained topic says nothing about the device."""
    assert said(f"1/{channel}", b"") == Decoded(None, (), {"empty": 1})


# ------------------------------------------------------------------ meter


def test_meter_reads_numbers_and_phases() -> None:
    """A list is L1, L2, L3, padded; a number stays one; each field stands alone."""
    decoded = said(
        "1/meter",
        {
            "energy_import_wh": 1234,
            "power_w": 11040.5,
            "current_a": [16, 15.9],
            "voltage_v": [230, None, 231],
            "soc_percent": None,
            "ref": 7,
            "timestamp": "2026-05-04T09:59:58Z",
        },
    )

    assert decoded == Decoded(
        MeterSampled(
            1,
            {
                "energy_import_wh": 1234.0,
                "power_w": 11040.5,
                "current_a": (16.0, 15.9, None),
                "voltage_v": (230.0, None, 231.0),
                "soc_percent": None,
            },
            NOW - 2,
            "7",
        )
    )


def test_an_untidy_meter_says_the_same() -> None:
    """The slow way gives what the fast one gives, with the reasons."""
    payload = (
        b'{"energy_import_wh":"1234","power_w":NaN,"current_a":["16",nan],"soc_percent":101,"voltage_v":-1,'
        b'"x":1}'
    )
    decoded = said("1/meter", payload)

    assert decoded.event == MeterSampled(
        1, {"energy_import_wh": 1234.0, "power_w": None, "current_a": (16.0, None, None)}
    )
    assert decoded.counters == {"bad_fields": 2, "unknown_keys": 1}


def test_unknown_keys_of_a_meter_are_counted() -> None:
    """A device may say more than we know, each time, at little cost."""
    decoded = said("1/meter", {"power_w": 1, "rssi": -70})

    assert decoded == Decoded(MeterSampled(1, {"power_w": 1.0}), (), {"unknown_keys": 1})


@pytest.mark.parametrize("value", [[1, 2, 3, 4], [], "many", True, 1e999, {"l1": 1}])
def test_what_is_no_reading_is_refused(value: Any) -> None:
    """Nothing is made of it: no zero, no guess."""
    decoded = said("1/meter", {"current_a": value, "power_w": 5})

    assert decoded.event == MeterSampled(1, {"power_w": 5.0})
    assert decoded.problems[0].startswith("current_a ")


@pytest.mark.parametrize("tidy", [True, False])
def test_signed_readings_are_passed_on_untouched(tidy: bool) -> None:
    """However the rest of the message looks."""
    signed = {"data": "OCMF|{}|{}", "encoding": "OCMF", "public_key": "AB"}
    decoded = said("1/meter", {"signed": signed, "power_w": 1 if tidy else "1"})

    assert isinstance(decoded.event, MeterSampled)
    assert decoded.event.signed == SignedReading("OCMF|{}|{}", "", "OCMF", "AB")


def test_the_retained_copy_of_a_level_says_so() -> None:
    """The core decides what an old level may still fill."""
    for channel in ("status", "meter"):
        decoded = said(f"1/{channel}", {}, retained=True)

        assert isinstance(decoded.event, StatusReported | MeterSampled)
        assert decoded.event.retained


# ------------------------------------------------------------------ time


@pytest.mark.parametrize(
    "stamp",
    [
        "2026-05-04T10:00:00Z",
        "2026-05-04T12:00:00.000+02:00",
        "2026-05-04t10:00:00z",
        "2026-05-04 05:00:00",  # the station's own zone
        NOW,
        NOW * 1000,
        str(int(NOW)),
    ],
)
def test_every_usual_form_of_time_is_read(stamp: Any) -> None:
    """Without an offset it is read in the station's zone."""
    zone = timezone(timedelta(hours=-5))

    assert said("1/status", {"timestamp": stamp}, zone=zone).event == StatusReported(1, StatusFacts(), NOW)


@pytest.mark.parametrize("stamp", ["1970-01-01T00:00:12Z", 12, -5, NOW + 301, "2036-01-01T00:00:00Z", 1e300])
def test_a_wrong_clock_is_not_believed(stamp: Any) -> None:
    """The time of arrival holds, and it is counted."""
    decoded = said("1/meter", {"timestamp": stamp})

    assert decoded == Decoded(MeterSampled(1, {}), (), {"clock_wrong": 1})


@pytest.mark.parametrize(
    "stamp", ["yesterday", "2026-13-01T00:00:00Z", [], True, "0001-01-01T00:00:00+14:00"]
)
def test_an_unreadable_time_is_a_bad_field(stamp: Any) -> None:
    """The rest of the message holds."""
    decoded = said("1/meter", {"timestamp": stamp, "power_w": 1})

    assert isinstance(decoded.event, MeterSampled)
    assert (decoded.event.values, decoded.event.at) == ({"power_w": 1.0}, None)
    assert decoded.counters in ({"bad_fields": 1}, {"clock_wrong": 1})


# ------------------------------------------------------------------ availability and info


@pytest.mark.parametrize(
    "payload", [b"online", b"Online\n", b'"online"', b'{"state":"online"}', b'{"state": "ONLINE"}']
)
def test_presence_is_a_word_or_an_object(payload: bytes) -> None:
    """Bare, quoted or as an object."""
    assert said("1/availability", payload).event == DevicePresenceChanged(1, online=True)


def test_a_part_may_be_away_alone() -> None:
    """When several devices make a connector."""
    decoded = said("1/availability/reader", b"offline", retained=True)

    assert decoded.event == DevicePresenceChanged(1, online=False, part="reader", retained=True)


@pytest.mark.parametrize("payload", [b"{}", b'{"state":"maybe"}', b"yes", b"1"])
def test_other_words_say_nothing_about_presence(payload: bytes) -> None:
    """No event, but a reason."""
    decoded = said("1/availability", payload)

    assert decoded.event is None
    assert decoded.problems


def test_info_introduces_a_device() -> None:
    """Unreadable connectors are left out alone; numbers where text is expected are taken as text."""
    decoded = said(
        "0/info",
        {
            "contract": 1,
            "boot_id": 17,
            "vendor": "Acme",
            "firmware_version": 1.2,
            "serial": None,
            "connectors": [{"n": 1, "max_current_a": 32, "phases": 3, "limiting": "on_off"}, {"n": 0}],
            "commands": ["unlock"],
        },
    )

    assert isinstance(decoded.event, DeviceAnnounced)
    info = decoded.event.info
    assert (info.boot_id, info.vendor, info.firmware_version, info.serial) == ("17", "Acme", "1.2", None)
    assert info.connectors == (ConnectorInfo(1, 32.0, 3, "on_off"),)
    assert info.commands == ("unlock",)
    assert decoded.counters == {"bad_fields": 1}


def test_a_newer_contract_is_said_aloud() -> None:
    """It is read as far as it is known."""
    decoded = said("0/info", {"contract": 2})

    assert isinstance(decoded.event, DeviceAnnounced)
    assert decoded.problems == ("contract 2 is newer than 1, the one known here: read as 1",)


# ------------------------------------------------------------------ gestures


@pytest.mark.parametrize("payload", [b"04A2B3C4", b'"04A2B3C4"', b" 04A2B3C4\r\n"])
def test_a_card_may_be_bare(payload: bytes) -> None:
    """The token alone."""
    assert said("1/card", payload).event == TokenPresented(1, IdToken("04A2B3C4"))


@pytest.mark.parametrize("token", ["12345678", "1E5", "0x10", "007"])
def test_a_bare_token_that_looks_like_a_number_stays_as_it_is(token: str) -> None:
    """Tokens are never altered."""
    assert said("0/card", token.encode()).event == TokenPresented(0, IdToken(token))


def test_a_card_brings_what_it_can() -> None:
    """Type in OCPP's spelling, the connector meant, id, time, and whether it waited in the broker."""
    decoded = said(
        "0/card",
        {"id_token": 1234, "type": "keycode", "connector": 2, "id": 9, "timestamp": NOW - 1},
        backlog=True,
    )

    assert decoded == Decoded(TokenPresented(2, IdToken("1234", "KeyCode"), "9", NOW - 1, backlog=True))


def test_problems_never_quote_a_token() -> None:
    """Whatever is wrong with it."""
    for payload in (
        {"id_token": ["hush-hush"]},
        {"id_token": {"x": "hush-hush"}},
        {"id_token": "hush-hush" * 40},
    ):
        decoded = said("1/card", payload)

        assert decoded.event is None
        assert decoded.problems
        assert "hush" not in "".join(decoded.problems)
    assert "hush" not in "".join(said("1/card", b'{"id_token": "hush-hush"').problems)
    assert "hush" not in "".join(said("1/request/start", {"id_token": ["hush-hush"]}).problems)


@pytest.mark.parametrize(
    "payload", [b"{}", b"null", b"[]", b"true", b"\x01\x02", b'{"id_token":""}', b"x" * 256]
)
def test_what_is_no_card_presents_no_token(payload: bytes) -> None:
    """No event."""
    assert said("1/card", payload).event is None


def test_an_unknown_type_is_read_as_a_card() -> None:
    """The token still counts; a connector that contradicts the topic does not."""
    decoded = said("1/card", {"id_token": "A", "type": "RFID", "connector": 2})

    assert decoded.event == TokenPresented(1, IdToken("A"))
    assert len(decoded.problems) == 2


@pytest.mark.parametrize("channel", ["card", "report", "result", "request/stop"])
def test_a_retained_gesture_is_ignored(channel: str) -> None:
    """It happened once, and that was some other time."""
    payload = b'{"id_token":"A","kind":"x","id":"1","status":"accepted"}'

    assert said(f"1/{channel}", payload, retained=True) == Decoded(None, (), {"retained_gestures": 1})


def test_a_report_is_a_word_or_an_object() -> None:
    """The kinds are open."""
    bare = said("0/report", b"stop_button")
    full = said("1/report", {"kind": "tamper", "id": "7", "info": "lid", "timestamp": NOW})

    assert bare.event == DeviceReported(0, "stop_button")
    assert full.event == DeviceReported(1, "tamper", "7", NOW, info="lid")


def test_a_result_answers_a_command() -> None:
    """Its status is from a closed list."""
    good = said("1/result", {"id": "c1", "status": "Accepted"})
    bad = said("1/result", {"id": "c1", "status": "done"})

    assert good.event == CommandAnswered(1, "c1", "accepted")
    assert bad.event is None
    assert "one of accepted, failed, in_progress, not_supported, rejected" in bad.problems[0]


# ------------------------------------------------------------------ requests


@pytest.mark.parametrize(
    ("action", "payload", "arguments"),
    [
        ("start", b"04A2", {"id_token": "04A2", "type": "ISO14443"}),
        ("start", {"id_token": "04A2", "type": "local"}, {"id_token": "04A2", "type": "Local"}),
        ("stop", b"", {"transaction": None}),
        ("stop", {"transaction": "t1"}, {"transaction": "t1"}),
        ("unlock", {}, {}),
        ("limit", b"8", {"limit_a": 8.0, "ttl_s": None}),
        ("limit", b"null", {"limit_a": None, "ttl_s": None}),
        ("limit", {"limit_a": "8.5", "ttl_s": 900}, {"limit_a": 8.5, "ttl_s": 900.0}),
        ("operative", b"false", {"operative": False}),
        ("clear_fault", b"", {}),
        ("fault", b"GroundFailure", {"code": "GroundFailure", "info": None, "fault": None}),
        ("operative", {"operative": True}, {"operative": True}),
    ],
)
def test_requests_bring_checked_arguments(action: str, payload: Any, arguments: dict[str, Any]) -> None:
    """All of them, also those left out."""
    decoded = said(f"1/request/{action}", payload, reply_to=5)

    assert decoded.event == ActionRequested(1, action, arguments, 5)


def test_a_request_brings_id_time_and_backlog() -> None:
    """It is a gesture."""
    decoded = said(
        "0/request/link", {"connected": False, "id": 3, "timestamp": NOW}, reply_to=5, backlog=True
    )

    assert decoded.event == ActionRequested(0, "link", {"connected": False}, 5, "3", NOW, backlog=True)
    assert decoded.request_id == "3"


@pytest.mark.parametrize(
    ("topic", "payload", "words"),
    [
        ("1/request/limit", b"", "limit_a is missing"),
        ("1/request/limit", {"limit": 8}, "limit_a is missing"),
        ("1/request/limit", {"limit_a": "NaN"}, "limit_a"),
        ("1/request/limit", b"NaN", "limit_a"),
        ("1/request/limit", {"limit_a": -1}, "limit_a -1 is refused: expected a number from 0 to 2000"),
        ("1/request/limit", {"limit_a": 8, "ttl_s": 0}, "ttl_s 0 is refused"),
        ("1/request/limit", b"[8]", "limit_a"),
        ("1/request/start", b"", "id_token is missing"),
        ("1/request/start", {"id_token": "A", "type": "RFID"}, "is no token type"),
        ("1/request/operative", b"maybe", "no JSON"),
        ("1/request/operative", b"null", "operative null is refused"),
        ("1/request/unlock", b"[]", "no object"),
        ("1/request/link", b"true", "at 0"),
        ("1/request/dance", b"", 'there is no request "dance" here, only start, stop'),
        ("ocpp/bridge/request/stop", b"", "only health"),
    ],
)
def test_a_request_is_whole_or_refused(topic: str, payload: Any, words: str) -> None:
    """With one sentence for whoever asked."""
    decoded = said(topic, payload)

    assert decoded.event is None
    assert decoded.refusal is not None
    assert words in decoded.refusal


def test_a_refused_request_still_has_its_id() -> None:
    """So that the requester can tell what was refused."""
    assert said("1/request/limit", {"id": "q7"}).request_id == "q7"


def test_the_bridge_can_be_asked() -> None:
    """For its health, and for another station; the bare name will do."""
    yard: dict[str, object] = {"name": "yard", "identity": None}

    assert said("ocpp/bridge/request/health", b"", reply_to=2).event == BridgeAsked("health", {}, 2)
    assert said("ocpp/bridge/request/station_add", b"yard").event == BridgeAsked("station_add", yard, 0)
    assert said("ocpp/bridge/request/station_remove", b'"7"').event == BridgeAsked(
        "station_remove", {"name": "7"}, 0
    )


def test_hears_other_gateways() -> None:
    """Their heartbeat names them."""
    decoded = said("ocpp/bridge/state", {"state": "online", "instance": "b", "epoch": "e"}, retained=True)

    assert decoded.event == GatewayHeard("online", "b", "e", retained=True)
    assert said("ocpp/bridge/state", b"online").event is None


# ------------------------------------------------------------------ anything at all

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
_KEYS = st.sampled_from(
    [
        *("plugged", "cable", "control_pilot", "errors", "phases", "limit_a", "revision", "status", "info"),
        *("energy_import_wh", "power_w", "current_a", "voltage_v", "signed", "ref", "timestamp", "state"),
        *("contract", "boot_id", "connectors", "commands", "id_token", "type", "connector", "id", "kind"),
        *("ttl_s", "operative", "connected", "transaction"),
    ]
)
_ENDS = st.sampled_from(
    [
        *(f"1/{c}" for c in ("status", "meter", "availability", "card", "report", "result")),
        "0/info",
        *(f"0/request/{a}" for a in ("start", "stop", "unlock", "limit", "operative", "link", "x")),
        "ocpp/bridge/state",
        "ocpp/bridge/request/health",
    ]
)


@given(_ENDS, st.binary(max_size=60) | st.dictionaries(_KEYS, _VALUES, max_size=6))
def test_no_payload_raises(end: str, payload: Any) -> None:
    """Whatever anybody sends; and no problem is longer than a log line."""
    decoded = said(end, payload)

    assert all(len(problem) < 600 for problem in decoded.problems)
    assert len(decoded.problems) <= 6
