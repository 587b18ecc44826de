"""A tiny instance that tests the way to an archive, and can't be taken for a patient's.

Promises that it is a legal Secondary Capture Image, that every field a person may see says what it
is, and that each has UIDs of its own, so that deleting one can never touch anything else.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from edge.cloud.archive import Outgoing
from edge.dicom.encoder import encoded
from edge.dicom.instance import InstanceRef
from edge.dicom.part10 import file_meta
from edge.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN

__all__ = ["PATIENT_ID", "PATIENT_NAME", "STUDY_DESCRIPTION", "Specimen"]

PATIENT_NAME = "TEST^EDGE CACHE"
PATIENT_ID = "EDGE-CLOUD-TEST"
STUDY_DESCRIPTION = "Test of an edge cache: no patient, may be deleted"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_SIDE = 8


@dataclass(frozen=True, slots=True)
class Specimen:
    """One of them: a complete Part 10 file."""

    ref: InstanceRef
    data: bytes

    @classmethod
    def fresh(cls, now: float | None = None) -> Specimen:
        """A new one, with UIDs that nobody had before (UUID-derived, PS3.5 B.2).

        Args:
            now: POSIX seconds; its dates.
        """
        ref = InstanceRef(*(f"2.25.{uuid.uuid4().int}" for _ in range(3)))
        pieces = encoded(_attributes(ref, time.localtime(now)))
        data_set = b"".join(piece for piece in pieces if isinstance(piece, bytes))
        head = file_meta(
            sop_class_uid=_SECONDARY_CAPTURE,
            sop_uid=ref.sop_uid,
            transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN,
        )
        return cls(ref, head + data_set)

    def outgoing(self) -> Outgoing:
        """On its way to an archive."""
        return Outgoing(self.ref, len(self.data), self._stream)

    async def _stream(self) -> AsyncGenerator[bytes]:
        yield self.data


def _attributes(ref: InstanceRef, now: time.struct_time) -> dict[str, Any]:
    """Secondary Capture Image (PS3.3 A.8.1), its mandatory modules."""
    date, clock = time.strftime("%Y%m%d", now), time.strftime("%H%M%S", now)
    # A dark frame with a bright edge: a picture that is plainly there, and of nothing.
    inner = b"\xff" + bytes(_SIDE - 2) + b"\xff"
    pixels = b"\xff" * _SIDE + inner * (_SIDE - 2) + b"\xff" * _SIDE
    text = {
        "00080016": ("UI", _SECONDARY_CAPTURE),
        "00080018": ("UI", ref.sop_uid),
        "00080020": ("DA", date),
        "00080023": ("DA", date),
        "00080030": ("TM", clock),
        "00080033": ("TM", clock),
        "00080050": ("SH", "EDGE-TEST"),
        "00080060": ("CS", "OT"),
        "00080064": ("CS", "SYN"),
        "00080070": ("LO", "Edge cache"),
        "00080090": ("PN", {"Alphabetic": PATIENT_NAME}),
        "00081030": ("LO", STUDY_DESCRIPTION),
        "0008103E": ("LO", STUDY_DESCRIPTION),
        "00100010": ("PN", {"Alphabetic": PATIENT_NAME}),
        "00100020": ("LO", PATIENT_ID),
        "00104000": ("LT", "No person. Made by `edge cloud test`, which deletes it again."),
        "0020000D": ("UI", ref.study_uid),
        "0020000E": ("UI", ref.series_uid),
        "00200010": ("SH", "EDGE-TEST"),
        "00280004": ("CS", "MONOCHROME2"),
    }
    numbers = {
        "00200011": ("IS", 1),
        "00200013": ("IS", 1),
        "00280002": ("US", 1),
        "00280010": ("US", _SIDE),
        "00280011": ("US", _SIDE),
        "00280100": ("US", 8),
        "00280101": ("US", 8),
        "00280102": ("US", 7),
        "00280103": ("US", 0),
    }
    valued = {tag: {"vr": vr, "Value": [value]} for tag, (vr, value) in (text | numbers).items()}
    image_type = {"vr": "CS", "Value": ["DERIVED", "SECONDARY"]}
    empty = {"00100030": {"vr": "DA"}, "00100040": {"vr": "CS"}, "00200020": {"vr": "CS"}}
    frame = {"vr": "OB", "InlineBinary": base64.b64encode(pixels).decode("ascii")}
    return {**valued, **empty, "00080008": image_type, "7FE00010": frame}
