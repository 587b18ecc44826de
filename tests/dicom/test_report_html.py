"""Structured reports as pages."""

from __future__ import annotations

from html.parser import HTMLParser

import pydicom
import pytest

from edge.dicom.report_html import is_report, report_html
from tests.dicom.packaged import DATA, FILES, NOT_INSTANCES, name_of, scan_file


class Page(HTMLParser):
    """The text and the tags of a page; complains about tags that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.words, self.tags, self._open = [], [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self._open[-1] != "style":
            self.words.append(data.strip())


def code(meaning, value="1"):
    return {
        "vr": "SQ",
        "Value": [
            {
                "00080100": {"vr": "SH", "Value": [value]},
                "00080104": {"vr": "LO", "Value": [meaning]},
            }
        ],
    }


def item(kind, name, /, *content, **values):
    made = {"0040A040": {"vr": "CS", "Value": [kind]}, "0040A043": code(name)}
    made |= {tag.removeprefix("t"): element for tag, element in values.items()}
    if content:
        made["0040A730"] = {"vr": "SQ", "Value": list(content)}
    return made


def text(name, value, *content):
    return item("TEXT", name, *content, t0040A160={"vr": "UT", "Value": [value]})


def words(report):
    return Page(report_html(report)).words


def test_a_packaged_report_shows_every_text_of_its_tree():
    attributes = scan_file(DATA / "test_files" / "reportsi.dcm").attributes
    shown = " ".join(words(attributes))
    dataset = pydicom.dcmread(DATA / "test_files" / "reportsi.dcm")
    texts = [element.value for element in dataset.iterall() if element.keyword == "TextValue"]
    meanings = [
        element[0].CodeMeaning
        for element in dataset.iterall()
        if element.keyword in ("ConceptNameCodeSequence", "ConceptCodeSequence")
    ]
    assert texts or meanings
    for expected in [*texts, *meanings]:
        assert " ".join(expected.split()) in " ".join(shown.split())


@pytest.mark.parametrize(
    "path", [path for path in FILES if name_of(path) not in NOT_INSTANCES], ids=name_of
)
def test_of_all_packaged_files_just_the_reports_are_reports(path):
    scanned = scan_file(path)
    sop_class = pydicom.uid.UID(scanned.attributes["00080016"]["Value"][0]).name
    assert is_report(scanned.attributes) == sop_class.endswith(("SR Storage", "Document Storage"))


def test_numbers_have_their_unit_and_lack_it_where_there_is_none():
    def measured(value, unit, meaning):
        return {
            "vr": "SQ",
            "Value": [
                {"0040A30A": {"vr": "DS", "Value": [value]}, "004008EA": code(meaning, unit)}
            ],
        }

    report = item(
        "CONTAINER",
        "Findings",
        item("NUM", "Diameter", t0040A300=measured(12.5, "mm", "millimeter")),
        item("NUM", "Ratio", t0040A300=measured(2, "1", "no units")),
        item("NUM", "Beats", t0040A300=measured(70, "{H.B.}/min", "beats per minute")),
        item("NUM", "Missing", t0040A301=code("Measurement failure")),
    )
    shown = " ".join(words(report))
    assert "Diameter : 12.5 mm" in shown
    assert "Ratio : 2 Beats : 70 beats per minute" in shown
    assert "Missing : Measurement failure" in shown


def test_names_and_dates_read_as_people_write_them():
    report = item(
        "CONTAINER",
        "Report",
        item(
            "PNAME", "Observer", t0040A123={"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane^^Dr"}]}
        ),
        item("DATETIME", "At", t0040A120={"vr": "DT", "Value": ["20260131120501.5+0100"]}),
    )
    shown = " ".join(words(report))
    assert "Dr Jane Doe" in shown
    assert "2026-01-31 12:05:01" in shown


def test_what_a_report_says_is_never_markup():
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    report = item("CONTAINER", evil, text(evil, evil, text("below", evil)))
    report["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": evil}]}
    page = Page(report_html(report))
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img"})
    assert evil in page.words


def test_the_page_refers_to_nothing_outside():
    page = Page(report_html(item("CONTAINER", "Report", text("a", "http://127.0.0.1/x"))))
    assert not any({"src", "href"} & attributes.keys() for _, attributes in page.tags)


def test_a_tree_without_end_is_cut():
    deepest = text("x", "deepest")
    for _ in range(300):
        deepest = text("x", "y", deepest)
    shown = words(item("CONTAINER", "Report", deepest))
    assert "deepest" not in shown
    assert "…" in shown


@pytest.mark.parametrize("odd", [{"vr": "SQ"}, {"vr": "SQ", "Value": [None, 7]}, {"vr": "UN"}])
def test_odd_elements_do_no_harm(odd):
    report = item("CONTAINER", "Report")
    report |= {"0040A730": odd, "0040A043": odd, "00100010": odd}
    assert "Structured report" in words(report)
