"""What PNG and GIF say of themselves, as Pillow wrote them; what is refused, and why."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dicom.raster import raster_of
from edge.errors import InvalidInstance
from tests.rasters import chunk, gif, named, noise, png, png_of

PNG, GIF = "image/png", "image/gif"
SEVERAL = gif(noise("P"), noise("P", seed=2), noise("P", seed=3))


@pytest.mark.parametrize(
    ("mode", "samples", "bits", "photometric"),
    [
        ("1", 1, 8, "MONOCHROME2"),
        ("L", 1, 8, "MONOCHROME2"),
        ("LA", 1, 8, "MONOCHROME2"),
        ("I;16", 1, 16, "MONOCHROME2"),
        ("P", 3, 8, "RGB"),
        ("RGB", 3, 8, "RGB"),
        ("RGBA", 3, 8, "RGB"),
    ],
)
def test_a_png_is_grey_or_rgb(mode, samples, bits, photometric):
    picture = raster_of(png(noise(mode)), PNG)
    assert (picture.rows, picture.columns, picture.frames) == (30, 40, 1)
    assert (picture.samples, picture.bits, picture.photometric) == (samples, bits, photometric)
    assert picture.transfer_syntax == "1.2.840.10008.1.2.1"
    assert "00280008" not in picture.attributes()


def test_a_gif_has_all_its_frames_and_is_grey_if_all_colours_are():
    picture = raster_of(SEVERAL, GIF)
    assert (picture.rows, picture.columns, picture.frames) == (30, 40, 3)
    assert (picture.samples, picture.photometric) == (3, "RGB")
    assert picture.attributes()["00280008"] == {"vr": "IS", "Value": [3]}
    assert raster_of(gif(noise("L")), GIF).photometric == "MONOCHROME2"
    assert raster_of(gif(noise("L"), noise("P")), GIF).photometric == "RGB"


def test_a_palette_of_greys_is_grey():
    picture = noise("P")
    picture.putpalette([grey for grey in range(0, 160, 10) for _ in range(3)])
    assert raster_of(png(picture), PNG).samples == 1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (png_of(0, 4), "a size"),
        (png_of(70_000, 4), "a size"),
        (png_of(4, 4, bits=16, colour_type=2), "16 bits"),
        (png_of(4, 4, bits=16, colour_type=4), "16 bits"),
        (png_of(4, 4, bits=3), "makes no sense"),
        (png_of(4, 4, colour_type=5), "makes no sense"),
        (png_of(4, 4, chunk(b"tRNS", b"\0\1")), "transparent"),
        (png_of(4, 4, chunk(b"acTL", bytes(8))), "animated"),
        (png_of(4, 4).replace(b"IHDR", b"JHDR"), "makes no sense"),
        (png_of(4, 4)[:-1], "ends early"),
        (png_of(4, 4)[:-12], "ends early"),
        (png_of(4, 4)[:20], "ends early"),
        (SEVERAL, "no PNG"),
    ],
    ids=named,
)
def test_a_png_that_can_not_be_kept_is_refused_for_its_reason(data, why):
    with pytest.raises(InvalidInstance, match=why):
        raster_of(data, PNG)


def test_a_png_with_one_bit_changed_is_refused_by_its_checksums():
    data = bytearray(png(noise("L")))
    data[200] ^= 1
    with pytest.raises(InvalidInstance, match="checksum"):
        raster_of(bytes(data), PNG)


def a_gif(*frames, screen=(8, 8), colours=True):
    """Frames are (left, top, width, height); all without pixels."""
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80 if colours else 0, 0, 0)
    head += bytes(6) if colours else b""
    images = (b"," + struct.pack("<HHHHB", *frame, 0) + b"\x02\x01\x00\x00" for frame in frames)
    return head + b"".join(images) + b";"


WHOLE = (0, 0, 8, 8)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (a_gif(), "no frame"),
        (a_gif(WHOLE, colours=False), "no table of colours"),
        (a_gif((0, 0, 8, 7)), "without a colour"),
        (a_gif(WHOLE, (1, 0, 8, 8)), "larger than the GIF"),
        (a_gif(WHOLE, screen=(0, 0)), "larger than the GIF"),
        (a_gif(WHOLE)[:-1] + b"\x07", "no known kind"),
        (a_gif(WHOLE)[:-1], "ends early"),
        (a_gif(WHOLE)[:-5], "ends early"),
        (a_gif(WHOLE)[:9], "ends early"),
        (png(noise("L")), "no GIF"),
    ],
    ids=named,
)
def test_a_gif_that_can_not_be_kept_is_refused_for_its_reason(data, why):
    with pytest.raises(InvalidInstance, match=why):
        raster_of(data, GIF)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (PNG, png_of(4, 4, chunk(b"tEXt") * (1 << 20))),
        (GIF, a_gif(WHOLE)[:-1] + b"!\xfe\0" * (1 << 20) + b";"),
        (GIF, a_gif(WHOLE)[:-1] + b"!\xfe" + b"\1." * (1 << 20) + b"\0;"),
    ],
    ids=["chunks", "extensions", "blocks"],
)
def test_a_picture_that_is_made_to_take_time_is_refused(kind, data):
    with pytest.raises(InvalidInstance, match="too many blocks"):
        raster_of(data, kind)


@given(st.data())
def test_a_picture_that_is_cut_or_changed_is_read_or_refused(data):
    kind, whole = data.draw(st.sampled_from([(PNG, png(noise("P"))), (GIF, SEVERAL)]))
    picture = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 3)) if picture else 0):
        at = data.draw(st.integers(0, min(len(picture) - 1, 900)))
        picture[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InvalidInstance):
        raster_of(bytes(picture), kind)
