"""What the archive lists: a study whole, or which of some instances it has.

The fingerprint is what tells, from one row of a study search, whether the descent is worth while:
counts, modalities and demographics. An archive that gives no counts is descended into every time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from edge.cloud.archive import Archive, Dataset, first_value
from edge.dicom.demographics import DEMOGRAPHICS
from edge.dicom.instance import InstanceRef
from edge.dicom.remote import RemoteInstance, RemoteSeries, RemoteStudy
from edge.dicom.uids import is_uid

__all__ = [
    "Answer",
    "Listing",
    "by_study",
    "count_of",
    "describe_study",
    "fingerprint",
    "list_instances",
    "uid_of",
]

_FINGERPRINT = (
    "00080020 00080030 00080050 00080061 00080090 00081030 00100010 00100020 00100021 00100030 "
    "00100040 00200010 00201206 00201208".split()
)
_IF_PRESENT = "00080051 00081060 00100022 00100032 00101000 00101001 00101002".split()
"""Not every archive answers with them: of one that does not, the fingerprint is as it would be."""
_COUNT = "00201208"
_STUDY_UID, _SOP_UID = "0020000D", "00080018"
_PATIENTS = 10
"""Of one study: rows of a search for it."""
_FEW = 4
"""So many are asked for one by one: a row of a list costs an archive about a millisecond, and a
series can have thousands."""


def uid_of(dataset: Dataset, tag: str) -> str | None:
    """A UID in an answer; None if it is absent or not one."""
    value = first_value(dataset, tag)
    return value if isinstance(value, str) and is_uid(value) else None


def fingerprint(study: Dataset, contradicted: Iterable[str] = ()) -> str:
    """What the answer to a study search comes down to; empty if it says too little."""
    if first_value(study, _COUNT) is None:
        return ""
    values = [study.get(tag, {}).get("Value", []) for tag in _FINGERPRINT]
    values += [[tag, given] for tag in _IF_PRESENT if (given := study.get(tag, {}).get("Value"))]
    values += [[tag] for tag in sorted(contradicted)]
    return hashlib.sha256(msgspec.json.encode(values)).hexdigest()


def count_of(study: Dataset) -> int:
    """How many instances the answer to a study search counts; 0 if it does not say."""
    try:
        return int(first_value(study, _COUNT) or 0)
    except (TypeError, ValueError):
        return 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a study search says of one study."""

    study: Dataset
    contradicted: frozenset[str] = frozenset()
    """Tags of patient and study that it says differently in another row."""


def by_study(rows: Sequence[Dataset]) -> dict[str, Answer]:
    """The rows of a study search's answer, by Study Instance UID.

    Some archives keep a study once for each patient that it was sent for, and list it as often.
    """
    found: dict[str, Answer] = {}
    for row in rows:
        if (study_uid := uid_of(row, _STUDY_UID)) is None:
            continue
        before = found.get(study_uid, Answer(row))
        differing = {tag for tag in DEMOGRAPHICS if before.study.get(tag) != row.get(tag)}
        found[study_uid] = Answer(row, before.contradicted | differing)
    return found


async def describe_study(
    archive: Archive,
    study_uid: str,
    answer: Answer | None = None,
    *,
    only: Collection[str] | None = None,
) -> RemoteStudy | None:
    """List a study whole.

    Args:
        archive: The archive to ask.
        study_uid: The study.
        answer: What a study search says of it, if that was asked already.
        only: Series Instance UIDs of those that are listed; None: all. If there are others, the
            study has no fingerprint: it was not listed whole.

    Returns:
        None if the archive does not list the study.

    Raises:
        CloudError: The archive can't be asked, or will not answer.
    """
    if answer is None:
        rows = await archive.search_studies({"StudyInstanceUID": study_uid}, limit=_PATIENTS)
        answer = by_study(rows).get(study_uid)
        if answer is None:
            return None
    found = await archive.search_series(study_uid)
    listed = {uid: one for one in found if (uid := uid_of(one, "0020000E")) is not None}
    wanted = {uid: one for uid, one in listed.items() if only is None or uid in only}
    series = [
        RemoteSeries(series_uid, one, await _instances(archive, study_uid, series_uid))
        for series_uid, one in wanted.items()
    ]
    whole = len(wanted) == len(listed)
    return RemoteStudy(
        study_uid,
        fingerprint(answer.study, answer.contradicted) if whole else "",
        answer.study,
        tuple(series),
        archive.name,
        answer.contradicted,
    )


async def _instances(
    archive: Archive, study_uid: str, series_uid: str
) -> tuple[RemoteInstance, ...]:
    return tuple(
        RemoteInstance(sop_uid, uid_of(one, "00080016") or "", one)
        for one in await archive.search_instances(study_uid, series_uid)
        if (sop_uid := uid_of(one, _SOP_UID)) is not None
    )


@dataclass(frozen=True, slots=True)
class Listing:
    """What an archive listed of the instances that it was asked about, all of one series."""

    found: frozenset[str]
    """SOP Instance UIDs."""
    rows: int | None
    """Instances that the whole series has there; None if it was not listed as a whole."""


async def list_instances(archive: Archive, series: Sequence[InstanceRef]) -> Listing:
    """Ask which of these instances, all of one series, the archive has.

    Each one that the series' list lacks is asked for by its own UID before it counts as missing:
    lists are cut where their archive likes. And an archive that lacks something must show that its
    searches work at all: whatever stands in its way may answer "not found" to everything.

    Raises:
        CloudError: The archive can't be asked.
    """
    wanted = {ref.sop_uid for ref in series}
    study_uid, series_uid = series[0].study_uid, series[0].series_uid
    listed = set[str]()
    count: int | None = None
    if len(wanted) > _FEW:
        rows = await archive.search_instances(study_uid, series_uid)
        listed = {uid for row in rows if (uid := uid_of(row, _SOP_UID)) is not None}
        count = len(listed)
    for sop_uid in sorted(wanted - listed):
        rows = await archive.search_instances(study_uid, series_uid, sop_uid)
        if any(uid_of(row, _SOP_UID) == sop_uid for row in rows):
            listed.add(sop_uid)
    if wanted - listed:
        await archive.search_studies(limit=1)
    return Listing(frozenset(wanted & listed), count)
