"""The 1.6 dialect as a whole."""

import pytest

from gateway.csms.dialect import BadRequest, error_of
from gateway.csms.faults import spelled
from gateway.csms.v16 import DIALECT
from gateway.station import reports
from gateway.station.reports import Notification, Report, VariablePage
from gateway.station.requests import Refusal, RefusalCode, StatusReply
from tests.csms.v16.wire import AT, SCHEMAS, told


def test_every_report_has_its_place() -> None:
    """A report that was forgotten would be a KeyError while the station runs."""
    every = {kind for kind in vars(reports).values() if isinstance(kind, type) and Report in kind.__bases__}

    assert set(DIALECT.tells) == every


def test_what_is_handled_is_known_to_the_schemas() -> None:
    """All that is asked of us now, and nothing that no schema describes."""
    assert all(SCHEMAS.knows(action) for action in DIALECT.handled)
    assert DIALECT.handled == {
        "CancelReservation",
        "CertificateSigned",
        "ChangeAvailability",
        "ChangeConfiguration",
        "ClearCache",
        "ClearChargingProfile",
        "DataTransfer",
        "DeleteCertificate",
        "ExtendedTriggerMessage",
        "GetCompositeSchedule",
        "GetConfiguration",
        "GetDiagnostics",
        "GetInstalledCertificateIds",
        "GetLocalListVersion",
        "GetLog",
        "InstallCertificate",
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "ReserveNow",
        "Reset",
        "SendLocalList",
        "SetChargingProfile",
        "SignedUpdateFirmware",
        "TriggerMessage",
        "UnlockConnector",
        "UpdateFirmware",
    }


def test_the_device_model_is_never_told() -> None:
    """1.6 has no words for it."""
    assert told(Notification(1, AT, "Connector", "AvailabilityState", "Faulted")) == []
    assert told(VariablePage(1, 0, AT, (), more=False)) == []


def test_the_flavor_carries_the_subprotocol() -> None:
    """A queued report is pinned to it."""
    assert DIALECT.version == DIALECT.flavor.version == "ocpp1.6"


@pytest.mark.parametrize("code", list(RefusalCode))
def test_every_refusal_has_a_code_of_1_6(code: RefusalCode) -> None:
    """Codes outside the list make some backends retry for ever; two of the list are misspelt for good."""
    listed = {
        "NotImplemented", "NotSupported", "InternalError", "ProtocolError", "SecurityError",
        "FormationViolation", "PropertyConstraintViolation", "OccurenceConstraintViolation",
        "TypeConstraintViolation", "GenericError",
    }  # fmt: skip

    for reply in (Refusal(code, "why"), BadRequest(code, "why")):
        error = error_of(reply)
        assert error is not None
        assert spelled(error[0], "ocpp1.6") in listed
        assert error[1] == "why"


def test_a_reply_is_no_error() -> None:
    """Rejected is an answer."""
    assert error_of(StatusReply(status="Rejected")) is None
