"""Which studies somebody sees who was narrowed to some: the one place where every door asks.

Promises that what is new is shut: a resource that names its study is asked about here, and any
other lets nobody in who was narrowed, unless its handler says that it ``narrows`` itself. A study
that is not to be seen is as one that is not there, and the archive is not asked for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from edge.access.acts import Act
from edge.access.roles import Identity, narrows_itself
from edge.errors import AccessDenied, InstanceNotFound

__all__ = ["Sees", "check_sight", "check_study"]

Sees = Callable[[str, frozenset[str]], Awaitable[bool]]
"""Whether a study is here, and one of these sent something of it."""


async def check_sight(
    request: web.Request, identity: Identity, act: Act, sees: Sees | None
) -> None:
    """Do nothing if a request is about nothing that this identity may not see.

    Raises:
        AccessDenied: It may be about any study.
        InstanceNotFound: It is about a study that is not to be seen, or not there.
    """
    if not identity.scope_for(act).is_of_some_studies or narrows_itself(request.match_info.handler):
        return
    study_uid = request.match_info.get("study")
    if study_uid is None or sees is None:
        raise AccessDenied(
            f"{identity.name} was narrowed to some studies, and this may show any",
            hint="search at /dicom-web/studies, and open what is found",
            known=True,
        )
    await check_study(study_uid, identity, act, sees)


async def check_study(study_uid: str, identity: Identity, act: Act, sees: Sees | None) -> None:
    """Do nothing if this identity may do that to the study.

    Raises:
        InstanceNotFound: It is not to be seen, or not there; which of both is not said.
    """
    scope = identity.scope_for(act)
    senders, is_seen = scope.studies_from, not scope.studies or study_uid in scope.studies
    if is_seen and senders:
        is_seen = sees is not None and await sees(study_uid, senders)
    if not is_seen:
        raise InstanceNotFound(
            f"study {study_uid} is not among those that {identity.name} may see",
            hint="it may not be here at all; in an emergency, open the page /emergency",
        )
