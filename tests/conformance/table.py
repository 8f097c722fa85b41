"""The table of compliance cases is made by running them: `python -m tests.conformance.table`; `--check` only compares.

`--check` collects the tests without running them: that they pass is what the test suite says.
"""

from __future__ import annotations

import io
import sys
from collections import defaultdict
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from tests.conformance.cases import NOT_APPLICABLE, Case

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "conformance-ocpp16.md"

_NUMBERS = """
001 002 003 004_1 004_2 068 069 005_1 005_2 005_3 007 061 010 011_1 011_2 012 013 014 015 016 017_1 017_2 018_1 018_2
019 021 070 071 023 024 026 027 028 030 031 032_1 032_2 034 036 037_1 037_2 037_3 038 039 040_1 040_2 041 062
042_1 042_2 043 043_1 043_2 043_3 008
044_1 044_2 044_3 045_1 045_2
046_1 046_2 047 048_1 048_2 048_3 048_4 049 050_1 050_2 050_3 050_4 051 052 053
054 055
056 057 058_1 058_2 082 066 067 072 059 060
073 074 075_1 075_2 076 077 078 079 080 081 083 084 085 086 087
"""
IDS = tuple(f"TC_{number}" for number in _NUMBERS.split())
"""The charge point's cases of the document, in its order; there they end in `_CS`."""

AWAITED: frozenset[str] = frozenset()
"""Cases that have no test yet; each goes from here with its test, and no other may be missing."""

HEAD = """\
# OCPP 1.6: compliance cases

Made by `make conformance` from the tests in `tests/conformance/ocpp16`; never edited by hand.

The {count} charge-point cases of the Open Charge Alliance's compliance test document for OCPP 1.6 (edition of 2024-04),
played against the gateway from its two public sides: an MQTT device, and a CSMS that validates every frame of both
directions against the official schemas. Each test asserts content and order of all frames, and that nothing else was
sent. "bench" is the gateway between two cut sockets, with a clock by hand; "process" is `ocpp-gateway run` with
mosquitto and WebSockets; "TLS" is the gateway with mosquitto, WebSockets and TLS. This is no
certificate: only a test laboratory of the Open Charge Alliance gives one.

| case | title | profile | result | where |
|---|---|---|---|---|
"""


class Tests:
    """What pytest knows of the cases; a plugin of it."""

    def __init__(self) -> None:
        self.cases: dict[str, Case] = {}
        self.where: defaultdict[str, set[str]] = defaultdict(set)
        """By case: bench, process."""
        self.names: dict[str, str] = {}
        """pytest's name of a test → its case."""
        self.failed: set[str] = set()
        self.complaints: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            marker = item.get_closest_marker("case")
            if marker is None:
                continue
            shown: Case = marker.args[0]
            known = self.cases.setdefault(shown.id, shown)
            if (known.title, known.profile) != (shown.title, shown.profile):
                self.complaints.append(f"{shown.id} has two titles or profiles: see {item.nodeid}")
            self.names[item.nodeid] = shown.id
            self.where[shown.id].add(shown.where or ("process" if "live" in item.name else "bench"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.nodeid in self.names and report.outcome != "passed":
            self.failed.add(self.names[report.nodeid])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.complaints.append(f"{report.nodeid} cannot be collected: {report.longreprtext[-500:]}")


def looked_at(*options: str) -> Tests:
    """Let pytest collect, and run what the options do not forbid."""
    tests = Tests()
    said = io.StringIO()
    with redirect_stdout(said):
        pytest.main(
            ["-q", "-p", "no:cacheprovider", *options, str(ROOT / "tests/conformance/ocpp16")], [tests]
        )
    if tests.failed:
        sys.stderr.write(said.getvalue())
    known = tests.cases.keys() | NOT_APPLICABLE.keys()
    missing = [name for name in IDS if name not in known | AWAITED]
    if missing:
        tests.complaints.append(f"{len(missing)} cases have no test: {', '.join(missing)}")
    arrived = [name for name in IDS if name in known & AWAITED]
    if arrived:
        tests.complaints.append(f"no longer awaited, in tests/conformance/table.py: {', '.join(arrived)}")
    tests.complaints += [f"{stranger} is no case of the document" for stranger in sorted(known - set(IDS))]
    both = sorted(tests.cases.keys() & NOT_APPLICABLE.keys())
    tests.complaints += [f"{name} is tested, and said to be impossible" for name in both]
    return tests


def table(tests: Tests) -> str:
    """The whole document."""
    lines = [HEAD.format(count=len(IDS)).rstrip("\n")]
    for name in IDS:
        if name in NOT_APPLICABLE:
            one = NOT_APPLICABLE[name]
            lines.append(f"| {name} | {one.title} | {one.profile} | not applicable: {one.reason} | – |")
        elif name in tests.cases:
            shown, where = tests.cases[name], ", ".join(sorted(tests.where[name]))
            result = "**failed**" if name in tests.failed else "passed"
            lines.append(f"| {name} | {shown.title} | {shown.profile} | {result} | {where} |")
        else:
            lines.append(f"| {name} | | | not yet | – |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write the document, or with `--check` compare it."""
    checks = arguments == ["--check"]
    tests = looked_at("--collect-only") if checks else looked_at()
    if not checks:
        DOCUMENT.write_text(table(tests), encoding="utf-8")
    elif not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != table(tests):
        tests.complaints.append(
            "docs/conformance-ocpp16.md is out of date: run 'make conformance' and commit it"
        )
    for complaint in tests.complaints:
        print(complaint)
    return 1 if tests.complaints or tests.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
