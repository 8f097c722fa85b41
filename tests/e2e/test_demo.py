"""What `make demo ONCE=1` promises: the piece plays, its story can be read, and its verdict can fail."""

import subprocess
import sys

from gateway.demo.verdict import Record, differences


def test_the_piece_plays_once_and_is_found_right() -> None:
    """A card, a cable and a meter become correct transactions in both versions; a stranger can follow it."""
    played = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--once", "--broker-command", "mosquitto -p {port}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert played.returncode == 0, played.stdout[-2000:] + played.stderr[-2000:]
    for said in ("StartTransaction", "StopTransaction", "TransactionEvent", "energize=true", "✓ 4 visits"):
        assert said in played.stdout
    assert "✗" not in played.stdout


def test_what_differs_is_named() -> None:
    """A connector that is still on, a status that is not Available and a complaint of the CSMS are not right."""
    record = Record(
        visits=(),
        transactions=(),
        status={("garage", 1, 1): "Charging"},
        energized=("garage/1",),
        problems=("garage: a frame against the schema",),
    )

    found = " ".join(differences(record))

    assert "Charging" in found
    assert "garage/1" in found
    assert "a frame against the schema" in found
