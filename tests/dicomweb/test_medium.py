"""A ZIP that is a DICOM medium."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.fileset import FileSet

from edge.dicom.instance import InstanceRef
from edge.dicom.scanner import InstanceScanner
from edge.dicomweb.medium import MediumFile, attached, medium
from edge.errors import CloudUnreachable
from tests.dicom.packaged import DATA

NAMES = ["CT_small.dcm", "MR_small.dcm", "reportsi.dcm", "JPEG2000.dcm", "rtplan.dcm"]


@dataclass(frozen=True)
class Entry:
    ref: InstanceRef
    name: str


def read(name):
    return (DATA / "test_files" / name).read_bytes()


def scan(data):
    scanner = InstanceScanner()
    scanner.feed(data)
    return scanner.finish()


def entry(name):
    return Entry(scan(read(name)).ref, name)


@asynccontextmanager
async def open_file(entry):
    data = read(entry.name)
    scanned = scan(data)

    async def pieces():
        for at in range(0, len(data), 1000):
            yield data[at : at + 1000]

    size = None if entry.name == NAMES[-1] else len(data)
    yield MediumFile(scanned.attributes, scanned.transfer_syntax, size, pieces())


async def written(entries):
    return b"".join([piece async for piece in medium(entries, open_file)])


@pytest.mark.blocks("the test's opener reads its file in the loop")
async def test_it_unpacks_to_a_medium_with_every_file_as_it_was(tmp_path):
    with zipfile.ZipFile(io.BytesIO(await written([entry(name) for name in NAMES]))) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path)
    paths = [instance.path for instance in FileSet(tmp_path / "DICOMDIR")]
    assert set(map(Path.read_bytes, map(Path, paths))) == set(map(read, NAMES))
    assert b"DICOMDIR" in (tmp_path / "README.TXT").read_bytes()


@pytest.mark.blocks("the test's opener reads its file in the loop")
async def test_names_say_nothing_of_the_patient_and_suit_a_cd():
    with zipfile.ZipFile(io.BytesIO(await written([entry(name) for name in NAMES]))) as archive:
        names = archive.namelist()
    assert set(names) - {"DICOMDIR", "README.TXT"} == {
        f"DICOM/SE{number:06}/IM{number:06}" for number in range(len(NAMES))
    }


def read_as_it_comes(data):
    """Without the directory at the end; lengths of 4 bytes, as readers expect them of small files.

    As java.util.zip.ZipInputStream does it, of which no files that are "stored" can be had so.
    """
    found = {}
    while data.startswith(b"PK\3\4"):
        _, flags, method = struct.unpack_from("<HHH", data, 4)
        name_length, extra_length = struct.unpack_from("<HH", data, 26)
        assert flags & 8
        assert method == zipfile.ZIP_DEFLATED
        name = data[30 : 30 + name_length].decode()
        inflating = zlib.decompressobj(-15)
        content = found[name] = inflating.decompress(data[30 + name_length + extra_length :])
        assert inflating.eof
        signature, crc, packed, length = struct.unpack_from("<4sLLL", inflating.unused_data)
        assert (signature, crc, length) == (b"PK\7\10", zlib.crc32(content), len(content))
        assert packed - length <= 32
        data = inflating.unused_data[16:]
    assert data.startswith(b"PK\1\2")
    return found


@pytest.mark.blocks("the test's opener reads its file in the loop")
async def test_it_can_be_read_as_it_comes():
    found = read_as_it_comes(await written([entry(name) for name in NAMES[:-1]]))
    assert set(map(read, NAMES[:-1])) < set(found.values())
    assert {"DICOMDIR", "README.TXT"} < found.keys()


def test_each_has_a_name_of_its_own_that_says_nothing():
    names = [attached(*uids)["Content-Disposition"] for uids in (("1.2",), ("1.3",), ("1.2", "1"))]
    assert len(set(names)) == 3
    for name in names:
        assert re.fullmatch(r'attachment; filename="images-[0-9a-f]{8}\.zip"', name)


async def test_an_error_in_the_middle_is_not_hidden():
    @asynccontextmanager
    async def broken(_):
        raise CloudUnreachable("the line is down")
        yield

    with pytest.raises(CloudUnreachable):
        [piece async for piece in medium([Entry(InstanceRef("1", "2", "3"), "")], broken)]
