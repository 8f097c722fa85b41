"""The choices that OCPP leaves to the operator."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from gateway.settings.words import Finding, Section, Text, any_case, listed, refuse
from gateway.station import model
from gateway.station.model import IdToken, TxPoint

Vanished = Literal["faulted", "unavailable"]
AfterRestart = Literal["resume", "stop"]
AfterTxProfile = Literal["tx_default", "nothing"]
TokenType = Literal[
    "Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress", "NoAuthorization"
]
Request = Literal[
    "start", "stop", "unlock", "limit", "operative", "reset", "fault", "clear_fault", "link", "data_transfer",
    "health",
]  # fmt: skip

StartPoint = Annotated[TxPoint, any_case(TxPoint)]
_DEFAULTS = model.Policy()
_LONGEST_ID_TOKEN = 36


class FixedToken(Section):
    """A token that no card has."""

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

    def to_core(self) -> IdToken:
        """The same in the core's words."""
        return IdToken(self.token, self.type)


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
            description="Any of them holds no longer. Under 1.6 always EVConnected and Authorized.",
            min_length=1,
        ),
    ] = _DEFAULTS.stop_points
    free_charging: Annotated[
        FixedToken | None,
        Field(
            title="Free charging",
            description="Everybody may charge: a plugged vehicle is authorized with this token. Default: a card is "
            "needed.",
        ),
    ] = None
    authorizer: Annotated[
        Literal["csms", "local", "mqtt"],
        any_case(("csms", "local", "mqtt")),
        Field(
            title="Who decides about a card",
            description="`csms`, with list and cache as OCPP has it; `local`: the local list and `local_tokens` alone, "
            "the CSMS only looks on; `mqtt`: a flow that answers `…/<n>/authorize/request`, and where it does not, "
            "the CSMS.",
        ),
    ] = _DEFAULTS.authorizer
    authorizer_timeout_s: Annotated[
        float,
        Field(title="Wait for a flow", description="With `authorizer: mqtt`.", ge=0.1, le=60),
    ] = _DEFAULTS.authorizer_timeout_s
    local_tokens: Annotated[
        frozenset[Annotated[Text, Field(min_length=1, max_length=_LONGEST_ID_TOKEN)]],
        BeforeValidator(listed),
        Field(
            title="Own tokens",
            description="Accepted with `authorizer: local`, beside the local list.",
            examples=[["04A2B3C4"]],
        ),
    ] = _DEFAULTS.local_tokens
    reported_token: Annotated[
        FixedToken,
        Field(
            title="Token of sessions that nobody showed a card for",
            description="With `mode: report_only`; make it known to the CSMS.",
        ),
    ] = FixedToken(token=_DEFAULTS.reported_token.id_token, type="Central")
    idle_end_s: Annotated[
        float,
        Field(
            title="End of an idle session",
            description="With `mode: report_only` and without a plug sensor: when nothing was drawn for so long.",
            ge=30,
            le=86400,
        ),
    ] = _DEFAULTS.idle_end_s
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
    after_tx_profile: Annotated[
        AfterTxProfile,
        any_case(get_args(AfterTxProfile)),
        Field(
            title="When a TxProfile has run out",
            description="The TxDefaultProfile limits the rest of the transaction; `nothing`: the test tool for "
            "1.6 expects that it does not.",
        ),
    ] = _DEFAULTS.after_tx_profile
    certificate_key: Annotated[
        Literal["ec", "rsa"],
        any_case(("ec", "rsa")),
        Field(
            title="Key pairs of certificates",
            description="What is made when the CSMS is to sign a certificate for the station: `ec`, P-256; "
            "`rsa`, 2048 bits.",
        ),
    ] = _DEFAULTS.certificate_key
    boot_on_reconnect: Annotated[
        bool,
        Field(
            title="Boot at every connection",
            description="For a CSMS that wants a BootNotification on each connection; OCPP wants one per boot.",
        ),
    ] = _DEFAULTS.boot_on_reconnect
    signed_firmware_only: Annotated[
        bool,
        Field(
            title="Only signed firmware",
            description="Signed by somebody whose root the CSMS has installed; what is not signed is refused.",
        ),
    ] = _DEFAULTS.signed_firmware_only
    firmware_timeout_s: Annotated[
        float,
        Field(
            title="Wait for an installation",
            description="Then the CSMS is told that it failed.",
            ge=10,
            le=86400,
        ),
    ] = _DEFAULTS.firmware_timeout_s
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
    vendors: Annotated[
        dict[Annotated[Text, Field(max_length=255)], tuple[Text, ...]],
        Field(
            title="Vendors whose messages a device understands",
            description="`vendorId` of DataTransfer and its `messageId`s, none: all. The device answers "
            "`command/data`; other vendors are refused by the gateway.",
            examples=[{"com.example": ["SetText"]}],
        ),
    ] = Field(default_factory=dict)
    allow_requests: Annotated[
        frozenset[Annotated[Request, any_case(get_args(Request))]],
        BeforeValidator(listed),
        Field(
            title="Requests that are obeyed",
            description="What may be asked for on MQTT (`…/request/<action>`).",
        ),
    ] = frozenset({"start", "stop", "unlock", "limit", "operative", "reset", "health"})

    @model_validator(mode="after")
    def _fits(self) -> Policy:
        if TxPoint.DATA_SIGNED in self.stop_points:  # E06.FR.05
            refuse(
                [Finding(("stop_points",), "has DataSigned, which can start a transaction but not stop one")]
            )
        return self

    def to_core(self, valid_s: int) -> model.Policy:
        """The core's policy; `valid_s` is the lease of a setpoint."""
        other = {"free_charging", "reported_token", "vendors"}
        same = {name: getattr(self, name) for name in type(self).model_fields if name not in other}
        return model.Policy(
            **same,
            vendors=tuple((vendor, frozenset(messages)) for vendor, messages in self.vendors.items()),
            free_charging_token=None if self.free_charging is None else self.free_charging.to_core(),
            reported_token=self.reported_token.to_core(),
            setpoint_valid_s=valid_s,
        )
