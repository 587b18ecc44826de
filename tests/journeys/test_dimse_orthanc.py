"""Orthanc as the destination of a C-MOVE, and as who asks for one."""

from __future__ import annotations

import asyncio

import pytest

from edge.others import Peer
from tests import samples
from tests.fakes import orthanc
from tests.journeys.test_dimse_destinations import Slices, answers
from tests.journeys.test_dimse_retrieve import SUCCESS
from tests.journeys.test_dimse_syntaxes import assert_same_picture
from tests.journeys.viewer import Part10, identity
from tests.journeys.workstation import RETRIEVER, asking, counted

pytestmark = pytest.mark.skipif(bool(orthanc.missing()), reason=orthanc.missing())


@pytest.fixture
def pacs(tmp_path, free_port):
    """An Orthanc that knows the box, at a port that the box will have."""
    port = free_port()
    modalities = {"edge": ["EDGE", "127.0.0.1", port]}
    server = orthanc.Orthanc(tmp_path / "orthanc", settings={"DicomModalities": modalities})
    server.edge_port = port
    with server:
        yield server


def box_beside(open_box, pacs):
    there = Peer(
        pacs.ae_title, host="127.0.0.1", port=pacs.dicom_port, may=("store", "query", "retrieve")
    )
    listen = f"127.0.0.1:{pacs.edge_port}"
    return open_box(dimse={"listen": listen, "peer": (RETRIEVER, there)})


def held_by(pacs):
    """Everything that Orthanc has, as it has it."""
    found = {}
    for number in pacs.request("GET", "/instances").json():
        part = Part10.of(pacs.request("GET", f"/instances/{number}/file").content)
        found[part.sop_uid] = part
    return found


async def test_orthanc_is_a_destination(open_box, pacs):
    study = Slices(95, count=6)
    compressed = samples.packaged_file("JPEG2000.dcm")
    async with box_beside(open_box, pacs) as box:
        await study.into(box)
        data = await asyncio.to_thread(compressed.read_bytes)
        await box.viewer.store(data)
        [(other,)] = await box.rows("SELECT study_uid FROM studies WHERE study_uid <> ?", study.uid)
        async with asking(box.dimse_port) as requestor:
            *_, last = await answers(requestor, study.uid, other, to=pacs.ae_title)
    assert last.status == SUCCESS
    assert counted(last) == (None, 7, 0, 0)
    held = await asyncio.to_thread(held_by, pacs)
    # Orthanc writes what has sequences anew, and keeps the pixels as they came.
    kept = held.pop(str(identity(data).SOPInstanceUID))
    assert kept.transfer_syntax == Part10.of(data).transfer_syntax
    assert_same_picture(compressed, kept)
    assert held == study.files


@pytest.mark.parametrize("level", ["Study", "Series"])
async def test_orthanc_asks_for_what_it_wants_to_have(level, open_box, pacs):
    study = Slices(96, count=6)
    resource = {"StudyInstanceUID": study.uid}
    if level == "Series":
        resource["SeriesInstanceUID"] = study.made[0].ref.series_uid
    async with box_beside(open_box, pacs) as box:
        await study.into(box)
        await asyncio.to_thread(
            pacs.request,
            "POST",
            "/modalities/edge/move",
            json={"Level": level, "Resources": [resource], "TargetAet": pacs.ae_title},
        )
    assert await asyncio.to_thread(held_by, pacs) == study.files
