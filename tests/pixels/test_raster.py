"""PNG and GIF become native frames that show the same, or an error."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from edge.config import Pixels
from edge.errors import PixelBudgetExceeded, UndecodablePixels
from edge.pixels import syntaxes
from edge.pixels.description import ImageDescription
from edge.pixels.raster import native_frames
from tests.pixels.pool import running
from tests.rasters import gif, named, noise, png, png_of

GREY = ImageDescription(syntaxes.EXPLICIT_LITTLE, 30, 40, 1, "MONOCHROME2", 8, 8, 7, False)
COLOUR = replace(GREY, samples=3, photometric="RGB")
DEEP = replace(GREY, bits_allocated=16, bits_stored=16, high_bit=15)


def half_a_gif():
    """Its header says 30 rows, and 15 come."""
    data, size = gif(noise("L", 40, 15)), struct.pack("<HH", 40, 15)
    return data.replace(size, struct.pack("<HH", 40, 30))


def transparent(mode, alpha=254):
    picture = noise(mode)
    picture.putpixel((39, 29), (*picture.getpixel((39, 29))[:-1], alpha))
    return picture


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_grey_stays_grey(mode):
    picture = noise(mode)
    assert native_frames(GREY, png(picture)) == picture.convert("L").tobytes()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colour_becomes_rgb(mode):
    picture = noise(mode)
    assert native_frames(COLOUR, png(picture)) == picture.convert("RGB").tobytes()


def test_sixteen_bits_are_kept_as_they_are():
    picture = noise("I;16")
    assert native_frames(DEEP, png(picture)) == np.asarray(picture).astype("<u2").tobytes()


def test_grey_of_few_bits_is_spread_over_eight():
    # PNG 13.12: the brightest sample is white, whatever its bits.
    image = replace(GREY, rows=1, columns=4)
    assert native_frames(image, png_of(4, 1, bits=2, pixels=b"\0\x1b")) == bytes([0, 85, 170, 255])


def test_grey_is_given_as_rgb_where_that_is_wanted():
    picture = noise("L")
    assert native_frames(COLOUR, png(picture)) == picture.convert("RGB").tobytes()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (5, 3), (40, 30)])
def test_an_interlaced_png_shows_the_same(width, height):
    pixels = np.asarray(noise("L", width, height))
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    rows = b""
    for left, top, across, down in (*passes, (0, 1, 1, 2)):
        for row in pixels[top::down, left::across]:
            rows += b"\0" + row.tobytes() if row.size else b""
    data = png_of(width, height, pixels=rows, interlace=1)
    assert native_frames(replace(GREY, rows=height, columns=width), data) == pixels.tobytes()


@pytest.mark.parametrize(("mode", "image"), [("L", GREY), ("P", COLOUR)])
def test_frames_of_an_animation_follow_each_other(mode, image):
    pictures = [noise(mode, seed=seed) for seed in range(5)]
    wanted = b"".join(one.convert("L" if mode == "L" else "RGB").tobytes() for one in pictures)
    assert native_frames(replace(image, frames=5), gif(*pictures)) == wanted


def test_what_a_frame_leaves_as_it_was_is_there_again():
    first = noise("P")
    second = first.copy()
    second.putpixel((7, 9), (first.getpixel((7, 9)) + 1) % 16)
    data = gif(first, second)
    assert len(data) < len(gif(first)) * 1.5  # the second frame is but a difference
    wanted = b"".join(one.convert("RGB").tobytes() for one in (first, second))
    assert native_frames(replace(COLOUR, frames=2), data) == wanted


def test_a_gif_of_which_a_pixel_is_transparent_is_refused():
    picture = noise("P")
    with pytest.raises(UndecodablePixels, match="transparent"):
        native_frames(COLOUR, gif(picture, transparency=picture.getpixel((0, 0))))


@pytest.mark.parametrize(("mode", "image"), [("LA", GREY), ("RGBA", COLOUR)])
def test_alpha_that_hides_something_is_refused(mode, image):
    with pytest.raises(UndecodablePixels, match="transparent"):
        native_frames(image, png(transparent(mode)))


def test_more_bits_than_are_said_to_be_stored_are_refused():
    picture = Image.fromarray(np.full((30, 40), 4095, "u2"))
    twelve = replace(DEEP, bits_stored=12, high_bit=11)
    assert native_frames(twelve, png(picture)) == b"\xff\x0f" * 1200
    with pytest.raises(UndecodablePixels, match="more than 11 bits"):
        native_frames(replace(DEEP, bits_stored=11, high_bit=10), png(picture))


@pytest.mark.parametrize(
    ("image", "data"),
    [
        (replace(GREY, rows=31), png(noise("L"))),
        (replace(GREY, frames=2), png(noise("L"))),
        (replace(GREY, frames=2), gif(noise("L"))),
        (DEEP, png(noise("L"))),
        (GREY, png(noise("L"))[:900]),
        (GREY, gif(noise("L"))[:900]),
        (GREY, png_of(40, 30, pixels=bytes(41 * 29))),
        (GREY, png_of(40, 30, pixels=bytes(41 * 31))),
        (GREY, png_of(40, 30, pixels=b"\x09" * 41 * 30)),
        (GREY, png_of(40, 30, pixels=bytes(41 * 30), interlace=1)),
        (GREY, half_a_gif()),
        (GREY, b"BM" + bytes(100)),
        (GREY, b""),
    ],
    ids=named,
)
def test_what_is_not_as_its_header_says_is_refused(image, data):
    with pytest.raises(UndecodablePixels):
        native_frames(image, data)


async def test_a_process_makes_the_frames_and_outlives_a_bad_picture(workers):
    pictures = [noise("P", seed=seed) for seed in range(2)]
    two = replace(COLOUR, frames=2)
    with pytest.raises(UndecodablePixels, match="damaged"):
        await workers.convert(two, gif(*pictures)[:-200])
    wanted = b"".join(one.convert("RGB").tobytes() for one in pictures)
    assert await workers.convert(two, gif(*pictures)) == wanted
    assert workers.processes == 1


async def test_frames_that_are_too_much_together_are_refused_before_a_process_is_started():
    async with running(Pixels(frame_bytes=30 * 40 * 3)) as pool:
        assert await pool.convert(COLOUR, png(noise("RGB")))
    async with running(Pixels(frame_bytes=30 * 40 * 3)) as pool:
        with pytest.raises(PixelBudgetExceeded, match="7200 bytes"):
            await pool.convert(replace(COLOUR, frames=2), b"")
        assert pool.processes == 0


async def test_rows_without_end_behind_a_header_of_one_are_not_inflated(workers):
    bomb = png_of(1000, 1, pixels=bytes(1 << 28))
    assert len(bomb) < 1 << 20
    with pytest.raises(UndecodablePixels, match="as many pixels"):
        await workers.convert(replace(GREY, rows=1, columns=1000), bomb)
    assert workers.processes == 1
