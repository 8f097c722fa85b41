"""Tokens: Authorize, ClearCache, and idToken and idTokenInfo wherever they stand (# C01, C11)."""

from __future__ import annotations

from gateway.csms.dialect import Block, Call, Hearing, Payload, Telling, shortened
from gateway.csms.timestamps import parse_time
from gateway.csms.v201.words import status_result
from gateway.station.model import AuthorizationStatus, IdToken, TokenInfo
from gateway.station.reports import Answer, Authorization, AuthorizationAnswer
from gateway.station.requests import CacheClearRequested
from gateway.station.variable_definitions import ID_TOKEN_TYPES

ID_TOKEN_LENGTH = 36


def id_token_type(token: IdToken) -> Payload:
    """An IdTokenType; of a transaction that has to be told, however long the token is."""
    return {"idToken": shortened(token.id_token, ID_TOKEN_LENGTH), "type": _type_of(token)}


def token_of(id_token: Payload) -> IdToken:
    return IdToken(id_token["idToken"], id_token["type"])


def token_info(id_token_info: Payload) -> TokenInfo:
    """An IdTokenInfoType; a cacheExpiryDateTime that cannot be read counts as none."""
    group = id_token_info.get("groupIdToken")
    message = id_token_info.get("personalMessage")
    return TokenInfo(
        status=AuthorizationStatus(id_token_info["status"]),
        group=token_of(group) if group and group["idToken"] else None,
        expires_at=parse_time(id_token_info.get("cacheExpiryDateTime")),
        evse_ids=tuple(id_token_info.get("evseId", ())),
        language=id_token_info.get("language1"),
        message=None if message is None else message["content"],
    )


def _type_of(token: IdToken) -> str:
    # C02.FR.01: who has no token has this type. Types that only later versions know are the station's own.
    if not token.id_token:
        return "NoAuthorization"
    return token.type if token.type in _TYPES else "Local"


_TYPES = frozenset(ID_TOKEN_TYPES)


def _calls(report: Authorization) -> list[Call]:
    # A longer token is not cut, that would ask about somebody else: it breaks the schema, and is refused.
    return [
        Call("Authorize", {"idToken": {"idToken": report.token.id_token, "type": _type_of(report.token)}})
    ]


def _answer(_report: Authorization, _step: int, payload: Payload) -> Answer:
    return AuthorizationAnswer(token_info(payload["idTokenInfo"]))


def _clear_cache(_payload: Payload) -> CacheClearRequested:
    return CacheClearRequested()


BLOCK = Block(
    tells={Authorization: Telling(_calls, _answer)},
    hears={"ClearCache": Hearing(_clear_cache, status_result("Accepted"))},
)
