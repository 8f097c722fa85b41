"""What every variable is: a row each, shared by all stations; a row is here only if the station obeys it."""

from __future__ import annotations

from collections.abc import Callable

from gateway.station.model import StationConfig, TxPoint
from gateway.station.variable_shapes import (
    DataType,
    Definition,
    R,
    W,
    available,
    flag,
    number,
    state,
    supply_phases,
    text,
)

HIDDEN = "Ocpp16"
"""The component of what only 1.6 has a key for; 2.x never sees it."""


LIST_LENGTH = 10000
"""More tokens than this are not listed at one station: some 3 MB."""

# ------------------------------------------------------------------ words

MEASURANDS = (
    "Energy.Active.Import.Register",
    "Energy.Active.Export.Register",
    "Power.Active.Import",
    "Power.Active.Export",
    "Power.Factor",
    "Power.Reactive.Import",
    "Power.Offered",
    "Current.Import",
    "Current.Offered",
    "Voltage",
    "Frequency",
    "SoC",
)
"""What the MQTT contract can deliver."""

MEASURANDS_OF_16 = ("Temperature",)
"""2.0.1 dropped it."""

MEASURANDS_OF_ONE_PHASE = (
    *(f"Current.Import.{phase}" for phase in ("L1", "L2", "L3")),
    *(f"Voltage.{phase}" for phase in ("L1", "L2", "L3", "L1-N", "L2-N", "L3-N")),
)
"""# 1.6 §9.1.16: an entry may name a phase; these can be told apart."""

ID_TOKEN_TYPES = (
    "Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress", "NoAuthorization",
)  # fmt: skip
PHASE_ROTATIONS = ("NotApplicable", "Unknown", "RST", "RTS", "SRT", "STR", "TRS", "TSR")

_REGISTER = "Energy.Active.Import.Register"
_START_POINTS = tuple(TxPoint)
_STOP_POINTS = tuple(point for point in TxPoint if point is not TxPoint.DATA_SIGNED)  # E06.FR.05 (errata)


def _measurands(component: str, variable: str, default: str, *, required: bool = True) -> Definition:
    return Definition(
        component=component,
        variable=variable,
        type=DataType.MEMBER_LIST,
        default=default,
        values=MEASURANDS,
        quiet_values=MEASURANDS_OF_16 + MEASURANDS_OF_ONE_PHASE,
        may_be_empty=True,
        required=required,
    )


def _joined(points: frozenset[TxPoint]) -> str:
    return ",".join(point for point in TxPoint if point in points)


# ------------------------------------------------------------------ rows: controllers

_PROTOCOLS = ("FTP", "FTPS", "HTTP", "HTTPS", "SFTP")

_COMMUNICATION = (
    number("OCPPCommCtrlr", "HeartbeatInterval", "300", unit="s", within=(1, 86400)),
    number("OCPPCommCtrlr", "WebSocketPingInterval", "30", unit="s", within=(0, 86400)),
    number(
        "OCPPCommCtrlr", "MessageTimeout", "30", R,
        instance="Default", unit="s", within=(1, 600), required=True,
    ),
    number(
        "OCPPCommCtrlr", "MessageAttempts", "5",
        instance="TransactionEvent", within=(1, 1000), required=True,
    ),
    number(
        "OCPPCommCtrlr", "MessageAttemptInterval", "10",
        instance="TransactionEvent", unit="s", within=(1, 86400), required=True,
    ),
    number("OCPPCommCtrlr", "OfflineThreshold", "60", unit="s", required=True),
    number("OCPPCommCtrlr", "RetryBackOffWaitMinimum", "2", unit="s", within=(1, 3600)),
    number("OCPPCommCtrlr", "RetryBackOffRandomRange", "5", unit="s", within=(0, 3600)),
    number("OCPPCommCtrlr", "RetryBackOffRepeatTimes", "5", within=(0, 16)),
    number("OCPPCommCtrlr", "ResetRetries", "1", within=(0, 10), required=True),
    flag("OCPPCommCtrlr", "UnlockOnEVSideDisconnect", "true", required=True),
    Definition(
        component="OCPPCommCtrlr", variable="NetworkConfigurationPriority", type=DataType.SEQUENCE_LIST,
        default="1", values=("1",), required=True, reboot_required=True,
    ),
    number("OCPPCommCtrlr", "NetworkProfileConnectionAttempts", "3", within=(1, 100), required=True),
    text("OCPPCommCtrlr", "ActiveNetworkProfile", "1", R, required=True),
    Definition(
        component="OCPPCommCtrlr", variable="FileTransferProtocols", type=DataType.MEMBER_LIST,
        default=",".join(_PROTOCOLS), values=_PROTOCOLS, mutability=R, required=True, constant=True,
    ),
    Definition(
        component="OCPPCommCtrlr", variable="PublicKeyWithSignedMeterValue", type=DataType.OPTION_LIST,
        default="OncePerTransaction", values=("Never", "OncePerTransaction", "EveryMeterValue"),
    ),
)  # fmt: skip

_TRANSACTIONS = (
    number("TxCtrlr", "EVConnectionTimeOut", "60", unit="s", within=(1, 86400), required=True),
    flag("TxCtrlr", "StopTxOnEVSideDisconnect", "true", required=True),
    flag("TxCtrlr", "StopTxOnInvalidId", "true", required=True),
    number("TxCtrlr", "MaxEnergyOnInvalidId", "0", unit="Wh"),
    Definition(
        component="TxCtrlr", variable="TxStartPoint", type=DataType.MEMBER_LIST,
        default=lambda config: _joined(config.policy.start_points), values=_START_POINTS, required=True,
    ),
    Definition(
        component="TxCtrlr", variable="TxStopPoint", type=DataType.MEMBER_LIST,
        default=lambda config: _joined(config.policy.stop_points), values=_STOP_POINTS, required=True,
    ),
)  # fmt: skip

_DEVICE_DATA = (
    *(
        number(
            "DeviceDataCtrlr",
            variable,
            default,
            R,
            instance=message,
            unit=unit,
            within=(1, None),
            required=True,
        )
        for message in ("GetReport", "GetVariables", "SetVariables")
        for variable, default, unit in (("ItemsPerMessage", "100", None), ("BytesPerMessage", "65536", "B"))
    ),
    number("DeviceDataCtrlr", "ConfigurationValueSize", "1000", R, within=(1, None)),
    number("DeviceDataCtrlr", "ReportingValueSize", "2500", R, within=(1, None)),
    number("DeviceDataCtrlr", "ValueSize", "2500", R, within=(1, None)),
)

_CLOCK = (
    Definition(
        component="ClockCtrlr", variable="DateTime", type=DataType.DATE_TIME, default="1970-01-01T00:00:00Z",
        mutability=R, required=True, live=True,
    ),
    Definition(
        component="ClockCtrlr", variable="TimeSource", type=DataType.SEQUENCE_LIST, default="Heartbeat",
        values=("Heartbeat",), required=True,
    ),
)  # fmt: skip

_SECURITY = (
    number("SecurityCtrlr", "SecurityProfile", "0", R, within=(0, 3), required=True, live=True),
    text("SecurityCtrlr", "Identity", lambda config: config.identity, R, maximum=48),
    text(
        "SecurityCtrlr", "BasicAuthPassword", None, W,
        minimum=16, maximum=40, pattern=r"[!-~]*",  # wider than passwordString: CSMSs give out more
    ),
    text("SecurityCtrlr", "OrganizationName", lambda config: config.vendor, maximum=64, required=True),
    number("SecurityCtrlr", "CertificateEntries", "0", R, within=(0, None), required=True, live=True),
    number("SecurityCtrlr", "MaxCertificateChainSize", "10000", R, within=(1, 10000)),
    number("SecurityCtrlr", "CertSigningWaitMinimum", "60", unit="s", within=(1, 86400)),
    number("SecurityCtrlr", "CertSigningRepeatTimes", "3", within=(0, 16)),
)  # fmt: skip

_METERING = (
    flag("SampledDataCtrlr", "Available", "true", R),
    flag("SampledDataCtrlr", "Enabled", "true"),
    flag("SampledDataCtrlr", "SignReadings", "true"),
    flag("SampledDataCtrlr", "RegisterValuesWithoutPhases", "true", R),
    _measurands("SampledDataCtrlr", "TxStartedMeasurands", _REGISTER),
    _measurands(
        "SampledDataCtrlr", "TxUpdatedMeasurands", f"{_REGISTER},Power.Active.Import,Current.Import,Voltage"
    ),
    number("SampledDataCtrlr", "TxUpdatedInterval", "60", unit="s", within=(0, 86400), required=True),
    _measurands("SampledDataCtrlr", "TxEndedMeasurands", _REGISTER),
    number("SampledDataCtrlr", "TxEndedInterval", "0", unit="s", within=(0, 86400), required=True),
    flag("AlignedDataCtrlr", "Available", "true", R),
    flag("AlignedDataCtrlr", "Enabled", "true"),
    flag("AlignedDataCtrlr", "SignReadings", "false"),
    flag("AlignedDataCtrlr", "SendDuringIdle", "false"),
    _measurands("AlignedDataCtrlr", "Measurands", _REGISTER),
    number("AlignedDataCtrlr", "Interval", "0", unit="s", within=(0, 86400), required=True),
    _measurands("AlignedDataCtrlr", "TxEndedMeasurands", _REGISTER),
    number("AlignedDataCtrlr", "TxEndedInterval", "0", unit="s", within=(0, 86400), required=True),
)

_AUTHORIZATION = (
    flag("AuthCtrlr", "Enabled", "true"),
    flag("AuthCtrlr", "AuthorizeRemoteStart", "false", required=True),
    flag("AuthCtrlr", "LocalAuthorizeOffline", "true", required=True),
    flag("AuthCtrlr", "LocalPreAuthorize", "false", required=True),
    flag("AuthCtrlr", "OfflineTxForUnknownIdEnabled", "false"),
    flag("AuthCtrlr", "DisableRemoteAuthorization", "false"),
    text("AuthCtrlr", "MasterPassGroupId", "", maximum=36),
    Definition(
        component="AuthCtrlr", variable="SupportedIdTokenTypes", type=DataType.MEMBER_LIST,
        default=",".join(ID_TOKEN_TYPES), values=ID_TOKEN_TYPES, mutability=R, constant=True,
    ),
    flag("AuthCacheCtrlr", "Available", "true", R),
    flag("AuthCacheCtrlr", "Enabled", "true"),
    flag("AuthCacheCtrlr", "DisablePostAuthorize", "false"),
    number("AuthCacheCtrlr", "LifeTime", "2592000", unit="s", within=(1, None)),
    Definition(
        component="AuthCacheCtrlr", variable="Policy", type=DataType.OPTION_LIST, default="LRU",
        values=("LRU",), mutability=R, constant=True,
    ),
    number("AuthCacheCtrlr", "Storage", "0", R, unit="B", live=True),
    flag("LocalAuthListCtrlr", "Enabled", "true"),
    flag("LocalAuthListCtrlr", "DisablePostAuthorize", "false"),
    number(
        "LocalAuthListCtrlr", "Entries", "0", R,
        within=(0, LIST_LENGTH), required=True, live=True,
    ),
    number("LocalAuthListCtrlr", "ItemsPerMessage", "1000", R, within=(1, None), required=True),
    number("LocalAuthListCtrlr", "BytesPerMessage", "1000000", R, unit="B", within=(1, None), required=True),
)  # fmt: skip

_RESERVATION = (
    flag("ReservationCtrlr", "Enabled", lambda config: str(not config.report_only).lower()),
    Definition(
        component="ReservationCtrlr", variable="NonEvseSpecific", type=DataType.BOOLEAN, default="true",
        mutability=R,
    ),
)  # fmt: skip


# ------------------------------------------------------------------ rows: physical components

_PHYSICAL = (
    state("ChargingStation", "station"),
    flag("ChargingStation", "Available", "true", R, required=True),
    supply_phases("ChargingStation", "station"),
    text("ChargingStation", "Model", lambda config: config.model, R, maximum=50),
    text("ChargingStation", "VendorName", lambda config: config.vendor, R, maximum=50),
    state("EVSE", "evse"),
    available("EVSE", "evse"),
    supply_phases("EVSE", "evse"),
    Definition(
        component="EVSE", variable="AllowReset", place="evse", type=DataType.BOOLEAN, default="false",
        mutability=R, constant=True,
    ),
    Definition(
        component="EVSE", variable="Power", place="evse", type=DataType.DECIMAL, mutability=R, unit="W",
        minimum=0, required=True, live=True,
    ),
    state("Connector", "connector"),
    available("Connector", "connector"),
    supply_phases("Connector", "connector"),
    Definition(
        component="Connector", variable="ConnectorType", place="connector", type=DataType.STRING,
        maximum=20, mutability=R, required=True, constant=True,
    ),
)  # fmt: skip


# ------------------------------------------------------------------ rows: what only 1.6 has a key for


def _rotations(config: StationConfig) -> tuple[str, ...]:
    """# 1.6 §9.1.7: connector 0 is the grid connection."""
    return tuple(f"{n}.{word}" for n in range(len(config.connectors) + 1) for word in PHASE_ROTATIONS)


def _only_16(name: str, default: str | Callable[[StationConfig], str]) -> Definition:
    return number(HIDDEN, name, default, R)


_MEASURANDS_MAX_LENGTH = str(len(MEASURANDS + MEASURANDS_OF_16 + MEASURANDS_OF_ONE_PHASE))

_PROFILES_OF_16 = (
    "Core",
    "FirmwareManagement",
    "LocalAuthListManagement",
    "Reservation",
    "SmartCharging",
    "RemoteTrigger",
)
_OBEYED_BY_DEVICES = frozenset({"LocalAuthListManagement", "Reservation", "SmartCharging"})


def _profiles_of_16(config: StationConfig) -> list[str]:
    return [name for name in _PROFILES_OF_16 if not (config.report_only and name in _OBEYED_BY_DEVICES)]


_OF_16 = (
    _only_16("NumberOfConnectors", lambda config: str(len(config.connectors))),
    _only_16("GetConfigurationMaxKeys", "100"),
    number(HIDDEN, "LocalAuthListMaxLength", str(LIST_LENGTH), R, within=(1, LIST_LENGTH)),
    text(HIDDEN, "SupportedFeatureProfiles", lambda config: ",".join(_profiles_of_16(config)), R),
    _only_16("SupportedFeatureProfilesMaxLength", str(len(_PROFILES_OF_16))),
    number(HIDDEN, "MinimumStatusDuration", "0", unit="s", within=(0, 3600)),
    Definition(
        component=HIDDEN, variable="ConnectorPhaseRotation", type=DataType.MEMBER_LIST, values=_rotations,
        default=lambda config: ",".join(f"{n}.Unknown" for n in range(len(config.connectors) + 1)),
        may_be_empty=True,
    ),
    number(HIDDEN, "ChargeProfileMaxStackLevel", "20", R),
    number(HIDDEN, "ChargingScheduleMaxPeriods", "48", R, within=(1, 500)),
    number(HIDDEN, "MaxChargingProfilesInstalled", "20", R, within=(1, 200)),
    Definition(
        component=HIDDEN, variable="ChargingScheduleAllowedChargingRateUnit", type=DataType.MEMBER_LIST,
        default="A,W", values=("A", "W"), mutability=R,
    ),
    Definition(
        component=HIDDEN, variable="ConnectorSwitch3to1PhaseSupported", type=DataType.BOOLEAN,
        default="false", mutability=R,
    ),
    _only_16("ConnectorPhaseRotationMaxLength", lambda config: str(len(config.connectors) + 1)),
    _measurands(HIDDEN, "StopTxnSampledData", ""),
    _measurands(HIDDEN, "StopTxnAlignedData", ""),
    _only_16("MeterValuesSampledDataMaxLength", _MEASURANDS_MAX_LENGTH),
    _only_16("MeterValuesAlignedDataMaxLength", _MEASURANDS_MAX_LENGTH),
    _only_16("StopTxnSampledDataMaxLength", _MEASURANDS_MAX_LENGTH),
    _only_16("StopTxnAlignedDataMaxLength", _MEASURANDS_MAX_LENGTH),
    _only_16("StopTransactionMaxMeterValues", "1000"),
    Definition(
        component=HIDDEN, variable="AdditionalRootCertificateCheck", type=DataType.BOOLEAN, default="false",
        mutability=R,
    ),
    number(HIDDEN, "SecurityProfile", lambda config: str(config.security_profile), within=(0, 3)),
    number(HIDDEN, "CertificateStoreMaxLength", "20", R, within=(1, 100)),
    text(
        HIDDEN, "AuthorizationKey", None, W,
        minimum=32, maximum=40, pattern=r"(?:[0-9A-Fa-f]{2})*",  # whitepaper: 16 to 20 bytes as hex digits
    ),
)  # fmt: skip

DEFINITIONS: tuple[Definition, ...] = (
    *_PHYSICAL,
    *_COMMUNICATION,
    *_TRANSACTIONS,
    *_DEVICE_DATA,
    *_CLOCK,
    *_SECURITY,
    *_METERING,
    *_AUTHORIZATION,
    *_RESERVATION,
    *_OF_16,
)
"""In the order in which an inventory tells them."""
