"""Whether what a person names is known here: a UID that is mistyped shall not pass for done."""

from __future__ import annotations

from collections.abc import Sequence

from edge.errors import DecisionRefused
from edge.index import lookup
from edge.index.database import Database
from edge.index.disputes import Query

__all__ = ["require_known", "require_studies"]


async def require_known(database: Database, query: Query) -> None:
    """Do nothing if the study and every image that a query names are known.

    Raises:
        DecisionRefused: One of them is not; it is named.
    """
    if query.study_uid is not None:
        await require_studies(database, [query.study_uid])
    if unknown := await lookup.unknown_instances(database, query.sop_uids):
        raise DecisionRefused(
            f"no such image is known here: {', '.join(unknown)}",
            hint="these are SOP Instance UIDs; --study names a study",
        )


async def require_studies(database: Database, study_uids: Sequence[str]) -> None:
    """Do nothing if all of these are known, be it by what is in quarantine of them.

    Raises:
        DecisionRefused: One of them is not; it is named.
    """
    if unknown := await lookup.unknown_studies(database, study_uids):
        raise DecisionRefused(f"no such study is known here: {', '.join(unknown)}")
