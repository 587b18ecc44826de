"""What a file is, and what belongs to one medium.

A folder with a DICOMDIR in it is a medium (PS3.10 8.6, PS3.3 F): it is looked at as a whole, and
whatever it carries beside instances (viewers, autorun files, read-me files) goes with it. Only a
file that the DICOMDIR lists, or that claims to be DICOM, can be a bad one there.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from edge.dropfolder.tree import Entry, Parts

__all__ = ["HEAD", "MAX_DICOMDIR", "Kind", "Unit", "is_litter", "kind_of", "listed_files", "units"]

HEAD = 4096
"""Bytes of a file that `kind_of` wants to see."""
MAX_DICOMDIR = 32 * 1024 * 1024
"""Bytes of a DICOMDIR that are looked at; it has some 500 for each instance."""

_MEDIA_STORAGE_DIRECTORY = b"1.2.840.10008.1.3.10"
_MEDIA_STORAGE_SOP_CLASS = b"\x02\x00\x02\x00UI"
_REFERENCED_FILE_ID = re.compile(rb"\x04\x00\x00\x15CS(..)", re.DOTALL)
_LITTER = frozenset({".ds_store", "thumbs.db", "desktop.ini", "autorun.inf", "__macosx"})


class Kind(StrEnum):
    """What the first bytes of a file say that it is."""

    DICOM = "DICOM"
    DIRECTORY = "DIRECTORY"
    """A DICOMDIR, by whatever name: it lists instances and is none."""
    ZIP = "ZIP"
    OTHER = "OTHER"


def kind_of(head: bytes) -> Kind:
    """What a file is, by its first `HEAD` bytes.

    DICM comes first (PS3.10 7.1): the preamble before it may look like anything.
    """
    if head[128:132] == b"DICM":
        at = head.find(_MEDIA_STORAGE_SOP_CLASS, 132)
        if at >= 0 and len(head) >= at + 8:
            (length,) = struct.unpack_from("<H", head, at + 6)
            if head[at + 8 : at + 8 + length].rstrip(b"\0") == _MEDIA_STORAGE_DIRECTORY:
                return Kind.DIRECTORY
        return Kind.DICOM
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return Kind.ZIP
    return Kind.OTHER


def is_litter(parts: Iterable[str]) -> bool:
    """Whether operating systems leave such files everywhere; nobody misses them."""
    names = [part.casefold() for part in parts]
    return any(name in _LITTER for name in names) or names[-1].startswith("._")


def listed_files(dicomdir: bytes) -> frozenset[Parts]:
    """The paths that a DICOMDIR lists, relative to it, in the form in which they are compared.

    Looks for Referenced File ID (0004,1500) as it stands in explicit VR little endian, which is
    what a DICOMDIR is written in (PS3.10 8.6), instead of parsing what a stranger wrote.
    """
    listed = set()
    for found in _REFERENCED_FILE_ID.finditer(dicomdir):
        (length,) = struct.unpack("<H", found[1])
        file_id = dicomdir[found.end() : found.end() + length].decode("ascii", "replace")
        listed.add(_plain(file_id.split("\\")))
    return frozenset(listed)


def _plain(path: Iterable[str]) -> Parts:
    """A path as it is compared: ISO 9660 may add ``;1`` or a dot, and change the case."""
    return tuple(part.strip().split(";")[0].rstrip(".").casefold() for part in path)


@dataclass(frozen=True, slots=True)
class Unit:
    """What is looked at as a whole: one file, or a medium with all its files."""

    key: Parts
    """Path of the file, or of the medium's folder."""
    entries: tuple[Entry, ...]
    is_medium: bool = False

    def lists(self, listed: frozenset[Parts], entry: Entry) -> bool:
        """Whether the medium's DICOMDIR lists the file."""
        return _plain(entry.parts[len(self.key) :]) in listed

    def directories(self) -> Iterator[Entry]:
        """The DICOMDIR at the top of the medium."""
        for entry in self.entries:
            if len(entry.parts) == len(self.key) + 1 and _is_dicomdir(entry.parts):
                yield entry


def units(entries: Iterable[Entry]) -> list[Unit]:
    """Group files: every medium, then every file of none, in the order of their paths.

    The topmost folder with a DICOMDIR makes the medium. The drop folder itself never is one:
    whatever else people put there must not be taken for the medium's.
    """
    entries = sorted(entries, key=lambda entry: entry.parts)
    roots = {entry.parts[:-1] for entry in entries if _is_dicomdir(entry.parts)} - {()}
    media: dict[Parts, list[Entry]] = {}
    single: list[Unit] = []
    for entry in entries:
        above = itertools.accumulate((part,) for part in entry.parts[:-1])
        root = next((folder for folder in above if folder in roots), None)
        if root is None:
            single.append(Unit(entry.parts, (entry,)))
        else:
            media.setdefault(root, []).append(entry)
    return [Unit(root, tuple(files), is_medium=True) for root, files in media.items()] + single


def _is_dicomdir(parts: Parts) -> bool:
    return _plain(parts[-1:]) == ("dicomdir",)
