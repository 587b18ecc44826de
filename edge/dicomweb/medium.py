"""A study as a ZIP archive that is a DICOM medium: to be unpacked to a CD or a stick (PS3.10 8).

Owns the file names on the medium, its DICOMDIR and its README. Promises that the archive is made
while it is sent (one piece of an instance and the directory in memory), that names on it say
nothing of the patient, and that files are as the caller gives them. Instances are not compressed:
images hardly get smaller, and the box has better things to do.
"""

from __future__ import annotations

import asyncio
import io
import time
import uuid
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.dicom.dicomdir import DirectoryBuilder

if TYPE_CHECKING:
    from edge.cache.opened import InstanceEntry

__all__ = ["ZIP", "MediumFile", "medium"]

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
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for number, entry in enumerate(entries):
            series = series_numbers.setdefault(entry.ref.series_uid, len(series_numbers))
            file_id = ("DICOM", f"SE{series:06}", f"IM{number:06}")
            async with open_file(entry) as file:
                with archive.open(_named("/".join(file_id)), "w", force_zip64=True) as target:
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


def _named(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, time.localtime()[:6])
    info.external_attr = 0o644 << 16
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
