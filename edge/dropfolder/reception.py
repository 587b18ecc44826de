"""Takes the instances out of one file or medium, and says what is to become of it.

Every instance goes through ``admission``. Nothing is deleted or moved here: whoever asked does
that, once it knows that the file is really at its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from io import BufferedReader

from edge.cache.admission import Admission, Outcome, Source
from edge.cache.tally import Tally, counting
from edge.dicom.instance import Origin
from edge.dropfolder.media import HEAD, MAX_DICOMDIR, Kind, Unit, is_litter, kind_of, listed_files
from edge.dropfolder.memory import Memory
from edge.dropfolder.tree import DropTree, Entry, Parts
from edge.dropfolder.wording import counted
from edge.dropfolder.zipped import BadArchive, ZipArchive, ZipLimits
from edge.errors import InvalidInstance

__all__ = ["Reception", "Verdict"]

log = logging.getLogger(__name__)

PIECE = 256 * 1024
_SOURCE = Source(Origin.MEDIA, "drop folder")
_NOT_DICOM = "it is not DICOM: the letters DICM are missing after 128 bytes (PS3.10 7.1)"
_KNOWN_BAD = (
    "some of its files were admitted before, and others were not; it could not be moved here then."
    " Put it into the drop folder again to see which"
)
_NAMED = 100
"""Files of one archive that a reason names."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a unit was found to be."""

    admitted: int = 0
    """Instances that are safe now."""
    bad: Mapping[Parts, str] = field(default_factory=dict)
    """Files that were not admitted, and why; all others may be deleted."""
    partly: frozenset[Parts] = frozenset()
    """Those of them that instances were admitted of."""


class Reception:
    """Takes instances in.

    Args:
        tree: Where the files are.
        admission: Where the instances go.
        memory: Of what was admitted before, and is not again.
        limits: Of ZIP archives.
        told: Is told what was taken in of each unit.
    """

    def __init__(
        self,
        tree: DropTree,
        admission: Admission,
        memory: Memory,
        limits: ZipLimits,
        told: Callable[[Tally], None] = lambda _: None,
    ) -> None:
        self._told = told
        self._tree = tree
        self._admission = admission
        self._memory = memory
        self._limits = limits

    async def receive(self, unit: Unit) -> Verdict:
        """Admit every instance of the unit that was not admitted before.

        Raises:
            Changed: A file is not the one that was listed; nothing is known about the unit.
            EdgeError: Nothing can be admitted now (no room, no key); try the unit again later.
            OSError: A file can't be read now.
        """
        with counting(Tally()) as tally:
            try:
                return await self._receive(unit)
            finally:
                self._told(tally)

    async def _receive(self, unit: Unit) -> Verdict:
        listed = await self._listed(unit)
        admitted = 0
        bad: dict[Parts, str] = {}
        partly: set[Parts] = set()
        for entry in unit.entries:
            if known := await self._memory.recall(entry):
                if not known.is_whole:
                    bad[entry.parts] = _KNOWN_BAD
                    partly.add(entry.parts)
                continue
            may_be_other = unit.is_medium and not unit.lists(listed, entry)
            count, reason = await self._receive_file(entry, may_be_other=may_be_other)
            admitted += count
            if reason:
                bad[entry.parts] = reason
                if count:
                    partly.add(entry.parts)
        return Verdict(admitted, bad, frozenset(partly))

    async def _listed(self, unit: Unit) -> frozenset[Parts]:
        listed: frozenset[Parts] = frozenset()
        if unit.is_medium:
            for entry in unit.directories():
                async with self._opened(entry) as file:
                    listed |= listed_files(await asyncio.to_thread(file.read, MAX_DICOMDIR))
        return listed

    async def _receive_file(self, entry: Entry, *, may_be_other: bool) -> tuple[int, str]:
        """How many instances came out of the file, and what is wrong with it, if anything is."""
        async with self._opened(entry) as file:
            head = await asyncio.to_thread(file.read, PIECE)
            match kind_of(head[:HEAD]):
                case Kind.DICOM:
                    reason = await self._admit(head, file.read, entry.size)
                    return int(not reason), reason
                case Kind.ZIP:
                    return await self._receive_archive(file, entry, may_be_other=may_be_other)
                case Kind.OTHER if not may_be_other and not is_litter(entry.parts):
                    return 0, _NOT_DICOM if head else "it is empty"
                case _:
                    return 0, ""

    async def _receive_archive(
        self, file: BufferedReader, entry: Entry, *, may_be_other: bool
    ) -> tuple[int, str]:
        try:
            archive = await asyncio.to_thread(ZipArchive, file, entry.size, self._limits)
        except BadArchive as error:
            return 0, str(error)
        admitted = 0
        bad: list[str] = []
        names = [tuple(name.split("/")) for name in archive.names]
        may_be_other |= any(name[-1].casefold() == "dicomdir" for name in names)
        for index, name in enumerate(names):
            may_be_this = may_be_other or is_litter(name)
            count, reason = await self._receive_member(archive, index, may_be_other=may_be_this)
            admitted += count
            if reason:
                bad.append(f"  {_printable('/'.join(name))}: {reason}")
        return admitted, _summary(admitted, bad)

    async def _receive_member(
        self, archive: ZipArchive, index: int, *, may_be_other: bool
    ) -> tuple[int, str]:
        try:
            member = await asyncio.to_thread(archive.open, index)
            try:
                head = await asyncio.to_thread(member.read, PIECE)
                match kind_of(head[:HEAD]):
                    case Kind.DICOM:
                        reason = await self._admit(head, member.read, None)
                        return int(not reason), reason
                    case Kind.OTHER if not may_be_other:
                        return 0, _NOT_DICOM if head else "it is empty"
                    case Kind.ZIP if not may_be_other:
                        return 0, "it is an archive inside an archive, which is not opened"
                    case _:
                        return 0, ""
            finally:
                await asyncio.to_thread(member.close)
        except BadArchive as error:
            return 0, str(error)

    async def _admit(self, head: bytes, read: Callable[[int], bytes], size: int | None) -> str:
        """Why the instance was not admitted; empty if it was."""
        async with contextlib.aclosing(_pieces(head, read, size)) as pieces:
            try:
                admitted = await self._admission.store_instance(pieces, _SOURCE)
            except InvalidInstance as error:
                return f"{error}; {error.hint}" if error.hint else str(error)
        if admitted.outcome is Outcome.CONFLICT:
            log.warning("drop folder: an instance came with other bytes than before; both are kept")
        return ""

    @contextlib.asynccontextmanager
    async def _opened(self, entry: Entry) -> AsyncIterator[BufferedReader]:
        file = await asyncio.to_thread(self._tree.open_file, entry)
        try:
            yield file
        finally:
            await asyncio.to_thread(file.close)


async def _pieces(
    head: bytes, read: Callable[[int], bytes], size: int | None
) -> AsyncGenerator[bytes, None]:
    """The file, whose first bytes are read already; up to *size* bytes, or to its end."""
    taken = len(head)
    yield head
    while size is None or taken < size:
        piece = await asyncio.to_thread(read, PIECE)
        if not piece:
            return
        taken += len(piece)
        yield piece


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def _summary(admitted: int, bad: list[str]) -> str:
    if not bad:
        return ""
    more = [f"  and {len(bad) - _NAMED} more"] if len(bad) > _NAMED else []
    files = counted(admitted, "file was", "files were")
    first = f"of this archive, {files} admitted; these were not:"
    return "\n".join([first, *bad[:_NAMED], *more])
