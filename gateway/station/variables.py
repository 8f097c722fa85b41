"""The device model of one station: definitions shared by all, and the few texts that differ from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Generic, Literal, TypeVar, cast, overload

from gateway.station.model import StationConfig, TxPoint
from gateway.station.reports import ReportedVariable
from gateway.station.requests import VariableRef, VariableResult
from gateway.station.variable_definitions import DEFINITIONS, HIDDEN
from gateway.station.variable_shapes import Definition, Mutability
from gateway.station.variable_values import Value, VariableError, allowed, name_of, normal, parsed

InventoryBase = Literal["ConfigurationInventory", "FullInventory", "SummaryInventory"]

Live = Callable[[VariableRef], str | None]
"""Texts that only the station knows at this moment; None: the definition's default holds."""

Key = tuple[str, str, str | None]
"""(component, variable, instance), spelt as in the definitions."""

_BY_KEY: dict[Key, Definition] = {definition.key: definition for definition in DEFINITIONS}
_DEFAULTS: dict[Key, Value] = {
    key: parsed(definition, definition.default)
    for key, definition in _BY_KEY.items()
    if isinstance(definition.default, str)
}

T = TypeVar("T", int, bool, str, tuple[str, ...])


class _Getter(Generic[T]):
    """A typed name for what one variable says now."""

    __slots__ = ("_key",)

    def __init__(self, component: str, variable: str, instance: str | None = None) -> None:
        self._key = (component, variable, instance)
        _BY_KEY[self._key]  # a name that no definition has fails at import

    @overload
    def __get__(self, variables: None, owner: type) -> _Getter[T]: ...

    @overload
    def __get__(self, variables: Variables, owner: type) -> T: ...

    def __get__(self, variables: Variables | None, owner: type) -> T | _Getter[T]:
        if variables is None:
            return self
        value: T = variables.read(self._key)
        return value


class Variables:
    """What is configured at one station, by whom, and what may be.

    Precedence: what the CSMS (or the station itself) has written, then what the operator configured, then the
    definition's default. Names from the CSMS are matched without regard to case (# CiString).
    """

    __slots__ = ("_changed", "_config", "_initial", "_live", "_parsed", "_texts", "_written", "complaints")

    complaints: tuple[str, ...]
    """Sentences about stored texts that no longer fit their definition and are ignored."""

    def __init__(self, config: StationConfig, stored: Mapping[str, str], live: Live | None = None) -> None:
        """Raise VariableError when an initial value of the operator does not fit."""
        self._config = config
        self._live = live
        self._texts: dict[str, str] = {}
        self._parsed: dict[Key, Value] = {}
        self._written: set[str] = set()
        self._changed: set[str] = set()
        self._initial = initial_texts(config)
        for name, text in self._initial.items():
            self._hold(_BY_NAME[name], text)
        complaints = []
        for name, text in stored.items():
            definition = _BY_NAME.get(name)
            if definition is None:
                complaints.append(f"The stored variable {name!r} is unknown to this version; it is ignored.")
                continue
            try:
                self._hold(definition, normal(definition, text, config))
                self._written.add(name)
            except VariableError as error:
                complaints.append(f"A stored variable is ignored: {error}")
        self.complaints = tuple(complaints)

    # -------------------------------------------------------------- typed getters, cheap

    heartbeat_interval_s = _Getter[int]("OCPPCommCtrlr", "HeartbeatInterval")
    ping_interval_s = _Getter[int]("OCPPCommCtrlr", "WebSocketPingInterval")
    message_timeout_s = _Getter[int]("OCPPCommCtrlr", "MessageTimeout", "Default")
    message_attempts = _Getter[int]("OCPPCommCtrlr", "MessageAttempts", "TransactionEvent")
    message_attempt_interval_s = _Getter[int]("OCPPCommCtrlr", "MessageAttemptInterval", "TransactionEvent")
    offline_threshold_s = _Getter[int]("OCPPCommCtrlr", "OfflineThreshold")
    backoff_minimum_s = _Getter[int]("OCPPCommCtrlr", "RetryBackOffWaitMinimum")
    backoff_random_s = _Getter[int]("OCPPCommCtrlr", "RetryBackOffRandomRange")
    backoff_repeats = _Getter[int]("OCPPCommCtrlr", "RetryBackOffRepeatTimes")
    reset_retries = _Getter[int]("OCPPCommCtrlr", "ResetRetries")
    unlock_on_ev_side_disconnect = _Getter[bool]("OCPPCommCtrlr", "UnlockOnEVSideDisconnect")
    public_key_with_signed_values = _Getter[str]("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue")

    connection_timeout_s = _Getter[int]("TxCtrlr", "EVConnectionTimeOut")
    stop_on_ev_side_disconnect = _Getter[bool]("TxCtrlr", "StopTxOnEVSideDisconnect")
    stop_on_invalid_id = _Getter[bool]("TxCtrlr", "StopTxOnInvalidId")
    max_energy_on_invalid_id_wh = _Getter[int]("TxCtrlr", "MaxEnergyOnInvalidId")

    sampled_enabled = _Getter[bool]("SampledDataCtrlr", "Enabled")
    sampled_signed = _Getter[bool]("SampledDataCtrlr", "SignReadings")
    started_measurands = _Getter[tuple[str, ...]]("SampledDataCtrlr", "TxStartedMeasurands")
    updated_measurands = _Getter[tuple[str, ...]]("SampledDataCtrlr", "TxUpdatedMeasurands")
    updated_interval_s = _Getter[int]("SampledDataCtrlr", "TxUpdatedInterval")
    ended_measurands = _Getter[tuple[str, ...]]("SampledDataCtrlr", "TxEndedMeasurands")
    ended_interval_s = _Getter[int]("SampledDataCtrlr", "TxEndedInterval")

    aligned_enabled = _Getter[bool]("AlignedDataCtrlr", "Enabled")
    aligned_signed = _Getter[bool]("AlignedDataCtrlr", "SignReadings")
    aligned_only_idle = _Getter[bool]("AlignedDataCtrlr", "SendDuringIdle")
    aligned_measurands = _Getter[tuple[str, ...]]("AlignedDataCtrlr", "Measurands")
    aligned_interval_s = _Getter[int]("AlignedDataCtrlr", "Interval")
    aligned_ended_measurands = _Getter[tuple[str, ...]]("AlignedDataCtrlr", "TxEndedMeasurands")
    aligned_ended_interval_s = _Getter[int]("AlignedDataCtrlr", "TxEndedInterval")

    authorization_enabled = _Getter[bool]("AuthCtrlr", "Enabled")
    authorize_remote_start = _Getter[bool]("AuthCtrlr", "AuthorizeRemoteStart")
    local_authorize_offline = _Getter[bool]("AuthCtrlr", "LocalAuthorizeOffline")
    local_pre_authorize = _Getter[bool]("AuthCtrlr", "LocalPreAuthorize")
    offline_tx_for_unknown_id = _Getter[bool]("AuthCtrlr", "OfflineTxForUnknownIdEnabled")
    remote_authorization_disabled = _Getter[bool]("AuthCtrlr", "DisableRemoteAuthorization")
    master_pass_group = _Getter[str]("AuthCtrlr", "MasterPassGroupId")
    """"" = there is none."""
    cache_enabled = _Getter[bool]("AuthCacheCtrlr", "Enabled")
    cache_lifetime_s = _Getter[int]("AuthCacheCtrlr", "LifeTime")
    cache_post_authorize_disabled = _Getter[bool]("AuthCacheCtrlr", "DisablePostAuthorize")

    list_enabled = _Getter[bool]("LocalAuthListCtrlr", "Enabled")
    list_length = _Getter[int](HIDDEN, "LocalAuthListMaxLength")
    list_items_per_message = _Getter[int]("LocalAuthListCtrlr", "ItemsPerMessage")
    list_post_authorize_disabled = _Getter[bool]("LocalAuthListCtrlr", "DisablePostAuthorize")

    reservations_enabled = _Getter[bool]("ReservationCtrlr", "Enabled")
    reserve_unspecific = _Getter[bool]("ReservationCtrlr", "NonEvseSpecific")

    profile_stack_level = _Getter[int](HIDDEN, "ChargeProfileMaxStackLevel")
    schedule_periods = _Getter[int](HIDDEN, "ChargingScheduleMaxPeriods")
    profiles_installed = _Getter[int](HIDDEN, "MaxChargingProfilesInstalled")
    rate_units = _Getter[tuple[str, ...]](HIDDEN, "ChargingScheduleAllowedChargingRateUnit")
    phase_switching = _Getter[bool](HIDDEN, "ConnectorSwitch3to1PhaseSupported")
    """Whether devices charge with one phase when the setpoint says so."""

    certificate_store_length = _Getter[int](HIDDEN, "CertificateStoreMaxLength")
    additional_root_check = _Getter[bool](HIDDEN, "AdditionalRootCertificateCheck")

    security_profile = _Getter[int](HIDDEN, "SecurityProfile")
    """As the CSMS has set it; `identity.profile` is the one that holds."""
    connection_attempts = _Getter[int]("OCPPCommCtrlr", "NetworkProfileConnectionAttempts")
    organization_name = _Getter[str]("SecurityCtrlr", "OrganizationName")
    chain_size = _Getter[int]("SecurityCtrlr", "MaxCertificateChainSize")
    signing_wait_s = _Getter[int]("SecurityCtrlr", "CertSigningWaitMinimum")
    signing_repeats = _Getter[int]("SecurityCtrlr", "CertSigningRepeatTimes")

    minimum_status_duration_s = _Getter[int](HIDDEN, "MinimumStatusDuration")
    stop_sampled_measurands_16 = _Getter[tuple[str, ...]](HIDDEN, "StopTxnSampledData")
    """1.6 StopTxnSampledData: of transactions pinned to 1.6 instead of `ended_measurands`."""
    stop_aligned_measurands_16 = _Getter[tuple[str, ...]](HIDDEN, "StopTxnAlignedData")

    @property
    def start_points(self) -> frozenset[TxPoint]:
        written = self._parsed.get(_START_POINT)
        return self._config.policy.start_points if written is None else _points(written)

    @property
    def stop_points(self) -> frozenset[TxPoint]:
        written = self._parsed.get(_STOP_POINT)
        return self._config.policy.stop_points if written is None else _points(written)

    @property
    def password(self) -> tuple[str, bool] | None:
        """(password, whether it is hex digits) as the CSMS last wrote it; None: the configured one holds."""
        for key, is_hex in ((_PASSWORD, False), (_AUTHORIZATION_KEY, True)):
            written = self._parsed.get(key)
            if written is not None:
                return cast("str", written), is_hex
        return None

    def read(self, key: Key) -> Any:
        """The value of a station's variable that is not live; KeyError when there is none."""
        value = self._parsed.get(key)
        if value is None:
            value = _DEFAULTS.get(key)
            if value is None:
                definition = _BY_KEY[key]
                text = self._text(definition, None, None)
                value = parsed(definition, text) if text else ""
        return value

    def integer(self, component: str, variable: str, instance: str | None = None) -> int:
        return cast("int", self.read((component, variable, instance)))

    def boolean(self, component: str, variable: str, instance: str | None = None) -> bool:
        return cast("bool", self.read((component, variable, instance)))

    def members(self, component: str, variable: str, instance: str | None = None) -> tuple[str, ...]:
        return cast("tuple[str, ...]", self.read((component, variable, instance)))

    def text(self, component: str, variable: str, instance: str | None = None) -> str:
        return cast("str", self.read((component, variable, instance)))

    # -------------------------------------------------------------- by name

    def get(self, ref: VariableRef) -> VariableResult:
        """# B06; 1.6 §5.8. `read_only` is true as well when the value may be read."""
        definition = self._found(ref)
        if isinstance(definition, str):
            return VariableResult(ref, definition)
        if definition.mutability is Mutability.WRITE_ONLY:
            return VariableResult(ref, "Rejected", reason_code="WriteOnly")  # B06.FR.09
        text = self._text(definition, ref.evse, ref.connector)
        return VariableResult(
            ref, "Accepted", text or "", read_only=definition.mutability is Mutability.READ_ONLY
        )

    def set(self, ref: VariableRef, text: str) -> VariableResult:
        """# B05; 1.6 §5.3. Nothing changes unless the status is Accepted or RebootRequired."""
        definition = self._found(ref)
        if isinstance(definition, str):
            return VariableResult(ref, definition)
        if definition.mutability is Mutability.READ_ONLY:
            held = self._text(definition, ref.evse, ref.connector)
            return VariableResult(ref, "Rejected", held, read_only=True, reason_code="ReadOnly")
        try:
            self._write(definition, normal(definition, text, self._config))
        except VariableError as error:
            return VariableResult(ref, "Rejected", reason_code=error.reason_code, info=str(error))
        return VariableResult(ref, "RebootRequired" if definition.reboot_required else "Accepted")

    def provide(self, component: str, variable: str, text: str, instance: str | None = None) -> None:
        """Write as the station itself, also where the CSMS may only read; raises VariableError.

        A number beyond its bounds takes the nearest that is within: an interval in BootNotification's answer
        has none.
        """
        definition = _BY_KEY[component, variable, instance]
        try:
            normal_text = normal(definition, text, self._config)
        except VariableError as error:
            bound = {"ValueTooLow": definition.minimum, "ValueTooHigh": definition.maximum}.get(
                error.reason_code
            )
            if bound is None:
                raise
            normal_text = str(bound)
        if self._held(definition, None, None, self._texts) != normal_text:
            self._write(definition, normal_text)

    def forget(self, name: str | None = None) -> None:
        """Go back to what the operator configured, of one variable (by its record's name) or all."""
        for written in list(self._written) if name is None else {name} & self._written:
            self._back(_BY_NAME[written])

    def changed(self) -> dict[str, str | None]:
        """The texts to save since the last call, by name; None: the record goes."""
        if not self._changed:
            return {}
        saved = {name: self._texts[name] if name in self._written else None for name in sorted(self._changed)}
        self._changed.clear()
        return saved

    def inventory(self, base: InventoryBase) -> Iterator[ReportedVariable]:
        """What the station consists of, as it is at this moment, one by one (# B07)."""
        texts = dict(self._texts)
        rows = [row for row in self._rows() if _belongs(row[0], base)]
        live = {row: text for row in rows if row[0].live and (text := self._asked(*row)) is not None}
        return (self._reported(row, texts, live) for row in rows)

    # -------------------------------------------------------------- inside

    def _found(self, ref: VariableRef) -> Definition | str:
        """The definition, or the status that says what is unknown."""
        component = _BY_FOLDED.get(ref.component.casefold())
        if component is None or ref.component_instance is not None or not self._exists(ref, component[0]):
            return "UnknownComponent"
        instance = None if ref.instance is None else ref.instance.casefold()
        definition = component[1].get((ref.variable.casefold(), instance))
        if definition is None:
            return "UnknownVariable"  # B06.FR.14: also one that exists only with, or without, an instance
        return definition if ref.attribute == "Actual" else "NotSupportedAttributeType"

    def _exists(self, ref: VariableRef, place: str) -> bool:
        match place:
            case "station":
                return ref.evse is None and ref.connector is None
            case "evse":
                return ref.connector is None and any(c.evse == ref.evse for c in self._config.connectors)
            case _:
                here = (ref.evse, ref.connector)
                return any((c.evse, c.connector) == here for c in self._config.connectors)

    def _rows(self) -> Iterator[_Row]:
        connectors = sorted((c.evse, c.connector) for c in self._config.connectors)
        evses = sorted({evse for evse, _ in connectors})
        for definition in DEFINITIONS:
            match definition.place:
                case "station":
                    yield definition, None, None
                case "evse":
                    for evse in evses:
                        yield definition, evse, None
                case "connector":
                    for evse, connector in connectors:
                        yield definition, evse, connector

    def _asked(self, definition: Definition, evse: int | None, connector: int | None) -> str | None:
        if self._live is None:
            return None
        return self._live(
            VariableRef(
                definition.component, definition.variable, definition.instance, evse=evse, connector=connector
            )
        )

    def _text(self, definition: Definition, evse: int | None, connector: int | None) -> str | None:
        if definition.live and (text := self._asked(definition, evse, connector)) is not None:
            return text
        return self._held(definition, evse, connector, self._texts)

    def _held(
        self, definition: Definition, evse: int | None, connector: int | None, texts: Mapping[str, str]
    ) -> str | None:
        if definition.place == "station" and (text := texts.get(_NAMES[definition])) is not None:
            return text
        default = definition.default
        if callable(default):
            return default(self._config)
        return self._of_place(definition.variable, evse, connector) if default is None else default

    def _of_place(self, variable: str, evse: int | None, connector: int | None) -> str | None:
        connectors = [
            c for c in self._config.connectors if evse in (None, c.evse) and connector in (None, c.connector)
        ]
        match variable:
            case "SupplyPhases":
                return str(max((c.phases for c in connectors), default=0))
            case "ConnectorType":
                return connectors[0].type
            case _:
                return None

    def _reported(self, row: _Row, texts: Mapping[str, str], live: Mapping[_Row, str]) -> ReportedVariable:
        definition, evse, connector = row
        text: str | None = None
        if definition.mutability is not Mutability.WRITE_ONLY:
            text = live[row] if row in live else self._held(definition, evse, connector, texts)
        maximum: float | None = definition.maximum
        if definition.key == ("EVSE", "Power", None):
            maximum = max(
                c.max_current_a * c.phases * c.voltage_v for c in self._config.connectors if c.evse == evse
            )
        return ReportedVariable(
            definition.component,
            definition.variable,
            definition.instance,
            evse,
            connector,
            (("Actual", text, definition.mutability.value, not definition.live, definition.constant),),
            definition.type.value,
            definition.unit,
            definition.minimum,
            maximum,
            allowed(definition, self._config),
        )

    def _write(self, definition: Definition, text: str) -> None:
        name = _NAMES[definition]
        self._hold(definition, text)
        self._written.add(name)
        self._changed.add(name)
        other = _SAME_SECRET.get(definition.key)
        if other is not None and _NAMES[_BY_KEY[other]] in self._written:
            self._back(_BY_KEY[other])

    def _back(self, definition: Definition) -> None:
        name = _NAMES[definition]
        self._written.discard(name)
        self._changed.add(name)
        initial = self._initial.get(name)
        if initial is None:
            del self._texts[name], self._parsed[definition.key]
        else:
            self._hold(definition, initial)

    def _hold(self, definition: Definition, text: str) -> None:
        self._texts[_NAMES[definition]] = text
        self._parsed[definition.key] = parsed(definition, text)


def initial_texts(config: StationConfig) -> dict[str, str]:
    """The operator's initial values in normal form, by name; raises VariableError."""
    texts = {}
    for name, text in config.variables.items():
        definition = _BY_FOLDED_NAME.get(re.sub(r"\s", "", name).casefold())
        if definition is None or definition.place != "station":
            raise VariableError(
                "NotFound",
                f"There is no variable {name!r}; a name looks like OCPPCommCtrlr.HeartbeatInterval "
                "or OCPPCommCtrlr.MessageTimeout[Default].",
            )
        if definition.live or definition.constant:
            raise VariableError(
                "ReadOnly", f"{name_of(definition)} follows from other settings; remove it here."
            )
        texts[name_of(definition)] = normal(definition, text, config)
    return texts


_Row = tuple[Definition, int | None, int | None]

_NAMES: dict[Definition, str] = {definition: name_of(definition) for definition in DEFINITIONS}
_BY_NAME: dict[str, Definition] = {name: definition for definition, name in _NAMES.items()}
_BY_FOLDED_NAME = {name.casefold(): definition for name, definition in _BY_NAME.items()}
_BY_FOLDED: dict[str, tuple[str, dict[tuple[str, str | None], Definition]]] = {}
"""Component → (its place, (variable, instance) → definition)."""
for _definition in DEFINITIONS:
    _folded = _BY_FOLDED.setdefault(_definition.component.casefold(), (_definition.place, {}))
    _instance = None if _definition.instance is None else _definition.instance.casefold()
    _folded[1][_definition.variable.casefold(), _instance] = _definition

_START_POINT: Key = ("TxCtrlr", "TxStartPoint", None)
_STOP_POINT: Key = ("TxCtrlr", "TxStopPoint", None)
_PASSWORD: Key = ("SecurityCtrlr", "BasicAuthPassword", None)
_AUTHORIZATION_KEY: Key = (HIDDEN, "AuthorizationKey", None)
_SAME_SECRET = {_PASSWORD: _AUTHORIZATION_KEY, _AUTHORIZATION_KEY: _PASSWORD}
"""Whichever was written last is the password."""


def _belongs(definition: Definition, base: InventoryBase) -> bool:
    if definition.component == HIDDEN:
        return False
    match base:
        case "FullInventory":
            return True
        case "ConfigurationInventory":
            return definition.mutability is not Mutability.READ_ONLY
        case "SummaryInventory":
            return definition.variable == "AvailabilityState"


@lru_cache(maxsize=64)
def _points(members: tuple[str, ...]) -> frozenset[TxPoint]:
    return frozenset(TxPoint(member) for member in members)
