"""Patients, as the index knows them: by the studies that name them.

There is no row of a patient. A patient is a Patient ID with its issuer (0010,0021); studies without
a Patient ID belong together where they have the same name. A search for patients finds studies, and
takes the newest of each patient to speak for it; how much a patient has in all is counted over
every study that is shown.
"""

from __future__ import annotations

from typing import Final

from edge.dicom.instance import Level
from edge.index.conditions import shown_of

__all__ = ["COUNTS", "GROUPS"]

_ISSUER, _NAME = '$."00100021".Value[0]', '$."00100010".Value[0]'


def _who(study: str) -> str:
    """What tells patients of the same Patient ID apart; *study* is the alias of a study."""
    return (
        f"(SELECT coalesce(json_extract(attributes, '{_ISSUER}'), '') || CASE {study}.patient_id"
        f" WHEN '' THEN coalesce(json_extract(attributes, '{_NAME}'), '') ELSE '' END"
        f" FROM study_attributes WHERE study_id = {study}.id)"
    )


GROUPS: Final = f"s.patient_id, {_who('s')}"
"""By this, studies ``s`` are those of one patient."""
COUNTS: Final = (
    "(SELECT json_array(count(*), sum(p.series_count), sum(p.instance_count), sum(p.online_count))"
    f" FROM studies p WHERE p.patient_id = s.patient_id AND {shown_of(Level.STUDY, 'p.id')}"
    f" AND (p.id = s.id OR {_who('p')} = {_who('s')}))"
)
"""Studies, series, instances and those that are here, of the patient of a study ``s``."""
