"""Runs what shows that the attack models hold, and prints which test shows which line.

python -m tests.attack                prints the table
python -m tests.attack --run          runs every test of it first, and prints what came of each
python -m tests.attack --run WORD     those of the lines with this word
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.attack.test_model import MODEL, SHOWN

TESTS = Path(__file__).parents[1]


class Outcomes:
    """What came of each test function: the worst of what came of its cases."""

    WORST = ("failed", "skipped", "passed")

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            name = report.nodeid.partition("[")[0].removeprefix("tests/")
            before = self.known.get(name, "passed")
            self.known[name] = min(before, report.outcome, key=self.WORST.index)


def main() -> int:
    words = sys.argv[1:]
    is_run = "--run" in words
    wanted = [word for word in words if word != "--run"]
    table = [pair for pair in MODEL + SHOWN if all(word in pair[0] for word in wanted)]
    outcomes, status = Outcomes(), 0
    if is_run:
        tests = sorted({f"{TESTS / test}" for _, test in table})
        status = int(pytest.main(["-q", *tests], plugins=[outcomes]))
    for line, test in table:
        outcome = outcomes.known.get(test, "not run" if is_run else "")
        print(f"{line:<76} {outcome:<8} {test}".rstrip())
    return status


if __name__ == "__main__":
    sys.exit(main())
