"""The packaged files that have pixels, as the service sees them, beside pydicom's view."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import pydicom
from pydicom.pixels import get_decoder

from edge.dicom.frames import Layout
from edge.pixels.description import ImageDescription
from tests.dicom.packaged import DATA, FILES, name_of, scan_file

NOT_OURS = {
    "test_files/MR_truncated.dcm": "its pixels are cut off",
    "test_files/JPEG2000-embedded-sequence-delimiter.dcm": "its codestream has other bytes in it",
    "test_files/meta_missing_tsyntax.dcm": "nobody knows its transfer syntax",
    "test_files/nested_priv_SQ.dcm": "its pixels have no size",
}
"""Files that can't be decoded, and why."""
NOT_PYDICOM = {
    "test_files/JPEG-lossy.dcm": "pydicom has no decoder for JPEG of 12 bits without GPL",
    "test_files/JPGExtended.dcm": "the same",
    "test_files/J2K_pixelrep_mismatch.dcm": "its decoder fails with this version of numpy",
    "test_files/SC_rgb_small_odd_big_endian.dcm": "it leaves bytes of big endian words swapped",
    "test_files/badVR.dcm": "it wants a number of frames that is a number",
}
"""Files that pydicom can't decode here, and why."""


@dataclass(frozen=True)
class Packaged:
    """One packaged image."""

    name: str
    stream: bytes
    offsets_in: bytes
    attributes: dict[str, Any]
    layout: Layout
    description: ImageDescription

    def frame(self, number: int) -> bytes:
        """A frame as stored."""
        pixels = self.layout.pixels
        assert pixels is not None
        extents = pixels.extents(number)
        data = b"".join(self.offsets_in[e.offset : e.offset + e.length] for e in extents)
        bits = pixels.bits(number)
        return data if bits is None else bits.feed(data) + bits.finish()


@functools.cache
def packaged_images() -> tuple[Packaged, ...]:
    """All of them that can be decoded."""
    found = []
    for path in FILES:
        if name_of(path) in NOT_OURS:
            continue
        try:
            scan = scan_file(path)
        except Exception:  # noqa: BLE001 - other tests say which are no instances
            continue
        if scan.layout.pixels is None:
            continue
        meta = pydicom.dcmread(path, stop_before_pixels=True, force=True).file_meta
        found.append(
            Packaged(
                name=name_of(path),
                stream=scan.stream,
                offsets_in=scan.offsets_in,
                attributes=scan.attributes,
                layout=scan.layout,
                description=ImageDescription.of(scan.attributes, str(meta.TransferSyntaxUID)),
            )
        )
    return tuple(found)


def named(name: str) -> Packaged:
    """One of them."""
    return next(image for image in packaged_images() if image.name.endswith(f"/{name}"))


def pydicom_frames(image: Packaged) -> list[Any]:
    """What pydicom makes of its frames: arrays of stored values."""
    dataset = pydicom.dcmread(DATA / image.name)
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    return [array for array, _ in decoder.iter_array(dataset, raw=True)]
