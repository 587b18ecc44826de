"""What an archive of the tests does wrong: the words for it, and what becomes of a good answer.

A ``Refusal`` is about an instance, a ``Fault`` about one request. Together they say every status
and body that archives were seen to give.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

__all__ = ["BOUNDARY", "Fault", "Refusal", "answer", "hang_up"]

BOUNDARY = "the-archives-own-boundary"


@dataclass(frozen=True)
class Refusal:
    """An instance that is not taken."""

    reason: int
    comment: str = ""
    private: bool = False
    """Say the comment in a private attribute, as Google does, not in Error Comment."""


@dataclass(frozen=True)
class Fault:
    """What happens to the next request of a kind, instead of a good answer."""

    status: int | None = None
    """Answer this, with ``body``; None: the answer that would have come."""
    body: bytes | None = None
    content_type: str = "text/plain"
    headers: dict[str, str] = field(default_factory=dict)
    commit: bool = False
    """Of a store with a status: keep the instances all the same."""
    lose: bool = False
    """Of a store: keep nothing, whatever the answer says."""
    refuse: Mapping[str, Refusal] = field(default_factory=dict)
    """Of a store: do not take these, by SOP Instance UID."""
    says: int | None = None
    """Of a store: this status beside the data set that would have come."""
    silent: bool = False
    """Of a store: name no instance in the answer."""
    omit: int = 0
    """Of a store: leave so many of those that were stored out of the answer."""
    replay: bool = False
    """Give the answer that the request of this kind before got."""
    cut_request: int | None = None
    """Close the connection after so many bytes of the request."""
    cut_answer: int | None = None
    """Close the connection after so many bytes of the answer's body, less than were announced."""
    end_answer: int | None = None
    """End the answer after so many bytes of its body, as if that were all."""
    hang: float = 0.0
    """Seconds to wait before the answer."""
    wrong_boundary: bool = False
    drip: float = 0.0
    """Seconds between two bytes of the answer."""


async def answer(request: web.Request, fault: Fault, good: web.Response) -> web.StreamResponse:
    """The good answer, or what the fault makes of it."""
    if fault.hang:
        await asyncio.sleep(fault.hang)
    if fault.status is not None:
        good = web.Response(
            status=fault.status,
            body=fault.body or b"",
            content_type=fault.content_type,
            headers=fault.headers,
        )
    if fault.wrong_boundary:
        said = good.headers["Content-Type"]
        good.headers["Content-Type"] = said.replace(BOUNDARY, "something-else")
    body = good.body or b""
    assert isinstance(body, bytes)
    if fault.end_answer is not None:
        good.body = body[: fault.end_answer]
    if fault.cut_answer is None and not fault.drip:
        return good
    spoilt = web.StreamResponse(status=good.status, headers=good.headers)
    spoilt.content_length = len(body)
    await spoilt.prepare(request)
    if fault.drip:
        for at in range(len(body)):
            await spoilt.write(body[at : at + 1])
            await asyncio.sleep(fault.drip)
    else:
        await spoilt.write(body[: fault.cut_answer])
        hang_up(request)
    return spoilt


def hang_up(request: web.Request) -> None:
    """Close the connection."""
    if request.transport is not None:
        request.transport.close()
