"""What the tests of the drop folder share: a cache in memory, and a running drop folder."""

import asyncio
import contextlib
import os
import tempfile
from pathlib import Path

import pytest

from edge import config
from edge.cache.admission import Admitted, Outcome
from edge.cache.leftovers import Leftovers
from edge.dicom.scanner import InstanceScanner
from edge.dropfolder.watcher import DropFolder
from edge.errors import StorageFull
from edge.index.database import Database

# A cache of the real parts is built there; this door is put on top of it.
from tests.cache.conftest import open_cache  # noqa: F401  (a fixture)

_NOBODY = 65534


class MemoryAdmission:
    """Stands where the cache stands: understands instances as it does, and keeps their bytes."""

    def __init__(self):
        self.stored = {}
        self.received = []
        self.calls = 0
        self.largest_piece = 0
        self.is_full = False
        self.error = None

    async def store_instance(self, chunks, source, **_):
        self.calls += 1
        if self.is_full:
            raise StorageFull("the cache is full")
        if self.error is not None:
            raise self.error
        scanner, pieces = InstanceScanner(), []
        async for piece in chunks:
            self.largest_piece = max(self.largest_piece, len(piece))
            scanner.feed(piece)
            pieces.append(bytes(piece))
        scanned = scanner.finish()
        outcome = Outcome.DUPLICATE if scanned.ref.sop_uid in self.stored else Outcome.STORED
        self.received.append(b"".join(pieces))
        self.stored[scanned.ref.sop_uid] = self.received[-1]
        self.source = source
        return Admitted(scanned.ref, scanned.sop_class_uid, outcome)


@pytest.fixture
def admission():
    return MemoryAdmission()


@pytest.fixture
def tmp_path():
    """A folder that the user whom `locked` makes of root may reach and write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(folder, _NOBODY, _NOBODY)
        yield folder


@pytest.fixture
def drop(tmp_path):
    """The drop folder."""
    folder = tmp_path / "drop"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.fixture
def locked():
    """Folders that this process may read, and not write, until the block ends or they are mended.

    Root may write everywhere: it becomes another user meanwhile.
    """
    is_root = os.geteuid() == 0

    @contextlib.contextmanager
    def lock(*folders):
        def mend():
            if is_root:
                os.seteuid(0)
            for folder in folders:
                if folder.exists():
                    folder.chmod(0o777)
            if is_root:
                os.seteuid(_NOBODY)

        for folder in folders:
            folder.chmod(0o555)
        if is_root:
            os.seteuid(_NOBODY)
        try:
            yield mend
        finally:
            mend()
            if is_root:
                os.seteuid(0)

    return lock


@pytest.fixture
async def leftovers(tmp_path):
    """The drop folder's memory, in an index of its own."""
    async with Database(tmp_path / "drop.db", bytes(32)) as database:
        yield Leftovers(database)


@pytest.fixture
def files():
    """The files below a folder, as relative POSIX paths."""

    def below(folder):
        found = (path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
        return sorted(path.relative_to(folder).as_posix() for path in found)

    return below


@pytest.fixture
def running(drop, admission, leftovers):
    """Runs a drop folder with short times; `until` waits for what it does."""

    @contextlib.asynccontextmanager
    async def run(settle_seconds=0.05, **options):
        options = {"sweep_seconds": 0.2, "patience_seconds": 0.1, **options}
        settings = config.DropFolder(path=drop, settle_seconds=settle_seconds)
        task = asyncio.create_task(DropFolder(settings, admission, leftovers, **options).run())
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return run


@pytest.fixture
def until():
    """Waits until a condition holds; fails after half a minute."""

    async def wait(condition):
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110 - files tell nobody that they are gone
                await asyncio.sleep(0.01)

    return wait
