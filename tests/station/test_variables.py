"""The device model: what may be read, written, reported and kept, and in which words it is refused."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.station.model import ConnectorConfig, Policy, StationConfig, TxPoint
from gateway.station.requests import VariableRef, VariableResult
from gateway.station.variable_definitions import DEFINITIONS, HIDDEN
from gateway.station.variable_shapes import DataType, Definition, Mutability
from gateway.station.variable_values import VariableError, name_of
from gateway.station.variables import InventoryBase, Variables

TWO_EVSES = StationConfig(
    name="garage",
    identity="GARAGE-1",
    csms_url="ws://csms",
    vendor="Acme",
    security_profile=1,
    connectors=(
        ConnectorConfig(n=1, evse=1, connector=1, max_current_a=16, phases=3),
        ConnectorConfig(n=2, evse=1, connector=2, max_current_a=32, phases=1, type="cType1"),
        ConnectorConfig(n=3, evse=2, connector=1, max_current_a=10, phases=1),
    ),
)

HEARTBEAT = VariableRef("OCPPCommCtrlr", "HeartbeatInterval")
UPDATED = VariableRef("SampledDataCtrlr", "TxUpdatedMeasurands")
PASSWORD = VariableRef("SecurityCtrlr", "BasicAuthPassword")


def fresh(stored: dict[str, str] | None = None, **initial: str) -> Variables:
    config = StationConfig(
        name="garage",
        identity="GARAGE-1",
        csms_url="ws://csms",
        connectors=TWO_EVSES.connectors,
        variables={name.replace("__", "."): text for name, text in initial.items()},
    )
    return Variables(config, stored or {})


# ------------------------------------------------------------------ reading


def test_names_are_matched_without_regard_to_case_and_echoed_as_asked() -> None:
    """# CiString: the CSMS may spell a component as it likes."""
    ref = VariableRef("ocppCOMMctrlr", "messageattempts", "transactionEVENT")

    assert VariableResult(ref, "Accepted", "5") == fresh().get(ref)


@pytest.mark.parametrize(
    ("ref", "status"),
    [
        (VariableRef("NoSuchCtrlr", "Enabled"), "UnknownComponent"),
        (VariableRef("OCPPCommCtrlr", "HeartbeatInterval", component_instance="x"), "UnknownComponent"),
        (VariableRef("OCPPCommCtrlr", "HeartbeatInterval", evse=1), "UnknownComponent"),
        (VariableRef("EVSE", "Available"), "UnknownComponent"),
        (VariableRef("EVSE", "Available", evse=3), "UnknownComponent"),
        (VariableRef("EVSE", "Available", evse=1, connector=1), "UnknownComponent"),
        (VariableRef("Connector", "Available", evse=2, connector=2), "UnknownComponent"),
        (VariableRef("OCPPCommCtrlr", "Nothing"), "UnknownVariable"),
        (VariableRef("OCPPCommCtrlr", "MessageTimeout"), "UnknownVariable"),
        (VariableRef("OCPPCommCtrlr", "HeartbeatInterval", "Default"), "UnknownVariable"),
        (VariableRef("OCPPCommCtrlr", "HeartbeatInterval", attribute="Target"), "NotSupportedAttributeType"),
    ],
)
def test_what_does_not_exist_has_its_own_word_in_both_directions(ref: VariableRef, status: str) -> None:
    """# [TC_B_32] [TC_B_33] [TC_B_34] [TC_B_35] [TC_B_36] [TC_B_37]"""
    variables = fresh()

    assert [status, status] == [variables.get(ref).status, variables.set(ref, "60").status]


def test_physical_components_answer_for_their_place() -> None:
    """Phases and connector types come from the settings of the connectors there."""
    variables = fresh()

    def read(component: str, variable: str, evse: int | None = None, connector: int | None = None) -> object:
        return variables.get(VariableRef(component, variable, evse=evse, connector=connector)).value

    assert [
        read("ChargingStation", "SupplyPhases"),
        read("EVSE", "SupplyPhases", 1),
        read("EVSE", "SupplyPhases", 2),
        read("Connector", "SupplyPhases", 1, 2),
    ] == ["3", "3", "1", "1"]
    assert read("Connector", "ConnectorType", 1, 2) == "cType1"
    assert read("EVSE", "Power", 1) == ""


def test_live_values_are_asked_of_the_station_each_time() -> None:
    """A state is never stored; where the station has no answer the default holds."""
    states = iter(["Occupied", None])

    def live(ref: VariableRef) -> str | None:
        assert VariableRef("Connector", "AvailabilityState", evse=2, connector=1) == ref
        return next(states)

    variables = Variables(TWO_EVSES, {}, live)
    ref = VariableRef("connector", "availabilitystate", evse=2, connector=1)

    assert [variables.get(ref).value, variables.get(ref).value] == ["Occupied", "Available"]


def test_a_password_can_be_written_and_never_read() -> None:
    """# A01, B06.FR.09: WriteOnly is refused, by whatever version it was written."""
    variables = fresh()
    variables.set(PASSWORD, "correct-horse-battery")

    assert VariableResult(PASSWORD, "Rejected", reason_code="WriteOnly") == variables.get(PASSWORD)
    assert variables.password == ("correct-horse-battery", False)


def test_the_password_written_last_is_the_password() -> None:
    """1.6's hex key and 2.x's text are two spellings of one secret; the older one's record goes."""
    variables = fresh()
    variables.set(PASSWORD, "correct-horse-battery")
    variables.changed()
    variables.set(VariableRef(HIDDEN, "AuthorizationKey"), "00112233445566778899aabbccddeeff")

    assert variables.password == ("00112233445566778899aabbccddeeff", True)
    assert variables.changed() == {
        "Ocpp16.AuthorizationKey": "00112233445566778899aabbccddeeff",
        "SecurityCtrlr.BasicAuthPassword": None,
    }


@pytest.mark.parametrize(
    ("ref", "bad"),
    [
        (PASSWORD, "secret"),
        (PASSWORD, "secret" * 7),
        (PASSWORD, "secret with spaces in it"),
        (VariableRef(HIDDEN, "AuthorizationKey"), "secret" * 6),
        (VariableRef(HIDDEN, "AuthorizationKey"), "0" * 33),
    ],
)
def test_a_refused_password_is_not_repeated_in_the_refusal(ref: VariableRef, bad: str) -> None:
    """# [TC_A_10]; no secret may reach a log through an error."""
    result = fresh().set(ref, bad)

    assert result.status == "Rejected"
    assert result.info is not None
    assert "secret" not in result.info


# ------------------------------------------------------------------ writing


@pytest.mark.parametrize(
    ("ref", "text", "status", "reason"),
    [
        (HEARTBEAT, "60", "Accepted", None),
        (HEARTBEAT, "0", "Rejected", "ValueTooLow"),
        (HEARTBEAT, "-5", "Rejected", "ValueTooLow"),
        (HEARTBEAT, "86401", "Rejected", "ValueTooHigh"),
        (HEARTBEAT, "9" * 400, "Rejected", "ValueTooHigh"),
        (HEARTBEAT, "+60", "Rejected", "InvalidValue"),
        (HEARTBEAT, "060", "Rejected", "InvalidValue"),
        (HEARTBEAT, "60.0", "Rejected", "InvalidValue"),
        (HEARTBEAT, "٦٠", "Rejected", "InvalidValue"),
        (HEARTBEAT, "", "Rejected", "InvalidValue"),
        (HEARTBEAT, "1" * 1001, "Rejected", "TooLargeElement"),
        (UPDATED, "SoC,Voltage,Power.Reactive.Export", "Rejected", "InvalidValue"),
        (UPDATED, "", "Accepted", None),
        (VariableRef("TxCtrlr", "TxStopPoint"), "DataSigned", "Rejected", "InvalidValue"),
        (VariableRef("TxCtrlr", "TxStopPoint"), "", "Rejected", "InvalidValue"),
        (VariableRef("TxCtrlr", "StopTxOnInvalidId"), "yes", "Rejected", "InvalidValue"),
        (VariableRef("AuthCtrlr", "MasterPassGroupId"), "x" * 37, "Rejected", "TooLargeElement"),
        (VariableRef("SecurityCtrlr", "SecurityProfile"), "2", "Rejected", "ReadOnly"),
        (VariableRef("OCPPCommCtrlr", "NetworkConfigurationPriority"), "1", "RebootRequired", None),
        (VariableRef("OCPPCommCtrlr", "NetworkConfigurationPriority"), "2", "Rejected", "InvalidValue"),
        (VariableRef(HIDDEN, "ConnectorPhaseRotation"), "0.RST, 3.TRS", "Accepted", None),
        (VariableRef(HIDDEN, "ConnectorPhaseRotation"), "4.RST", "Rejected", "InvalidValue"),
    ],
)
def test_a_write_is_judged_by_type_bounds_and_access(
    ref: VariableRef, text: str, status: str, reason: str | None
) -> None:
    """# B05; [TC_B_09] [TC_B_11] [TC_B_39]; an unsupported measurand refuses the whole list."""
    result = fresh().set(ref, text)

    assert (status, reason) == (result.status, result.reason_code)


@pytest.mark.parametrize(
    ("ref", "text", "normal"),
    [
        (VariableRef("AuthCtrlr", "LocalPreAuthorize"), "True", "true"),
        (UPDATED, " voltage , SoC,Voltage,temperature", "Voltage,SoC,Temperature"),
        (VariableRef("OCPPCommCtrlr", "PublicKeyWithSignedMeterValue"), "never", "Never"),
    ],
)
def test_what_is_written_reads_back_in_its_normal_form(ref: VariableRef, text: str, normal: str) -> None:
    """Booleans are lower case, list members trimmed, unique and spelt as the values list spells them."""
    variables = fresh()
    variables.set(ref, text)

    assert normal == variables.get(ref).value


def test_typed_getters_follow_each_write() -> None:
    """What callers read is what holds now."""
    variables = fresh()
    before = (variables.heartbeat_interval_s, variables.updated_measurands, variables.local_pre_authorize)
    variables.set(HEARTBEAT, "17")
    variables.set(UPDATED, "SoC")
    variables.set(VariableRef("AuthCtrlr", "LocalPreAuthorize"), "true")

    assert (before[0], len(before[1]), before[2]) == (300, 4, False)
    assert 17 == variables.heartbeat_interval_s == variables.integer("OCPPCommCtrlr", "HeartbeatInterval")
    assert ("SoC",) == variables.updated_measurands == variables.members("SampledDataCtrlr", UPDATED.variable)
    assert variables.local_pre_authorize is variables.boolean("AuthCtrlr", "LocalPreAuthorize") is True
    assert "garage".upper() + "-1" == variables.text("SecurityCtrlr", "Identity")
    assert variables.integer(HIDDEN, "NumberOfConnectors") == 3


def test_start_and_stop_points_are_the_operators_until_the_csms_writes_them() -> None:
    """# E01, E06: the policy is the default of TxStartPoint and TxStopPoint."""
    policy = Policy(
        start_points=frozenset({TxPoint.EV_CONNECTED}), stop_points=frozenset({TxPoint.AUTHORIZED})
    )
    variables = Variables(
        StationConfig(name="a", identity="a", csms_url="ws://csms", policy=policy),
        {},
    )
    start = VariableRef("TxCtrlr", "TxStartPoint")
    configured = (variables.start_points, variables.stop_points, variables.get(start).value)
    variables.set(start, "Authorized,EVConnected")

    assert (policy.start_points, policy.stop_points, "EVConnected") == configured
    assert frozenset({TxPoint.AUTHORIZED, TxPoint.EV_CONNECTED}) == variables.start_points


# ------------------------------------------------------------------ precedence and records


def test_what_the_csms_wrote_wins_over_the_settings_even_when_equal() -> None:
    """A write is kept although it says what the settings say: the settings may change later."""
    variables = fresh(OCPPCommCtrlr__HeartbeatInterval="120")
    variables.set(HEARTBEAT, "120")
    saved = variables.changed()

    restarted = fresh(
        {name: text for name, text in saved.items() if text}, OCPPCommCtrlr__HeartbeatInterval="9"
    )

    assert saved == {"OCPPCommCtrlr.HeartbeatInterval": "120"}
    assert restarted.heartbeat_interval_s == 120


def test_forgetting_goes_back_to_the_settings() -> None:
    """The operator's values hold again and the records go."""
    variables = fresh({"OCPPCommCtrlr.HeartbeatInterval": "60", "TxCtrlr.MaxEnergyOnInvalidId": "5"})
    variables.forget("OCPPCommCtrlr.HeartbeatInterval")
    one = variables.changed()
    variables.forget()

    assert one == {"OCPPCommCtrlr.HeartbeatInterval": None}
    assert variables.changed() == {"TxCtrlr.MaxEnergyOnInvalidId": None}
    assert (variables.heartbeat_interval_s, variables.max_energy_on_invalid_id_wh) == (300, 0)


def test_a_change_is_told_once() -> None:
    """`changed` hands out what to save since it was called last."""
    variables = fresh()
    variables.set(HEARTBEAT, "60")
    variables.set(HEARTBEAT, "61")

    assert [variables.changed(), variables.changed()] == [{"OCPPCommCtrlr.HeartbeatInterval": "61"}, {}]


def test_the_station_may_write_what_the_csms_may_only_read() -> None:
    """Saying what already holds is no change."""
    variables = fresh()
    variables.provide("SecurityCtrlr", "SecurityProfile", "2")
    variables.provide("OCPPCommCtrlr", "HeartbeatInterval", "300")

    assert variables.changed() == {"SecurityCtrlr.SecurityProfile": "2"}
    assert variables.integer("SecurityCtrlr", "SecurityProfile") == 2


@pytest.mark.parametrize(("interval", "held"), [("0", 1), ("99999999999", 86400), ("17", 17)])
def test_a_number_of_the_station_is_brought_within_its_bounds(interval: str, held: int) -> None:
    """BootNotification's interval may be any number; what is no number is refused."""
    variables = fresh()
    variables.provide("OCPPCommCtrlr", "HeartbeatInterval", interval)

    assert variables.heartbeat_interval_s == held
    with pytest.raises(VariableError):
        variables.provide("OCPPCommCtrlr", "HeartbeatInterval", "soon")


def test_stored_texts_that_no_longer_fit_are_ignored_and_named() -> None:
    """A record of another version must not stop the station, nor vanish silently."""
    variables = fresh({"Gone.Away": "1", "OCPPCommCtrlr.HeartbeatInterval": "soon"})

    assert variables.heartbeat_interval_s == 300
    assert [
        "'Gone.Away'" in variables.complaints[0],
        "OCPPCommCtrlr.HeartbeatInterval: 'soon' is no whole number" in variables.complaints[1],
    ] == [True, True]
    assert variables.changed() == {}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("HeartbeatInterval", "60", "There is no variable 'HeartbeatInterval'"),
        ("EVSE.Available", "true", "There is no variable"),
        ("OCPPCommCtrlr.HeartbeatInterval", "often", "'often' is no whole number"),
        ("ClockCtrlr.DateTime", "2026-01-01T00:00:00Z", "follows from other settings"),
        ("SampledDataCtrlr.TxUpdatedMeasurands", "Power", "'Power' is not among Energy.Active.Import"),
    ],
)
def test_bad_initial_values_are_refused_in_a_sentence(name: str, text: str, words: str) -> None:
    """The operator reads it at the start, with the name, the value and what is allowed."""
    config = StationConfig(name="a", identity="a", csms_url="ws://csms", variables={name: text})

    with pytest.raises(VariableError) as error:
        Variables(config, {})
    assert words in str(error.value)


def test_the_operator_may_configure_what_the_csms_may_only_read() -> None:
    """MessageTimeout is ReadOnly towards the CSMS; names are matched without regard to case."""
    config = StationConfig(
        name="a",
        identity="a",
        csms_url="ws://csms",
        variables={"ocppcommctrlr.MessageTimeout[default]": "12"},
    )

    assert Variables(config, {}).message_timeout_s == 12


# ------------------------------------------------------------------ inventories


def located(variables: Variables, base: InventoryBase) -> Iterator[tuple[str, int | None, int | None]]:
    for row in variables.inventory(base):
        yield (f"{row.component}.{row.variable}", row.evse, row.connector)


def test_a_full_inventory_has_each_required_variable_with_a_value_in_its_list() -> None:
    """# B07, [TC_B_53]: EVSE.Power needs only its maxLimit, WriteOnly has no value, 1.6's keys are unseen."""
    variables = Variables(TWO_EVSES, {})
    rows = list(variables.inventory("FullInventory"))
    attributes = {row: row.attributes[0] for row in rows}

    places = {"station": 1, "evse": 2, "connector": 3}
    assert sum(places[d.place] for d in DEFINITIONS if d.component != HIDDEN) == len(rows)
    assert [row.max_limit for row in rows if row.variable == "Power"] == [7360.0 * 3 / 2, 2300.0]
    for definition in DEFINITIONS:
        for row in rows:
            if row.component != definition.component or row.variable != definition.variable:
                continue
            value = attributes[row][1]
            assert (value is None) == (
                definition.mutability is Mutability.WRITE_ONLY or definition.variable == "Power"
            )
            if definition.type in {DataType.OPTION_LIST, DataType.MEMBER_LIST, DataType.SEQUENCE_LIST}:
                assert value is not None
                assert set(value.split(",")) <= set(row.values)
                assert len(",".join(row.values)) <= 1000


def test_a_configuration_inventory_has_what_can_be_written() -> None:
    """# [TC_B_12]"""
    rows = list(Variables(TWO_EVSES, {}).inventory("ConfigurationInventory"))

    assert {"ReadWrite", "WriteOnly"} == {row.attributes[0][2] for row in rows}
    assert not {row.component for row in rows} & {HIDDEN, "EVSE", "Connector"}


def test_a_summary_inventory_has_the_states_of_all_places() -> None:
    """# B07: what an operator looks at first."""
    assert list(located(Variables(TWO_EVSES, {}), "SummaryInventory")) == [
        ("ChargingStation.AvailabilityState", None, None),
        ("EVSE.AvailabilityState", 1, None),
        ("EVSE.AvailabilityState", 2, None),
        ("Connector.AvailabilityState", 1, 1),
        ("Connector.AvailabilityState", 1, 2),
        ("Connector.AvailabilityState", 2, 1),
    ]


def test_an_inventory_is_of_the_moment_it_was_asked_for() -> None:
    """Pages told later do not mix in what was written meanwhile."""
    state = "Available"
    variables = Variables(TWO_EVSES, {}, lambda ref: state if ref.variable == "AvailabilityState" else None)
    inventory = variables.inventory("FullInventory")
    variables.set(HEARTBEAT, "11")
    state = "Faulted"
    values = {(row.component, row.variable): row.attributes[0][1] for row in inventory}

    assert values["OCPPCommCtrlr", "HeartbeatInterval"] == "300"
    assert values["Connector", "AvailabilityState"] == "Available"


# ------------------------------------------------------------------ properties

definitions = st.sampled_from([d for d in DEFINITIONS if d.mutability is Mutability.READ_WRITE])
texts = (
    st.text(max_size=30)
    | st.integers().map(str)
    | st.sampled_from(
        ["true", "FALSE", "", ",", "SoC,Voltage", " Authorized,EVConnected", "1", "0.RST", "never"]
    )
)


@given(st.lists(st.tuples(definitions, texts), max_size=8))
def test_a_write_either_holds_in_normal_form_or_changes_nothing(writes: list[tuple[Definition, str]]) -> None:
    """Normal forms are stable: writing what was read is accepted and reads the same, also after a restart."""
    variables = Variables(TWO_EVSES, {})
    records: dict[str, str] = {}
    for definition, text in writes:
        ref = VariableRef(definition.component, definition.variable, definition.instance)
        before = variables.get(ref)
        result = variables.set(ref, text)
        after = variables.get(ref)
        saved = variables.changed()
        if result.status == "Rejected":
            assert result.reason_code
            assert (before, {}) == (after, saved)
            continue
        assert {name_of(definition): after.value} == saved
        assert after.value is not None
        assert result.status == variables.set(ref, after.value).status
        assert after == variables.get(ref)
        records |= {name: record for name, record in variables.changed().items() if record is not None}
        assert after == Variables(TWO_EVSES, records).get(ref)
