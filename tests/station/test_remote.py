"""Remote start and stop, and the smaller requests of the CSMS."""

import pytest

from gateway.station.model import Policy, TxPoint
from tests.station.rig import BOTH, CARD, OTHER, Payload, Rig

P = TxPoint


def booted(version: str, *, connectors: int = 1, policy: Policy | None = None, **variables: str) -> Rig:
    names = {name.replace("__", "."): value for name, value in variables.items()}
    rig = Rig(version, connectors=connectors, policy=policy, variables=names)
    rig.boot()
    return rig


def start(rig: Rig, token: str = CARD, n: int | None = 1, **more: object) -> str | None:
    reply = request_start(rig, token, n, **more)
    assert isinstance(reply, dict)
    return str(reply["status"])


def request_start(rig: Rig, token: str = CARD, n: int | None = 1, **more: object) -> object:
    if rig.version == "1.6":
        place: Payload = {} if n is None else {"connectorId": n}
        return rig.asks("RemoteStartTransaction", idTag=token, **place, **more)
    place = {} if n is None else {"evseId": n}
    id_token = {"idToken": token, "type": "ISO14443"}
    return rig.asks("RequestStartTransaction", idToken=id_token, remoteStartId=7, **place, **more)


def stop(rig: Rig, which: int | str | None = None) -> str | None:
    if rig.version == "1.6":
        return rig.status_of("RemoteStopTransaction", transactionId=77 if which is None else which)
    return rig.status_of("RequestStopTransaction", transactionId=which or rig.transaction())


def events(rig: Rig) -> list[str]:
    return [s for s in rig.story() if s.startswith(("Started", "Updated", "Ended", "Start ", "Stop "))]


# ------------------------------------------------------------------ start


@BOTH
@pytest.mark.parametrize("authorize", [True, False])
def test_cable_first(version: str, authorize: bool) -> None:
    """# [TC_010], F01, [TC_F_01]: Accepted, Authorize only where AuthorizeRemoteStart says so, then it starts."""
    rig = booted(version, AuthCtrlr__AuthorizeRemoteStart=str(authorize).lower())
    rig.plug()
    rig.forget()

    assert "Accepted" == start(rig)

    story = rig.story()
    assert story[0].endswith(": Accepted")
    assert authorize is (f"Authorize {CARD}" in story)
    wanted = f"Start 1 {CARD} 1000" if version == "1.6" else "Started RemoteStart EVConnected"
    assert [s for s in story if s.startswith(wanted.rsplit(" ", 1)[0])]


@BOTH
@pytest.mark.parametrize("authorize", [True, False])
def test_remote_start_first(version: str, authorize: bool) -> None:
    """# [TC_011_1], F02, [TC_F_02], [TC_F_03]."""
    rig = booted(version, AuthCtrlr__AuthorizeRemoteStart=str(authorize).lower())

    assert "Accepted" == start(rig)
    if version == "1.6":
        assert "Status 1 Preparing" in rig.story()
    rig.after(10)
    rig.plug()

    assert rig.transaction() is not None
    assert rig.setpoint().energize


@BOTH
def test_remote_start_without_a_plug_times_out(version: str) -> None:
    """# [TC_011_2], F02, [TC_F_04]: Available after ConnectionTimeOut, and a plug starts nothing."""
    rig = booted(version, TxCtrlr__EVConnectionTimeOut="30")
    start(rig)
    rig.forget()

    rig.after(31)
    assert ["Status 1 Available"] == rig.story() or version == "2.0.1"
    rig.plug()

    assert rig.transaction() is None


@BOTH
def test_a_remote_start_refused_by_authorize_starts_nothing(version: str) -> None:
    """# 1.6 §5.11: Accepted means that it will be tried."""
    rig = booted(version, AuthCtrlr__AuthorizeRemoteStart="true")
    rig.authorizes("Invalid")
    rig.plug()

    assert "Accepted" == start(rig)

    assert rig.transaction() is None


def test_16_the_cache_spares_the_authorize_of_a_remote_start() -> None:
    """# [TC_007]: AuthorizeRemoteTxRequests with LocalPreAuthorize: the cache is enough."""
    rig = booted("1.6", AuthCtrlr__AuthorizeRemoteStart="true", AuthCtrlr__LocalPreAuthorize="true")
    rig.plug()
    rig.card()
    rig.card()
    rig.unplug()
    rig.plug()
    rig.forget()

    start(rig)

    assert not [s for s in rig.story() if s.startswith("Authorize")]
    assert rig.transaction() is not None


def test_201_what_a_remote_start_tells() -> None:
    """# F01.FR.19, F01.FR.25: RemoteStart, idToken, remoteStartId, once."""
    rig = booted("2.0.1")
    rig.plug()
    start(rig)
    rig.charge(60)

    told = rig.payloads("TransactionEvent")

    assert "RemoteStart" == told[0]["triggerReason"]
    assert [7] == [
        e["transactionInfo"]["remoteStartId"] for e in told if "remoteStartId" in e["transactionInfo"]
    ]
    assert [CARD] == [e["idToken"]["idToken"] for e in told if "idToken" in e]


def test_201_a_transaction_that_runs_unauthorized_is_named_in_the_reply() -> None:
    """# F01.FR.13: transactionId; Updated RemoteStart with idToken and remoteStartId."""
    policy = Policy(start_points=frozenset({P.EV_CONNECTED}), stop_points=frozenset({P.EV_CONNECTED}))
    rig = booted("2.0.1", policy=policy)
    rig.plug()
    running = rig.transaction()
    rig.forget()

    assert {"status": "Accepted", "transactionId": running} == request_start(rig)

    first = rig.payloads("TransactionEvent")[0]
    assert ("Updated", "RemoteStart", 7, CARD) == (
        first["eventType"],
        first["triggerReason"],
        first["transactionInfo"]["remoteStartId"],
        first["idToken"]["idToken"],
    )


def test_201_a_remote_start_with_start_point_authorized_starts_at_once() -> None:
    """# E01 (S3), [TC_E_13]: Started RemoteStart before the plug."""
    policy = Policy(start_points=frozenset({P.AUTHORIZED}), stop_points=frozenset({P.AUTHORIZED}))
    rig = booted("2.0.1", policy=policy)

    start(rig)

    assert ["Started RemoteStart Idle"] == events(rig)


def test_201_the_group_of_a_remote_start_may_stop() -> None:
    """# F01, C09: groupIdToken of the request."""
    rig = booted("2.0.1")
    rig.plug()
    start(rig, groupIdToken={"idToken": "FLEET", "type": "Central"})
    rig.authorizes("Accepted", group="FLEET")

    rig.card(OTHER)

    assert rig.transaction() is None


@BOTH
def test_rejected_where_somebody_charges(version: str) -> None:
    """# [TC_026], F01.FR.05."""
    rig = booted(version)
    rig.session()

    assert "Rejected" == start(rig, OTHER)


@BOTH
def test_rejected_where_it_is_unavailable_faulted_or_unknown(version: str) -> None:
    """# 1.6 §5.11, F01.FR.02, F01.FR.05."""
    rig = booted(version, connectors=2)
    rig.request("operative", 1, operative=False)
    rig.fault("GroundFailure", 2)

    assert "Rejected" == start(rig, n=1)
    assert "Rejected" == start(rig, n=2)
    assert "Rejected" == start(rig, n=9)


def test_16_connector_0_is_rejected() -> None:
    """# [TC_027]."""
    rig = booted("1.6")
    rig.plug()

    assert "Rejected" == start(rig, n=0)
    assert rig.transaction() is None


def test_16_without_a_connector_the_plugged_one_is_taken() -> None:
    """# 1.6 §5.11: the CP may choose."""
    rig = booted("1.6", connectors=2)
    rig.plug(2)

    assert "Accepted" == start(rig, n=None)

    assert rig.transaction(2) is not None


def test_201_a_charging_profile_is_ignored_without_smart_charging() -> None:
    """# [TC_K_38]."""
    rig = booted("2.0.1")
    rig.plug()
    profile = {
        "id": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": [
            {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}]}
        ],
    }

    assert "Accepted" == start(rig, chargingProfile=profile)


# ------------------------------------------------------------------ stop


@BOTH
def test_an_unknown_transaction_is_not_stopped(version: str) -> None:
    """# [TC_028], F03.FR.08, [TC_F_09]."""
    rig = booted(version)
    rig.session()

    assert "Rejected" == stop(rig, 4711 if version == "1.6" else "nonsense")
    assert rig.transaction() is not None


@BOTH
def test_an_ended_transaction_is_not_stopped_again(version: str) -> None:
    """# F03.FR.08."""
    rig = booted(version)
    rig.session()
    running = rig.transaction()
    rig.card()

    assert "Rejected" == stop(rig, 77 if version == "1.6" else running)


@BOTH
def test_a_remote_stop_of_one_evse_leaves_the_other(version: str) -> None:
    """Each transaction has its id."""
    rig = booted(version, connectors=2)
    rig.session(CARD, 1)
    rig.session(OTHER, 2)

    stop(rig)

    assert rig.transaction(1) is None
    assert rig.setpoint(2).energize


def test_201_the_remote_stop_tells_no_token() -> None:
    """# F03: nobody showed one."""
    rig = booted("2.0.1")
    rig.session()

    stop(rig)

    assert "Remote" == rig.payloads("TransactionEvent")[-1]["transactionInfo"]["stoppedReason"]


# ------------------------------------------------------------------ configuration


def test_16_configuration() -> None:
    """# [TC_019], [TC_021], [TC_040_1], [TC_040_2]."""
    rig = booted("1.6")

    assert "Accepted" == rig.set("MeterValueSampleInterval", "15")
    reply = rig.asks("GetConfiguration", key=["MeterValueSampleInterval", "Testing"])
    assert {
        "configurationKey": [{"key": "MeterValueSampleInterval", "readonly": False, "value": "15"}],
        "unknownKey": ["Testing"],
    } == reply
    assert "NotSupported" == rig.set("Testing", "1")
    assert "Rejected" == rig.set("MeterValueSampleInterval", "-1")
    assert "Rejected" == rig.set("NumberOfConnectors", "4")


def test_16_the_password_is_never_read() -> None:
    """# 1.6 whitepaper, [TC_073]: write only, and taken over at once."""
    rig = booted("1.6")

    assert "Accepted" == rig.set("AuthorizationKey", "4F43415F4F4354545F61646D696E5F74657374")

    reply = rig.asks("GetConfiguration", key=["AuthorizationKey"])
    assert isinstance(reply, dict)
    assert "4F4341" not in str(reply)


def test_201_set_and_get_variables() -> None:
    """# B05, B06, [TC_B_06..11], [TC_B_32..39]."""
    rig = booted("2.0.1")

    assert "Accepted" == rig.set("TxCtrlr.EVConnectionTimeOut", "44")
    assert "Rejected" == rig.set("TxCtrlr.EVConnectionTimeOut", "soon")
    assert "Rejected" == rig.set("SecurityCtrlr.SecurityProfile", "2")
    assert "UnknownComponent" == rig.set("Nonsense.EVConnectionTimeOut", "1")
    assert "UnknownVariable" == rig.set("TxCtrlr.Nonsense", "1")
    asked = [
        {"component": {"name": "TxCtrlr"}, "variable": {"name": "EVConnectionTimeOut"}},
        {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}},
        {
            "component": {"name": "TxCtrlr"},
            "variable": {"name": "EVConnectionTimeOut"},
            "attributeType": "Target",
        },
    ]
    reply = rig.asks("GetVariables", getVariableData=asked)
    assert isinstance(reply, dict)
    results = reply["getVariableResult"]
    assert ["Accepted", "Rejected", "NotSupportedAttributeType"] == [r["attributeStatus"] for r in results]
    assert ["44", None, None] == [r.get("attributeValue") for r in results]


@BOTH
def test_what_the_csms_wrote_survives_a_restart(version: str) -> None:
    """What the CSMS has written wins until it is reset on purpose."""
    rig = booted(version)
    rig.set("ConnectionTimeOut" if version == "1.6" else "TxCtrlr.EVConnectionTimeOut", "44")

    rig.restart()

    assert 44 == rig.station.state.variables.connection_timeout_s


def test_201_written_start_and_stop_points_hold_for_the_next_transaction() -> None:
    """# E01, E06: pinned at the start of each."""
    rig = booted("2.0.1")
    rig.session()
    assert "Accepted" == rig.set("TxCtrlr.TxStartPoint", "EVConnected")
    assert "Accepted" == rig.set("TxCtrlr.TxStopPoint", "EVConnected")
    rig.card()
    assert rig.transaction() is None
    rig.unplug()
    rig.forget()

    rig.plug()

    assert "Started CablePluggedIn EVConnected" in rig.story()


@BOTH
def test_data_transfer_of_an_unknown_vendor(version: str) -> None:
    """# [TC_062], P01.FR.06, [TC_P_01]."""
    rig = booted(version)

    assert "UnknownVendorId" == rig.status_of("DataTransfer", vendorId="acme")
