"""Studies as people look for them, and what they may want of one: that it comes here now."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from edge.cache.pins import Pins
from edge.cache.retrieval import Retrieval
from edge.dicom.instance import Availability
from edge.errors import DecisionRefused, InstanceNotFound
from edge.index import studies as rows
from edge.index.database import Database
from edge.index.study_lines import Here, Order, SeriesLine, StudyLine, Vouched, Wanted

__all__ = [
    "Here",
    "Order",
    "SeriesLine",
    "Studies",
    "StudyLine",
    "Vouched",
    "Wanted",
    "WholeStudy",
]


@dataclass(frozen=True, slots=True)
class WholeStudy:
    """A study with its series, and what else there is of its patient."""

    study: StudyLine
    series: tuple[SeriesLine, ...]
    priors: tuple[StudyLine, ...]
    """Other studies of the same Patient ID, the latest first."""
    pinned: bool
    """By people: this study itself."""
    patient_pinned: bool
    """By people: its patient."""


class Studies:
    """Lists them.

    Args:
        database: The index.
        pins: What shall always be here.
        retrieval: Brings what is in the archive.
        has_archive: Whether one is configured.
    """

    def __init__(
        self, database: Database, pins: Pins, retrieval: Retrieval | None, *, has_archive: bool
    ) -> None:
        self._database = database
        self._pins = pins
        self._retrieval = retrieval
        self._has_archive = has_archive

    async def find(self, wanted: Wanted) -> tuple[int, tuple[StudyLine, ...]]:
        """How many there are, and a page of them."""
        return await rows.find(self._database, wanted, self._pins.pinned)

    async def study(self, study_uid: str, senders: frozenset[str] = frozenset()) -> WholeStudy:
        """All that a page about it shows.

        Args:
            study_uid: Of the study; whoever asks may see it.
            senders: Other studies are shown of which one of these sent something; none means all.

        Raises:
            InstanceNotFound: Neither this box nor the archive, as far as is known, has it.
        """
        pinned = self._pins.pinned
        found, series, priors, by = await asyncio.gather(
            rows.study(self._database, study_uid, pinned),
            rows.series_of(self._database, study_uid),
            rows.studies_of_patient(self._database, study_uid, senders, pinned),
            rows.pinned_by(self._database, study_uid),
        )
        if found is None:
            raise InstanceNotFound(
                "there is no such study here, or not any more",
                hint="look for it in the list of studies",
            )
        return WholeStudy(found, series, priors, *by)

    async def bring(self, study_uid: str) -> int:
        """Have all of a study brought here, a few instances at a time; how many are to come.

        Raises:
            DecisionRefused: There is no archive that it could come from.
            InstanceNotFound: It is not known.
            CloudError: The archive has to be asked about it, and can't be.
        """
        if not self._has_archive or self._retrieval is None:
            raise DecisionRefused("no archive is configured that it could come from")
        entries = await self._retrieval.instances(study_uid)
        if not entries:
            raise InstanceNotFound("there is no such study")
        away = [one.ref for one in entries if one.availability is Availability.NEARLINE]
        self._retrieval.expect(away)
        return len(away)
