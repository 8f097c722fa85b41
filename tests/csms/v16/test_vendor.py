"""DataTransfer in 1.6."""

import pytest

from gateway.station.reports import VendorAnswer, VendorMessage
from gateway.station.requests import VendorMessageReceived, VendorReply
from tests.csms.v16.wire import answered, heard, replied, told_once


def test_a_message_to_the_csms() -> None:
    """What is not known is left out; empty data are data."""
    assert told_once(VendorMessage("org.example"), "DataTransfer") == {"vendorId": "org.example"}
    assert told_once(VendorMessage("org.example", "greet", ""), "DataTransfer") == {
        "vendorId": "org.example",
        "messageId": "greet",
        "data": "",
    }


def test_its_answer() -> None:
    """A status and perhaps data."""
    message = VendorMessage("org.example")

    assert answered(message, {"status": "Accepted", "data": "hi"}) == VendorAnswer("Accepted", "hi")
    assert answered(message, {"status": "UnknownVendorId"}) == VendorAnswer("UnknownVendorId")


def test_a_message_of_the_csms() -> None:
    """It arrives as it was sent."""
    payload = {"vendorId": "org.example", "messageId": "greet", "data": "{}"}

    assert heard("DataTransfer", payload) == VendorMessageReceived("org.example", "greet", "{}")
    assert heard("DataTransfer", {"vendorId": "x"}) == VendorMessageReceived("x")


@pytest.mark.parametrize(
    "reply",
    [
        VendorReply("Accepted", "done"),
        VendorReply("Rejected"),
        VendorReply("UnknownMessageId"),
        VendorReply("UnknownVendorId"),
    ],
)
def test_its_reply(reply: VendorReply) -> None:
    """All four words exist in 1.6."""
    expected = {"status": reply.status} | ({} if reply.data is None else {"data": reply.data})

    assert replied("DataTransfer", {"vendorId": "x"}, reply) == expected
