"""The DICOMDIR of a medium: a directory of the instances on a CD or a stick (PS3.3 F, PS3.10 8.6).

Owns the records and how they refer to each other by their offsets. Promises a directory that other
software reads: what the Standard requires and an instance lacks is made up, as other makers of
media do (Patient ID, Study ID, dates, numbers), in the directory alone. Text is UTF-8. What a
record holds is decided by pydicom's recorders. Does no I/O and never sees pixels.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from typing import Any, Final

from pydicom import DataElement, Dataset
from pydicom.config import IGNORE, RAISE
from pydicom.filebase import DicomBytesIO
from pydicom.fileset import DIRECTORY_RECORDERS
from pydicom.filewriter import write_dataset
from pydicom.uid import UID
from pydicom.valuerep import validate_value

from edge.dicom.dictionary import VRS
from edge.dicom.part10 import file_meta
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN

__all__ = ["DirectoryBuilder"]

_MEDIA_STORAGE_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_UTF_8: Final = "ISO_IR 192"
_LEVELS: Final = ("PATIENT", "STUDY", "SERIES")

_LEAVES: Final = (
    (re.compile(r"^RT.*TreatmentRecord|^RTTreatmentSummary"), "RT TREAT RECORD"),
    (re.compile(r"^RTDose"), "RT DOSE"),
    (re.compile(r"^RTStructureSet"), "RT STRUCTURE SET"),
    (re.compile(r"^RT(Ion)?Plan"), "RT PLAN"),
    (re.compile(r"PresentationState|^BasicStructuredDisplay"), "PRESENTATION"),
    (re.compile(r"Waveform"), "WAVEFORM"),
    (re.compile(r"^KeyObjectSelection"), "KEY OBJECT DOC"),
    (re.compile(r"SRStorage|^ProcedureLog|Report(Storage)?$"), "SR DOCUMENT"),
    (re.compile(r"^Encapsulated"), "ENCAP DOC"),
    (re.compile(r"^MRSpectroscopy"), "SPECTROSCOPY"),
    (re.compile(r"^RawData"), "RAW DATA"),
    (re.compile(r"SpatialRegistration"), "REGISTRATION"),
    (re.compile(r"^SpatialFiducials"), "FIDUCIAL"),
    (re.compile(r"^RealWorldValueMapping"), "VALUE MAP"),
    (re.compile(r"^SurfaceScan"), "SURFACE SCAN"),
    (re.compile(r"^SurfaceSegmentation"), "SURFACE"),
    (re.compile(r"^TractographyResults"), "TRACT"),
)
"""Directory Record Type by the keyword of the SOP class (PS3.3 F.4); anything else is an image."""

_MADE_UP: Final[Mapping[str, Mapping[str, Any]]] = {
    "PATIENT": {"PatientID": "UNKNOWN"},
    "STUDY": {"StudyDate": "19000101", "StudyTime": "000000", "StudyID": "1"},
    "SERIES": {"Modality": "OT", "SeriesNumber": 1},
}
"""Type 1 of PS3.3 F.5.1 to F.5.3, for instances that lack them."""

_OF_IMAGES: Final = frozenset(
    "00080005 00080020 00080030 00080050 00080060 00081030 0008103E 00100010 00100020 0020000D "
    "0020000E 00200010 00200011 00200013".split()
)
_MISSING: Final = (None, "")
"""Zero is a number like any other."""
_ITEM: Final = b"\xfe\xff\x00\xe0"
# (0004,1400), (0004,1410) and (0004,1420), which every record begins with.
_LINKS: Final = struct.Struct("<HH2sHI HH2sHH HH2sHI")
_IN_USE: Final = 0xFFFF


@dataclass(slots=True)
class _Record:
    """A record whose place in the file is not known yet."""

    body: bytes
    """Encoded, without what refers to other records."""
    below: dict[str, _Record] = field(default_factory=dict)
    """The records of the next level, by what tells them apart, in order of arrival."""

    @property
    def size(self) -> int:
        return len(_ITEM) + 4 + _LINKS.size + len(self.body)


class DirectoryBuilder:
    """Collects the instances of a medium, and writes the directory of them."""

    def __init__(self) -> None:
        self._root = _Record(b"")

    def add(
        self, file_id: tuple[str, ...], attributes: Mapping[str, Any], transfer_syntax: str
    ) -> None:
        """List one instance.

        Args:
            file_id: Components of its path on the medium, at most 8, each of at most 8 characters
                ``A-Z0-9_`` (PS3.10 8.2).
            attributes: Of the instance, DICOM JSON.
            transfer_syntax: Of the file on the medium.
        """
        sop_class_uid, sop_uid = (_text(attributes, tag) for tag in ("00080016", "00080018"))
        leaf = _leaf_type(sop_class_uid)
        dataset = _dataset(attributes, whole=leaf != "IMAGE")
        record = self._root
        keys = (
            f"{dataset.get('PatientID')}\0{dataset.get('PatientName')}",
            _text(attributes, "0020000D"),
            _text(attributes, "0020000E"),
        )
        for kind, key in zip(_LEVELS, keys, strict=True):
            if key not in record.below:
                record.below[key] = _Record(_encoded(kind, _recorded(kind, dataset)))
            record = record.below[key]
        if dataset.get("InstanceNumber") in _MISSING:
            dataset.InstanceNumber = len(record.below) + 1
        entry = _recorded(leaf, dataset)
        entry.ReferencedFileID = list(file_id)
        entry.ReferencedSOPClassUIDInFile = sop_class_uid
        entry.ReferencedSOPInstanceUIDInFile = sop_uid
        entry.ReferencedTransferSyntaxUIDInFile = transfer_syntax
        record.below[sop_uid] = _Record(_encoded(leaf, entry))

    def to_bytes(self, file_set_uid: str, file_set_id: str = "EDGE") -> bytes:
        """The whole DICOMDIR file, in explicit VR little endian as PS3.10 8.6 wants it.

        Args:
            file_set_uid: A new UID for this medium.
            file_set_id: Its label: at most 16 characters ``A-Z0-9_``.
        """
        meta = file_meta(
            sop_class_uid=_MEDIA_STORAGE_DIRECTORY,
            sop_uid=file_set_uid,
            transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN,
        )
        records = list(_in_order(self._root))
        top = list(self._root.below.values())
        label = file_set_id.encode("ascii")
        label += b" " * (len(label) % 2)
        body_size = sum(record.size for record in records)
        before = struct.pack("<HH2sH", 4, 0x1130, b"CS", len(label)) + label
        start = len(meta) + len(before) + 12 + 12 + 10 + 12
        places = _places(records, start)
        first, last = (places[id(top[0])], places[id(top[-1])]) if top else (0, 0)
        output = BytesIO()
        output.write(meta + before)
        output.write(struct.pack("<HH2sHI", 4, 0x1200, b"UL", 4, first))
        output.write(struct.pack("<HH2sHI", 4, 0x1202, b"UL", 4, last))
        output.write(struct.pack("<HH2sHH", 4, 0x1212, b"US", 2, 0))
        output.write(struct.pack("<HH2sxxI", 4, 0x1220, b"SQ", body_size))
        following = _following(self._root)
        for record in records:
            below = next(iter(record.below.values()), None)
            links = _LINKS.pack(
                *(4, 0x1400, b"UL", 4, places.get(id(following.get(id(record))), 0)),
                *(4, 0x1410, b"US", 2, _IN_USE),
                *(4, 0x1420, b"UL", 4, 0 if below is None else places[id(below)]),
            )
            output.write(_ITEM + struct.pack("<I", len(links) + len(record.body)))
            output.write(links + record.body)
        return output.getvalue()


def _in_order(record: _Record) -> Iterator[_Record]:
    """Every record below, each before those of its own next level."""
    for below in record.below.values():
        yield below
        yield from _in_order(below)


def _places(records: list[_Record], start: int) -> dict[int, int]:
    """Offset of each record's item in the file, by the record's identity."""
    places = {}
    for record in records:
        places[id(record)] = start
        start += record.size
    return places


def _following(record: _Record) -> dict[int, _Record]:
    """The next record of the same directory entity, by the identity of the one before it."""
    siblings = list(record.below.values())
    following = {id(a): b for a, b in pairwise(siblings)}
    for below in siblings:
        following |= _following(below)
    return following


def _leaf_type(sop_class_uid: str) -> str:
    keyword = UID(sop_class_uid).keyword
    return next((kind for pattern, kind in _LEAVES if pattern.search(keyword)), "IMAGE")


def _dataset(attributes: Mapping[str, Any], *, whole: bool) -> Dataset:
    """What records may be made of: no binary values, and of an image just what its records show.

    What the VR of an attribute does not permit is left out, and so is one of another VR than the
    dictionary's: a record would write it as what it is not.
    """
    dataset = Dataset()
    for tag, element in attributes.items():
        vr, values = element["vr"], element.get("Value")
        known = VRS.get(int(tag, 16), "").split(" or ")
        if not values or vr not in known or not (whole or tag in _OF_IMAGES):
            continue
        converted = [_converted(vr, value) for value in values]
        with suppress(ValueError, TypeError, OverflowError):
            for value in converted:
                if isinstance(value, str):  # numbers are checked as they are put in
                    validate_value(vr, value, RAISE)
            dataset.add(
                DataElement(
                    int(tag, 16),
                    vr,
                    converted[0] if vr != "SQ" and len(converted) == 1 else converted,
                    validation_mode=IGNORE,
                )
            )
    return dataset


def _converted(vr: str, value: Any) -> Any:
    """One JSON value as pydicom takes it."""
    if vr == "SQ":
        return _dataset(value or {}, whole=True)
    if vr == "PN":
        groups = (value or {}).get
        names = [groups(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(names).rstrip("=")
    return "" if value is None else value


def _recorded(kind: str, dataset: Dataset) -> Dataset:
    """The keys of one record; what pydicom misses is made up, or left out at the lowest level."""
    for keyword, value in _MADE_UP.get(kind, {}).items():
        if dataset.get(keyword) in _MISSING:
            setattr(dataset, keyword, value)
    try:
        record = DIRECTORY_RECORDERS[kind](dataset)
    except ValueError:
        # A Type 1 key of this kind is missing (PS3.3 F.5): it can still be found by its number.
        record = Dataset()
        record.InstanceNumber = dataset.InstanceNumber
    if kind == "SERIES" and (description := dataset.get("SeriesDescription")):
        record.SeriesDescription = description  # optional, and what a reader chooses by
    return record


def _encoded(kind: str, record: Dataset) -> bytes:
    record.DirectoryRecordType = kind
    record.SpecificCharacterSet = _UTF_8
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, record)
    return bytes(buffer.getvalue())


def _text(attributes: Mapping[str, Any], tag: str) -> str:
    values = attributes.get(tag, {}).get("Value") or [""]
    return str(values[0])
