"""What a Key Object Selection says about the use of images."""

from __future__ import annotations

import pytest

from edge.dicom.instance import InstanceRef
from edge.dicom.rejection import Title, rejection_in
from edge.dicom.scanner import InstanceScanner
from edge.dicom.uids import KEY_OBJECT_SELECTION
from tests.notes import note

REFS = [InstanceRef("1.2.3", "1.2.3.1", f"1.2.3.1.{number}") for number in range(1, 4)]


def scanned(data):
    scanner = InstanceScanner()
    scanner.feed(data)
    return scanner.finish().attributes


@pytest.mark.parametrize("title", list(Title))
def test_each_title_rejects_what_is_in_the_evidence(title):
    rejection = rejection_in(KEY_OBJECT_SELECTION, scanned(note(REFS, title).data))
    assert rejection.title is title
    assert rejection.sop_uids == {ref.sop_uid for ref in REFS}


def test_a_note_about_very_many_images_names_them_all():
    refs = [InstanceRef("1.2.3", "1.2.3.1", f"1.2.3.1.{number}") for number in range(5000)]
    rejection = rejection_in(KEY_OBJECT_SELECTION, scanned(note(refs).data))
    assert len(rejection.sop_uids) == 5000


@pytest.mark.parametrize(
    ("title", "scheme"), [("113000", "DCM"), ("113001", "99LOCAL"), ("", "DCM")]
)
def test_other_titles_and_schemes_reject_nothing(title, scheme):
    attributes = scanned(note(REFS, title, scheme=scheme).data)
    assert rejection_in(KEY_OBJECT_SELECTION, attributes) is None


def test_another_class_rejects_nothing():
    assert rejection_in("1.2.840.10008.5.1.4.1.1.88.11", scanned(note(REFS).data)) is None


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"0040A043": {"vr": "SQ"}},
        {"0040A043": {"vr": "SQ", "Value": [None, "x", 1, []]}},
        {"0040A043": {"vr": "SQ", "Value": [{"00080100": {"Value": [7]}}]}},
        {"0040A043": "nonsense", "0040A375": 7},
    ],
)
def test_what_is_strange_is_no_note(attributes):
    assert rejection_in(KEY_OBJECT_SELECTION, attributes) is None


def test_what_is_strange_in_the_evidence_is_passed_over():
    attributes = {
        "0040A043": {
            "vr": "SQ",
            "Value": [{"00080100": {"Value": ["113001"]}, "00080102": {"Value": ["DCM"]}}],
        },
        "0040A375": {
            "vr": "SQ",
            "Value": [
                None,
                {"00081115": {"Value": ["x", {"00081199": {"Value": [{}, {"00081155": {}}]}}]}},
                {
                    "00081115": {
                        "Value": [
                            {
                                "00081199": {
                                    "Value": [
                                        {"00081155": {"Value": ["../x"]}},
                                        {"00081155": {"Value": ["1.2.9"]}},
                                    ]
                                }
                            }
                        ]
                    }
                },
            ],
        },
    }
    assert rejection_in(KEY_OBJECT_SELECTION, attributes).sop_uids == {"1.2.9"}
