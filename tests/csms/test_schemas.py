"""Payloads are judged by the official schemas: strictly when sent, as they were meant when received."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.csms.faults import Fault, spelled
from gateway.csms.schemas import Schemas

V16 = Schemas.of("ocpp1.6")
V201 = Schemas.of("ocpp2.0.1")
V21 = Schemas.of("ocpp2.1")

BOOT_16 = {"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 300}


def limits(*values: object) -> dict[str, object]:
    return {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": value} for value in values],
            },
        },
    }


def test_one_set_of_schemas_serves_the_whole_process() -> None:
    """`of` gives the same object each time, and refuses a version that it does not have."""
    assert Schemas.of("ocpp1.6") is V16
    with pytest.raises(ValueError, match=r"no schemas for 'ocpp1\.5'"):
        Schemas.of("ocpp1.5")


def test_each_version_knows_its_own_actions() -> None:
    """The security extension belongs to 1.6, the SEND of 2.1 to its actions."""
    assert V16.knows("SignedUpdateFirmware")
    assert V16.knows("RemoteStartTransaction")
    assert not V16.knows("RequestStartTransaction")
    assert not V16.knows("StartTransactionResponse")
    assert V201.knows("RequestStartTransaction")
    assert not V201.knows("NotifyPeriodicEventStream")
    assert V21.knows("NotifyPeriodicEventStream")
    assert not V16.knows("../../../etc/passwd")


@pytest.mark.parametrize("schemas", [V16, V201, V21])
def test_every_schema_of_a_version_compiles(schemas: Schemas) -> None:
    """No schema that the library ships is broken, neither as it is nor relaxed."""
    for action in schemas._known:
        schemas.request_error(action, {})
        schemas.lenient_request(action, {"unknown": None})
        if action != "NotifyPeriodicEventStream":
            schemas.response_error(action, {})
            schemas.lenient_response(action, {"unknown": None})


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"interval": "300"}, Fault.TYPE, "/interval"),
        ({"interval": 300.0}, Fault.TYPE, "/interval"),
        ({"status": "accepted"}, Fault.PROPERTY, "/status"),
        ({"currentTime": "yesterday"}, Fault.PROPERTY, "/currentTime"),
        ({"extra": 1}, Fault.FORMAT, ""),
    ],
)
def test_what_is_sent_is_judged_strictly(change: Any, code: Any, path: Any) -> None:
    """The violation says what kind it is and where."""
    violation = V16.response_error("BootNotification", BOOT_16 | change)

    assert violation is not None
    assert (violation.code, violation.path) == (code, path)


def test_a_missing_field_violates_occurrence() -> None:
    """Required fields and list lengths are matters of occurrence."""
    violation = V201.request_error("MeterValues", {"evseId": 1, "meterValue": []})
    assert violation is not None
    assert (violation.code, violation.path) == (Fault.OCCURRENCE, "/meterValue")

    violation = V16.request_error("Authorize", {})
    assert violation is not None
    assert violation.code is Fault.OCCURRENCE


def test_a_violation_never_repeats_the_value() -> None:
    """A password that is too long does not end in a log or at the CSMS."""
    violation = V16.request_error("ChangeConfiguration", {"key": "AuthorizationKey", "value": "s3cr3t" * 200})

    assert violation is not None
    assert "s3cr3t" not in str(violation)
    assert "/value" in str(violation)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), dt.datetime(2026, 1, 1), "\ud800", b"x"])  # noqa: DTZ001
def test_what_json_cannot_say_is_a_violation(value: Any) -> None:
    """NaN, bytes and lone surrogates are refused instead of raising or becoming null."""
    sample = {"value": value} if not isinstance(value, str) else {"value": 1, "measurand": value}
    payload = {"evseId": 1, "meterValue": [{"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [sample]}]}

    assert V201.request_error("MeterValues", payload) is not None


def test_a_right_payload_comes_back_untouched() -> None:
    """The fast path hands out the very object that came in."""
    payload = dict(BOOT_16)
    meant, tolerated, violation = V16.lenient_response("BootNotification", payload)

    assert meant is payload
    assert (tolerated, violation) == ((), None)


@pytest.mark.parametrize(
    ("change", "meant"),
    [
        ({"vendorField": {"a": 1}}, {}),
        ({"interval": 300.0}, {"interval": 300}),
        ({"interval": " 300 "}, {"interval": 300}),
        ({"interval": "3e2"}, {"interval": 300}),
        ({"status": "ACCEPTED"}, {"status": "Accepted"}),
        ({"currentTime": "2026-01-01 00:00:00"}, {"currentTime": "2026-01-01 00:00:00"}),
        ({"currentTime": ""}, {"currentTime": ""}),
    ],
)
def test_what_real_backends_send_is_read_as_it_was_meant(change: Any, meant: Any) -> None:
    """Unknown fields, integers in other clothes, enums in another case, and times in any shape."""
    payload, tolerated, violation = V16.lenient_response("BootNotification", BOOT_16 | change)

    assert violation is None
    assert payload == BOOT_16 | meant
    assert type(payload["interval"]) is int
    assert bool(tolerated) == ("currentTime" not in change)


def test_null_counts_as_absent_at_every_depth() -> None:
    """Null for an optional field disappears, null for a required one is a missing field."""
    payload, tolerated, violation = V16.lenient_response(
        "Authorize", {"idTagInfo": {"status": "Accepted", "parentIdTag": None, "expiryDate": None}}
    )
    assert violation is None
    assert payload == {"idTagInfo": {"status": "Accepted"}}
    assert tolerated == (
        "/idTagInfo/parentIdTag was null and counts as absent",
        "/idTagInfo/expiryDate was null and counts as absent",
    )

    _, _, violation = V16.lenient_response("Authorize", {"idTagInfo": {"status": None}})
    assert violation is not None
    assert violation.code is Fault.OCCURRENCE


def test_rounding_noise_in_a_limit_is_removed() -> None:
    """1.6 wants one decimal; 22.100000001 is 22.1, and text is a number too."""
    payload, _, violation = V16.lenient_request(
        "SetChargingProfile", limits(22.100000001, 16, "6.0", 0.30000000000000004)
    )

    periods = payload["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"]
    assert violation is None
    assert [period["limit"] for period in periods] == [22.1, 16, 6.0, 0.3]


def test_ids_beyond_64_bits_keep_every_digit() -> None:
    """A transaction id is copied, not computed with: text of digits never goes through a float."""
    status = {"status": "Accepted"}
    payload, _, _ = V16.lenient_response(
        "StartTransaction", {"transactionId": "9007199254740993", "idTagInfo": status}
    )
    assert payload["transactionId"] == 9007199254740993

    payload, _, violation = V16.lenient_response(
        "StartTransaction", {"transactionId": 2**70, "idTagInfo": status}
    )
    assert violation is None
    assert payload["transactionId"] == 2**70


@pytest.mark.parametrize("value", ["16.5", "abc", "nan", "inf", "1_000", "", True, [1], {"a": 1}])
def test_what_is_no_integer_stays_a_violation(value: Any) -> None:
    """Leniency does not guess."""
    _, _, violation = V16.lenient_response("BootNotification", BOOT_16 | {"interval": value})

    assert violation is not None
    assert (violation.code, violation.path) == (Fault.TYPE, "/interval")


def test_long_values_are_tolerated_in_responses_and_in_1_6() -> None:
    """A parent id of 30 characters ends no session; 2.0.1 refuses a request that is too long."""
    long = "x" * 60
    info = {"idTagInfo": {"status": "Accepted", "parentIdTag": long}}
    assert V16.lenient_response("Authorize", info)[2] is None
    assert V16.lenient_request("RemoteStartTransaction", {"idTag": long})[2] is None

    start = {"remoteStartId": 1, "idToken": {"idToken": long, "type": "Central"}}
    violation = V201.lenient_request("RequestStartTransaction", start)[2]
    assert violation is not None
    assert (violation.code, violation.path) == (Fault.PROPERTY, "/idToken/idToken")


def test_custom_data_is_kept_whole() -> None:
    """2.0.1 lets customData carry anything."""
    custom = {"vendorId": "x", "anything": {"a": [1, 2]}}
    payload, _, violation = V201.lenient_response(
        "Heartbeat", {"currentTime": "2026-01-01T00:00", "customData": custom}
    )

    assert violation is None
    assert payload["customData"] == custom


def test_payloads_nested_beyond_reason_are_refused() -> None:
    """Depth is a violation or dropped, never an exception."""
    deep: object = 1
    for _ in range(900):
        deep = [deep]

    assert V16.lenient_response("BootNotification", BOOT_16 | {"unknown": deep})[2] is None
    assert V16.request_error("DataTransfer", {"vendorId": "x", "data": deep}) is not None


TEXT = st.text(st.characters(max_codepoint=0x17F), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXT, children, max_size=3),
    max_leaves=8,
)


@given(
    action=st.sampled_from(sorted(V201._known)),
    payload=st.dictionaries(st.sampled_from(["evseId", "status", "idToken", "meterValue", "x"]), JSON),
)
def test_leniency_never_raises_and_never_breaks_what_is_right(action: Any, payload: Any) -> None:
    """Whatever comes, the answer is a payload and a verdict; a payload once accepted is accepted again."""
    for judge in (V201.lenient_request, V201.lenient_response):
        meant, _, violation = judge(action, payload)
        if violation is None:
            assert judge(action, meant)[2] is None


def test_error_codes_are_spelt_as_each_version_spells_them() -> None:
    """1.6 keeps its two misspellings and has no code for what it does not answer."""
    assert spelled(Fault.FORMAT, "ocpp1.6") == "FormationViolation"
    assert spelled(Fault.OCCURRENCE, "ocpp1.6") == "OccurenceConstraintViolation"
    assert spelled(Fault.FORMAT, "ocpp2.0.1") == "FormatViolation"
    assert spelled(Fault.OCCURRENCE, "ocpp2.0.1") == "OccurrenceConstraintViolation"
    assert {spelled(fault, "ocpp1.6") for fault in Fault} == {
        "NotImplemented",
        "NotSupported",
        "InternalError",
        "ProtocolError",
        "SecurityError",
        "FormationViolation",
        "PropertyConstraintViolation",
        "OccurenceConstraintViolation",
        "TypeConstraintViolation",
        "GenericError",
    }
