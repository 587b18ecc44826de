"""The search that the tests of secrecy rest on finds what is there."""

from __future__ import annotations

import base64
import os
import random
import subprocess
import sys

import pydicom
import pytest

from tests import samples
from tests.journeys.disk import disk, memory
from tests.journeys.needles import RUN, STEP, Needles, swapped

NOISE = random.Random(0).randbytes(100_000)
NAME = "Synthetic^Patient71"
SECRET = random.Random(1).randbytes(32)


@pytest.fixture
def needles():
    made = Needles()
    made.text("name", NAME, "患者の名前")
    made.bytes("key", SECRET)
    return made


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize(
    "form",
    [
        NAME.encode(),
        NAME.encode("utf-16-le"),
        NAME.encode("utf-16-be"),
        NAME.encode().hex().encode(),
        b"x=Synthetic%5EPatient71&y",
        "患者の名前".encode(),
        b'"\\u60a3\\u8005\\u306e\\u540d\\u524d"',
        SECRET,
        SECRET.hex().upper().encode(),
    ],
)
def test_each_form_is_found_wherever_it_stands(needles, form, shift):
    at = 31_000 + shift
    hay = NOISE[:at] + form + NOISE[at:]
    assert needles.found_in([NOISE, hay])
    assert needles.found_in([memoryview(hay)])
    assert needles.found_in([form])
    assert not needles.found_in([NOISE, b"", form[: len(form) // 2]])


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("coded", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_is_found_at_every_alignment(needles, coded, shift):
    for form in (NAME.encode(), "患者の名前".encode(), SECRET):
        hay = NOISE[:shift] + form + NOISE[:7]
        assert needles.found_in([b"Authorization: Basic " + coded(hay)])


def test_what_an_instance_says_is_found_piece_by_piece():
    needles = Needles()
    [part] = (one.data for one in samples.ct_series(1, rows=64, columns=64, seed=72))
    dataset = pydicom.dcmread(pydicom.filebase.DicomBytesIO(needles.instance(part)))
    pixels = dataset.PixelData[1234 : 1234 + STEP + RUN]
    even = dataset.PixelData[1234 // 2 * 2 :][: STEP + RUN]
    for piece in (
        dataset.StudyInstanceUID.encode(),
        dataset.AccessionNumber.encode(),
        b"Patient72",
        "Édith".encode("utf-16-le"),
        pixels,
        swapped(even),
        base64.b64encode(pixels),
    ):
        assert needles.found_in([NOISE[:99] + piece + NOISE[:99]]), piece
    assert not needles.found_in([NOISE, dataset.SOPClassUID.encode()])


def test_what_was_deleted_is_found_on_the_disk(tmp_path, needles):
    with disk(tmp_path / "disk") as one:
        if one.image is None:
            pytest.skip("no file system can be made and mounted here")
        path = one.folder / "a file"
        assert not needles.found_in(one.content())
        path.write_bytes(NOISE[:5000] + SECRET)
        path.unlink()
        assert needles.found_in(one.content()) == {"key"}
        (one.folder / NAME).touch()
        assert len(needles.found_in(one.content())) == 2


def test_of_a_folder_names_and_files_are_searched(tmp_path, needles, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with disk(tmp_path / "disk") as one:
        assert one.image is None
        (one.folder / "a file").write_bytes(SECRET)
        (one.folder / NAME).mkdir()
        found = needles.found_in(one.content())
    assert found == {"key", f"name {NAME!r}"}


_KEEPS = """
import sys
kept = sys.stdin.buffer.read(32)
print("kept", flush=True)
sys.stdin.buffer.read()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="nobody but root may look into a process")
def test_what_a_process_remembers_is_found(needles):
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", _KEEPS], **pipes) as process:
        assert needles.found_in(memory(process.pid)) == set()
        process.stdin.write(SECRET)
        process.stdin.flush()
        assert process.stdout.readline() == b"kept\n"
        assert needles.found_in(memory(process.pid)) == {"key"}
        process.stdin.close()
