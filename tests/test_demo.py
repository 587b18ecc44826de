"""The demonstration shows what it says, and its phantom is a legal instance."""

from __future__ import annotations

import io

import pydicom

from edge.demo import demo, phantom
from edge.dicom.scanner import InstanceScanner


def test_the_phantom_is_a_legal_series():
    study = phantom("NOBODY^AT^ALL", "0", 5)
    uids = set()
    for instance in study:
        file = io.BytesIO()
        instance.save_as(file, enforce_file_format=True)
        scanner = InstanceScanner()
        scanner.feed(file.getvalue())
        scanned = scanner.finish()
        uids.add(scanned.ref.sop_uid)
        assert scanned.layout.pixels.number_of_frames == 1
        pixels = pydicom.dcmread(io.BytesIO(file.getvalue())).pixel_array
        assert {int(pixels.min()), int(pixels.max())} == {24, 1064}
    assert len(uids) == 5


async def test_the_line_is_cut_and_restored_and_both_sides_are_equal(tmp_path, capsys):
    assert await demo(offline=True, folder=tmp_path) == 0
    told = capsys.readouterr().out
    assert "1 study exists only here; the line is down" in told
    assert "40 instances on the edge, 40 in the cloud: the same bytes on both sides." in told
