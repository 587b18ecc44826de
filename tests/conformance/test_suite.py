"""The suite itself: it says what differs, and takes nothing for something else."""

from __future__ import annotations

import httpx
import pytest

from tests.conformance import material as material_of_a_run
from tests.conformance.model import attributes_of, differences, faults, from_xml, to_xml
from tests.conformance.run import CHAPTERS, checks
from tests.conformance.service import media_type, parts_of, payload, query_of
from tests.conformance.suite import Chapter, Check, Differs, Verdict, expect, not_offered
from tests.conformance.table import as_text


@pytest.fixture(scope="module")
def made():
    return material_of_a_run.build()


def answer(content: bytes, content_type: str, status: int = 200) -> httpx.Response:
    return httpx.Response(status, headers={"Content-Type": content_type}, content=content)


def found_out(chapter: Chapter) -> list[Verdict]:
    return [check.find_out(None, None).verdict for check in chapter.checks]


def test_every_check_has_a_number_of_its_own_and_one_sentence():
    numbers = [check.number for check in checks()]
    assert len(set(numbers)) == len(numbers)
    for check in checks():
        assert check.sentence.endswith("."), check.number
        assert len(check.sentence) < 110, check.number
        assert check.section


def test_a_chapter_numbers_its_checks_and_each_finds_out_for_itself():
    chapter = Chapter("X", "Example")

    @chapter.check("1", "It holds.")
    def _(service, material):
        expect(True, "never said")

    @chapter.check("2", "It does not.")
    def _(service, material):
        expect(False, "what came")

    @chapter.check("3", "It may be left out.", optional=True)
    def _(service, material):
        not_offered("it says so")

    @chapter.check("4", "It may not be left out.")
    def _(service, material):
        not_offered("it says so")

    @chapter.check("5", "It is not understood.", optional=True)
    def _(service, material):
        raise KeyError("tag")

    assert [check.number for check in chapter.checks] == ["X1", "X2", "X3", "X4", "X5"]
    assert found_out(chapter) == ["passed", "DIFFERS", "not offered", "DIFFERS", "DIFFERS"]
    assert chapter.checks[4].find_out(None, None).reason == "not understood: KeyError: 'tag'"


def test_the_table_shows_every_service_and_says_what_came():
    chapter = Chapter("X", "Example")

    @chapter.check("8.1", "A sentence.")
    def _(service, material):
        expect(service, "nothing came")

    [check] = chapter.checks
    assert isinstance(check, Check)
    columns = {name: {"X1": check.find_out(name, None)} for name in ("one", "")}
    text = as_text([chapter], columns)
    line = next(line for line in text.splitlines() if line.startswith("X1"))
    assert line.split()[-3:] == ["8.1", "ok", "DIFFERS"]
    assert "  X1   nothing came" in text
    assert "one differs nowhere." in text
    assert "one: 1 checks: 1 passed, 0 differs, 0 not offered" in text


def test_a_multipart_payload_is_taken_apart_as_it_was_put_together():
    parts = [
        ("Content-Type: text/plain; transfer-syntax=1.2", b"\r\n--one\r\n"),
        ("Content-Type: a/b", b""),
    ]
    kind, body = payload(parts, "text/plain")
    found = parts_of(answer(body, kind))
    assert [part.body for part in found] == [b"\r\n--one\r\n", b""]
    assert [part.media_type for part in found] == ["text/plain", "a/b"]
    assert found[0].transfer_syntax == "1.2"
    with pytest.raises(Differs, match="a part is a/b"):
        parts_of(answer(body, kind), "text/plain")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda kind, body: (kind.replace("boundary=", "boundary=x"), body),
            "not in the payload",
        ),
        (lambda kind, body: (kind.partition("; boundary")[0], body), "no boundary"),
        (lambda kind, body: (kind.replace("type=", "other="), body), "no type"),
        (lambda kind, body: (kind, body[:-30]), "does not end"),
        (lambda kind, body: (kind, body.replace(b"Content-Type", b"X-Other")), "no Content-Type"),
        (lambda kind, body: ("application/json", body), "instead of multipart/related"),
    ],
)
def test_a_multipart_payload_that_the_standard_does_not_allow_differs(change, reason):
    kind, body = change(*payload([("Content-Type: a/b", b"content")], "a/b"))
    with pytest.raises(Differs, match=reason):
        parts_of(answer(body, kind))


def test_media_types_and_queries_are_written_and_read_plainly():
    assert (
        media_type(answer(b"", 'Application/DICOM+json; charset="utf-8"'))
        == "application/dicom+json"
    )
    assert (
        query_of([("PatientName", "Ä*"), ("0020000D", "1,2")]) == "PatientName=%C3%84*&0020000D=1,2"
    )
    assert query_of({"accept": 'a/b; c="d"'}) == "accept=a/b;%20c%3D%22d%22"


def test_json_and_xml_say_what_the_data_set_says(made):
    for sample in (*made.thorax, made.head, made.cine, made.document):
        bulk: list[bytes] = []

        def apart(value, bulk=bulk):
            bulk.append(value)
            return f"bulk/{len(bulk)}"

        attributes = attributes_of(sample.dataset, apart)
        assert faults(attributes) == []
        assert differences(sample.dataset, attributes) == []
        assert differences(sample.dataset, from_xml(to_xml(attributes))) == []


def test_what_metadata_leaves_out_or_changes_is_a_difference(made):
    dataset = made.slice.dataset
    attributes = attributes_of(dataset, lambda _: "bulk")
    changed = attributes | {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Another"}]},
        "00080020": {"vr": "LO", "Value": ["20240229"]},
        "00101002": {"vr": "SQ", "Value": [{}]},
        "00291011": {"vr": "LO"},
    }
    del changed["00100020"]
    found = "; ".join(differences(dataset, changed))
    for text in (
        "PatientName is [{'Alphabetic': 'Another'}]",
        "StudyDate is LO instead of DA",
        "OtherPatientIDsSequence has 1 items instead of 2",
        "00291011 is []",
        "PatientID is missing",
    ):
        assert text in found


@pytest.mark.parametrize(
    "attributes",
    [
        [],
        {"00100020": {"vr": "LO", "Value": ["a"]}, "00080020": {"vr": "DA"}},
        {"0010002a": {"vr": "LO"}},
        {"00100000": {"vr": "UL", "Value": [1]}},
        {"00100020": {"Value": ["a"]}},
        {"00100020": {"vr": "LO", "Value": []}},
        {"00100020": {"vr": "LO", "Value": [1]}},
        {"00100020": {"vr": "LO", "Value": "a"}},
        {"00100010": {"vr": "PN", "Value": ["a"]}},
        {"00280010": {"vr": "US", "Value": ["1"]}},
        {"7FE00010": {"vr": "OW", "Value": [1]}},
        {"7FE00010": {"vr": "OW", "InlineBinary": "", "BulkDataURI": "a"}},
        {"00100020": {"vr": "LO", "BulkDataURI": "a"}},
        {"00100020": {"vr": "LO", "InlineBinary": ""}},
        {"00101002": {"vr": "SQ", "Value": [{"00100020": {}}]}},
    ],
)
def test_what_the_json_model_does_not_allow_is_a_fault(attributes):
    assert faults(attributes)


def test_every_run_has_identifiers_of_its_own(made):
    again = material_of_a_run.build()
    mine = {sample.sop_uid for sample in made.all()}
    assert len(mine) == len(made.all())
    assert not mine & {sample.sop_uid for sample in again.all()}
    assert {str(sample.dataset.PatientID)[:10] for sample in made.all()} == {made.run}
    assert not str(made.fresh().dataset.PatientID).startswith(made.run)


def test_chapters_cover_every_transaction():
    assert "".join(chapter.letter for chapter in CHAPTERS) == "CQRMFPSU"
