"""STOW-RS: the Store transaction of the Studies Service (PS3.18 10.5).

Owns the way from a request body to ``store_instance``, part by part. Promises that no part is ever
held whole, that one bad part does not harm the others, that what the answer lists as stored was
committed before the answer, and that a body which breaks off takes nothing back that was stored
before. Never looks inside a data set; what the answer says is ``store_report``'s.

While one instance is being made durable the next is already read, a few at the most: memory stays
bounded, and the disk is waited for once per few instances instead of once for each.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from aiohttp import HttpVersion11, hdrs, web

from edge.cache.admission import Source
from edge.dicom.instance import Origin
from edge.dicom.multipart import MultipartLimits, Part, boundary_of, parse_media_type, read_parts
from edge.dicomweb.middleware import IDENTITY, where
from edge.dicomweb.resources import Target, base_url, target_of
from edge.dicomweb.responses import DICOM, DICOM_JSON, REQUEST_ID, Refused, dicom_json
from edge.dicomweb.store_report import HEAD_BYTES, Outcome, Report
from edge.dicomweb.transactions import transaction
from edge.errors import EdgeError, MultipartError

if TYPE_CHECKING:
    from edge.cache.admission import Admission

__all__ = ["Store", "expect_later"]

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 4
"""Instances of one request that may be on their way to the disk."""
_LIMITS: Final = MultipartLimits(parts=20_000)
"""What an answer has to say about each part adds up."""
_IDLE_SECONDS: Final = 60.0
"""A body of which nothing arrives for so long is given up."""
_TAKES: Final = f'multipart/related; type="{DICOM}"'


class Store:
    """The handler of the Store transaction.

    Args:
        admission: The one way in.
        max_request_bytes: Of one body; None sets no limit.
    """

    def __init__(self, admission: Admission, *, max_request_bytes: int | None = None) -> None:
        self._admission = admission
        self._max_request_bytes = max_request_bytes

    @transaction("Store Instances", "10.5", produces=[DICOM_JSON], consumes=[_TAKES])
    async def instances(self, request: web.Request) -> web.Response:
        """``POST /studies`` and ``/studies/{study}``."""
        target = target_of(request)
        base = base_url(request)
        boundary = _boundary(request)
        # Refused before a byte of the body is asked for.
        self._check_length(request.content_length or 0)
        await self._admission.make_room()
        await _continue(request)
        report = Report()
        async with asyncio.TaskGroup() as tasks:
            await self._take(request, target, boundary, report, tasks)
        if isinstance(report.broken, OSError):
            raise report.broken  # the client is gone
        status, body = report.answer(base)
        return dicom_json(body, status=status)

    async def _take(
        self,
        request: web.Request,
        target: Target,
        boundary: str,
        report: Report,
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Read the body to its end; each part is a task, of which only one reads."""
        source = Source(Origin.DICOMWEB, request[IDENTITY].name)
        slots = asyncio.Semaphore(_AT_ONCE)
        try:
            async for part in read_parts(self._body(request), boundary, limits=_LIMITS):
                outcome = report.add()
                if not _is_dicom(part):
                    outcome.fail(Refused(415, f"a part must be {DICOM}"))
                    continue
                await slots.acquire()
                arrival = _Arrival(part, outcome)
                tasks.create_task(
                    self._admit(arrival, source, target, slots, request[REQUEST_ID]),
                    name=f"store {request[REQUEST_ID]}",
                )
                await arrival.passed.wait()
                if arrival.broken is not None:
                    raise arrival.broken
        except (EdgeError, OSError, web.RequestPayloadError) as error:
            # Not raised from here: instances that are on their way to the disk shall get there.
            report.broken = error

    async def _admit(
        self,
        arrival: _Arrival,
        source: Source,
        target: Target,
        slots: asyncio.Semaphore,
        request_id: str,
    ) -> None:
        """Store one part; whatever goes wrong is the outcome of this part alone."""
        outcome = arrival.outcome
        try:
            async with aclosing(arrival.pieces()) as pieces:
                outcome.admitted = await self._admission.store_instance(
                    pieces, source, study_uid=target.study_uid
                )
            outcome.head.clear()
        except EdgeError as error:
            outcome.fail(error)
        except Exception as error:  # noqa: BLE001  (a defect met by one part must not fail the rest)
            outcome.fail(error)
            if error is not arrival.broken:
                logger.error("[%s] storing failed: %s", request_id, where(error))
        finally:
            arrival.passed.set()
            slots.release()

    async def _body(self, request: web.Request) -> AsyncIterator[bytes]:
        received = 0
        while True:
            try:
                async with asyncio.timeout(_IDLE_SECONDS):
                    chunk = await request.content.readany()
            except TimeoutError as error:
                raise Refused(408, "the request body did not go on") from error
            if not chunk:
                return
            received += len(chunk)
            self._check_length(received)
            yield chunk
            # A body that was compressed to little comes at once, and must not keep others waiting.
            await asyncio.sleep(0)

    def _check_length(self, length: int) -> None:
        limit = self._max_request_bytes
        if limit is not None and length > limit:
            raise Refused(
                413,
                f"the request is larger than {limit} bytes",
                hint="send fewer instances at once",
            )


class _Arrival:
    """One part while it is read: its first bytes are kept, its end is told."""

    def __init__(self, part: Part, outcome: Outcome) -> None:
        self._part = part
        self.outcome = outcome
        self.passed = asyncio.Event()
        self.broken: Exception | None = None

    async def pieces(self) -> AsyncGenerator[bytes]:
        head = self.outcome.head
        try:
            async for piece in self._part:
                if len(head) < HEAD_BYTES:
                    head += piece[: HEAD_BYTES - len(head)]
                yield bytes(piece)
        except Exception as error:
            self.broken = error
            raise
        self.passed.set()


def _boundary(request: web.Request) -> str:
    """The boundary of a body that we take.

    Raises:
        Refused: 415, it is something else; 400, the boundary is missing.
    """
    text = request.headers.get(hdrs.CONTENT_TYPE, "")
    try:
        media_type = parse_media_type(text)
    except MultipartError as error:
        raise Refused(400, str(error), hint=f"send {_TAKES}") from error
    parts = media_type.parameters.get("type", DICOM).lower()
    if media_type.essence != "multipart/related" or parts != DICOM:
        raise Refused(
            415,
            f"a body of type {media_type.essence} can't be stored",
            hint=f"send {_TAKES}",
            headers={"Accept-Post": _TAKES},
        )
    try:
        return boundary_of(text)
    except MultipartError as error:
        raise Refused(400, str(error), hint=error.hint) from error


def _is_dicom(part: Part) -> bool:
    """Whether the part says it is an instance, or does not say what it is."""
    try:
        return not part.content_type or parse_media_type(part.content_type).essence == DICOM
    except MultipartError:
        return False


async def expect_later(request: web.Request) -> None:
    """Hold back "100 Continue" until the request is known to be welcome (RFC 9110 10.1.1)."""
    if request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
        raise web.HTTPExpectationFailed


async def _continue(request: web.Request) -> None:
    if hdrs.EXPECT in request.headers and request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # of the answer proper, nothing was sent
