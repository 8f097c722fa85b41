"""Which of the things that a reader says about cards are gestures: each card that is shown counts once."""

from __future__ import annotations

from typing import Any

MAX_AGE_S = 30.0
_SAME_S = 2.0
"""Ages are told in steps, and take their time on the way: what was shown within this is the same gesture."""
_MOST = 64


class Cards:
    """The cards that one device told by their age. Pure; times are monotonic."""

    __slots__ = ("_listening_since", "_shown")

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._listening_since: float | None = None
        self._shown: dict[str, float] = {}
        """When each was shown last."""

    def listen(self, now: float) -> None:
        """From now on what is shown is heard; what was shown before may have been acted upon already."""
        self._listening_since = now

    def lost(self) -> None:
        """Nothing is heard."""
        self._listening_since = None
        self._shown.clear()

    def gesture(self, document: dict[str, Any], wall: float, now: float) -> dict[str, Any] | None:
        """The gesture that a reader's words are, or None: it was told before, or is too old to be one."""
        document = dict(document)
        age_s = document.pop("age_s", None)
        token = document.get("id_token")
        if token is None:
            return None
        if age_s is None:
            return document
        if isinstance(age_s, bool) or not isinstance(age_s, int | float) or not 0 <= age_s <= MAX_AGE_S:
            return None
        shown_at = now - age_s
        known = self._shown.pop(str(token), None)
        self._shown[str(token)] = shown_at
        if len(self._shown) > _MOST:
            del self._shown[next(iter(self._shown))]
        if known is not None and shown_at - known < _SAME_S:
            return None
        if self._listening_since is None or shown_at < self._listening_since:
            return None
        return document | {"timestamp": wall - age_s}
