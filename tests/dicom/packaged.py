"""The packaged pydicom files as the scanner's tests see them, and what their model should be."""

from __future__ import annotations

import base64
import contextlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom

from edge.dicom.frames import Layout
from edge.dicom.scanner import InstanceScanner
from edge.errors import InvalidInstance

DATA = Path(pydicom.__file__).parent / "data"
FILES = sorted(
    path
    for folder in ("test_files", "charset_files")
    for path in (DATA / folder).rglob("*")
    if path.is_file()
)

WORDS = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
STRINGS = set("AE AS CS DA DT LO LT PN SH ST TM UC UI UR UT".split())
DELIMITER = b"\xfe\xff\xdd\xe0" + bytes(4)

NO_PREFIX = "no DICM prefix"
NO_STUDY = "no Study Instance UID"
NOT_INSTANCES = {
    # Not DICOM at all.
    "charset_files/FileInfo.txt": NO_PREFIX,
    "test_files/README.txt": NO_PREFIX,
    "test_files/crayons.icc": NO_PREFIX,
    "test_files/dicomdirtests/README.txt": NO_PREFIX,
    "test_files/dicomdirtests/TINY_ALPHA/README": NO_PREFIX,
    "test_files/rtplan.dump": NO_PREFIX,
    "test_files/rtstruct.dump": NO_PREFIX,
    "test_files/test1.json": NO_PREFIX,
    "test_files/test_PN.json": NO_PREFIX,
    "test_files/zipMR.gz": NO_PREFIX,
    # Bare data sets or half an envelope: PS3.10 7.1 asks for preamble, prefix and file meta.
    "test_files/ExplVR_BigEndNoMeta.dcm": NO_PREFIX,
    "test_files/ExplVR_LitEndNoMeta.dcm": NO_PREFIX,
    "test_files/no_meta.dcm": NO_PREFIX,
    "test_files/rtstruct.dcm": NO_PREFIX,
    "test_files/meta_missing_tsyntax.dcm": "no Transfer Syntax UID",
    # Cut off: Pixel Data, a sequence, the last item of a directory.
    "test_files/MR_truncated.dcm": "in the middle of an element",
    "test_files/rtplan_truncated.dcm": "in the middle of an element",
    "test_files/dicomdirtests/DICOMDIR-nooffset": "items that fit into it",
    # Media directories are no composite instances (PS3.3 F): they belong to no study.
    "test_files/dicomdirtests/DICOMDIR": NO_STUDY,
    "test_files/dicomdirtests/DICOMDIR-bigEnd": NO_STUDY,
    "test_files/dicomdirtests/DICOMDIR-empty.dcm": NO_STUDY,
    "test_files/dicomdirtests/DICOMDIR-implicit": NO_STUDY,
    "test_files/dicomdirtests/DICOMDIR-nopatient": NO_STUDY,
    "test_files/dicomdirtests/DICOMDIR-reordered": NO_STUDY,
    "test_files/dicomdirtests/TINY_ALPHA/DICOMDIR": NO_STUDY,
    # Data sets made for one decoder's test, without the attributes that PS3.3 C.7 asks for.
    "charset_files/chrSQEncoding.dcm": NO_STUDY,
    "charset_files/chrSQEncoding1.dcm": NO_STUDY,
    "test_files/JPEGLSNearLossless_08.dcm": NO_STUDY,
    "test_files/JPEGLSNearLossless_16.dcm": NO_STUDY,
    "test_files/SC_rgb_jls_lossy_line.dcm": NO_STUDY,
    "test_files/SC_rgb_jls_lossy_sample.dcm": NO_STUDY,
    "test_files/UN_sequence.dcm": NO_STUDY,
    "test_files/empty_charset_LEI.dcm": NO_STUDY,
    "test_files/nested_priv_SQ.dcm": NO_STUDY,
    "test_files/no_meta_group_length.dcm": NO_STUDY,
    "test_files/priv_SQ.dcm": NO_STUDY,
}
"""The packaged files that are no instances, with the words of the refusal."""


def name_of(path: Path) -> str:
    """As the table names it."""
    return path.relative_to(DATA).as_posix()


@dataclass(frozen=True)
class Scan:
    """A packaged file, as far as the scanner got (UIDs may be missing), beside pydicom's view."""

    path: Path
    stream: bytes
    offsets_in: bytes
    """What the layout's offsets count in."""
    attributes: dict[str, Any]
    layout: Layout


def scan_file(path: Path) -> Scan:
    """Scan a packaged file, also one that lacks UIDs."""
    stream = path.read_bytes()
    scanner = InstanceScanner()
    scanner.feed(stream)
    with contextlib.suppress(InvalidInstance):
        scanner.finish()
    walker = scanner._walker
    assert walker is not None
    assert scanner.dataset_offset is not None
    layout = scanner._layout(walker)
    inflated = stream
    if layout.deflated:
        inflated = zlib.decompressobj(-15).decompress(stream[scanner.dataset_offset :])
    return Scan(path, stream, inflated, walker.model.root, layout)


def as_standard(element: dict[str, Any], *, big_endian: bool) -> dict[str, Any]:
    """What pydicom says of an element, put right where the Standard decides otherwise."""
    vr, element = element["vr"], dict(element)
    if vr == "SQ" and not element.get("Value"):
        element.pop("Value", None)  # F.2.5: an empty attribute has no Value
    if vr in STRINGS and vr != "PN":
        # F.2.5: an empty value among others is null. PS3.5 6.2: padding is no part of a value, not
        # of the first one either.
        values = [text.rstrip(" ") or None for text in element.get("Value", ())]
        if values:
            element["Value"] = values
    if vr == "PN" and "Value" in element:
        # F.2.2: only component groups that are not empty.
        names = [{key: part for key, part in name.items() if part} for name in element["Value"]]
        element["Value"] = [name or None for name in names]
    if big_endian and vr in WORDS and "InlineBinary" in element:
        # F.2.7 with PS3.5: words go out in little endian order.
        data, size = base64.b64decode(element["InlineBinary"]), WORDS[vr]
        data = b"".join(data[i : i + size][::-1] for i in range(0, len(data), size))
        element["InlineBinary"] = base64.b64encode(data).decode()
    return element


def assert_same(
    attributes: dict[str, Any], dataset: pydicom.Dataset, layout: Layout, stream: bytes
) -> None:
    """The scanner's model is pydicom's, and bulk values lie where the layout says."""
    big_endian = dataset.original_encoding == (False, False)
    theirs = dataset.to_json_dict(bulk_data_threshold=1 << 40)
    _assert_same(attributes, theirs, layout, stream, big_endian=big_endian)


def _assert_same(
    mine: dict[str, Any],
    theirs: dict[str, Any],
    layout: Layout,
    stream: bytes,
    *,
    big_endian: bool,
) -> None:
    lengths = {key for key in theirs if key.endswith("0000")}  # F.2.2: no group lengths
    assert list(mine) == sorted(theirs.keys() - lengths)
    for key, ours in mine.items():
        expected = as_standard(theirs[key], big_endian=big_endian)
        if ours["vr"] == "SQ" and "Value" in ours:
            for item, other in zip(ours["Value"], theirs[key]["Value"], strict=True):
                _assert_same(item, other, layout, stream, big_endian=big_endian)
        elif "BulkDataURI" in ours:
            assert ours["vr"] == expected["vr"]
            bulk = layout.bulk[ours["BulkDataURI"]]
            found = stream[bulk.offset : bulk.offset + bulk.length]
            wanted = base64.b64decode(theirs[key]["InlineBinary"])
            assert found == wanted.removesuffix(DELIMITER)
        else:
            assert ours == expected, key
