"""The form of a step: what is wrong is said in words, by the name that its user knows."""

from datetime import date

import pytest

from edge.admin.worklist_form import ToSchedule, day_wanted, form_of, step_of
from edge.dicom.scheduled_check import flaws_of
from edge.errors import QueryError

FORM = {
    "patient_name": "ROE^RICHARD",
    "patient_id": "4711",
    "modality": "CT",
    "station_ae_title": "CT1",
}


def refused(said, called=str):
    with pytest.raises(QueryError) as caught:
        form_of(said, called)
    text = str(caught.value)
    for word in ("RFC3339", "regex", "enum", "`", "$", "Expected"):
        assert word not in text
    return text


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("date", "29.11.2026", "year, month and day, such as 2026-11-29"),
        ("birth_date", "1.2.1970", "year, month and day, such as 2026-11-29"),
        ("time", "9.15", "hours and minutes, such as 09:15"),
        ("modality", "ct", "at most 16 capital letters and digits, such as CT"),
        ("sex", "X", "F, M or O"),
        ("station_ae_title", "A" * 17, "an AE title of at most 16 characters"),
        ("patient_name", " ", "such as ROE^RICHARD"),
        ("patient_id", 4711, "such as 4711"),
        ("study_uid", "1.2.x", "a UID, digits with points between"),
        ("step_id", "S" * 17, "a text of at most 16 characters"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_what_it_takes(name, value, takes):
    said = refused(FORM | {name: value})
    assert said.startswith(f"{name} can't be understood: it must be ")
    assert takes in said


def test_every_field_has_its_words_and_may_be_called_otherwise():
    for name in ToSchedule.__struct_fields__:
        said = refused(FORM | {name: ["x"]}, lambda field: f"--{field}")
        assert said.startswith(f"--{name} can't be understood: it must be ")


def test_what_is_missing_or_unknown_is_named():
    assert refused({"patient_name": "A"}).startswith("patient_id is missing: a text of at most 64")
    assert "'room' can't be understood: there are only patient_name" in refused(FORM | {"room": 1})


def test_what_is_right_is_a_step_without_a_flaw():
    step = step_of(form_of(FORM), date(2026, 11, 29))
    assert (step.day, step.of_step("00400001"), flaws_of(step)) == ("20261129", "CT1", "")


def test_the_day_of_a_list_is_written_with_dashes():
    assert (day_wanted(""), day_wanted("2026-11-29")) == ("", "20261129")
    for text in ("29.11.2026", "20261129", "2026-11-29\n"):
        with pytest.raises(QueryError, match="--date can't be understood: it must be year"):
            day_wanted(text, "--date")
