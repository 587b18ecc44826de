"""Bytes of our own as a DICOM instance, so that an archive keeps them: Raw Data (PS3.3 A.37, C.19).

Owns where in the data set they are: a private element, behind eight bytes that say how many they
are, since an archive may pad them (PS3.5 6.2, VR OB). The study says in the patient's name what it
is, and that there is no patient. No I/O here.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from edge.dicom.implementation import IMPLEMENTATION_CLASS_UID
from edge.dicom.instance import InstanceRef
from edge.dicom.part10 import file_meta
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from edge.errors import NotDicom

__all__ = ["RAW_DATA_STORAGE", "Label", "bytes_in", "to_part10", "uid_of_number"]

RAW_DATA_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.66"
_GROUP, _CREATOR, _ELEMENT = 0x2119, "EDGE CACHE RAW 1", 0x01
_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Label:
    """What people see of it in an archive."""

    patient_name: str
    patient_id: str
    description: str
    equipment: str
    version: str


def uid_of_number(number: int) -> str:
    """A UID that a 128-bit number makes (PS3.5 B.2)."""
    return f"2.25.{number}"


def to_part10(ref: InstanceRef, number: int, made: float, label: Label, content: bytes) -> bytes:
    """The instance.

    Args:
        ref: Its UIDs.
        number: Instance Number; the larger, the newer.
        made: POSIX seconds.
        label: What people see.
        content: Any bytes.
    """
    moment = datetime.fromtimestamp(made, UTC)
    date, time = f"{moment:%Y%m%d}", f"{moment:%H%M%S}"
    instance = Dataset()
    instance.SpecificCharacterSet = "ISO_IR 192"
    # SOP Common
    instance.SOPClassUID = RAW_DATA_STORAGE
    instance.SOPInstanceUID = ref.sop_uid
    instance.TimezoneOffsetFromUTC = "+0000"
    # Patient: every attribute is of Type 2
    instance.PatientName = label.patient_name
    instance.PatientID = label.patient_id
    instance.PatientBirthDate = instance.PatientSex = ""
    # General Study: dates of the instance would differ from one to the next, and a study has one
    instance.StudyInstanceUID = ref.study_uid
    instance.StudyDate = instance.StudyTime = ""
    instance.AccessionNumber = instance.StudyID = instance.ReferringPhysicianName = ""
    instance.StudyDescription = label.description
    # General Series, General Equipment
    instance.SeriesInstanceUID = ref.series_uid
    instance.SeriesNumber = 1
    instance.SeriesDescription = label.description
    instance.Modality = "OT"
    instance.Manufacturer = label.equipment
    instance.SoftwareVersions = label.version
    # Acquisition Context (Type 2), Raw Data
    instance.AcquisitionContextSequence = []
    instance.InstanceNumber = number
    instance.ContentDate, instance.ContentTime = date, time
    instance.CreatorVersionUID = IMPLEMENTATION_CLASS_UID
    value = _LENGTH.pack(len(content)) + content
    block = instance.private_block(_GROUP, _CREATOR, create=True)
    block.add_new(_ELEMENT, "OB", value + bytes(len(value) % 2))
    encoded = DicomBytesIO()
    encoded.is_little_endian, encoded.is_implicit_VR = True, False
    write_dataset(encoded, instance)
    meta = file_meta(
        sop_class_uid=RAW_DATA_STORAGE,
        sop_uid=ref.sop_uid,
        transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN,
    )
    return meta + bytes(encoded.getvalue())


def bytes_in(part10: bytes) -> bytes:
    """The bytes that ``to_part10`` put into an instance, in whatever way it was encoded since.

    Raises:
        NotDicom: It is no such instance, or was damaged.
    """
    try:
        instance = dcmread(io.BytesIO(part10))
        value = bytes(instance.private_block(_GROUP, _CREATOR)[_ELEMENT].value)
        (length,) = _LENGTH.unpack_from(value)
    except Exception as error:
        # Whatever pydicom thinks of bytes that anybody may have changed.
        raise NotDicom("the instance in the archive holds no backup") from error
    content = value[_LENGTH.size : _LENGTH.size + length]
    if len(content) != length:
        raise NotDicom("the backup in the archive is cut short")
    return content
