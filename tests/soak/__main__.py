"""`python -m tests.soak --minutes 60 --stations 200 --seed N`: exit code 0 when nothing was lost, doubled or leaked.

The last line is `SOAK {json}` with the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from pathlib import Path

from tests.soak.soak import Soak


def main() -> int:
    """Run it, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--stations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--pace", type=float, default=1.0, help="below 1: everything happens more often")
    parser.add_argument("--directory", type=Path, default=None, help="keep store and logs here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        directory = options.directory or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        soak = Soak(
            directory,
            stations=options.stations,
            seconds=options.minutes * 60,
            seed=options.seed,
            pace=options.pace,
            say=lambda line: print(line, flush=True),
        )
        asyncio.run(soak.run())
    for complaint in soak.complaints[:100]:
        print(complaint)
    print(f"SOAK {json.dumps(soak.figures)}")
    return 1 if soak.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
