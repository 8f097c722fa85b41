"""A token refused after its transaction began: stopped, or energy withheld, now or after an allowance."""

from gateway.station.model import Policy, TxPoint
from tests.station.rig import BOTH, OTHER, Rig

UNKNOWN_OFFLINE = "AuthCtrlr.OfflineTxForUnknownIdEnabled"


def refused(version: str, *, stop: bool, energy_wh: int = 0, stop_points: set[TxPoint] | None = None) -> Rig:
    """A session that began offline, and whose token the CSMS refuses when it hears of it."""
    points = frozenset(stop_points or {TxPoint.EV_CONNECTED, TxPoint.AUTHORIZED})
    variables = {
        UNKNOWN_OFFLINE: "true",
        "TxCtrlr.StopTxOnInvalidId": str(stop).lower(),
        "TxCtrlr.MaxEnergyOnInvalidId": str(energy_wh),
    }
    rig = Rig(version, variables=variables, policy=Policy(stop_points=points), lock=True)
    rig.boot()
    rig.disconnect()
    rig.plug()
    rig.card()
    if version == "1.6":
        rig.answers["StartTransaction"] = {"transactionId": 77, **rig.token_info("Invalid")}
    else:
        rig.answers["TransactionEvent"] = lambda p: rig.token_info("Invalid") if "idToken" in p else {}
    rig.connect()
    return rig


def test_16_refused_and_stopped() -> None:
    """# 1.6 §4.8, [TC_037_3]: Stop DeAuthorized, Finishing; the cable stays locked until the token comes again."""
    rig = refused("1.6", stop=True)

    story = rig.story()

    assert "Stop 77 DeAuthorized 1000" in story
    assert "Status 1 Finishing" == [s for s in story if s.startswith("Status 1")][-1]
    assert not rig.setpoint().energize
    assert rig.setpoint().lock
    rig.authorizes("Invalid")
    rig.card()
    assert not rig.setpoint().lock


def test_16_refused_and_suspended() -> None:
    """# 1.6 §4.8, [TC_037_2]: SuspendedEVSE, the transaction stays open."""
    rig = refused("1.6", stop=False)

    story = rig.story()

    assert not [s for s in story if s.startswith("Stop")]
    assert "Status 1 SuspendedEVSE" == [s for s in story if s.startswith("Status 1")][-1]
    assert rig.transaction() is not None
    assert not rig.setpoint().energize


def test_201_refused_and_ended() -> None:
    """# E05.FR.10, C15.FR.04, [TC_E_16], [TC_C_16]: Ended, Deauthorized, DeAuthorized."""
    rig = refused("2.0.1", stop=True)

    assert "Ended Deauthorized EVConnected DeAuthorized" in rig.story()
    assert not rig.setpoint().energize


def test_201_refused_without_a_stop_point_for_it() -> None:
    """# E05.FR.09: Updated Deauthorized, energy off; the transaction ends with the unplugging."""
    rig = refused("2.0.1", stop=True, stop_points={TxPoint.EV_CONNECTED})

    assert [s for s in rig.story() if s.startswith("Updated Deauthorized")]
    assert rig.transaction() is not None
    assert not rig.setpoint().energize
    rig.unplug()
    assert [s for s in rig.story() if s.startswith("Ended ")] == [
        "Ended EVCommunicationLost Idle DeAuthorized"
    ]


def test_201_refused_and_suspended() -> None:
    """# E05.FR.02, [TC_C_17]: Updated, Deauthorized, SuspendedEVSE."""
    rig = refused("2.0.1", stop=False)

    assert "Updated Deauthorized SuspendedEVSE" in rig.story()
    assert rig.transaction() is not None
    assert not rig.setpoint().energize


@BOTH
def test_refused_with_an_allowance(version: str) -> None:
    """# MaxEnergyOnInvalidId, E05.FR.03, [TC_C_15]: so much energy yet, then it is withheld."""
    rig = refused(version, stop=False, energy_wh=50)
    assert rig.setpoint().energize

    rig.charge(40)
    assert rig.setpoint().energize
    rig.charge(20)

    assert not rig.setpoint().energize
    assert rig.transaction() is not None


def test_16_refused_with_an_allowance_then_stopped() -> None:
    """# 1.6 MaxEnergyOnInvalidId with StopTransactionOnInvalidId: the allowance first."""
    rig = refused("1.6", stop=True, energy_wh=50)

    rig.charge(60)

    assert [s for s in rig.story() if s.startswith("Stop 77 DeAuthorized")]


@BOTH
def test_the_holder_of_a_suspended_transaction_can_end_it(version: str) -> None:
    """# 1.6 §4.8, C01.FR.03: its own card still stops; no other token is taken (# C01.FR.23)."""
    rig = refused(version, stop=False)
    rig.forget()
    rig.card(OTHER)
    assert rig.transaction() is not None

    rig.card()

    assert rig.transaction() is None
