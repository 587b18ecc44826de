"""STOW-RS: the Store transaction of the Studies Service (PS3.18 10.5).

Owns the way from a request body to ``store_instance``, part by part. Promises that no part is ever
held whole, that one bad part does not harm the others, that what the answer lists as stored was
committed before the answer, and that a body which breaks off takes nothing back that was stored
before. Never looks inside a data set; what the answer says is ``store_report``'s, and how metadata
and bulk data become an instance ``store_metadata``'s.

While one instance is being made durable the next is already read, a few at the most: memory stays
bounded, and the disk is waited for once per few instances instead of once for each.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import HttpVersion11, hdrs, web

from edge.cache.admission import Source
from edge.dicom.instance import Origin
from edge.dicom.multipart import MultipartLimits, Part, boundary_of, parse_media_type, read_parts
from edge.dicom.xml_model import to_xml
from edge.dicomweb.middleware import IDENTITY, where
from edge.dicomweb.negotiation import Offer, accepted_by, choose
from edge.dicomweb.resources import Target, base_url, target_of
from edge.dicomweb.responses import (
    DICOM,
    DICOM_JSON,
    DICOM_XML,
    JSON,
    NOTE,
    REQUEST_ID,
    Refused,
    dicom_json,
)
from edge.dicomweb.store_metadata import Described, DescribedInstance
from edge.dicomweb.store_model import MAX_INSTANCES, MAX_METADATA, METADATA, MetadataBudget
from edge.dicomweb.store_pictures import Transformation
from edge.dicomweb.store_report import HEAD_BYTES, Outcome, Report
from edge.dicomweb.transactions import transaction
from edge.errors import EdgeError, MultipartError

if TYPE_CHECKING:
    from edge.cache.admission import Admission
    from edge.pixels.workers import PixelWorkers

__all__ = ["Store", "expect_later"]

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 4
"""Instances of one request that may be on their way to the disk."""
_LIMITS: Final = MultipartLimits(parts=MAX_INSTANCES)
"""What an answer has to say about each part adds up."""
_IDLE_SECONDS: Final = 60.0
"""A body of which nothing arrives for so long is given up."""
_REPORTS: Final = (Offer(DICOM_JSON), Offer(DICOM_XML), Offer(JSON))
"""Forms of the answer."""
_TAKES: Final = (
    Offer(DICOM, multipart=True),
    Offer(DICOM_JSON, multipart=True),
    Offer(DICOM_XML, multipart=True),
    Offer(DICOM),
    Offer(DICOM_JSON),
    Offer(DICOM_XML),
)
_CODINGS: Final = ("", "identity", "gzip", "deflate")
_TAKES_IN_WORDS: Final = ", ".join(map(str, _TAKES))


class Store:
    """The handler of the Store transaction.

    Args:
        admission: The one way in.
        workers: Make native pixels of pictures.
        max_request_bytes: Of one body; None sets no limit.
    """

    def __init__(
        self,
        admission: Admission,
        workers: PixelWorkers,
        *,
        max_request_bytes: int | None = None,
    ) -> None:
        self._admission = admission
        self._transformation = Transformation(workers)
        self._max_request_bytes = max_request_bytes
        self._metadata = MetadataBudget()

    @transaction("Store Instances", "10.5", produces=_REPORTS, consumes=_TAKES)
    async def instances(self, request: web.Request) -> web.Response:
        """``POST /studies`` and ``/studies/{study}``."""
        target = target_of(request)
        base = base_url(request)
        form = _form(request)
        offer = choose(accepted_by(request), _REPORTS)
        # Refused before a byte of the body is asked for.
        _check_encoding(request)
        self._check_announced(request.content_length or 0, form)
        await self._admission.make_room()
        await _continue(request)
        report = Report()
        arrivals = _Arrivals(self._admission, request, target, report)
        try:
            if form.essence == DICOM:
                await arrivals.take(self._parts(request, form))
            else:
                await self._take_described(request, form, arrivals)
        except (EdgeError, OSError, web.RequestPayloadError) as error:
            # Not raised from here: what came before is accounted for.
            report.broken = error
        if isinstance(report.broken, OSError):
            raise report.broken  # the client is gone
        # An account of thousands of instances takes a second or two.
        status, body = await asyncio.to_thread(report.answer, base)
        request[NOTE] = report.summary
        if offer.media_type == DICOM_XML:
            document = await asyncio.to_thread(to_xml, body)
            return web.Response(
                status=status, body=document, headers={hdrs.CONTENT_TYPE: DICOM_XML}
            )
        return dicom_json(body, status=status, media_type=offer.media_type)

    async def _take_described(self, request: web.Request, form: _Form, arrivals: _Arrivals) -> None:
        """Read metadata and bulk data to their end; then store what they make."""
        with self._metadata.share() as take:
            async with self._admission.spooling() as spooling:
                described = Described(take, str(request.url), spooling, self._transformation)
                instances: list[tuple[DescribedInstance, Outcome]] = []
                async for part in self._parts(request, form):
                    if not described.is_metadata(part):
                        await described.read_bulk(part)
                        continue
                    for one in await described.read_metadata(part, form.essence):
                        outcome = arrivals.report.add()
                        outcome.named = one.uids
                        instances.append((one, outcome))
                await spooling.finish()
                await arrivals.take_each(
                    (described.part10(one), outcome) for one, outcome in instances
                )

    async def _parts(self, request: web.Request, form: _Form) -> AsyncGenerator[Part]:
        """The parts of a body, of which one that is not multipart has one."""
        body = self._body(request)
        if form.boundary is None:
            yield Part({"content-type": form.essence}, _views(body))
            return
        async with aclosing(read_parts(body, form.boundary, limits=_LIMITS)) as parts:
            async for part in parts:
                yield part

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

    def _check_announced(self, length: int, form: _Form) -> None:
        """What can't be kept in any case need not be sent."""
        self._check_length(length)
        most, what = self._admission.capacity, "all that this box can keep"
        hint = "send fewer instances at once, or give the box a larger disk"
        if form.boundary is None and form.essence == DICOM:
            most, what = self._admission.max_instance_bytes, "an instance may be"
            hint = "raise cache.max_instance_bytes"
        elif form.boundary is None:
            most, what = MAX_METADATA, "metadata may be"
            hint = "send fewer instances at once, and long values as bulk data"
        if length > most:
            raise Refused(413, f"the request is longer than {what}: {most} bytes", hint=hint)

    def _check_length(self, length: int) -> None:
        limit = self._max_request_bytes
        if limit is not None and length > limit:
            raise Refused(
                413,
                f"the request is larger than {limit} bytes",
                hint="send fewer instances at once",
            )


class _Arrivals:
    """The instances of one request, a few at once on their way to the disk."""

    def __init__(
        self, admission: Admission, request: web.Request, target: Target, report: Report
    ) -> None:
        self._admission = admission
        self._source = Source(Origin.DICOMWEB, request[IDENTITY].sender)
        self._study_uid = target.study_uid
        self._id = request[REQUEST_ID]
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self.report = report

    async def take(self, parts: AsyncGenerator[Part]) -> None:
        """Store each part; each is a task, of which only one reads."""
        async with asyncio.TaskGroup() as tasks:
            try:
                async with aclosing(parts):
                    async for part in parts:
                        outcome = self.report.add()
                        if not _is_dicom(part):
                            outcome.fail(Refused(415, f"a part must be {DICOM}"))
                            continue
                        arrival = await self._start(part, outcome, tasks)
                        await arrival.passed.wait()
                        if arrival.broken is not None:
                            raise arrival.broken
            except (EdgeError, OSError, web.RequestPayloadError) as error:
                # Not raised from here: instances on their way to the disk shall get there.
                self.report.broken = error

    async def take_each(self, instances: Iterable[tuple[AsyncGenerator[bytes], Outcome]]) -> None:
        """Store instances whose bytes are all here."""
        async with asyncio.TaskGroup() as tasks:
            for pieces, outcome in instances:
                await self._start(pieces, outcome, tasks)

    async def _start(
        self, pieces: AsyncIterable[bytes | memoryview], outcome: Outcome, tasks: asyncio.TaskGroup
    ) -> _Arrival:
        await self._slots.acquire()
        arrival = _Arrival(pieces, outcome)
        tasks.create_task(self._admit(arrival), name=f"store {self._id}")
        return arrival

    async def _admit(self, arrival: _Arrival) -> None:
        """Store one; whatever goes wrong is the outcome of this one alone."""
        outcome = arrival.outcome
        try:
            async with aclosing(arrival.pieces()) as pieces:
                outcome.admitted = await self._admission.store_instance(
                    pieces, self._source, study_uid=self._study_uid
                )
            outcome.head.clear()
        except EdgeError as error:
            outcome.fail(error)
        except Exception as error:  # noqa: BLE001  (a defect met by one part must not fail the rest)
            outcome.fail(error)
            if error is not arrival.broken:
                logger.error("[%s] storing failed: %s", self._id, where(error))
        finally:
            arrival.passed.set()
            self._slots.release()


class _Arrival:
    """One instance while it is read: its first bytes are kept, its end is told."""

    def __init__(self, source: AsyncIterable[bytes | memoryview], outcome: Outcome) -> None:
        self._source = source
        self.outcome = outcome
        self.passed = asyncio.Event()
        self.broken: Exception | None = None

    async def pieces(self) -> AsyncGenerator[bytes]:
        head = self.outcome.head
        try:
            async for piece in self._source:
                if len(head) < HEAD_BYTES:
                    head += piece[: HEAD_BYTES - len(head)]
                yield bytes(piece)
        except Exception as error:
            self.broken = error
            raise
        finally:
            if isinstance(self._source, AsyncGenerator):
                await self._source.aclose()  # what it holds is for others to have, if it broke off
        self.passed.set()


@dataclass(frozen=True, slots=True)
class _Form:
    """How a body is made."""

    essence: str
    """Media type of the body, or of its root part."""
    boundary: str | None
    """None if it is not multipart."""


def _form(request: web.Request) -> _Form:
    """How a body that we take is made.

    Raises:
        Refused: 415, it is something else; 400, the boundary is missing.
    """
    text = request.headers.get(hdrs.CONTENT_TYPE, "")
    try:
        media_type = parse_media_type(text)
    except MultipartError as error:
        raise Refused(400, str(error), hint=f"send {_TAKES_IN_WORDS}") from error
    is_multipart = media_type.essence == "multipart/related"
    essence = (
        media_type.parameters.get("type", DICOM).lower() if is_multipart else media_type.essence
    )
    if essence not in (DICOM, *METADATA):
        raise Refused(
            415,
            f"a body of type {media_type.essence} can't be stored",
            hint=f"send {_TAKES_IN_WORDS}",
            headers={"Accept-Post": _TAKES_IN_WORDS},
        )
    if not is_multipart:
        return _Form(essence, None)
    try:
        return _Form(essence, boundary_of(text))
    except MultipartError as error:
        raise Refused(400, str(error), hint=error.hint) from error


def _check_encoding(request: web.Request) -> None:
    coding = request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower()
    if coding not in _CODINGS:
        raise Refused(
            415,
            "the body is compressed in a way that is not known here",
            headers={hdrs.ACCEPT_ENCODING: "gzip, deflate"},
        )


async def _views(body: AsyncIterator[bytes]) -> AsyncIterator[memoryview]:
    async for piece in body:
        yield memoryview(piece)


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
