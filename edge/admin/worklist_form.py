"""A step of the worklist as people and programs enter it: what each field takes, in plain words.

Owns the form of ``edge worklist add`` and of the admin API. Whatever is wrong is said by the name
that whoever entered it knows, with what would be right. Values are not repeated: they may name
patients.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date as Date  # noqa: N812 - the field is called date
from typing import Annotated, Any, Final, Literal

import msgspec

from edge.admin.asking import only
from edge.dicom.scheduled import Request, Step, step_for
from edge.errors import QueryError

__all__ = ["ToSchedule", "day_wanted", "form_of", "step_of"]

# PS3.5 6.2: no backslash, no control characters; where a value must be there, not only blanks.
_LO = only(r"[^\\\x00-\x1f\x7f]*")
_SAID = only(r"[^\\\x00-\x1f\x7f]*[^\\\x00-\x20\x7f][^\\\x00-\x1f\x7f]*")
_Text = Annotated[str, msgspec.Meta(max_length=64, pattern=_LO)]
_Short = Annotated[str, msgspec.Meta(max_length=16, pattern=_LO)]
_Said = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=_SAID)]
_Uid = Annotated[
    str, msgspec.Meta(max_length=64, pattern=only(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*"))
]


class ToSchedule(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A step, in the words that people have.

    As application/dicom+json an item is taken as worklists have it, too, or a list of them.
    """

    patient_name: _Said
    patient_id: _Said
    modality: Annotated[str, msgspec.Meta(min_length=1, max_length=16, pattern=only(r"[A-Z0-9_]+"))]
    station_ae_title: Annotated[
        str,
        msgspec.Meta(
            min_length=1, max_length=16, pattern=only(r"[!-\[\]-~]([ -\[\]-~]*[!-\[\]-~])?")
        ),
    ]
    """By which the scanner asks."""
    date: Date | None = None
    """Of the box's own clock; today, if it is not said."""
    time: Annotated[str, msgspec.Meta(pattern=only(r"([01][0-9]|2[0-3]):[0-5][0-9]"))] = "00:00"
    birth_date: Date | None = None
    sex: Literal["", "F", "M", "O"] = ""
    issuer: _Text = ""
    accession_number: _Short = ""
    description: _Text = ""
    physician: _Text = ""
    study_uid: _Uid | None = None
    """Made, if none is given."""
    step_id: _Short = ""
    procedure_id: _Short = ""


_DAY: Final = "year, month and day, such as 2026-11-29"
_LONG = "a text of at most 64 characters, without a backslash"
_BRIEF = "a text of at most 16 characters, without a backslash"
_TAKES: Final[Mapping[str, str]] = {
    "patient_name": f"{_LONG}, such as ROE^RICHARD",
    "patient_id": f"{_LONG}, such as 4711",
    "modality": "at most 16 capital letters and digits, such as CT",
    "station_ae_title": "an AE title of at most 16 characters, without a backslash, such as CT1",
    "date": _DAY,
    "time": "hours and minutes, such as 09:15",
    "birth_date": _DAY,
    "sex": "F, M or O",
    "issuer": _LONG,
    "accession_number": f"{_BRIEF}, such as A1024",
    "description": f"{_LONG}, such as CT chest",
    "physician": f"{_LONG}, such as ROE^JANE",
    "study_uid": "a UID, digits with points between, such as 2.25.4711",
    "step_id": f"{_BRIEF}, such as S1",
    "procedure_id": f"{_BRIEF}, such as P1",
}
"""What each field of the form is."""
_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIELD = re.compile(r"at `\$\.(\w+)")


def form_of(said: Mapping[str, Any], called: Callable[[str], str] = str) -> ToSchedule:
    """A form that was filled in.

    Args:
        said: What is in its fields, by name.
        called: What whoever filled it in calls a field.

    Raises:
        QueryError: Something is wrong; it says which field, and what it takes.
    """
    for name in said:
        if name not in _TAKES:
            there = ", ".join(map(called, _TAKES))
            raise QueryError(f"{name!r} can't be understood: there are only {there}")
    for name in ToSchedule.__struct_fields__[: -len(ToSchedule.__struct_defaults__)]:
        if name not in said:
            raise QueryError(f"{called(name)} is missing: {_TAKES[name]}")
    try:
        return msgspec.convert(dict(said), ToSchedule)
    except msgspec.ValidationError as error:
        found = _FIELD.search(str(error))
        if found is None:
            raise QueryError(f"the form can't be understood: {error}") from error
        name = found[1]
        what = f"{called(name)} can't be understood: it must be {_TAKES[name]}"
        raise QueryError(what) from error


def day_wanted(text: str, called: str = "date") -> str:
    """The day of which a list is wanted, as YYYYMMDD; empty: any.

    Raises:
        QueryError: It is not written as one.
    """
    if text and not _ISO_DAY.fullmatch(text):
        raise QueryError(f"{called} can't be understood: it must be {_DAY}")
    return text.replace("-", "")


def step_of(form: ToSchedule, today: Date) -> Step:
    """The step that a form describes; *today* is its day if it names none."""
    born = form.birth_date
    return step_for(
        Request(
            patient_name=form.patient_name.strip(),
            patient_id=form.patient_id.strip(),
            modality=form.modality,
            station_ae_title=form.station_ae_title,
            date=_dicom_date(form.date or today),
            time=form.time.replace(":", ""),
            birth_date="" if born is None else _dicom_date(born),
            sex=form.sex,
            issuer=form.issuer.strip(),
            accession_number=form.accession_number.strip(),
            description=form.description.strip(),
            physician=form.physician.strip(),
            study_uid=form.study_uid or "",
            step_id=form.step_id.strip(),
            procedure_id=form.procedure_id.strip(),
        )
    )


def _dicom_date(day: Date) -> str:
    return f"{day:%Y%m%d}".rjust(8, "0")
