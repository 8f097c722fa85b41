"""What was granted holds for its time, whatever becomes of the gateway meanwhile."""

import pytest

from tests.station.rig import BOTH, CARD, Rig


def granted(version: str, *, n: int = 1, connectors: int = 1, timeout_s: int = 60) -> Rig:
    """A card was accepted, and no cable is plugged yet."""
    rig = Rig(version, connectors=connectors, variables={"TxCtrlr.EVConnectionTimeOut": str(timeout_s)})
    rig.boot()
    rig.card(CARD, n)
    rig.forget()
    return rig


@BOTH
def test_a_card_need_not_be_shown_again_after_a_restart(version: str) -> None:
    """The gateway is killed between card and cable: the cable starts the transaction, and nobody is asked anew."""
    rig = granted(version)

    rig.restart()
    rig.pass_time(10)
    rig.plug()

    assert rig.transaction() is not None
    assert rig.setpoint().energize
    assert [] == rig.payloads("Authorize")


@BOTH
def test_a_card_at_the_stations_reader_survives_as_well(version: str) -> None:
    """The connector that is plugged next after the restart takes it."""
    rig = granted(version, n=0, connectors=2)

    rig.restart()
    rig.plug(2)

    assert rig.transaction(2) is not None
    assert rig.transaction(1) is None


@BOTH
@pytest.mark.parametrize("n", [0, 1])
def test_the_time_away_counts(version: str, n: int) -> None:
    """A grant that would have lapsed while the gateway was away has lapsed; the reader is told."""
    rig = granted(version, n=n)

    rig.pass_time(60)
    rig.restart()
    told = rig.verdicts()
    rig.plug()

    assert ["timeout"] == told
    assert rig.transaction() is None
    assert not rig.setpoint().energize


@BOTH
def test_what_is_left_of_its_time_is_what_it_gets(version: str) -> None:
    """40 of 60 s were over at the restart: after 19 more it holds, after 20 it does not."""
    rig = granted(version)

    rig.pass_time(40)
    rig.restart()
    rig.after(19)
    assert "Preparing" == rig.status()
    rig.after(1)

    assert "Available" == rig.status()


@BOTH
def test_what_was_used_or_taken_back_does_not_come_again(version: str) -> None:
    """Shown twice before plugging it is cancelled, and stays so over a restart."""
    rig = granted(version)
    rig.card(CARD)

    rig.restart()
    rig.plug()

    assert rig.transaction() is None


@BOTH
def test_a_grant_becomes_its_transactions(version: str) -> None:
    """Once the transaction has begun, its record holds the authorization; after its end nothing is left of it."""
    rig = granted(version)
    rig.plug()
    rig.card(CARD)
    rig.forget()

    rig.restart()

    assert rig.transaction() is None
    assert [] == rig.payloads("StartTransaction") + rig.payloads("TransactionEvent")
    assert not rig.setpoint().energize


def test_a_remote_start_survives_with_its_number() -> None:
    """RequestStartTransaction before the cable, then a restart: the Started event bears its remoteStartId."""
    rig = Rig("2.0.1")
    rig.boot()
    token = {"idToken": CARD, "type": "ISO14443"}
    assert "Accepted" == rig.status_of("RequestStartTransaction", idToken=token, remoteStartId=77, evseId=1)

    rig.restart()
    rig.forget()
    rig.plug()

    started = next(p for p in rig.payloads("TransactionEvent") if p["eventType"] == "Started")
    assert 77 == started["transactionInfo"]["remoteStartId"]
