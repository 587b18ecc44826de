"""Single codecs, with what no packaged file has."""

import base64

import numpy as np
import pytest

from edge.errors import UndecodablePixels
from edge.pixels import syntaxes
from edge.pixels.decoding import decode
from edge.pixels.description import ImageDescription
from tests.pixels.images import named

# 32 x 40 pixels, (37 x + 101 y) % 4096 in 16 bits: encoded without loss by OpenJPH 0.10.
HIGH_THROUGHPUT = base64.b64decode(
    "/0//UQApQAAAAAAoAAAAIAAAAAAAAAAAAAAAKAAAACAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAQABAAUEBE"
    "AB/1wAEyCIkJCQkJCQkJCQkJCQiIiI/2QAFgABT3BlbkpQSCBWZXIgMS4xLjEu/1UAKABgAAAAAAAaAAAAAAAoAAAA"
    "AAAyAAAAAABFAAAAAABmAAAAAACd/5AACgAAAAAAGgAG/5PAACoAxfiF7wFCNAD/kAAKAAAAAAAoAQb/k8AAEkAAE8"
    "AAEoD+AGMAnG7hAMI0ANwAh3QA/5AACgAAAAAAMgIG/5PAABLAABWwAAVAywACdAA2BwDyCKD1AGMDfLYAAAXk/gBg"
    "VAD/kAAKAAAAAABFAwb/k8AAFbAABaUAAFaAUKEOBBCNI9B1sYt2AJhjhpwAeiyD2vzgMH5SASy4AB9AIHVF3NrocP"
    "yD1gD/kAAKAAAAAABmBAb/k8AAFtwAAW/AABaYJBKJRCIZMOgaUz9zLZtc/u/AGcyB2npxAnsAxImJiYmJDUCwh+Tw"
    "HqQSL0gD/P6QKZhgE/Yxgey8AB7wp6/55z//cn/96P8QYUzB1wD/kAAKAAAAAACdBQb/k8AALsIAAXdwAAtkCIIgCI"
    "IgCIIg/v8RQfLfP/9xP/95P/98jwTJ/H8cwyOnMQCmWOBmWnp6enpwgnUB/v79P8hIJBKJRCKRSCQSWU3/UOb7FzL5"
    "HzL+iwz/QAzI8P954A6JnIBzziEB79iEB79iEB7LOMDOWQH+/3//fZ//e3//f/955gFBaYwBcpigRl4A/9k="
)


@pytest.mark.parametrize("syntax", sorted(syntaxes.HTJ2K))
def test_high_throughput_jpeg_2000_is_decoded(syntax):
    image = ImageDescription(syntax, 32, 40, 1, "MONOCHROME2", 16, 16, 15, False)
    decoded, pixels = decode(image, HIGH_THROUGHPUT)
    rows, columns = np.mgrid[:32, :40]
    assert decoded.transfer_syntax == syntaxes.EXPLICIT_LITTLE
    assert np.array_equal(pixels[:, :, 0], (columns * 37 + rows * 101) % 4096)


def test_samples_that_do_not_fit_their_cells_are_refused():
    image = ImageDescription("1.2.840.10008.1.2.4.201", 32, 40, 1, "MONOCHROME2", 8, 8, 7, False)
    with pytest.raises(UndecodablePixels, match="16 bits don't fit"):
        decode(image, HIGH_THROUGHPUT)


def test_transfer_syntaxes_without_a_decoder_say_so():
    image = ImageDescription("1.2.840.10008.1.2.4.110", 1, 1, 1, "MONOCHROME2", 8, 8, 7, False)
    with pytest.raises(UndecodablePixels, match=r"no decoder for .*4\.110"):
        decode(image, b"\xff\x0a")


def test_a_codestream_that_says_ybr_is_believed_against_the_data_set():
    # The device wrote JFIF, which knows nothing but YCbCr, and called it RGB.
    image = named("SC_rgb_jpeg_dcmtk.dcm")
    assert image.description.photometric == "YBR_FULL"
    lying = ImageDescription(image.description.transfer_syntax, 100, 100, 3, "RGB", 8, 8, 7, False)
    assert decode(lying, image.frame(1))[0].photometric == "YBR_FULL"


def test_planes_and_shared_chrominance_become_pixels():
    planes = ImageDescription(syntaxes.EXPLICIT_LITTLE, 1, 2, 3, "RGB", 8, 8, 7, False, planar=1)
    decoded, pixels = decode(planes, b"RrGgBb")
    assert pixels.tobytes() == b"RGBrgb"
    assert decoded.planar == 0
    shared = ImageDescription(syntaxes.EXPLICIT_LITTLE, 1, 2, 3, "YBR_FULL_422", 8, 8, 7, False)
    decoded, pixels = decode(shared, b"Yybr")
    assert pixels.tobytes() == b"Ybrybr"
    assert decoded.photometric == "YBR_FULL"


def test_words_of_big_endian_are_turned_by_what_they_hold():
    def pixels(bits, frame, count=0, *, words=True):
        image = ImageDescription(
            syntaxes.EXPLICIT_BIG,
            1,
            count or len(frame) * 8 // bits,
            1,
            "MONOCHROME2",
            bits,
            bits,
            bits - 1,
            False,
            words=words,
        )
        return decode(image, frame)[1].reshape(-1).tolist()

    assert pixels(8, b"\1\2\3\4") == [2, 1, 4, 3]
    assert pixels(8, b"\1\2\0\4", 3) == [2, 1, 4]
    assert pixels(8, b"\1\2\3", 3, words=False) == [1, 2, 3]
    assert pixels(8, b"\1\2\3\4", words=False) == [1, 2, 3, 4]
    assert pixels(16, b"\1\2\3\4") == [0x0102, 0x0304]
    assert pixels(32, b"\1\2\3\4") == [0x01020304]
    assert pixels(1, b"\x01\x80") == [*[0] * 7, 1, 1, *[0] * 7]
    assert pixels(1, b"\x00\x04", 3) == [0, 0, 1]
