"""The 2.0.1 dialect as a whole."""

import re
from pathlib import Path

import ocpp
import pytest

from gateway.csms.dialect import BadRequest, error_of
from gateway.csms.faults import spelled
from gateway.csms.v201 import DIALECT
from gateway.csms.v201.metering import MEASURANDS, PHASES
from gateway.station import reports
from gateway.station.model import (
    AuthorizationStatus,
    AvailabilityState,
    BootReason,
    ChargingState,
    ReadingContext,
    StopReason,
    TriggerReason,
)
from gateway.station.reports import Report
from gateway.station.requests import Refusal, RefusalCode
from gateway.station.variable_definitions import ID_TOKEN_TYPES
from gateway.station.variable_definitions import MEASURANDS as CONFIGURABLE
from tests.csms.v201.wire import SCHEMAS

FOLDER = Path(ocpp.__file__).parent / "v201" / "schemas"


def enumeration(message: str, name: str) -> set[str]:
    """The words of an enumeration as the schema has them."""
    text = (FOLDER / f"{message}.json").read_text(encoding="utf-8-sig")
    match = re.search(rf'"{name}": \{{.*?"enum": \[(.*?)\]', text, re.DOTALL)
    assert match is not None
    return set(re.findall(r'"(.*?)"', match[1]))


def test_every_report_has_its_place() -> None:
    """A report that was forgotten would be a KeyError while the station runs."""
    every = {kind for kind in vars(reports).values() if isinstance(kind, type) and Report in kind.__bases__}

    assert set(DIALECT.tells) == every


def test_what_is_handled_is_known_to_the_schemas() -> None:
    """All that is asked of us now, and nothing that no schema describes."""
    assert all(SCHEMAS.knows(action) for action in DIALECT.handled)
    assert DIALECT.handled == {
        "CertificateSigned",
        "ChangeAvailability",
        "ClearCache",
        "DataTransfer",
        "DeleteCertificate",
        "GetBaseReport",
        "GetInstalledCertificateIds",
        "GetLog",
        "GetTransactionStatus",
        "GetVariables",
        "InstallCertificate",
        "RequestStartTransaction",
        "RequestStopTransaction",
        "Reset",
        "SetVariables",
        "TriggerMessage",
        "UnlockConnector",
        "UpdateFirmware",
    }


def test_the_flavor_carries_the_subprotocol() -> None:
    """A queued report is pinned to it."""
    assert DIALECT.version == DIALECT.flavor.version == "ocpp2.0.1"


@pytest.mark.parametrize(
    ("words", "message", "name"),
    [
        (set(AuthorizationStatus), "AuthorizeResponse", "AuthorizationStatusEnumType"),
        (set(AvailabilityState), "StatusNotificationRequest", "ConnectorStatusEnumType"),
        (set(BootReason), "BootNotificationRequest", "BootReasonEnumType"),
        (set(ChargingState), "TransactionEventRequest", "ChargingStateEnumType"),
        (set(ReadingContext), "TransactionEventRequest", "ReadingContextEnumType"),
        (set(TriggerReason), "TransactionEventRequest", "TriggerReasonEnumType"),
        (set(MEASURANDS), "TransactionEventRequest", "MeasurandEnumType"),
        (set(PHASES), "TransactionEventRequest", "PhaseEnumType"),
        (set(ID_TOKEN_TYPES), "TransactionEventRequest", "IdTokenEnumType"),
    ],
)
def test_the_vocabulary_is_that_of_the_schemas(words: set[str], message: str, name: str) -> None:
    """What is passed on word by word must have the same words on both sides."""
    assert words == enumeration(message, name)


def test_the_reasons_of_2_x_are_a_part_of_ours() -> None:
    """The three that are missing are 1.6's."""
    assert set(StopReason) - enumeration("TransactionEventRequest", "ReasonEnumType") == {
        "HardReset",
        "SoftReset",
        "UnlockCommand",
    }


def test_what_can_be_configured_can_be_told() -> None:
    """The values lists name no measurand that 2.0.1 lacks."""
    assert set(CONFIGURABLE) <= MEASURANDS


@pytest.mark.parametrize("code", list(RefusalCode))
def test_every_refusal_has_a_code_of_2_0_1(code: RefusalCode) -> None:
    """# Part 4: the list of error codes."""
    listed = {
        "FormatViolation", "GenericError", "InternalError", "MessageTypeNotSupported", "NotImplemented",
        "NotSupported", "OccurrenceConstraintViolation", "PropertyConstraintViolation", "ProtocolError",
        "RpcFrameworkError", "SecurityError", "TypeConstraintViolation",
    }  # fmt: skip

    for reply in (Refusal(code, "why"), BadRequest(code, "why")):
        error = error_of(reply)
        assert error is not None
        assert spelled(error[0], "ocpp2.0.1") in listed
