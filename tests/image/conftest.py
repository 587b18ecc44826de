"""Keeps what tests of the image showed in QEMU, where ``scripts/test-image --record`` asks."""

from __future__ import annotations

import os

import pytest

from tests.image import results

_seen: dict[str, tuple[str, float]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    name = report.nodeid.removeprefix("tests/image/")
    if "EDGE_TEST_RECORD" not in os.environ or not name.startswith("test_qemu"):
        return
    outcome, seconds = _seen.get(name, ("passed", 0.0))
    # What came first is said: a test that failed and could not clean up failed.
    _seen[name] = (
        outcome if outcome != "passed" else report.outcome,
        seconds + report.duration,
    )


def pytest_sessionfinish() -> None:
    if _seen:
        rows = [(kind, seconds, "s", name) for name, (kind, seconds) in _seen.items()]
        results.noted(rows)
        _seen.clear()
