"""Reservations in 1.6."""

import pytest

from gateway.csms.dialect import BadRequest
from gateway.station.model import IdToken
from gateway.station.requests import (
    Place,
    RefusalCode,
    ReservationCancelRequested,
    ReserveRequested,
    StatusReply,
)
from tests.csms.v16.wire import AT, AT_TEXT, heard, replied

RESERVE = {"connectorId": 1, "expiryDate": AT_TEXT, "idTag": "04a2", "reservationId": 12}


def test_a_connector_is_reserved() -> None:
    """For a token, until a time."""
    assert heard("ReserveNow", RESERVE) == ReserveRequested(12, IdToken("04a2"), AT, Place(n=1))


def test_connector_0_is_the_whole_station() -> None:
    """No connector in particular; the parent is the group."""
    payload = {**RESERVE, "connectorId": 0, "parentIdTag": "FAMILY"}

    assert heard("ReserveNow", payload) == ReserveRequested(
        12, IdToken("04a2"), AT, Place(n=0), IdToken("FAMILY")
    )


def test_an_empty_parent_is_none() -> None:
    """Otherwise all tokens of such a backend would be one family."""
    assert heard("ReserveNow", {**RESERVE, "parentIdTag": ""}) == heard("ReserveNow", RESERVE)


def test_an_end_that_is_no_time_is_refused() -> None:
    """Nobody could tell when it is over."""
    with pytest.raises(BadRequest, match="expiryDate") as refused:
        heard("ReserveNow", {**RESERVE, "expiryDate": "0000-01-01T00:00:00Z"})

    assert refused.value.code is RefusalCode.PROPERTY


@pytest.mark.parametrize("status", ["Accepted", "Faulted", "Occupied", "Rejected", "Unavailable"])
def test_what_became_of_it(status: str) -> None:
    """Each of the five words."""
    assert replied("ReserveNow", RESERVE, StatusReply(status=status)) == {"status": status}


def test_a_reservation_is_cancelled() -> None:
    """Accepted, or Rejected for one that does not exist ([TC_051], [TC_052])."""
    payload = {"reservationId": 12}

    assert heard("CancelReservation", payload) == ReservationCancelRequested(12)
    for status in ("Accepted", "Rejected"):
        assert replied("CancelReservation", payload, StatusReply(status=status)) == {"status": status}
