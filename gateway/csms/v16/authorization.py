"""Tokens: Authorize, ClearCache, and idTagInfo wherever it stands (# 1.6 §4.1, §5.4, §7.28)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Call, Hearing, Payload, Telling, shortened
from gateway.csms.timestamps import parse_time
from gateway.csms.v16.words import status_result
from gateway.station.model import AuthorizationStatus, IdToken, TokenInfo
from gateway.station.reports import Answer, Authorization, AuthorizationAnswer
from gateway.station.requests import CacheClearRequested

ID_TAG_LENGTH = 20


def token_info(id_tag_info: Payload) -> TokenInfo:
    """An idTagInfo; an expiryDate that cannot be read counts as none."""
    parent = id_tag_info.get("parentIdTag")
    return TokenInfo(
        status=AuthorizationStatus(id_tag_info["status"]),
        group=IdToken(parent) if parent else None,
        expires_at=parse_time(id_tag_info.get("expiryDate")),
    )


def id_tag(token: IdToken) -> str:
    """The idTag of a token in a transaction that has to be told, however long the token is."""
    return shortened(token.id_token, ID_TAG_LENGTH)


def _calls(report: Authorization) -> list[Call]:
    # A longer token is not cut, that would ask about somebody else: it breaks the schema, and is refused.
    return [Call("Authorize", {"idTag": report.token.id_token})]


def _answer(_report: Authorization, _step: int, payload: Payload) -> Answer:
    return AuthorizationAnswer(token_info(payload["idTagInfo"]))


def _clear_cache(_payload: Payload) -> CacheClearRequested:
    return CacheClearRequested()


BLOCK = Block(
    tells={Authorization: Telling(_calls, _answer)},
    hears={"ClearCache": Hearing(_clear_cache, status_result({"Accepted": "Accepted"}))},
)
