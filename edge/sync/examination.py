"""A direct look at one study: which of what an archive had of it is there, gone, or lost.

What is not listed is asked for in another way before it counts as missing, and an archive that
lacks something must show that it answers at all. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from edge.cache.absences import Vouched
from edge.cloud.archive import Archive, Dataset
from edge.cloud.listing import count_of, list_instances, uid_of
from edge.errors import InstanceNotFound
from edge.sync.link import Link

__all__ = ["Finding", "examine", "is_listed"]

_STUDY_UID, _SOP_UID = "0020000D", "00080018"


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of the instances of a study, in an archive that had them."""

    there: tuple[Vouched, ...] = ()
    absent: tuple[Vouched, ...] = ()
    """Of series, or a study, of which nothing is there."""
    lost: tuple[Vouched, ...] = ()
    """Of series of which something else still is there."""
    is_whole: bool = False
    """Whether the study is not there at all."""
    has_others: bool = False
    """Whether instances are listed that are not among them: in their series, or else by count."""


async def examine(
    archive: Archive, link: Link, study_uid: str, instances: Sequence[Vouched]
) -> Finding:
    """Look for instances of one study, which stand series by series.

    What is neither listed nor surely gone is nowhere in the finding.

    Raises:
        CloudError: The archive can't be asked, or will not answer.
        LineClosed: Nothing may go over the line now.
    """
    link.line.check("down")
    if (row := await _row_of(archive, study_uid)) is None:
        gone = await _is_gone(archive, study_uid)
        return Finding(absent=tuple(instances), is_whole=True) if gone else Finding()
    there: list[Vouched] = []
    absent: list[Vouched] = []
    lost: list[Vouched] = []
    has_others, counted = False, 0
    for series_uid, group in groupby(instances, lambda one: one.ref.series_uid):
        link.line.check("down")
        members = list(group)
        rows = await archive.search_instances(study_uid, series_uid)
        listed = {uid_of(one, _SOP_UID) for one in rows}
        there += [one for one in members if one.ref.sop_uid in listed]
        missing = [one for one in members if one.ref.sop_uid not in listed]
        has_others |= len(listed - {None}) > len(members) - len(missing)
        counted += len(rows)
        if not missing:
            continue
        if not rows and await _is_gone(archive, study_uid, series_uid):
            absent += missing
            continue
        found = (await list_instances(archive, [one.ref for one in missing])).found
        there += [one for one in missing if one.ref.sop_uid in found]
        if rows:
            lost += [one for one in missing if one.ref.sop_uid not in found]
    has_others |= count_of(row) > counted
    return Finding(tuple(there), tuple(absent), tuple(lost), has_others=has_others)


async def is_listed(archive: Archive, study_uid: str) -> bool:
    """Whether a search finds a study."""
    return await _row_of(archive, study_uid) is not None


async def _row_of(archive: Archive, study_uid: str) -> Dataset | None:
    """What a search for a study says of it."""
    found = await archive.search_studies({"StudyInstanceUID": study_uid}, limit=1)
    return next((one for one in found if uid_of(one, _STUDY_UID) == study_uid), None)


async def _is_gone(archive: Archive, study_uid: str, series_uid: str | None = None) -> bool:
    """Whether not even its metadata can be had."""
    try:
        return not await archive.retrieve_metadata(study_uid, series_uid)
    except InstanceNotFound:
        return True
