"""Who sent what there is of a study: by that, who was narrowed sees some studies and not others.

Only who came by a door with a name of its own counts: a DICOM peer by its AE title, a sender by
STOW-RS by that of its token, or by its name. An archive, a disk and a rebuilt store are nobody.
"""

from __future__ import annotations

from collections.abc import Collection

from edge.index.comparison import Sql
from edge.index.database import Database
from edge.index.lookup import json_list

__all__ = ["sent_by", "was_sent_by"]

_SENT = (
    "EXISTS (SELECT 1 FROM instances f WHERE f.study_id = s.id"
    " AND f.origin IN ('DIMSE', 'DICOMWEB') AND f.peer IN (SELECT value FROM json_each(?)))"
)


def sent_by(senders: Collection[str]) -> Sql:
    """That one of them sent something of the study ``s``."""
    return Sql(_SENT, (json_list(sorted(senders)),))


async def was_sent_by(database: Database, study_uid: str, senders: Collection[str]) -> bool:
    """Whether the study is here, and one of them sent something of it."""
    sent = sent_by(senders)
    rows = await database.read(
        f"SELECT 1 FROM studies s WHERE s.study_uid = ? AND {sent.text}",
        (study_uid, *sent.parameters),
    )
    return bool(rows)
