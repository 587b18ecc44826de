"""C-STORE as SCU (PS3.4 B): many instances over one association, whoever asked for it.

Owns the choice of the presentation context, by the object: as it is stored if the peer takes that,
else made into what it takes, without a loss (uncompressed from whatever is compressed). Promises
that a data set is never held as a whole unless it is short, that what is stored leaves byte for
byte, that one instance which can't be had or is not taken costs no other, and that the next ones
are opened, or fetched, while one is on the line.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from typing import Final, Protocol

from edge.cache.opened import InstanceEntry
from edge.cache.retrieval import Retrieval
from edge.cache.transcoding import Transcoding
from edge.dicom.part10 import FileMetaReader
from edge.dicom.uids import is_uid
from edge.dimse.dialogue import Dialogue, Response
from edge.dimse.doctor_statuses import why_it_refused
from edge.dimse.messages import CommandField, Element, Status
from edge.dimse.progress import Cancelled
from edge.errors import (
    CloudError,
    CloudUnreachable,
    EdgeError,
    InstanceNotFound,
    NotDicom,
    PeerError,
    PixelError,
    PixelWorkersBusy,
    SealBroken,
)

__all__ = ["BrokeOff", "Offers", "Sending", "Told"]

_RUN: Final = 256
"""Instances that are opened one after the other before anything is looked at anew."""
_AHEAD: Final = 8
"""Instances that only the archive has, and that are asked for ahead."""
_UNREACHABLE_SECONDS: Final = 30.0
"""How long nobody asks an archive again that was out of reach."""
_BUSY_TRIES: Final = 20
_BUSY_SECONDS: Final = 0.5
_SHORT_META: Final = 4096
_MEDIA_STORAGE_SOP_CLASS: Final = 0x0002
_TRANSFER_SYNTAX: Final = 0x0010

_PRIORITY_MEDIUM: Final = 0
"""Required in every C-STORE-RQ (PS3.7 9.3.1.1), also where nobody asked for one."""
_WARNINGS: Final = frozenset({0x0001, 0x0107, 0x0116})
"""Beside Bxxx (PS3.7 C.3)."""
_REASONS: Final[tuple[tuple[type[EdgeError], str], ...]] = (
    (CloudUnreachable, "only the archive has it, and that is out of reach"),
    (CloudError, "the archive did not give it"),
    (InstanceNotFound, "it is not here any more"),
    (SealBroken, "it is damaged here"),
    (PixelWorkersBusy, "too many pixels are being made for others"),
    (PixelError, "it can't be made a transfer syntax that is taken"),
    (NotDicom, "it can't be made a transfer syntax that is taken"),
)


class Told(Protocol):
    """Hears what becomes of each instance; `Progress` is one."""

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked to stop."""
        ...

    def patience(self) -> AbstractAsyncContextManager[None]:
        """Around what may take long and can be given up at any moment."""
        ...

    async def complete(self, *, warning: bool = False) -> None:
        """One was stored; perhaps with a warning."""
        ...

    async def fail(self, sop_uid: str, why: str) -> None:
        """One was not stored."""
        ...


class BrokeOff(PeerError):
    """The association ended because an instance broke off on our side; the next one may not."""


class Offers:
    """What one peer takes on one association.

    Args:
        contexts: ID, abstract and transfer syntax of each presentation context.
    """

    def __init__(self, contexts: Iterable[tuple[int, str, str]]) -> None:
        self._by_class: dict[str, dict[str, int]] = {}
        for context_id, abstract_syntax, transfer_syntax in contexts:
            self._by_class.setdefault(abstract_syntax, {}).setdefault(transfer_syntax, context_id)

    def of(self, sop_class_uid: str) -> Mapping[str, int]:
        """Transfer syntax to context, for a SOP class."""
        return self._by_class.get(sop_class_uid, {})


@dataclass(frozen=True, slots=True)
class _Part:
    """An instance that is about to be sent."""

    entry: InstanceEntry
    transfer_syntax: str
    pieces: memoryview | AsyncGenerator[bytes]
    """Its data set, without preamble and group 0002."""


class Sending:
    """Sends what one request of a peer asks for; several associations may share the work.

    Args:
        retrieval: Opens instances.
        transcoding: Makes them other transfer syntaxes.
        progress: Is told of each; may end the work.
        values: Elements of every C-STORE command beside the instance's own.
    """

    def __init__(
        self,
        retrieval: Retrieval,
        transcoding: Transcoding,
        progress: Told,
        values: Mapping[Element, int | str | bytes],
    ) -> None:
        self._retrieval = retrieval
        self._transcoding = transcoding
        self._progress = progress
        self._values = values
        self._expected: set[str] = set()
        self._unreachable_until = 0.0

    async def send(self, dialogue: Dialogue, offers: Offers, waiting: deque[InstanceEntry]) -> None:
        """Send what waits, in its order; whatever is settled is taken away.

        Raises:
            PeerError: The association is no more; what was under way waits still.
            BrokeOff: So it is, because an instance broke off here; that one is settled.
            Cancelled: The requestor asked to stop.
        """
        while waiting:
            if self._progress.is_cancelled:
                raise Cancelled
            entry = waiting[0]
            if entry.sop_class_uid and not offers.of(entry.sop_class_uid):
                await self._fail(waiting, f"SOP class {entry.sop_class_uid} is not accepted")
            elif not entry.object and await self._is_out_of_reach(entry):
                await self._fail(waiting, _REASONS[0][1])
            elif _as_stored(entry, offers):
                await self._send_stored(dialogue, offers, waiting)
            else:
                await self._send_made(dialogue, offers, waiting)

    async def recognised(self, entries: Sequence[InstanceEntry]) -> list[InstanceEntry]:
        """The same, each with its SOP class.

        An archive that lists instances without it leaves no way but to fetch them first.

        Raises:
            Cancelled: The requestor asked to stop.
        """
        waiting, found = deque(entries), list[InstanceEntry]()
        while waiting:
            if waiting[0].sop_class_uid:
                found.append(waiting.popleft())
                continue
            self._expect(waiting)
            try:
                async with (
                    self._progress.patience(),
                    self._retrieval.open_instance(waiting[0]) as opened,
                ):
                    entry = opened.entry
            except EdgeError as error:
                await self._fail(waiting, self._why(error))
                continue
            found.append(entry)
            waiting.popleft()
        return found

    async def _send_stored(
        self, dialogue: Dialogue, offers: Offers, waiting: deque[InstanceEntry]
    ) -> None:
        """Those at the front that go as they are stored; ends early where one does not."""
        run = takewhile(lambda entry: _as_stored(entry, offers), islice(waiting, _RUN))
        async with aclosing(self._retrieval.whole_instances(list(run))) as wholes:
            while waiting:
                self._expect(waiting)
                try:
                    async with self._progress.patience():
                        whole = await anext(wholes, None)
                        part = (
                            None if whole is None else await _stripped(whole.entry, whole.content)
                        )
                except EdgeError as error:
                    await self._fail(waiting, self._why(error))
                    return
                if part is None:
                    return
                context_id = offers.of(part.entry.sop_class_uid).get(part.transfer_syntax)
                if context_id is None:
                    # It is known only now what it is.
                    waiting[0] = replace(
                        waiting[0],
                        sop_class_uid=part.entry.sop_class_uid,
                        transfer_syntax=part.transfer_syntax,
                        object=part.entry.object,
                    )
                    return
                await self._store(dialogue, context_id, part, waiting)

    async def _send_made(
        self, dialogue: Dialogue, offers: Offers, waiting: deque[InstanceEntry]
    ) -> None:
        """The one at the front, in another transfer syntax than it is stored in."""
        self._expect(waiting)
        async with AsyncExitStack() as stack:
            try:
                async with self._progress.patience():
                    part = await self._made(stack, offers, waiting[0])
            except EdgeError as error:
                await self._fail(waiting, self._why(error))
                return
            context_id = offers.of(part.entry.sop_class_uid)[part.transfer_syntax]
            await self._store(dialogue, context_id, part, waiting)

    async def _made(self, stack: AsyncExitStack, offers: Offers, entry: InstanceEntry) -> _Part:
        opened = await stack.enter_async_context(self._retrieval.open_instance(entry))
        taken = offers.of(opened.entry.sop_class_uid)
        possible = [each for each in await self._transcoding.syntaxes(opened) if each in taken]
        if not possible:
            raise PixelError("no transfer syntax that the peer takes can be made of it")
        for attempt in range(_BUSY_TRIES):
            pieces = self._transcoding.instance(opened, possible[0])
            stack.push_async_callback(pieces.aclose)
            try:
                # By its first piece it is known whether it can be made at all.
                part = await _stripped(opened.entry, pieces)
                return replace(part, transfer_syntax=possible[0])
            except PixelWorkersBusy:
                if attempt == _BUSY_TRIES - 1:
                    raise
                await asyncio.sleep(_BUSY_SECONDS)
        raise AssertionError("unreachable")

    async def _store(
        self, dialogue: Dialogue, context_id: int, part: _Part, waiting: deque[InstanceEntry]
    ) -> None:
        """One C-STORE."""
        values = {
            Element.PRIORITY: _PRIORITY_MEDIUM,
            **self._values,
            Element.AFFECTED_SOP_CLASS_UID: part.entry.sop_class_uid,
            Element.AFFECTED_SOP_INSTANCE_UID: part.entry.ref.sop_uid,
        }
        try:
            response = await dialogue.request(context_id, CommandField.C_STORE, values, part.pieces)
        except PeerError:
            raise
        except EdgeError as error:
            await self._fail(waiting, self._why(error))
            raise BrokeOff("an instance broke off on our side") from error
        await self._settle(response, waiting)

    async def _settle(self, response: Response, waiting: deque[InstanceEntry]) -> None:
        status = response.status
        if status == Status.SUCCESS:
            waiting.popleft()
            await self._progress.complete()
        elif status & 0xF000 == Status.WARNING or status in _WARNINGS:
            waiting.popleft()
            await self._progress.complete(warning=True)
        else:
            why = f"C-STORE was answered with {status:04X}: {why_it_refused(status)}"
            await self._fail(waiting, why)

    async def _fail(self, waiting: deque[InstanceEntry], why: str) -> None:
        await self._progress.fail(waiting.popleft().ref.sop_uid, why)

    def _why(self, error: EdgeError) -> str:
        """A sentence that names nobody; and whether to ask the archive again."""
        if isinstance(error, CloudUnreachable):
            self._unreachable_until = asyncio.get_running_loop().time() + _UNREACHABLE_SECONDS
        for kind, why in _REASONS:
            if isinstance(error, kind):
                return why
        return "it could not be opened here"

    def _expect(self, waiting: deque[InstanceEntry]) -> None:
        """Have those brought that come soon, and are not here."""
        ahead = [
            entry.ref
            for entry in islice(waiting, 1, 1 + _AHEAD)
            if not entry.object and entry.ref.sop_uid not in self._expected
        ]
        if ahead:
            self._expected.update(ref.sop_uid for ref in ahead)
            self._retrieval.expect(ahead)

    async def _is_out_of_reach(self, entry: InstanceEntry) -> bool:
        """Whether only the archive has it, and could not be asked a moment ago."""
        if asyncio.get_running_loop().time() >= self._unreachable_until:
            return False
        ref = entry.ref
        found = await self._retrieval.instances(ref.study_uid, ref.series_uid, ref.sop_uid)
        return not any(each.object for each in found)


def _as_stored(entry: InstanceEntry, offers: Offers) -> bool:
    """Whether the peer takes it as it is; so it may, if that is not known yet."""
    if not (entry.sop_class_uid and entry.transfer_syntax):
        return True
    return entry.transfer_syntax in offers.of(entry.sop_class_uid)


async def _stripped(entry: InstanceEntry, content: bytes | AsyncGenerator[bytes]) -> _Part:
    """What of a Part 10 file goes over the line, once it is known what it is.

    Raises:
        EdgeError: It is no such file, can't be read, or is not known to be anything.
    """
    meta = FileMetaReader()
    if isinstance(content, bytes):
        if not (meta.feed(content[:_SHORT_META]) or meta.feed(content[_SHORT_META:])):
            raise NotDicom("there is no data set in it")
        return _part(meta, entry, memoryview(content)[meta.length :])
    async for piece in content:
        if meta.feed(piece):
            return _part(meta, entry, _rest(meta.rest, content))
    raise NotDicom("there is no data set in it")


def _part(
    meta: FileMetaReader, entry: InstanceEntry, pieces: memoryview | AsyncGenerator[bytes]
) -> _Part:
    """What it is, by the index, or by its own file meta where that did not know it.

    Raises:
        NotDicom: Neither says so.
    """
    sop_class_uid = entry.sop_class_uid or meta.values.get(_MEDIA_STORAGE_SOP_CLASS, "")
    transfer_syntax = meta.values.get(_TRANSFER_SYNTAX, "") or entry.transfer_syntax
    if not (is_uid(sop_class_uid) and is_uid(transfer_syntax)):
        raise NotDicom("nobody knows what it is")
    return _Part(replace(entry, sop_class_uid=sop_class_uid), transfer_syntax, pieces)


async def _rest(first: bytes, content: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    if first:
        yield first
    async for piece in content:
        yield piece
