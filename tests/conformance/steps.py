"""What may happen to a 1.6 charge point, as hypothesis draws it: every request of a CSMS, everything a device may say.

A payload may hold `"$NOW+60"` (a moment so many seconds from the present) and `"$TRANSACTION"` (the id of the last
transaction); `filled` puts them in when the step is taken.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.support import csms_wire as wire

TAGS = ("04A2B3C4D5", "0499887766", "child", "x" * 20)
CONNECTORS = st.sampled_from([0, 1, 2, 1, 2, 3, 9])
_MOMENTS = st.sampled_from(["$NOW", "$NOW-3600", "$NOW+60", "$NOW+600", "$NOW+7200"])
_WORDS = st.sampled_from(
    ["", "0", "1", "-1", "20", "true", "false", "A", "x" * 500, "1.5", "Energy.Active.Import.Register"]
)
_NOWHERE = "http://127.0.0.1:9/file.bin"
"""Refused at once: the discard service that nobody runs."""


class Asks(NamedTuple):
    """A request of the CSMS."""

    action: str
    payload: dict[str, Any]


class Says(NamedTuple):
    """A device publishes."""

    level: str
    payload: object


class Happens(NamedTuple):
    """Anything else; `n` is a connector, `value` seconds or Wh."""

    what: str
    n: int = 1
    value: float = 0.0


def _object(required: dict[str, Any] | None = None, **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required or {}, optional=optional)


def _periods() -> st.SearchStrategy[list[dict[str, Any]]]:
    limit = st.sampled_from([0, 0.1, 6, 10, 16, 32, 3600, 11000, -1])
    first = _object({"startPeriod": st.just(0), "limit": limit}, numberPhases=st.integers(0, 4))
    later = _object(
        {"startPeriod": st.sampled_from([0, 60, 600, 3600]), "limit": limit}, numberPhases=st.integers(1, 3)
    )
    return st.tuples(first, st.lists(later, max_size=3)).map(lambda pair: [pair[0], *pair[1]])


_PROFILES = _object(
    {
        "chargingProfileId": st.integers(1, 4),
        "stackLevel": st.integers(0, 3),
        "chargingProfilePurpose": st.sampled_from(["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"]),
        "chargingProfileKind": st.sampled_from(["Absolute", "Recurring", "Relative"]),
        "chargingSchedule": _object(
            {"chargingRateUnit": st.sampled_from(["A", "W"]), "chargingSchedulePeriod": _periods()},
            duration=st.sampled_from([0, 30, 600, 86400]),
            startSchedule=_MOMENTS,
            minChargingRate=st.sampled_from([0, 4, 6.5]),
        ),
    },
    transactionId=st.sampled_from(["$TRANSACTION", 5]),
    recurrencyKind=st.sampled_from(["Daily", "Weekly"]),
    validFrom=_MOMENTS,
    validTo=_MOMENTS,
)
_LISTED = _object(
    {"idTag": st.sampled_from(TAGS)},
    idTagInfo=_object(
        {"status": st.sampled_from(["Accepted", "Blocked", "Expired", "Invalid"])},
        expiryDate=_MOMENTS,
        parentIdTag=st.sampled_from(["parent", TAGS[0]]),
    ),
)
_TRIGGERS = [
    "BootNotification", "DiagnosticsStatusNotification", "FirmwareStatusNotification", "Heartbeat", "MeterValues",
    "StatusNotification", "LogStatusNotification", "SignChargePointCertificate", "Nonsense",
]  # fmt: skip
_KEYS = [
    "AllowOfflineTxForUnknownId", "AuthorizationCacheEnabled", "AuthorizationKey", "AuthorizeRemoteTxRequests",
    "ClockAlignedDataInterval", "ConnectionTimeOut", "CpoName", "HeartbeatInterval", "LocalAuthListEnabled",
    "LocalAuthorizeOffline", "LocalPreAuthorize", "MaxEnergyOnInvalidId", "MeterValueSampleInterval",
    "MeterValuesAlignedData", "MeterValuesSampledData", "MinimumStatusDuration", "NumberOfConnectors", "ResetRetries",
    "SecurityProfile", "StopTransactionOnEVSideDisconnect", "StopTransactionOnInvalidId", "StopTxnAlignedData",
    "StopTxnSampledData", "TransactionMessageRetryInterval",
    "UnlockConnectorOnEVSideDisconnect", "WebSocketPingInterval", "NoSuchKey", "",
]  # fmt: skip
"""Without TransactionMessageAttempts: fewer of them lose what a busy CSMS refuses, as they must."""
_HASHES = _object(
    {
        "hashAlgorithm": st.sampled_from(["SHA256", "MD5"]),
        "issuerNameHash": st.sampled_from(["", "00" * 32]),
        "issuerKeyHash": st.just("00" * 32),
        "serialNumber": st.sampled_from(["1", "zz"]),
    }
)
_FETCH = {"retries": st.integers(0, 2), "retryInterval": st.sampled_from([0, 30])}
_LOG = _object({"remoteLocation": st.sampled_from([_NOWHERE, "ftp://x", "", "file:///etc/passwd"])},
               oldestTimestamp=_MOMENTS, latestTimestamp=_MOMENTS)  # fmt: skip
_FIRMWARE = _object(
    {
        "location": st.sampled_from([_NOWHERE, "nowhere"]),
        "retrieveDateTime": _MOMENTS,
        "signingCertificate": st.sampled_from(
            ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
        ),
        "signature": st.sampled_from(["", "AAAA"]),
    },
    installDateTime=_MOMENTS,
)
_TAG = st.sampled_from(TAGS)
_ASKED: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "CancelReservation": _object({"reservationId": st.integers(0, 3)}),
    "CertificateSigned": _object({"certificateChain": st.sampled_from(["", "no certificate"])}),
    "ChangeAvailability": _object({"connectorId": CONNECTORS, "type": st.sampled_from(["Operative", "Inoperative"])}),
    "ChangeConfiguration": _object({"key": st.sampled_from(_KEYS), "value": _WORDS}),
    "ClearCache": _object(),
    "ClearChargingProfile": _object(
        id=st.integers(1, 5),
        connectorId=CONNECTORS,
        chargingProfilePurpose=st.sampled_from(["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"]),
        stackLevel=st.integers(0, 3),
    ),
    "DataTransfer": _object({"vendorId": st.sampled_from(["", "org.example"])}, messageId=_WORDS, data=_WORDS),
    "DeleteCertificate": _object({"certificateHashData": _HASHES}),
    "ExtendedTriggerMessage": _object({"requestedMessage": st.sampled_from(_TRIGGERS)}, connectorId=CONNECTORS),
    "GetCompositeSchedule": _object(
        {"connectorId": CONNECTORS, "duration": st.sampled_from([-1, 0, 60, 86400])},
        chargingRateUnit=st.sampled_from(["A", "W"]),
    ),
    "GetConfiguration": _object(key=st.lists(st.sampled_from(_KEYS), max_size=4)),
    "GetDiagnostics": _object(
        {"location": st.sampled_from([_NOWHERE, "nowhere"])}, startTime=_MOMENTS, stopTime=_MOMENTS, **_FETCH
    ),
    "GetInstalledCertificateIds": _object(
        {"certificateType": st.sampled_from(["CentralSystemRootCertificate", "ManufacturerRootCertificate", "x"])}
    ),
    "GetLocalListVersion": _object(),
    "GetLog": _object(
        {"logType": st.sampled_from(["DiagnosticsLog", "SecurityLog"]), "requestId": st.integers(0, 3), "log": _LOG},
        **_FETCH,
    ),
    "InstallCertificate": _object(
        {
            "certificateType": st.sampled_from(["CentralSystemRootCertificate", "ManufacturerRootCertificate"]),
            "certificate": st.just("no certificate"),
        }
    ),
    "RemoteStartTransaction": _object({"idTag": _TAG}, connectorId=CONNECTORS, chargingProfile=_PROFILES),
    "RemoteStopTransaction": _object({"transactionId": st.sampled_from(["$TRANSACTION", "$TRANSACTION", 0, 5])}),
    "ReserveNow": _object(
        {"connectorId": CONNECTORS, "expiryDate": _MOMENTS, "idTag": _TAG, "reservationId": st.integers(0, 3)},
        parentIdTag=st.just("parent"),
    ),
    "Reset": _object({"type": st.sampled_from(["Hard", "Soft"])}),
    "SendLocalList": _object(
        {"listVersion": st.integers(-1, 4), "updateType": st.sampled_from(["Full", "Differential"])},
        localAuthorizationList=st.lists(_LISTED, max_size=3),
    ),
    "SetChargingProfile": _object({"connectorId": CONNECTORS, "csChargingProfiles": _PROFILES}),
    "SignedUpdateFirmware": _object({"requestId": st.integers(0, 3), "firmware": _FIRMWARE}, **_FETCH),
    "TriggerMessage": _object({"requestedMessage": st.sampled_from(_TRIGGERS)}, connectorId=CONNECTORS),
    "UnlockConnector": _object({"connectorId": CONNECTORS}),
    "UpdateFirmware": _object(
        {"location": st.sampled_from([_NOWHERE, "nowhere"]), "retrieveDate": _MOMENTS}, **_FETCH
    ),
}  # fmt: skip
ACTIONS = frozenset(_ASKED)


def _well_formed(asks: Asks) -> bool:
    plain = filled(asks.payload, 0.0, 7)
    return wire.payload_problem("ocpp1.6", asks.action, "request", plain) is None


def _asks(action: str) -> st.SearchStrategy[Asks]:
    return _ASKED[action].map(lambda payload: Asks(action, payload)).filter(_well_formed)


_MAYBE = st.sampled_from([True, False, None, "perhaps", 7])
_AMPS = st.sampled_from([0, 6, 16, 32.5, -1, None, "x"])
_KINDS = ["stop_button", "emergency_stop", "tamper", "power_failing", "local_reset", "ev_stop", "x"]
_SAID: dict[str, st.SearchStrategy[object]] = {
    "1/status": _object(
        plugged=_MAYBE,
        cable=st.sampled_from(["none", "socket", "ev", "x"]),
        control_pilot=st.sampled_from(["A", "B", "C", "D", "E", "F", "G"]),
        ev_ready=_MAYBE,
        charging=_MAYBE,
        energized=_MAYBE,
        locked=_MAYBE,
        lock_failed=_MAYBE,
        errors=st.lists(st.sampled_from(["ground_failure", "high_temperature", "strange", 5]), max_size=2),
        limit_a=_AMPS,
    ),
    "1/meter": _object(
        energy_import_wh=st.sampled_from([0, 1000, 1000.5, 90000, -1, None, "x"]),
        power_w=st.sampled_from([0, 3680, [1, 2, 3], [1, 2, 3, 4], "x"]),
        current_a=st.sampled_from([16, [16, 0, 0], "x"]),
        soc_percent=st.sampled_from([0, 50, 101]),
    ),
    "1/report": _object(
        {"kind": st.sampled_from(_KINDS)}
    ),
    "1/result": _object(
        {"id": st.sampled_from(["c-1", "x"]), "status": st.sampled_from(["accepted", "rejected", "failed", "x"])}
    ),
    "0/card": _object({"id_token": _TAG}, connector=st.sampled_from([0, 1, 2, 9]), id=st.sampled_from(["a", "b"])),
    "0/firmware": _object({"status": st.sampled_from(["downloading", "installing", "installed", "failed", "x"])}),
    "0/log": _object({"text": st.just("a line\n")}, last=st.booleans()),
    "0/availability": _object({"state": st.sampled_from(["online", "offline", "x"])}),
    "0/info": _object(
        boot_id=st.sampled_from(["p", "q"]),
        model=st.sampled_from(["M", "x" * 50]),
        serial=st.just("S-1"),
        commands=st.lists(st.sampled_from(["measure", "unlock", "reset", "upload_log", "x"]), max_size=3),
        connectors=st.just([{"n": 1, "max_current_a": 16, "phases": 1}, {"n": 9}]),
    ),
    "1/request/start": _object(id_token=_TAG),
    "1/request/stop": _object(),
    "1/request/limit": _object(limit_a=_AMPS, ttl_s=st.sampled_from([-1, 0, 60])),
    "1/request/operative": _object(operative=_MAYBE),
    "1/request/unlock": _object(),
    "0/request/operative": _object(operative=_MAYBE),
    "0/request/data_transfer": _object(vendor_id=st.just("v"), data=st.just({"x": 1})),
    "9/status": _object(plugged=_MAYBE),
}  # fmt: skip
SAYS = st.sampled_from(sorted(_SAID)).flatmap(
    lambda level: _SAID[level].map(lambda payload: Says(level, payload))
)
ASKS = st.sampled_from(sorted(_ASKED)).flatmap(_asks)

_N = st.sampled_from([1, 2])
HAPPENS = st.one_of(
    st.builds(Happens, st.just("wait"), value=st.sampled_from([1.0, 15.0, 61.0, 301.0, 4000.0])),
    st.builds(Happens, st.sampled_from(["plug", "unplug", "card", "card", "stays"]), _N),
    st.builds(Happens, st.just("energy"), _N, st.sampled_from([1.0, 100.0, 5000.0])),
    st.builds(
        Happens,
        st.sampled_from(
            ["link fails", "link returns", "gateway restarts", "power fails for a while", "device boots",
             "CSMS is busy", "CSMS is silent", "CSMS refuses tokens", "CSMS is friendly"]
        ),
    ),
)  # fmt: skip
STEPS = st.lists(st.one_of(ASKS, SAYS, HAPPENS, HAPPENS), min_size=3, max_size=40)


def filled(payload: Any, wall: float, transaction_id: int) -> Any:
    """The payload with its moments and its transaction put in."""
    if isinstance(payload, dict):
        return {key: filled(value, wall, transaction_id) for key, value in payload.items()}
    if isinstance(payload, list):
        return [filled(value, wall, transaction_id) for value in payload]
    if payload == "$TRANSACTION":
        return transaction_id
    if isinstance(payload, str) and (moment := re.fullmatch(r"\$NOW([+-]\d+)?", payload)):
        when = datetime.fromtimestamp(wall + int(moment[1] or 0), UTC)
        return when.isoformat(timespec="seconds").replace("+00:00", "Z")
    return payload
