"""Replies of one word: the core answers in 2.x words, 1.6 has fewer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.csms.dialect import Payload
from gateway.station.requests import StatusReply


def status_result(
    words: Mapping[str, str], *, otherwise: str = "Rejected"
) -> Callable[[Payload, StatusReply], Payload]:
    """A CALLRESULT `{"status": …}`: the core's word → 1.6's word, `otherwise` for all that are not listed."""

    def result(_request: Payload, reply: StatusReply) -> Payload:
        return {"status": words.get(reply.status, otherwise)}

    return result
