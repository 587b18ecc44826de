"""Media types of frames, beside pydicom's list of transfer syntaxes."""

from __future__ import annotations

import pydicom.uid

from edge.dicomweb.media_types import FRAME_MEDIA_TYPES


def test_every_encapsulated_syntax_of_pictures_and_videos_has_a_media_type():
    without = {
        str(uid)
        for uid in pydicom.uid.AllTransferSyntaxes
        if uid.is_encapsulated and str(uid) not in FRAME_MEDIA_TYPES
    }
    # References to pixels elsewhere, real-time video, and pixels that are not compressed.
    assert without <= {
        "1.2.840.10008.1.2.1.98",
        "1.2.840.10008.1.2.4.94",
        "1.2.840.10008.1.2.4.95",
        "1.2.840.10008.1.2.4.204",
        "1.2.840.10008.1.2.4.205",
        "1.2.840.10008.1.2.7.1",
        "1.2.840.10008.1.2.7.2",
        "1.2.840.10008.1.2.7.3",
    }


def test_no_native_syntax_has_one():
    assert not {
        str(uid)
        for uid in pydicom.uid.AllTransferSyntaxes
        if not uid.is_encapsulated and str(uid) in FRAME_MEDIA_TYPES
    }
