"""A ZIP that is a DICOM medium."""

from __future__ import annotations

import io
import zipfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.fileset import FileSet

from edge.dicom.instance import InstanceRef
from edge.dicom.scanner import InstanceScanner
from edge.dicomweb.medium import MediumFile, medium
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

    yield MediumFile(scanned.attributes, scanned.transfer_syntax, pieces())


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


async def test_an_error_in_the_middle_is_not_hidden():
    @asynccontextmanager
    async def broken(_):
        raise CloudUnreachable("the line is down")
        yield

    with pytest.raises(CloudUnreachable):
        [piece async for piece in medium([Entry(InstanceRef("1", "2", "3"), "")], broken)]
