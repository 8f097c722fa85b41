"""What an operator says of a charging station: who it is, what it consists of, and the choices that OCPP leaves open."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.mqtt.topics import ACTIONS, BRIDGE, BRIDGE_ACTIONS, N_MAX, check_station_name
from gateway.settings.csms import Csms
from gateway.settings.variables import VariableText, findings_in, texts
from gateway.settings.words import Finding, Section, Text, any_case, listed, refuse
from gateway.station import model
from gateway.station.model import IdToken, StationConfig, TxPoint

ConnectorType = Literal[
    "cCCS1", "cCCS2", "cChaoJi", "cG105", "cGBT", "cTesla", "cType1", "cType2",
    "s309-1P-16A", "s309-1P-32A", "s309-3P-16A", "s309-3P-32A", "sBS1361", "sCEE-7-7", "sType2", "sType3",
    "OppCharge", "Other1PhMax16A", "Other1PhOver16A", "Other3Ph", "Pan", "wInductive", "wResonant",
    "Undetermined", "Unknown",
]  # fmt: skip
Limiting = Literal["continuous", "steps", "on_off"]
Energy = Literal["register", "session", "power"]
Vanished = Literal["faulted", "unavailable"]
AfterRestart = Literal["resume", "stop"]
TokenType = Literal[
    "Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress", "NoAuthorization"
]
Request = Literal["start", "stop", "unlock", "limit", "operative", "link", "health"]

StartPoint = Annotated[TxPoint, any_case(TxPoint)]
_DEFAULTS = model.Policy()
_LONGEST_ID_TOKEN = 36

# 2.0.1 Part 2, identifierString without the colon, which Basic authentication gives another meaning.
_IDENTITY_OF_2X = re.compile(r"[A-Za-z0-9*\-_=+|@.]+")


class Connector(Section):
    """One plug or socket."""

    type: Annotated[
        ConnectorType,
        any_case(get_args(ConnectorType)),
        Field(
            title="Type",
            description="A ConnectorEnumType word of OCPP: `c…` has its cable, `s…` is a socket.",
        ),
    ] = "cType2"
    max_current_a: Annotated[
        float, Field(title="Maximum current", description="Per phase.", gt=0, le=1000, examples=[16, 32])
    ] = 32.0
    min_current_a: Annotated[
        float,
        Field(title="Minimum current", description="A lower limit switches off instead.", ge=0, le=1000),
    ] = 6.0
    phases: Annotated[
        Literal[1, 2, 3],
        BeforeValidator(lambda value: int(value) if value in ("1", "2", "3") else value),
        Field(title="Phases", description="Those that a vehicle can be charged with here."),
    ] = 3
    voltage_v: Annotated[
        float,
        Field(
            title="Voltage", description="Between line and neutral; converts between A and W.", ge=50, le=1000
        ),
    ] = 230.0
    limiting: Annotated[
        Limiting,
        any_case(get_args(Limiting)),
        Field(
            title="How the device limits", description="`on_off`: a limit below `max_current_a` switches off."
        ),
    ] = "continuous"
    plug_sensor: Annotated[
        bool,
        Field(title="Plug sensor", description="Whether the device notices that a vehicle is connected."),
    ] = True
    lock: Annotated[
        bool, Field(title="Lock", description="Whether the device locks the plug and can unlock it.")
    ] = False
    fixed_cable: Annotated[
        bool | None, Field(title="Fixed cable", description="Default: unless `type` is a socket (`s…`).")
    ] = None
    safe_limit_a: Annotated[
        float,
        Field(
            title="Limit without the gateway",
            description="What the device may go on with when it has lost the gateway. Set it at the device too.",
            ge=0,
            le=1000,
        ),
    ] = 0.0
    energy: Annotated[
        Energy,
        any_case(get_args(Energy)),
        Field(
            title="What the meter tells",
            description="`register`: a lifetime register. `session`: a counter that starts again with each charge. `power`: "
            "only power, which the gateway integrates.",
        ),
    ] = "register"

    @model_validator(mode="after")
    def _fits(self) -> Connector:
        findings = []
        if self.min_current_a > self.max_current_a:
            findings.append(
                Finding(
                    ("min_current_a",),
                    f"is {self.min_current_a:g}, above max_current_a ({self.max_current_a:g})",
                )
            )
        if self.safe_limit_a > self.max_current_a:
            findings.append(
                Finding(
                    ("safe_limit_a",),
                    f"is {self.safe_limit_a:g}, above max_current_a ({self.max_current_a:g})",
                )
            )
        if 0 < self.safe_limit_a < self.min_current_a:
            findings.append(
                Finding(
                    ("safe_limit_a",),
                    f"is {self.safe_limit_a:g}, below min_current_a ({self.min_current_a:g}); 0 means off",
                )
            )
        if findings:
            refuse(findings)
        return self


class Evse(Section):
    """An EVSE: of its connectors one is used at a time."""

    id: Annotated[
        int | None, Field(title="EVSE id", description="For the reader: 1 for the first, and so on.", ge=1)
    ] = None
    connectors: Annotated[
        tuple[Connector, ...],
        Field(
            title="Connectors",
            description="A list, or a number of alike ones.",
            min_length=1,
            max_length=N_MAX,
        ),
    ] = (Connector(),)


class FreeCharging(Section):
    """Everybody may charge: a plugged vehicle is authorized with a fixed token."""

    token: Annotated[
        Text,
        Field(
            title="Token",
            description="Known to the CSMS; 1.6 takes 20 characters.",
            max_length=_LONGEST_ID_TOKEN,
            examples=["FREE"],
        ),
    ]
    type: Annotated[
        TokenType, any_case(get_args(TokenType)), Field(title="Type", description="1.6 has no types.")
    ] = "Central"


class Policy(Section):
    """Choices that OCPP leaves to the operator."""

    start_points: Annotated[
        frozenset[StartPoint],
        BeforeValidator(listed),
        Field(
            title="A transaction starts when",
            description="Any of them is reached. Under 1.6 it is always PowerPathClosed.",
            min_length=1,
        ),
    ] = _DEFAULTS.start_points
    stop_points: Annotated[
        frozenset[StartPoint],
        BeforeValidator(listed),
        Field(
            title="A transaction stops when",
            description="Any of them holds no longer; not DataSigned. Under 1.6 they are always EVConnected and Authorized.",
            min_length=1,
        ),
    ] = _DEFAULTS.stop_points
    free_charging: Annotated[
        FreeCharging | None, Field(title="Free charging", description="Default: a token is needed.")
    ] = None
    vanished: Annotated[
        Vanished,
        any_case(get_args(Vanished)),
        Field(
            title="A vanished device makes its connector",
            description="Told to the CSMS after `offline_grace_s`.",
        ),
    ] = _DEFAULTS.vanished
    offline_grace_s: Annotated[
        float,
        Field(
            title="Patience with a silent device", description="Before it counts as vanished.", ge=0, le=86400
        ),
    ] = _DEFAULTS.offline_grace_s
    vanished_transaction_s: Annotated[
        float,
        Field(
            title="End the transaction of a vanished device after", description="0: never.", ge=0, le=2592000
        ),
    ] = _DEFAULTS.vanished_transaction_s
    after_restart: Annotated[
        AfterRestart,
        any_case(get_args(AfterRestart)),
        Field(
            title="When a device restarts while it charges",
            description="`stop`: the transaction ends with PowerLoss.",
        ),
    ] = _DEFAULTS.after_restart
    card_debounce_s: Annotated[
        float,
        Field(
            title="Same card again",
            description="Without an id, the same card within this time is one gesture.",
            ge=0,
            le=60,
        ),
    ] = _DEFAULTS.card_debounce_s
    gesture_max_age_s: Annotated[
        float,
        Field(
            title="Oldest gesture", description="Older cards and requests are answered `late`.", ge=1, le=3600
        ),
    ] = _DEFAULTS.gesture_max_age_s
    gesture_memory_s: Annotated[
        float,
        Field(
            title="Memory of gestures",
            description="An id is not obeyed twice within this time.",
            ge=60,
            le=2592000,
        ),
    ] = _DEFAULTS.gesture_memory_s
    begin_timeout_s: Annotated[
        float,
        Field(
            title="Wait for the begin register",
            description="Before a transaction starts without it.",
            ge=0,
            le=60,
        ),
    ] = _DEFAULTS.begin_timeout_s
    end_timeout_s: Annotated[
        float,
        Field(
            title="Wait for the end register",
            description="Before a transaction ends with the last one known.",
            ge=0,
            le=300,
        ),
    ] = _DEFAULTS.end_timeout_s
    register_max_age_s: Annotated[
        float,
        Field(title="Oldest begin register", description="An older one is measured again.", ge=0, le=86400),
    ] = _DEFAULTS.register_max_age_s
    command_timeout_s: Annotated[
        float,
        Field(
            title="Wait for an unlock or reset",
            description="Then the CSMS is told that it failed; keep it below the time-out of the CSMS.",
            ge=1,
            le=300,
        ),
    ] = _DEFAULTS.command_timeout_s
    meter_state_interval_s: Annotated[
        float, Field(title="Least time between two meter/state", description="On MQTT.", ge=0, le=3600)
    ] = _DEFAULTS.meter_state_interval_s
    clear_token_in_state: Annotated[
        bool,
        Field(
            title="Whole tokens on MQTT",
            description="In `transaction` and `event/card`; else they are masked.",
        ),
    ] = _DEFAULTS.clear_token_in_state
    max_queued: Annotated[
        int,
        Field(
            title="Most messages waiting for the CSMS",
            description="Beyond it intermediate meter values are thinned.",
            ge=100,
            le=10_000_000,
        ),
    ] = _DEFAULTS.max_queued
    allow_requests: Annotated[
        frozenset[Annotated[Request, any_case(get_args(Request))]],
        BeforeValidator(listed),
        Field(
            title="Requests that are obeyed",
            description="What may be asked for on MQTT (`…/request/<action>`).",
        ),
    ] = frozenset(request for request in (*ACTIONS, *BRIDGE_ACTIONS) if request in _DEFAULTS.allow_requests)

    @model_validator(mode="after")
    def _fits(self) -> Policy:
        if TxPoint.DATA_SIGNED in self.stop_points:  # E06.FR.05
            refuse(
                [Finding(("stop_points",), "has DataSigned, which can start a transaction but not stop one")]
            )
        return self

    def to_core(self, valid_s: int) -> model.Policy:
        """The core's policy; `valid_s` is the lease of a setpoint."""
        same = {name: getattr(self, name) for name in type(self).model_fields if name != "free_charging"}
        free = self.free_charging
        token = None if free is None else IdToken(free.token, free.type)
        return model.Policy(**same, free_charging_token=token, setpoint_valid_s=valid_s)


class StationDefaults(Section):
    """What holds for every station that does not say otherwise; any key of a station may stand here."""

    csms: Annotated[
        Csms,
        Field(
            title="CSMS",
            description="A URL, the name of an entry of the top-level `csms`, or the keys below.",
        ),
    ] = Csms()
    vendor: Annotated[
        Text, Field(title="Vendor", description="As the CSMS is told; in 1.6 cut to 20.", max_length=50)
    ] = "ocpp-mqtt-gateway"
    model: Annotated[Text, Field(title="Model", description="As the CSMS is told.", max_length=20)] = "MQTT"
    serial: Annotated[
        Text | None, Field(title="Serial number", description="Default: what the device says.", max_length=25)
    ] = None
    firmware_version: Annotated[
        Text | None,
        Field(title="Firmware version", description="Default: what the device says.", max_length=50),
    ] = None
    iccid: Annotated[
        Text | None, Field(title="ICCID", description="Of a modem's SIM card.", max_length=20)
    ] = None
    imsi: Annotated[Text | None, Field(title="IMSI", description="Of a modem's SIM card.", max_length=20)] = (
        None
    )
    connector: Annotated[
        Connector | None,
        Field(
            title="Each connector",
            description="What holds for all connectors of the station unless they say otherwise.",
        ),
    ] = None
    connectors: Annotated[
        tuple[Connector, ...] | None,
        Field(
            title="Connectors",
            description="A list, or a number of alike ones; each is an EVSE of its own. Default: one.",
            min_length=1,
            max_length=N_MAX,
            examples=[2],
        ),
    ] = None
    evses: Annotated[
        tuple[Evse, ...] | None,
        Field(
            title="EVSEs",
            description="Instead of `connectors`, where an EVSE has several.",
            min_length=1,
            max_length=N_MAX,
        ),
    ] = None
    policy: Annotated[Policy, Field(title="Policy", description="Choices that OCPP leaves open.")] = Policy()
    variables: Annotated[
        dict[str, VariableText],
        Field(
            title="Initial values",
            description="Of configuration keys by their 1.6 name, or of variables as `Component.Variable` or "
            "`Component.Variable[Instance]`. What the CSMS writes wins until it is reset.",
            examples=[{"MeterValueSampleInterval": 30, "TxCtrlr.EVConnectionTimeOut": 120}],
        ),
    ] = {}

    @model_validator(mode="after")
    def _one_layout(self) -> StationDefaults:
        if findings := self._layout():
            refuse(findings)
        return self

    def _layout(self) -> list[Finding]:
        findings = []
        if self.connectors is not None and self.evses is not None:
            findings.append(Finding(("connectors",), "stands beside evses; give one of them"))
        for index, evse in enumerate(self.evses or ()):
            if evse.id not in (None, index + 1):
                findings.append(
                    Finding(
                        ("evses", index, "id"),
                        f"is {evse.id}, but EVSEs are numbered 1, 2, 3 … in their order: {index + 1}",
                    )
                )
        return findings


def _name(name: str) -> str:
    try:
        check_station_name(name)
    except ValueError as error:
        if name.casefold() == BRIDGE:
            raise ValueError("is reserved for the gateway itself; choose another name") from error
        raise ValueError("is no name for topics; allowed: 1 to 48 of A–Z a–z 0–9 _ -") from error
    return name


class Station(StationDefaults):
    """One charging station: one OCPP identity."""

    name: Annotated[
        Text,
        AfterValidator(_name),
        Field(
            title="Name",
            description="On MQTT: 1 to 48 letters, digits, `_` and `-`; unique without regard to case.",
            examples=["garage"],
        ),
    ]
    identity: Annotated[
        Text | None,
        Field(
            title="OCPP identity",
            description="Under which the CSMS knows the station. Default: the name.",
            max_length=48,
            examples=["DE*ABC*E00001"],
        ),
    ] = None

    @model_validator(mode="after")
    def _fits(self) -> Station:
        findings = [Finding(("csms", *path), sentence) for path, sentence in self.csms.findings()]
        findings += self._identity_findings()
        if sum(1 for _ in self.connector_configs()) > N_MAX:
            findings.append(Finding((), f"has more than {N_MAX} connectors"))
        if not findings:
            findings += findings_in(self.variables, self.to_core(90))
        if findings:
            refuse(findings)
        return self

    def to_core(self, valid_s: int) -> StationConfig:
        """The core's configuration; `valid_s` is the lease of a setpoint."""
        return StationConfig(
            name=self.name,
            identity=self.identity or self.name,
            csms_url=self.csms.url or "",
            versions=self.csms.versions,
            vendor=self.vendor,
            model=self.model,
            serial=self.serial,
            firmware_version=self.firmware_version,
            iccid=self.iccid,
            imsi=self.imsi,
            security_profile=self.csms.profile(),
            connectors=tuple(self.connector_configs()),
            policy=self.policy.to_core(valid_s),
            variables=texts(self.variables),
        )

    def connector_configs(self) -> Iterator[model.ConnectorConfig]:
        """The connectors, numbered over the station and within their EVSEs."""
        evses = [evse.connectors for evse in self.evses or ()] or [
            (c,) for c in self.connectors or (Connector(),)
        ]
        n = 0
        for evse, connectors in enumerate(evses, start=1):
            for number, connector in enumerate(connectors, start=1):
                n += 1
                told = connector.model_dump()
                if told["fixed_cable"] is None:
                    told["fixed_cable"] = not connector.type.startswith("s")
                yield model.ConnectorConfig(n=n, evse=evse, connector=number, **told)

    def _identity_findings(self) -> list[Finding]:
        identity = self.identity or self.name
        if "ocpp2.0.1" in self.csms.versions and not _IDENTITY_OF_2X.fullmatch(identity):
            return [
                Finding(
                    ("identity",),
                    "has characters that OCPP 2.0.1 does not allow there; allowed: A–Z a–z 0–9 * - _ = + | @ .",
                )
            ]
        if ":" in identity and self.csms.profile() in (1, 2):
            return [Finding(("identity",), "has a colon, which ends the user name where a password is sent")]
        return []
