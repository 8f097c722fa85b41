"""Reservations (# 1.6 §5.1, §5.13)."""

from __future__ import annotations

from gateway.csms.dialect import BadRequest, Block, Hearing, Payload
from gateway.csms.timestamps import parse_time
from gateway.csms.v16.words import status_result
from gateway.station.model import IdToken
from gateway.station.requests import Place, RefusalCode, ReservationCancelRequested, ReserveRequested


def _reserve(payload: Payload) -> ReserveRequested:
    expires_at = parse_time(payload["expiryDate"])
    if expires_at is None:
        raise BadRequest(
            RefusalCode.PROPERTY, f"expiryDate is no time: {payload['expiryDate']!r}; use RFC 3339"
        )
    parent = payload.get("parentIdTag")
    return ReserveRequested(
        reservation_id=payload["reservationId"],
        token=IdToken(payload["idTag"]),
        expires_at=expires_at,
        place=Place(n=payload["connectorId"]),
        group=IdToken(parent) if parent else None,
    )


def _cancel(payload: Payload) -> ReservationCancelRequested:
    return ReservationCancelRequested(payload["reservationId"])


BLOCK = Block(
    hears={
        "ReserveNow": Hearing(
            _reserve,
            status_result({word: word for word in ("Accepted", "Occupied", "Faulted", "Unavailable")}),
        ),
        "CancelReservation": Hearing(_cancel, status_result({"Accepted": "Accepted"})),
    }
)
