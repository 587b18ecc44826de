"""What was edited in the archive, over the admin API.

For who may read images: it names patients.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import msgspec
from aiohttp import web

from edge.admin.asking import only
from edge.admin.openapi import operation
from edge.cache.edits import Edit, Edits
from edge.dicom.uids import is_uid
from edge.errors import QueryError

__all__ = ["edit_routes"]


class StudyNamed(msgspec.Struct):
    """A study, in the path."""

    study_uid: Annotated[str, msgspec.Meta(pattern=only(r"[0-9]+(\.[0-9]+)*"), max_length=64)]


class StudyEdits(msgspec.Struct, forbid_unknown_fields=True):
    """Edits of patient and study, the oldest first."""

    study_uid: str
    edits: list[Edit]


def edit_routes(edits: Edits) -> list[web.RouteDef]:
    """``/studies/{study_uid}/edits``.

    Args:
        edits: Reads them.
    """

    @operation(
        "What was edited in the archive of a study and its patient, the oldest edit first.",
        answer=StudyEdits,
        path=StudyNamed,
    )
    async def of_study(request: web.Request) -> web.Response:
        study_uid = request.match_info["study_uid"]
        if not is_uid(study_uid):
            raise QueryError("the study in the path is not a UID (PS3.5 9.1)")
        found = [asdict(edit) for edit in await edits.of_study(study_uid)]
        return web.json_response({"study_uid": study_uid, "edits": found})

    return [web.get("/studies/{study_uid}/edits", of_study)]
