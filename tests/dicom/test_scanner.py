"""One pass over a stream tells what the instance is; pydicom, asked afterwards, agrees."""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
import zlib
from itertools import pairwise
from typing import Any

import msgspec
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from edge.dicom.dictionary import VRS
from edge.dicom.instance import InstanceRef
from edge.dicom.scanner import InstanceScanner, ScanLimits, ScannedInstance
from edge.errors import InvalidInstance, NotDicom
from tests import samples
from tests.dicom.packaged import FILES, NOT_INSTANCES, assert_same, name_of
from tests.dicom.streams import (
    SERIES,
    SOP,
    SOP_CLASS,
    STUDY,
    UNDEFINED,
    element,
    implicit_instance,
    instance,
    part10,
    uid,
)

DEFLATED = "1.2.840.10008.1.2.1.99"
ENCODINGS = {
    "1.2.840.10008.1.2": (True, True),
    "1.2.840.10008.1.2.1": (False, True),
    "1.2.840.10008.1.2.2": (False, False),
    DEFLATED: (False, True),
}


def scan_in(pieces: list[bytes], **options: Any) -> ScannedInstance:
    scanner = InstanceScanner(**options)
    for piece in pieces:
        scanner.feed(piece)
    return scanner.finish()


def test_packaged_instances_are_understood(legal_file, scan):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(legal_file)
    found = scan(legal_file.read_bytes(), piece=1000)
    assert found.ref == InstanceRef(
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID
    )
    assert found.sop_class_uid == dataset.SOPClassUID
    assert found.transfer_syntax == dataset.file_meta.TransferSyntaxUID
    assert found.length == legal_file.stat().st_size


def test_packaged_files_that_are_no_instances_are_refused(refused_file, scan):
    path, reason = refused_file
    with pytest.raises(InvalidInstance, match=reason):
        scan(path.read_bytes(), piece=1000)


def test_the_table_of_refusals_is_that_of_the_samples():
    legal = [path for path in FILES if name_of(path) not in NOT_INSTANCES]
    assert legal == sorted(samples.legal_files())


def test_a_usual_slice_is_understood(scan):
    (one,) = samples.ct_series(1, rows=64, columns=64)
    found = scan(one.data, piece=977)
    assert (found.ref, found.sop_class_uid) == (one.ref, one.sop_class_uid)
    assert_same(found.attributes, pydicom.dcmread(io.BytesIO(one.data)), found.layout, one.data)


def test_the_study_is_known_as_soon_as_it_has_passed():
    stream = instance(end=element(0x7FE00010, b"OW", bytes(5000)))
    scanner = InstanceScanner()
    assert (scanner.study_uid, scanner.dataset_offset) == (None, None)
    scanner.feed(stream[:160])
    assert scanner.study_uid is None
    scanner.feed(stream[160 : stream.index(SERIES.encode())])
    assert scanner.study_uid == STUDY
    assert stream[scanner.dataset_offset :].startswith(b"\x08\x00\x16\x00UI")


def test_the_sop_class_of_the_file_meta_stands_in(scan):
    names = uid(0x00080018, SOP) + uid(0x0020000D, STUDY) + uid(0x0020000E, SERIES)
    assert scan(part10(names)).sop_class_uid == SOP_CLASS
    other = uid(0x00080016, "1.2.9") + names
    assert scan(part10(other)).sop_class_uid == "1.2.9"


@pytest.mark.parametrize("missing", [0x00080018, 0x0020000D, 0x0020000E])
@pytest.mark.parametrize(
    "bad", [None, "", "1.2\0.3", "1." + "2" * 64, "../../etc", "1.2\\1.3", "1.2 .3"]
)
def test_uids_that_are_missing_or_none_are_refused(scan, missing, bad):
    uids = {0x00080016: SOP_CLASS, 0x00080018: SOP, 0x0020000D: STUDY, 0x0020000E: SERIES}
    if bad is None:
        del uids[missing]
    else:
        uids[missing] = bad
    with pytest.raises(InvalidInstance) as caught:
        scan(part10(b"".join(uid(tag, text) for tag, text in uids.items())))
    assert not isinstance(caught.value, NotDicom)
    assert "etc" not in str(caught.value), "what a stranger sent stays out of messages"


@pytest.mark.parametrize("padding", [b"", b"\0", b" ", b"\0\0", b"  \0"])
def test_padding_of_uids_is_stripped(scan, padding):
    stream = instance().replace(
        uid(0x0020000D, STUDY), element(0x0020000D, b"UI", STUDY.encode() + padding)
    )
    assert scan(stream).ref.study_uid == STUDY


def test_two_studies_in_one_data_set_are_refused(scan):
    with pytest.raises(InvalidInstance, match="two Study"):
        scan(instance(end=uid(0x0020000D, "1.9")))


@pytest.mark.parametrize("vr", [b"US", b"PN", b"OB", b"UN", b"AT", b"SQ", b"IS", b"LT"])
def test_attributes_of_an_absurd_vr_do_no_harm(scan, vr):
    tags = [0x00080005, 0x00080016, 0x00280002, 0x00280004, 0x00280008, 0x00280010, 0x00280103]
    front = b"".join(element(tag, vr, bytes(8)) for tag in tags)
    pixels = element(0x7FE00010, b"OW", bytes(64))
    names = uid(0x00080018, SOP) + uid(0x0020000D, STUDY) + uid(0x0020000E, SERIES)
    try:
        found = scan(part10(front + names + pixels))
    except InvalidInstance:
        return
    assert found.layout.pixels.length == 64
    found.layout.to_bytes()


def test_absurd_dimensions_do_no_harm(scan):
    big = element(0x00280010, b"UV", b"\xff" * 8) + element(0x00280011, b"UV", b"\xff" * 8)
    frames = element(0x00280008, b"IS", b"9" * 18)
    found = scan(instance(end=frames + big + element(0x7FE00010, b"OW", bytes(64))))
    assert found.layout.pixels.number_of_frames == 10**18 - 1
    assert type(found.layout).from_bytes(found.layout.to_bytes()) == found.layout


def test_an_empty_stream_or_half_an_envelope_is_refused(scan):
    for stream in (b"", instance()[:50], instance()[:140], part10(b"")):
        with pytest.raises(NotDicom):
            scan(stream)


def test_rubbish_is_refused_before_it_ends():
    scanner = InstanceScanner()
    with pytest.raises(NotDicom):
        scanner.feed(b"\x89PNG" + bytes(200))


# The deflated transfer syntax (PS3.5 A.5).


def deflate(dataset: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflater.compress(dataset) + deflater.flush()


def deflated(end: bytes = b"") -> bytes:
    plain = instance(end=end, transfer_syntax=DEFLATED)
    start = plain.index(b"\x08\x00\x16\x00UI")
    return plain[:start] + deflate(plain[start:])


@pytest.mark.parametrize("piece", [1, 50, 1 << 20])
def test_a_deflated_data_set_is_inflated_in_passing(scan, piece):
    pixels = element(0x7FE00010, b"OW", bytes(range(256)) * 2000)
    found = scan(deflated(pixels), piece=piece)
    bulk = found.layout.bulk["7FE00010"]
    inflated = zlib.decompress(deflated(pixels)[found.dataset_offset :], -15)
    assert found.layout.deflated
    assert inflated[bulk.offset : bulk.offset + bulk.length] == bytes(range(256)) * 2000


@pytest.mark.parametrize("trailer", [b"\0", b"8 bytes!"])
def test_padding_or_a_check_sum_may_follow(scan, trailer):
    assert scan(deflated() + trailer).ref.sop_uid == SOP


@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_what_is_not_deflated_cut_off_or_followed_is_refused(scan, piece):
    good = deflated(element(0x7FE00010, b"OW", bytes(5000)))
    for bad in (good[:-3], good + bytes(17), instance(transfer_syntax=DEFLATED)):
        with pytest.raises(NotDicom):
            scan(bad, piece=piece)


def test_a_bomb_takes_no_memory_and_ends(scan):
    pixels = element(0x7FE00010, b"OW", b"", 1 << 30)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = [deflater.compress(uid(0x0020000D, STUDY) + pixels)]
    bomb += [deflater.compress(bytes(1 << 20)) for _ in range(40)]
    stream = part10(b"".join(bomb), DEFLATED)
    tracemalloc.start()
    try:
        with pytest.raises(NotDicom, match="beyond measure"):
            scan(stream, piece=4096, limits=ScanLimits(inflated=32 << 20))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


# Properties.

TEXT = st.text("abcXYZ 0123456789-.,éß^=", max_size=20).map(str.strip)
# pydicom fails on a name that is empty, and warns of a fourth component group.
NAME = st.lists(st.text("abXY ^é", max_size=9).map(str.strip), max_size=2).map(
    lambda groups: "=".join([*groups, "z"])
)
CODE = st.text("ABC_ 019", max_size=16).map(str.strip)
UIDS = st.lists(st.integers(0, 99999).map(str), min_size=2, max_size=6).map(".".join)


def numbers(low: int, high: int) -> st.SearchStrategy[Any]:
    return st.lists(st.integers(low, high), min_size=1, max_size=4)


VALUES = {
    "AE": CODE,
    "AS": st.just("042Y"),
    "AT": st.lists(st.integers(0x00080000, 0x7FFFFFFF), min_size=1, max_size=3),
    "CS": st.lists(CODE, min_size=1, max_size=3),
    "DA": st.just("20240229"),
    "DS": st.lists(st.integers(-99999, 99999).map(lambda n: str(n / 100)), min_size=1, max_size=4),
    "DT": st.just("20240229101112.5"),
    "FD": st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=3),
    "FL": st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=3
    ),
    "IS": st.lists(st.integers(-(2**31), 2**31 - 1).map(str), min_size=1, max_size=3),
    "LO": st.lists(TEXT, min_size=1, max_size=3),
    "LT": TEXT,
    "OB": st.binary(max_size=600).map(lambda data: data + bytes(len(data) % 2)),
    "OD": st.binary(max_size=100).map(lambda data: data * 8),
    "OF": st.binary(max_size=400).map(lambda data: data * 4),
    "OL": st.binary(max_size=100).map(lambda data: data * 4),
    "OV": st.binary(max_size=100).map(lambda data: data * 8),
    "OW": st.binary(max_size=1000).map(lambda data: data * 2),
    "PN": st.lists(NAME, min_size=1, max_size=2),
    "SH": TEXT,
    "SL": numbers(-(2**31), 2**31 - 1),
    "SS": numbers(-(2**15), 2**15 - 1),
    "ST": TEXT,
    "SV": numbers(-(2**63), 2**63 - 1),
    "TM": st.just("101112"),
    "UC": TEXT,
    "UI": st.lists(UIDS, min_size=1, max_size=2),
    "UL": numbers(0, 2**32 - 1),
    "UR": st.just("https://example.org/a"),
    "US": numbers(0, 2**16 - 1),
    "UT": TEXT,
    "UV": numbers(0, 2**64 - 1),
}
TAGS = {
    vr: next(tag for tag, known in VRS.items() if known == vr and tag > 0x00100000) for vr in VALUES
}
"""One public attribute of each VR; each has a private twin."""


@st.composite
def data_sets(draw: Any, depth: int = 2) -> Dataset:
    dataset = Dataset()
    block = dataset.private_block(0x0099, "EDGE TESTS", create=True)
    for vr in draw(st.sets(st.sampled_from(sorted(VALUES)), max_size=8)):
        value = draw(VALUES[vr])
        dataset.add_new(TAGS[vr], vr, value)
        block.add_new(sorted(VALUES).index(vr), vr, value)
    if depth:
        for tag in draw(st.sets(st.sampled_from([0x00081110, 0x00400275, 0x00540016]), max_size=2)):
            items = draw(st.lists(data_sets(depth - 1), max_size=3))
            dataset.add_new(tag, "SQ", Sequence(items))
            dataset[tag].is_undefined_length = draw(st.booleans())
            for item in items:
                item.is_undefined_length_sequence_item = draw(st.booleans())
    return dataset


@st.composite
def files(draw: Any) -> bytes:
    dataset = draw(data_sets())
    dataset.SpecificCharacterSet = draw(st.sampled_from(["ISO_IR 100", "ISO_IR 192"]))
    dataset.SOPClassUID, dataset.SOPInstanceUID = SOP_CLASS, SOP
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
    transfer_syntax = draw(st.sampled_from(sorted(ENCODINGS)))
    implicit_vr, little_endian = ENCODINGS[transfer_syntax]
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(buffer, dataset, implicit_vr=implicit_vr, little_endian=little_endian)
    stream = buffer.getvalue()
    if transfer_syntax == DEFLATED:
        stream = deflate(stream)
    return part10(stream, transfer_syntax)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files())
def test_any_data_set_has_the_model_that_pydicom_makes(stream):
    found = scan_in([stream])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(stream))
        offsets_in = stream
        if found.layout.deflated:
            offsets_in = zlib.decompress(stream[found.dataset_offset :], -15)
        assert_same(found.attributes, dataset, found.layout, offsets_in)
    msgspec.json.encode(found.attributes)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files(), st.lists(st.integers(0, 6000), max_size=20))
def test_any_pieces_give_the_same(stream, cuts):
    bounds = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(bounds)]
    assert scan_in(pieces) == scan_in([stream])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files(), st.data())
def test_a_cut_or_damaged_stream_is_refused_or_understood(stream, data):
    damaged = bytearray(stream[: data.draw(st.integers(0, len(stream)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = scan_in([bytes(damaged)])
    except InvalidInstance:
        return
    msgspec.json.encode(found.attributes)
    found.layout.to_bytes()


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "UN_sequence.dcm", "test-SR.dcm"])
def test_a_packaged_file_cut_anywhere_is_refused_or_understood(packaged, name):
    stream = packaged(name).read_bytes()
    for end in range(0, len(stream), 7):
        scanner = InstanceScanner()
        try:
            scanner.feed(stream[:end])
            scanner.finish()
        except InvalidInstance:
            continue


def test_implicit_and_explicit_streams_tell_the_same(scan):
    plain, implicit = scan(instance()), scan(implicit_instance())
    assert plain.ref == implicit.ref
    assert plain.attributes == implicit.attributes


def test_signed_lookup_descriptors_and_undefined_pixels(scan):
    descriptor = element(0x00281101, b"SS", struct.pack("<3h", -25536, 0, 16))
    pixels = element(0x7FE00010, b"OB", b"\xfe\xff\x00\xe0\0\0\0\0", UNDEFINED)
    stream = instance(end=descriptor + pixels + b"\xfe\xff\xdd\xe0\0\0\0\0")
    found = scan(stream)
    assert found.attributes["00281101"]["Value"] == [40000, 0, 16]
    assert found.layout.pixels.number_of_frames == 1
