"""Each configuration key of 1.6: which variable it adapts, and how its text is converted (# 1.6 §9)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from gateway.csms.v16.metering import MEASURANDS, PHASES, REGISTER
from gateway.station.requests import VariableRef
from gateway.station.variable_definitions import HIDDEN, MEASURANDS_OF_ONE_PHASE

PROFILES = frozenset(
    {
        "Core",
        "FirmwareManagement",
        "LocalAuthListManagement",
        "RemoteTrigger",
        "Reservation",
        "Security",
        "SmartCharging",
    }
)
"""Keys of other profiles are not known until the station supports those."""


class Conversion(NamedTuple):
    """Between a key's text and its variable's."""

    given: Callable[[str], str | None]
    """Key → variable; None when the text can be no such value."""
    shown: Callable[[str], str]
    """Variable → key."""


class Key(NamedTuple):
    """One row of the table; bounds and access are the variable's."""

    name: str
    profile: str
    conversion: Conversion
    ref: VariableRef

    @property
    def setting(self) -> str:
        """The variable's name in settings: `Component.Variable` or `Component.Variable[Instance]`."""
        instance = f"[{self.ref.instance}]" if self.ref.instance else ""
        return f"{self.ref.component}.{self.ref.variable}{instance}"

    def given(self, text: str) -> str | None:
        """The variable's text for what the CSMS or the operator wrote; None when it can be no such value."""
        return self.conversion.given(text)

    def shown(self, text: str) -> str:
        """The key's text for the variable's."""
        return self.conversion.shown(text)


def key_named(name: str) -> Key | None:
    """Keys are found in any case: some backends write HeartBeatInterval."""
    return _BY_NAME.get(name.strip().casefold())


# ------------------------------------------------------------------ conversions

_BOOLEANS = {"true": "true", "1": "true", "false": "false", "0": "false"}
_WHOLE_NUMBER = re.compile(r"\+?0*(\d+)(?:\.0*)?", re.ASCII)
_UNITS = {"A": "Current", "W": "Power"}
_UNITS_GIVEN = {**{word.casefold(): unit for unit, word in _UNITS.items()}, "a": "A", "w": "W"}
_MEASURANDS_GIVEN = {name.casefold(): name for name in (*MEASURANDS, *MEASURANDS_OF_ONE_PHASE)}
_PHASES_GIVEN = frozenset(phase.casefold() for phase in PHASES)


def _as_it_is(text: str) -> str:
    return text


def _boolean(text: str) -> str | None:
    return _BOOLEANS.get(text.strip().casefold())


def _boolean_shown(text: str) -> str:
    return text.lower()


def _integer(text: str) -> str | None:
    """No key of 1.6 may be negative; `60.0` means 60."""
    match = _WHOLE_NUMBER.fullmatch(text.strip())
    return None if match is None else match[1]


def _items(text: str) -> list[str]:
    return [item for part in text.split(",") if (item := part.strip())]


def _list(text: str) -> str:
    return ",".join(_items(text))


def _measurand(item: str) -> str:
    """`Voltage.L1-N` stays; where phases cannot be told apart the whole is told: `SoC.L1` becomes `SoC`."""
    known = _MEASURANDS_GIVEN.get(item.casefold())
    whole, _, last = item.rpartition(".")
    if known is not None or last.casefold() not in _PHASES_GIVEN:
        return known or item
    return _MEASURANDS_GIVEN.get(whole.casefold(), whole)


def _measurands(text: str) -> str:
    found = dict.fromkeys(map(_measurand, _items(text)))
    return ",".join(name for name in found if name.rpartition(".")[0] not in found)


def _measurands_or_register(text: str) -> str:
    # 1.6 §9.1: what MeterValues carry is never nothing; transactionData may be.
    return _measurands(text) or REGISTER


def _units(text: str) -> str:
    return ",".join(_UNITS_GIVEN.get(item.casefold(), item) for item in _items(text))


def _units_shown(text: str) -> str:
    return ",".join(_UNITS.get(item, item) for item in _items(text))


_TEXT = Conversion(_as_it_is, _as_it_is)
_FLAG = Conversion(_boolean, _boolean_shown)
_NUMBER = Conversion(_integer, _as_it_is)
_LIST = Conversion(_list, _as_it_is)
_SAMPLED = Conversion(_measurands_or_register, _as_it_is)
_STOP_SAMPLED = Conversion(_measurands, _as_it_is)
_RATE_UNITS = Conversion(_units, _units_shown)
_HEX = Conversion(str.strip, _as_it_is)

# ------------------------------------------------------------------ the table


def _row(
    profile: str,
    conversion: Conversion,
    name: str,
    component: str = HIDDEN,
    variable: str | None = None,
    instance: str | None = None,
) -> Key:
    """Without a component: a key that has no counterpart in 2.x."""
    return Key(name, profile, conversion, VariableRef(component, variable or name, instance))


_TABLE = (
    _row("Core", _FLAG, "AllowOfflineTxForUnknownId", "AuthCtrlr", "OfflineTxForUnknownIdEnabled"),
    _row("Core", _FLAG, "AuthorizationCacheEnabled", "AuthCacheCtrlr", "Enabled"),
    _row("Core", _FLAG, "AuthorizeRemoteTxRequests", "AuthCtrlr", "AuthorizeRemoteStart"),
    _row("Core", _NUMBER, "BlinkRepeat"),
    _row("Core", _NUMBER, "ClockAlignedDataInterval", "AlignedDataCtrlr", "Interval"),
    _row("Core", _NUMBER, "ConnectionTimeOut", "TxCtrlr", "EVConnectionTimeOut"),
    _row("Core", _LIST, "ConnectorPhaseRotation"),
    _row("Core", _NUMBER, "ConnectorPhaseRotationMaxLength"),
    _row("Core", _NUMBER, "GetConfigurationMaxKeys"),
    _row("Core", _NUMBER, "HeartbeatInterval", "OCPPCommCtrlr"),
    _row("Core", _NUMBER, "LightIntensity"),
    _row("Core", _FLAG, "LocalAuthorizeOffline", "AuthCtrlr"),
    _row("Core", _FLAG, "LocalPreAuthorize", "AuthCtrlr"),
    _row("Core", _NUMBER, "MaxEnergyOnInvalidId", "TxCtrlr"),
    _row("Core", _NUMBER, "MessageTimeout", "OCPPCommCtrlr", "MessageTimeout", "Default"),
    _row("Core", _SAMPLED, "MeterValuesAlignedData", "AlignedDataCtrlr", "Measurands"),
    _row("Core", _NUMBER, "MeterValuesAlignedDataMaxLength"),
    _row("Core", _SAMPLED, "MeterValuesSampledData", "SampledDataCtrlr", "TxUpdatedMeasurands"),
    _row("Core", _NUMBER, "MeterValuesSampledDataMaxLength"),
    _row("Core", _NUMBER, "MeterValueSampleInterval", "SampledDataCtrlr", "TxUpdatedInterval"),
    _row("Core", _NUMBER, "MinimumStatusDuration"),
    _row("Core", _NUMBER, "NumberOfConnectors"),
    _row("Core", _NUMBER, "ResetRetries", "OCPPCommCtrlr"),
    _row("Core", _NUMBER, "StopTransactionMaxMeterValues"),
    _row("Core", _FLAG, "StopTransactionOnEVSideDisconnect", "TxCtrlr", "StopTxOnEVSideDisconnect"),
    _row("Core", _FLAG, "StopTransactionOnInvalidId", "TxCtrlr", "StopTxOnInvalidId"),
    # No adapters on TxEndedMeasurands: by default 1.6 wants no transactionData at all ([E3.14.5]).
    _row("Core", _STOP_SAMPLED, "StopTxnAlignedData"),
    _row("Core", _NUMBER, "StopTxnAlignedDataMaxLength"),
    _row("Core", _STOP_SAMPLED, "StopTxnSampledData"),
    _row("Core", _NUMBER, "StopTxnSampledDataMaxLength"),
    _row("Core", _LIST, "SupportedFeatureProfiles"),
    _row("Core", _NUMBER, "SupportedFeatureProfilesMaxLength"),
    _row(
        "Core", _NUMBER, "TransactionMessageAttempts", "OCPPCommCtrlr", "MessageAttempts", "TransactionEvent"
    ),
    _row(
        *("Core", _NUMBER, "TransactionMessageRetryInterval"),
        *("OCPPCommCtrlr", "MessageAttemptInterval", "TransactionEvent"),
    ),
    _row("Core", _FLAG, "UnlockConnectorOnEVSideDisconnect", "OCPPCommCtrlr", "UnlockOnEVSideDisconnect"),
    _row("Core", _NUMBER, "WebSocketPingInterval", "OCPPCommCtrlr"),
    _row("LocalAuthListManagement", _FLAG, "LocalAuthListEnabled", "LocalAuthListCtrlr", "Enabled"),
    _row("LocalAuthListManagement", _NUMBER, "LocalAuthListMaxLength"),
    _row(
        "LocalAuthListManagement", _NUMBER, "SendLocalListMaxLength", "LocalAuthListCtrlr", "ItemsPerMessage"
    ),
    _row("Reservation", _FLAG, "ReserveConnectorZeroSupported", "ReservationCtrlr", "NonEvseSpecific"),
    # No adapters on SmartChargingCtrlr: under 2.x the station does not claim it yet.
    _row("SmartCharging", _NUMBER, "ChargeProfileMaxStackLevel"),
    _row("SmartCharging", _RATE_UNITS, "ChargingScheduleAllowedChargingRateUnit"),
    _row("SmartCharging", _NUMBER, "ChargingScheduleMaxPeriods"),
    _row("SmartCharging", _FLAG, "ConnectorSwitch3to1PhaseSupported"),
    _row("SmartCharging", _NUMBER, "MaxChargingProfilesInstalled"),
    _row(
        *("FirmwareManagement", _LIST, "SupportedFileTransferProtocols"),
        *("OCPPCommCtrlr", "FileTransferProtocols"),
    ),
    _row("Security", _FLAG, "AdditionalRootCertificateCheck"),
    # No adapter on BasicAuthPassword: the digits stand for bytes, which need not be text.
    _row("Security", _HEX, "AuthorizationKey"),
    _row("Security", _NUMBER, "CertificateSignedMaxChainSize", "SecurityCtrlr", "MaxCertificateChainSize"),
    _row("Security", _NUMBER, "CertificateStoreMaxLength"),
    _row("Security", _TEXT, "CpoName", "SecurityCtrlr", "OrganizationName"),
    _row("Security", _NUMBER, "SecurityProfile"),
)

KEYS = tuple(key for key in _TABLE if key.profile in PROFILES)
"""The keys that the station may have; those whose variable it lacks are left out of its answers."""

_BY_NAME = {key.name.casefold(): key for key in KEYS}
