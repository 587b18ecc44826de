"""Forms: the default, what is stored, and what can be made of it."""

from __future__ import annotations

from functools import partial

import pytest

from edge.dicomweb.forms import as_kept, frame_offers, instance_offers, zip_offers
from edge.dicomweb.negotiation import choose, parse_accept
from edge.dicomweb.responses import Refused

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, BIG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"
RLE, JPEG, J2K = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"
MADE = (EXPLICIT, IMPLICIT, DEFLATED, BIG, J2K, RLE)


def chosen(accept, offers, stored, made=MADE):
    return choose(parse_accept(accept), offers(stored, (stored, *made)))


instance = partial(instance_offers, alone=True)
frame = partial(frame_offers, alone=True)


@pytest.mark.parametrize("stored", [IMPLICIT, EXPLICIT, DEFLATED, BIG, RLE, JPEG])
@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("*/*", EXPLICIT),
        ("application/dicom", EXPLICIT),
        ("application/dicom; transfer-syntax=*", None),
        ("multipart/related; type=application/dicom; transfer-syntax=*, */*;q=0.1", None),
        (f"application/dicom; transfer-syntax={J2K}", J2K),
        (f"application/dicom; transfer-syntax={DEFLATED}", DEFLATED),
    ],
)
def test_instances(accept, stored, wanted):
    assert chosen(accept, instance, stored).transfer_syntax == (wanted or stored)


@pytest.mark.parametrize("syntax", [IMPLICIT, BIG])
def test_what_is_not_used_on_the_web_is_never_made(syntax):
    accept = f"application/dicom; transfer-syntax={syntax}"
    for offers in (instance, zip_offers):
        with pytest.raises(Refused):
            chosen(accept, offers, EXPLICIT)


@pytest.mark.parametrize(
    ("accept", "stored", "kind", "syntax"),
    [
        ("*/*", JPEG, "application/octet-stream", EXPLICIT),
        ("multipart/related; type=application/octet-stream; transfer-syntax=*", JPEG, None, JPEG),
        ("multipart/related; type=application/octet-stream; transfer-syntax=*", BIG, None, BIG),
        ("application/octet-stream; transfer-syntax=*", IMPLICIT, None, EXPLICIT),
        ("application/octet-stream; transfer-syntax=*", DEFLATED, None, EXPLICIT),
        ("image/jpeg", JPEG, "image/jpeg", JPEG),
        ("image/*", RLE, "image/dicom-rle", RLE),
        ("image/jp2", EXPLICIT, "image/jp2", J2K),
        (f"application/octet-stream; transfer-syntax={RLE}", BIG, None, RLE),
    ],
)
def test_frames(accept, stored, kind, syntax):
    offer = chosen(accept, frame, stored)
    assert offer.transfer_syntax == syntax
    assert offer.media_type == (kind or "application/octet-stream")


def test_frames_that_nobody_decodes_come_as_they_are():
    offer = chosen("*/*", frame, JPEG, made=())
    assert (offer.media_type, offer.transfer_syntax) == ("application/octet-stream", JPEG)


def test_a_zip_is_exact_unless_something_else_is_asked_for():
    assert chosen("application/zip", zip_offers, BIG).transfer_syntax == BIG
    accept = f"application/zip; transfer-syntax={EXPLICIT}"
    assert chosen(accept, zip_offers, BIG).transfer_syntax == EXPLICIT


def test_several_need_multipart():
    assert all(one.multipart for one in instance_offers(EXPLICIT, MADE, alone=False))
    assert all(one.multipart for one in frame_offers(EXPLICIT, MADE, alone=False))


@pytest.mark.parametrize(
    ("stored", "kept"),
    [(IMPLICIT, EXPLICIT), (DEFLATED, EXPLICIT), (BIG, BIG), (RLE, RLE)],
)
def test_values_outside_of_their_data_set(stored, kept):
    assert as_kept(stored) == kept
