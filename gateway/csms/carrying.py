"""What both versions say alike of files on their way: the hour, the attempts, the log."""

from __future__ import annotations

from gateway.csms.dialect import BadRequest, Payload
from gateway.csms.timestamps import parse_time
from gateway.station.requests import RefusalCode
from gateway.station.transfer_work import FirmwareGiven, LogRequested


def time_of(payload: Payload, field: str) -> float | None:
    """Wall-clock seconds, None where the field is missing; raises BadRequest for what is no time."""
    text = payload.get(field)
    if text is None:
        return None
    at = parse_time(text)
    if at is None:
        raise BadRequest(RefusalCode.PROPERTY, f"{field} is no time: {text!r}; use RFC 3339")
    return at


def whole(payload: Payload, field: str) -> int | None:
    """`retries` or `retryInterval`; what is below zero is none."""
    number: int | None = payload.get(field)
    return None if number is None else max(0, number)


def firmware_of(payload: Payload, *, must_be_signed: bool) -> FirmwareGiven:
    """The FirmwareType of 2.x and of the whitepaper for 1.6."""
    firmware = payload["firmware"]
    certificate, signature = firmware.get("signingCertificate"), firmware.get("signature")
    both = certificate is not None and signature is not None
    return FirmwareGiven(
        location=firmware["location"],
        retrieve_at=time_of(firmware, "retrieveDateTime") or 0.0,
        install_at=time_of(firmware, "installDateTime"),
        request_id=payload["requestId"],
        certificate=certificate if both else None,
        signature=signature if both else None,
        must_be_signed=must_be_signed or (not both and (certificate is not None or signature is not None)),
        retries=whole(payload, "retries"),
        retry_interval_s=whole(payload, "retryInterval"),
    )


def log_of(payload: Payload) -> LogRequested:
    """GetLog is spelt alike in 2.x and in the whitepaper for 1.6."""
    log = payload["log"]
    return LogRequested(
        kind=payload["logType"],
        location=log["remoteLocation"],
        request_id=payload["requestId"],
        oldest=time_of(log, "oldestTimestamp"),
        latest=time_of(log, "latestTimestamp"),
        retries=whole(payload, "retries"),
        retry_interval_s=whole(payload, "retryInterval"),
    )
