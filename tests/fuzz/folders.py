"""What lies in folders that anybody may fill: a drop folder, a worklist's folder, a courier's disk.

Archives lie about their members, a DICOMDIR about its medium, a bundle about everything. What is an
instance comes in; of the rest it is said in plain words why not, and nothing else is harmed.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from hypothesis import strategies as st

from edge.cache.bundle import bundles_on
from edge.cache.courier import Receipts, describe, open_bundle
from edge.cache.statements import Complete, PartList, Receipt, Result, decoded
from edge.dicom.identifier import IDENTIFIER_SYNTAXES, write_identifier
from edge.dicom.scheduled import steps_in_file
from edge.dicom.scheduled_check import flaws_of, repeated, without_unreadable
from edge.dropfolder.media import units
from edge.dropfolder.memory import Memory
from edge.dropfolder.reception import Reception
from edge.dropfolder.tree import DropTree
from edge.dropfolder.zipped import ZipLimits
from edge.errors import EdgeError, InvalidInstance, SecretError
from edge.index.database import Database
from edge.sync.carried import CarriedParts
from tests import samples, worklists
from tests.dropfolder.conftest import MemoryAdmission
from tests.fakes import courier
from tests.fuzz import files
from tests.fuzz.mutation import Change, changes, mutated
from tests.fuzz.targets import Target, reader

# The drop folder


@dataclass(frozen=True)
class Dropped:
    """Files, by their paths; what a ZIP archive is made of is in it already."""

    files: tuple[tuple[str, bytes], ...]


LIMITS = ZipLimits(entries=40, total_bytes=8 * 1024**2, ratio=100, free_bytes=1024**2)
"""Small, so that examples reach them."""


async def _received(example: Dropped) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for path, data in example.files:
            with suppress(OSError):  # two of one name
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(data)
        tree, admission = DropTree(root), MemoryAdmission()
        reception = Reception(tree, admission, Memory(tree, _Nothing()), LIMITS)  # type: ignore[arg-type]
        listing = tree.scan()
        for unit in units(listing.files):
            before = len(admission.received)
            verdict = await reception.receive(unit)
            assert verdict.admitted == len(admission.received) - before
            assert verdict.partly <= verdict.bad.keys()
            for reason in verdict.bad.values():
                assert reason.replace("\n", "").isprintable(), reason


class _Nothing:
    """Nobody remembers anything."""

    async def all(self) -> list[Any]:
        return []


def _dropped(example: Dropped) -> None:
    asyncio.run(_received(example))


@dataclass(frozen=True)
class Member:
    """Of an archive: what it says of itself, at its place and in the directory."""

    name: bytes
    content: bytes
    method: int
    flags: int
    size: int
    """Added to the one that is true."""
    packed: int
    crc: int
    offset: int
    extra: bytes


def _archive(members: Sequence[Member], count: int, tail: bytes) -> bytes:
    """A ZIP archive (APPNOTE.TXT 4.3), honest where the members are."""
    body, directory = b"", b""
    for one in members:
        data = one.content
        if one.method == 8:
            deflater = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
            data = deflater.compress(data) + deflater.flush()
        facts = struct.pack(
            "<HHHIIIHH",
            one.method,
            0,
            0x21,
            (zlib.crc32(one.content) + one.crc) & 0xFFFFFFFF,
            (len(data) + one.packed) & 0xFFFFFFFF,
            (len(one.content) + one.size) & 0xFFFFFFFF,
            len(one.name),
            len(one.extra),
        )
        head = struct.pack("<HH", 20, one.flags) + facts
        place = (len(body) + one.offset) & 0xFFFFFFFF
        directory += (
            b"PK\x01\x02\x14\x03" + head + struct.pack("<HHHII", 0, 0, 0, 0, place)
            + one.name + one.extra
        )  # fmt: skip
        body += b"PK\x03\x04" + head + one.name + one.extra + data
    end = struct.pack(
        "<IHHHHIIH",
        0x06054B50,
        0,
        0,
        (len(members) + count) & 0xFFFF,
        (len(members) + count) & 0xFFFF,
        len(directory),
        len(body),
        len(tail),
    )
    return body + directory + end + tail


@cache
def _zipped() -> list[bytes]:
    """As Python makes them."""
    made = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            archive.writestr("DICOM/IM1", files.encapsulated())
            archive.writestr("DICOMDIR", _directory())
            archive.writestr("README.TXT", "read me")
        made.append(buffer.getvalue())
    return made


def _directory() -> bytes:
    return (samples.dicomdir_media() / "TINY_ALPHA" / "DICOMDIR").read_bytes()


_LIE = st.sampled_from((0, 0, 0, 0, 0, 1, -1, 100, 2**31, 0xFFFFFFFF - 2000))
_CONTENTS = st.one_of(
    st.deferred(files.files),
    st.builds(files.encapsulated),
    st.sampled_from((b"", b"hello", bytes(4_000_000), b"PK\x03\x04" + bytes(40))),
)
_NAMES = st.sampled_from(
    (
        b"IM1",
        b"DICOM/IM1",
        b"DICOMDIR",
        b"../../etc/passwd",
        b"/etc/passwd",
        b"a/",
        b"",
        b"\xff\xfe\0",
        b"a\nb",
        b"Thumbs.db",
        b"C:\\x",
        b"x" * 300,
        b"__MACOSX/._IM1",
    )
)
_MEMBERS = st.lists(
    st.builds(
        Member,
        _NAMES,
        _CONTENTS,
        st.sampled_from((0, 8, 8, 8, 12, 14, 99)),
        st.sampled_from((0, 0, 0, 0, 1, 8, 0x800, 0x40, 0x2041)),
        _LIE,
        _LIE,
        st.sampled_from((0, 0, 0, 0, 1)),
        _LIE,
        st.sampled_from((b"", b"", b"", b"\1\0\x10\0" + b"\xff" * 16, b"\1\0\xff\xff", b"\0")),
    ),
    max_size=4,
)
_ARCHIVES = st.one_of(
    st.builds(
        _archive,
        _MEMBERS,
        st.sampled_from((0, 0, 0, 1, -1, 60000)),
        st.sampled_from((b"", b"", b"comment", b"PK\x05\x06" + bytes(18))),
    ),
    st.builds(
        mutated,
        st.builds(_archive, _MEMBERS, st.just(0), st.just(b"")),
        changes(),
    ),
    st.deferred(lambda: st.builds(mutated, st.sampled_from(_zipped()), changes())),
)
_PATHS = (
    "a",
    "a.zip",
    "b.dcm",
    "CD/DICOMDIR",
    "CD/DICOM/IM1",
    "CD/IMAGES/CT1",
    "CD/README",
    "CD/dicomdir;1",
    "Thumbs.db",
    "deep/er/and/deeper",
)
_DROPPED = st.lists(
    st.tuples(
        st.sampled_from(_PATHS),
        st.one_of(
            _ARCHIVES,
            _ARCHIVES,
            _CONTENTS,
            st.deferred(lambda: st.builds(mutated, st.just(_directory()), changes())),
        ),
    ),
    min_size=1,
    max_size=4,
).map(lambda some: Dropped(tuple(some)))


# A folder of a worklist


@cache
def _items() -> list[bytes]:
    with tempfile.TemporaryDirectory() as name:
        made = [
            worklists.save(worklists.item(), Path(name) / "a.wl").read_bytes(),
            worklists.save(worklists.item(2), Path(name) / "b.wl", implicit=True).read_bytes(),
            worklists.save(
                worklists.item(3, name="D\u00d6E^J\u00c4NE", charset="ISO_IR 100"),
                Path(name) / "c.wl",
            ).read_bytes(),
        ]
    return [*made, *(one[144 + struct.unpack_from("<I", one, 140)[0] :] for one in made)]


def _printable(text: str) -> None:
    """It goes into the log, and onto the page."""
    assert text.isprintable(), text


def _worklist(data: bytes) -> None:
    try:
        steps = steps_in_file(data)
    except InvalidInstance as error:
        _printable(str(error))
        return
    assert steps
    for step in steps:
        assert flaws_of(step).isprintable()
        msgspec.json.encode(step.attributes)
        attributes = without_unreadable(step.attributes)
        for syntax in sorted(IDENTIFIER_SYNTAXES):
            write_identifier(attributes, syntax, is_lenient=True)
    list(repeated([("a.wl", step) for step in steps] * 2))


# The disk of a courier


@dataclass(frozen=True)
class Disk:
    """A bundle, one of whose files is another."""

    name: str
    is_stated: bool
    """What is changed is what is stated; seals and signatures are right."""
    some: tuple[Change, ...]
    other: bytes
    """Instead of it, if there is any."""


BOX, HOSPITAL = courier.place("box"), courier.place("hospital")
_FILES = (
    "key",
    "key.copy",
    "0001.list",
    "0001.part",
    "complete",
    f"0001.{HOSPITAL.place.digest[:8].hex()}.receipt",
)


@contextmanager
def _disks() -> Iterator[Callable[[Any], None]]:
    with asyncio.Runner() as runner, ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        right = folder / "right"
        right.mkdir()
        slices = list(samples.ct_series(2, rows=8, columns=8))
        bundle, key = courier.make_bundle(right, BOX, [HOSPITAL], [slices])
        courier.write_receipt(bundle, key, HOSPITAL, map(courier.verified, slices))

        async def begin() -> Database:
            return await Database(folder / "index.db", bytes(32)).__aenter__()

        database = runner.run(begin())

        async def end() -> None:
            await database.__aexit__(None, None, None)

        stack.callback(lambda: runner.run(end()))

        def check(disk: Disk) -> None:
            wrong = folder / "wrong"
            shutil.rmtree(wrong, ignore_errors=True)
            shutil.copytree(right, wrong)
            _spoil(next((wrong / "EDGE-COURIER").iterdir()), disk, key)
            _open(wrong)
            runner.run(_taken(database, wrong))

        yield check


def _spoil(folder: Path, disk: Disk, key: Any) -> None:
    path = folder / disk.name
    if not disk.is_stated or disk.name in ("key", "key.copy", "0001.part"):
        path.write_bytes(disk.other or mutated(path.read_bytes(), disk.some))
        return
    who = HOSPITAL if disk.name.endswith("receipt") else BOX
    _, content = key.stated(disk.name, path.read_bytes(), [who.place])
    path.write_bytes(key.state(disk.name, disk.other or mutated(content, disk.some), who))


def _open(disk: Path) -> None:
    """As the place does that it is for, and as another."""
    for keys in (HOSPITAL, BOX, courier.place("nobody")):
        for one in describe(disk, keys, [BOX.place, HOSPITAL.place]):
            assert one.trouble.isprintable()
    for bundle in bundles_on(disk):
        with suppress(SecretError, OSError):
            _, key = open_bundle(bundle, HOSPITAL)
            for number in bundle.parts():
                with suppress(SecretError, OSError):
                    name = f"{number:04}.list"
                    _, content = key.stated(name, bundle.read(name), [BOX.place])
                    asyncio.run(_read(bundle, key, decoded(content, PartList)))


async def _read(bundle: Any, key: Any, listed: PartList) -> None:
    ledger = SimpleNamespace(moves=0, damage=lambda *_: None)
    parts = CarriedParts(bundle, key, listed.entries, ledger)  # type: ignore[arg-type]
    try:
        for number, entry in enumerate(listed.entries, 1):
            with suppress(EdgeError):
                async for _ in parts.stream(number, entry):
                    pass
    finally:
        await parts.close()


async def _taken(database: Database, disk: Path) -> None:
    receipts = Receipts(database, BOX, [HOSPITAL.place])
    taken, _ = await receipts.take(disk)
    for one in taken:
        assert all(trouble.isprintable() for trouble in one.troubles)


def _packed(*values: Any) -> st.SearchStrategy[bytes]:
    return st.sampled_from(values).map(msgspec.msgpack.encode)


_ENTRY = ("1.2", "1.3", "1.4", "1.5", "1.2.840.10008.1.2", 10, b"a", b"b", "EDGE_ONLY", 3)
_STATED = _packed(
    PartList(1, "x", float("inf"), (b"",), -1, ()),
    {"version": 1, "box": "x\n", "packed": -1e300, "recipients": [], "length": 2**63,
     "entries": [[*_ENTRY, [[1, 0, 2**62]]], [*_ENTRY, [[1, -5, 10]]], [*_ENTRY, [[10**7, 0, 1]]]]},
    {"version": 1, "box": "", "packed": 0, "recipients": [], "length": 0,
     "entries": [[*_ENTRY[:5], -1, *_ENTRY[6:], [[0, 0, 0]] * 50]]},
    {"version": 2, "box": "x", "packed": 0.0, "recipients": [], "length": 0, "entries": []},
    Complete(1, (1, -1, 10**6), -5, 2**62),
    Receipt(1, "x\0", "y\n", (Result("1.2.3", "VERIFIED", float("nan"), b"", "w\n" * 900),)),
    Receipt(1, "", "", (Result("../x", "CONFLICT", 1e300, b"d" * 32, "", False, "x", -1),)),
    Receipt(1, "", "", (Result("", "REFUSED", -1e300, b""),) * 50),
    [],
    {},
    None,
    2**63,
)  # fmt: skip
_DISKS = st.builds(
    Disk,
    st.sampled_from(_FILES),
    st.booleans(),
    changes().map(tuple),
    st.one_of(st.just(b""), st.just(b""), _STATED, st.binary(max_size=40)),
)

FOLDERS = (
    reader("dropfolder", _DROPPED, _dropped, Dropped),
    reader(
        "worklist",
        st.one_of(
            st.deferred(lambda: st.builds(mutated, st.sampled_from(_items()), changes())),
            st.deferred(files.made),
        ),
        _worklist,
        at_a_time=1000,
    ),
    Target("courier", _DISKS, _disks, Disk, seconds=10.0),
)
