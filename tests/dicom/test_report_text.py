"""Reports as plain text: all that the page shows, without its markup."""

from __future__ import annotations

from edge.dicom.report_text import report_text


def coded(meaning):
    return {"vr": "SQ", "Value": [{"00080104": {"vr": "LO", "Value": [meaning]}}]}


def item(kind, name, **more):
    return {
        "0040A040": {"vr": "CS", "Value": [kind]},
        "0040A043": coded(name),
        **more,
    }


REPORT = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Höfer^<Eva>"}]},
    **item("CONTAINER", "Chest report"),
    "0040A730": {
        "vr": "SQ",
        "Value": [
            item(
                "CONTAINER",
                "Findings",
                **{
                    "0040A730": {
                        "vr": "SQ",
                        "Value": [
                            item(
                                "TEXT",
                                "Finding",
                                **{"0040A160": {"vr": "UT", "Value": ["a < b & c"]}},
                            )
                        ],
                    }
                },
            )
        ],
    },
}


def test_a_report_is_lines_of_text():
    text = report_text(REPORT)
    assert text.splitlines() == [
        "Chest report",
        "Patient: <Eva> Höfer",
        "Findings",
        "Finding: a < b & c",
    ]


def test_a_report_without_content_has_its_title():
    assert report_text({}).startswith("Structured report")
