"""DELETE of a study, a series or an instance.

PS3.18 has no such transaction; other archives answer it as HTTP means it, and so does this one.
Owns the parameters and the answer: 204, or why not. What it takes is ``cache.deletion``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from edge.dicomweb.resources import target_of
from edge.dicomweb.responses import Refused
from edge.dicomweb.transactions import Parameter, transaction
from edge.dicomweb.validators import refuse_conditions

if TYPE_CHECKING:
    from edge.cache.deletion import Deletion

__all__ = ["Delete"]

_ONLY_COPY: Final = "only-copy"
_ARCHIVE: Final = "archive"
_VALUES: Final = {"true": True, "false": False}


class Delete:
    """The handler."""

    def __init__(self, deletion: Deletion) -> None:
        self._deletion = deletion

    @transaction(
        "Delete",
        "8.5",
        parameters=[
            Parameter(name, "xs:boolean", tuple(_VALUES)) for name in (_ONLY_COPY, _ARCHIVE)
        ],
    )
    async def resource(self, request: web.Request) -> web.Response:
        """``DELETE`` of ``/studies/{study}`` and of what is below it."""
        refuse_conditions(request)
        unknown = request.query.keys() - {_ONLY_COPY, _ARCHIVE}
        if unknown:
            # A confirmation that was misspelt is none, and nobody shall believe that it was one.
            raise Refused(
                400, "a parameter is not known", hint=f"there are {_ONLY_COPY} and {_ARCHIVE}"
            )
        await self._deletion.delete(
            *target_of(request).uids,
            only_copies=_flag(request, _ONLY_COPY),
            archive=_flag(request, _ARCHIVE),
        )
        return web.Response(status=204)


def _flag(request: web.Request, name: str) -> bool:
    text = request.query.get(name, "false")
    if text not in _VALUES:
        raise Refused(400, f"{name} must be true or false")
    return _VALUES[text]
