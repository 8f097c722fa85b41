"""What can be said of one plug or socket."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from gateway.settings.words import Finding, Section, any_case, refuse

ConnectorType = Literal[
    "cCCS1", "cCCS2", "cChaoJi", "cG105", "cGBT", "cTesla", "cType1", "cType2",
    "s309-1P-16A", "s309-1P-32A", "s309-3P-16A", "s309-3P-32A", "sBS1361", "sCEE-7-7", "sType2", "sType3",
    "OppCharge", "Other1PhMax16A", "Other1PhOver16A", "Other3Ph", "Pan", "wInductive", "wResonant",
    "Undetermined", "Unknown",
]  # fmt: skip
Limiting = Literal["continuous", "steps", "on_off"]
Energy = Literal["register", "session", "power"]


class Plug(Section):
    """A connector as OCPP and the core know it, whatever device it is."""

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
            description="What the device goes on with when it lost the gateway. Set it at the device too.",
            ge=0,
            le=1000,
        ),
    ] = 0.0
    energy: Annotated[
        Energy,
        any_case(get_args(Energy)),
        Field(
            title="What the meter tells",
            description="`register`: a lifetime register. `session`: a counter that each charge restarts. "
            "`power`: only power, which the gateway integrates.",
        ),
    ] = "register"

    @model_validator(mode="after")
    def _fits(self) -> Plug:
        findings = []
        if self.min_current_a > self.max_current_a:
            findings.append(
                Finding(
                    ("min_current_a",),
                    f"is above max_current_a ({self.max_current_a:g})",
                )
            )
        if self.safe_limit_a > self.max_current_a:
            findings.append(
                Finding(
                    ("safe_limit_a",),
                    f"is above max_current_a ({self.max_current_a:g})",
                )
            )
        if 0 < self.safe_limit_a < self.min_current_a:
            findings.append(
                Finding(
                    ("safe_limit_a",),
                    f"is below min_current_a ({self.min_current_a:g}); 0 means off",
                )
            )
        if findings:
            refuse(findings)
        return self
