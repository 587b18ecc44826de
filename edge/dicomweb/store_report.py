"""What STOW-RS answers: the Store Instances Response Module (PS3.18 10.5.3, annex I).

Owns the account of one request: what became of each part, the Failure Reason of each error, the
status of the whole. Promises that every part appears, by the UIDs of its file meta if it was not
understood further. Never does I/O.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from edge.dicom.part10 import PREAMBLE
from edge.dicom.uids import is_uid
from edge.dicomweb.resources import Target
from edge.dicomweb.responses import Refused
from edge.errors import (
    EdgeError,
    InstanceMismatch,
    InstanceTooLong,
    InvalidInstance,
    MultipartError,
    NotStorable,
    PixelError,
    PixelWorkersBusy,
    StorageFull,
)

if TYPE_CHECKING:
    from edge.cache.admission import Admitted

__all__ = ["HEAD_BYTES", "FailureReason", "Outcome", "Report"]

HEAD_BYTES: Final = 1024
"""Of each part, so many bytes are kept to name it by, should it fail."""


class FailureReason(IntEnum):
    """Values of Failure Reason (0008,1197) (PS3.18 I.2.2)."""

    PROCESSING = 0x0110
    NOT_SUPPORTED = 0x0122
    OUT_OF_RESOURCES = 0xA700
    MISMATCH = 0xA900
    NOT_UNDERSTOOD = 0xC000


_DUPLICATE: Final = 0x0111
"""As Warning Reason (0008,1196): kept, beside other bytes of the same UID (PS3.7 C.5.7)."""

_BESIDE: Final = (
    "another instance of this UID was here before: it is the one that is given out; this one is"
    " kept beside it, as `edge status` says"
)
_PRIVATE_CREATOR: Final = "EDGE CACHE"


@dataclass(slots=True)
class Outcome:
    """What became of one part."""

    head: bytearray = field(default_factory=bytearray)
    """Its first bytes, ``HEAD_BYTES`` at the most."""
    named: tuple[str, str] | None = None
    """SOP Class and Instance UID, if they are known otherwise."""
    admitted: Admitted | None = None
    reason: FailureReason | None = None
    too_long: bool = False
    """It would have been longer than an instance may be."""
    detail: str = ""

    def fail(self, error: Exception) -> None:
        """Account for the error that ended it."""
        match error:
            case StorageFull() | PixelWorkersBusy():
                self.reason = FailureReason.OUT_OF_RESOURCES
            case InstanceTooLong():
                # Not A700: who is told of resources waits, and sends it again.
                self.reason = FailureReason.NOT_UNDERSTOOD
                self.too_long = True
            case NotStorable():
                self.reason = FailureReason.NOT_SUPPORTED
            case InstanceMismatch():
                self.reason = FailureReason.MISMATCH
            case InvalidInstance() | MultipartError() | PixelError() | Refused():
                self.reason = FailureReason.NOT_UNDERSTOOD
            case _:
                self.reason = FailureReason.PROCESSING
        if isinstance(error, EdgeError):
            self.detail = f"{error} ({error.hint})" if error.hint else str(error)

    @property
    def announced(self) -> tuple[str, str] | None:
        """SOP Class and Instance UID as far as anything names them; None if nothing does."""
        if self.named is not None:
            return self.named
        meta = dict(_file_meta(bytes(self.head)))
        uids = [meta.get(tag, b"").rstrip(b"\0 ").decode("ascii", "replace") for tag in (2, 3)]
        return (uids[0], uids[1]) if all(map(is_uid, uids)) else None


def _file_meta(head: bytes) -> Iterator[tuple[int, bytes]]:
    """Element number and value of group 0002, as far as the bytes go (PS3.10 7.1)."""
    at = len(PREAMBLE)
    if head[128:at] != b"DICM":
        return
    while len(head) >= at + 12:
        group, element, vr, length = struct.unpack_from("<HH2sH", head, at)
        at += 8
        if vr in (b"OB", b"UN"):
            (length,) = struct.unpack_from("<I", head, at)
            at += 4
        if group != 2 or at + length > len(head):
            return
        yield element, head[at : at + length]
        at += length


class Report:
    """The account of one request."""

    def __init__(self) -> None:
        self._outcomes: list[Outcome] = []
        self.broken: Exception | None = None
        """Why the body could not be read to its end."""

    def add(self) -> Outcome:
        """Open the account of the next part."""
        outcome = Outcome()
        self._outcomes.append(outcome)
        return outcome

    def answer(self, base: str) -> tuple[int, dict[str, Any]]:
        """HTTP status and DICOM JSON body.

        Args:
            base: Of the service, for Retrieve URLs.

        Raises:
            Refused, StorageFull: There was no part, or none could be read: nothing to account for.
        """
        for outcome in self._outcomes:
            if outcome.admitted is None and outcome.reason is None and self.broken is not None:
                outcome.fail(self.broken)
        if not self._outcomes:
            if isinstance(self.broken, Refused | StorageFull):
                raise self.broken
            raise Refused(
                400,
                str(self.broken) if isinstance(self.broken, EdgeError) else "the body has no parts",
                hint="the body must be multipart/related as its Content-Type says",
            )
        return self._status(), self._module(base)

    @property
    def summary(self) -> str:
        """For the log: how many were stored, how many beside another, how many not, and why not."""
        stored = [outcome.admitted for outcome in self._outcomes if outcome.admitted is not None]
        beside = sum(map(_is_conflict, stored))
        reasons = sorted({one.reason for one in self._outcomes if one.reason is not None})
        return (
            f"{len(stored)} stored"
            + (f" ({beside} in conflict)" if beside else "")
            + f", {len(self._outcomes) - len(stored)} not"
            + (f" ({', '.join(f'{reason:04X}' for reason in reasons)})" if reasons else "")
        )

    def _status(self) -> int:
        """PS3.18 table 10.5.3-1."""
        stored = [outcome.admitted for outcome in self._outcomes if outcome.admitted is not None]
        reasons = {outcome.reason for outcome in self._outcomes if outcome.reason is not None}
        if stored:
            plain = not reasons and self.broken is None and not any(map(_is_conflict, stored))
            return 200 if plain else 202
        if all(outcome.too_long for outcome in self._outcomes):
            return 413
        # 507 is an invitation to try again.
        if FailureReason.OUT_OF_RESOURCES in reasons:
            return 507
        if isinstance(self.broken, Refused):
            return self.broken.status
        nonsense = reasons == {FailureReason.NOT_UNDERSTOOD}
        if self.broken is not None or (nonsense and not any(it.too_long for it in self._outcomes)):
            return 400
        return 500 if reasons == {FailureReason.PROCESSING} else 409

    def _module(self, base: str) -> dict[str, Any]:
        """PS3.18 table I.1-1."""
        stored, failed, others, studies = [], [], [], set()
        for outcome in self._outcomes:
            if outcome.admitted is not None:
                stored.append(_stored_item(outcome.admitted, base))
                studies.add(outcome.admitted.ref.study_uid)
            elif (announced := outcome.announced) is not None:
                failed.append(
                    {**_reference(*announced), **_failure(outcome.reason, outcome.detail)}
                )
            else:
                others.append(_failure(outcome.reason, outcome.detail))
        if self.broken is not None and self._outcomes[-1].admitted is not None:
            detail = str(self.broken) if isinstance(self.broken, EdgeError) else ""
            others.append(_failure(FailureReason.NOT_UNDERSTOOD, detail))
        module: dict[str, Any] = {"00081190": {"vr": "UR"}}
        if len(studies) == 1:
            module["00081190"]["Value"] = [Target(*studies).url(base)]
        for tag, items in (("00081198", failed), ("00081199", stored), ("0008119A", others)):
            if items:
                module[tag] = {"vr": "SQ", "Value": items}
        return module


def _is_conflict(admitted: Admitted) -> bool:
    return admitted.outcome == "CONFLICT"


def _reference(sop_class_uid: str, sop_uid: str) -> dict[str, Any]:
    """SOP Instance Reference Macro (PS3.3 10.8)."""
    return {
        "00081150": {"vr": "UI", "Value": [sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [sop_uid]},
    }


def _stored_item(admitted: Admitted, base: str) -> dict[str, Any]:
    ref = admitted.ref
    item = _reference(admitted.sop_class_uid, ref.sop_uid)
    url = Target(ref.study_uid, ref.series_uid, ref.sop_uid).url(base)
    item["00081190"] = {"vr": "UR", "Value": [url]}
    if _is_conflict(admitted):
        item["00081196"] = {"vr": "US", "Value": [_DUPLICATE]}
        item |= _words(_BESIDE)
    return item


def _failure(reason: FailureReason | None, detail: str) -> dict[str, Any]:
    """Failure Reason, and in private elements the sentence that a person needs."""
    number = int(reason or FailureReason.PROCESSING)
    return {"00081197": {"vr": "US", "Value": [number]}} | (_words(detail) if detail else {})


def _words(text: str) -> dict[str, Any]:
    return {
        "00090010": {"vr": "LO", "Value": [_PRIVATE_CREATOR]},
        "00091001": {"vr": "UT", "Value": [text]},
    }
