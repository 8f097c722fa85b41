"""Tokens in 1.6."""

import pytest

from gateway.csms.schemas import Schemas
from gateway.csms.v16 import DIALECT
from gateway.station.model import AuthorizationStatus, IdToken, TokenInfo
from gateway.station.reports import Authorization, AuthorizationAnswer
from gateway.station.requests import CacheClearRequested, StatusReply
from tests.csms.v16.wire import AT, AT_TEXT, answered, heard, replied, told_once

ASKED = Authorization(IdToken("04a2B3c4"))


def test_a_token_is_never_altered() -> None:
    """Case and leading zeros stay as the reader gave them."""
    assert told_once(ASKED, "Authorize") == {"idTag": "04a2B3c4"}


def test_a_token_that_is_too_long_is_not_cut() -> None:
    """The beginning of a token may be somebody else's: the frame is refused before it is sent."""
    [call] = DIALECT.to_calls(Authorization(IdToken("x" * 21)))

    assert call.payload == {"idTag": "x" * 21}
    assert Schemas.of("ocpp1.6").request_error(call.action, call.payload) is not None


@pytest.mark.parametrize("status", ["Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"])
def test_a_verdict(status: str) -> None:
    """Each of the five words is understood."""
    answer = answered(ASKED, {"idTagInfo": {"status": status}})

    assert answer == AuthorizationAnswer(TokenInfo(AuthorizationStatus(status)))


def test_a_verdict_with_all_that_belongs_to_it() -> None:
    """The parent is the group, the expiry date a time."""
    info = {"status": "Accepted", "parentIdTag": "FAMILY", "expiryDate": AT_TEXT}

    assert answered(ASKED, {"idTagInfo": info}) == AuthorizationAnswer(
        TokenInfo(AuthorizationStatus.ACCEPTED, IdToken("FAMILY"), AT)
    )


def test_an_empty_parent_is_none() -> None:
    """Otherwise all tokens of such a backend would be one family."""
    answer = answered(ASKED, {"idTagInfo": {"status": "Accepted", "parentIdTag": ""}})

    assert answer == AuthorizationAnswer(TokenInfo(AuthorizationStatus.ACCEPTED))


def test_clear_cache() -> None:
    """Accepted, or Rejected when there is no cache ([E3.23])."""
    assert heard("ClearCache", {}) == CacheClearRequested()
    for status in ("Accepted", "Rejected"):
        assert replied("ClearCache", {}, StatusReply(status=status)) == {"status": status}
