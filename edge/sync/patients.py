"""Asks the archive about single patients and studies (QIDO-RS): sweeps may meet them too late.

Each is asked about once a day. Learns what is not known, or was listed differently. Promises that
an answer about somebody else is not taken for one about this patient, and that an ID which an
archive would take for a pattern is asked about and compared all the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from edge.cache.custody import CustodyLedger
from edge.cache.priors import DAY, Patient
from edge.cloud.archive import Archive, Dataset, first_value
from edge.cloud.listing import fingerprint, uid_of
from edge.dicom.remote import NONSENSE
from edge.errors import CloudRefused
from edge.sync.learning import Learning
from edge.sync.link import Link

__all__ = ["Patients"]

log = logging.getLogger(__name__)

_PAGE = 100
"""No archive that we know cuts an answer below this."""
_MOST = 200
"""Studies of a patient; nobody has more, but an ID that many share."""
_PATIENT_ID, _ISSUER, _STUDY_UID = "00100020", "00100021", "0020000D"


class Patients:
    """Remembers in memory whom it asked about: after a start all are asked about once more.

    Args:
        ledger: Knows what was learned before.
        archive: Is asked.
        link: Whose line has to be open.
        learning: Looks into studies of this archive, and keeps them.
        clock: POSIX seconds.
    """

    def __init__(
        self,
        ledger: CustodyLedger,
        archive: Archive,
        link: Link,
        learning: Learning,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._archive = archive
        self._link = link
        self._learning = learning
        self._clock = clock
        self._asked: dict[tuple[str, str], float] = {}

    async def ask(
        self, patients: Sequence[Patient], studies: Sequence[str] = (), *, most: int = 1000
    ) -> int:
        """Ask about those whose turn it is, the first ones; how many that were.

        Raises:
            CloudError: The archive can't be asked.
            LineClosed: It may not be now.
        """
        patients_due = self._due([(one.patient_id, one.issuer) for one in patients])[:most]
        studies_due = self._due([("", uid) for uid in studies])[:most]
        for key in patients_due:
            try:
                for study in await self._studies_of(*key):
                    await self._learn(study)
            except (CloudRefused, *NONSENSE) as error:
                self._log(error)
            self._asked[key] = self._clock()
        for key in studies_due:
            try:
                await self._look_into(key[1])
            except (CloudRefused, *NONSENSE) as error:
                self._log(error)
            self._asked[key] = self._clock()
        return len(patients_due) + len(studies_due)

    def _due(self, keys: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        now = self._clock()
        # Of a clock that was ahead, too.
        self._asked = {key: at for key, at in self._asked.items() if abs(now - at) < DAY}
        return [key for key in dict.fromkeys(keys) if key not in self._asked]

    def _log(self, error: Exception) -> None:
        # The words of a foreign error may quote a patient.
        words = error if isinstance(error, CloudRefused) else type(error).__name__
        log.warning("archive %s: what it has of a patient can't be seen: %s", self.name, words)

    @property
    def name(self) -> str:
        """Of the archive."""
        return self._archive.name

    async def _studies_of(self, patient_id: str, issuer: str) -> list[Dataset]:
        if "\\" in patient_id:
            return []  # it would be a list of several
        found: dict[str, Dataset] = {}
        seen = 0
        while seen < _MOST:
            self._link.line.check("down")
            page = await self._archive.search_studies(
                {"PatientID": patient_id}, limit=_PAGE, offset=seen
            )
            for one in page:
                uid = uid_of(one, _STUDY_UID)
                if uid is not None and _is_of(one, patient_id, issuer):
                    found.setdefault(uid, one)
            seen += len(page)
            if len(page) < _PAGE:
                break
        return list(found.values())

    async def _learn(self, study: Dataset) -> None:
        uid = uid_of(study, _STUDY_UID) or ""
        now = fingerprint(study)
        known = await self._ledger.fingerprints([uid])
        if now and known.get(uid) == now:
            return
        await self._look_into(uid)

    async def _look_into(self, study_uid: str) -> None:
        """Ask about the study itself: an archive may list it for other patients, too."""
        remote = await self._learning.look_into(study_uid)
        if remote is not None and remote.series:
            await self._learning.keep(remote)


def _is_of(study: Dataset, patient_id: str, issuer: str) -> bool:
    """Whether an answer is about this patient; an archive may ignore what it was asked."""
    theirs = str(first_value(study, _PATIENT_ID) or "").strip()
    their_issuer = str(first_value(study, _ISSUER) or "").strip()
    return theirs == patient_id.strip() and (
        not issuer or not their_issuer or issuer.strip() == their_issuer
    )
