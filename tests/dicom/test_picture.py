"""What compressed pictures say of themselves, against the data sets that they came in."""

from __future__ import annotations

import contextlib
import warnings

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError

from edge.dicom.picture import picture_of
from edge.errors import InvalidInstance
from tests.samples import distinct_files

KNOWN = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91, 201, 203)}


def pictures():
    """Of every packaged file that has one: data set and first frame."""
    for path in distinct_files():
        if path.name == "JPEG2000-embedded-sequence-delimiter.dcm":
            continue  # made for walkers of sequences: the size in its header was written over
        with warnings.catch_warnings(), contextlib.suppress(InvalidDicomError, Exception):
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path)
            if dataset.file_meta.TransferSyntaxUID in KNOWN:
                count = int(dataset.get("NumberOfFrames") or 1)
                frame = next(generate_frames(dataset.PixelData, number_of_frames=count))
                yield path.name, dataset, frame


PICTURES = list(pictures())


@pytest.mark.parametrize(
    ("dataset", "frame"), [one[1:] for one in PICTURES], ids=[one[0] for one in PICTURES]
)
def test_a_picture_is_described_as_its_data_set_does(dataset, frame):
    picture = picture_of(frame)
    assert (picture.rows, picture.columns) == (dataset.Rows, dataset.Columns)
    assert picture.samples == dataset.SamplesPerPixel
    assert picture.attributes()["00280100"]["Value"] == [dataset.BitsAllocated]
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    # A lossy syntax may hold what was compressed without loss, and 8 bits fit the extended process.
    assert picture.transfer_syntax in {syntax, f"{syntax[:-1]}0"}


def test_there_are_pictures_of_many_kinds():
    assert len({str(one[1].file_meta.TransferSyntaxUID) for one in PICTURES}) >= 5


@given(st.binary(max_size=64), st.sampled_from([b"\xff\xd8", b"\xff\x4f\xff\x51", b""]))
def test_anything_else_is_refused(rest, begin):
    with contextlib.suppress(InvalidInstance):
        picture_of(begin + rest)


@given(st.data())
def test_a_header_that_is_cut_or_changed_is_read_or_refused(data):
    _, _, frame = data.draw(st.sampled_from(PICTURES))
    head = bytearray(frame[: data.draw(st.integers(0, 2000))])
    if head:
        head[data.draw(st.integers(0, len(head) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InvalidInstance):
        picture_of(bytes(head))
