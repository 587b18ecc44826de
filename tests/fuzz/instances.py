"""Part 10 files from anywhere: what is understood of them, and all that is made of it afterwards.

A file becomes an instance, or is refused as none, by its bytes alone: not by how they are cut, nor
by what came before. Of what became one every view can be given.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st

from edge.dicom.codec import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, codec_of
from edge.dicom.demographics import described, overlaid
from edge.dicom.dicomdir import DirectoryBuilder
from edge.dicom.essence import Essence
from edge.dicom.familiar import Familiar
from edge.dicom.frames import Layout
from edge.dicom.recoder import Recoder
from edge.dicom.rejection import rejection_in
from edge.dicom.report_html import report_html
from edge.dicom.report_text import report_text
from edge.dicom.scanner import InstanceScanner, ScannedInstance
from edge.dicom.scheduled import steps_of
from edge.dicom.uids import encoding_of
from edge.errors import InstanceNotFound, InvalidInstance, NotAnImage, NotDicom
from edge.index import attributes as indexed
from edge.index import instances
from edge.pixels.description import ImageDescription
from edge.pixels.display import Display
from tests.fuzz import files
from tests.fuzz.metadata import shown
from tests.fuzz.targets import reader

Example = tuple[bytes, list[int]]


def _part10(example: Example) -> None:
    data, cuts = example
    whole = scanned([data])
    familiar = Familiar()
    for _ in range(2):  # the second time all of it is familiar
        assert scanned(files.pieces(data, cuts), familiar) == whole
    assert _essence([data]) == _essence(files.pieces(data, cuts))
    if isinstance(whole, ScannedInstance):
        views(data, whole)


def scanned(pieces: Iterable[bytes], familiar: Familiar | None = None) -> ScannedInstance | str:
    """What it is, or why it is none."""
    scanner = InstanceScanner(familiar=familiar)
    try:
        for piece in pieces:
            scanner.feed(piece)
        return scanner.finish()
    except InvalidInstance as error:
        return f"{type(error).__name__}: {error}"


def _essence(pieces: Iterable[bytes]) -> bytes | str:
    essence = Essence()
    try:
        for piece in pieces:
            essence.update(piece)
        return essence.digest()
    except NotDicom as error:
        return str(error)


def views(data: bytes, whole: ScannedInstance) -> None:
    """Everything that is made of it."""
    attributes: dict[str, Any] = whole.attributes
    shown(attributes)
    assert instances.pack(attributes)
    indexed.priority(attributes)
    indexed.person_names(attributes)
    rejection_in(whole.sop_class_uid, attributes)
    shown(overlaid(attributes, described(attributes)))
    report = report_html(attributes)
    assert "<script" not in report.lower()
    report_text(attributes)
    with suppress(InvalidInstance):
        steps_of(attributes)
    directory = DirectoryBuilder()
    directory.add(("IMAGES", "1"), attributes, whole.transfer_syntax)
    directory.to_bytes("1.2.3")
    content = data
    if whole.layout.deflated:
        content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[whole.dataset_offset :])
    _layout(whole.layout, len(content))
    _pictures(attributes, whole)
    start = 0 if whole.layout.deflated else whole.dataset_offset
    _recoded(content[start:], start, whole)


def _layout(layout: Layout, length: int) -> None:
    assert Layout.from_bytes(layout.to_bytes()) == layout
    for path, value in layout.bulk.items():
        assert 0 <= value.offset <= value.offset + value.length <= length, path
    pixels = layout.pixels
    if pixels is None:
        return
    for number in {-1, 0, 1, 2, 3, 4, pixels.number_of_frames, pixels.number_of_frames + 1}:
        try:
            extents = list(pixels.extents(number))
        except InstanceNotFound:
            continue
        assert 1 <= number <= pixels.number_of_frames
        assert all(0 <= one.offset <= one.offset + one.length <= length for one in extents)
        bits, size = pixels.bits(number), pixels.frame_length(number)
        if bits is None:
            assert sum(one.length for one in extents) == size
        elif size < 1_000_000:
            given = bits.feed(bytes(sum(one.length for one in extents)))
            assert len(given + bits.finish()) == size


def _pictures(attributes: dict[str, Any], whole: ScannedInstance) -> None:
    with suppress(NotAnImage):
        image = ImageDescription.of(attributes, whole.transfer_syntax)
        assert image.stored_frame_bytes > 0
        for syntax in ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90"):
            image.fits(syntax)
        image.decoded()
        for frame in (0, 1, 2):
            Display.of(attributes, frame)


def _recoded(data: bytes, start: int, whole: ScannedInstance) -> None:
    """In other encodings, which say the same UIDs."""
    source = codec_of(encoding_of(whole.transfer_syntax))
    for target in (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG):
        recoder = Recoder(source, target, start)
        with suppress(NotDicom):
            recoder.feed(data)
            recoder.finish()


_CUTS = st.lists(st.integers(0, 999), max_size=6)
INSTANCES = (
    reader(
        "part10",
        st.tuples(st.deferred(files.files), _CUTS),
        _part10,
        Example,
        at_a_time=1000,
    ),
)
