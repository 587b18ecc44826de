"""In-memory stand-ins for the cache, as this door sees it: pydicom reads what they hold."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import warnings
import zlib
from array import array
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from edge.access.roles import Identity, Role
from edge.access.scope import Scope
from edge.cache.admission import Admitted, Outcome, Source
from edge.cache.opened import WholeInstance
from edge.dicom.frames import PixelLayout
from edge.dicom.instance import Availability, InstanceRef
from edge.dicom.query import Query
from edge.errors import (
    AccessDenied,
    EdgeError,
    InstanceMismatch,
    InstanceNotFound,
    NotAnImage,
    NotDicom,
    StorageFull,
)
from edge.pixels.presentation import Picture, Presentation

PIECE = 64 * 1024
EXPLICIT, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"
ENCODED = {RLE}


@dataclass(frozen=True)
class Entry:
    ref: InstanceRef
    sop_class_uid: str
    transfer_syntax: str
    size: int
    number_of_frames: int
    availability: Availability = Availability.ONLINE
    version: str = "1"
    received: float = 1_700_000_000.0
    edition: str = ""


@dataclass(frozen=True)
class BulkValue:
    length: int
    encapsulated: bool


@dataclass(frozen=True)
class Layout:
    bulk: Mapping[str, BulkValue]
    pixels: PixelLayout | None


class Instance:
    """One Part 10 file, taken apart by pydicom."""

    def __init__(self, data: bytes) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(io.BytesIO(data))
            self.data = data
            self.dataset = dataset
            syntax = dataset.file_meta.TransferSyntaxUID
            self.bulk: dict[str, bytes] = {}
            self._collect_bulk(dataset, "")
            self.document = _compact(_document(dataset, ""))
        self.encapsulated = syntax.is_encapsulated
        count = _frame_count(dataset)
        self.frames: list[bytes] = []
        if count and self.encapsulated:
            self.frames = list(generate_frames(dataset.PixelData, number_of_frames=count))
        elif count:
            size = len(dataset.PixelData) // count
            self.frames = [
                dataset.PixelData[index * size : (index + 1) * size] for index in range(count)
            ]
        ref = _ref(dataset)
        self.entry = Entry(ref, str(dataset.SOPClassUID), str(syntax), len(data), count)

    def _collect_bulk(self, dataset: Dataset, prefix: str) -> None:
        for element in dataset:
            path = f"{prefix}{element.tag:08X}"
            if element.VR == "SQ":
                for index, item in enumerate(element.value):
                    self._collect_bulk(item, f"{path}/{index}/")
            elif isinstance(element.value, bytes) and len(element.value) > 1024:
                self.bulk[path] = element.value


def _ref(dataset: Dataset) -> InstanceRef:
    uids = dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID
    return InstanceRef(*map(str, uids))


def _frame_count(dataset: Dataset) -> int:
    if "PixelData" not in dataset:
        return 0
    try:
        return int(dataset.NumberOfFrames)
    except (AttributeError, TypeError, ValueError):
        return 1  # absent, empty, or not a number


def _compact(document: dict[str, Any]) -> bytes:
    """As the cache keeps it."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _document(dataset: Dataset, prefix: str) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for element in dataset:
        tag = f"{element.tag:08X}"
        path = f"{prefix}{tag}"
        if element.VR == "SQ":
            items = [
                _document(item, f"{path}/{index}/") for index, item in enumerate(element.value)
            ]
            document[tag] = {"vr": "SQ", "Value": items}
        elif isinstance(element.value, bytes) and len(element.value) > 1024:
            document[tag] = {"vr": str(element.VR), "BulkDataURI": path}
        else:
            # What pydicom can't put into JSON does not matter here.
            with contextlib.suppress(ValueError):
                document[tag] = element.to_json_dict(None, 1024)
    return document


class OpenInstance:
    def __init__(self, instance: Instance, entry: Entry) -> None:
        self.entry = entry
        self.size = len(instance.data)
        self.layout = Layout(
            {
                path: BulkValue(len(value), instance.encapsulated and path == "7FE00010")
                for path, value in instance.bulk.items()
            },
            PixelLayout(
                len(instance.frames),
                offset=0,
                length=0,
                encapsulated=instance.encapsulated,
                fragments=array("I", map(len, instance.frames)),
            ),
        )
        self._instance = instance

    async def stream(self, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        data = self._instance.data[offset : None if length is None else offset + length]
        for at in range(0, len(data), PIECE):
            yield data[at : at + PIECE]

    def frame_length(self, number: int) -> int:
        if not 1 <= number <= len(self._instance.frames):
            raise InstanceNotFound(f"there is no frame {number}")
        return len(self._instance.frames[number - 1])

    async def frame(self, number: int) -> AsyncIterator[bytes]:
        length = self.frame_length(number)
        for at in range(0, length, PIECE):
            yield self._instance.frames[number - 1][at : at + PIECE]

    async def video(self, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        data = b"".join(self._instance.frames)
        yield data[offset : None if length is None else offset + length]

    async def bulk(
        self, path: str, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        if path not in self._instance.bulk:
            raise InstanceNotFound(f"there is no bulk value {path}")
        data = self._instance.bulk[path]
        yield data[offset : None if length is None else offset + length]

    def attributes(self) -> dict[str, Any]:
        return json.loads(self._instance.document)

    edited_attributes = attributes

    def decoded(self, syntax: str) -> bytes:
        """The file in another transfer syntax, as pydicom makes it."""
        dataset = pydicom.dcmread(io.BytesIO(self._instance.data))
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            dataset.decompress(as_rgb=False, generate_instance_uid=False)
        elif not dataset.file_meta.TransferSyntaxUID.is_little_endian:
            pixels = dataset.pixel_array
            dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
        if syntax in ENCODED:
            dataset.compress(syntax, generate_instance_uid=False)
        dataset.file_meta.TransferSyntaxUID = syntax
        file = io.BytesIO()
        pydicom.dcmwrite(file, dataset, implicit_vr=False, little_endian=True)
        return file.getvalue()


class Retrieval:
    """``nearline`` holds SOP Instance UIDs of which nothing is known until they are opened."""

    def __init__(self) -> None:
        self.held: dict[str, Instance] = {}
        self.nearline: set[str] = set()
        self.listed: dict[str, Entry] = {}
        """What is said of an instance before it is opened, if that is not true any more."""
        self.failing: dict[str, EdgeError] = {}
        self.opened: list[str] = []
        self.discovered: set[str] = set()
        """Studies that the archive turns out to have when it is asked."""

    def add(self, *files: Path | bytes) -> list[Instance]:
        instances = [
            Instance(file if isinstance(file, bytes) else file.read_bytes()) for file in files
        ]
        self.held |= {instance.entry.ref.sop_uid: instance for instance in instances}
        return instances

    def _find(self, *uids: str | None) -> list[Instance]:
        def fits(ref: InstanceRef) -> bool:
            has = (ref.study_uid, ref.series_uid, ref.sop_uid)
            return all(uid is None or uid == had for uid, had in zip(uids, has, strict=True))

        return [instance for instance in self.held.values() if fits(instance.entry.ref)]

    async def instances(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> list[Entry]:
        return [
            replace(instance.entry, transfer_syntax="", size=0, availability=Availability.NEARLINE)
            if instance.entry.ref.sop_uid in self.nearline
            else self.listed.get(instance.entry.ref.sop_uid, instance.entry)
            for instance in self._find(study_uid, series_uid, sop_uid)
        ]

    async def discover(self, study_uid: str) -> bool:
        if study_uid in self.failing:
            raise self.failing[study_uid]
        return study_uid in self.discovered

    @asynccontextmanager
    async def open_instance(self, wanted: Entry | InstanceRef) -> AsyncIterator[OpenInstance]:
        ref = wanted if isinstance(wanted, InstanceRef) else wanted.ref
        if ref.sop_uid in self.failing:
            raise self.failing[ref.sop_uid]
        found = self._find(ref.study_uid, ref.series_uid, ref.sop_uid)
        if not found:
            raise InstanceNotFound(f"instance {ref.sop_uid} is not known here")
        self.opened.append(ref.sop_uid)
        yield OpenInstance(found[0], found[0].entry)

    async def whole_instances(self, entries: Iterable[Entry]) -> AsyncGenerator[WholeInstance]:
        for entry in entries:
            async with self.open_instance(entry) as opened:
                yield WholeInstance(opened.entry, opened.size, opened.stream())

    async def metadata(
        self, study_uid: str, series_uid: str | None = None, sop_uid: str | None = None
    ) -> AsyncIterator[tuple[InstanceRef, bytes]]:
        for instance in self._find(study_uid, series_uid, sop_uid):
            yield instance.entry.ref, zlib.compress(instance.document)


class Transcoding:
    """Makes Explicit VR of anything, and RLE besides; ``failing`` is raised instead."""

    def __init__(self) -> None:
        self.made: list[str] = []
        """Transfer syntaxes that instances and frames were made in."""
        self.failing: EdgeError | None = None
        self.undecodable = False

    async def syntaxes(self, opened: OpenInstance) -> tuple[str, ...]:
        if self.undecodable:
            return (opened.entry.transfer_syntax,)
        return tuple(dict.fromkeys((opened.entry.transfer_syntax, EXPLICIT, RLE)))

    async def frame(self, opened: OpenInstance, number: int, transfer_syntax: str) -> bytes:
        if self.failing is not None:
            raise self.failing
        self.made.append(transfer_syntax)
        return Instance(opened.decoded(transfer_syntax)).frames[number - 1]

    async def instance(self, opened: OpenInstance, transfer_syntax: str) -> AsyncIterator[bytes]:
        if transfer_syntax == opened.entry.transfer_syntax:
            async for piece in opened.stream():
                yield piece
            return
        if self.failing is not None:
            raise self.failing
        self.made.append(transfer_syntax)
        yield opened.decoded(transfer_syntax)


class Rendering:
    """Pictures that say what was asked for."""

    def __init__(self, retrieval: Retrieval) -> None:
        self._retrieval = retrieval
        self.asked: list[tuple[str, int, Presentation]] = []
        """SOP Instance UID, frame (0: all of them) and presentation."""
        self.failing: EdgeError | None = None

    async def frame(self, entry: Entry, number: int, wanted: Presentation) -> Picture:
        if self.failing is not None:
            raise self.failing
        self.asked.append((entry.ref.sop_uid, number, wanted))
        return Picture(wanted.media_type, f"{entry.ref.sop_uid}/{number}".encode(), 1, 1)

    async def animation(self, entry: Entry, wanted: Presentation) -> Picture:
        return await self.frame(entry, 0, wanted)

    async def representative(self, *uids: str | None) -> tuple[Entry, int]:
        images = [one for one in await self._retrieval.instances(*uids) if one.number_of_frames]
        if not images:
            raise NotAnImage("there are no images in it")
        entry = images[len(images) // 2]
        return entry, (entry.number_of_frames + 1) // 2


class Catalogue:
    """Answers every query with the same results, and remembers what was asked."""

    def __init__(self) -> None:
        self.results: list[dict[str, Any]] = []
        self.asked: list[Query] = []

    async def search(self, query: Query) -> AsyncIterator[dict[str, Any]]:
        self.asked.append(query)
        end = None if query.limit is None else query.offset + query.limit
        for result in self.results[query.offset : end]:
            yield result

    async def count(self, query: Query) -> int:
        return len(self.results)


class Spooling:
    """Remembers what waits; the real one has it on the disk."""

    def __init__(self, room: int | None) -> None:
        self.content = bytearray()
        self._room = room

    @property
    def length(self) -> int:
        return len(self.content)

    async def write(self, piece: bytes | memoryview) -> None:
        self.content += piece
        if self._room is not None and len(self.content) > self._room:
            raise StorageFull("the disk is full")

    async def finish(self) -> None:
        pass

    async def read(self, offset: int, length: int) -> bytes:
        return bytes(self.content[offset : offset + length])


@dataclass
class Admission:
    """Keeps what comes in; ``settling`` is awaited where a real one waits for the disk."""

    kept: dict[str, bytes] = field(default_factory=dict)
    sources: list[Source] = field(default_factory=list)
    full: bool = False
    fail_with: Exception | None = None
    settling: asyncio.Event | None = None
    largest_piece: int = 0
    under_way: int = 0
    most_under_way: int = 0
    room: int | None = None
    """Bytes that may wait for their instance."""
    spools: list[Spooling] = field(default_factory=list)
    capacity: int = 1 << 40
    max_instance_bytes: int = 1 << 36

    @asynccontextmanager
    async def spooling(self) -> AsyncIterator[Spooling]:
        self.spools.append(Spooling(self.room))
        yield self.spools[-1]

    async def make_room(self) -> None:
        if self.full:
            raise StorageFull("the cache is full", hint="wait")

    async def store_instance(
        self, chunks: AsyncIterable[bytes], source: Source, *, study_uid: str | None = None
    ) -> Admitted:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._store(chunks, source, study_uid)
        finally:
            self.under_way -= 1

    async def _store(
        self, chunks: AsyncIterable[bytes], source: Source, study_uid: str | None
    ) -> Admitted:
        taken = bytearray()
        async for chunk in chunks:
            self.largest_piece = max(self.largest_piece, len(chunk))
            taken += chunk
            if len(taken) > 132 and taken[128:132] != b"DICM":
                raise NotDicom("there is no DICM prefix")
        data = bytes(taken)
        if self.fail_with is not None:
            raise self.fail_with
        await self.make_room()
        try:
            dataset = pydicom.dcmread(io.BytesIO(data))
            ref = _ref(dataset)
        except Exception as error:
            raise NotDicom("the data set ends early") from error
        if study_uid not in (None, ref.study_uid):
            raise InstanceMismatch(f"Study Instance UID is {ref.study_uid}")
        if self.settling is not None:
            await self.settling.wait()
        before = self.kept.setdefault(ref.sop_uid, data)
        self.sources.append(source)
        outcome = Outcome.STORED if before is data else Outcome.DUPLICATE
        if before != data:
            outcome = Outcome.CONFLICT
        return Admitted(ref, str(dataset.SOPClassUID), outcome)


@dataclass
class Deletion:
    """Remembers what was to be deleted."""

    asked: list[tuple[tuple[str | None, ...], bool, bool]] = field(default_factory=list)
    """Target, whether only copies too, and whether the archive is told."""
    fail_with: EdgeError | None = None

    async def delete(
        self, *target: str | None, only_copies: bool = False, archive: bool = False
    ) -> None:
        if self.fail_with is not None:
            raise self.fail_with
        self.asked.append((target, only_copies, archive))


TOKENS = {
    "read": Identity("reader", Role.VIEWER),
    "store": Identity("gateway", Role.SERVICE),
    "store as CT1": Identity("gateway", Role.SERVICE, scope=Scope(ae_title="CT1")),
    "delete": Identity("keeper", Role.ADMIN),
}


async def authorise(headers: Mapping[str, str], address: str = "") -> Identity:
    """Bearer tokens whose secrets are the keys of ``TOKENS``."""
    scheme, _, secret = headers.get("Authorization", "").partition(" ")
    identity = TOKENS.get(secret) if scheme == "Bearer" else None
    if identity is None:
        raise AccessDenied("no valid token", hint="send Authorization: Bearer TOKEN")
    return identity
