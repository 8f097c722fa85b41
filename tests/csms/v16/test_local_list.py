"""The local authorization list in 1.6."""

import pytest

from gateway.station.model import AuthorizationStatus, IdToken, TokenInfo
from gateway.station.requests import (
    ListedToken,
    ListVersionReply,
    LocalListGiven,
    LocalListVersionRequested,
    StatusReply,
)
from tests.csms.v16.wire import AT, AT_TEXT, heard, replied

EMPTY = {"listVersion": 1, "updateType": "Full"}


def test_a_full_list() -> None:
    """Each entry with all that belongs to it."""
    info = {"status": "Blocked", "parentIdTag": "FAMILY", "expiryDate": AT_TEXT}
    payload = {
        "listVersion": 7,
        "updateType": "Full",
        "localAuthorizationList": [{"idTag": "04a2", "idTagInfo": info}],
    }

    assert heard("SendLocalList", payload) == LocalListGiven(
        7,
        full=True,
        entries=(
            ListedToken(IdToken("04a2"), TokenInfo(AuthorizationStatus.BLOCKED, IdToken("FAMILY"), AT)),
        ),
    )


def test_an_entry_without_info_leaves_the_list() -> None:
    """In a differential update."""
    payload = {"listVersion": 8, "updateType": "Differential", "localAuthorizationList": [{"idTag": "04a2"}]}

    assert heard("SendLocalList", payload) == LocalListGiven(
        8, full=False, entries=(ListedToken(IdToken("04a2")),)
    )


@pytest.mark.parametrize("payload", [EMPTY, {**EMPTY, "localAuthorizationList": []}])
def test_no_list_is_an_empty_one(payload: dict[str, object]) -> None:
    """Both ways are seen."""
    assert heard("SendLocalList", payload) == LocalListGiven(1, full=True)


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (StatusReply(status="Accepted"), "Accepted"),
        (StatusReply(status="VersionMismatch"), "VersionMismatch"),
        (StatusReply(status="Failed", reason_code="TooManyElements"), "Failed"),
        (StatusReply(status="Failed", reason_code="NotEnabled"), "NotSupported"),
    ],
)
def test_what_became_of_it(reply: StatusReply, status: str) -> None:
    """1.6 has a word of its own for a list that is switched off ([TC_043_1])."""
    assert replied("SendLocalList", EMPTY, reply) == {"status": status}


def test_the_version() -> None:
    """0 for an empty list, -1 for one that is not enabled ([TC_042_1])."""
    assert heard("GetLocalListVersion", {}) == LocalListVersionRequested()
    assert replied("GetLocalListVersion", {}, ListVersionReply(5, enabled=True)) == {"listVersion": 5}
    assert replied("GetLocalListVersion", {}, ListVersionReply(0, enabled=True)) == {"listVersion": 0}
    assert replied("GetLocalListVersion", {}, ListVersionReply(5, enabled=False)) == {"listVersion": -1}
