"""Each packaged pydicom file as a fixture, and the scan of any stream."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.dicom.scanner import InstanceScanner, ScannedInstance
from tests.dicom.packaged import (
    DATA,
    FILES,
    NO_STUDY,
    NOT_INSTANCES,
    Scan,
    name_of,
    scan_file,
)


@pytest.fixture(autouse=True)
def pydicom_may_complain() -> Iterator[None]:
    """Some packaged files are odd on purpose, and pydicom says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(params=[p for p in FILES if name_of(p) not in NOT_INSTANCES], ids=name_of)
def legal_file(request: pytest.FixtureRequest) -> Path:
    """Each packaged file that is an instance."""
    return request.param


@pytest.fixture(params=NOT_INSTANCES)
def refused_file(request: pytest.FixtureRequest) -> tuple[Path, str]:
    """Each packaged file that is none, and why."""
    return DATA / request.param, NOT_INSTANCES[request.param]


@pytest.fixture(
    params=[p for p in FILES if NOT_INSTANCES.get(name_of(p), NO_STUDY) == NO_STUDY], ids=name_of
)
def scanned(request: pytest.FixtureRequest) -> Scan:
    """Each packaged file that is DICOM, also those without UIDs."""
    return scan_file(request.param)


@pytest.fixture
def scan() -> Any:
    """Scans a whole stream: ``scan(stream, piece=7, limits=…)``."""

    def run(stream: bytes, piece: int = 1 << 30, **options: Any) -> ScannedInstance:
        scanner = InstanceScanner(**options)
        for start in range(0, len(stream), piece):
            scanner.feed(stream[start : start + piece])
        return scanner.finish()

    return run
