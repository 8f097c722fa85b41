"""Tokens in 2.0.1."""

import pytest

from gateway.csms.v201 import DIALECT
from gateway.station.model import AuthorizationStatus, IdToken, TokenInfo
from gateway.station.reports import Authorization, AuthorizationAnswer
from gateway.station.requests import CacheClearRequested, StatusReply
from tests.csms.v201.wire import AT, AT_TEXT, SCHEMAS, answered, heard, replied, told_once


@pytest.mark.parametrize(
    ("token", "id_token"),
    [
        (IdToken("04A2B3C4"), {"idToken": "04A2B3C4", "type": "ISO14443"}),
        (IdToken("1234", "KeyCode"), {"idToken": "1234", "type": "KeyCode"}),
        (IdToken("", "NoAuthorization"), {"idToken": "", "type": "NoAuthorization"}),
        (IdToken("", "Local"), {"idToken": "", "type": "NoAuthorization"}),
        (IdToken("1HGCM82633A004352", "VIN"), {"idToken": "1HGCM82633A004352", "type": "Local"}),
    ],
)
def test_a_token_is_asked_about_as_it_is(token: IdToken, id_token: dict[str, str]) -> None:
    """# C01, C02; types that only later versions know are the station's own."""
    assert told_once(Authorization(token, evse=1), "Authorize") == {"idToken": id_token}


def test_a_token_that_is_too_long_is_not_cut() -> None:
    """Its beginning may be somebody else; the schema refuses it before it is sent."""
    [call] = DIALECT.to_calls(Authorization(IdToken("x" * 37)))

    assert SCHEMAS.request_error(call.action, call.payload) is not None


def test_a_verdict_with_all_that_may_come_with_it() -> None:
    """# C01.FR.21, C09, C10, I01"""
    payload = {
        "idTokenInfo": {
            "status": "ConcurrentTx",
            "cacheExpiryDateTime": AT_TEXT,
            "evseId": [1, 3],
            "groupIdToken": {"idToken": "FAMILY", "type": "Central"},
            "language1": "de",
            "personalMessage": {"format": "UTF8", "content": "Hallo"},
        }
    }

    assert answered(Authorization(IdToken("A")), payload) == AuthorizationAnswer(
        TokenInfo(
            AuthorizationStatus.CONCURRENT_TX,
            group=IdToken("FAMILY", "Central"),
            expires_at=AT,
            evse_ids=(1, 3),
            language="de",
            message="Hallo",
        )
    )


def test_a_verdict_of_one_word() -> None:
    """An empty group is none."""
    payload = {"idTokenInfo": {"status": "Unknown", "groupIdToken": {"idToken": "", "type": "Central"}}}

    assert answered(Authorization(IdToken("A")), payload) == AuthorizationAnswer(
        TokenInfo(AuthorizationStatus.UNKNOWN)
    )


def test_the_cache_is_cleared() -> None:
    """# C11"""
    assert heard("ClearCache", {}) == CacheClearRequested()
    assert replied("ClearCache", {}, StatusReply(status="Accepted")) == {"status": "Accepted"}
    assert replied("ClearCache", {}, StatusReply(status="Rejected")) == {"status": "Rejected"}
