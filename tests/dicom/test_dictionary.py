"""Tags whose VR is not in the stream are looked up as PS3.5 and PS3.6 say."""

from __future__ import annotations

import pytest

from edge.dicom.dictionary import KEYS, VRS, creator_of, private_vr, vr_of

GEMS = {"00190010": {"vr": "LO", "Value": ["GEMS_ACQU_01"]}}


@pytest.mark.parametrize(
    ("tag", "vr"),
    [
        (0x00100010, "PN"),
        (0x7FE00010, "OB or OW"),
        (0x00280106, "US or SS"),
        (0x00080000, "UL"),  # group length
        (0x60020010, "US"),  # repeating group: Overlay Rows
        (0x60023000, "OB or OW"),
        (0x00091001, "UN"),  # private, block not reserved
        (0x00090010, "LO"),  # private creator
        (0x00090001, "UN"),  # not possible in a private group
        (0x00189999, "UN"),
    ],
)
def test_vr_by_tag(tag, vr):
    assert vr_of(tag, {}) == vr


def test_a_private_element_is_known_by_its_creator():
    assert vr_of(0x00191002, GEMS) == "SL"
    assert vr_of(0x00191102, GEMS) == "UN", "another block"


def test_a_creator_that_is_no_text_reserves_nothing():
    for creator in ({"vr": "LO"}, {"vr": "US", "Value": [5]}, {"vr": "LO", "Value": [None]}):
        assert creator_of(0x00191002, {"00190010": creator}) == ""


def test_ambiguous_private_elements_are_named_like_public_ones():
    assert {private_vr(tag, "GEMS_ACQU_01") for tag in (0x00191002, 0x0019FFFF)} == {"SL", "UN"}


def test_keys_are_eight_upper_case_digits():
    assert KEYS[0x0020000D] == "0020000D"
    assert set(VRS) <= set(KEYS)
