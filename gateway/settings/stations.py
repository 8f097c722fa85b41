"""What an operator says of a charging station: who it is, where its CSMS is, and what it consists of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from msgspec.structs import replace
from pydantic import AfterValidator, Field, model_validator

from gateway.mqtt.profiles.fleet import Binding
from gateway.mqtt.topics import BRIDGE, N_MAX, check_station_name
from gateway.settings.connectors import Connector, Evse
from gateway.settings.csms import Csms
from gateway.settings.devices import Devices
from gateway.settings.policy import Policy
from gateway.settings.problems import similar
from gateway.settings.variables import VariableText, findings_in, texts
from gateway.settings.words import Finding, Section, Text, any_case, refuse
from gateway.station import model
from gateway.station.model import StationConfig

# 2.0.1 Part 2, identifierString without the colon, which Basic authentication gives another meaning.
_IDENTITY_OF_2X = re.compile(r"[A-Za-z0-9*\-_=+|@.]+")


def _time_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (ValueError, OSError, KeyError) as error:
        near = similar(name, available_timezones())
        raise ValueError(f"is no time zone that this system knows, such as Europe/Berlin{near}") from error


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
    mode: Annotated[
        Literal["full", "report_only"],
        any_case(("full", "report_only")),
        Field(
            title="Mode",
            description="`report_only`: the device decides by itself, the gateway reports what it does and refuses "
            "what the CSMS would have it do.",
        ),
    ] = "full"
    device: Annotated[
        Devices,
        Field(
            title="Device of the station",
            description="A card reader or a main meter for the whole station that speaks topics of its own: its "
            "profile and base topic, or a list.",
        ),
    ] = ()
    time_zone: Annotated[
        Text,
        AfterValidator(_time_zone),
        Field(
            title="Time zone",
            description="Of times that a device gives without one.",
            examples=["Europe/Berlin"],
        ),
    ] = "UTC"
    policy: Annotated[Policy, Field(title="Policy", description="Choices that OCPP leaves open.")] = Policy()
    variables: Annotated[
        dict[str, VariableText],
        Field(
            title="Initial values",
            description="Of configuration keys by their 1.6 name, or of variables as `Component.Variable` or "
            "`Component.Variable[Instance]`. What the CSMS writes wins until it is reset.",
            examples=[{"MeterValueSampleInterval": 30, "TxCtrlr.EVConnectionTimeOut": 120}],
        ),
    ] = Field(default_factory=dict)

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
                        f"is not {index + 1}; EVSEs are numbered 1, 2, 3 … in their order",
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
        findings = [Finding(("csms", *found.path), found.sentence) for found in self.csms.findings()]
        findings += self._identity_findings()
        findings += [
            Finding(
                ("device", index),
                f"{device.profile} is a charger or a switch: it belongs to a connector (connectors: device: …)",
                hidden=True,
            )
            for index, device in enumerate(self.device)
            if device.read().part == "evse"
        ]
        if sum(1 for _ in self.connector_configs()) > N_MAX:
            findings.append(Finding((), f"has more than {N_MAX} connectors"))
        if not findings:
            # Before they are known to fit, no core can have them.
            findings += findings_in(self.variables, self._core(90))
        if findings:
            refuse(findings)
        return self

    def to_core(self, valid_s: int) -> StationConfig:
        """The core's configuration; `valid_s` is the lease of a setpoint."""
        return replace(self._core(valid_s), variables=texts(self.variables))

    def _core(self, valid_s: int) -> StationConfig:
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
            configured=self.csms.configured(),
            report_only=self.mode == "report_only",
            connectors=tuple(self.connector_configs()),
            policy=self.policy.to_core(valid_s),
            time_zone=self.time_zone,
        )

    def connector_configs(self) -> Iterator[model.ConnectorConfig]:
        """The connectors, numbered over the station and within their EVSEs."""
        n = 0
        for evse, connectors in enumerate(self._layout_of_connectors(), start=1):
            for number, connector in enumerate(connectors, start=1):
                n += 1
                told = connector.model_dump(exclude={"device"})
                if told["fixed_cable"] is None:
                    told["fixed_cable"] = not connector.type.startswith("s")
                yield model.ConnectorConfig(n=n, evse=evse, connector=number, **told)

    def bindings(self) -> Iterator[Binding]:
        """The devices that speak topics of their own, and where they belong."""
        every = [connector for connectors in self._layout_of_connectors() for connector in connectors]
        for n, devices in enumerate((self.device, *(connector.device for connector in every))):
            for device in devices:
                profile = device.read()
                yield Binding(self.name, n, profile, profile.complete(device.given()))

    def _layout_of_connectors(self) -> list[tuple[Connector, ...]]:
        """The connectors of each EVSE."""
        if self.evses:
            return [evse.connectors for evse in self.evses]
        return [(connector,) for connector in self.connectors or (Connector(),)]

    def _identity_findings(self) -> list[Finding]:
        identity = self.identity or self.name
        if "ocpp2.0.1" in self.csms.versions and not _IDENTITY_OF_2X.fullmatch(identity):
            return [
                Finding(
                    ("identity",),
                    "has characters that 2.0.1 does not allow there; allowed: A–Z a–z 0–9 * - _ = + | @ .",
                )
            ]
        if ":" in identity and self.csms.profile() in (1, 2):
            return [Finding(("identity",), "has a colon, which ends the user name where a password is sent")]
        return []
