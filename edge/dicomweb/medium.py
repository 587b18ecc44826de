"""A study as a ZIP archive that is a DICOM medium: to be unpacked to a CD or a stick (PS3.10 8).

Owns the file names on the medium, its DICOMDIR and its README. Promises that the archive is made
while it is sent (one piece of an instance and the directory in memory), that it can be read while
it comes, that names on it say nothing of the patient, and that files are as the caller gives them.
Instances are not made smaller: images hardly get so, and the box has better things to do.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
import uuid
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiohttp import hdrs

from edge.dicom.dicomdir import DirectoryBuilder

if TYPE_CHECKING:
    from edge.cache.opened import InstanceEntry

__all__ = ["ZIP", "MediumFile", "attached", "medium"]

ZIP: Final = "application/zip"

_README: Final = """\
This medium holds medical images in the DICOM format.

Open the file DICOMDIR, or this whole folder, with a program that shows DICOM images. The images
are in the folder DICOM, one folder for each series. Some programs want the folder to be copied to
a disk first.

The medium was made by an edge cache. It is meant for the patient whose images it holds, and for
those who treat them.
"""


@dataclass(frozen=True, slots=True)
class MediumFile:
    """One instance, ready to be written."""

    attributes: Mapping[str, Any]
    """DICOM JSON."""
    transfer_syntax: str
    size: int | None
    """Bytes of the Part 10 file; None if that is known only at its end."""
    pieces: AsyncIterator[bytes]
    """The Part 10 file."""


Opener = Callable[["InstanceEntry"], AbstractAsyncContextManager[MediumFile]]


async def medium(entries: Sequence[InstanceEntry], open_file: Opener) -> AsyncIterator[bytes]:
    """The archive, in pieces.

    Args:
        entries: Of one study, those of a series one after another.
        open_file: Gives the bytes of an entry.

    Raises:
        EdgeError: Whatever *open_file* raises; what came before is no archive.
    """
    sink = _Sink()
    directory = DirectoryBuilder()
    series_numbers: dict[str, int] = {}
    with zipfile.ZipFile(sink, "w") as archive:
        for number, entry in enumerate(entries):
            series = series_numbers.setdefault(entry.ref.series_uid, len(series_numbers))
            file_id = ("DICOM", f"SE{series:06}", f"IM{number:06}")
            async with open_file(entry) as file:
                info = _named("/".join(file_id))
                # By this zipfile chooses 4 or 8 bytes for lengths; older readers of archives that
                # come expect 8 only of what is so large.
                info.file_size = file.size or 0
                with archive.open(info, "w", force_zip64=file.size is None) as target:
                    async for piece in file.pieces:
                        target.write(piece)
                        yield sink.taken()
                # Some of it is slow for what is no image: not on the loop.
                await asyncio.to_thread(
                    directory.add, file_id, file.attributes, file.transfer_syntax
                )
        file_set_uid = f"2.25.{uuid.uuid4().int}"
        archive.writestr(
            _named("DICOMDIR"), await asyncio.to_thread(directory.to_bytes, file_set_uid)
        )
        # Of a medium that is passed on, IHE PDI wants one, with line ends that any editor knows.
        archive.writestr(_named("README.TXT"), _README.replace("\n", "\r\n"))
    yield sink.taken()


def attached(*uids: str | None) -> dict[str, str]:
    """The header that names the archive: each has a name of its own, that says nothing."""
    mark = hashlib.sha256(repr(uids).encode()).hexdigest()[:8]
    return {hdrs.CONTENT_DISPOSITION: f'attachment; filename="images-{mark}.zip"'}


def _named(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, time.localtime()[:6])
    info.external_attr = 0o644 << 16
    # Deflate says where a file ends, which "stored" does not; at level 0 it does nothing else.
    info.compress_type = zipfile.ZIP_DEFLATED
    setattr(info, "_compresslevel", 0)  # noqa: B010  (compress_level, which only Python 3.13 has)
    return info


class _Sink(io.RawIOBase):
    """What zipfile writes into, as into a pipe; the bytes are taken away as they come."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._bytes += data
        return len(data)

    def taken(self) -> bytes:
        """Everything that was written since."""
        data = bytes(self._bytes)
        self._bytes.clear()
        return data
