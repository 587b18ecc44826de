"""dicomweb-client, as programs of hospitals and researchers use it, against the whole box."""

from __future__ import annotations

import asyncio
import io

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from requests import HTTPError

from edge.access.roles import Role
from tests import samples

ANY_SYNTAX = (("application/dicom", "*"),)


@pytest.fixture
async def client(open_box):
    """A client that may do what a technologist may, with two small CTs in the box."""
    async with open_box() as box:
        made = DICOMwebClient(
            str(box.viewer.http.base_url).rstrip("/"),
            headers={"Authorization": f"Bearer {await box.token(Role.TECHNOLOGIST)}"},
        )
        for seed, count in ((81, 3), (82, 2)):
            slices = samples.ct_series(count, rows=16, columns=16, seed=seed)
            datasets = [read(one.data) for one in slices]
            await asyncio.to_thread(made.store_instances, datasets)
        yield made


def read(data: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def the_slice(seed: int = 81, number: int = 1) -> samples.Slice:
    return list(samples.ct_series(number, rows=16, columns=16, seed=seed))[-1]


async def test_storing_answers_with_what_was_stored(client):
    datasets = [read(one.data) for one in samples.ct_series(2, rows=16, columns=16, seed=83)]
    answer = await asyncio.to_thread(client.store_instances, datasets)
    stored = {item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence}
    assert stored == {one.SOPInstanceUID for one in datasets}
    assert "FailedSOPSequence" not in answer


async def test_studies_series_and_instances_are_found(client):
    one = the_slice()

    def search():
        assert len(client.search_for_studies()) == 2
        assert len(client.search_for_studies(limit=1)) == 1
        assert len(client.search_for_studies(limit=1, offset=1)) == 1
        assert client.search_for_studies(offset=2) == []
        [study] = client.search_for_studies(search_filters={"PatientID": "SYN-000081"})
        assert study["0020000D"]["Value"] == [one.ref.study_uid]
        named = client.search_for_studies(
            search_filters={"PatientName": "synthetic^patient8*"}, fields=["StudyDescription"]
        )
        assert {study["00081030"]["Value"][0] for study in named} == {"Synthetic study for tests"}
        assert client.search_for_studies(search_filters={"StudyDate": "20300101-"}) == []
        everything = client.search_for_studies(get_remaining=True, limit=1)
        assert len(everything) == 2
        [series] = client.search_for_series(one.ref.study_uid)
        assert series["00080060"]["Value"] == ["CT"]
        assert len(client.search_for_series(search_filters={"Modality": "CT"})) == 2
        assert len(client.search_for_instances()) == 5
        assert len(client.search_for_instances(one.ref.study_uid)) == 3
        found = client.search_for_instances(one.ref.study_uid, one.ref.series_uid)
        assert sorted(one["00200013"]["Value"] for one in found) == [[1], [2], [3]]

    await asyncio.to_thread(search)


async def test_studies_series_and_instances_are_retrieved(client):
    one = the_slice()
    study_uid, series_uid, sop_uid = one.ref.study_uid, one.ref.series_uid, one.ref.sop_uid

    def retrieve():
        assert len(client.retrieve_study(study_uid)) == 3
        assert len(client.retrieve_study(study_uid, media_types=ANY_SYNTAX)) == 3
        assert len(client.retrieve_series(study_uid, series_uid)) == 3
        assert len(list(client.iter_series(study_uid, series_uid, media_types=ANY_SYNTAX))) == 3
        found = client.retrieve_instance(study_uid, series_uid, sop_uid)
        assert found == read(one.data)

    await asyncio.to_thread(retrieve)


async def test_metadata_tells_all_but_the_bulk_and_where_that_is(client):
    one = the_slice()
    dataset = read(one.data)
    uids = (one.ref.study_uid, one.ref.series_uid, one.ref.sop_uid)

    def retrieve():
        assert len(client.retrieve_study_metadata(uids[0])) == 3
        assert len(client.retrieve_series_metadata(*uids[:2])) == 3
        metadata = client.retrieve_instance_metadata(*uids)
        url = metadata["7FE00010"]["BulkDataURI"]
        assert client.retrieve_bulkdata(url) == [dataset.PixelData]
        model = pydicom.Dataset.from_json(metadata, bulk_data_uri_handler=lambda _: b"")
        for element in dataset:
            if element.keyword not in ("PixelData", ""):
                assert model[element.tag] == element, element.keyword

    await asyncio.to_thread(retrieve)


async def test_frames_are_the_pixels(client):
    one = the_slice()
    uids = (one.ref.study_uid, one.ref.series_uid, one.ref.sop_uid)

    def retrieve():
        [frame] = client.retrieve_instance_frames(*uids, frame_numbers=[1])
        pixels = np.frombuffer(frame, "<u2").reshape(16, 16)
        assert (pixels == read(one.data).pixel_array).all()
        with pytest.raises(HTTPError) as raised:
            client.retrieve_instance_frames(*uids, frame_numbers=[2])
        assert raised.value.response.status_code == 404

    await asyncio.to_thread(retrieve)


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_RLE.dcm"])
async def test_compressed_frames_come_as_they_are_stored(name, client, packaged):
    dataset = pydicom.dcmread(packaged(name))
    uids = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    first = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))

    def store_and_retrieve():
        client.store_instances([dataset])
        anything = (("application/octet-stream", "*"),)
        [frame] = client.retrieve_instance_frames(*uids, frame_numbers=[1], media_types=anything)
        assert frame == first
        found = client.retrieve_instance(*uids, media_types=ANY_SYNTAX)
        assert found.file_meta.TransferSyntaxUID == dataset.file_meta.TransferSyntaxUID
        assert found.PixelData == dataset.PixelData

    await asyncio.to_thread(store_and_retrieve)


async def test_what_is_not_there_is_not_found(client):
    def retrieve():
        for call in (
            lambda: client.retrieve_study("1.2.3"),
            lambda: client.retrieve_study_metadata("1.2.3"),
            lambda: client.retrieve_instance("1.2.3", "1.2.4", "1.2.5"),
        ):
            with pytest.raises(HTTPError) as raised:
                call()
            assert raised.value.response.status_code == 404
        assert client.search_for_studies(search_filters={"StudyInstanceUID": "1.2.3"}) == []

    await asyncio.to_thread(retrieve)
