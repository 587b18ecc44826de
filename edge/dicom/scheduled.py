"""Scheduled procedure steps, as worklists know them (PS3.4 K.6): data sets of one step each.

Owns what makes a data set an item of a worklist, what is kept of it, and by what it is known again.
It comes from strangers: what is of the wrong kind is left out, and what is no item is refused.
No I/O.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Final

import msgspec

from edge.dicom.dictionary import VRS
from edge.dicom.identifier import IDENTIFIER_SYNTAXES, read_identifier
from edge.dicom.matching import items_of, values_of
from edge.dicom.part10 import FileMetaReader
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, is_uid
from edge.errors import InvalidInstance, NotDicom

__all__ = [
    "KEYS_OF_REST",
    "KEYS_OF_STEP",
    "MODALITY_WORKLIST",
    "STEP",
    "Request",
    "Step",
    "day_of",
    "query_for",
    "step_for",
    "steps_in_file",
    "steps_of",
]

MODALITY_WORKLIST: Final = "1.2.840.10008.5.1.4.31"
"""Modality Worklist Information Model - FIND."""
STEP: Final = "00400100"
"""Scheduled Procedure Step Sequence."""

_MOST_BYTES: Final = 128 * 1024
"""Of an item, as JSON; real ones have some two thousand."""
_MOST_STEPS: Final = 16
"""Of one procedure."""
_DEEPEST: Final = 8
_TAG: Final = re.compile(r"[0-9A-F]{8}")
_DATE: Final = re.compile(r"([0-9]{4})\.?([0-9]{2})\.?([0-9]{2})")
_TEXTS: Final = frozenset("AE AS CS DA DT LO LT SH ST TM UC UI UR UT".split())
_NUMBERS: Final = frozenset("DS IS FD FL SL SS SV UL US UV".split())
_BYTES: Final = frozenset("OB OD OF OL OV OW UN".split())
_PLAIN: Final = _TEXTS | _NUMBERS | {"AT", "PN"}
_DROPPED: Final = frozenset({"00080005"})
"""Text is text here, whatever set it came in."""

KEYS_OF_STEP: Final = (
    "00080060 00321070 00400001 00400002 00400003 00400004 00400005 00400006 00400007 00400008 "
    "00400009 0040000B 00400010 00400011 00400012 00400020 00400400"
).split()
KEYS_OF_REST: Final = (
    "00080050 00080051 00080080 00080082 00080090 00080096 00081080 00081084 00081110 00081120 "
    "00100010 00100020 00100021 00100024 00100030 00100040 00101000 00101002 00101010 00101020 "
    "00101030 00101040 00102000 00102110 00102160 00102180 00102203 001021A0 001021B0 001021C0 "
    "001021D0 001021F0 00104000 0020000D 00321031 00321032 00321033 00321060 00321064 00380010 "
    "00380014 00380050 00380060 00380300 00380400 00380500 00400100 00401001 00401002 00401003 "
    "00401004 00401005 00401008 0040100A 00401010 00401400 00402004 00402005 00402016 00402017 "
    "00402400 00403001"
).split()
"""Keys of PS3.4 Table K.6-1, and what their modules add that scanners ask for; those above are of
an item of the Scheduled Procedure Step Sequence."""


@dataclass(frozen=True, slots=True)
class Step:
    """One scheduled procedure step, with the procedure and the patient that it is of."""

    key: str
    """By which it is known again, also from another source."""
    study_uid: str
    """Empty if it has none, or none that is one."""
    step_id: str
    accession_number: str
    day: str
    """YYYYMMDD; empty if it has none that can be read."""
    time: str
    attributes: dict[str, Any]
    """DICOM JSON; its Scheduled Procedure Step Sequence has one item."""

    def of_step(self, tag: str) -> str:
        """The first value of an attribute of its Scheduled Procedure Step Sequence, as text."""
        return _first(_step_in(self.attributes), tag)

    def of_patient(self, tag: str) -> str:
        """The same of the data set around it."""
        return _first(self.attributes, tag)


def steps_of(attributes: Mapping[str, Any]) -> list[Step]:
    """The steps of a data set: usually one; of several, each becomes an item of its own.

    Raises:
        InvalidInstance: It has none, or more than an item may have, or is nobody's.
    """
    kept = _kept(attributes, 0)
    items = [dict(item) for item in items_of(kept.get(STEP, {}))]
    if not any(items):
        raise InvalidInstance("it has no Scheduled Procedure Step Sequence (0040,0100)")
    if not (_first(kept, "00100010") or _first(kept, "00100020")):
        raise InvalidInstance("it names no patient: neither Patient's Name nor Patient ID")
    if len(items) > _MOST_STEPS:
        raise InvalidInstance(f"it has more than {_MOST_STEPS} scheduled procedure steps")
    return [_step({**kept, STEP: {"vr": "SQ", "Value": [item]}}) for item in items if item]


@dataclass(frozen=True, slots=True)
class Request:
    """What people know of a step; what is empty is made, or left empty."""

    patient_name: str
    """As DICOM writes it: ``FAMILY^GIVEN``."""
    patient_id: str
    modality: str
    station_ae_title: str
    date: str
    """YYYYMMDD."""
    time: str
    """HHMM or HHMMSS."""
    birth_date: str = ""
    """YYYYMMDD."""
    sex: str = ""
    issuer: str = ""
    """Of the Patient ID."""
    accession_number: str = ""
    description: str = ""
    physician: str = ""
    """Scheduled Performing Physician's Name."""
    study_uid: str = ""
    step_id: str = ""
    procedure_id: str = ""


def step_for(request: Request) -> Step:
    """An item with all that a scanner needs (the type 1 keys of PS3.4 Table K.6-1).

    Raises:
        InvalidInstance: It is longer than one may be.
    """
    step_id = request.step_id or secrets.token_hex(6).upper()
    description = request.description or f"{request.modality} study"
    of_step = {
        "00080060": ("CS", request.modality),
        "00400001": ("AE", request.station_ae_title),
        "00400002": ("DA", request.date),
        "00400003": ("TM", request.time),
        "00400006": ("PN", request.physician),
        "00400007": ("LO", description),
        "00400009": ("SH", step_id),
        "00400010": ("SH", ""),
        "00400011": ("SH", ""),
    }
    rest = {
        "00080050": ("SH", request.accession_number),
        "00080090": ("PN", ""),
        "00100010": ("PN", request.patient_name),
        "00100020": ("LO", request.patient_id),
        "00100021": ("LO", request.issuer),
        "00100030": ("DA", request.birth_date),
        "00100040": ("CS", request.sex),
        "0020000D": ("UI", request.study_uid or f"2.25.{uuid.uuid4().int}"),
        "00321060": ("LO", description),
        "00401001": ("SH", request.procedure_id or step_id),
    }
    attributes = {tag: _element(vr, text) for tag, (vr, text) in rest.items()}
    item = {tag: _element(vr, text) for tag, (vr, text) in of_step.items()}
    (step,) = steps_of({**attributes, STEP: {"vr": "SQ", "Value": [item]}})
    return step


def _element(vr: str, text: str) -> dict[str, Any]:
    if not text:
        return {"vr": vr}
    if vr == "PN":
        names = dict(zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False))
        return {"vr": vr, "Value": [{group: name for group, name in names.items() if name}]}
    return {"vr": vr, "Value": [text]}


def steps_in_file(data: bytes) -> list[Step]:
    """The steps of a file, with file meta information or without (a bare data set).

    Raises:
        InvalidInstance: It can't be read, or is no item of a worklist.
    """
    if not data:
        raise NotDicom("empty")
    if data[128:132] == b"DICM":
        meta = FileMetaReader()
        if not meta.feed(data):
            raise NotDicom("it ends in its file meta information")
        syntax, data = meta.values.get(_TRANSFER_SYNTAX, ""), meta.rest
    elif len(data) < 8 or not 0 < int.from_bytes(data[:2], "little") <= _LAST_FIRST_GROUP:
        raise NotDicom("no DICOM file")
    else:
        is_explicit = data[4:6].isalpha() and data[4:6].isupper()
        syntax = EXPLICIT_VR_LITTLE_ENDIAN if is_explicit else IMPLICIT_VR_LITTLE_ENDIAN
    if syntax not in IDENTIFIER_SYNTAXES:
        raise NotDicom("its transfer syntax is not one of worklists")
    return steps_of(read_identifier(data, syntax))


_TRANSFER_SYNTAX: Final = 0x0010
_LAST_FIRST_GROUP: Final = 0x0040
"""With which an item can begin: that of its Scheduled Procedure Step Sequence."""


def _step(attributes: dict[str, Any]) -> Step:
    item = _step_in(attributes)
    encoded = msgspec.json.encode(attributes, order="deterministic")
    if len(encoded) > _MOST_BYTES:
        raise InvalidInstance(f"it is longer than {_MOST_BYTES // 1024} KiB")
    study_uid, step_id = _first(attributes, "0020000D"), _first(item, "00400009")
    if not is_uid(study_uid):
        study_uid = ""
    if study_uid and step_id:
        key = f"{study_uid}/{step_id}"
    else:  # nothing of it says that it is another's
        key = f"#{hashlib.sha256(encoded).hexdigest()[:32]}"
    return Step(
        key=key,
        study_uid=study_uid,
        step_id=step_id,
        accession_number=_first(attributes, "00080050"),
        day=day_of(_first(item, "00400002")),
        time=_first(item, "00400003"),
        attributes=attributes,
    )


@lru_cache(maxsize=1024)
def day_of(text: str) -> str:
    """A date as YYYYMMDD, also one with points as long ago (PS3.5 6.2); empty if it is none."""
    found = _DATE.fullmatch(text.strip())
    if found is None:
        return ""
    year, month, day = found.groups()
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return ""
    return f"{year}{month}{day}"


def query_for(*, station: str = "", first_day: str = "", last_day: str = "") -> dict[str, Any]:
    """An identifier that asks for everything of what is scheduled (PS3.4 K.6.1.2.2).

    Args:
        station: Scheduled Station AE Title; empty: any.
        first_day: YYYYMMDD.
        last_day: YYYYMMDD.
    """
    step: dict[str, Any] = {tag: {"vr": VRS[int(tag, 16)]} for tag in KEYS_OF_STEP}
    if station:
        step["00400001"]["Value"] = [station]
    if first_day or last_day:
        step["00400002"]["Value"] = [f"{first_day}-{last_day}"]
    asked: dict[str, Any] = {tag: {"vr": VRS[int(tag, 16)]} for tag in KEYS_OF_REST}
    asked[STEP]["Value"] = [step]
    return asked


def _step_in(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(items_of(attributes.get(STEP, {})), {})


def _first(attributes: Mapping[str, Any], tag: str) -> str:
    element = attributes.get(tag, {})
    if element.get("vr") == "PN":
        names = [name for name in element.get("Value", ()) if isinstance(name, Mapping)]
        return str(names[0].get("Alphabetic", "")) if names else ""
    return next(iter(values_of(element)), "").strip()


def _kept(attributes: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """What of a data set can be kept: whatever is of the kind that its tag says."""
    kept = {}
    for tag in sorted(attributes):
        element = attributes[tag]
        if not isinstance(tag, str) or not _TAG.fullmatch(tag) or tag in _DROPPED:
            continue
        if tag[:4] in ("0000", "0002", "FFFE") or tag.endswith("0000"):
            continue
        if isinstance(element, Mapping) and (sound := _sound(tag, element, depth)) is not None:
            kept[tag] = sound
    return kept


def _sound(tag: str, element: Mapping[str, Any], depth: int) -> dict[str, Any] | None:
    """An element as it is kept; None if it is not."""
    vr = element.get("vr")
    standard = VRS.get(int(tag, 16), vr)
    if vr != standard and " or " not in str(standard):
        if vr not in _TEXTS or standard not in _TEXTS:
            return None
        vr = standard
    if vr == "SQ":
        items = [_kept(item, depth + 1) for item in items_of(element)] if depth < _DEEPEST else []
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
    if vr in _BYTES:
        data = element.get("InlineBinary")
        return {"vr": vr, "InlineBinary": data} if isinstance(data, str) else {"vr": vr}
    values = element.get("Value", [])
    if vr not in _PLAIN or not isinstance(values, list):
        return None
    if not all(value is None or _is_value(vr, value) for value in values):
        return None
    return {"vr": vr, "Value": values} if values else {"vr": vr}


def _is_value(vr: object, value: object) -> bool:
    if vr == "PN":
        return isinstance(value, Mapping) and all(isinstance(v, str) for v in value.values())
    if vr in _NUMBERS:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str)
