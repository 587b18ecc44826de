"""``python -m tests.bench.unrecorded serve …``: the edge without its audit, for a bench to compare.

There is no switch for that in the product, and shall be none: it is taken out from outside. Nothing
is noted, counted or written of what passes; whatever else the product does, this does too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import contextmanager

from aiohttp import web

from edge.__main__ import main
from edge.access.audit.recorder import Audit
from edge.dicomweb.witness import HttpWitness
from edge.dimse.casebook import Incoming


def _leave_out() -> None:
    async def answer(_: HttpWitness, request: web.Request, handler) -> web.StreamResponse:
        return await handler(request)

    async def record(_: Audit, *__: object) -> None:
        """Nothing is on the disk."""

    def nothing(_: Audit, __: object, ___: Iterable[object] = ()) -> None:
        """Nothing is noted."""

    @contextmanager
    def performed(_: Incoming, __: object):
        yield

    HttpWitness.answer = answer
    Incoming.performed = performed
    Audit.record = record
    Audit.note = Audit.put = Audit.suspect = nothing


if __name__ == "__main__":
    _leave_out()
    sys.exit(main())
