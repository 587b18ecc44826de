"""Headers of codestreams are held against the data set before a codec sees them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import UndecodablePixels
from edge.pixels.codestream import jpeg_2000_header, jpeg_header
from tests.pixels.images import named


def test_a_jpeg_says_its_process_its_bits_and_sometimes_its_colours():
    image = named("SC_rgb_jpeg_gdcm.dcm")
    header = jpeg_header(image.frame(1), image.description)
    assert header.is_lossless
    assert header.precision == 8
    image = named("SC_rgb_jpeg_dcmtk.dcm")
    assert jpeg_header(image.frame(1), image.description).photometric == "YBR_FULL"
    image = named("MR_small_jpeg_ls_lossless.dcm")
    assert jpeg_header(image.frame(1), image.description).is_jpeg_ls


def test_a_jpeg_2000_says_its_bits_and_its_sign():
    image = named("693_J2KI.dcm")
    precision = jpeg_2000_header(image.frame(1), image.description)
    assert (precision.bits, precision.signed) == (16, True)


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_gdcm_KY.dcm"])
@pytest.mark.parametrize("lie", [{"rows": 99}, {"columns": 60_000}, {"samples": 1}])
def test_another_size_than_the_data_set_says_is_refused(name, lie):
    image = named(name)
    read = jpeg_header if "jpeg" in name else jpeg_2000_header
    with pytest.raises(UndecodablePixels, match="the data set says"):
        read(image.frame(1), replace(image.description, **lie))


@pytest.mark.parametrize("name", ["SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_gdcm_KY.dcm"])
def test_a_header_that_is_cut_off_anywhere_is_refused(name):
    image = named(name)
    read = jpeg_header if "jpeg" in name else jpeg_2000_header
    for length in range(40):
        with pytest.raises(UndecodablePixels):
            read(image.frame(1)[:length], image.description)


@given(st.binary(max_size=200))
def test_anything_else_is_refused_and_never_anything_worse(data):
    image = named("SC_rgb_gdcm_KY.dcm").description
    for head in (b"", b"\xff\xd8", b"\xff\x4f\xff\x51"):
        for read in (jpeg_header, jpeg_2000_header):
            with pytest.raises(UndecodablePixels):
                read(head + data, image)
