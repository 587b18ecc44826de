"""Storage commitment over the admin API: what devices asked the box to vouch for.

Listing is for who may read images; to report at once, or never, for who may ``decide``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

import msgspec
from aiohttp import web

from edge.access.roles import Act, needs
from edge.admin.asking import Paged, body, wanted
from edge.admin.openapi import operation
from edge.cache.commitments import Commitment, Commitments
from edge.cache.listing import Page
from edge.errors import DecisionRefused

__all__ = ["commitment_routes"]


class CommitmentDecision(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What shall become of transactions: by their Transaction UIDs, or all.

    All to retry are those that are decided; all to forget are those that were given up.
    """

    decision: Literal["retry", "forget"]
    transaction_uids: list[str] = []
    all: bool = False


class CommitmentOutcome(msgspec.Struct):
    """What became of it."""

    done: int
    """Transactions that are reported now, or that are forgotten."""


def commitment_routes(commitments: Commitments) -> list[web.RouteDef]:
    """``/commitments``.

    Args:
        commitments: Lists, and takes decisions.
    """

    @operation(
        "What devices asked the box to vouch for: given up, open, then reported.",
        answer=Page[Commitment],
        query=Paged,
    )
    async def listing(request: web.Request) -> web.Response:
        asked = wanted(request, Paged)
        page = await commitments.page(limit=asked.limit, offset=asked.offset)
        return web.json_response(asdict(page))

    @operation(
        "Report transactions now, or never.", answer=CommitmentOutcome, body=CommitmentDecision
    )
    @needs(Act.DECIDE)
    async def decide(request: web.Request) -> web.Response:
        wish = await body(request, CommitmentDecision)
        if bool(wish.transaction_uids) == wish.all:
            raise DecisionRefused(
                "it is not clear about which transactions that is",
                hint="name transaction_uids, or else all: true",
            )
        which = None if wish.all else wish.transaction_uids
        act = commitments.retry if wish.decision == "retry" else commitments.forget
        return web.json_response({"done": await act(which)})

    return [web.get("/commitments", listing), web.post("/commitments", decide)]
