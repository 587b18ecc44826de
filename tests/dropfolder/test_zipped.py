"""ZIP archives: read as a stream, bounded before anything is unpacked."""

import io
import struct
import tracemalloc
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dropfolder.zipped import BadArchive, ZipArchive, ZipLimits

LIMITS = ZipLimits()


def zipped(contents, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def opened(data, limits=LIMITS):
    return ZipArchive(io.BytesIO(data), len(data), limits)


def whole(entry, size=1000):
    pieces = []
    while piece := entry.read(size):
        assert len(piece) <= size
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_gives_its_files_in_pieces(method):
    contents = {"a": b"one" * 5000, "folder/": b"", "folder/b": b"", "c": bytes(range(256))}
    archive = opened(zipped(contents, method))
    assert archive.names == ("a", "folder/b", "c")
    assert [whole(archive.open(index)) for index in range(3)] == [
        contents["a"],
        b"",
        contents["c"],
    ]
    archive.close()


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(10), bytes(1000)])
def test_what_is_no_archive_is_refused(data):
    with pytest.raises(BadArchive):
        opened(data)


def test_an_archive_that_is_cut_short_is_refused():
    data = zipped({"a": bytes(range(256)) * 100})
    with pytest.raises(BadArchive):
        opened(data[:-1])


def test_a_bomb_is_refused_before_it_is_unpacked():
    data = zipped({"a": bytes(2 * 1024 * 1024)})
    limits = ZipLimits(ratio=100, free_bytes=1024 * 1024)
    with pytest.raises(BadArchive, match="would become 2097152"):
        opened(data, limits)


def test_an_archive_of_empty_pictures_is_none():
    data = zipped({"a": bytes(2 * 1024 * 1024)})
    assert len(whole(opened(data).open(0), 65536)) == 2 * 1024 * 1024


def test_an_archive_with_more_bytes_than_any_may_have_is_refused():
    data = zipped({"a": bytes(1000), "b": bytes(1000)}, zipfile.ZIP_STORED)
    with pytest.raises(BadArchive, match="1999 are allowed"):
        opened(data, ZipLimits(total_bytes=1999))


def test_an_archive_with_too_many_entries_is_refused():
    data = zipped({str(number): b"" for number in range(11)})
    with pytest.raises(BadArchive, match="more than 10 entries"):
        opened(data, ZipLimits(entries=10))


def test_entries_that_share_their_bytes_count_each():
    data = bytearray(zipped({"a": bytes(100_000), "b": b""}))
    # Both entries of the directory now point to the first file, with its sizes.
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    data[second + 16 : second + 28] = data[first + 16 : first + 28]
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    with pytest.raises(BadArchive, match="would become 200000"):
        opened(bytes(data), ZipLimits(free_bytes=150_000, ratio=1))


def test_an_entry_that_unpacks_to_more_than_it_declared_is_cut_and_found():
    data = bytearray(zipped({"a": bytes(100_000)}))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 1000)
    entry = opened(bytes(data)).open(0)
    with pytest.raises(BadArchive):
        assert len(whole(entry)) <= 1000


def test_a_huge_directory_is_not_read_into_memory():
    size = 64 * 1024 * 1024
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65535, 65535, size, 0, 0)
    file = io.BytesIO(bytes(size) + end)
    tracemalloc.start()
    with pytest.raises(BadArchive, match="too large"):
        ZipArchive(file, size + len(end), LIMITS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 1024 * 1024


def test_an_entry_without_a_name_is_one_like_others():
    data = zipped({"a": b"x"}).replace(b"a", b"")
    name_length = (26, 28)  # of the local header and of the directory's
    data = bytearray(data)
    for signature, at in zip((b"PK\x03\x04", b"PK\x01\x02"), name_length, strict=True):
        place = data.index(signature) + at
        data[place : place + 2] = bytes(2)
    data[-6:-2] = struct.pack("<I", data.index(b"PK\x01\x02"))
    data[-10:-6] = struct.pack("<I", 46)
    archive = opened(bytes(data))
    assert archive.names == ("",)
    assert whole(archive.open(0)) == b"x"


def test_an_entry_before_the_beginning_is_refused():
    """And is no trouble of the disk, after which the archive would be tried again and again."""
    data = bytearray(zipped({"a": b"x"}))
    data[-6:-2] = struct.pack("<I", data.index(b"PK\x01\x02") + 1)
    with pytest.raises(BadArchive, match="before its beginning"):
        opened(bytes(data)).open(0)


def test_an_encrypted_entry_is_refused():
    data = bytearray(zipped({"a": b"x"}))
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    data[6] |= 1
    with pytest.raises(BadArchive, match="password"):
        opened(bytes(data)).open(0)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_whose_memory_a_stranger_chooses_is_refused(method):
    with pytest.raises(BadArchive, match="only deflate"):
        opened(zipped({"a": b"x" * 1000}, method)).open(0)


def test_a_damaged_entry_is_found():
    data = bytearray(zipped({"a": bytes(range(256)) * 100}, zipfile.ZIP_STORED))
    data[1000] ^= 1
    with pytest.raises(BadArchive, match="CRC"):
        whole(opened(bytes(data)).open(0))


def test_a_damaged_stream_is_found():
    data = bytearray(zipped({"a": bytes(range(256)) * 100}))
    for position in range(40, 120):
        data[position] = 0xFF
    with pytest.raises(BadArchive):
        whole(opened(bytes(data)).open(0))


GOOD = zipped({"a": b"one" * 100, "b/c": bytes(300)})


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=8))
def test_any_change_is_read_or_refused_and_nothing_else(changes):
    data = bytearray(GOOD)
    for position, value in changes:
        data[position] = value
    try:
        archive = opened(bytes(data))
        for index in range(len(archive.names)):
            whole(archive.open(index))
    except BadArchive:
        pass
