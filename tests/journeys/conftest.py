"""Fixtures of the journeys: one Orthanc for all of them, emptied before each."""

from __future__ import annotations

import shutil

import pytest

from tests.fakes import orthanc
from tests.fakes.orthanc import Orthanc
from tests.journeys import box
from tests.journeys.line import line_to


@pytest.fixture(scope="session")
def _orthanc(tmp_path_factory):
    if why := orthanc.missing():
        pytest.skip(why)
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def cloud(_orthanc):
    """Orthanc, running and empty; a journey may stop it."""
    if _orthanc.process is None:
        _orthanc.start()
    patients = _orthanc.request("GET", "/patients").json()
    _orthanc.request("POST", "/tools/bulk-delete", json={"Resources": patients})
    _orthanc.request("DELETE", "/changes")
    return _orthanc


@pytest.fixture
async def line(cloud):
    """The line to that Orthanc."""
    async with line_to(cloud) as laid:
        yield laid


@pytest.fixture
def open_box(tmp_path):
    """Starts the box that lies in ``tmp_path``; again and again, as after restarts."""

    def start(cloud=None, *, folder="box", **sections):
        return box.running(box.settings(tmp_path / folder, cloud, **sections))

    return start


@pytest.fixture(autouse=True)
def _needs_dcmtk():
    if shutil.which("dcmsend") is None:
        pytest.skip("needs Debian's package dcmtk")
