"""What the tests in QEMU share; what they showed is kept where ``scripts/test-image`` asks for it.

None of those that it asks for is left out silently.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image import results
from tests.image.hands import Hands

_seen: dict[str, tuple[str, float]] = {}
_times: dict[str, float] = {}
"""What they measured, by their ``record_property``, in seconds."""
_PROFILES = {"test_qemu_arm64.py": "arm64", "test_qemu_rpi.py": "rpi"}
"""Of tests that look at another image than that for mini-PCs."""
_left_out: list[str] = []


@pytest.fixture(scope="module")
def hands() -> Iterator[Hands]:
    """Of the machine that is on."""
    with Hands() as made:
        yield made


@pytest.fixture(scope="module")
def sticks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for images of sticks."""
    return tmp_path_factory.mktemp("sticks")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    name = report.nodeid.removeprefix("tests/image/")
    if report.skipped and {"EDGE_TEST_IMAGE", "EDGE_TEST_PACKAGE"} & set(os.environ):
        _left_out.append(name)
    if "EDGE_TEST_RECORD" not in os.environ or not name.startswith("test_qemu"):
        return
    _times.update((what, float(str(value))) for what, value in report.user_properties)
    outcome, seconds = _seen.get(name, ("passed", 0.0))
    # What came first is said: a test that failed and could not clean up failed.
    _seen[name] = (
        outcome if outcome != "passed" else report.outcome,
        seconds + report.duration,
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _left_out:
        print(f"\nscripts/test-image was asked for them, and they did not run: {_left_out}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if _seen:
        rows: dict[str, list[tuple[str, float, str, str]]] = {}
        for name, (kind, seconds) in _seen.items():
            profile = _PROFILES.get(name.partition("::")[0], "amd64")
            rows.setdefault(profile, []).append((kind, seconds, "s", name))
        times = [("figure", seconds, "s", what) for what, seconds in _times.items()]
        rows.setdefault("amd64", []).extend(times)
        for profile, each in rows.items():
            if each:
                results.noted(each, profile)
        _seen.clear()
        _times.clear()
