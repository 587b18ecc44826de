"""dicomweb-client, as programs of hospitals and researchers use it: every verb that it has."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom.encaps import generate_frames
from requests import HTTPError

from tests import samples
from tests.conformance.material import packaged
from tests.conformance.service import parts_of

SEED, SLICES = 81, 3
AS_STORED = (("application/dicom", "*"),)
ANY_FRAMES = (("application/octet-stream", "*"),)
RLE, J2K = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90"
EXPLICIT = "1.2.840.10008.1.2.1"
NOBODY = "1.2.3"


def read(data: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def slices(seed: int = SEED, count: int = SLICES) -> list[samples.Slice]:
    return list(samples.ct_series(count, rows=16, columns=16, seed=seed))


def uids(one: samples.Slice) -> tuple[str, str, str]:
    return one.ref.study_uid, one.ref.series_uid, one.ref.sop_uid


@pytest.fixture(scope="module")
def client(edge):
    """With two small studies in the box."""
    made = DICOMwebClient(
        f"http://127.0.0.1:{edge.web.port}/dicom-web",
        headers={"Authorization": edge.web.authorization},
    )
    made.set_http_retry_params(retry=False)
    for seed, count in ((SEED, SLICES), (82, 2)):
        made.store_instances([read(one.data) for one in slices(seed, count)])
    return made


@pytest.fixture
def first() -> samples.Slice:
    return slices()[0]


# Storing


def test_store_instances_answers_with_what_was_stored(client):
    datasets = [read(one.data) for one in slices(1083, 2)]
    answer = client.store_instances(datasets)
    stored = {item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence}
    assert stored == {one.SOPInstanceUID for one in datasets}
    assert "FailedSOPSequence" not in answer


def test_store_instances_of_a_study(client):
    datasets = [read(one.data) for one in slices(1084, 2)]
    study = datasets[0].StudyInstanceUID
    answer = client.store_instances(datasets, study_instance_uid=study)
    assert len(answer.ReferencedSOPSequence) == 2
    with pytest.raises(HTTPError) as raised:
        client.store_instances(datasets, study_instance_uid=NOBODY)
    assert raised.value.response.status_code == 409


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_RLE.dcm"])
def test_store_instances_that_are_compressed_and_get_them_back_as_they_were(name, client):
    dataset = packaged("PEERS", "PACKED", name).dataset
    names = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
    client.store_instances([dataset])
    [frame] = client.retrieve_instance_frames(*names, frame_numbers=[1], media_types=ANY_FRAMES)
    assert frame == next(generate_frames(dataset.PixelData, number_of_frames=1))
    found = client.retrieve_instance(*names, media_types=AS_STORED)
    assert found.file_meta.TransferSyntaxUID == dataset.file_meta.TransferSyntaxUID
    assert found.PixelData == dataset.PixelData


# Searching


def test_search_for_studies(client, first):
    mine = {"PatientID": "SYN-00008*"}
    assert len(client.search_for_studies(search_filters=mine)) == 2
    assert len(client.search_for_studies(search_filters=mine, limit=1)) == 1
    assert len(client.search_for_studies(search_filters=mine, limit=1, offset=1)) == 1
    assert client.search_for_studies(search_filters=mine, offset=2) == []
    [study] = client.search_for_studies(search_filters={"PatientID": "SYN-000081"})
    assert study["0020000D"]["Value"] == [first.ref.study_uid]
    assert study["00201208"]["Value"] == [SLICES]
    named = client.search_for_studies(
        search_filters={"PatientName": "synthetic^patient8*"}, fields=["StudyDescription"]
    )
    assert {one["00081030"]["Value"][0] for one in named} == {"Synthetic study for tests"}
    assert client.search_for_studies(search_filters={"StudyDate": "20300101-"}) == []
    assert client.search_for_studies(fuzzymatching=True, search_filters=mine)


def test_search_for_studies_page_by_page(client):
    mine = {"PatientID": "SYN-00008*"}
    everything = client.search_for_studies(get_remaining=True, limit=1, search_filters=mine)
    assert len({one["0020000D"]["Value"][0] for one in everything}) == len(everything) == 2


def test_search_for_series(client, first):
    [series] = client.search_for_series(first.ref.study_uid)
    assert series["00080060"]["Value"] == ["CT"]
    everywhere = client.search_for_series(
        search_filters={"Modality": "CT", "PatientID": "SYN-00008*"}, get_remaining=True, limit=1
    )
    assert len(everywhere) == 2
    [found] = client.search_for_series(
        first.ref.study_uid, fields=["SeriesDescription", "00081030"], limit=5
    )
    assert found["0008103E"]["Value"] == ["Thorax 1"]


def test_search_for_instances(client, first):
    assert len(client.search_for_instances(search_filters={"PatientID": "SYN-00008*"})) == 5
    assert len(client.search_for_instances(first.ref.study_uid)) == SLICES
    found = client.search_for_instances(*uids(first)[:2], get_remaining=True, limit=2)
    assert sorted(one["00200013"]["Value"] for one in found) == [[1], [2], [3]]
    named = client.search_for_instances(*uids(first)[:2], search_filters={"InstanceNumber": 2})
    assert [one["00080018"]["Value"][0] for one in named] == [slices()[1].ref.sop_uid]


# Retrieving


def test_retrieve_and_iterate_over_a_study_and_a_series(client, first):
    study, series, _ = uids(first)
    wanted = {one.ref.sop_uid for one in slices()}
    for found in (
        client.retrieve_study(study),
        client.retrieve_study(study, media_types=AS_STORED),
        client.retrieve_study(study, media_types=(("application/dicom", EXPLICIT),)),
        list(client.iter_study(study)),
        list(client.iter_study(study, media_types=AS_STORED)),
        client.retrieve_series(study, series),
        client.retrieve_series(study, series, media_types=AS_STORED),
        list(client.iter_series(study, series)),
        list(client.iter_series(study, series, media_types=AS_STORED)),
    ):
        assert {one.SOPInstanceUID for one in found} == wanted


def test_retrieve_an_instance(client, first):
    for media_types in (None, AS_STORED, ("application/dicom",)):
        assert client.retrieve_instance(*uids(first), media_types=media_types) == read(first.data)


def test_retrieve_metadata_at_every_level(client, first):
    study, series, sop = uids(first)
    assert len(client.retrieve_study_metadata(study)) == SLICES
    assert len(client.retrieve_series_metadata(study, series)) == SLICES
    metadata = client.retrieve_instance_metadata(study, series, sop)
    model = pydicom.Dataset.from_json(metadata, bulk_data_uri_handler=lambda _: b"")
    for element in read(first.data):
        if element.keyword not in ("PixelData", ""):
            assert model[element.tag] == element, element.keyword


def test_retrieve_and_iterate_over_bulk_data(client, first):
    dataset = read(first.data)
    url = client.retrieve_instance_metadata(*uids(first))["7FE00010"]["BulkDataURI"]
    octets = ("application/octet-stream",)
    for found in (
        client.retrieve_bulkdata(url),
        client.retrieve_bulkdata(url, media_types=octets),
        list(client.iter_bulkdata(url)),
        list(client.iter_bulkdata(url, media_types=octets)),
    ):
        assert found == [dataset.PixelData]
    # A server may answer a Range with the whole.
    [part] = client.retrieve_bulkdata(url, media_types=octets, byte_range=(10, 19))
    assert part in (dataset.PixelData, dataset.PixelData[10:20])


def test_retrieve_and_iterate_over_frames(client, first):
    wanted = read(first.data).pixel_array
    for media_types in (None, ANY_FRAMES, (("application/octet-stream", EXPLICIT),)):
        for found in (
            client.retrieve_instance_frames(
                *uids(first), frame_numbers=[1], media_types=media_types
            ),
            list(
                client.iter_instance_frames(
                    *uids(first), frame_numbers=[1], media_types=media_types
                )
            ),
        ):
            [frame] = found
            assert (np.frombuffer(frame, "<u2").reshape(16, 16) == wanted).all()
    with pytest.raises(HTTPError) as raised:
        client.retrieve_instance_frames(*uids(first), frame_numbers=[2])
    assert raised.value.response.status_code == 404


def test_retrieve_frames_of_a_compressed_image_packed_and_unpacked(client):
    packed = packaged("PEERS", "PACKED", "MR_small_RLE.dcm").dataset
    plain = pydicom.dcmread(samples.packaged_file("MR_small.dcm"))
    names = (packed.StudyInstanceUID, packed.SeriesInstanceUID, packed.SOPInstanceUID)
    client.store_instances([packed])
    [stored] = client.retrieve_instance_frames(
        *names, frame_numbers=[1], media_types=(("image/dicom-rle", RLE),)
    )
    assert stored in packed.PixelData
    [pixels] = client.retrieve_instance_frames(
        *names, frame_numbers=[1], media_types=(("application/octet-stream", EXPLICIT),)
    )
    assert pixels == plain.PixelData
    [other] = client.retrieve_instance_frames(
        *names, frame_numbers=[1], media_types=(("image/jp2", J2K),)
    )
    assert other[:4] == b"\xff\x4f\xff\x51"  # SOC and SIZ (ISO/IEC 15444-1)


# Rendered


def test_retrieve_a_rendered_instance_and_its_frames(client, first):
    for kind in ("jpeg", "png", "gif"):
        media_types = (f"image/{kind}",)
        for data in (
            client.retrieve_instance_rendered(*uids(first), media_types=media_types),
            client.retrieve_instance_frames_rendered(
                *uids(first), frame_numbers=[1], media_types=media_types
            ),
        ):
            picture = Image.open(io.BytesIO(data))
            assert (picture.format, picture.size) == (kind.upper(), (16, 16))
    small = client.retrieve_instance_rendered(
        *uids(first), media_types=("image/png",), params={"viewport": "8,8"}
    )
    assert Image.open(io.BytesIO(small)).size == (8, 8)
    assert client.retrieve_instance_rendered(*uids(first))[:2] == b"\xff\xd8"


def test_retrieve_a_rendered_series(client, service, first):
    path = f"/studies/{first.ref.study_uid}/series/{first.ref.series_uid}/rendered"
    answer = service.get(path)
    assert len(parts_of(answer, "image/jpeg")) == SLICES
    assert len(client.retrieve_series_rendered(*uids(first)[:2])) > 3 * 100


# Deleting


def test_delete_an_instance_a_series_and_a_study(client):
    for seed, delete in (
        (1085, client.delete_instance),
        (1086, lambda study, series, _: client.delete_series(study, series)),
        (1087, lambda study, *_: client.delete_study(study)),
    ):
        [one] = slices(seed, 1)
        client.store_instances([read(one.data)])
        delete(*uids(one))
        with pytest.raises(HTTPError) as raised:
            client.retrieve_instance(*uids(one))
        assert raised.value.response.status_code == 410
        filters = {"StudyInstanceUID": one.ref.study_uid}
        assert client.search_for_studies(search_filters=filters) == []


# What is not there


def test_what_is_not_there_is_not_found(client):
    for call in (
        lambda: client.retrieve_study(NOBODY),
        lambda: client.retrieve_study_metadata(NOBODY),
        lambda: client.retrieve_series(NOBODY, "1.2.4"),
        lambda: client.retrieve_instance(NOBODY, "1.2.4", "1.2.5"),
        lambda: client.retrieve_instance_rendered(NOBODY, "1.2.4", "1.2.5"),
    ):
        with pytest.raises(HTTPError) as raised:
            call()
        assert raised.value.response.status_code == 404
    assert client.search_for_studies(search_filters={"StudyInstanceUID": NOBODY}) == []
