"""What the gateway counts: plain integers that the hot paths raise and the health page reads."""

from __future__ import annotations

from collections import defaultdict


class Counters:
    """Counts since the start, over all stations."""

    __slots__ = ("frames", "messages", "problems", "published", "quarantined")

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self.frames: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        """(direction `sent` or `received`, action, result `ok`, `error`, `timeout`, `lost`, `ignored`) → frames."""
        self.messages: defaultdict[str, int] = defaultdict(int)
        """MQTT channel → messages received."""
        self.published = 0
        """MQTT messages sent."""
        self.problems: defaultdict[str, int] = defaultdict(int)
        """What was wrong with MQTT messages: bad_fields, unknown_keys, clock_wrong, unreadable …"""
        self.quarantined = 0
        """Facts that made the program or the store fail, and reports that the CSMS never took."""
