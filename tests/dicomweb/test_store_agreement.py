"""Metadata that contradicts its pixels is refused; what it leaves out is no matter."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from PIL import Image

from edge.dicom.picture import Picture
from edge.dicomweb.store_agreement import check_native, check_picture, number_of, said_of
from edge.errors import InvalidInstance
from tests.dicomweb.test_store_metadata import (
    JSON,
    OCTETS,
    PIXELS,
    body,
    bulk,
    described,
    kept,
    related,
    store,
)

PICTURE = Picture("1.2.840.10008.1.2.4.50", 30, 40, 1, 8, False, "MONOCHROME2")
MODULE = dict(PICTURE.attributes())


def us(value):
    return {"vr": "US", "Value": [value]}


def jpeg(rows, columns, mode="L"):
    buffer = io.BytesIO()
    Image.new(mode, (columns, rows)).save(buffer, "JPEG")
    return buffer.getvalue()


def test_a_picture_agrees_with_its_own_module_and_with_none():
    check_picture(MODULE, PICTURE)
    check_picture({}, PICTURE)


@pytest.mark.parametrize("change", [{"rows": 31}, {"columns": 41}, {"samples": 3}])
def test_a_picture_of_another_size_or_kind_is_a_contradiction(change):
    with pytest.raises(InvalidInstance, match="of the metadata is not that of the picture"):
        check_picture(MODULE, replace(PICTURE, **change))


@pytest.mark.parametrize(
    ("change", "least"),
    [
        ({}, 1200),
        ({"00280008": {"vr": "IS", "Value": ["3"]}}, 3600),
        ({"00280008": {"vr": "IS", "Value": [""]}}, 1200),
        ({"00280008": {"vr": "IS"}}, 1200),
        ({"00280100": us(1), "00280010": us(3), "00280011": us(3)}, 2),
        ({"00280100": us(16)}, 2400),
        ({"00280002": us(3)}, 3600),
        ({"00280002": us(3), "00280004": {"vr": "CS", "Value": ["YBR_FULL_422"]}}, 1800),
        ({"00280010": {"vr": "US"}}, 0),
    ],
)
def test_native_pixels_may_be_more_than_the_metadata_says_but_not_fewer(change, least):
    attributes = MODULE | change
    check_native(attributes, least)
    check_native(attributes, least + 1000)
    if least:
        with pytest.raises(InvalidInstance, match="fewer than the metadata says"):
            check_native(attributes, least - 1)


def test_numbers_without_measure_are_refused_in_words_all_the_same():
    huge = {"vr": "IS", "Value": ["9" * 4000]}
    with pytest.raises(InvalidInstance):
        check_native(dict.fromkeys(MODULE, huge), 10)


@pytest.mark.parametrize("element", [None, "x", {"Value": 3}, {"Value": [1, 2]}, us("x"), us(1.5)])
def test_what_is_no_number_is_a_contradiction(element):
    with pytest.raises(InvalidInstance):
        number_of({"00280010": element}, "00280010")


def test_what_is_left_out_says_nothing():
    assert said_of({}, "00280010") is number_of({"00280010": {"vr": "US"}}, "00280010") is None
    assert number_of({"00280008": {"vr": "IS", "Value": ["7"]}}, "00280008") == 7


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("image/jpeg", jpeg(400, 400)),
        ("image/jpeg", jpeg(2, 3, "RGB")),
        ('image/jpeg; transfer-syntax="1.2.840.10008.1.2.4.50"', jpeg(400, 400)),
        (OCTETS, b"1234"),
    ],
)
async def test_an_instance_whose_pixels_are_not_those_of_its_metadata_is_refused(
    service, kind, data
):
    metadata = [described(1, **PIXELS, t7FE00010=bulk()), described(2)]
    message = body((JSON, "", json.dumps(metadata).encode()), (kind, "pixels", data))
    status, answer = await store(service, message, related(JSON))
    assert status == 202
    [failed] = answer["00081198"]["Value"]
    assert failed["00081197"]["Value"] == [0xC000]
    assert "metadata" in failed["00091001"]["Value"][0]
    assert list(service.admission.kept) == ["1.2.3.4.2"]


@pytest.mark.parametrize("syntax", ["", '; transfer-syntax="1.2.840.10008.1.2.4.50"'])
async def test_an_instance_whose_pixels_are_those_of_its_metadata_is_kept(service, syntax):
    metadata = described(**PIXELS, t7FE00010=bulk())
    parts = (
        (JSON, "", json.dumps([metadata]).encode()),
        (f"image/jpeg{syntax}", "pixels", jpeg(2, 3)),
    )
    assert (await store(service, body(*parts), related(JSON)))[0] == 200
    assert kept(service).pixel_array.shape == (2, 3)
