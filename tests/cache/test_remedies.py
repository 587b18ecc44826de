"""Copies that are sent in place of instances: what they are, and how they are known again."""

from __future__ import annotations

import io
from functools import partial

import pydicom
import pytest

from edge.cache.remedies import Remedies
from edge.cache.transcoding import Transcoding
from edge.dicom.digest import Digester
from edge.dicom.instance import Custody
from edge.errors import DecisionRefused, PixelError
from edge.index import lookup, remedies, residence
from edge.index.custody import Primary
from edge.index.remedies import Remedy
from tests import samples
from tests.fakes.archive import FakeArchive
from tests.pixels.pool import running

RLE, IMPLICIT = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2"
PATIENT = {"00100020": {"vr": "LO", "Value": ["SAMPLE-1"]}}


@pytest.fixture
def sample():
    return next(iter(samples.ct_series(1, rows=32, columns=32)))


def without_patient_id(data):
    dataset = pydicom.dcmread(io.BytesIO(data))
    del dataset.PatientID
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def maker(cache, workers):
    return Remedies(cache.retrieval, Transcoding(workers), cache.admission, cache.database)


async def entry_of(cache, ref):
    [entry] = await cache.retrieval.instances(ref.study_uid, ref.series_uid, ref.sop_uid)
    return entry


async def copied(cache, ref, remedy):
    """The bytes of a copy, whose digest is in the index before they can be read."""
    entry = await entry_of(cache, ref)
    await cache.database.write(
        partial(
            remedies.transcode,
            instance_id=entry.instance_id,
            transfer_syntax=remedy.transfer_syntax,
        )
    )
    async with running() as workers, maker(cache, workers).copy(entry, remedy) as copy:
        found = await remedies.find(cache.database, [entry.instance_id])
        data = b"".join([piece async for piece in copy.stream()])
        assert len(data) == copy.size
    digester = Digester()
    digester.update(data)
    assert found[entry.instance_id].sent_digest == digester.digests()[1]
    return data


@pytest.mark.parametrize("syntax", [RLE, IMPLICIT, ""])
async def test_a_copy_has_what_was_supplied_and_all_the_rest(cache, sample, syntax):
    data = without_patient_id(sample.data)
    await cache.send(data)
    copy = pydicom.dcmread(io.BytesIO(await copied(cache, sample.ref, Remedy(syntax, PATIENT))))
    ours = pydicom.dcmread(io.BytesIO(data))
    expected = syntax or ours.file_meta.TransferSyntaxUID
    assert copy.file_meta.TransferSyntaxUID == expected
    assert copy.PatientID == "SAMPLE-1"
    assert (copy.pixel_array == ours.pixel_array).all()
    del copy.PatientID
    assert {element.tag for element in copy} == {element.tag for element in ours}
    assert await cache.read(sample.ref) == data


async def test_a_supplied_copy_of_compressed_pixels_keeps_every_fragment(cache, sample):
    await cache.send(without_patient_id(sample.data))
    compressed = await copied(cache, sample.ref, Remedy(RLE, {}))
    ours = pydicom.dcmread(io.BytesIO(compressed))
    assert "PatientID" not in ours
    await cache.deletion.delete(sample.ref.study_uid)
    await cache.send(compressed)
    copy = pydicom.dcmread(io.BytesIO(await copied(cache, sample.ref, Remedy("", PATIENT))))
    assert copy.file_meta.TransferSyntaxUID == RLE
    assert (copy.PixelData, copy.PatientID) == (ours.PixelData, "SAMPLE-1")


async def test_what_can_not_be_made_leaves_nothing_behind(cache, sample):
    dataset = pydicom.dcmread(io.BytesIO(sample.data))
    dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 100", "SAMPLE"
    latin = io.BytesIO()
    dataset.save_as(latin)
    await cache.send(latin.getvalue())
    entry = await entry_of(cache, sample.ref)
    foreign = {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "漢字"}]}}
    async with running() as workers:
        make = maker(cache, workers)
        with pytest.raises(PixelError):
            async with make.copy(entry, Remedy("1.2.840.10008.1.2.4.50", {})):
                pass
        with pytest.raises(DecisionRefused):
            async with make.copy(entry, Remedy("", foreign)):
                pass
    assert await remedies.find(cache.database, [entry.instance_id]) == {}


async def test_an_image_that_is_lost_comes_back_as_the_copy_that_was_sent(open_cache, sample):
    async with FakeArchive() as archive, open_cache(archive=archive) as cache:
        await cache.send(sample)
        copy = await copied(cache, sample.ref, Remedy(RLE, {}))
        archive.put(copy)
        row = await lookup.find_one(cache.database, sample.ref.sop_uid)
        await cache.database.write(
            partial(
                Primary().settle,
                instance_id=row.instance_id,
                custody=Custody.VERIFIED,
                reason="",
                retry_at=0.0,
                now=1.0,
            )
        )
        await cache.store.delete(row.object)
        await cache.database.write(partial(residence.lose, objects=[row.object]))
        assert await cache.read(sample.ref) == copy
        row = await lookup.find_one(cache.database, sample.ref.sop_uid)
        assert (row.custody, row.transfer_syntax) == (Custody.VERIFIED, RLE)
        assert await remedies.find(cache.database, [row.instance_id]) == {}
