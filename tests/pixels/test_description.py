"""Descriptions of images: only those that make sense, with their sizes."""

from dataclasses import replace

import pytest

from edge.errors import NotAnImage, PixelBudgetExceeded
from edge.pixels import syntaxes
from edge.pixels.description import ImageDescription
from tests.pixels.images import packaged_images

EXPLICIT = syntaxes.EXPLICIT_LITTLE
ATTRIBUTES = {
    "00280002": {"vr": "US", "Value": [1]},
    "00280004": {"vr": "CS", "Value": ["MONOCHROME2"]},
    "00280010": {"vr": "US", "Value": [512]},
    "00280011": {"vr": "US", "Value": [256]},
    "00280100": {"vr": "US", "Value": [16]},
    "00280101": {"vr": "US", "Value": [12]},
    "00280102": {"vr": "US", "Value": [11]},
    "00280103": {"vr": "US", "Value": [1]},
    "7FE00010": {"vr": "OW", "BulkDataURI": "7FE00010"},
}


def changed(**values):
    found = dict(ATTRIBUTES)
    for key, value in values.items():
        found[key.removeprefix("x")] = {"vr": "US", "Value": [value]}
    return found


def test_it_says_what_the_data_set_says():
    image = ImageDescription.of(ATTRIBUTES, EXPLICIT)
    assert (image.rows, image.columns, image.bits_stored, image.signed) == (512, 256, 12, True)
    assert image.stored_frame_bytes == image.decoded_frame_bytes == 512 * 256 * 2
    assert not image.encapsulated


@pytest.mark.parametrize(
    "wrong",
    [
        {"x00280010": 0},
        {"x00280011": 65536},
        {"x00280002": 2},
        {"x00280100": 12},
        {"x00280101": 17},
        {"x00280102": 16},
        {"x00280102": 3},
        {"x00280010": "many"},
    ],
)
def test_what_makes_no_sense_is_no_image(wrong):
    with pytest.raises(NotAnImage):
        ImageDescription.of(changed(**wrong), EXPLICIT)


def test_reports_and_videos_are_no_images():
    report = {key: value for key, value in ATTRIBUTES.items() if key != "7FE00010"}
    with pytest.raises(NotAnImage, match="no pixels"):
        ImageDescription.of(report, EXPLICIT)
    for number in range(100, 109):
        with pytest.raises(NotAnImage, match="video"):
            ImageDescription.of(ATTRIBUTES, f"1.2.840.10008.1.2.4.{number}")
    assert ImageDescription.of(ATTRIBUTES, "1.2.840.10008.1.2.4.110").encapsulated


def test_floating_pixels_have_the_bits_of_their_element():
    attributes = {k: v for k, v in ATTRIBUTES.items() if k != "7FE00010"}
    attributes["7FE00009"] = {"vr": "OD", "BulkDataURI": "7FE00009"}
    image = ImageDescription.of(attributes, EXPLICIT)
    assert (image.bits_allocated, image.floating, image.signed) == (64, True, False)
    assert not image.fits(syntaxes.JPEG_2000_LOSSLESS)


def test_the_budget_counts_a_byte_for_every_sample_at_least():
    image = ImageDescription.of(ATTRIBUTES, EXPLICIT)
    image.check_budget(262_144)
    with pytest.raises(PixelBudgetExceeded, match="512 x 256"):
        image.check_budget(262_143)
    bits = replace(image, bits_allocated=1, bits_stored=1, high_bit=0, signed=False)
    assert bits.decoded_frame_bytes == 16_384
    with pytest.raises(PixelBudgetExceeded):
        bits.check_budget(16_384)


def test_stored_frames_have_the_size_that_the_layout_says():
    for image in packaged_images():
        if not image.description.encapsulated and image.layout.pixels is not None:
            expected = image.layout.pixels.frame_length(1)
            assert image.description.stored_frame_bytes == expected, image.name


def test_decoded_pixels_are_native_and_say_what_their_colours_became():
    image = replace(ImageDescription.of(ATTRIBUTES, "1.2.840.10008.1.2.4.90"), samples=3, planar=1)
    for before, after in (("YBR_RCT", "RGB"), ("YBR_FULL_422", "YBR_FULL"), ("RGB", "RGB")):
        decoded = replace(image, photometric=before).decoded()
        assert (decoded.photometric, decoded.planar) == (after, 0)
        assert decoded.transfer_syntax == EXPLICIT
    assert image.decoded("YBR_FULL").photometric == "YBR_FULL"
