"""Instances that come as metadata and bulk data become the instances that they describe."""

from __future__ import annotations

import asyncio
import base64
import io
import json

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.encaps import generate_frames

from edge.dicom.xml_model import to_xml
from edge.dicomweb import store_metadata
from edge.errors import StorageFull
from tests.dicomweb.test_store import BOUNDARY

JSON, XML = "application/dicom+json", "application/dicom+xml"
OCTETS = "application/octet-stream"


def related(kind):
    return f'multipart/related; type="{kind}"; boundary={BOUNDARY}'


def body(*parts):
    """Of (Content-Type, Content-Location or none, bytes)."""
    lines = []
    for kind, location, data in parts:
        head = f"Content-Type: {kind}\r\n" if kind else ""
        head += f"Content-Location: {location}\r\n" if location else ""
        lines.append(f"--{BOUNDARY}\r\n{head}\r\n".encode() + data + b"\r\n")
    return b"".join(lines) + f"--{BOUNDARY}--\r\n".encode()


async def store(service, data, content_type, path="/studies"):
    headers = {"Content-Type": content_type}
    async with service.http.post(service.base + path, data=data, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


def described(number=1, **more):
    """Metadata of a small instance without pixels, as DICOM JSON."""
    return {
        "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
        "00080018": {"vr": "UI", "Value": [f"1.2.3.4.{number}"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Synthetic^Anna"}]},
        "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
        "0020000E": {"vr": "UI", "Value": ["1.2.3.4"]},
    } | {tag.removeprefix("t"): element for tag, element in more.items()}


PIXELS = {
    "t00280002": {"vr": "US", "Value": [1]},
    "t00280004": {"vr": "CS", "Value": ["MONOCHROME2"]},
    "t00280010": {"vr": "US", "Value": [2]},
    "t00280011": {"vr": "US", "Value": [3]},
    "t00280100": {"vr": "US", "Value": [8]},
    "t00280101": {"vr": "US", "Value": [8]},
    "t00280102": {"vr": "US", "Value": [7]},
    "t00280103": {"vr": "US", "Value": [0]},
}


def bulk(uri="pixels", vr="OB"):
    return {"vr": vr, "BulkDataURI": uri}


def kept(service, number=1):
    return pydicom.dcmread(io.BytesIO(service.admission.kept[f"1.2.3.4.{number}"]))


@pytest.mark.parametrize("form", ["json", "xml"])
async def test_metadata_alone_is_an_instance(service, form):
    metadata = described(t00091001={"vr": "OB", "InlineBinary": base64.b64encode(b"ab").decode()})
    data = json.dumps([metadata]).encode() if form == "json" else to_xml(metadata)
    status, _ = await store(service, data, JSON if form == "json" else XML)
    assert status == 200
    dataset = kept(service)
    assert dataset.PatientName == "Synthetic^Anna"
    assert dataset[0x00091001].value == b"ab"
    assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("pixels", "pixels"),
        ("./pixels", "pixels"),
        ("http://a.example/bulk/1", "http://a.example/bulk/1"),
        ("{base}/bulk/1", "/dicom-web/bulk/1"),
        ("/dicom-web/bulk/1", "{base}/bulk/1"),
    ],
)
async def test_a_value_is_found_by_its_location(service, uri, location):
    uri, location = (text.format(base=service.base) for text in (uri, location))
    metadata = described(**PIXELS, t7FE00010=bulk(uri))
    data = body((JSON, "", json.dumps([metadata]).encode()), (OCTETS, location, b"123456"))
    assert (await store(service, data, related(JSON)))[0] == 200
    assert kept(service).PixelData == b"123456"


async def test_a_value_of_odd_length_is_padded_and_one_in_a_sequence_is_found(service):
    item = {"00091002": {"vr": "OB", "BulkDataURI": "deep"}}
    metadata = described(
        t00091001=bulk("odd"), t00081140={"vr": "SQ", "Value": [item]}, t00420011=bulk("odd")
    )
    data = body((XML, "", to_xml(metadata)), (OCTETS, "odd", b"123"), ("", "deep", b"\r\n--deep-"))
    assert (await store(service, data, related(XML)))[0] == 200
    dataset = kept(service)
    assert dataset[0x00091001].value == dataset.EncapsulatedDocument == b"123\0"
    assert dataset[0x00081140].value[0][0x00091002].value == b"\r\n--deep-\0"


async def test_frames_in_parts_of_one_location_are_one_value(service):
    metadata = described(**PIXELS, t00280008={"vr": "IS", "Value": [2]}, t7FE00010=bulk())
    data = body(
        (JSON, "", json.dumps([metadata]).encode()),
        (OCTETS, "pixels", b"123456"),
        (OCTETS, "pixels", b"abcdef"),
    )
    assert (await store(service, data, related(JSON)))[0] == 200
    assert kept(service).PixelData == b"123456abcdef"


@pytest.mark.parametrize(
    ("kind", "said", "syntax"),
    [
        ("image/jls", "", "1.2.840.10008.1.2.4.81"),
        ("image/dicom-rle", "", "1.2.840.10008.1.2.5"),
        ('image/jp2; transfer-syntax="1.2.840.10008.1.2.4.91"', "", "1.2.840.10008.1.2.4.91"),
        ("video/mp4", "", "1.2.840.10008.1.2.4.102"),
        ("image/jpeg", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.70"),
    ],
)
async def test_compressed_frames_are_encapsulated_as_their_part_or_the_metadata_says(
    service, kind, said, syntax
):
    named = said or syntax
    metadata = described(
        **PIXELS,
        t00083002={"vr": "UI", "Value": [named]},
        t00280008={"vr": "IS", "Value": [2]},
        t7FE00010=bulk(vr="OW"),
    )
    frames = [b"\xff\xd8odd", b"\xff\xd8even"]
    parts = [(kind, "pixels", frame) for frame in frames]
    data = body((JSON, "", json.dumps([metadata]).encode()), *parts)
    assert (await store(service, data, related(JSON)))[0] == 200
    dataset = kept(service)
    assert dataset.file_meta.TransferSyntaxUID == syntax
    found = list(generate_frames(dataset.PixelData, number_of_frames=2))
    assert [frame.rstrip(b"\0") for frame in found] == frames


@pytest.mark.parametrize(
    "name", ["SC_rgb_jpeg_dcmtk.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"]
)
async def test_a_picture_describes_itself(service, packaged, name):
    with pydicom.config.disable_value_validation():
        original = pydicom.dcmread(packaged(name))
    frame = next(generate_frames(original.PixelData, number_of_frames=1))
    kind = "image/jp2" if "jp2" in name else "image/jls" if "_ls_" in name else "image/jpeg"
    metadata = described(t7FE00010=bulk())
    data = body((JSON, "", json.dumps([metadata]).encode()), (kind, "pixels", frame))
    assert (await store(service, data, related(JSON)))[0] == 200
    dataset = kept(service)
    assert dataset.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
    for keyword in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated"):
        assert dataset[keyword].value == original[keyword].value, keyword


async def test_each_instance_is_accounted_for(service):
    whole, hollow, nameless = described(1), described(2, t00091001=bulk("gone")), described(3)
    strange = described(4, t00280010={"vr": "US", "Value": ["many"]})
    del nameless["00080018"]
    text = json.dumps([whole, hollow, nameless, strange]).encode()
    status, answer = await store(service, text, JSON)
    assert status == 202
    assert list(service.admission.kept) == ["1.2.3.4.1"]
    failed = answer["00081198"]["Value"]
    assert [one["00081155"]["Value"] for one in failed] == [["1.2.3.4.2"], ["1.2.3.4.4"]]
    assert {one["00081197"]["Value"][0] for one in failed} == {0xC000}
    assert "bulk data" in failed[0]["00091001"]["Value"][0]
    assert len(answer["0008119A"]["Value"]) == 1


async def test_metadata_of_another_study_is_refused(service):
    data = json.dumps([described()]).encode()
    status, answer = await store(service, data, JSON, path="/studies/1.2.4")
    assert status == 409
    assert answer["00081198"]["Value"][0]["00081197"]["Value"] == [0xA900]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", JSON),
        (b"[1]", JSON),
        (b'[{"00080018":', JSON),
        (b"[" * 100_000, JSON),
        (b"\xff", JSON),
        (b"<html>", XML),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><NativeDicomModel>&b;</NativeDicomModel>', XML),
    ],
)
async def test_what_is_no_metadata_is_a_400(service, data, kind):
    assert (await store(service, data, kind))[0] == 400
    assert (await store(service, body((kind, "", data)), related(kind)))[0] == 400
    assert service.admission.kept == {}


async def test_sequences_nested_without_end_are_refused(service):
    nested = {"vr": "SQ", "Value": []}
    for _ in range(200):
        nested = {"vr": "SQ", "Value": [{"00081140": nested}]}
    status, _ = await store(service, json.dumps([described(t00081140=nested)]).encode(), JSON)
    assert status == 400


async def test_metadata_is_bounded_before_it_is_understood(service, monkeypatch):
    monkeypatch.setattr(store_metadata, "MAX_METADATA", 1000)
    monkeypatch.setattr("edge.dicomweb.store.MAX_METADATA", 1000)
    large = json.dumps([described()]).encode() + b" " * 1000

    async def unannounced():
        yield large

    small = body(*[(JSON, "", b"[]" + b" " * 300)] * 4)
    for data, kind in ((large, JSON), (unannounced(), JSON), (small, related(JSON))):
        status, _ = await store(service, data, kind)
        assert status == 413
    assert service.admission.kept == {}


async def test_bulk_data_that_finds_no_room_is_a_507(service):
    service.admission.room = 10
    metadata = described(t00091001=bulk())
    parts = (JSON, "", json.dumps([metadata]).encode()), (OCTETS, "pixels", bytes(100))
    status, answer = await store(service, body(*parts), related(JSON))
    assert status == 507
    assert answer["00081198"]["Value"][0]["00081197"]["Value"] == [0xA700]
    assert service.admission.kept == {}


async def test_bulk_data_that_nothing_refers_to_is_not_kept(service):
    parts = (JSON, "", json.dumps([described()]).encode()), (OCTETS, "stray", bytes(100))
    assert (await store(service, body(*parts), related(JSON)))[0] == 200
    assert service.admission.spools[-1].length == 0


async def test_a_body_that_breaks_off_stores_nothing(service):
    metadata = described(**PIXELS, t7FE00010=bulk())
    data = body((JSON, "", json.dumps([metadata]).encode()), (OCTETS, "pixels", b"123456"))
    status, _ = await store(service, data[:-40], related(JSON))
    assert status == 400
    assert service.admission.kept == {}


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "image/dicom-rle", "image/jp2"])
@pytest.mark.parametrize("module", [{}, PIXELS])
async def test_a_picture_without_bytes_is_refused_alone(service, kind, module):
    metadata = [described(1, **module, t7FE00010=bulk()), described(2)]
    data = body((JSON, "", json.dumps(metadata).encode()), (kind, "pixels", b""))
    status, answer = await store(service, data, related(JSON))
    assert status == 202
    assert answer["00081198"]["Value"][0]["00081197"]["Value"] == [0xC000]
    assert list(service.admission.kept) == ["1.2.3.4.2"]


async def test_an_attribute_that_stands_twice_is_refused(service):
    metadata = described(t0008103e={"vr": "LO", "Value": ["a"]})
    metadata["0008103E"] = {"vr": "LO", "Value": ["b"]}
    assert (await store(service, json.dumps([metadata]).encode(), JSON))[0] == 400


async def test_metadata_of_very_many_items_is_written_in_a_thread(service):
    items = {"vr": "SQ", "Value": [{}] * 300_000}
    data = json.dumps([described(t00081140=items)]).encode()
    turns = length = 0

    async def others():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def drain(chunks, source, *, study_uid=None):
        nonlocal length, turns
        turns = 0
        async for chunk in chunks:
            length += len(chunk)
        raise StorageFull("enough")

    service.admission.store_instance = drain
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(others())
        await store(service, data, JSON)
        waiting.cancel()
    assert length > 16 * 300_000
    assert turns > length / (1024 * 1024)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["vr", "Value", "BulkDataURI", "InlineBinary", "00081140", "Alphabetic"]
            ),
            inner | st.sampled_from(["SQ", "OB", "US", "PN", "AT", "UI"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(value=VALUES, tag=st.sampled_from(["00081140", "00091001", "7FE00010", "0020000D", "x"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_whatever_the_metadata_holds_it_is_stored_or_refused(service, value, tag):
    for document in ([described() | {tag: value}], [value], value):
        status, _ = await store(service, json.dumps(document).encode(), JSON)
        assert status in (200, 202, 400, 409)
