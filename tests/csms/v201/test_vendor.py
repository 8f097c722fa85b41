"""DataTransfer in 2.0.1."""

from typing import Any

import pytest

from gateway.station.reports import VendorAnswer, VendorMessage
from gateway.station.requests import VendorMessageReceived, VendorReply
from tests.csms.v201.wire import answered, heard, replied, told_once


@pytest.mark.parametrize(
    ("report", "payload"),
    [
        (VendorMessage("com.acme"), {"vendorId": "com.acme"}),
        (VendorMessage("com.acme", "m", ""), {"vendorId": "com.acme", "messageId": "m", "data": ""}),
        (VendorMessage("v" * 300, "m" * 60), {"vendorId": "v" * 255, "messageId": "m" * 50}),
    ],
)
def test_a_message_of_ours(report: VendorMessage, payload: dict[str, Any]) -> None:
    """# P02"""
    assert told_once(report, "DataTransfer") == payload


@pytest.mark.parametrize(
    ("data", "text"), [(None, None), ("text", "text"), ({"a": [1, True]}, '{"a":[1,true]}'), (0, "0")]
)
def test_data_of_any_kind_become_text(data: Any, text: str | None) -> None:
    """Here `data` is any JSON."""
    more = {} if data is None else {"data": data}

    assert answered(VendorMessage("v"), {"status": "Accepted", **more}) == VendorAnswer("Accepted", text)
    assert heard("DataTransfer", {"vendorId": "v", "messageId": "m", **more}) == VendorMessageReceived(
        "v", "m", text
    )


@pytest.mark.parametrize("status", ["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"])
def test_the_answer(status: Any) -> None:
    """# [TC_P_01]"""
    payload = {"vendorId": "v"}

    assert replied("DataTransfer", payload, VendorReply(status)) == {"status": status}
    assert replied("DataTransfer", payload, VendorReply(status, "x")) == {"status": status, "data": "x"}
