"""Pixels that lie: dimensions, palettes and code streams that would overflow a decoder.

Each is a data set that can be stored; asking for its pixels must be refused, or answered, but never
end the service or take the memory that it claims.
"""

from __future__ import annotations

import struct

import pytest
from pydicom.filewriter import correct_ambiguous_vr

from tests.conformance import material
from tests.conformance.material import SECONDARY_CAPTURE, Sample, as_sample, uid
from tests.conformance.service import related

JPEG, J2K, JPEG_LS, RLE = (
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.5",
)
EXPLICIT = "1.2.840.10008.1.2.1"
ITEM, END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"


@pytest.fixture(scope="module")
def made():
    return material.build()


def is_withstood(service, sample: Sample) -> None:
    """Everything that looks at pixels answers, and never with a 500."""
    answer = service.store_instances([sample.data])
    assert answer.status_code in (200, 202, 400, 409), answer.text
    if answer.status_code >= 400:
        return
    for path, accept in (
        ("", related("application/dicom", EXPLICIT)),
        ("", related("application/dicom", J2K)),
        ("/metadata", "application/dicom+json"),
        ("/frames/1", related("application/octet-stream", EXPLICIT)),
        ("/frames/1", related("application/octet-stream", "*")),
        ("/frames/2000000", related("application/octet-stream", "*")),
        ("/rendered", "image/jpeg"),
        ("/rendered", "image/gif"),
        ("/frames/1/rendered", "image/png"),
        ("/thumbnail", "image/jpeg"),
    ):
        answer = service.get(f"{sample.path}{path}", accept)
        assert answer.status_code < 500 or answer.status_code == 503, (path, answer.text)


def changed(made, **attributes: object) -> Sample:
    """A slice that says something else of its pixels."""
    dataset = made.fresh().dataset
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    correct_ambiguous_vr(dataset, is_little_endian=True)
    return as_sample(dataset)


def packed(made, syntax: str, stream: bytes, **attributes: object) -> Sample:
    """A slice whose pixels are this code stream."""
    dataset = changed(made, **attributes).dataset
    stream += b"\0" * (len(stream) % 2)
    items = (b"", stream)  # an offset table without entries, and one fragment (PS3.5 A.4)
    dataset.PixelData = b"".join(ITEM + struct.pack("<I", len(item)) + item for item in items) + END
    dataset["PixelData"].VR = "OB"
    return as_sample(dataset, syntax)


@pytest.mark.parametrize(
    "attributes",
    [
        {"Rows": 65535, "Columns": 65535},
        {"Rows": 65535, "Columns": 65535, "NumberOfFrames": "2147483647"},
        {"NumberOfFrames": "2147483647"},
        {"NumberOfFrames": "-1"},
        {"NumberOfFrames": "0"},
        {"Rows": 0},
        {"Columns": 0},
        {"Rows": None},
        {"BitsAllocated": 0},
        {"BitsAllocated": 65535},
        {"BitsAllocated": 64, "BitsStored": 64},
        {"BitsStored": 65535, "HighBit": 65534},
        {"HighBit": 65535},
        {"SamplesPerPixel": 0},
        {"SamplesPerPixel": 65535},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"},
        {"PixelRepresentation": 65535},
        {"PhotometricInterpretation": "PALETTE COLOR"},
        {"PhotometricInterpretation": "A" * 16},
        {"PixelData": b""},
        {"PixelData": b"\1"},
        {"WindowCenter": "1e300", "WindowWidth": "-5"},
        {"WindowCenter": "0", "WindowWidth": "0"},
        {"RescaleSlope": "0", "RescaleIntercept": "9e99"},
        {"PixelPaddingValue": 65535, "PixelPaddingRangeLimit": 0},
    ],
    ids=str,
)
def test_a_description_that_the_pixels_do_not_bear_out(attributes, service, made):
    is_withstood(service, changed(made, **attributes))


@pytest.mark.parametrize(
    ("descriptor", "length"),
    [([0, 0, 16], 2), ([0, 65535, 16], 4), ([65535, 0, 8], 10), ([2, 0, 0], 4), ([1, 0, 65535], 2)],
)
def test_a_palette_that_is_shorter_than_it_says(descriptor, length, service, made):
    sample = changed(
        made,
        PhotometricInterpretation="PALETTE COLOR",
        **{f"{name}PaletteColorLookupTableDescriptor": descriptor for name in RGB},
        **{f"{name}PaletteColorLookupTableData": bytes(length) for name in RGB},
    )
    is_withstood(service, sample)


RGB = ("Red", "Green", "Blue")


@pytest.mark.parametrize(
    "segments",
    [
        struct.pack("<3H", 0, 65535, 1),
        struct.pack("<3H", 1, 65535, 65535) * 1000,
        struct.pack("<4H", 2, 65535, 0, 0),
        struct.pack("<H", 2) + struct.pack("<3H", 65535, 0, 0) * 1000,
        struct.pack("<2H", 7, 1),
        b"\0",
        b"",
    ],
    ids=lambda segments: segments[:8].hex() or "none",
)
def test_a_segmented_palette_that_leads_astray(segments, service, made):
    sample = changed(
        made,
        PhotometricInterpretation="PALETTE COLOR",
        **{f"{name}PaletteColorLookupTableDescriptor": [0, 0, 16] for name in RGB},
        **{f"Segmented{name}PaletteColorLookupTableData": segments for name in RGB},
    )
    is_withstood(service, sample)


def jpeg_of(width: int, height: int, components: int = 1) -> bytes:
    """The head of a JPEG that claims to be so large, and nothing behind it."""
    described = b"".join(bytes([number + 1, 0x11, 0]) for number in range(components))
    frame = struct.pack(">BHHB", 8, height, width, components) + described
    scan = b"\xff\xda" + struct.pack(">HB", 6 + 2 * components, components)
    scan += b"".join(bytes([number + 1, 0]) for number in range(components)) + b"\0\x3f\0"
    return b"\xff\xd8\xff\xc0" + struct.pack(">H", 2 + len(frame)) + frame + scan + bytes(20)


def j2k_of(width: int, height: int, components: int = 1, tile: int = 0) -> bytes:
    """The head of a JPEG 2000 code stream that claims to be so large."""
    size = struct.pack(
        ">H8IH", 0, width, height, 0, 0, tile or width, tile or height, 0, 0, components
    )
    size += b"\x0f\x01\x01" * components
    code = b"\0\0\0\1\0\x05\x04\x04\0\1"
    quantisation = b"\x40" + b"\x40" * 16
    return (
        b"\xff\x4f\xff\x51"
        + struct.pack(">H", 2 + len(size))
        + size
        + b"\xff\x52"
        + struct.pack(">H", 2 + len(code))
        + code
        + b"\xff\x5c"
        + struct.pack(">H", 2 + len(quantisation))
        + quantisation
        + b"\xff\x90\0\x0a\0\0\0\0\0\0\0\1\xff\x93"
        + bytes(20)
        + b"\xff\xd9"
    )


def jls_of(width: int, height: int) -> bytes:
    """The head of a JPEG-LS code stream that claims to be so large."""
    frame = struct.pack(">BHHB", 16, height, width, 1) + b"\1\x11\0"
    return (
        b"\xff\xd8\xff\xf7"
        + struct.pack(">H", 2 + len(frame))
        + frame
        + b"\xff\xda\0\x08\1\1\0\0\0\0"
        + bytes(20)
    )


@pytest.mark.parametrize(
    ("syntax", "stream"),
    [
        (JPEG, jpeg_of(65500, 65500)),
        (JPEG, jpeg_of(65500, 65500, 4)),
        (JPEG, jpeg_of(0, 0)),
        (JPEG, b"\xff\xd8" + b"\xff\xe0\xff\xff" * 1000),
        (J2K, j2k_of(2**31 - 1, 2**31 - 1)),
        (J2K, j2k_of(60000, 60000, 16384)),
        (J2K, j2k_of(60000, 60000, 1, 1)),
        (J2K, b"\xff\x4f\xff\x51\xff\xff" + bytes(100)),
        (JPEG_LS, jls_of(65535, 65535)),
        (JPEG_LS, b"\xff\xd8\xff\xf7\0\0"),
        (RLE, struct.pack("<16I", 2, 64, 0xFFFF_FFFF, *[0] * 13) + bytes(10)),
        (RLE, struct.pack("<16I", 0xFFFF_FFFF, *[64] * 15) + b"\x81\0" * 10),
        (RLE, struct.pack("<16I", 2, 64, 64, *[0] * 13) + b"\x81\xff" * 100_000),
        (RLE, b"\0"),
        (JPEG, b""),
        (J2K, bytes(100)),
        (JPEG_LS, bytes(100)),
    ],
    ids=lambda value: value[:8].hex() if isinstance(value, bytes) else value,
)
def test_a_code_stream_that_claims_more_than_it_is(syntax, stream, service, made):
    is_withstood(service, packed(made, syntax, stream))
    is_withstood(service, packed(made, syntax, stream, Rows=65535, Columns=65535))


def test_fragments_and_offset_tables_that_lead_astray(service, made):
    dataset = changed(made).dataset
    for table in (struct.pack("<I", 2**32 - 1), bytes(20_000), struct.pack("<2I", 8, 4), b"\1\0"):
        dataset.SOPInstanceUID = uid()
        dataset.NumberOfFrames = "5000"
        dataset.PixelData = ITEM + struct.pack("<I", len(table)) + table
        dataset.PixelData += ITEM + struct.pack("<I", 4) + b"\xff\xd8\xff\xd9" + END
        dataset["PixelData"].VR = "OB"
        is_withstood(service, as_sample(dataset, JPEG))


def test_a_report_that_nests_or_refers_without_end(service, made):
    dataset = material.packaged("HOSTILE", "REPORT", "reportsi.dcm").dataset
    [*_, container] = dataset.ContentSequence
    for _ in range(200):
        container.ContentSequence = [*container.ContentSequence, *container.ContentSequence][:2]
    sample = as_sample(dataset)
    assert service.store_instances([sample.data]).status_code == 200
    for kind in ("text/html", "text/plain", "text/xml"):
        assert service.get(f"{sample.path}/rendered", kind).status_code < 500


def test_a_secondary_capture_of_a_million_tiny_frames(service, made):
    sample = changed(
        made,
        SOPClassUID=SECONDARY_CAPTURE,
        Rows=1,
        Columns=1,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        NumberOfFrames="1000000",
        PixelData=bytes(1_000_000),
    )
    is_withstood(service, sample)
    for accept in ("image/gif", related("image/png")):
        assert service.get(f"{sample.path}/rendered", accept).status_code < 500
    listed = ",".join(map(str, range(1, 3000)))
    answer = service.get(f"{sample.path}/frames/{listed}/rendered", related("image/png"))
    assert answer.status_code < 500
