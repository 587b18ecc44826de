"""The samples are what they say: legal, deterministic, of the size that was asked for."""

import io
import tracemalloc
import warnings

import pydicom
import pytest

from tests import samples

REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


@pytest.mark.parametrize("path", samples.legal_files(), ids=lambda path: path.name)
def test_a_legal_file_names_its_instance(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path)
    assert all(dataset.get(keyword) for keyword in REQUIRED)
    assert dataset.file_meta.TransferSyntaxUID


def test_every_illegal_file_is_packaged():
    names = {path.name for path in samples.packaged_files()}
    assert set(samples.ILLEGAL) <= names


def test_distinct_files_share_no_sop_instance_uid():
    assert 80 < len(samples.distinct_files()) <= len(samples.legal_files())


def test_a_packaged_file_is_found_by_name():
    assert samples.packaged_file("CT_small.dcm").stat().st_size == 39206
    with pytest.raises(LookupError):
        samples.packaged_file("no such file")


@pytest.mark.parametrize("pixels", ["random", "smooth"])
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
def test_a_ct_series_reads_back(pixels, syntax):
    made = list(samples.ct_series(3, rows=64, columns=32, pixels=pixels, transfer_syntax=syntax))
    assert len({item.ref.sop_uid for item in made}) == 3
    assert len({item.ref.series_uid for item in made}) == 1
    for number, item in enumerate(made, 1):
        dataset = pydicom.dcmread(io.BytesIO(item.data))
        assert dataset.file_meta.TransferSyntaxUID == syntax
        assert dataset.SOPInstanceUID == item.ref.sop_uid
        assert dataset.InstanceNumber == number
        assert dataset.pixel_array.shape == (64, 32)
    assert len({item.data for item in made}) == 3


def test_a_series_is_a_function_of_its_seed():
    first, again, other = (next(samples.ct_series(1, rows=8, columns=8, seed=s)) for s in (1, 1, 2))
    assert first == again
    assert first.ref.study_uid != other.ref.study_uid


def test_a_written_multiframe_reads_back_and_keeps_memory_small(tmp_path):
    path = tmp_path / "big.dcm"
    tracemalloc.start()
    ref = samples.write_multiframe(path, 64 * 1024 * 1024)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    dataset = pydicom.dcmread(path, defer_size=1024)
    assert dataset.SOPInstanceUID == ref.sop_uid
    assert dataset.NumberOfFrames == 32
    assert len(dataset.PixelData) == 64 * 1024 * 1024
    assert peak < 8 * 1024 * 1024


def test_a_multiframe_beyond_32_bits_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        samples.multiframe(5 * 1024**3)


async def test_chunks_join_to_the_data():
    pieces = [piece async for piece in samples.chunks(bytes(range(256)) * 10, 1000)]
    assert [len(piece) for piece in pieces] == [1000, 1000, 560]
    assert b"".join(pieces) == bytes(range(256)) * 10
