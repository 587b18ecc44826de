"""OHIF's own requests, as @ohif/app 3.12 sends them to a DICOMweb data source.

Recorded from the viewer: paths, queries and Accept headers are its own, down to the multipart type
without quotes. What it needs of the answers is checked, and nothing else.
"""

from __future__ import annotations

import pytest

from tests import samples
from tests.conformance import material
from tests.conformance.service import JSON, media_type, parts_of

FRAMES = "multipart/related; type=application/octet-stream; transfer-syntax=*"
LIST = "limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060"
NAVIGATION = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,"
    "*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
)
SEED = 61


@pytest.fixture(scope="module")
def study(service):
    """A CT study, and beside it one of another modality."""
    slices = list(samples.ct_series(3, rows=32, columns=24, seed=SEED))
    service.store_instances(one.data for one in slices)
    service.store_instances([samples.packaged_file("MR_small.dcm").read_bytes()])
    return slices


def found(service, path: str) -> list[str]:
    """Study Instance UIDs that a search of the study list finds."""
    answer = service.request("GET", f"{service.base}{path}", accept=JSON)
    assert answer.status_code in (200, 204), answer.text
    results = answer.json() if answer.content else []
    return [one["0020000D"]["Value"][0] for one in results]


def test_the_study_list(service, study):
    answer = service.request("GET", f"{service.base}/studies?{LIST}", accept=JSON)
    assert answer.status_code == 200
    by_uid = {one["0020000D"]["Value"][0]: one for one in answer.json()}
    row = by_uid[study[0].ref.study_uid]
    # What the columns of the list are made of.
    assert row["00100010"]["Value"][0]["Alphabetic"] == f"Synthetic^Patient{SEED}^Édith"
    assert row["00100020"]["Value"] == [f"SYN-{SEED:06}"]
    assert row["00080020"]["Value"] == ["20240229"]
    assert row["00080050"]["Value"] == [f"SYN{SEED:08}"]
    assert row["00081030"]["Value"] == ["Synthetic study for tests"]
    assert row["00080061"]["Value"] == ["CT"]
    assert row["00201208"]["Value"] == [3]


@pytest.mark.parametrize(
    "asked",
    [
        f"PatientName=*patient{SEED}*",
        f"PatientName=*Patient{SEED}%5E%C3%89dith*",
        f"00100020=*{SEED:06}*",
        f"00100020=SYN-{SEED:06}",
        "StudyDescription=*Synthetic%20study*",
        "ModalitiesInStudy=CT%2CUS",
        "StudyDate=20240228-20240301",
        f"AccessionNumber=*{SEED:08}*",
        f"StudyDate=20240101-20241231&ModalitiesInStudy=CT&PatientName=*patient{SEED}*",
    ],
)
def test_a_filter_of_the_study_list(asked, service, study):
    uids = found(service, f"/studies?{LIST}&{asked}")
    assert uids == [study[0].ref.study_uid]


@pytest.mark.parametrize(
    "asked",
    ["PatientName=*nobody*", "ModalitiesInStudy=US%2CXA", "StudyDate=20300101-20301231"],
)
def test_a_filter_that_nothing_matches_is_an_empty_list(asked, service, study):
    assert found(service, f"/studies?{LIST}&{asked}") == []


def test_other_studies_of_the_patient(service, study):
    assert found(service, f"/studies?00100020=SYN-{SEED:06}") == [study[0].ref.study_uid]


def test_the_series_of_a_study(service, study):
    field = "includefield=00080021%2C00080031%2C0008103E%2C00200011"
    path = f"{service.base}/studies/{study[0].ref.study_uid}/series?{field}"
    [series] = service.request("GET", path, accept=JSON).json()
    assert series["0020000E"]["Value"] == [study[0].ref.series_uid]
    assert series["00080060"]["Value"] == ["CT"]
    assert series["0008103E"]["Value"] == ["Thorax 1"]
    assert series["00200011"]["Value"] == [1]
    assert series["00201209"]["Value"] == [3]
    assert series["00080021"]["Value"] == ["20240229"]


def test_the_metadata_of_a_series_has_what_a_viewport_needs(service, study):
    ref = study[0].ref
    path = f"/studies/{ref.study_uid}/series/{ref.series_uid}/metadata"
    answer = service.get(path, JSON)
    assert media_type(answer) == JSON
    metadata = answer.json()
    assert len(metadata) == 3
    for one in metadata:
        for tag in (
            *("00080016", "00080018", "00200032", "00200037", "00280002", "00280004", "00280010"),
            *("00280011", "00280030", "00280100", "00280101", "00280102", "00280103", "00281050"),
        ):
            assert one[tag].get("Value"), tag


def test_frames_come_one_by_one_and_name_their_transfer_syntax(service, study):
    for one in study:
        ref = one.ref
        path = f"/studies/{ref.study_uid}/series/{ref.series_uid}/instances/{ref.sop_uid}/frames/1"
        [part] = parts_of(service.get(path, FRAMES))
        # Without it, several transfer syntaxes are not decoded.
        assert "transfer-syntax=1.2.840.10008.1.2.1" in part.headers["Content-Type"]
        assert len(part.body) == 32 * 24 * 2


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("MR_small_RLE.dcm", "1.2.840.10008.1.2.5"),
        ("MR_small_jp2klossless.dcm", "1.2.840.10008.1.2.4.90"),
        ("MR_small_jpeg_ls_lossless.dcm", "1.2.840.10008.1.2.4.80"),
        ("SC_rgb_jpeg_dcmtk.dcm", "1.2.840.10008.1.2.4.50"),
        ("MR_small_bigendian.dcm", "1.2.840.10008.1.2.2"),
    ],
)
def test_frames_of_other_transfer_syntaxes_come_as_they_are_stored(name, syntax, service):
    one = material.packaged("OHIF", "PACKED", name)
    assert one.transfer_syntax == syntax
    assert service.store_instances([one.data]).status_code == 200
    [part] = parts_of(service.get(f"{one.path}/frames/1", FRAMES))
    assert f"transfer-syntax={syntax}" in part.headers["Content-Type"]
    assert part.body in one.data


def test_small_palettes_are_inline(service):
    one = material.packaged("OHIF", "PALETTE", "examples_palette.dcm")
    assert service.store_instances([one.data]).status_code == 200
    [found] = service.get(f"{one.path}/metadata", JSON).json()
    for tag in ("00281201", "00281202", "00281203"):
        # As a BulkDataURI, pictures stay black.
        assert "InlineBinary" in found[tag], tag


def test_bulk_data_is_asked_for_with_any_media_type(service, study):
    ref = study[0].ref
    path = f"/studies/{ref.study_uid}/series/{ref.series_uid}/instances/{ref.sop_uid}/metadata"
    [one] = service.get(path, JSON).json()
    uri = one["7FE00010"]["BulkDataURI"]
    answer = service.get(uri, "*/*")
    assert answer.status_code == 200
    if media_type(answer) == "multipart/related":
        [part] = parts_of(answer)
        assert len(part.body) == 32 * 24 * 2
    else:
        assert len(answer.content) == 32 * 24 * 2


def test_a_pdf_is_opened_by_navigating_to_its_rendered_resource(service):
    document = material.build().document
    assert service.store_instances([document.data]).status_code == 200
    answer = service.get(f"{document.path}/rendered", NAVIGATION)
    assert answer.status_code == 200
    assert media_type(answer) == "application/pdf"
    assert answer.content.startswith(b"%PDF")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_thumbnails_of_the_series_list(service, study):
    ref = study[0].ref
    for path in (
        f"/studies/{ref.study_uid}/series/{ref.series_uid}/thumbnail",
        f"/studies/{ref.study_uid}/series/{ref.series_uid}/instances/{ref.sop_uid}/thumbnail",
    ):
        answer = service.get(path, "image/jpeg")
        assert answer.status_code == 200, path
        assert answer.content.startswith(b"\xff\xd8")


def test_what_needs_a_token_says_so_with_401(service):
    answer = service.request("GET", f"/studies?{LIST}", accept=JSON, anonymous=True)
    assert answer.status_code == 401
