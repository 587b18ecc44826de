"""Transfer syntaxes of C-MOVE and C-GET: as it is stored if that is taken, else made without loss.

Pixels are compared with those that pydicom's own decoders find in what was sent.
"""

from __future__ import annotations

import asyncio
import io

import numpy as np
import pydicom
import pytest
from pydicom.pixels import pixel_array
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet

from edge.pixels import syntaxes
from tests import samples
from tests.journeys.test_dimse_destinations import MODALITY
from tests.journeys.test_dimse_retrieve import SUCCESS, WARNING, box_of
from tests.journeys.viewer import Part10, identity
from tests.journeys.workstation import (
    LEVEL,
    TITLE,
    asking,
    counted,
    failed_list,
    getscu,
    moving,
    receiving,
    status,
    storescp,
)
from tests.peers.test_packaged_files import UNDECODABLE

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
"""pydicom's opinion of these files is known."""

NATIVE = {syntaxes.EXPLICIT_LITTLE, syntaxes.IMPLICIT_LITTLE, syntaxes.EXPLICIT_BIG}
FILES = samples.distinct_files()


SENT = {str(identity(path.read_bytes()).SOPInstanceUID): (Part10.at(path), path) for path in FILES}
"""By SOP Instance UID of the data set, which in a few files is not that of the file meta."""


async def fill(box):
    """Have the box take all that pydicom packages; the studies."""
    for path in FILES:
        data = await asyncio.to_thread(path.read_bytes)
        await box.appliance.admission.store_instance(samples.chunks(data), MODALITY)
    return [uid for (uid,) in await box.rows("SELECT study_uid FROM studies")]


def is_same(uid, part):
    """Whether it came as it was sent in."""
    sent, _ = SENT[uid]
    return (part.transfer_syntax, part.dataset) == (sent.transfer_syntax, sent.dataset)


async def test_every_packaged_instance_is_moved_byte_for_byte(open_box):
    async with receiving() as station, box_of(open_box, station) as box:
        studies = await fill(box)
        async with asking(box.dimse_port) as requestor:
            *_, last = [one async for one in moving(requestor, *studies, seconds=60)]
        assert last.status == SUCCESS
        assert counted(last) == (None, len(FILES), 0, 0)
        got = station.got()
        assert got.keys() == SENT.keys()
        assert all(is_same(uid, part) for uid, part in got.items())


@pytest.mark.parametrize(
    ("options", "accepted"),
    [
        ((), {syntaxes.EXPLICIT_LITTLE, syntaxes.IMPLICIT_LITTLE, syntaxes.EXPLICIT_BIG}),
        (("+xi",), {syntaxes.IMPLICIT_LITTLE}),
        (("+xe",), {syntaxes.EXPLICIT_LITTLE, syntaxes.IMPLICIT_LITTLE, syntaxes.EXPLICIT_BIG}),
        (
            ("+xv",),
            {
                syntaxes.EXPLICIT_LITTLE,
                syntaxes.IMPLICIT_LITTLE,
                syntaxes.EXPLICIT_BIG,
                syntaxes.JPEG_2000_LOSSLESS,
            },
        ),
    ],
)
async def test_a_destination_that_takes_few_syntaxes_gets_the_same_pixels(
    options, accepted, open_box, tmp_path
):
    async with storescp(tmp_path / "got", *options) as station, box_of(open_box, station) as box:
        studies = await fill(box)
        async with asking(box.dimse_port) as requestor:
            *_, last = [one async for one in moving(requestor, *studies, seconds=60)]
        got = station.got()
    failed = failed_list(last)
    assert sorted(got.keys() | set(failed)) == sorted(SENT)
    # What can't be decoded, and what is no picture but compressed, can't be made anything else.
    for uid in failed:
        sent, path = SENT[uid]
        assert sent.transfer_syntax not in accepted | NATIVE, path.name
        assert path.name in UNDECODABLE or _is_no_picture(path), path.name
    assert last.status == (WARNING if failed else SUCCESS)
    assert len(got) > 60
    made = 0
    for uid, part in got.items():
        sent, path = SENT[uid]
        assert part.transfer_syntax in accepted
        if sent.transfer_syntax in accepted:
            assert is_same(uid, part), path.name
        else:
            made += 1
            assert_same_picture(path, part)
    assert made > 10


def _is_no_picture(path):
    dataset = pydicom.dcmread(path)
    return "PixelData" not in dataset or "MPEG" in dataset.file_meta.TransferSyntaxUID.name


def assert_same_picture(path, part):
    before = pydicom.dcmread(path)
    after = pydicom.Dataset()
    syntax = pydicom.uid.UID(part.transfer_syntax)
    after = pydicom.filereader.read_dataset(
        io.BytesIO(part.dataset), syntax.is_implicit_VR, syntax.is_little_endian
    )
    assert after.SOPInstanceUID == before.SOPInstanceUID
    assert after.get("PatientID") == before.get("PatientID")
    if "PixelData" not in before or path.name in UNDECODABLE:
        return
    after.file_meta = pydicom.dataset.FileMetaDataset()
    after.file_meta.TransferSyntaxUID = syntax
    wanted, found = pixel_array(before, raw=True), pixel_array(after, raw=True)
    tolerance = 0 if str(before.file_meta.TransferSyntaxUID) in syntaxes.LOSSLESS else 3
    same = wanted.shape == found.shape
    assert same, path.name
    difference = np.abs(wanted.astype(np.int64) - found.astype(np.int64))
    assert difference.max() <= tolerance, path.name


async def test_getscu_gets_what_is_compressed_made_plain(open_box, tmp_path):
    uid, path = next(
        (uid, path)
        for uid, (part, path) in SENT.items()
        if part.transfer_syntax in (syntaxes.JPEG_LOSSLESS_SV1, syntaxes.JPEG_2000_LOSSLESS)
        and path.name not in UNDECODABLE
    )
    async with box_of(open_box) as box:
        await fill(box)
        ran = await getscu(
            box.dimse_port, tmp_path / "got", f"{LEVEL}=IMAGE", f"SOPInstanceUID={uid}"
        )
    assert status(ran) == SUCCESS, ran.output
    [file] = (tmp_path / "got").iterdir()
    part = Part10.at(file)
    assert part.transfer_syntax == syntaxes.EXPLICIT_LITTLE
    assert_same_picture(path, part)


async def test_pynetdicom_gets_what_it_proposes_each_instance_as_it_is_stored(open_box):
    classes = {path: identity(path.read_bytes()).SOPClassUID for path in FILES}
    pairs = {(classes[path], sent.transfer_syntax) for sent, path in SENT.values()}
    wanted = sorted(pairs)[:100]
    got = {}

    def keep(event):
        part = Part10.of(event.encoded_dataset())
        got[part.sop_uid] = part
        return 0x0000

    def get(port, studies):
        ae = AE(TITLE)
        ae.maximum_pdu_size = 0
        ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
        for sop_class, syntax in wanted:
            ae.add_requested_context(sop_class, [syntax])
        roles = [build_role(uid, scp_role=True) for uid in {uid for uid, _ in wanted}]
        association = ae.associate(
            "127.0.0.1",
            port,
            ae_title="EDGE",
            ext_neg=roles,
            evt_handlers=[(evt.EVT_C_STORE, keep)],
        )
        assert association.is_established
        identifier = pydicom.Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = studies
        answers = list(
            association.send_c_get(identifier, StudyRootQueryRetrieveInformationModelGet)
        )
        association.release()
        return answers

    async with box_of(open_box) as box:
        studies = await fill(box)
        *_, (last, failed) = await asyncio.to_thread(get, box.dimse_port, studies)
    assert last.Status in (SUCCESS, WARNING)
    assert last.NumberOfCompletedSuboperations == len(got)
    listed = [] if failed is None else failed.FailedSOPInstanceUIDList
    assert len(got) + last.NumberOfFailedSuboperations == len(FILES)
    assert last.NumberOfFailedSuboperations == (len(listed) if listed else 0)
    as_stored = [uid for uid, part in got.items() if is_same(uid, part)]
    assert len(as_stored) > 80
