"""Pictures show what the data set, or the client, says."""

import io

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array

from edge.errors import PixelBudgetExceeded, UndecodablePixels
from edge.pixels import syntaxes
from edge.pixels.decoding import decode
from edge.pixels.description import ImageDescription
from edge.pixels.display import Display, Lut
from edge.pixels.presentation import Presentation, Region, Viewport, Window
from edge.pixels.rendering import picture_of, render, steady
from tests.dicom.packaged import DATA
from tests.pixels.images import named, packaged_images

PNG = Presentation("image/png")


def grey(pixels, *, bits=16, stored=None, signed=False, photometric="MONOCHROME2"):
    """A description and an array of one sample per pixel."""
    stored = stored or bits
    pixels = np.asarray(pixels, f"<{'i' if signed else 'u'}{max(8, bits) // 8}")
    image = ImageDescription(
        syntaxes.EXPLICIT_LITTLE, *pixels.shape, 1, photometric, bits, stored, stored - 1, signed
    )
    return image, pixels[:, :, None]


def shown(image, pixels, display=None, wanted=PNG):
    return np.asarray(picture_of(image, pixels, display or Display(), wanted))


def every_value(image):
    """The picture of a packaged image, without any change of size."""
    decoded, pixels = decode(image.description, image.frame(1))
    display = Display.of(image.attributes, 1)
    square = Display(
        **{name: getattr(display, name) for name in Display.__slots__} | {"aspect": 1.0}
    )
    return shown(decoded, pixels, square)


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm", "693_J2KI.dcm", "rtdose_1frame.dcm"],
)
def test_greys_are_those_that_pydicoms_transformations_give(name):
    image = named(name)
    dataset = pydicom.dcmread(DATA / image.name)
    stored = pixel_array(dataset)
    values = apply_modality_lut(stored, dataset).astype("f8")
    if "WindowWidth" in dataset or "VOILUTSequence" in dataset:
        shades = apply_voi_lut(values, dataset)
        low = dataset.get("RescaleIntercept", 0)
        slope = dataset.get("RescaleSlope", 1)
        bits = dataset.BitsStored
        ends = (-(1 << bits - 1), (1 << bits - 1) - 1) if dataset.PixelRepresentation else None
        least, most = (end * slope + low for end in ends or (0, (1 << bits) - 1))
    else:
        shades, least, most = values, values.min(), values.max()
    expected = (shades - least) / (most - least) * 255
    assert np.abs(every_value(image) - expected).max() <= 1


def test_palettes_are_those_that_pydicom_applies():
    image = named("examples_palette.dcm")
    dataset = pydicom.dcmread(DATA / image.name)
    expected = apply_color_lut(pixel_array(dataset), dataset)
    depth = 8 * expected.itemsize
    assert np.array_equal(every_value(image), expected >> (depth - 8))


def test_colours_are_those_that_pydicom_converts_to():
    compared = 0
    for image in packaged_images():
        if image.description.samples != 3 or image.description.bits_allocated != 8:
            continue
        expected = pixel_array(pydicom.dcmread(DATA / image.name), index=0)
        if image.name.endswith("_big_endian.dcm"):
            continue  # pydicom leaves its words swapped
        if image.name.endswith(("SC_rgb_jpeg_lossy_gdcm.dcm", "SC_rgb_small_odd_jpeg.dcm")):
            assert every_value(image).shape == expected.shape
            continue
        assert np.abs(every_value(image).astype(int) - expected).max() <= 3, image.name
        compared += 1
    assert compared > 15


def test_every_packaged_image_can_be_shown_in_every_media_type():
    for image in packaged_images():
        decoded, pixels = decode(image.description, image.frame(image.description.frames))
        display = Display.of(image.attributes, image.description.frames)
        for media_type, magic in (
            ("image/jpeg", b"\xff\xd8\xff"),
            ("image/png", b"\x89PNG"),
            ("image/gif", b"GIF8"),
        ):
            wanted = Presentation(media_type, viewport=Viewport(40, 40))
            picture = render(decoded, pixels, display, wanted)
            assert picture.data.startswith(magic), image.name
            with Image.open(io.BytesIO(picture.data)) as again:
                assert again.size == (picture.width, picture.height)
                assert max(again.size) == 40


def test_the_clients_window_comes_before_that_of_the_data_set():
    image, pixels = grey([[0, 100, 200, 300]])
    display = Display(windows=(Window(1000, 10),))
    assert shown(image, pixels, display).tolist() == [[0, 0, 0, 0]]
    wanted = Presentation("image/png", window=Window(150, 300, "LINEAR_EXACT"))
    assert shown(image, pixels, display, wanted).tolist() == [[0, 85, 170, 255]]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        # PS3.3 C.11.2.1.2.1: y = ((x - (c - 0.5)) / (w - 1) + 0.5) * 255
        ("LINEAR", [0, 0, 130, 255, 255]),
        # C.11.2.1.3.2: y = ((x - c) / w + 0.5) * 255
        ("LINEAR_EXACT", [0, 0, 128, 255, 255]),
        # C.11.2.1.3.1: y = 255 / (1 + exp(-4 (x - c) / w))
        ("SIGMOID", [5, 28, 128, 227, 250]),
    ],
)
def test_each_function_of_the_standard_has_its_own_curve(function, expected):
    image, pixels = grey([[0, 24, 50, 76, 100]])
    wanted = Presentation("image/png", window=Window(50, 50, function))
    assert shown(image, pixels, None, wanted).tolist() == [expected]


def test_rescaled_values_are_windowed_and_signs_are_kept():
    image, pixels = grey([[-1024, 0, 1024]], signed=True)
    display = Display(slope=2.0, intercept=48.0, windows=(Window(48, 4096, "LINEAR_EXACT"),))
    assert shown(image, pixels, display).tolist() == [[0, 128, 255]]


def test_bits_that_are_not_stored_ones_do_not_show():
    image, pixels = grey([[0x0000, 0x7FFF, 0xF000]], stored=12)
    wanted = Presentation("image/png", window=Window(2047.5, 4095, "LINEAR_EXACT"))
    assert shown(image, pixels, None, wanted).tolist() == [[0, 255, 0]]


def test_without_any_window_all_values_show_and_padding_does_not_count():
    image, pixels = grey([[-2000, -1000, 0, 1000]], signed=True)
    assert shown(image, pixels).tolist() == [[0, 85, 170, 255]]
    display = Display(padding=(-2000, -2000))
    assert shown(image, pixels, display).tolist() == [[0, 0, 128, 255]]


def test_monochrome1_and_the_inverse_shape_are_turned_round_and_padding_stays_black():
    values = [[0, 100, 200]]
    image, pixels = grey(values, photometric="MONOCHROME1")
    assert shown(image, pixels).tolist() == [[255, 127, 0]]
    image, pixels = grey(values)
    assert shown(image, pixels, Display(inverse=True)).tolist() == [[255, 127, 0]]
    padded = Display(inverse=True, padding=(200, 200))
    assert shown(image, pixels, padded).tolist() == [[255, 0, 0]]


def test_lookup_tables_replace_slope_and_window():
    image, pixels = grey([[0, 1, 2, 9]], bits=8)
    modality = Lut(3, 0, 16, np.array([10, 20, 30], "<u2").tobytes())
    voi = Lut(3, 10, 8, bytes([0, 99, *([0] * 8), 255])[:3])
    found = shown(image, pixels, Display(modality_lut=modality, voi_lut=voi))
    # Beyond the end of a table, its last entry counts.
    assert found.tolist() == [[0, 0, 0, 0]]
    voi = Lut(21, 10, 8, bytes(range(21)))
    found = shown(image, pixels, Display(modality_lut=modality, voi_lut=voi))
    assert found.tolist() == [[0, 10, 20, 20]]


def test_segmented_palettes_are_expanded():
    # Discrete 0 … 2, linear up to 8, and both again from the start (PS3.3 C.7.9.2).
    words = [0, 3, 0, 256, 512, 1, 6, 2048, 2, 2, 0, 0]
    lut = Lut(18, 0, 16, np.array(words, "<u2").tobytes(), segmented=True)
    image, pixels = grey([range(18)], bits=8, photometric="PALETTE COLOR")
    found = shown(image, pixels, Display(palette=(lut, lut, lut)))
    assert found[0, :, 0].tolist() == [*range(9), *range(9)]


@pytest.mark.parametrize("words", [[3, 1, 0, 0], [2, 1, 0, 0, 2, 1, 0, 0], [1, 5, 9]])
def test_segments_that_are_impossible_are_refused(words):
    lut = Lut(16, 0, 16, np.array(words, "<u2").tobytes(), segmented=True)
    image, pixels = grey([[0, 1]], bits=8, photometric="PALETTE COLOR")
    with pytest.raises(UndecodablePixels, match="segment"):
        shown(image, pixels, Display(palette=(lut, lut, lut)))


def test_a_supplemental_palette_colours_what_is_above_its_first_entry():
    image, pixels = grey([[0, 50, 100, 101]], bits=8)
    tables = tuple(Lut(2, 100, 8, data) for data in (b"\xff\x00", b"\x00\xff", b"\x00\x00"))
    display = Display(windows=(Window(127.5, 255, "LINEAR_EXACT"),), palette=tables, coloured=True)
    found = shown(image, pixels, display)
    assert found.tolist() == [[[0, 0, 0], [50, 50, 50], [255, 0, 0], [0, 255, 0]]]


@pytest.mark.parametrize("bits", [1, 8, 32])
def test_few_and_many_bits_are_shown(bits):
    most = (1 << bits) - 1
    image, pixels = grey([[0, most]], bits=bits)
    assert shown(image, pixels).tolist() == [[0, 255]]


def test_floating_values_are_shown_and_what_is_no_number_is_black():
    image = ImageDescription(
        syntaxes.EXPLICIT_LITTLE, 1, 4, 1, "MONOCHROME2", 32, 32, 31, False, floating=True
    )
    pixels = np.array([[[0.0], [0.5], [np.nan], [1.0]]], "<f4")
    assert shown(image, pixels).tolist() == [[0, 128, 0, 255]]


def test_a_part_is_cut_out_and_mirrored():
    image, pixels = grey([[0, 10], [20, 30]], bits=8)
    window = Window(127.5, 255, "LINEAR_EXACT")

    def part(*region, size=(2, 2)):
        viewport = Viewport(*size, Region(*region))
        return shown(image, pixels, None, Presentation("image/png", window, viewport)).tolist()

    assert part(0, 0, 2, 2) == [[0, 10], [20, 30]]
    assert part(0, 0, -2, 2) == [[10, 0], [30, 20]]
    assert part(0, 0, 2, -2) == [[20, 30], [0, 10]]
    assert part(1, 0, 1, 2, size=(1, 2)) == [[10], [30]]
    # What is outside of the image is not made up.
    assert part(1, 1, 50, 50, size=(1, 1)) == [[30]]


def test_pixels_that_are_not_square_are_made_so_and_the_shape_is_kept_in_a_viewport():
    image, pixels = grey(np.zeros((10, 20)), bits=8)
    tall = Display(aspect=2.0)
    assert picture_of(image, pixels, tall, PNG).size == (20, 20)
    wide = Display(aspect=0.5)
    assert picture_of(image, pixels, wide, PNG).size == (40, 10)
    wanted = Presentation("image/png", viewport=Viewport(100, 100))
    assert picture_of(image, pixels, Display(), wanted).size == (100, 50)


def test_pictures_beyond_measure_are_refused_before_they_are_made():
    image, pixels = grey(np.zeros((2, 2)), bits=8)
    wanted = Presentation("image/png", viewport=Viewport(100_000, 100_000))
    with pytest.raises(PixelBudgetExceeded):
        shown(image, pixels, None, wanted)
    image, pixels = grey(np.zeros((1, 60_000)), bits=8)
    with pytest.raises(PixelBudgetExceeded):
        shown(image, pixels, Display(aspect=0.01))


def test_colours_that_nobody_can_show_are_refused():
    image = ImageDescription(syntaxes.EXPLICIT_LITTLE, 1, 1, 3, "HSV", 8, 8, 7, False)
    with pytest.raises(UndecodablePixels, match="HSV"):
        shown(image, np.zeros((1, 1, 3), "u1"))
    image, pixels = grey([[0]], bits=8, photometric="PALETTE COLOR")
    with pytest.raises(UndecodablePixels, match="palette"):
        shown(image, pixels)


def test_an_animation_has_one_window_for_all_frames():
    image, pixels = grey([[0, 1000]])
    wanted = steady(image, pixels, Display(), PNG)
    assert wanted.window == Window(500, 1000, "LINEAR_EXACT")
    assert steady(image, pixels, Display(windows=(Window(1, 2),)), PNG) == PNG
    # Of eight bits all are shown: the first frame may be black.
    wanted = steady(*grey([[0, 0]], bits=8), Display(), PNG)
    assert wanted.window == steady(*grey([[0, 255]], bits=8), Display(), PNG).window
