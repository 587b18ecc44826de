"""Where the bench works: one folder on the repository's disk, and what is sent.

Promises that only one bench works at a time (a lock), that the folder is gone afterwards, and that
what a killed run left is gone before the next begins. Samples are made when they are first asked
for; they are a function of their seed, so every run sends the same bytes.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from edge.dicom.instance import InstanceRef
from tests.samples import ct_series, write_multiframe

__all__ = ["FULL", "LARGE", "QUICK", "BenchError", "Catalogue", "Sample", "Scale", "Workplace"]

ROOT = Path(__file__).resolve().parents[2]


_FILLED_BYTES = 12_000
"""On disk for an instance without pixels: Orthanc keeps files of each, the edge a row."""


class BenchError(Exception):
    """Something could not be measured; the message says what and why."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """How many studies an index holds, and instances of each."""

    studies: int
    instances_each: int

    @property
    def instances(self) -> int:
        """Of all studies."""
        return self.studies * self.instances_each


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is sent and asked for."""

    slices: int
    """CT slices of one study."""
    object_bytes: int
    """Of the one large multi-frame object."""
    rendered: int
    """Slices of the study whose pictures are asked for."""
    seconds: float
    """How long clients ask for the same again and again."""
    catalogues: tuple[Catalogue, ...]
    """What the indexes are filled with before they are searched."""
    filling: float
    """Seconds for which a server that has no quicker way is filled."""
    rounds: int
    """How often everything is measured."""
    sent: int
    """Small instances that are brought to an archive over loopback."""
    sent_slowly: int
    """The same over a usual line."""
    sent_badly: int
    """The same over a terrible one."""
    cuts: int
    """Of that line."""
    study_keys: int
    """In the ring of keys that are wrapped anew."""

    @property
    def disk_bytes(self) -> int:
        """Free space that is needed: what is sent, a server's copy, and the edge's reserve."""
        sent = 2 * self.slices * 530_000 + self.object_bytes
        largest = max(catalogue.instances for catalogue in self.catalogues)
        sent = max(sent, self.sent * 135_000)
        return 2 * sent + largest * _FILLED_BYTES + 3 * 1024**3


FULL = Scale(
    slices=500,
    object_bytes=2_000_000_000,
    rendered=100,
    seconds=1.5,
    catalogues=(Catalogue(100, 10), Catalogue(100_000, 1)),
    filling=60,
    rounds=3,
    sent=2000,
    sent_slowly=500,
    sent_badly=1000,
    cuts=100,
    study_keys=100_000,
)
LARGE = replace(FULL, catalogues=(*FULL.catalogues, Catalogue(100_000, 10)), filling=900)
QUICK = Scale(
    slices=50,
    object_bytes=64_000_000,
    rendered=20,
    seconds=0.3,
    catalogues=(Catalogue(20, 10),),
    filling=30,
    rounds=1,
    sent=30,
    sent_slowly=20,
    sent_badly=20,
    cuts=2,
    study_keys=2000,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """Instances of one study, as files."""

    paths: tuple[Path, ...]
    refs: tuple[InstanceRef, ...]
    size: int
    """Bytes of all files together."""

    @property
    def study_uid(self) -> str:
        """Of all of them."""
        return self.refs[0].study_uid

    def split(self, parts: int) -> list[tuple[Path, ...]]:
        """The files in disjoint runs of about equal length."""
        count = len(self.paths)
        return [
            self.paths[part * count // parts : (part + 1) * count // parts] for part in range(parts)
        ]

    def parts(self, parts: int) -> list[Sample]:
        """The same in disjoint samples of about equal length."""
        refs, found = iter(self.refs), list[Sample]()
        for paths in self.split(parts):
            size = sum(path.stat().st_size for path in paths)
            found.append(Sample(paths, tuple(itertools.islice(refs, len(paths))), size))
        return found

    def warm(self) -> None:
        """Read every file once, so that none has to come from the disk while it is sent."""
        buffer = bytearray(1024 * 1024)
        for path in self.paths:
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass


class Workplace:
    """The folder; entering makes it, leaving removes it.

    Args:
        scale: How much a sample holds.
        root: Of the repository.
    """

    def __init__(self, scale: Scale, root: Path = ROOT) -> None:
        self._scale = scale
        self._build = root / "build"
        self._folder = self._build / "bench"
        self._lock = -1
        self._studies: dict[int, Sample] = {}
        self._object: Sample | None = None

    def __enter__(self) -> Self:
        """Take the lock, and make the folder.

        Raises:
            BenchError: Another bench is at work, or the disk is too full.
        """
        self._build.mkdir(exist_ok=True)
        self._lock = os.open(self._build / "bench.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise BenchError("another bench is running in this repository") from error
        shutil.rmtree(self._folder, ignore_errors=True)
        need = self._scale.disk_bytes
        if (free := shutil.disk_usage(self._build).free) < need:
            os.close(self._lock)
            raise BenchError(f"{need / 1e9:.0f} GB must be free, {free / 1e9:.1f} GB are")
        self._folder.mkdir()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)

    def fresh(self, name: str) -> Path:
        """An empty folder of this name; what was in it is gone."""
        folder = self._folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def remove(self, folder: Path) -> None:
        """Remove a folder that `fresh` made, and let the disk finish what is still under way.

        What one server left unwritten is then not written while the next is measured.
        """
        shutil.rmtree(folder, ignore_errors=True)
        os.sync()

    def study(self, number: int) -> Sample:
        """One study of CT slices; another number is another study."""
        if number not in self._studies:
            folder = self.fresh(f"study-{number}")
            paths, refs, size = list[Path](), list[InstanceRef](), 0
            for index, item in enumerate(ct_series(self._scale.slices, seed=number)):
                path = folder / f"{index:04}.dcm"
                path.write_bytes(item.data)
                paths.append(path)
                refs.append(item.ref)
                size += len(item.data)
            self._studies[number] = _settled(paths, refs, size)
        return self._studies[number]

    def small_instances(self, count: int, *, sides: tuple[int, int] = (253, 253)) -> Sample:
        """So many instances in studies of 100, 128 KB each unless *sides* says otherwise.

        Args:
            count: How many.
            sides: Of the smallest and the largest picture, in pixels; if they differ, each instance
                is a series of its own.
        """
        folder = self.fresh(f"small-{count}-{sides[0]}")
        chance = random.Random(count)
        paths, refs, size = list[Path](), list[InstanceRef](), 0
        for first in range(0, count, 100):
            left = min(count - first, 100)
            if sides[0] == sides[1]:
                made = [ct_series(left, rows=sides[0], columns=sides[0], seed=700 + first)]
            else:
                made = [
                    ct_series(1, rows=side, columns=side, seed=700 + first, series=series)
                    for series in range(1, left + 1)
                    for side in (chance.randint(*sides),)
                ]
            for item in itertools.chain.from_iterable(made):
                path = folder / f"{len(paths):05}.dcm"
                path.write_bytes(item.data)
                paths.append(path)
                refs.append(item.ref)
                size += len(item.data)
        return _settled(paths, refs, size)

    def large_object(self) -> Sample:
        """One multi-frame object, alone in its study."""
        if self._object is None:
            path = self.fresh("object") / "object.dcm"
            ref = write_multiframe(path, self._scale.object_bytes)
            self._object = _settled([path], [ref], path.stat().st_size)
        return self._object


def _settled(paths: Sequence[Path], refs: Sequence[InstanceRef], size: int) -> Sample:
    os.sync()
    return Sample(tuple(paths), tuple(refs), size)
